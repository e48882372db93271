//! What a run leaves behind: how long it was in each phase, what it cost, and by which price list.

use domain::{
    Calendar, Decision, Event, InstanceStatus, MicroUsd, OperationErrorKind, PhaseTimes, Price, Reading, Record, Run,
    Seconds, Signal, Timestamp, Workspace, decide,
};
use proptest::prelude::*;

use crate::fixture::{
    BUSY, IDLE, START, accepted, after, at, beat, booting, draining, failed, ready, sight, start_of, stop_of, stopping,
    take, used, workspace,
};

fn down(record: &Record, second: u64) -> Run {
    take(record, sight("a", InstanceStatus::Down), at(second)).ended.unwrap()
}

#[test]
fn a_receipt_tells_the_seconds_in_each_phase() {
    // Placing to 30, booting to 90, ready to 1900, draining to 1950, ready to 4000, stopping to 4044.
    let resumed = after(&draining(), beat(1, BUSY), at(1950));
    let stopping = after(&resumed, Event::StopRequested, at(4000));
    let run = down(&stopping, 4044);
    let expected = PhaseTimes {
        placing: Seconds(30),
        booting: Seconds(60),
        ready: Seconds(1810 + 2050),
        draining: Seconds(50),
        stopping: Seconds(44),
    };
    assert_eq!((run.in_phases, run.in_phases.total()), (expected, Seconds(4044)));
}

#[test]
fn a_run_that_ends_without_stopping_has_been_where_it_was_to_its_last_moment() {
    let run = down(&ready(), 5000);
    let expected =
        PhaseTimes { placing: Seconds(30), booting: Seconds(60), ready: Seconds(4910), ..PhaseTimes::default() };
    assert_eq!(run.in_phases, expected);
}

#[test]
fn the_next_run_begins_its_seconds_anew() {
    let stopped = after(&stopping(), sight("a", InstanceStatus::Down), at(240));
    assert_eq!(stopped.in_phases, PhaseTimes::default());
    let again = after(&stopped, Event::StartRequested(Default::default()), at(100_000));
    let ended = take(&again, Event::StopRequested, at(100_007)).ended.unwrap();
    assert_eq!(ended.in_phases, PhaseTimes { placing: Seconds(7), ..PhaseTimes::default() });
}

#[test]
fn a_run_from_before_its_phases_were_reckoned_adds_up_all_the_same() {
    let record = Record { in_phases: PhaseTimes::default(), ..stopping() };
    assert_eq!(down(&record, 240).in_phases, PhaseTimes { stopping: Seconds(240), ..PhaseTimes::default() });
}

fn dated(usd_per_hour: u64, date: &str) -> Workspace {
    let mut workspace = workspace();
    for placement in &mut workspace.placements {
        placement.usd_per_hour = MicroUsd(usd_per_hour);
        placement.price_date = Some(date.to_owned());
    }
    workspace
}

fn decided(record: &Record, event: Event, now: Timestamp, workspace: &Workspace) -> Decision {
    decide(record, event, now, workspace).unwrap()
}

#[test]
fn a_receipt_keeps_the_price_and_its_day() {
    let (spring, autumn) = (dated(720_000, "2026-03-01"), dated(800_000, "2026-09-01"));
    let billed = decided(&accepted(), Event::CallAccepted { operation: "op".into() }, at(2), &spring).next;
    assert_eq!(billed.price, Some(Price { per_hour: MicroUsd(720_000), date: Some("2026-03-01".to_owned()) }));
    // A new price is declared while it runs: this run costs what it was started for, in the view and on its receipt.
    let done = decided(&billed, Event::OperationDone, at(29), &autumn).next;
    let booting = decided(&done, sight("a", InstanceStatus::Running), at(30), &autumn).next;
    assert_eq!(booting.run_cost(at(3602), &autumn), booting.run_cost(at(3602), &spring));
    let over = decided(&booting, sight("a", InstanceStatus::Down), at(3602), &autumn);
    let run = over.ended.unwrap();
    assert_eq!((run.cost, run.price), (MicroUsd(720_000), billed.price));
    assert_eq!(over.next.month.spent, MicroUsd(720_000));
    assert_eq!(over.next.price, None, "the next run is reckoned at what is declared then");
}

