//! The walk from placement to placement: in which order, when it is given up, when it begins again.

use domain::{
    ATTEMPTS_KEPT_MAX, Attempt, Event, FailureCode, InstanceStatus, OperationErrorKind, Outcome, Phase, Seconds,
    SpotOrder, Step, StopReason,
};
use proptest::prelude::*;

use crate::fixture::{at, start_of, stop_of};
use crate::life::Life;
use InstanceStatus::{ComingUp, Down, InTransition, Running, Unreachable};
use OperationErrorKind::{StockOut, ZoneDown};

/// Spot and standard, mixed, in three zones.
const MIXED: [&str; 4] = ["a-spot", "b", "c-spot", "a"];

fn order(life: &mut Life, second: u64) -> Vec<String> {
    life.start(second);
    life.walk_dry(second)
}

#[test]
fn placements_are_tried_in_the_order_in_which_they_are_declared() {
    assert_eq!(order(&mut Life::of(&MIXED), 0), MIXED);
}

#[test]
fn spot_is_tried_first_or_last_where_the_owner_says_so() {
    for (spot, expected) in
        [(SpotOrder::First, ["a-spot", "c-spot", "b", "a"]), (SpotOrder::Last, ["b", "a", "a-spot", "c-spot"])]
    {
        let mut life = Life::of(&MIXED);
        life.workspace.policy.spot = spot;
        assert_eq!(order(&mut life, 0), expected, "{spot:?}");
    }
}

#[test]
fn zones_that_google_names_are_tried_before_others_in_its_order() {
    let mut life = Life::of(&["a", "b", "c", "d", "e"]);
    life.start(0);
    life.ask(0);
    life.fail(1, StockOut, &["zone-d", "zone-c"]);
    assert_eq!(life.walk_dry(2), ["d", "c", "b", "e"]);
}

#[test]
fn the_owners_order_of_spot_goes_before_the_zones_that_google_names() {
    let mut life = Life::of(&["a-spot", "b", "c-spot"]);
    life.workspace.policy.spot = SpotOrder::First;
    life.start(0);
    life.ask(0);
    life.fail(1, StockOut, &["zone-b"]);
    assert_eq!(life.walk_dry(2), ["c-spot", "b"]);
}

#[test]
fn a_placement_that_was_dry_is_tried_last_for_ten_minutes_and_no_longer() {
    for (second, first) in [(599, "b"), (600, "a")] {
        let mut life = Life::of(&["a", "b"]);
        life.start(0);
        life.find_dry(0);
        life.take(1, Event::StopRequested);
        life.take(2, Event::InstanceSeen(life.seen("b", Down)));
        assert_eq!(life.phase(), Phase::Stopped);
        life.start(second);
        assert_eq!(life.placement(), first, "at second {second}");
    }
}

#[test]
fn a_placement_that_timed_out_is_tried_last_as_a_dry_one_is() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.ask(0);
    life.take(150, Event::AttemptOverdue);
    life.take(151, Event::StopRequested);
    life.take(152, Event::OperationDone);
    life.take(153, Event::InstanceSeen(life.seen("b", Down)));
    life.start(160);
    assert_eq!(life.placement(), "b");
}

#[test]
fn a_placement_that_has_come_up_is_dry_no_more() {
    let mut life = Life::of(&["a", "b"]);
    order(&mut life, 0);
    life.start(10);
    life.come_up(10);
    assert_eq!(life.record.dry_lately.len(), 1);
    assert_eq!(life.record.dry_lately[0].instance, "b");
}

#[test]
fn a_walk_that_finds_all_dry_ends_with_a_failure_and_says_when_to_try_again() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.find_dry(5);
    life.ask(6);
    let over = life.fail(40, StockOut, &[]);
    let failure = life.record.failure.clone().unwrap();
    assert_eq!((life.phase(), failure.code), (Phase::Failed, FailureCode::StockOut));
    assert_eq!((failure.retry_at, failure.zone.as_deref()), (Some(at(40 + 300)), Some("zone-b")));
    let run = over.ended.unwrap();
    let tries: Vec<_> = run.walk.iter().map(|try_of| (try_of.zone.as_str(), try_of.at, try_of.outcome)).collect();
    assert_eq!(tries, [("zone-a", at(5), Outcome::Dry), ("zone-b", at(6), Outcome::Dry)]);
    assert_eq!(run.reason, StopReason::StartFailed);
}

#[test]
fn rounds_of_a_walk_that_is_kept_up_come_after_longer_and_longer_gaps() {
    let mut life = Life::of(&["a", "b"]);
    life.keep_trying(0, 60);
    let mut begins = 0;
    let mut gaps = Vec::new();
    for _ in 0..8 {
        assert_eq!(life.walk_dry(begins), ["a", "b"]);
        let next = life.record.walk.not_before.unwrap();
        gaps.push(next.since(at(begins)).0);
        begins = next.since(at(0)).0;
    }
    assert_eq!(gaps, [30, 60, 120, 240, 480, 600, 600, 600]);
    assert_eq!((life.phase(), life.record.walk.rounds), (Phase::Placing, 8));
}

