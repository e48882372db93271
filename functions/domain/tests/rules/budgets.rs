//! What a month may cost: who may start when it is spent, and what becomes of a run that is up.

use domain::{
    Activity, BudgetOf, Calendar, Denied, Event, InstanceStatus, MicroUsd, Phase, Reading, Seconds, Signal,
    StartRequest, StopReason, Timestamp, WhenUsedUp,
};
use proptest::prelude::*;

use crate::fixture::{BUSY, IDLE, START, at};
use crate::life::{Life, usd};

/// So many seconds of a machine are the budget; used up 1000 s after the start of billing.
const SECONDS: u64 = 1000;

fn with_budget(when_used_up: WhenUsedUp) -> Life {
    let mut life = Life::of(&["a"]);
    life.workspace.policy.budget.monthly = Some(usd(SECONDS));
    life.workspace.policy.budget.when_used_up = when_used_up;
    life
}

fn by(user: &str) -> StartRequest {
    StartRequest { user: Some(user.to_owned()), ..StartRequest::default() }
}

/// Billed from second 0 on, in use from then on.
fn in_use(when_used_up: WhenUsedUp) -> Life {
    let mut life = with_budget(when_used_up);
    life.start(0);
    life.get_ready(0);
    life
}

/// It has spent so many seconds in runs that are over.
fn with_spent(seconds: u64) -> Life {
    let mut life = with_budget(WhenUsedUp::NextIdle);
    spend(&mut life, by("ada"), 0, seconds);
    life
}

fn spend(life: &mut Life, request: StartRequest, from: u64, seconds: u64) {
    life.take(from, Event::StartRequested(request));
    life.come_up(from);
    life.take(from + seconds, Event::StopRequested);
    life.go_down(from + seconds);
    assert_eq!(life.phase(), Phase::Stopped);
}

#[test]
fn the_share_that_is_spent_is_rounded_down_and_counts_the_run_that_is_up() {
    let life = in_use(WhenUsedUp::NextIdle);
    for (second, percent) in [(799, 79), (800, 80), (999, 99), (1000, 100), (5000, 255)] {
        assert_eq!(life.record.budget_percent(at(second), &life.workspace), Some(percent), "at second {second}");
    }
    assert_eq!(Life::of(&["a"]).record.budget_percent(at(0), &Life::of(&["a"]).workspace), None);
}

#[test]
fn a_budget_of_nothing_is_used_up() {
    let mut life = with_budget(WhenUsedUp::NextIdle);
    life.workspace.policy.budget.monthly = Some(MicroUsd(0));
    let (spent, limit) = (MicroUsd(0), MicroUsd(0));
    let denied = Err(Denied::BudgetUsedUp { of: BudgetOf::Workspace, spent, limit });
    assert_eq!(life.try_take(0, Event::StartRequested(by("ada"))), denied);
}

#[test]
fn with_the_budget_used_up_only_an_admin_may_start() {
    let mut life = with_spent(999);
    life.clone().start(2000);
    life = with_spent(1000);
    let denied = Err(Denied::BudgetUsedUp { of: BudgetOf::Workspace, spent: usd(1000), limit: usd(1000) });
    assert_eq!(life.try_take(2000, Event::StartRequested(by("ada"))), denied);
    assert_eq!(life.phase(), Phase::Stopped);
    life.take(2000, Event::StartRequested(StartRequest { is_admin: true, ..by("ruth") }));
    assert_eq!((life.phase(), life.record.beyond_budget), (Phase::Placing, true));
}

#[test]
fn what_an_admin_has_started_beyond_the_budget_is_stopped_as_any_other_run() {
    let mut life = with_spent(1000);
    life.take(2000, Event::StartRequested(StartRequest { is_admin: true, ..by("ruth") }));
    life.get_ready(2010);
    life.beat(2010 + 1799, IDLE);
    assert_eq!(life.phase(), Phase::Ready);
    life.take(2010 + 1799, Event::ExtendRequested { by: Seconds::minutes(10) });
    life.beat(2010 + 1799 + 600, IDLE);
    assert_eq!((life.phase(), life.record.ending), (Phase::Draining, Some(StopReason::Idle)));
}

