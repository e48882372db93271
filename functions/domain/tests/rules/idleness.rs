//! What keeps a run alive, and what does not.

use domain::{
    Activity, Denied, Event, Heartbeat, Phase, Reading, Record, Seconds, Signal, StopReason, decide, due_at,
    write_threshold,
};

use crate::fixture::{
    BUSY, IDLE, after, at, beat, booting, draining, heartbeat, placing, ready, take, used, workspace,
};

#[test]
fn a_job_in_the_queue_keeps_the_machine_alive_and_says_so() {
    let record = after(&used(), beat(1, BUSY), at(1000));
    assert_eq!(record.stop_at, Some(at(1000 + 1800)));
    assert_eq!(record.last_active, Some(Activity { at: at(1000), signal: Signal::Queue }));
}

#[test]
fn a_person_in_the_page_keeps_the_machine_alive() {
    assert_eq!(used().stop_at, Some(at(100 + 1800)));
    assert_eq!(used().last_active, Some(Activity { at: at(100), signal: Signal::Person }));
}

#[test]
fn an_open_and_forgotten_tab_is_nothing() {
    for record in [placing(), booting(), used(), draining()] {
        let decision = take(&record, Event::KeepAlive { person_at: None }, at(1950));
        assert_eq!(decision.next, record);
        assert!(!decision.save && !decision.nudge);
    }
}

#[test]
fn what_the_vm_saw_earlier_counts_from_then() {
    let last = Some(Activity { at: at(700), signal: Signal::Traffic });
    let record = after(&used(), beat(1, Reading::Idle { last }), at(1000));
    assert_eq!(record.stop_at, Some(at(700 + 1800)));
}

#[test]
fn activity_of_the_future_counts_from_now() {
    let record = after(&used(), Event::KeepAlive { person_at: Some(at(90_000)) }, at(1000));
    assert_eq!(record.last_active.unwrap().at, at(1000));
}

#[test]
fn activity_from_before_the_run_is_not_the_runs() {
    let before = crate::fixture::START - Seconds(1);
    let record = after(&used(), Event::KeepAlive { person_at: Some(before) }, at(1000));
    assert_eq!(record, used());
}

#[test]
fn an_idle_run_is_announced_and_then_stopped() {
    assert_eq!(after(&used(), beat(1, IDLE), at(1899)).phase, Phase::Ready);
    let record = draining();
    assert_eq!((record.ending, record.drain_ends_at), (Some(StopReason::Idle), Some(at(1900 + 180))));
    let still = after(&record, beat(1, IDLE), at(2079));
    assert_eq!(still.phase, Phase::Draining);
    let decision = take(&still, beat(1, IDLE), at(2080));
    assert_eq!((decision.next.phase, decision.next.ending), (Phase::Stopping, Some(StopReason::Idle)));
    assert!(decision.save && decision.nudge);
}

#[test]
fn a_run_that_nobody_came_to_ends_after_the_arrival_limit() {
    let record = after(&ready(), beat(1, IDLE), at(990));
    assert_eq!((record.phase, record.ending), (Phase::Draining, Some(StopReason::NeverOpened)));
}

#[test]
fn somebody_who_waited_for_the_boot_and_left_never_came() {
    let watched = after(&booting(), Event::KeepAlive { person_at: Some(at(60)) }, at(60));
    let ready = after(&watched, beat(1, IDLE), at(90));
    assert_eq!(ready.stop_at, Some(at(60 + 1800)));
    let record = after(&ready, beat(1, IDLE), at(1860));
    assert_eq!(record.ending, Some(StopReason::NeverOpened));
}

#[test]
fn any_activity_takes_an_announced_stop_back() {
    for event in [beat(1, BUSY), Event::KeepAlive { person_at: Some(at(2000)) }] {
        let record = after(&draining(), event, at(2000));
        assert_eq!((record.phase, record.ending, record.stop_at), (Phase::Ready, None, Some(at(2000 + 1800))));
    }
}

#[test]
fn activity_that_is_too_old_takes_nothing_back() {
    let last = Some(Activity { at: at(101), signal: Signal::Queue });
    assert_eq!(after(&draining(), beat(1, Reading::Idle { last }), at(1950)).phase, Phase::Draining);
}

#[test]
fn a_vm_that_does_not_know_is_presumed_busy_until_the_silence_limit() {
    // Heard at second 90, and worth a write only then: the limit runs from there, with what may have gone unwritten.
    let quiet = ready();
    let silent_from = 90 + 600 + write_threshold(&workspace().policy).0;
    assert!(silent_from < 990, "the arrival limit is the later one here");
    let known = after(&quiet, beat(1, IDLE), at(900));
    let unknown = after(&known, beat(1, Reading::Unknown), at(1000));
    assert_eq!(unknown.phase, Phase::Ready, "heard idle too long ago, and not silent yet");
    let silent = after(&unknown, Event::SweepDue, at(900 + 600 + 90));
    assert_eq!((silent.phase, silent.ending), (Phase::Draining, Some(StopReason::Silent)));
    let stopped = after(&silent, Event::SweepDue, at(900 + 600 + 90 + 180));
    assert_eq!((stopped.phase, stopped.ending), (Phase::Stopping, Some(StopReason::Silent)));
}

