//! What follows when Google takes a machine away under a run.

use domain::{
    Action, Event, FailureCode, InstanceStatus, MicroUsd, NoticeKind, Outcome, Phase, Run, Seconds, SpotOrder,
    StartRequest, Step, StopReason, Timestamp, Wish,
};

use crate::fixture::{IDLE, at, start_of, stop_of};
use crate::life::{Life, usd};
use InstanceStatus::{Down, InTransition, Running};

const HARD: u64 = 12 * 3600;

/// A run on the first of these placements, in use from second 60 on.
fn ready(placements: &[&str]) -> Life {
    let mut life = Life::of(placements);
    life.start(0);
    life.get_ready(60);
    life
}

/// Each restart comes up on whatever placement it is given, and is interrupted: so often.
fn interrupted(life: &mut Life, times: u32, mut second: u64) -> (Vec<Run>, u64) {
    let mut runs = Vec::new();
    for _ in 0..times {
        runs.push(life.preempt(second));
        if life.phase() != Phase::Placing {
            break;
        }
        second = life.record.walk.since.since(at(0)).0 + 60;
        life.get_ready(second);
        second += 60;
    }
    (runs, second)
}

#[test]
fn an_interrupted_run_ends_with_its_receipt_and_the_next_begins_in_the_same_decision() {
    let mut life = ready(&["a-spot", "b"]);
    life.tell_preempted(1000);
    let decision = life.go_down(1020);
    let run = decision.ended.unwrap();
    assert_eq!((run.number, run.reason, run.ended_at), (1, StopReason::Preempted, at(1020)));
    assert_eq!((run.instance.as_deref(), run.cost), (Some("a-spot"), usd(960)));
    assert_eq!(run.walk.last().unwrap().outcome, Outcome::Interrupted);
    let next = decision.next;
    assert_eq!((next.wish, next.phase, next.run), (Wish::Running, Phase::Placing, 2));
    assert_eq!((next.restarts, next.restart_of, next.placement.as_deref()), (1, Some(1), Some("b")));
    assert_eq!((next.started_at, next.ready_at, next.billed_since, next.ending), (Some(at(1020)), None, None, None));
    assert!(decision.save && decision.nudge);
    assert_eq!(life.record.last_stop.as_ref().unwrap().run, 1);
    assert_eq!(life.step(1021, "b", &[]), Step::Call(start_of("b")), "the first restart waits for nothing");
}

#[test]
fn a_host_that_breaks_is_followed_by_a_restart_too() {
    let mut life = ready(&["a", "b"]);
    life.take(1000, Event::HostError { instance_id: 101, at: at(1000) });
    let run = life.go_down(1001).ended.unwrap();
    assert_eq!((run.reason, life.placement()), (StopReason::HostError, "b"));
}

#[test]
fn a_restart_goes_back_to_the_interrupted_placement_where_there_is_no_other() {
    let mut life = ready(&["a-spot"]);
    life.preempt(1000);
    assert_eq!((life.phase(), life.placement()), (Phase::Placing, "a-spot"));
}

#[test]
fn a_restart_prefers_another_placement_even_to_the_owners_order() {
    let mut life = Life::of(&["a-spot", "b"]);
    life.workspace.policy.spot = SpotOrder::First;
    life.start(0);
    life.get_ready(60);
    life.preempt(1000);
    assert_eq!(life.placement(), "b");
}

#[test]
fn the_second_restart_waits_a_minute_and_those_after_it_five() {
    let mut life = ready(&["a", "b"]);
    let mut waits = Vec::new();
    let mut second = 100;
    for _ in 0..5 {
        life.preempt(second);
        waits.push(life.record.walk.since.since(at(second)).0);
        second += waits.last().unwrap();
        life.get_ready(second);
        second += 60;
    }
    assert_eq!(waits, [0, 60, 300, 300, 300]);
}

#[test]
fn nothing_is_asked_of_google_while_a_restart_waits() {
    let mut life = ready(&["a", "b"]);
    life.preempt(100);
    life.get_ready(200);
    life.preempt(300);
    assert_eq!(life.record.walk.not_before, Some(at(360)));
    assert_eq!(life.step(359, life.placement(), &[]), Step::Wait { until: at(360) });
    let due = domain::due_at(&life.record, &life.workspace.policy);
    assert_eq!(due, Some(at(360)), "the reaper looks then");
    assert_eq!(life.step(360, life.placement(), &[]), Step::Call(start_of(life.placement())));
}

#[test]
fn the_hard_end_is_kept_through_all_restarts() {
    let mut life = ready(&["a", "b"]);
    interrupted(&mut life, 4, 100);
    assert_eq!((life.record.run, life.record.hard_stop_at), (5, Some(at(HARD))));
}

