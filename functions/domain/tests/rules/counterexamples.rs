//! Found by the models, the simulation, or by reading, in these rules before they were mended, or in rules broken on purpose: each
//! replayed against the real rules, with what is right.

use domain::{
    Denied, Event, FailureCode, InstanceStatus, OperationErrorKind, Outcome, Phase, Reading, Record, Seconds, Step,
    StopReason, decide, next_step,
};

use crate::fixture::{
    BUSY, ID_A, IDLE, accepted, after, announced, at, beat, booting, draining, failed, placing, ready, seen, sight,
    start_of, stop_of, stopped, stopping, take, used, workspace,
};
use crate::life::Life;
use crate::notices::lives;
use InstanceStatus::{ComingUp, Down, Running, Unreachable};
use OperationErrorKind::{StockOut, ZoneDown};

/// `[ByHand, Look, Act, Start, MakeCall, Heartbeat, Arrive]`: a stop is on its way to a machine started by hand when
/// its user presses Start, and the machine speaks. It was taken for the new run's, and the stop hit that.
#[test]
fn a_heartbeat_does_not_claim_a_machine_that_a_stop_is_on_its_way_to() {
    let called = after(&Record::default(), Event::CallIntended(stop_of("a")), at(0));
    let run = after(&called, Event::StartRequested(Default::default()), at(1));
    assert!(run.call.is_some(), "the next run waits for the call");
    let spoken = take(&run, beat(1, BUSY), at(2));
    assert_eq!(spoken.next, run);
    assert!(spoken.nudge);
    let step = next_step(&run, &[seen("a", Running), seen("b", Down)], at(2), &workspace());
    assert_eq!(step, Step::Wait { until: at(40) });
    assert_eq!(after(&run, sight("a", Running), at(2)).phase, Phase::Placing);
}

/// `[…, SaveAnswer, Stop, …, Start, Heartbeat]`: the same for a stop that was accepted and is not over.
#[test]
fn a_sight_does_not_claim_a_machine_whose_stop_is_not_over() {
    let called = after(&Record::default(), Event::CallIntended(stop_of("a")), at(0));
    let accepted = after(&called, Event::CallAccepted { operation: "op".to_owned() }, at(1));
    let run = after(&accepted, Event::StartRequested(Default::default()), at(2));
    assert_eq!(after(&run, sight("a", Running), at(100)), run);
    let over = after(&run, Event::OperationDone, at(101));
    assert_eq!(after(&over, sight("a", Running), at(102)).phase, Phase::Booting);
}

/// An instance keeps its number: word of the preemption of run 1 that comes again in run 2 stopped run 2.
#[test]
fn old_word_of_a_preemption_stops_no_later_run() {
    let told = after(&used(), Event::Preempted { instance_id: ID_A, at: at(150) }, at(150));
    let over = after(&told, sight("a", Down), at(180));
    assert_eq!(over.last_stop.as_ref().unwrap().reason, StopReason::Preempted);
    // The next run has begun on the other placement; its user has it begin once more, on this one.
    let given_up = after(&over, Event::StopRequested, at(190));
    let third = after(&given_up, Event::StartRequested(Default::default()), at(800));
    let second = after(&third, sight("a", Running), at(830));
    let second = after(&second, beat(3, BUSY), at(860));
    let again = after(&second, Event::Preempted { instance_id: ID_A, at: at(900) }, at(900));
    assert_eq!(again.phase, Phase::Ready);
    let step = next_step(&again, &[seen("a", Running), seen("b", Down)], at(901), &workspace());
    assert_eq!(step, Step::Done);
    assert_eq!(after(&again, beat(3, BUSY), at(930)).phase, Phase::Ready);
}

/// `[…, HeartbeatUnknown]` at the end of an announced idle stop, inside the announcement of the hard end: the run was
/// stopped for its hard limit before its hard limit.
#[test]
fn the_hard_limit_does_not_stop_before_its_time() {
    let hard = 12 * 3600;
    let mut record = draining();
    (record.stop_at, record.drain_ends_at) = (Some(at(hard - 300)), Some(at(hard - 100)));
    (record.heard_at, record.idle_heard_at) = (Some(at(hard - 290)), Some(at(hard - 290)));
    let unsure = after(&record, beat(1, Reading::Unknown), at(hard - 100));
    assert_eq!((unsure.phase, unsure.ending), (Phase::Draining, Some(StopReason::HardLimit)));
    assert_eq!(unsure.drain_ends_at, Some(at(hard)));
    assert_eq!(after(&unsure, beat(1, Reading::Unknown), at(hard)).phase, Phase::Stopping);
}