#[test]
fn an_announced_stop_waits_while_the_vm_does_not_know() {
    let record = after(&draining(), beat(1, Reading::Unknown), at(2070));
    assert_eq!(after(&record, Event::SweepDue, at(2080)).phase, Phase::Draining);
    let silent = 1900 + 600 + 90;
    let end = after(&record, Event::SweepDue, at(silent));
    assert_eq!((end.phase, end.ending), (Phase::Stopping, Some(StopReason::Idle)));
}

#[test]
fn a_silent_vm_is_looked_at_before_anything_is_decided() {
    let record = used();
    let silent = at(90 + 600 + 90);
    assert_eq!(due_at(&record, &workspace().policy), Some(silent));
    let decision = take(&record, Event::SweepDue, silent);
    assert!(decision.nudge && !decision.save);
    assert_eq!(decision.next.phase, Phase::Ready);
}

#[test]
fn a_sweep_that_comes_late_shortens_the_announcement_to_half_at_most() {
    // Silent since second 780, idle since 1900: both hold from 1900 on.
    let a_minute_late = after(&used(), Event::SweepDue, at(1960));
    assert_eq!((a_minute_late.ending, a_minute_late.drain_ends_at), (Some(StopReason::Silent), Some(at(2080))));
    let much_later = after(&used(), Event::SweepDue, at(3000));
    assert_eq!(much_later.drain_ends_at, Some(at(3090)));
}

#[test]
fn an_extension_pauses_idleness_up_to_the_hard_end() {
    let hour = |hours| Event::ExtendRequested { by: Seconds::hours(hours) };
    assert_eq!(after(&used(), hour(2), at(1000)).stop_at, Some(at(1000 + 7200)));
    assert_eq!(after(&used(), hour(12), at(1000)).stop_at, Some(at(12 * 3600)));
    let resumed = after(&draining(), hour(1), at(2000));
    assert_eq!((resumed.phase, resumed.stop_at), (Phase::Ready, Some(at(2000 + 3600))));
}

#[test]
fn an_extension_that_cannot_be_is_denied_with_its_reason() {
    let extend = |record: &Record, seconds, now| {
        decide(record, Event::ExtendRequested { by: Seconds(seconds) }, at(now), &workspace()).unwrap_err()
    };
    assert_eq!(extend(&booting(), 3600, 60), Denied::NotReady);
    assert_eq!(extend(&used(), 59, 200), Denied::ExtensionOutOfBounds);
    assert_eq!(extend(&used(), 12 * 3600 + 1, 200), Denied::ExtensionOutOfBounds);
    let paused = after(&used(), Event::ExtendRequested { by: Seconds::hours(12) }, at(200));
    assert_eq!(extend(&paused, 3600, 300), Denied::AtHardLimit);
}

#[test]
fn a_heartbeat_that_says_nothing_new_is_not_worth_a_write() {
    let record = used();
    assert!(!take(&record, beat(1, IDLE), at(130)).save);
    assert!(take(&record, beat(1, IDLE), at(90 + 91)).save, "heard more than a threshold ago");
    assert!(take(&record, beat(1, IDLE), at(1800)).save, "a decision is near");
}

#[test]
fn activity_is_written_when_it_moves_the_deadline_by_more_than_the_threshold() {
    let person = |seconds| Event::KeepAlive { person_at: Some(at(seconds)) };
    assert!(!take(&used(), person(190), at(190)).save);
    assert!(take(&used(), person(191), at(191)).save);
}

#[test]
fn a_person_and_their_traffic_in_turn_are_not_worth_a_write_each() {
    let traffic = Reading::Idle { last: Some(Activity { at: at(150), signal: Signal::Traffic }) };
    let next = take(&used(), beat(1, traffic), at(155));
    assert!(!next.save, "another signal, and hardly later");
    let working = take(&used(), beat(1, Reading::Busy(Signal::Queue)), at(155));
    assert!(working.save, "what it is working on is told at once");
}

#[test]
fn boots_tell_how_far_they_are_and_never_go_back() {
    let report = |step, percent| {
        let boot = Some(domain::BootReport { step, percent, detail: "…".to_owned(), failed: false });
        Event::Heartbeat(Heartbeat { comfyui_up: false, boot, ..heartbeat(1, Reading::Unknown) })
    };
    let far = after(&booting(), report(domain::BootStep::StartingComfyui, 80), at(60));
    let boot = far.boot.as_ref().unwrap();
    assert_eq!((boot.step, boot.percent), (domain::BootStep::StartingComfyui, 80));
    let overtaken = after(&far, report(domain::BootStep::MountingDisk, 30), at(61));
    assert_eq!(overtaken.boot, far.boot);
}
