//! What people are told, once, though nobody is looking.

use domain::{
    Event, FailureCode, InstanceStatus, NOTICE_TRIES_MAX, NOTICES_MAX, Notice, NoticeKind, OperationErrorKind, Phase,
    Seconds, StopReason, due_at,
};
use proptest::prelude::*;

use crate::fixture::{IDLE, at};
use crate::life::{Life, usd};

fn kinds(life: &Life) -> Vec<NoticeKind> {
    life.record.notices.iter().map(|notice| notice.kind.clone()).collect()
}

fn ready(placements: &[&str]) -> Life {
    let mut life = Life::of(placements).told();
    life.start(0);
    life.get_ready(60);
    life
}

fn stopped(life: &mut Life, second: u64) {
    life.take(second, Event::StopRequested);
    if life.phase() == Phase::Stopping {
        life.go_down(second);
    }
}

#[test]
fn a_run_tells_that_it_is_ready_that_it_will_stop_and_that_it_has() {
    let mut life = ready(&["a"]);
    life.beat(90, IDLE);
    let ready = NoticeKind::Ready { placement: "a".to_owned(), restarts: 0 };
    assert_eq!(kinds(&life), std::slice::from_ref(&ready));
    life.beat(1860, IDLE);
    life.beat(1890, IDLE);
    let soon = NoticeKind::DrainingSoon { reason: StopReason::Idle, ends_at: at(1860 + 180) };
    assert_eq!(kinds(&life), [ready.clone(), soon.clone()]);
    life.beat(2040, IDLE);
    life.go_down(2100);
    let (lasted, billed) = (Seconds(2100), Seconds(2040));
    let (reason, cost, month) = (StopReason::Idle, usd(2040), usd(2040));
    let receipt = NoticeKind::Stopped { reason, lasted, billed, cost, month, failure: None };
    assert_eq!(kinds(&life), [ready, soon, receipt]);
    let told: Vec<_> = life.record.notices.iter().map(|told| (told.sequence, told.run, told.at, told.tries)).collect();
    assert_eq!(told, [(1, 1, at(60), 0), (2, 1, at(1860), 0), (3, 1, at(2100), 0)]);
}

#[test]
fn a_stop_that_is_taken_back_and_announced_again_is_told_again() {
    let mut life = ready(&["a"]);
    life.beat(1860, IDLE);
    life.start(1900);
    assert_eq!(life.phase(), Phase::Ready);
    assert_eq!(kinds(&life).len(), 2, "that it goes on is nothing to be told");
    life.beat(3700, IDLE);
    assert_eq!(life.phase(), Phase::Draining);
    assert_eq!(kinds(&life).len(), 3);
}

#[test]
fn nothing_is_told_where_nobody_wants_to_be() {
    let mut life = Life::of(&["a", "b"]);
    life.workspace.policy.budget.monthly = Some(usd(100));
    life.keep_trying(0, 1);
    life.walk_dry(0);
    life.get_ready(60);
    life.preempt(1000);
    life.walk_dry(1001);
    assert_eq!((life.phase(), kinds(&life), life.record.notices_made), (Phase::Failed, vec![], 0));
}

#[test]
fn a_start_that_was_taken_back_before_it_cost_anything_is_not_told() {
    let mut life = Life::of(&["a"]).told();
    life.start(0);
    stopped(&mut life, 1);
    assert_eq!(kinds(&life), []);
}

#[test]
fn a_start_that_fails_is_told_with_its_failure() {
    let mut life = Life::of(&["a"]).told();
    life.start(0);
    life.ask(1);
    life.fail(2, OperationErrorKind::Quota, &[]);
    let [NoticeKind::Stopped { failure, cost, .. }] = &kinds(&life)[..] else { panic!("{:?}", kinds(&life)) };
    assert_eq!((*failure, cost.0), (Some(FailureCode::Quota), 0));
}

#[test]
fn no_capacity_is_told_once_while_it_goes_on_trying_and_once_when_it_gives_up() {
    let zones = vec!["zone-a".to_owned(), "zone-b".to_owned()];
    let mut life = Life::of(&["a-spot", "b", "a"]).told();
    life.keep_trying(0, 2);
    life.walk_dry(0);
    let goes_on = NoticeKind::NoCapacity { zones: zones.clone(), until: Some(at(120)) };
    assert_eq!(kinds(&life), std::slice::from_ref(&goes_on), "each zone is named once");
    life.walk_dry(30);
    life.walk_dry(90);
    assert_eq!(kinds(&life).len(), 1);
    life.walk_dry(120);
    assert_eq!(life.phase(), Phase::Failed);
    assert_eq!(kinds(&life), [goes_on, NoticeKind::NoCapacity { zones, until: None }]);
}