#[test]
fn a_machine_found_running_is_billed_from_then_at_the_price_of_then() {
    let placing = after(&Record::default(), Event::StartRequested(Default::default()), at(0));
    let record = decided(&placing, sight("a", InstanceStatus::Running), at(5), &dated(900_000, "2026-07-30")).next;
    assert_eq!((record.billed_since, record.price.map(|price| price.per_hour)), (Some(at(5)), Some(MicroUsd(900_000))));
}

#[test]
fn a_placement_that_is_declared_no_more_goes_on_costing_what_it_did() {
    let mut without = workspace();
    without.placements.remove(0);
    assert_eq!(used().run_cost(at(3602), &without), MicroUsd(720_000));
    let over = decided(&used(), sight("a", InstanceStatus::Down), at(3602), &without);
    assert_eq!(over.ended.unwrap().cost, MicroUsd(720_000));
    // Of a record from before prices were kept, nobody knows any more.
    let unknown = Record { price: None, ..used() };
    assert_eq!(unknown.run_cost(at(3602), &without), MicroUsd(0));
    assert_eq!(unknown.run_cost(at(3602), &workspace()), MicroUsd(720_000));
}

#[test]
fn the_next_placement_has_its_own_price() {
    let mut workspace = workspace();
    workspace.placements[1].usd_per_hour = MicroUsd(300_000);
    let dry = decided(&accepted(), failed(OperationErrorKind::StockOut), at(60), &workspace).next;
    assert_eq!((dry.billed_since, &dry.price), (None, &None));
    let announced = decided(&dry, Event::CallIntended(start_of("b")), at(61), &workspace).next;
    let billed = decided(&announced, Event::CallAccepted { operation: "op-2".into() }, at(62), &workspace).next;
    assert_eq!(billed.run_cost(at(3662), &workspace), MicroUsd(300_000));
}

#[test]
fn a_run_kept_alive_by_jobs_was_never_idle() {
    let mut record = ready();
    for second in (120..20_000).step_by(30) {
        let decision = take(&record, beat(1, BUSY), at(second));
        assert_eq!(decision.next.idle_cost(at(second), &workspace()), MicroUsd(0));
        if decision.save {
            record = decision.next;
        }
        assert_eq!(record.idle_cost(at(second + 29), &workspace()), MicroUsd(0), "what went unwritten was no idleness");
    }
    let stopping = after(&record, Event::StopRequested, at(20_000));
    let run = down(&stopping, 20_040);
    assert_eq!((run.signal, run.idle_cost), (Some(Signal::Queue), MicroUsd(0)));
}

#[test]
fn what_was_idle_between_two_jobs_and_after_the_last_is_told() {
    // Busy from 120 to 600, idle to 1800, busy to 2400, idle until the machine is down at 4440.
    let mut record = ready();
    for second in (120..=2400).step_by(30) {
        let reading = if (601..1800).contains(&second) { IDLE } else { BUSY };
        record = after(&record, beat(1, reading), at(second));
    }
    assert_eq!(record.idle, Seconds(1200));
    let over = after(&record, beat(1, IDLE), at(4200));
    let stopping = after(&over, beat(1, IDLE), at(4380));
    let run = down(&stopping, 4440);
    assert_eq!(run.idle_cost, MicroUsd(720_000).for_time(Seconds(1200 + 2040)));
}

#[test]
fn a_run_that_nobody_opened_was_idle_from_ready_to_down() {
    let draining = after(&ready(), beat(1, IDLE), at(990));
    let stopping = after(&draining, beat(1, IDLE), at(1170));
    let run = down(&stopping, 1200);
    assert_eq!(run.idle_cost, MicroUsd(720_000).for_time(Seconds(1200 - 90)));
    assert!(run.idle_cost < run.cost, "it was coming up before");
}

#[test]
fn a_run_that_was_never_ready_was_not_idle() {
    assert_eq!(down(&booting(), 3000).idle_cost, MicroUsd(0));
}

/// A year of months that begin eight hours after UTC's, from 2026-11 on.
fn in_the_west() -> Workspace {
    const HOURS: [u64; 6] = [0, 720, 1464, 2208, 2880, 3624];
    let november = Timestamp::from_seconds(1_793_491_200) + Seconds::hours(8);
    let begins = HOURS.iter().map(|hours| november + Seconds::hours(*hours)).collect();
    Workspace { calendar: Calendar::new("the west", begins), ..workspace() }
}