#[test]
fn a_restart_that_is_kept_up_does_not_move_the_hard_end() {
    let mut life = Life::of(&["a", "b"]);
    life.keep_trying(0, 2000);
    life.get_ready(60);
    life.preempt(HARD - 100);
    assert_eq!(life.record.walk.keep_trying_until, Some(at(120_000)), "its user's patience holds");
    life.walk_dry(HARD - 90);
    assert_eq!((life.record.walk.rounds, life.record.hard_stop_at), (1, Some(at(HARD))));
    life.take(HARD, Event::SweepDue);
    assert_eq!((life.phase(), life.record.ending), (Phase::Stopping, Some(StopReason::HardLimit)));
}

#[test]
fn patience_that_is_over_is_not_handed_on() {
    let mut life = Life::of(&["a", "b"]);
    life.keep_trying(0, 10);
    life.get_ready(60);
    life.preempt(1000);
    assert_eq!(life.record.walk.keep_trying_until, None);
}

#[test]
fn after_three_restarts_only_standard_placements_are_tried() {
    let mut life = ready(&["a-spot", "b-spot", "c"]);
    // So that the standard one is not chosen for having rested longest.
    life.workspace.policy.spot = SpotOrder::First;
    life.workspace.policy.dry_for = Seconds(0);
    let (_, second) = interrupted(&mut life, 3, 100);
    assert!(life.placement().ends_with("-spot"), "the third may still be Spot");
    life.preempt(second);
    assert_eq!((life.record.restarts, life.placement()), (4, "c"));
    assert_eq!(life.walk_dry(second + 400), ["c"], "and nothing but");
    assert_eq!(life.phase(), Phase::Failed);
}

#[test]
fn where_no_standard_placement_is_declared_the_fourth_interruption_is_the_last() {
    let mut life = ready(&["a-spot", "b-spot"]);
    let (runs, _) = interrupted(&mut life, 9, 100);
    assert_eq!(runs.len(), 4);
    let failure = life.record.failure.clone().unwrap();
    assert_eq!(
        (life.phase(), life.record.wish, failure.code),
        (Phase::Failed, Wish::Stopped, FailureCode::Interrupted)
    );
    let said = "Google took the machine back 4 times in a row, and no standard placement is declared";
    assert_eq!(failure.detail, said);
    assert_eq!(runs[3].failure, None, "the run itself was interrupted");
    life.start(10_000);
    assert_eq!((life.record.run, life.record.restarts), (5, 0), "a person may begin anew");
}

#[test]
fn the_seventh_interruption_in_a_row_is_the_last() {
    let mut life = ready(&["a", "b"]);
    let (runs, _) = interrupted(&mut life, 9, 100);
    assert_eq!(runs.len(), 7);
    let failure = life.record.failure.clone().unwrap();
    assert_eq!(
        (failure.code, failure.detail.as_str()),
        (FailureCode::Interrupted, "Google took the machine back 7 times in a row")
    );
}

#[test]
fn a_run_that_held_for_an_hour_begins_the_counting_anew() {
    for (held, restarts) in [(3599, 3), (3600, 1)] {
        let mut life = ready(&["a", "b"]);
        let (_, second) = interrupted(&mut life, 2, 100);
        let ready_at = second - 60;
        life.preempt(ready_at + held);
        assert_eq!((life.record.restarts, life.record.run), (restarts, 4), "held for {held} s");
    }
}

#[test]
fn a_run_that_was_announced_to_stop_is_not_begun_again() {
    let mut life = ready(&["a", "b"]);
    life.beat(60 + 1800, IDLE);
    assert_eq!(life.phase(), Phase::Draining);
    let run = life.preempt(1900);
    assert_eq!((run.reason, life.phase(), life.record.wish), (StopReason::Preempted, Phase::Stopped, Wish::Stopped));
}

#[test]
fn a_run_whose_hard_end_has_come_is_not_begun_again() {
    for (second, phase) in [(HARD - 1, Phase::Placing), (HARD, Phase::Stopped)] {
        let mut life = ready(&["a", "b"]);
        assert_eq!(life.preempt(second).reason, StopReason::Preempted);
        assert_eq!(life.phase(), phase, "at second {second}");
    }
}

#[test]
fn a_restart_that_would_wait_past_the_hard_end_is_none() {
    let mut life = ready(&["a", "b"]);
    life.preempt(HARD - 200);
    life.get_ready(HARD - 190);
    life.preempt(HARD - 60);
    assert_eq!(life.phase(), Phase::Stopped, "a minute's wait would end at the hard end");
}

#[test]
fn a_run_that_its_user_has_stopped_is_not_begun_again() {
    for told_first in [true, false] {
        let mut life = ready(&["a", "b"]);
        if told_first {
            life.tell_preempted(990);
            life.take(1000, Event::StopRequested);
        } else {
            life.take(990, Event::StopRequested);
            life.tell_preempted(1000);
        }
        let run = life.go_down(1020).ended.unwrap();
        assert_eq!((run.reason, life.phase()), (StopReason::User, Phase::Stopped));
    }
}