#[test]
fn the_last_round_begins_at_the_chosen_time_and_ends_the_walk() {
    let mut life = Life::of(&["a", "b"]);
    life.keep_trying(0, 1);
    life.walk_dry(0);
    life.walk_dry(35);
    assert_eq!(life.record.walk.not_before, Some(at(60)), "60 s later would be past the end");
    assert_eq!(life.phase(), Phase::Placing);
    assert_eq!(life.walk_dry(60), ["a", "b"]);
    let failure = life.record.failure.clone().unwrap();
    assert_eq!((life.phase(), failure.code, failure.retry_at), (Phase::Failed, FailureCode::StockOut, Some(at(360))));
}

#[test]
fn between_two_rounds_nothing_is_asked_of_google_and_the_worker_goes_home_from_a_long_wait() {
    let mut life = Life::of(&["a", "b"]);
    life.keep_trying(0, 60);
    life.walk_dry(0);
    assert_eq!(life.step(29, "a", &[]), Step::Wait { until: at(30) });
    assert_eq!(life.step(30, "a", &[]), Step::Call(start_of("a")));
    life.walk_dry(30);
    life.walk_dry(90);
    assert_eq!(life.step(149, "a", &[]), Step::Done, "61 s are left to the reaper");
    assert_eq!(life.step(150, "a", &[]), Step::Wait { until: at(210) });
    assert_eq!(domain::due_at(&life.record, &life.workspace.policy), Some(at(210)));
}

#[test]
fn the_longest_life_begins_with_the_round_that_finds_a_machine() {
    let mut life = Life::of(&["a"]);
    life.keep_trying(0, 60);
    assert_eq!(life.record.hard_stop_at, Some(at(0) + life.workspace.policy.hard_limit));
    life.walk_dry(100);
    assert_eq!(life.record.hard_stop_at, Some(at(130) + life.workspace.policy.hard_limit));
}

#[test]
fn asking_again_for_more_patience_gives_it_and_for_less_takes_none_back() {
    let mut life = Life::of(&["a"]);
    life.start(0);
    for (minutes, until) in [(10, 610), (5, 610), (20, 1210)] {
        life.keep_trying(10, minutes);
        assert_eq!(life.record.walk.keep_trying_until, Some(at(until)));
    }
    life.start(11);
    assert_eq!(life.record.walk.keep_trying_until, Some(at(1210)), "nor does a plain start");
    life.keep_trying(12, 1_000_000);
    assert_eq!(life.record.walk.keep_trying_until, Some(at(12) + Seconds::hours(48)));
}

#[test]
fn a_stop_cancels_a_walk_that_is_kept_up() {
    let mut life = Life::of(&["a", "b"]);
    life.keep_trying(0, 60);
    life.walk_dry(0);
    life.take(10, Event::StopRequested);
    assert_eq!(life.phase(), Phase::Stopping);
    let Step::Record(event) = life.step(11, "a", &[]) else { panic!("all is down") };
    let run = life.take(11, event).ended.unwrap();
    assert_eq!((life.phase(), run.reason, run.cost.0), (Phase::Stopped, StopReason::User, 0));
}

#[test]
fn a_start_that_is_not_over_within_the_attempt_limit_is_given_up_and_stopped_before_the_next() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.ask(10);
    let follow = Step::Follow { operation: "start-a".to_owned(), instance: "a".to_owned() };
    assert_eq!(life.step(159, "a", &[("a", ComingUp)]), follow);
    assert_eq!(life.step(160, "a", &[("a", ComingUp)]), Step::Record(Event::AttemptOverdue));
    let decision = life.take(160, Event::AttemptOverdue);
    assert!(decision.save);
    assert_eq!((life.placement(), life.outcomes()), ("b", vec![("a", Outcome::TimedOut)]));
    assert_eq!(life.step(161, "a", &[]), follow, "down still, it may come up: so it is waited for");
    assert_eq!(life.step(161, "a", &[("a", ComingUp)]), Step::Call(stop_of("a")));
    life.take(161, Event::CallIntended(stop_of("a")));
    life.take(161, Event::CallAccepted { operation: "stop".to_owned() });
    life.take(170, Event::OperationDone);
    assert_eq!(life.step(171, "a", &[("a", InTransition)]), Step::Wait { until: at(173) });
    assert_eq!(life.step(175, "b", &[]), Step::Call(start_of("b")));
}

#[test]
fn the_last_placement_of_a_walk_is_waited_for() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.find_dry(0);
    life.ask(10);
    life.take(400, Event::AttemptOverdue);
    assert_eq!((life.phase(), life.placement()), (Phase::Placing, "b"));
    assert_eq!(life.outcomes(), [("a", Outcome::Dry), ("b", Outcome::Trying)]);
    life.take(609, Event::SweepDue);
    assert_eq!(life.phase(), Phase::Placing);
    life.take(610, Event::SweepDue);
    assert_eq!(life.record.failure.as_ref().unwrap().code, FailureCode::PlacingTimedOut);
}