/// `[Tick, Sweep, Tick, Sweep, KeepRunning, Heartbeat, Tick, …]`: Keep running, pressed just before the announcement,
/// counted for nothing, and the announcement came.
#[test]
fn keep_running_pressed_a_moment_too_early_counts() {
    let record = after(&used(), Event::StartRequested(Default::default()), at(1899));
    let idle = after(&record, beat(1, IDLE), at(1900));
    assert_eq!((idle.phase, idle.stop_at), (Phase::Ready, Some(at(1899 + 1800))));
}

/// Another instance's clock ran ahead: the button was not newer than the last activity, and was denied for the wrong
/// reason.
#[test]
fn keep_running_works_while_clocks_differ() {
    let mut record = draining();
    record.last_active.as_mut().unwrap().at = at(1955);
    assert_eq!(after(&record, Event::StartRequested(Default::default()), at(1950)).phase, Phase::Ready);
}

/// `[Start, Look, Act, Act, Stop, MakeCall, Look, Arrive, Tick, Act]`: a worker looked, the late start arrived, and the
/// worker then read the clock: with the time of after, what was seen before looked final. The clock is read first.
#[test]
fn with_the_clock_read_before_the_look_a_late_start_is_waited_for() {
    let stopping = after(&announced(), Event::StopRequested, at(5));
    let down = [seen("a", Down), seen("b", Down)];
    assert_eq!(next_step(&stopping, &down, at(40), &workspace()), Step::Wait { until: at(41) });
    // Read at the end of the limit, before a look that then shows what has arrived.
    let up = [seen("a", ComingUp), seen("b", Down)];
    assert_eq!(next_step(&stopping, &up, at(41), &workspace()), Step::Call(stop_of("a")));
    assert_eq!(after(&stopping, sight("a", Down), at(40)), stopping, "nor does a sight end it sooner");
}

/// `[Start, Look, Act, MakeCall, Look, Act, Stop, Arrive]`, with calls unannounced: the start woke what was stopped.
#[test]
fn a_stop_waits_for_the_start_that_was_announced_before_it() {
    let stopping = after(&announced(), Event::StopRequested, at(2));
    assert_eq!(stopping.phase, Phase::Stopping);
    assert_eq!(
        decide(&stopping, Event::StartRequested(Default::default()), at(3), &workspace()),
        Err(Denied::StillStopping)
    );
    let step = next_step(&stopping, &[seen("a", Down), seen("b", Down)], at(3), &workspace());
    assert_eq!(step, Step::Wait { until: at(41) });
}

/// `[…, Stop, …, Failed, Start, …, Arrive]`, with the call forgotten: the stop of a run that could not be stopped in
/// time hit the next.
#[test]
fn a_run_that_follows_a_stop_that_took_too_long_waits_for_its_call() {
    let called = after(&stopping(), Event::CallIntended(stop_of("a")), at(790));
    let failed = after(&called, Event::SweepDue, at(800));
    assert_eq!(failed.phase, Phase::Failed);
    let second = after(&failed, Event::StartRequested(Default::default()), at(801));
    let step = next_step(&second, &[seen("a", Running), seen("b", Down)], at(802), &workspace());
    assert_eq!(step, Step::Wait { until: at(830) });
}

/// `[Start, …, RunDry, Stop, …, Start, …, Arrive]`, looking at nothing but the target: two machines ran.
#[test]
fn a_new_run_starts_nothing_beside_what_the_last_one_left_up() {
    let second = after(&stopped(), Event::StartRequested(Default::default()), at(300));
    let step = next_step(&second, &[seen("a", Down), seen("b", ComingUp)], at(301), &workspace());
    assert_eq!(step, Step::Call(stop_of("b")));
}

/// `[Tick, Sweep, Tick, Sweep, Heartbeat, KeepRunning, Tick, …]`, with activity in Draining ignored.
#[test]
fn a_person_who_comes_while_the_stop_is_announced_is_not_put_out() {
    let back = after(&draining(), Event::KeepAlive { person_at: Some(at(2079)) }, at(2079));
    assert_eq!(after(&back, Event::SweepDue, at(2080)).phase, Phase::Ready);
}

