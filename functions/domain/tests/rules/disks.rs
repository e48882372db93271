//! The data disk: moved only where nothing can run on it, and never taken from a zone that cannot be asked without an
//! admin's word.

use domain::{
    Action, Denied, Event, FailureCode, InstanceStatus, OperationErrorKind, Phase, Seconds, StartRequest, Step,
};

use crate::fixture::{at, start_of, stop_of};
use crate::life::{Life, attach, detach};
use InstanceStatus::{ComingUp, Down, InTransition, Missing, Running, Unreachable};

/// Wanted at `b`; `a` was dry.
fn walking_to_b(placements: &[&str]) -> Life {
    let mut life = Life::of(placements);
    // One look is enough here.
    life.workspace.policy.zone_silence_limit = Seconds(0);
    life.start(0);
    life.find_dry(0);
    assert_eq!(life.placement(), "b");
    life
}

/// Failed because the disk may be held in `zone-a`, which does not answer.
fn zone_gone() -> Life {
    let mut life = walking_to_b(&["a", "b", "c"]);
    let Step::Record(event) = life.step(10, "a", &[("a", Unreachable)]) else { panic!("the disk is not asked for") };
    life.take(10, event);
    assert_eq!(life.phase(), Phase::Failed);
    life
}

fn lost(zone: &str) -> Event {
    Event::ZoneLost { zone: zone.to_owned(), request: StartRequest { is_admin: true, ..StartRequest::default() } }
}

/// Goes on with what the worker sees until it makes a call.
fn first_call(life: &mut Life, from: u64, disk_at: &str, but: &[(&str, InstanceStatus)]) -> Step {
    for second in from..from + 30 {
        match life.step(second, disk_at, but) {
            Step::Record(event) => drop(life.take(second, event)),
            step => return step,
        }
    }
    panic!("no call in 30 looks")
}

#[test]
fn the_disk_moves_only_when_every_other_instance_is_down() {
    let life = walking_to_b(&["a", "b", "c"]);
    for (status, expected) in [
        (Running, Step::Call(stop_of("c"))),
        (ComingUp, Step::Call(stop_of("c"))),
        (InTransition, Step::Wait { until: at(12) }),
        (Down, detach("a")),
        (Missing, detach("a")),
    ] {
        assert_eq!(life.step(10, "a", &[("c", status)]), expected, "{status:?}");
    }
}

#[test]
fn a_holder_elsewhere_is_relieved_first_even_where_the_target_has_the_disk_too() {
    let life = walking_to_b(&["a", "b"]);
    let mut seen = life.look("a", &[]);
    seen[1].has_disk = true;
    assert_eq!(domain::next_step(&life.record, &seen, at(10), &life.workspace), detach("a"));
    seen[0].has_disk = false;
    assert_eq!(domain::next_step(&life.record, &seen, at(10), &life.workspace), Step::Call(start_of("b")));
}

#[test]
fn a_disk_that_nobody_holds_is_attached_without_force() {
    assert_eq!(walking_to_b(&["a", "b"]).step(10, "none", &[]), attach("b"));
}

#[test]
fn a_disk_that_may_be_held_where_nobody_answers_fails_the_start_and_names_the_zone() {
    let life = zone_gone();
    let failure = life.record.failure.unwrap();
    assert_eq!((failure.code, failure.zone.as_deref()), (FailureCode::ZoneGone, Some("zone-a")));
    assert_eq!(failure.detail, "the data disk may be held in zone-a, which does not answer");
}

#[test]
fn a_silent_zone_is_no_hindrance_where_the_disk_is_at_hand() {
    assert_eq!(walking_to_b(&["a", "b"]).step(10, "b", &[("a", Unreachable)]), Step::Call(start_of("b")));
}

#[test]
fn with_an_admins_word_for_that_zone_the_disk_is_taken_by_force() {
    let mut life = zone_gone();
    let decision = life.take(20, lost("zone-a"));
    assert!(decision.save && decision.nudge);
    assert_eq!((life.phase(), life.record.run, life.record.lost_zone.as_deref()), (Phase::Placing, 2, Some("zone-a")));
    let force = Action::ForceAttachDisk { instance: "b".to_owned() };
    assert_eq!(first_call(&mut life, 21, "a", &[("a", Unreachable)]), Step::Call(force));
    // Where the zone answers after all, nothing is forced.
    assert_eq!(life.step(60, "a", &[]), detach("a"));
}