#[test]
fn an_admins_run_that_crosses_the_limit_is_bound_by_it() {
    let mut life = with_spent(900);
    life.take(2000, Event::StartRequested(StartRequest { is_admin: true, ..by("ruth") }));
    life.get_ready(2000);
    assert!(!life.record.beyond_budget);
    assert!(life.record.is_beyond_its_budget(at(2100), &life.workspace));
}

#[test]
fn a_user_who_has_spent_theirs_anywhere_may_not_start() {
    let mut life = Life::of(&["a"]);
    life.workspace.policy.budget.per_user = Some(usd(500));
    let spent = |seconds| Event::StartRequested(StartRequest { user_spent: usd(seconds), ..by("ada") });
    let denied = Err(Denied::BudgetUsedUp { of: BudgetOf::User, spent: usd(500), limit: usd(500) });
    assert_eq!(life.try_take(0, spent(500)), denied);
    life.take(0, spent(300));
    assert_eq!(life.record.allowance, Some(usd(200)), "the run may cost what is left");
}

#[test]
fn a_run_that_has_cost_what_its_user_had_left_is_announced_when_it_is_idle() {
    let mut life = Life::of(&["a"]);
    life.workspace.policy.budget.per_user = Some(usd(500));
    life.take(0, Event::StartRequested(StartRequest { user_spent: usd(100), ..by("ada") }));
    life.get_ready(0);
    life.beat(399, IDLE);
    assert_eq!(life.phase(), Phase::Ready);
    life.beat(400, IDLE);
    assert_eq!((life.phase(), life.record.ending), (Phase::Draining, Some(StopReason::Budget)));
    let extend = life.try_take(401, Event::ExtendRequested { by: Seconds::hours(1) });
    assert_eq!(extend, Err(Denied::BudgetUsedUp { of: BudgetOf::User, spent: usd(401), limit: usd(400) }));
}

#[test]
fn a_run_in_use_goes_on_past_its_budget_and_ends_five_minutes_after() {
    let mut life = in_use(WhenUsedUp::NextIdle);
    for second in (30..=3000).step_by(30) {
        life.beat(second, BUSY);
        assert_eq!(life.phase(), Phase::Ready, "at second {second}");
    }
    life.beat(3299, IDLE);
    assert_eq!(life.phase(), Phase::Ready);
    life.beat(3300, IDLE);
    assert_eq!((life.phase(), life.record.ending), (Phase::Draining, Some(StopReason::Budget)));
    assert_eq!(life.record.drain_ends_at, Some(at(3300 + 180)));
    life.beat(3479, IDLE);
    assert_eq!(life.phase(), Phase::Draining);
    life.beat(3480, IDLE);
    assert_eq!((life.phase(), life.record.ending), (Phase::Stopping, Some(StopReason::Budget)));
    assert_eq!(life.go_down(3500).ended.unwrap().reason, StopReason::Budget);
}

#[test]
fn where_idleness_is_shorter_than_five_minutes_that_is_enough() {
    let mut life = in_use(WhenUsedUp::NextIdle);
    life.workspace.policy.idle_limit = Seconds(120);
    life.take(1000, Event::KeepAlive { person_at: Some(at(1000)) });
    life.record.stop_at = Some(at(5000));
    life.beat(1119, IDLE);
    assert_eq!(life.phase(), Phase::Ready);
    life.beat(1120, IDLE);
    assert_eq!((life.phase(), life.record.ending), (Phase::Draining, Some(StopReason::Budget)));
}