/// `[Tick × 20, Person, …]`, with nothing announced: activity that was not worth a write was stopped as too old.
#[test]
fn activity_that_went_unwritten_is_older_than_the_limit_when_the_run_stops() {
    let unwritten = take(&used(), Event::KeepAlive { person_at: Some(at(190)) }, at(190));
    assert!(!unwritten.save);
    let draining = after(&used(), beat(1, IDLE), at(1900));
    let earliest_stop = draining.drain_ends_at.unwrap();
    assert!(earliest_stop >= at(190 + 1800), "{earliest_stop:?}");
}

/// `[…, Extend, Person, Tick, Heartbeat]`, with the deadline following the last activity: an extension was taken back.
#[test]
fn activity_does_not_shorten_an_extension() {
    let extended = after(&used(), Event::ExtendRequested { by: domain::Seconds::hours(2) }, at(200));
    assert_eq!(after(&extended, beat(1, BUSY), at(300)).stop_at, Some(at(200 + 7200)));
}

/// `[Tick, Heartbeat, Tick, HeartbeatUnknown, …]`, with unknown taken for idle.
#[test]
fn a_vm_that_does_not_know_has_not_said_that_it_is_idle() {
    let record = after(&ready(), beat(1, Reading::Unknown), at(900));
    assert_eq!((record.idle_heard_at, record.heard_at), (ready().idle_heard_at, ready().heard_at));
}

/// A failed operation of a machine that is up wiped out since when it is billed.
#[test]
fn a_start_that_fails_while_its_machine_is_up_is_billed_all_the_same() {
    let called = after(&booting(), Event::CallIntended(crate::fixture::start_of("a")), at(40));
    let record = after(&called, failed(domain::OperationErrorKind::Transient), at(50));
    assert_eq!(record.billed_since, accepted().billed_since);
}

#[test]
fn a_vm_that_has_spoken_since_its_end_was_announced_is_not_called_silent() {
    let announced = after(&used(), Event::SweepDue, at(1960));
    assert_eq!((announced.ending, announced.drain_ends_at), (Some(StopReason::Silent), Some(at(2080))));
    let still_silent = after(&announced, Event::SweepDue, at(2080));
    assert_eq!((still_silent.phase, still_silent.ending), (Phase::Stopping, Some(StopReason::Silent)));
    let spoke = after(&announced, beat(1, IDLE), at(2050));
    assert_eq!(spoke.phase, Phase::Draining, "it is idle, and its end was announced");
    let stopped = after(&spoke, Event::SweepDue, at(2080));
    assert_eq!((stopped.phase, stopped.ending), (Phase::Stopping, Some(StopReason::Idle)));
}

/// By reading: the stock-out of a start that was given up made its successor dry, which nobody had asked.
#[test]
fn what_becomes_of_a_start_that_was_given_up_is_not_held_against_the_next_placement() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.ask(0);
    life.take(150, Event::AttemptOverdue);
    life.fail(155, StockOut, &[]);
    assert_eq!((life.phase(), life.placement(), life.record.call.clone()), (Phase::Placing, "b", None));
    assert_eq!(life.step(156, "b", &[]), Step::Call(start_of("b")));
}

/// By reading: an operation in a zone that does not answer was followed until the placing limit, and in every run after.
#[test]
fn a_zone_that_falls_silent_while_its_start_is_under_way_holds_nobody_up() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.ask(0);
    assert_eq!(life.step(149, "b", &[("a", Unreachable)]), Step::Wait { until: at(151) }, "it may be up");
    let Step::Record(event) = life.step(150, "b", &[("a", Unreachable)]) else { panic!("it is followed in vain") };
    life.take(150, event);
    assert_eq!(life.step(151, "b", &[("a", Unreachable)]), Step::Call(start_of("b")));
    // It has come up late, and its zone answers again.
    life.take(151, Event::CallIntended(start_of("b")));
    life.take(152, Event::CallAccepted { operation: "start-b".to_owned() });
    life.take(160, Event::OperationDone);
    assert_eq!(life.step(161, "b", &[("a", Running), ("b", Running)]), Step::Call(stop_of("a")));
}

/// By reading: the same call held the workspace up when the run was over.
#[test]
fn a_workspace_whose_start_was_lost_with_its_zone_can_be_put_to_rest() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.ask(0);
    life.take(1, Event::StopRequested);
    assert_eq!(life.step(2, "b", &[("a", Unreachable)]), Step::Wait { until: at(4) });
    life.take(601, Event::SweepDue);
    assert_eq!(life.phase(), Phase::Failed);
    assert_eq!(life.step(602, "b", &[("a", Unreachable)]), Step::Done, "nothing can be done until it answers");
    life.start(603);
    // First the call of the run before is laid aside, then the placement.
    for second in [663, 673] {
        let Step::Record(event) = life.step(second, "b", &[("a", Unreachable)]) else { panic!("followed in vain") };
        life.take(second, event);
    }
    assert_eq!(life.step(674, "b", &[("a", Unreachable)]), Step::Call(start_of("b")));
}