#[test]
fn a_machine_that_went_without_googles_word_is_not_restarted() {
    let mut life = ready(&["a", "b"]);
    let run = life.go_down(1000).ended.unwrap();
    assert_eq!((run.reason, life.phase()), (StopReason::MachineStopped, Phase::Stopped));
    let too_late = life.take(1001, Event::Preempted { instance_id: 101, at: at(999) });
    assert_eq!((too_late.save, too_late.nudge, life.phase()), (false, false, Phase::Stopped));
}

#[test]
fn word_of_before_this_run_or_of_another_instance_is_no_news() {
    let old = Event::Preempted { instance_id: 101, at: Timestamp::from_seconds(0) };
    let other = Event::HostError { instance_id: 102, at: at(1000) };
    for event in [old, other] {
        let mut life = ready(&["a", "b"]);
        let decision = life.take(1000, event);
        assert_eq!((decision.save, decision.nudge), (false, false));
        assert_eq!(life.go_down(1001).ended.unwrap().reason, StopReason::MachineStopped);
    }
}

#[test]
fn word_that_comes_twice_restarts_once() {
    let mut life = ready(&["a", "b"]);
    life.preempt(1000);
    let restarted = life.record.clone();
    life.take(1010, Event::Preempted { instance_id: 101, at: at(1000) });
    life.take(1011, Event::InstanceSeen(life.seen("a", Down)));
    assert_eq!(life.record, restarted);
}

#[test]
fn who_started_it_is_handed_on_through_a_chain() {
    let mut life = Life::of(&["a", "b"]);
    life.take(0, Event::StartRequested(StartRequest { user: Some("ada".to_owned()), ..StartRequest::default() }));
    life.get_ready(60);
    let (runs, _) = interrupted(&mut life, 3, 100);
    let chain: Vec<_> = runs.iter().map(|run| (run.number, run.started_by.as_deref(), run.restart_of)).collect();
    assert_eq!(chain, [(1, Some("ada"), None), (2, Some("ada"), Some(1)), (3, Some("ada"), Some(2))]);
    assert_eq!((life.record.started_by.as_deref(), life.record.restart_of), (Some("ada"), Some(3)));
}

#[test]
fn what_a_run_has_cost_is_taken_from_what_its_restart_may() {
    let mut life = Life::of(&["a", "b"]);
    life.workspace.policy.budget.per_user = Some(usd(5000));
    life.take(0, Event::StartRequested(StartRequest { user: Some("ada".to_owned()), ..StartRequest::default() }));
    life.get_ready(60);
    assert_eq!(life.record.allowance, Some(usd(5000)));
    life.preempt(1060);
    assert_eq!(life.record.allowance, Some(usd(4000)));
    life.get_ready(1100);
    life.preempt(9100);
    assert_eq!(life.record.allowance, Some(MicroUsd(0)), "never less than nothing");
}

#[test]
fn an_admins_start_beyond_the_budget_holds_for_its_restarts() {
    let mut life = Life::of(&["a", "b"]);
    life.workspace.policy.budget.monthly = Some(MicroUsd(0));
    life.take(0, Event::StartRequested(StartRequest { is_admin: true, ..StartRequest::default() }));
    life.get_ready(60);
    life.preempt(1060);
    assert!(life.record.beyond_budget && !life.record.is_beyond_its_budget(at(1100), &life.workspace));
}

#[test]
fn a_call_that_may_still_arrive_is_waited_for_by_the_restart() {
    let mut life = ready(&["a", "b"]);
    assert_eq!(life.step(1000, "a", &[("a", Running), ("b", Running)]), Step::Call(stop_of("b")));
    life.take(1000, Event::CallIntended(stop_of("b")));
    life.preempt(1005);
    assert_eq!((life.phase(), life.placement()), (Phase::Placing, "b"));
    assert_eq!(life.step(1006, "b", &[]), Step::Wait { until: at(1040) }, "the stop would hit the next run");
}

#[test]
fn the_disk_follows_an_interrupted_run_once_its_machine_is_down() {
    let mut life = ready(&["a", "b"]);
    life.tell_preempted(1000);
    assert_eq!(life.step(1001, "a", &[("a", InTransition)]), Step::Wait { until: at(1003) });
    life.go_down(1010);
    let detach = Action::DetachDisk { instance: "a".to_owned() };
    assert_eq!(life.step(1011, "a", &[]), Step::Call(detach));
}

#[test]
fn people_are_told_whether_a_restart_follows() {
    for (phase, restarting) in [(Phase::Ready, true), (Phase::Draining, false)] {
        let mut life = ready(&["a", "b"]).told();
        if phase == Phase::Draining {
            life.beat(60 + 1800, IDLE);
        }
        assert_eq!(life.phase(), phase);
        life.preempt(1900);
        let zone = Some("zone-a".to_owned());
        let last = life.record.notices.last().unwrap();
        assert_eq!(last.kind, NoticeKind::Preempted { zone, host_error: false, restarting });
        assert_eq!(last.run, 1);
    }
}