#[test]
fn force_is_used_on_no_zone_but_the_one_that_the_word_is_for() {
    let mut life = zone_gone();
    life.take(20, lost("zone-a"));
    let silent = [("a", Unreachable), ("c", Unreachable)];
    assert_eq!(first_call(&mut life, 21, "a", &silent), Step::Done);
    let failure = life.record.failure.clone().unwrap();
    assert_eq!(
        (life.phase(), failure.code, failure.zone.as_deref()),
        (Phase::Failed, FailureCode::ZoneGone, Some("zone-c"))
    );
}

#[test]
fn a_word_for_another_zone_or_without_need_moves_nothing() {
    let mut life = zone_gone();
    assert_eq!(life.try_take(20, lost("zone-b")), Err(Denied::NothingToMove));
    life.take(21, Event::StopRequested);
    assert_eq!(life.try_take(22, lost("zone-a")), Err(Denied::NothingToMove), "its failure was put away");
    let mut other = Life::of(&["a", "b"]);
    assert_eq!(other.try_take(0, lost("zone-a")), Err(Denied::NothingToMove));
    other.start(1);
    assert_eq!(other.try_take(2, lost("zone-a")), Err(Denied::NothingToMove), "nothing has failed yet");
    other.walk_dry(3);
    assert_eq!(other.phase(), Phase::Failed);
    assert_eq!(other.try_take(4, lost("zone-a")), Err(Denied::NothingToMove), "not for this");
}

#[test]
fn the_word_holds_for_the_run_that_it_began_and_for_its_restarts() {
    let mut life = zone_gone();
    life.take(20, lost("zone-a"));
    while life.placement() != "b" {
        life.fail(21, OperationErrorKind::ZoneDown, &[]);
    }
    life.get_ready(30);
    life.preempt(100);
    assert_eq!((life.phase(), life.record.lost_zone.as_deref()), (Phase::Placing, Some("zone-a")));
    life.take(101, Event::StopRequested);
    assert_eq!((life.phase(), life.record.lost_zone.as_deref()), (Phase::Stopped, None));
}

#[test]
fn an_instance_that_comes_back_from_a_lost_zone_is_stopped() {
    let mut life = zone_gone();
    life.take(20, lost("zone-a"));
    while life.placement() != "b" {
        life.fail(21, OperationErrorKind::ZoneDown, &[]);
    }
    life.get_ready(30);
    assert_eq!(life.step(40, "b", &[("a", Unreachable), ("b", Running)]), Step::Done);
    assert_eq!(life.step(50, "b", &[("a", Running), ("b", Running)]), Step::Call(stop_of("a")));
}

#[test]
fn a_stop_waits_for_a_zone_that_does_not_answer_and_says_when_it_has_waited_in_vain() {
    let mut life = walking_to_b(&["a", "b"]);
    life.take(10, Event::StopRequested);
    assert_eq!(life.step(11, "b", &[("a", Unreachable)]), Step::Wait { until: at(13) });
    let Step::Record(event) = life.step(610, "b", &[("a", Unreachable)]) else { panic!("it waits for ever") };
    life.take(610, event);
    assert_eq!(life.record.failure.as_ref().unwrap().code, FailureCode::StopTimedOut);
}

/// Calls that fail now and then made a zone look gone: the start failed for it, or the disk was taken by force.
#[test]
fn a_zone_that_is_silent_for_a_moment_neither_fails_a_start_nor_loses_the_disk() {
    let mut life = walking_to_b(&["a", "b"]);
    life.workspace.policy.zone_silence_limit = Seconds(60);
    let silent = [("a", Unreachable)];
    assert_eq!(life.step(59, "a", &silent), Step::Wait { until: at(61) });
    assert_eq!(life.step(59, "a", &[]), detach("a"), "it answers again");
    let Step::Record(event) = life.step(60, "a", &silent) else { panic!("it waits for ever") };
    life.take(60, event);
    life.take(70, lost("zone-a"));
    life.find_dry(70);
    assert_eq!(life.step(129, "a", &silent), Step::Wait { until: at(131) }, "nor by force, at once");
}