/// By reading: a detach that nobody answered made the placement dry that the disk was to go to.
#[test]
fn the_old_zone_of_the_disk_does_not_speak_for_the_new_one() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.find_dry(0);
    life.take(1, Event::CallIntended(domain::Action::DetachDisk { instance: "a".to_owned() }));
    life.fail(2, ZoneDown, &[]);
    assert_eq!(
        (life.phase(), life.placement(), life.record.walk.tried.clone()),
        (Phase::Placing, "b", vec!["a".into()])
    );
    assert_eq!(life.step(3, "a", &[]), Step::Wait { until: at(12) });
}

/// `[…, RunDryForNow(0), …, Arrive(0), SaveAnswer(0), Look(0, 0), ComeUpLate(0), Tick, Sweep, Look(0, 0), …]`: while the
/// start of the last placement was followed, a machine that had come up late ran on beside it.
#[test]
fn a_machine_that_comes_up_late_is_stopped_while_the_next_is_coming_up() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.find_dry(0);
    life.ask(10);
    let follow = Step::Follow { operation: "start-b".to_owned(), instance: "b".to_owned() };
    assert_eq!(life.step(20, "b", &[("a", Running)]), follow, "nobody knows yet what becomes of b");
    assert_eq!(life.step(21, "b", &[("a", Running), ("b", ComingUp)]), Step::Call(stop_of("a")));
    life.take(21, Event::CallIntended(stop_of("a")));
    life.take(21, Event::CallAccepted { operation: "stop-a".to_owned() });
    life.take(30, Event::OperationDone);
    assert_eq!(life.step(31, "b", &[("b", ComingUp)]), Step::Wait { until: at(33) });
    // If b was dry meanwhile, nobody has been told: it is asked for again.
    assert_eq!(life.step(31, "b", &[]), Step::Call(start_of("b")));
}

/// `[Start, Look, Act, MakeCall, Arrive, Tick, Sweep, …]`: a start whose answer was never saved was no attempt that could be
/// overdue.
#[test]
fn a_start_whose_answer_was_lost_is_given_up_too() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.take(10, Event::CallIntended(start_of("a")));
    assert_eq!(life.step(159, "a", &[("a", ComingUp)]), Step::Wait { until: at(161) });
    assert_eq!(life.step(160, "a", &[("a", ComingUp)]), Step::Record(Event::AttemptOverdue));
    life.take(160, Event::AttemptOverdue);
    assert_eq!((life.placement(), life.outcomes()), ("b", vec![("a", Outcome::TimedOut)]));
    assert_eq!(life.step(161, "a", &[("a", ComingUp)]), Step::Call(stop_of("a")));
}

/// By reading: a machine that came up between two rounds was billed, and left alone until the next round.
#[test]
fn a_machine_that_comes_up_between_two_rounds_is_the_runs() {
    let mut life = Life::of(&["a"]);
    life.keep_trying(0, 60);
    life.walk_dry(0);
    assert_eq!(life.step(10, "a", &[("a", ComingUp)]), Step::Wait { until: at(12) });
    let Step::Record(event) = life.step(12, "a", &[("a", Running)]) else { panic!("it waits beside its machine") };
    life.take(12, event);
    assert_eq!((life.phase(), life.outcomes()), (Phase::Booting, vec![("a", Outcome::Dry), ("a", Outcome::Up)]));
}

/// By reading: seven placements that take Google 99 seconds each ran into the placing limit, the last ones untried.
#[test]
fn a_walk_past_many_dry_placements_may_take_longer_than_any_of_them() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let mut life = Life::of(&names);
    life.start(0);
    for (index, name) in (0_u64..).zip(names) {
        assert_eq!((life.placement(), life.phase()), (name, Phase::Placing));
        life.ask(index * 100);
        life.take(index * 100 + 99, Event::SweepDue);
        assert_eq!(life.phase(), Phase::Placing, "nothing has taken {name} too long");
        life.fail(index * 100 + 99, StockOut, &[]);
    }
    assert_eq!(life.record.failure.as_ref().unwrap().code, FailureCode::StockOut);
}