#[test]
fn a_restart_tells_that_it_is_ready_and_how_many_it_took() {
    let mut life = ready(&["a", "b"]);
    life.preempt(1000);
    life.get_ready(1100);
    let ready = NoticeKind::Ready { placement: "b".to_owned(), restarts: 1 };
    assert_eq!(life.record.notices.last().unwrap().kind, ready);
    assert_eq!(life.record.notices.iter().map(|notice| notice.run).collect::<Vec<_>>(), [1, 1, 2]);
}

fn with_budget(seconds: u64) -> Life {
    let mut life = Life::of(&["a"]).told();
    life.workspace.policy.budget.monthly = Some(usd(seconds));
    life
}

fn steps_told(life: &Life) -> Vec<u8> {
    let told = kinds(life).into_iter().filter_map(|kind| match kind {
        NoticeKind::Budget { percent, .. } => Some(percent),
        _ => None,
    });
    told.collect()
}

#[test]
fn each_step_of_the_budget_is_told_once_in_a_month() {
    let mut life = with_budget(1000);
    life.start(0);
    life.get_ready(0);
    for (second, told) in
        [(799, vec![]), (800, vec![80]), (900, vec![80]), (1000, vec![80, 100]), (1500, vec![80, 100])]
    {
        life.beat(second, crate::fixture::BUSY);
        assert_eq!(steps_told(&life), told, "at second {second}");
    }
    let spent = life.record.notices.iter().find_map(|notice| match notice.kind {
        NoticeKind::Budget { percent: 80, spent, limit } => Some((spent, limit)),
        _ => None,
    });
    assert_eq!(spent, Some((usd(800), usd(1000))));
    let next_month = life.workspace.calendar.month_begin(at(40 * 86_400)).since(at(0)).0;
    life.beat(next_month + 900, crate::fixture::BUSY);
    assert_eq!(steps_told(&life), [80, 100, 80], "anew in the next");
}

#[test]
fn a_leap_past_both_steps_tells_the_second_alone() {
    let mut life = with_budget(1000);
    life.start(0);
    life.get_ready(0);
    life.beat(1200, crate::fixture::BUSY);
    life.beat(1230, crate::fixture::BUSY);
    assert_eq!(steps_told(&life), [100]);
}

#[test]
fn steps_reached_while_nobody_wanted_to_be_told_are_not_told_later() {
    let mut life = with_budget(1000);
    life.workspace.policy.notify = false;
    life.start(0);
    life.get_ready(0);
    life.beat(900, crate::fixture::BUSY);
    life.workspace.policy.notify = true;
    life.beat(930, crate::fixture::BUSY);
    assert_eq!(steps_told(&life), []);
}

#[test]
fn something_new_to_tell_asks_for_the_worker() {
    let mut life = Life::of(&["a"]).told();
    life.start(0);
    life.come_up(30);
    let ready = life.beat(60, crate::fixture::BUSY);
    assert!(ready.nudge && ready.save);
    assert!(!life.beat(90, crate::fixture::BUSY).nudge, "once");
}

#[test]
fn a_notice_is_due_when_it_may_be_sent_and_a_sweep_asks_for_the_worker_then() {
    let mut life = ready(&["a"]);
    stopped(&mut life, 100);
    let (first, second) = (life.record.notices[0].clone(), life.record.notices[1].clone());
    for notice in [&first, &second] {
        assert_eq!(due_at(&life.record, &life.workspace.policy), Some(notice.not_before));
        let taken = life.take(100, Event::NoticeTaken { sequence: notice.sequence });
        assert!(taken.save && !taken.next.notices.contains(notice));
    }
    assert_eq!(due_at(&life.record, &life.workspace.policy), None);
    assert!(!life.take(101, Event::SweepDue).nudge);
    life.take(101, Event::NoticeReturned { notice: second, at_least: Seconds(0) });
    assert_eq!(due_at(&life.record, &life.workspace.policy), Some(at(111)));
    assert!(!life.take(110, Event::SweepDue).nudge && life.take(111, Event::SweepDue).nudge);
}