#[test]
fn the_last_placement_of_a_round_is_given_up_where_another_round_follows() {
    let mut life = Life::of(&["a"]);
    life.keep_trying(0, 60);
    life.ask(0);
    life.take(150, Event::AttemptOverdue);
    assert_eq!((life.record.walk.rounds, life.record.walk.not_before), (1, Some(at(180))));
    // What its start comes to meanwhile is no round of its own.
    life.fail(160, StockOut, &[]);
    assert_eq!((life.record.walk.rounds, life.record.walk.not_before), (1, Some(at(180))));
}

#[test]
fn a_start_that_was_given_up_with_its_round_is_stopped_before_the_next() {
    let mut life = Life::of(&["a"]);
    life.keep_trying(0, 60);
    life.ask(0);
    life.take(150, Event::AttemptOverdue);
    assert_eq!(life.step(151, "a", &[("a", ComingUp)]), Step::Call(stop_of("a")));
    let follow = Step::Follow { operation: "start-a".to_owned(), instance: "a".to_owned() };
    assert_eq!(life.step(151, "a", &[("a", Running)]), follow, "it has come up at the last moment");
}

#[test]
fn a_zone_that_does_not_answer_is_passed_by_and_shown() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    assert_eq!(life.step(59, "b", &[("a", Unreachable)]), Step::Wait { until: at(61) }, "calls fail now and then");
    let Step::Record(event) = life.step(60, "b", &[("a", Unreachable)]) else { panic!("a is not told of") };
    life.take(60, event);
    assert_eq!((life.placement(), life.outcomes()), ("b", vec![("a", Outcome::TimedOut)]));
    assert_eq!(life.step(61, "b", &[("a", Unreachable)]), Step::Call(start_of("b")));
}

#[test]
fn a_record_keeps_the_last_tries_only() {
    let mut life = Life::of(&["a"]);
    life.keep_trying(0, 2000);
    for round in 0..40 {
        assert_eq!(life.walk_dry(round * 600), ["a"]);
    }
    let tries: Vec<&Attempt> = life.record.walk.attempts.iter().collect();
    assert_eq!((tries.len(), ATTEMPTS_KEPT_MAX), (32, 32));
    assert_eq!((tries[0].at, tries[31].at), (at(8 * 600), at(39 * 600)), "the oldest go first");
}

#[test]
fn what_timed_out_is_not_billed_and_what_comes_up_after_it_is() {
    let mut life = Life::of(&["a", "b"]);
    life.start(0);
    life.ask(0);
    life.take(150, Event::AttemptOverdue);
    assert_eq!(life.record.billed_since, None);
    life.ask(200);
    assert_eq!(life.record.billed_since, Some(at(200)));
}

proptest! {
    /// Whatever was dry before, however Spot is wanted, whichever zones Google names: each placement once, in a round.
    #[test]
    fn each_round_tries_every_placement_once(
        names in prop::sample::subsequence(&["a-spot", "a", "b-spot", "b", "c-spot", "c"][..], 1..=6),
        spot in prop::sample::select(&[SpotOrder::AsDeclared, SpotOrder::First, SpotOrder::Last][..]),
        said in prop::collection::vec(prop::collection::vec(prop::sample::select(&["zone-a", "zone-b", "zone-x"][..]), 0..3), 12),
        kinds in prop::collection::vec(prop::sample::select(&[StockOut, ZoneDown][..]), 12),
        dry_for in 0_u64..2000,
    ) {
        let mut life = Life::of(&names);
        life.workspace.policy.spot = spot;
        life.workspace.policy.dry_for = Seconds(dry_for);
        life.keep_trying(0, 60);
        let mut second = 0;
        for round in 0..2 {
            let mut tried = Vec::new();
            for (zones, kind) in said.iter().zip(&kinds).skip(round * 6).take(names.len()) {
                prop_assert_eq!(life.phase(), Phase::Placing);
                tried.push(life.ask(second));
                life.fail(second, *kind, zones);
                second += 7;
            }
            let mut once = tried.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), names.len(), "{:?}", tried);
            prop_assert_eq!(life.record.walk.rounds, u32::try_from(round).unwrap() + 1);
            second = life.record.walk.not_before.map_or(second, |at_next| at_next.since(at(0)).0);
        }
    }

    /// However slowly Google answers, a walk that is kept up is over in the round that begins at its chosen time.
    #[test]
    fn a_walk_that_is_kept_up_ends(minutes in 1_u64..300, slow in 1_u64..149) {
        let mut life = Life::of(&["a", "b"]);
        life.keep_trying(0, minutes);
        let until = minutes * 60;
        let (mut second, mut rounds) = (0, 0);
        while life.phase() == Phase::Placing {
            prop_assert!(rounds < 60 && second <= until.max(2 * slow));
            for _ in 0..2 {
                life.ask(second);
                second += slow;
                life.fail(second, StockOut, &[]);
            }
            if let Some(next) = life.record.walk.not_before.filter(|_| life.phase() == Phase::Placing) {
                prop_assert!(next <= at(until) && next > at(second));
                second = next.since(at(0)).0;
            }
            rounds += 1;
        }
        prop_assert_eq!(life.record.failure.as_ref().unwrap().code, FailureCode::StockOut);
        prop_assert!(at(second) >= at(until), "not before its time");
    }
}