#[test]
fn somebody_who_comes_while_it_is_announced_is_not_put_out() {
    let mut life = in_use(WhenUsedUp::NextIdle);
    life.beat(1100, IDLE);
    assert_eq!((life.phase(), life.record.ending), (Phase::Draining, Some(StopReason::Budget)));
    let mut person = life.clone();
    person.take(1200, Event::KeepAlive { person_at: Some(at(1200)) });
    assert_eq!((person.phase(), person.record.ending), (Phase::Ready, None));
    let mut button = life.clone();
    button.start(1200);
    button.beat(1210, IDLE);
    assert_eq!(button.phase(), Phase::Ready);
    let mut job = life;
    job.beat(1279, BUSY);
    assert_eq!(job.phase(), Phase::Ready);
    job.beat(1580, IDLE);
    assert_eq!(job.phase(), Phase::Draining, "five minutes later it is announced again");
}

#[test]
fn a_vm_that_does_not_know_is_not_idle() {
    let mut life = in_use(WhenUsedUp::NextIdle);
    for second in (30..=1500).step_by(30) {
        life.beat(second, Reading::Unknown);
        assert_eq!(life.phase(), Phase::Ready, "at second {second}");
    }
}

#[test]
fn with_a_hard_limit_a_run_beyond_its_budget_goes_on_but_is_not_extended() {
    let mut life = in_use(WhenUsedUp::HardLimit);
    life.take(1100, Event::KeepAlive { person_at: Some(at(1100)) });
    life.beat(1600, IDLE);
    assert_eq!(life.phase(), Phase::Ready);
    let denied = Err(Denied::BudgetUsedUp { of: BudgetOf::Workspace, spent: usd(1600), limit: usd(1000) });
    assert_eq!(life.try_take(1600, Event::ExtendRequested { by: Seconds::hours(1) }), denied);
    life.beat(1100 + 1800, IDLE);
    assert_eq!((life.phase(), life.record.ending), (Phase::Draining, Some(StopReason::Idle)), "idleness still ends it");
}

#[test]
fn a_run_may_be_extended_until_its_budget_is_used_up() {
    let mut life = in_use(WhenUsedUp::NextIdle);
    life.take(999, Event::ExtendRequested { by: Seconds::hours(2) });
    let denied = Err(Denied::BudgetUsedUp { of: BudgetOf::Workspace, spent: usd(1000), limit: usd(1000) });
    assert_eq!(life.try_take(1000, Event::ExtendRequested { by: Seconds::hours(3) }), denied);
}

/// Months that turn 2000 s after the beginning of these tests.
fn turning(mut life: Life) -> Life {
    let begins = [START - Seconds::hours(24 * 29), at(2000), at(2000) + Seconds::hours(24 * 31)];
    life.workspace.calendar = Calendar::new("somewhere", begins.to_vec());
    life
}

#[test]
fn a_new_month_begins_with_the_whole_budget() {
    let mut life = turning(with_budget(WhenUsedUp::NextIdle));
    spend(&mut life, by("ada"), 0, 1000);
    assert!(life.try_take(1999, Event::StartRequested(by("ada"))).is_err());
    life.start(2000);
    assert_eq!(life.record.budget_percent(at(2000), &life.workspace), Some(0));
}

#[test]
fn of_a_run_across_the_turn_each_month_pays_its_part() {
    let mut life = turning(with_budget(WhenUsedUp::NextIdle));
    spend(&mut life, by("ada"), 1500, 700);
    assert_eq!(life.record.budget_percent(at(2200), &life.workspace), Some(20));
    assert_eq!(life.record.spent_by("ada", at(2200), &life.workspace), usd(200));
}

