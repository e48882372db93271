//! Start, stop, and what leads from phase to phase.

use domain::{
    BootReport, BootStep, Denied, Event, FailureCode, InstanceStatus, Phase, RunNumber, Step, StopReason, Wish, decide,
    next_step,
};

use crate::fixture::{
    BUSY, ID_A, IDLE, accepted, after, announced, at, beat, boot_report, booting, draining, heartbeat, out_of_quota,
    placing, ready, seen, sight, stopped, stopping, take, told, used, workspace,
};

#[test]
fn a_start_opens_the_first_run_at_the_first_placement_and_asks_the_worker() {
    let decision = take(&domain::Record::default(), Event::StartRequested(Default::default()), at(0));
    let record = decision.next;
    assert_eq!((record.wish, record.phase, record.run), (Wish::Running, Phase::Placing, 1));
    assert_eq!(record.placement.as_deref(), Some("a"));
    assert_eq!(record.hard_stop_at, Some(at(12 * 3600)));
    assert!(decision.save && decision.nudge && decision.ended.is_none());
}

#[test]
fn a_start_repeated_is_the_same_start() {
    for record in [placing(), announced(), accepted(), booting()] {
        let decision = take(&record, Event::StartRequested(Default::default()), at(95));
        assert_eq!(decision.next, record);
        assert!(!decision.save && !decision.nudge);
    }
}

#[test]
fn a_start_while_stopping_is_denied() {
    assert_eq!(
        decide(&stopping(), Event::StartRequested(Default::default()), at(201), &workspace()),
        Err(Denied::StillStopping)
    );
}

#[test]
fn a_start_after_a_failure_is_a_new_run_without_the_failure() {
    let record = after(&out_of_quota(), Event::StartRequested(Default::default()), at(10));
    assert_eq!((record.phase, record.run, record.failure), (Phase::Placing, 2, None));
}

#[test]
fn a_start_in_ready_counts_as_a_person_at_the_button() {
    let record = after(&used(), Event::StartRequested(Default::default()), at(500));
    assert_eq!((record.phase, record.stop_at), (Phase::Ready, Some(at(500 + 1800))));
}

#[test]
fn a_start_in_draining_keeps_it_running_for_another_idle_limit() {
    let record = after(&draining(), Event::StartRequested(Default::default()), at(2000));
    assert_eq!((record.phase, record.ending, record.drain_ends_at), (Phase::Ready, None, None));
    assert_eq!((record.stop_at, record.run), (Some(at(2000 + 1800)), 1));
}

#[test]
fn the_announcement_of_the_hard_end_cannot_be_taken_back() {
    let hard = 12 * 3600;
    let record = after(&used(), Event::SweepDue, at(hard - 180));
    assert_eq!((record.phase, record.ending), (Phase::Draining, Some(StopReason::HardLimit)));
    assert_eq!(
        decide(&record, Event::StartRequested(Default::default()), at(hard - 100), &workspace()),
        Err(Denied::AtHardLimit)
    );
    assert_eq!(after(&record, beat(1, BUSY), at(hard - 60)).phase, Phase::Draining);
    let end = after(&record, Event::SweepDue, at(hard));
    assert_eq!((end.phase, end.ending), (Phase::Stopping, Some(StopReason::HardLimit)));
}

#[test]
fn a_stop_before_anything_was_asked_of_google_is_over_at_once() {
    let decision = take(&placing(), Event::StopRequested, at(1));
    assert_eq!((decision.next.phase, decision.next.wish), (Phase::Stopped, Wish::Stopped));
    let run = decision.ended.unwrap();
    assert_eq!((run.number, run.reason, run.cost.0), (1, StopReason::User, 0));
}

#[test]
fn a_stop_waits_for_the_machine_in_every_other_phase() {
    for record in [announced(), accepted(), booting(), ready(), draining()] {
        let decision = take(&record, Event::StopRequested, at(2000));
        assert_eq!((decision.next.phase, decision.next.wish), (Phase::Stopping, Wish::Stopped), "{:?}", record.phase);
        assert_eq!(decision.next.ending, Some(StopReason::User));
        assert!(decision.save && decision.nudge && decision.ended.is_none());
    }
}

