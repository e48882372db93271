//! The models bite: with any one rule broken, they find the law that it breaks.
//!
//! What they have found, here and in this code before it was mended, is replayed against the real rules in
//! `tests/rules/counterexamples.rs`.

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, HasDiscoveries, Model};

use crate::bounds;
use crate::breaks::{Break, Rules};
use crate::machines::{self, Machines};
use crate::usage::{self, Usage};
use crate::world::Budget;

/// Walks the machines until this law is broken: by what, where the world itself has noticed.
fn machines_break(law: &'static str, rule: Break, bounds: machines::Bounds) -> Option<&'static str> {
    find(law, rule, Machines::new(bounds, Rules::without(rule))).broken
}

/// Walks a run in use until this law is broken: by what, where the world itself has noticed.
fn use_breaks(law: &'static str, rule: Break, bounds: usage::Bounds) -> Option<&'static str> {
    find(law, rule, Usage::new(bounds, Rules::without(rule))).broken
}

fn find<M>(law: &'static str, rule: Break, model: M) -> M::State
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Hash + Send + Sync + Clone + PartialEq,
    M::Action: Debug + Send + Sync + Clone + PartialEq,
{
    let until = HasDiscoveries::AnyOf([law].into());
    let checker = model.checker().finish_when(until).spawn_bfs().join();
    let path = checker.discovery(law).unwrap_or_else(|| panic!("{rule:?} goes unnoticed by {law:?}"));
    eprintln!("{rule:?}: {:?}", path.clone().into_actions());
    path.last_state().clone()
}

const ARRIVING: &str = "no call breaks a law by arriving";
const SAVING: &str = "no save breaks a law";

#[test]
fn law_1_a_run_is_stopped_while_in_use_when_activity_in_draining_is_ignored() {
    let broken = use_breaks(SAVING, Break::ActivityInDrainingIsIgnored, bounds::USE);
    assert_eq!(broken, Some("law 1: stopped with activity younger than the idle limit"));
}

#[test]
fn law_1_unwritten_activity_is_lost_when_nothing_is_announced() {
    let broken = use_breaks(SAVING, Break::NothingIsAnnounced, bounds::UNWRITTEN);
    assert_eq!(broken, Some("law 1: stopped with activity younger than the idle limit"));
}

#[test]
fn law_1_a_run_is_stopped_by_old_news_when_the_word_of_a_preemption_is_enough() {
    let law = "law 1: Google's word alone stops nothing";
    assert_eq!(machines_break(law, Break::PreemptionStopsByWordAlone, bounds::GOOGLE), None);
}

#[test]
fn law_2_a_silent_run_never_ends_without_a_silence_limit() {
    assert_eq!(use_breaks("law 2: an idle run ends in time", Break::NoSilenceLimit, bounds::USE), None);
}

#[test]
fn law_2_a_machine_started_by_hand_runs_for_ever_when_sweeps_see_no_machines() {
    let law = "law 2: a machine that nobody wants is stopped";
    assert_eq!(machines_break(law, Break::SweepsSeeNoMachines, bounds::STRAYS), None);
}

#[test]
fn law_3_a_stopped_machine_wakes_when_calls_are_not_announced() {
    let broken = machines_break(ARRIVING, Break::CallsAreNotAnnounced, bounds::FENCING);
    assert_eq!(broken, Some("law 3: a start wakes a machine that its user has stopped"));
}

#[test]
fn law_3_a_start_outlives_its_run_when_steps_are_saved_blindly() {
    let broken = machines_break(ARRIVING, Break::StepsAreSavedBlindly, bounds::FENCING);
    assert_eq!(broken, Some("law 3: a start outlives its run"));
}

#[test]
fn law_3_a_stop_reaches_the_next_run_when_that_forgets_the_call() {
    let broken = machines_break(ARRIVING, Break::ANewRunForgetsTheCall, bounds::FENCING);
    assert_eq!(broken, Some("law 3: a stop of one run stops the next"));
}

#[test]
fn law_3_a_stopped_machine_wakes_when_calls_are_made_late() {
    let broken = machines_break(ARRIVING, Break::CallsAreMadeLate, bounds::FENCING);
    assert_eq!(broken, Some("law 3: a start wakes a machine that its user has stopped"));
}

#[test]
fn law_3_a_run_is_said_to_be_over_with_its_machine_up_when_the_clock_is_read_after_the_look() {
    let bounds = machines::Bounds { budget: Budget { starts: 1, stops: 1, ..Budget::default() }, ..bounds::FENCING };
    let broken = machines_break(ARRIVING, Break::TheClockIsReadAfterTheLook, bounds);
    assert_eq!(broken, Some("law 3: a run is said to be over while its machine is up"));
}

#[test]
fn law_3_a_stop_reaches_the_next_run_when_a_heartbeat_claims_the_machine() {
    let broken = machines_break(ARRIVING, Break::AHeartbeatClaimsTheMachine, bounds::FENCING);
    assert_eq!(broken, Some("law 3: a stop of one run stops the next"));
}

#[test]
fn law_4_a_second_placement_is_started_when_the_others_are_not_looked_at() {
    // A run ends with its machine up when the stop takes too long; the next one prefers the other placement.
    let bounds = machines::Bounds { disk: false, ..bounds::PLACEMENTS };
    let broken = machines_break(ARRIVING, Break::OthersAreNotLookedAt, bounds);
    assert_eq!(broken, Some("law 4: a second placement is started"));
}

#[test]
fn law_4_the_disk_is_attached_twice_when_it_is_not_looked_for() {
    let broken = machines_break(ARRIVING, Break::TheDiskIsNotLookedFor, bounds::PLACEMENTS);
    assert_eq!(broken, Some("law 4: the disk is attached while it is attached"));
}

#[test]
fn law_5_deadlines_move_back_when_they_follow_the_last_activity() {
    let broken = use_breaks(SAVING, Break::TheDeadlineFollowsActivity, bounds::EXTENSIONS);
    assert_eq!(broken, Some("law 5: a deadline has moved back"));
}

#[test]
fn law_5_a_run_has_no_end_without_a_hard_one() {
    let broken = use_breaks(SAVING, Break::NoHardEnd, bounds::USE);
    assert_eq!(broken, Some("law 5: a deadline lies past the hard end"));
}

#[test]
fn law_6_a_vm_that_does_not_know_is_stopped_when_unknown_is_idle() {
    let broken = use_breaks(SAVING, Break::UnknownIsIdle, bounds::USE);
    assert_eq!(broken, Some("law 6: stopped though it was neither heard to be idle nor silent"));
}

#[test]
fn law_7_a_phase_lasts_for_ever_without_limits() {
    let bounds = machines::Bounds { ticks: 9, ..bounds::FENCING };
    assert_eq!(machines_break("law 7: no phase outlasts its limit", Break::NoPhaseLimits, bounds), None);
}

#[test]
fn law_7_a_failed_boot_goes_on_when_its_word_is_not_taken() {
    let law = "law 7: a boot that has failed ends at once";
    assert_eq!(machines_break(law, Break::FailedBootsGoOn, bounds::BOOTS), None);
}

#[test]
fn law_7_a_boot_that_moves_lasts_for_ever_without_a_hard_end() {
    let law = "law 7: no phase outlasts its limit";
    assert_eq!(machines_break(law, Break::BootsOutlastTheHardEnd, bounds::BOOTS), None);
}

#[test]
fn law_2_a_machine_that_comes_up_late_runs_on_when_nobody_looks_beside_the_one_in_use() {
    let law = "law 2: a machine that nobody wants is stopped";
    assert_eq!(machines_break(law, Break::WatchersLookAtTheirOwnAlone, bounds::LATE), None);
}

#[test]
fn law_3_what_its_user_has_stopped_begins_again_when_restarts_ignore_the_stop() {
    let law = "law 3: what its user has stopped stays stopped";
    assert_eq!(machines_break(law, Break::RestartsIgnoreTheStop, bounds::INTERRUPTED), None);
}

#[test]
fn law_3_a_run_is_said_to_be_over_with_its_machine_up_when_a_restart_comes_by_word_alone() {
    let broken = machines_break(ARRIVING, Break::RestartsComeByWordAlone, bounds::INTERRUPTED);
    assert_eq!(broken, Some("law 3: a run is said to be over while its machine is up"));
}

#[test]
fn law_4_a_second_placement_is_started_when_a_start_that_was_given_up_is_forgotten() {
    let broken = machines_break(ARRIVING, Break::GivenUpStartsAreForgotten, bounds::WALK);
    assert_eq!(broken, Some("law 4: a second placement is started"));
}

#[test]
fn law_4_the_disk_is_taken_by_force_when_nobody_is_asked() {
    let broken = machines_break(ARRIVING, Break::NobodyIsAskedForTheDisk, bounds::GONE);
    assert_eq!(broken, Some("law 4: the disk is taken by force though nobody has said that its zone is gone"));
}

#[test]
fn law_7_a_walk_that_is_kept_up_goes_on_past_its_time_when_patience_is_endless() {
    let law = "law 7: a walk that is kept up ends at the chosen time";
    assert_eq!(machines_break(law, Break::PatienceIsEndless, bounds::WALK), None);
}

#[test]
fn law_7_a_slow_start_is_waited_for_though_there_is_another_placement_without_an_attempt_limit() {
    assert_eq!(machines_break("law 7: no phase outlasts its limit", Break::NoAttemptLimit, bounds::LATE), None);
}
