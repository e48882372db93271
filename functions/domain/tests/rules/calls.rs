//! What calls leave in the record.

use domain::{Event, FailureCode, InstanceStatus, OperationErrorKind, Phase, Record, StopReason};

use crate::fixture::{
    accepted, after, announced, at, booting, failed, placing, ready, sight, start_of, stop_of, stopped, stopping, take,
};

#[test]
fn an_announced_call_stands_for_its_limit_and_the_skew_of_clocks() {
    let call = announced().call.unwrap();
    assert_eq!((call.action, call.sequence, call.operation), (start_of("a"), 1, None));
    assert_eq!((call.announced_at, call.until), (at(1), at(1 + 30 + 10)));
}

#[test]
fn calls_of_a_run_are_numbered_from_one() {
    let second = after(&announced(), Event::CallIntended(start_of("a")), at(60));
    assert_eq!(second.call.unwrap().sequence, 2);
    let next_run = after(&stopped(), Event::StartRequested(Default::default()), at(300));
    assert_eq!(after(&next_run, Event::CallIntended(start_of("a")), at(301)).call.unwrap().sequence, 1);
}

#[test]
fn an_accepted_start_is_billed_from_then_on() {
    let record = accepted();
    assert_eq!(record.call.as_ref().unwrap().operation.as_deref(), Some("op-1"));
    assert_eq!(record.billed_since, Some(at(2)));
}

#[test]
fn an_answer_to_no_call_is_no_answer() {
    let record = placing();
    assert_eq!(after(&record, Event::CallAccepted { operation: "op-9".to_owned() }, at(5)), record);
}

#[test]
fn an_operation_that_went_well_leaves_nothing() {
    assert_eq!(after(&accepted(), Event::OperationDone, at(20)).call, None);
}

#[test]
fn a_dry_placement_gives_way_to_the_next_and_the_last_one_to_a_failure_with_a_retry() {
    let next = take(&accepted(), failed(OperationErrorKind::StockOut), at(20));
    assert_eq!((next.next.phase, next.next.placement.as_deref()), (Phase::Placing, Some("b")));
    assert_eq!((next.next.walk.tried.as_slice(), next.next.billed_since), (["a".to_owned()].as_slice(), None));
    assert_eq!(next.next.call, None);
    let tried = after(&next.next, Event::CallIntended(start_of("b")), at(21));
    let all_dry = take(&tried, failed(OperationErrorKind::StockOut), at(40));
    let failure = all_dry.next.failure.unwrap();
    assert_eq!((failure.code, failure.retry_at), (FailureCode::StockOut, Some(at(40 + 300))));
    assert_eq!((failure.zone.as_deref(), failure.detail.as_str()), (Some("zone-b"), "Google's words"));
    assert_eq!((all_dry.next.phase, all_dry.ended.unwrap().reason), (Phase::Failed, StopReason::StartFailed));
}

#[test]
fn what_another_placement_would_not_help_fails_at_once() {
    for (kind, code) in [
        (OperationErrorKind::Quota, FailureCode::Quota),
        (OperationErrorKind::Permission, FailureCode::Permission),
        (OperationErrorKind::NotFound, FailureCode::NotFound),
        (OperationErrorKind::Refused, FailureCode::Refused),
    ] {
        let decision = take(&accepted(), failed(kind), at(20));
        assert_eq!((decision.next.phase, decision.next.failure.unwrap().code), (Phase::Failed, code));
        let run = decision.ended.unwrap();
        assert_eq!((run.failure, run.cost.0), (Some(code), 0), "nothing came up, nothing is billed");
    }
}

#[test]
fn what_passes_is_tried_again_at_the_same_placement_a_little_later() {
    let record = after(&accepted(), failed(OperationErrorKind::Transient), at(20));
    assert_eq!((record.phase, record.placement.as_deref()), (Phase::Placing, Some("a")));
    let standing = record.call.unwrap();
    assert_eq!((standing.operation, standing.until), (None, at(30)));
}

#[test]
fn a_stop_that_was_refused_is_tried_again_a_little_later() {
    let called = after(&stopping(), Event::CallIntended(stop_of("a")), at(201));
    let record = after(&called, failed(OperationErrorKind::Permission), at(202));
    assert_eq!((record.phase, record.call.unwrap().until), (Phase::Stopping, at(212)));
}

#[test]
fn a_start_that_fails_once_nobody_waits_for_it_leaves_nothing_to_wait_for() {
    let stopping = after(&accepted(), Event::StopRequested, at(10));
    let record = after(&stopping, failed(OperationErrorKind::StockOut), at(20));
    assert_eq!((record.phase, record.call, record.billed_since), (Phase::Stopping, None, None));
}

#[test]
fn an_operation_that_fails_beside_a_machine_that_is_up_costs_it_nothing() {
    let called = after(&ready(), Event::CallIntended(stop_of("b")), at(100));
    let record = after(&called, failed(OperationErrorKind::Quota), at(110));
    assert_eq!((record.phase, record.billed_since), (Phase::Ready, Some(at(2))));
}

#[test]
fn a_declared_instance_that_does_not_exist_fails_the_run() {
    // The worker tells this of what it has seen; the call of the run before has long expired.
    let mut record = after(&stopped(), Event::CallIntended(stop_of("b")), at(250));
    record = after(&record, Event::StartRequested(Default::default()), at(251));
    let decision = take(&record, failed(OperationErrorKind::NotFound), at(300));
    assert_eq!((decision.next.phase, decision.next.failure.unwrap().code), (Phase::Failed, FailureCode::NotFound));
}

#[test]
fn the_failed_stop_of_the_run_before_fails_no_run() {
    let called = after(&stopped(), Event::CallIntended(stop_of("b")), at(250));
    let next_run = after(&called, Event::StartRequested(Default::default()), at(251));
    let record = after(&next_run, failed(OperationErrorKind::Permission), at(255));
    assert_eq!((record.phase, record.run, record.failure), (Phase::Placing, 2, None));
}

#[test]
fn a_call_that_may_still_arrive_outlives_its_run_and_is_forgotten_after() {
    let dead = after(&booting(), Event::CallIntended(stop_of("b")), at(40));
    let over: Record = after(&dead, sight("a", InstanceStatus::Down), at(45));
    assert_eq!((over.phase, over.call.is_some()), (Phase::Stopped, true));
    let early = after(&over, sight("a", InstanceStatus::Down), at(79));
    assert!(early.call.is_some());
    let late = take(&over, sight("a", InstanceStatus::Down), at(80));
    assert!(late.save && late.next.call.is_none());
}