#[test]
fn stopping_twice_asks_for_one_stop() {
    for record in [stopping(), stopped()] {
        let decision = take(&record, Event::StopRequested, at(250));
        assert_eq!(decision.next, record);
        assert!(!decision.save && !decision.nudge);
    }
}

#[test]
fn a_stop_puts_a_failure_away() {
    let record = after(&out_of_quota(), Event::StopRequested, at(10));
    assert_eq!((record.phase, record.failure), (Phase::Stopped, None));
    assert_eq!(record.last_stop.unwrap().reason, StopReason::StartFailed);
}

#[test]
fn the_run_ends_when_its_machine_is_seen_down_and_leaves_a_receipt() {
    let decision = take(&stopping(), sight("a", InstanceStatus::Down), at(3602));
    let (record, run) = (decision.next, decision.ended.unwrap());
    assert_eq!((record.phase, record.wish, record.run, record.stop_at), (Phase::Stopped, Wish::Stopped, 1, None));
    // Billed from the accepted start at second 2: an hour at $0.72.
    assert_eq!((run.billed.0, run.cost.0), (3600, 720_000));
    assert_eq!((run.instance.as_deref(), run.zone.as_deref()), (Some("a"), Some("zone-a")));
    let last = record.last_stop.unwrap();
    assert_eq!((last.run, last.reason, last.signal), (1, StopReason::User, Some(domain::Signal::Person)));
    assert_eq!((last.cost.0, last.lasted.0, record.month.spent.0), (720_000, 3602, 720_000));
}

#[test]
fn a_machine_that_goes_by_itself_ends_the_run_with_that_reason() {
    for record in [booting(), ready(), draining()] {
        let decision = take(&record, sight("a", InstanceStatus::Down), at(2000));
        assert_eq!(decision.ended.unwrap().reason, StopReason::MachineStopped);
        assert_eq!(decision.next.phase, Phase::Stopped);
    }
}

#[test]
fn a_machine_that_goes_at_the_hard_end_went_for_it() {
    let decision = take(&ready(), sight("a", InstanceStatus::Down), at(12 * 3600));
    assert_eq!(decision.ended.unwrap().reason, StopReason::HardLimit);
}

#[test]
fn another_instance_that_is_down_ends_nothing() {
    let record = ready();
    assert_eq!(after(&record, sight("b", InstanceStatus::Down), at(200)), record);
}

#[test]
fn a_preemption_gives_its_reason_when_the_machine_is_seen_down() {
    for record in [booting(), ready(), draining()] {
        let told = take(&record, Event::Preempted { instance_id: ID_A, at: at(1950) }, at(1950));
        assert!(told.nudge && told.save);
        assert_eq!(told.next.phase, record.phase);
        let decision = take(&told.next, sight("a", InstanceStatus::Down), at(1960));
        assert_eq!(decision.ended.unwrap().reason, StopReason::Preempted);
    }
}

#[test]
fn the_preemption_of_another_instance_or_of_no_run_is_no_news() {
    for (record, instance_id) in [(ready(), 7), (stopping(), ID_A), (stopped(), ID_A), (placing(), ID_A)] {
        let decision = take(&record, Event::Preempted { instance_id, at: at(250) }, at(250));
        assert_eq!(decision.next, record);
        assert!(!decision.nudge);
    }
}

#[test]
fn a_preemption_from_before_the_run_is_no_news_though_the_instance_is_the_same() {
    let before = crate::fixture::START - domain::Seconds(1);
    let decision = take(&ready(), Event::Preempted { instance_id: ID_A, at: before }, at(250));
    assert_eq!((decision.next, decision.save, decision.nudge), (ready(), false, false));
    let within = take(&ready(), Event::Preempted { instance_id: ID_A, at: at(0) }, at(250));
    assert_eq!(within.next.ending, Some(StopReason::Preempted));
}