#[test]
fn what_each_user_has_spent_is_kept_and_forgotten_with_the_month() {
    let mut life = turning(Life::of(&["a"]));
    spend(&mut life, by("ada"), 0, 300);
    spend(&mut life, by("ben"), 400, 100);
    spend(&mut life, by("ada"), 600, 200);
    spend(&mut life, StartRequest::default(), 900, 60);
    let spent = |life: &Life, user: &str, second| life.record.spent_by(user, at(second), &life.workspace);
    assert_eq!([spent(&life, "ada", 1000), spent(&life, "ben", 1000)], [usd(500), usd(100)]);
    assert_eq!(spent(&life, "cleo", 1000), MicroUsd(0));
    life.take(1100, Event::StartRequested(by("ben")));
    life.come_up(1100);
    assert_eq!(
        [spent(&life, "ada", 1150), spent(&life, "ben", 1200)],
        [usd(500), usd(200)],
        "the run under way counts"
    );
    life.take(1200, Event::StopRequested);
    life.go_down(1200);
    spend(&mut life, by("ada"), 2100, 70);
    assert_eq!([spent(&life, "ada", 2200), spent(&life, "ben", 2200)], [usd(70), MicroUsd(0)]);
    assert_eq!(life.record.by_user.len(), 1, "what a month ago was spent is not kept");
}

#[test]
fn no_more_than_two_hundred_users_are_remembered_those_who_spent_most() {
    let mut life = Life::of(&["a"]);
    for number in 0..205 {
        spend(&mut life, by(&format!("user-{number}")), number * 1000, 100 + number);
    }
    assert_eq!(life.record.by_user.len(), 200);
    let now = at(205 * 1000);
    assert_eq!(life.record.spent_by("user-4", now, &life.workspace), MicroUsd(0));
    assert_eq!(life.record.spent_by("user-204", now, &life.workspace), usd(304));
}

/// What happens to a run, so many seconds after the last thing.
fn happening() -> impl Strategy<Value = (u64, Option<Reading>)> {
    let last = (0_u64..900)
        .prop_map(|ago| Some(Reading::Idle { last: Some(Activity { at: at(ago), signal: Signal::Traffic }) }));
    let readings = prop_oneof![4 => Just(Some(IDLE)), 2 => Just(Some(BUSY)), 1 => last, 2 => Just(Some(Reading::Unknown)), 2 => Just(None)];
    (0_u64..200, readings)
}

proptest! {
    /// Whatever the budget says: work that was told of within five minutes is never cut into before the hard end.
    #[test]
    fn a_budget_never_stops_a_run_in_use(history in prop::collection::vec(happening(), 1..150)) {
        let mut life = in_use(WhenUsedUp::NextIdle);
        let (mut second, mut used_at): (u64, Timestamp) = (0, at(0));
        for (later, reading) in history {
            second += later;
            match reading {
                None => drop(life.take(second, Event::SweepDue)),
                Some(reading) => drop(life.beat(second, reading)),
            }
            if reading == Some(BUSY) {
                used_at = at(second);
            }
            if life.phase() == Phase::Stopping {
                prop_assert!(at(second).since(used_at) >= Seconds::minutes(5), "{:?}", life.record.ending);
                break;
            }
        }
    }

    /// The users' parts add up to the month, whoever starts, however often.
    #[test]
    fn what_the_users_have_spent_is_what_the_month_has_cost(
        runs in prop::collection::vec((0_usize..3, 1_u64..5000), 1..20),
    ) {
        let mut life = Life::of(&["a"]);
        let users = ["ada", "ben", "cleo"];
        let mut second = 0;
        for (user, seconds) in runs {
            spend(&mut life, by(users[user]), second, seconds);
            second += seconds;
        }
        let parts = users.map(|user| life.record.spent_by(user, at(second), &life.workspace).0);
        prop_assert_eq!(parts.iter().sum::<u64>(), life.record.month_cost(at(second), &life.workspace).spent.0);
    }
}

#[test]
fn a_machine_that_goes_by_itself_is_booked_too() {
    let mut life = Life::of(&["a"]);
    life.take(0, Event::StartRequested(by("ada")));
    life.get_ready(0);
    let gone = life.seen("a", InstanceStatus::Down);
    life.take(500, Event::InstanceSeen(gone));
    assert_eq!(life.record.spent_by("ada", at(500), &life.workspace), usd(500));
}