/// By reading: ComfyUI's first answer wiped out that Google was about to take the machine back.
#[test]
fn a_machine_that_is_told_of_before_its_boot_is_over_is_restarted() {
    let mut booting = Life::of(&["a", "b"]);
    booting.start(0);
    booting.come_up(30);
    booting.tell_preempted(40);
    // ComfyUI answers in the half minute that is left.
    booting.beat(50, BUSY);
    assert_eq!(booting.phase(), Phase::Ready);
    let run = booting.go_down(60).ended.unwrap();
    assert_eq!((run.reason, booting.phase()), (StopReason::Preempted, Phase::Placing));
}

/// By reading: a notice that was put back stood last, so that a newer one was dropped for it.
#[test]
fn a_returned_notice_pushes_no_newer_one_out() {
    let mut life = Life::of(&["a"]).told();
    lives(&mut life, 1, 0);
    let notice = life.record.notices[0].clone();
    life.take(900, Event::NoticeTaken { sequence: notice.sequence });
    lives(&mut life, 8, 1000);
    life.take(9900, Event::NoticeReturned { notice, at_least: Seconds(0) });
    let sequences: Vec<u64> = life.record.notices.iter().map(|notice| notice.sequence).collect();
    assert_eq!(sequences, (3..=18).collect::<Vec<_>>());
}

/// `[Start, Tick, …, Look, Act, MakeCall, Arrive, SaveAnswer, Tick, Sweep, …]`: with an attempt limit of less than a minute
/// no sweep came to give the attempt up.
#[test]
fn a_sweep_looks_when_an_attempt_is_overdue() {
    let mut life = Life::of(&["a", "b"]);
    life.workspace.policy.attempt_limit = Seconds(30);
    life.start(0);
    life.ask(10);
    assert_eq!(domain::due_at(&life.record, &life.workspace.policy), Some(at(40)));
    assert!(life.take(40, Event::SweepDue).nudge);
    let Step::Record(event) = life.step(41, "a", &[("a", ComingUp)]) else { panic!("it is waited for") };
    life.take(41, event);
    assert_eq!(life.placement(), "b");
}

/// Seeds of the simulation: nobody got through for longer than the attempt limit while the machine came up. The reaper,
/// or whoever looked first, walked on by the clock alone, and the machine that ran was stopped.
#[test]
fn a_machine_that_has_come_up_is_not_given_up_because_nobody_has_looked() {
    let late = at(2 + 150);
    assert_eq!(
        after(&accepted(), Event::SweepDue, late).placement.as_deref(),
        Some("a"),
        "the clock alone says nothing"
    );
    let found = next_step(&accepted(), &[seen("a", Running), seen("b", Down)], late, &workspace());
    assert_eq!(found, Step::Record(Event::OperationDone));
    let still_coming = next_step(&accepted(), &[seen("a", ComingUp), seen("b", Down)], late, &workspace());
    assert_eq!(still_coming, Step::Record(Event::AttemptOverdue));
}

/// Seeds of the simulation: the answer to the start was lost, and what ran until somebody looked was billed to nobody.
#[test]
fn a_machine_whose_starts_answer_was_lost_is_billed_from_its_announcement() {
    let found = after(&announced(), sight("a", Running), at(100));
    assert_eq!((found.phase, found.billed_since), (Phase::Booting, Some(at(1))));
    let by_hand = after(&placing(), sight("a", Running), at(100));
    assert_eq!(by_hand.billed_since, Some(at(100)), "nobody knows since when");
}

/// Seeds of the simulation: an attachment was made and its answer lost; made again it was refused, because the disk was
/// attached, to the very instance that it was wanted at. The run failed for it.
#[test]
fn a_disk_that_is_there_already_fails_no_run() {
    let attach = || Event::CallIntended(domain::Action::AttachDisk { instance: "b".to_owned() });
    let dry = after(&accepted(), failed(OperationErrorKind::StockOut), at(20));
    let first = after(&dry, attach(), at(30));
    let refused = after(&first, failed(OperationErrorKind::Refused), at(31));
    assert_eq!(refused.phase, Phase::Failed, "the first of its kind is what it says");
    let again = after(&first, attach(), at(80));
    let told = after(&again, failed(OperationErrorKind::Refused), at(81));
    assert_eq!((told.phase, &told.failure), (Phase::Placing, &None));
    let there = domain::InstanceSeen { has_disk: true, ..seen("b", Down) };
    let elsewhere = domain::InstanceSeen { has_disk: false, ..seen("a", Down) };
    let step = next_step(&told, &[elsewhere, there], at(100), &workspace());
    assert_eq!(step, Step::Call(start_of("b")), "whoever looks sees that it is there");
}