#[test]
fn a_heartbeat_of_another_run_or_instance_is_denied() {
    let wrong_run = |run: RunNumber| decide(&ready(), beat(run, BUSY), at(100), &workspace());
    assert_eq!(wrong_run(2), Err(Denied::WrongRun { current: 1 }));
    assert_eq!(wrong_run(0), Err(Denied::WrongRun { current: 1 }));
    let other = domain::Heartbeat { instance: "b".to_owned(), ..heartbeat(1, BUSY) };
    assert_eq!(decide(&ready(), Event::Heartbeat(other), at(100), &workspace()), Err(Denied::WrongInstance));
    let replaced = domain::Heartbeat { instance_id: 7, ..heartbeat(1, BUSY) };
    assert_eq!(decide(&ready(), Event::Heartbeat(replaced), at(100), &workspace()), Err(Denied::WrongInstance));
}

#[test]
fn a_vm_that_asks_for_its_run_changes_nothing_yet() {
    let asks = |record: &domain::Record| {
        take(record, Event::Heartbeat(domain::Heartbeat { run: None, ..heartbeat(1, BUSY) }), at(40))
    };
    assert_eq!(asks(&booting()).next, booting());
    let while_placing = asks(&accepted());
    assert_eq!(while_placing.next, accepted());
    assert!(while_placing.nudge, "the worker has not seen it yet");
}

#[test]
fn comfyui_answering_makes_the_run_ready_with_the_arrival_limit() {
    let record = ready();
    assert_eq!((record.phase, record.ready_at, record.stop_at), (Phase::Ready, Some(at(90)), Some(at(90 + 900))));
    assert_eq!(record.usual.len(), 2, "placing and booting: {:?}", record.usual);
}

#[test]
fn a_boot_without_comfyui_goes_on() {
    let silent = domain::Heartbeat { comfyui_up: false, ..heartbeat(1, IDLE) };
    assert_eq!(after(&booting(), Event::Heartbeat(silent), at(60)).phase, Phase::Booting);
}

#[test]
fn phases_that_take_too_long_end_the_run_and_say_why() {
    for (record, limit, code) in
        [(accepted(), 1 + 600, FailureCode::PlacingTimedOut), (booting(), 30 + 1200, FailureCode::BootTimedOut)]
    {
        assert_eq!(after(&record, Event::SweepDue, at(limit - 1)).phase, record.phase);
        let late = take(&record, Event::SweepDue, at(limit));
        assert!(late.nudge);
        assert_eq!((late.next.phase, late.next.ending), (Phase::Stopping, Some(StopReason::StartFailed)));
        let settled = after(&late.next, Event::OperationDone, at(limit + 5));
        let down = after(&settled, sight("a", InstanceStatus::Down), at(limit + 40));
        assert_eq!((down.phase, down.failure.unwrap().code), (Phase::Failed, code));
    }
}

#[test]
fn a_boot_that_moves_is_let_go_on_and_one_that_stands_still_is_not() {
    let further = [
        (BootStep::Installing, 40, "PyTorch: 1 GB of 2.6 GB"),
        (BootStep::Installing, 41, "PyTorch: 1 GB of 2.6 GB"),
        (BootStep::Installing, 41, "PyTorch: 2 GB of 2.6 GB"),
        (BootStep::GettingCertificate, 41, "PyTorch: 2 GB of 2.6 GB"),
    ];
    let (mut record, mut now) = (booting(), 30);
    for (step, percent, detail) in further {
        now += 1199;
        record = after(&record, told(1, boot_report(step, percent, detail)), at(now));
        let watched = [seen("a", InstanceStatus::Running), seen("b", InstanceStatus::Down)];
        assert_eq!(after(&record, Event::SweepDue, at(now + 1199)), record, "{step:?} {percent} {detail}");
        assert_eq!(next_step(&record, &watched, at(now + 1199), &workspace()), Step::Done);
        assert_eq!(after(&record, Event::SweepDue, at(now + 1200)).phase, Phase::Stopping);
        assert_eq!(next_step(&record, &watched, at(now + 1200), &workspace()), Step::Record(Event::SweepDue));
    }
    let still = told(1, boot_report(BootStep::GettingCertificate, 30, "PyTorch: 2 GB of 2.6 GB"));
    let still = after(&record, still, at(now + 1199));
    let failed = after(&still, Event::SweepDue, at(now + 1200)).failure.unwrap();
    assert_eq!((failed.code, failed.step), (FailureCode::BootTimedOut, Some(BootStep::GettingCertificate)));
    assert_eq!(failed.detail, "PyTorch: 2 GB of 2.6 GB");
}