#[test]
fn a_notice_is_taken_once() {
    let mut life = ready(&["a"]);
    let sequence = life.record.notices[0].sequence;
    assert!(life.take(61, Event::NoticeTaken { sequence }).save);
    assert!(!life.take(62, Event::NoticeTaken { sequence }).save, "whoever comes second is told so");
}

#[test]
fn a_notice_that_is_returned_too_often_is_given_up() {
    let mut life = ready(&["a"]);
    for tries in 1..NOTICE_TRIES_MAX {
        let notice = life.record.notices[0].clone();
        life.take(100, Event::NoticeTaken { sequence: notice.sequence });
        life.take(100, Event::NoticeReturned { notice, at_least: Seconds(7200) });
        let notice = &life.record.notices[0];
        assert_eq!((notice.tries, notice.not_before), (tries, at(100 + 7200)), "no sooner than its receiver asks");
    }
    let notice = life.record.notices[0].clone();
    life.take(100, Event::NoticeTaken { sequence: notice.sequence });
    assert!(!life.take(100, Event::NoticeReturned { notice, at_least: Seconds(0) }).save);
    assert_eq!(kinds(&life), []);
}

/// Runs that begin and end, two notices each.
pub(crate) fn lives(life: &mut Life, runs: u64, from: u64) {
    for run in 0..runs {
        let second = from + run * 1000;
        life.start(second);
        life.get_ready(second + 10);
        stopped(life, second + 500);
    }
}

#[test]
fn of_too_many_the_oldest_are_dropped() {
    let mut life = Life::of(&["a"]).told();
    lives(&mut life, 10, 0);
    let sequences: Vec<u64> = life.record.notices.iter().map(|notice| notice.sequence).collect();
    assert_eq!((sequences.len(), NOTICES_MAX, life.record.notices_made), (16, 16, 20));
    assert_eq!(sequences, (5..=20).collect::<Vec<_>>());
}

#[test]
fn notices_outlive_their_run() {
    let mut life = ready(&["a"]);
    let told = life.record.notices.clone();
    stopped(&mut life, 100);
    life.start(200);
    assert_eq!(life.record.notices[..1], told[..]);
}

#[derive(Clone, Copy, Debug)]
enum What {
    Start,
    Stop,
    Dry,
    Up,
    Beat,
    Preempt,
    Sweep,
    Take,
}

proptest! {
    /// Whatever happens: never too many, each with a number of its own, in order, and none for a moment that is to come.
    #[test]
    fn notices_are_few_and_numbered(
        history in prop::collection::vec((0_u64..900, prop::sample::select(
            &[What::Start, What::Stop, What::Dry, What::Up, What::Beat, What::Preempt, What::Sweep, What::Take][..],
        )), 1..200),
    ) {
        let mut life = Life::of(&["a", "b-spot"]).told();
        life.workspace.policy.budget.monthly = Some(usd(100_000));
        let mut second = 0;
        let mut taken: Vec<u64> = Vec::new();
        for (later, what) in history {
            second += later;
            let before: Vec<Notice> = life.record.notices.clone();
            match (what, life.phase()) {
                (What::Start, _) => drop(life.try_take(second, Event::StartRequested(domain::StartRequest::default()))),
                (What::Stop, _) => stopped(&mut life, second),
                (What::Dry, Phase::Placing) => drop(life.find_dry(second)),
                (What::Up, Phase::Placing) => life.come_up(second),
                (What::Beat, Phase::Booting | Phase::Ready | Phase::Draining) => drop(life.beat(second, IDLE)),
                (What::Preempt, Phase::Booting | Phase::Ready | Phase::Draining) => drop(life.preempt(second)),
                (What::Sweep, _) => drop(life.take(second, Event::SweepDue)),
                (What::Take, _) => if let Some(first) = before.first() {
                    taken.push(first.sequence);
                    life.take(second, Event::NoticeTaken { sequence: first.sequence });
                },
                _ => {}
            }
            if life.phase() == Phase::Stopping {
                let down = life.seen(life.placement(), InstanceStatus::Down);
                life.take(second, Event::OperationDone);
                life.take(second, Event::InstanceSeen(down));
            }
            let notices = &life.record.notices;
            prop_assert!(notices.len() <= NOTICES_MAX);
            prop_assert!(notices.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
            prop_assert!(notices.iter().all(|notice| notice.at <= at(second) && notice.sequence <= life.record.notices_made));
            prop_assert!(notices.iter().all(|notice| !taken.contains(&notice.sequence)), "what was taken comes back by itself");
        }
    }
}
