//! What the worker does next.

use domain::{
    Action, Event, FailureCode, InstanceSeen, InstanceStatus, OperationErrorKind, Record, Step, Timestamp, next_step,
};

use crate::fixture::{
    accepted, after, announced, at, booting, draining, failed, out_of_quota, placing, ready, seen, start_of, stop_of,
    stopped, stopping, take, workspace,
};
use InstanceStatus::{ComingUp, Down, InTransition, Missing, Running};

fn step(record: &Record, a: InstanceStatus, b: InstanceStatus, now: Timestamp) -> Step {
    next_step(record, &[seen("a", a), seen("b", b)], now, &workspace())
}

fn soon(now: u64) -> Step {
    Step::Wait { until: at(now + 2) }
}

#[test]
fn a_run_that_is_placing_starts_its_placement_when_all_is_down() {
    assert_eq!(step(&placing(), Down, Down, at(1)), Step::Call(start_of("a")));
}

#[test]
fn the_disk_is_detached_from_where_it_is_and_attached_where_it_is_wanted_first() {
    let dry = after(&accepted(), failed(OperationErrorKind::StockOut), at(20));
    assert_eq!(step(&dry, Down, Down, at(21)), Step::Call(Action::DetachDisk { instance: "a".to_owned() }));
    let nowhere = |instance: &str| InstanceSeen { has_disk: false, ..seen(instance, Down) };
    let attach = next_step(&dry, &[nowhere("a"), nowhere("b")], at(22), &workspace());
    assert_eq!(attach, Step::Call(Action::AttachDisk { instance: "b".to_owned() }));
    let there = InstanceSeen { has_disk: true, ..seen("b", Down) };
    assert_eq!(next_step(&dry, &[nowhere("a"), there], at(23), &workspace()), Step::Call(start_of("b")));
}

#[test]
fn the_disk_is_not_moved_while_the_machine_that_has_it_is_not_down() {
    let dry = after(&accepted(), failed(OperationErrorKind::StockOut), at(20));
    assert_eq!(step(&dry, InTransition, Down, at(21)), soon(21));
    assert_eq!(step(&dry, Running, Down, at(21)), Step::Call(stop_of("a")));
}

#[test]
fn without_a_disk_nothing_is_moved() {
    let mut workspace = workspace();
    workspace.disk = None;
    let bare = InstanceSeen { has_disk: false, ..seen("a", Down) };
    assert_eq!(next_step(&placing(), &[bare, seen("b", Down)], at(1), &workspace), Step::Call(start_of("a")));
}

#[test]
fn nothing_is_started_beside_a_machine_that_is_up_or_on_its_way() {
    assert_eq!(step(&placing(), Down, Running, at(1)), Step::Call(stop_of("b")));
    assert_eq!(step(&placing(), Down, ComingUp, at(1)), Step::Call(stop_of("b")));
    assert_eq!(step(&placing(), Down, InTransition, at(1)), soon(1));
}

#[test]
fn a_machine_that_runs_already_is_the_runs_and_one_in_between_is_waited_for() {
    let here = Step::Record(Event::InstanceSeen(seen("a", Running)));
    assert_eq!(step(&placing(), Running, Down, at(1)), here);
    assert_eq!(step(&placing(), ComingUp, Down, at(1)), soon(1));
    assert_eq!(step(&placing(), InTransition, Down, at(1)), soon(1));
}

#[test]
fn a_machine_that_runs_without_its_disk_is_stopped_first() {
    let bare = InstanceSeen { has_disk: false, ..seen("a", Running) };
    assert_eq!(next_step(&placing(), &[bare, seen("b", Down)], at(1), &workspace()), Step::Call(stop_of("a")));
}

#[test]
fn an_instance_that_does_not_exist_is_told_by_name() {
    let Step::Record(Event::OperationFailed(error)) = step(&placing(), Missing, Down, at(1)) else {
        panic!("expected a failure")
    };
    assert_eq!(error.kind, OperationErrorKind::NotFound);
    assert_eq!(error.detail, "the declared instance a does not exist");
    let decision = take(&placing(), Event::OperationFailed(error), at(1));
    assert_eq!(decision.next.failure.unwrap().code, FailureCode::NotFound);
}

#[test]
fn an_announced_call_is_waited_for_by_everybody_until_it_can_no_longer_arrive() {
    assert_eq!(step(&announced(), Down, Down, at(40)), Step::Wait { until: at(41) });
    assert_eq!(step(&announced(), Down, Down, at(41)), Step::Call(start_of("a")));
}

#[test]
fn an_accepted_call_is_followed() {
    let follow = Step::Follow { operation: "op-1".to_owned(), instance: "a".to_owned() };
    assert_eq!(step(&accepted(), ComingUp, Down, at(150)), follow);
    let stopping = after(&accepted(), Event::StopRequested, at(5));
    assert_eq!(step(&stopping, Down, Down, at(300)), follow, "it may come up still");
}

#[test]
fn a_stop_overtakes_a_start_that_has_brought_the_machine_up() {
    let stopping = after(&accepted(), Event::StopRequested, at(5));
    assert_eq!(step(&stopping, ComingUp, Down, at(6)), Step::Call(stop_of("a")));
    assert_eq!(step(&stopping, Running, Down, at(6)), Step::Call(stop_of("a")));
}

#[test]
fn a_machine_in_use_is_left_alone() {
    for record in [booting(), ready(), draining()] {
        assert_eq!(step(&record, Running, Down, at(95)), Step::Done);
    }
}

#[test]
fn a_second_machine_beside_one_in_use_is_stopped() {
    for record in [booting(), ready(), draining()] {
        assert_eq!(step(&record, Running, Running, at(95)), Step::Call(stop_of("b")));
    }
}

#[test]
fn a_machine_that_has_gone_is_told_and_one_that_goes_is_waited_for() {
    for record in [booting(), ready(), draining()] {
        assert_eq!(step(&record, Down, Down, at(95)), Step::Record(Event::InstanceSeen(seen("a", Down))));
        assert_eq!(step(&record, Missing, Down, at(95)), Step::Record(Event::InstanceSeen(seen("a", Missing))));
        assert_eq!(step(&record, InTransition, Down, at(95)), soon(95));
    }
}

#[test]
fn phases_past_their_limits_are_settled_by_the_worker_too() {
    let placing = after(&placing(), Event::KeepAlive { person_at: None }, at(1));
    for (record, now) in [(placing, 600), (booting(), 1230), (stopping(), 800)] {
        assert_eq!(step(&record, ComingUp, Down, at(now)), Step::Record(Event::SweepDue), "{:?}", record.phase);
    }
}

#[test]
fn everything_is_brought_down_one_by_one_and_then_the_run_is_over() {
    let record = stopping();
    assert_eq!(step(&record, Running, Running, at(201)), Step::Call(stop_of("a")));
    assert_eq!(step(&record, Down, Running, at(202)), Step::Call(stop_of("b")));
    assert_eq!(step(&record, Down, InTransition, at(203)), soon(203));
    assert_eq!(step(&record, Down, Down, at(204)), Step::Record(Event::InstanceSeen(seen("a", Down))));
}

#[test]
fn a_machine_that_nobody_wants_is_stopped_and_then_there_is_nothing_to_do() {
    for record in [Record::default(), stopped(), out_of_quota()] {
        assert_eq!(step(&record, Running, Down, at(500)), Step::Call(stop_of("a")));
        assert_eq!(step(&record, InTransition, Down, at(500)), soon(500));
        assert_eq!(step(&record, Down, Down, at(500)), Step::Done);
    }
}