#[test]
fn while_comfyui_starts_a_percent_shows_nothing() {
    let waits = |percent| told(1, boot_report(BootStep::StartingComfyui, percent, "Waiting"));
    let record = after(&after(&booting(), waits(70), at(100)), waits(94), at(700));
    assert_eq!(after(&record, Event::SweepDue, at(1299)).phase, Phase::Booting);
    assert_eq!(after(&record, Event::SweepDue, at(1300)).phase, Phase::Stopping);
}

#[test]
fn a_boot_that_moves_for_ever_ends_at_the_hard_end() {
    let hard = 12 * 3600;
    let moves = told(1, boot_report(BootStep::Installing, 41, "still"));
    let record = after(&booting(), moves, at(hard - 1));
    let ended = after(&record, Event::SweepDue, at(hard));
    assert_eq!((ended.phase, ended.ending), (Phase::Stopping, Some(StopReason::HardLimit)));
}

#[test]
fn a_boot_that_says_that_it_has_failed_ends_the_run_at_once() {
    let report = BootReport { failed: true, ..boot_report(BootStep::Installing, 0, "pip: no space left\non device") };
    let far = after(&booting(), told(1, boot_report(BootStep::Installing, 40, "pip")), at(60));
    let decision = take(&far, told(1, report.clone()), at(70));
    assert!(decision.save && decision.nudge, "the machine is to be stopped");
    assert_eq!((decision.next.phase, decision.next.wish), (Phase::Stopping, Wish::Stopped));
    assert_eq!(decision.next.ending, Some(StopReason::StartFailed));
    let down = take(&decision.next, sight("a", InstanceStatus::Down), at(100));
    let failure = down.next.failure.unwrap();
    assert_eq!((down.next.phase, failure.code), (Phase::Failed, FailureCode::BootFailed));
    assert_eq!((failure.step, failure.detail.as_str()), (Some(BootStep::Installing), "pip: no space left\non device"));
    assert_eq!(down.ended.unwrap().failure, Some(FailureCode::BootFailed));

    assert_eq!(decide(&far, told(2, report.clone()), at(70), &workspace()), Err(Denied::WrongRun { current: 1 }));
    for record in [accepted(), ready(), used(), stopping()] {
        assert_eq!(after(&record, told(1, report.clone()), at(210)), record, "{:?}", record.phase);
    }
}

#[test]
fn a_stop_that_takes_too_long_fails_and_keeps_its_reason() {
    assert_eq!(after(&stopping(), Event::SweepDue, at(799)).phase, Phase::Stopping);
    let decision = take(&stopping(), Event::SweepDue, at(800));
    assert_eq!(decision.next.failure.unwrap().code, FailureCode::StopTimedOut);
    assert_eq!((decision.next.phase, decision.ended.unwrap().reason), (Phase::Failed, StopReason::User));
}

#[test]
fn a_sweep_asks_the_worker_wherever_a_nudge_may_have_been_lost() {
    for record in [placing(), accepted(), booting(), stopping()] {
        assert!(take(&record, Event::SweepDue, at(210)).nudge, "{:?}", record.phase);
    }
    for record in [ready(), stopped()] {
        assert!(!take(&record, Event::SweepDue, at(250)).nudge, "{:?}", record.phase);
    }
}

#[test]
fn heartbeats_and_tabs_change_nothing_once_the_run_is_on_its_way_out() {
    for record in [stopping(), stopped()] {
        for event in [beat(1, BUSY), beat(1, IDLE), Event::KeepAlive { person_at: Some(at(250)) }] {
            let decision = take(&record, event, at(250));
            assert_eq!(decision.next, record);
            assert!(!decision.save && !decision.nudge);
        }
    }
}