#[test]
fn a_month_turns_where_the_owner_lives() {
    let workspace = in_the_west();
    // START is 22 November, 18:00 UTC; the month turns there at 08:00 UTC of 1 December.
    let turns = 8 * 86_400 + 14 * 3600;
    let placing =
        decided(&Record::default(), Event::StartRequested(Default::default()), at(turns - 7200), &workspace).next;
    let up = decided(&placing, sight("a", InstanceStatus::Running), at(turns - 3600), &workspace).next;
    assert_eq!(up.month_cost(at(turns - 1), &workspace).spent, MicroUsd(720_000).for_time(Seconds(3599)));
    assert_eq!(up.month_cost(at(turns), &workspace).spent, MicroUsd(0));
    let over = decided(&up, sight("a", InstanceStatus::Down), at(turns + 1800), &workspace).next;
    assert_eq!((over.month.begins, over.month.spent), (at(turns), MicroUsd(360_000)));
    assert_eq!(over.last_stop.unwrap().cost, MicroUsd(1_080_000));
}

/// Anything that may happen to a workspace, at any moment.
#[derive(Clone, Copy, Debug)]
enum What {
    Start,
    Stop,
    Extend,
    Person,
    Beat(Reading),
    Sight(InstanceStatus),
    Intend { start: bool },
    Accept,
    Done,
    Fail(OperationErrorKind),
    Preempt,
    Sweep,
}

impl What {
    fn event(self, run: u64, now: Timestamp) -> Event {
        match self {
            Self::Start => Event::StartRequested(Default::default()),
            Self::Stop => Event::StopRequested,
            Self::Extend => Event::ExtendRequested { by: Seconds::hours(1) },
            Self::Person => Event::KeepAlive { person_at: Some(now) },
            Self::Beat(reading) => beat(run, reading),
            Self::Sight(status) => sight("a", status),
            Self::Intend { start: true } => Event::CallIntended(start_of("a")),
            Self::Intend { start: false } => Event::CallIntended(stop_of("a")),
            Self::Accept => Event::CallAccepted { operation: "op".to_owned() },
            Self::Done => Event::OperationDone,
            Self::Fail(kind) => failed(kind),
            Self::Preempt => Event::Preempted { instance_id: crate::fixture::ID_A, at: now },
            Self::Sweep => Event::SweepDue,
        }
    }
}

fn what() -> impl Strategy<Value = What> {
    use InstanceStatus::{Down, Running};
    prop_oneof![
        3 => Just(What::Start),
        1 => Just(What::Stop),
        1 => Just(What::Extend),
        1 => Just(What::Person),
        3 => prop_oneof![Just(IDLE), Just(BUSY), Just(Reading::Unknown)].prop_map(What::Beat),
        3 => Just(What::Sight(Running)),
        1 => Just(What::Sight(Down)),
        1 => any::<bool>().prop_map(|start| What::Intend { start }),
        1 => Just(What::Accept),
        2 => Just(What::Done),
        1 => prop_oneof![Just(OperationErrorKind::Quota), Just(OperationErrorKind::Transient)].prop_map(What::Fail),
        1 => Just(What::Preempt),
        4 => Just(What::Sweep),
    ]
}

proptest! {
    #[test]
    fn the_parts_of_a_receipt_add_up_whatever_happens_and_whatever_clocks_say(
        history in prop::collection::vec((what(), prop_oneof![4 => 0_i64..2_000_000, 1 => -20_000_i64..0]), 1..80),
    ) {
        let workspace = in_the_west();
        let (mut record, mut now) = (Record::default(), START);
        for (what, later) in history {
            now = Timestamp::from_millis(now.millis() + later);
            let Ok(decision) = decide(&record, what.event(record.run, now), now, &workspace) else { continue };
            if let Some(run) = &decision.ended {
                prop_assert_eq!(run.in_phases.total(), run.ended_at.since(run.started_at));
                prop_assert_eq!(Some(run.in_phases.total()), decision.next.last_stop.as_ref().map(|stop| stop.lasted));
                prop_assert!(run.idle_cost <= run.cost);
                prop_assert_eq!(run.cost, MicroUsd(720_000).for_time(run.billed));
                prop_assert_eq!(decision.next.in_phases, PhaseTimes::default());
            }
            if decision.save {
                record = decision.next;
            }
            prop_assert!(record.idle_cost(now, &workspace) <= record.run_cost(now, &workspace));
        }
    }
}
