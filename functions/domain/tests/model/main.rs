//! The laws of the domain, in every interleaving that some bounds allow.
//!
//! The models drive the real `decide`, `next_step` and `plan`; what stands around them here is the world: users, tabs,
//! machines, workers that die, calls and heartbeats that come late or never. Each model is walked to its end. One model
//! of everything would be too large for that, so each bounds what the others leave free:
//!
//! | model | one after the other | bounds |
//! |---|---|---|
//! | fencing | two runs, two starts, two stops | one placement, two workers, clocks a tick apart, calls late or lost |
//! | google | two runs; hand, preemption (told late and often) | one placement, two workers |
//! | placements | two runs; stock-outs, a refusal, a death | two placements, one disk, two workers |
//! | boots | one run; reports of its boot, its failure | one placement, one worker, a near hard end |
//! | strays | two runs; hand, death | two placements, one disk; only the reaper's nudges arrive |
//! | walk | one run that is kept up; slow starts, stock-outs | two placements |
//! | late | one run; a stock-out that was none, a slow start | two placements, one disk; only the reaper's nudges arrive |
//! | interrupted | a preemption, and the run that follows it | two placements, one disk |
//! | gone | a zone that falls silent, an admin's word | two placements, one disk |
//! | use | work, a person, late heartbeats, silence, hard end | one run that is ready |
//! | extensions | work, a person, an extension | one run that is ready |
//! | slow sweeps | work, a person | a sweep every second tick, half a drain |
//! | unwritten | a person, heartbeats | so long an idle limit that activity goes unwritten |

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bites;
mod breaks;
mod google;
mod laws;
mod machines;
mod usage;
mod usage_laws;
mod workers;
mod world;

use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Model};

use crate::breaks::Rules;
use crate::machines::Machines;
use crate::usage::Usage;
use crate::world::Budget;

/// As many as the machine that the tests must be quick on has cores.
const THREADS: usize = 2;

/// Walks the whole model: every law holds, everything that should be possible was seen, and it was not a small world.
fn walk<M>(name: &str, model: M, states_least: usize)
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Hash + Send + Sync + Clone + PartialEq,
    M::Action: Debug + Send + Sync + Clone + PartialEq,
{
    let checker = model.checker().threads(THREADS).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    eprintln!("{name}: {states} states, {depth} deep, {} steps", checker.state_count());
    checker.assert_properties();
    assert!(states >= states_least, "{name}: only {states} states, expected {states_least}");
}

mod bounds {
    use super::{Budget, machines, usage};

    const NOTHING: Budget = Budget {
        starts: 0,
        stops: 0,
        stock_outs: 0,
        by_hand: 0,
        deaths: 0,
        preemptions: 0,
        refusals: 0,
        moves: 0,
        failures: 0,
        lates: 0,
        gone: 0,
        consents: 0,
    };

    pub(crate) const FENCING: machines::Bounds = machines::Bounds {
        placements: 1,
        disk: false,
        workers: 2,
        ticks: 6,
        placing: 4,
        ahead: 1,
        fair: false,
        hard: None,
        attempt: None,
        patience: None,
        budget: Budget { starts: 2, stops: 2, ..NOTHING },
    };

    pub(crate) const GOOGLE: machines::Bounds = machines::Bounds {
        ticks: 5,
        ahead: 0,
        budget: Budget { stops: 1, by_hand: 1, preemptions: 1, ..FENCING.budget },
        ..FENCING
    };

    pub(crate) const PLACEMENTS: machines::Bounds = machines::Bounds {
        placements: 2,
        disk: true,
        ticks: 4,
        ahead: 0,
        budget: Budget { stops: 1, stock_outs: 2, deaths: 1, refusals: 1, ..FENCING.budget },
        ..FENCING
    };

    pub(crate) const BOOTS: machines::Bounds = machines::Bounds {
        workers: 1,
        ticks: 10,
        ahead: 0,
        hard: Some(7),
        budget: Budget { starts: 1, stops: 1, moves: 2, failures: 1, ..NOTHING },
        ..FENCING
    };

    pub(crate) const STRAYS: machines::Bounds = machines::Bounds {
        placements: 2,
        disk: true,
        workers: 1,
        ticks: 14,
        placing: 9,
        ahead: 0,
        fair: true,
        hard: None,
        attempt: None,
        patience: None,
        budget: Budget { starts: 2, stops: 1, by_hand: 1, deaths: 1, ..NOTHING },
    };

    /// Dry in both rounds, or slow in one of them.
    pub(crate) const WALK: machines::Bounds = machines::Bounds {
        placements: 2,
        workers: 1,
        ticks: 8,
        ahead: 0,
        attempt: Some(2),
        patience: Some(4),
        budget: Budget { starts: 1, stops: 1, stock_outs: 4, ..NOTHING },
        ..FENCING
    };

    pub(crate) const LATE: machines::Bounds = machines::Bounds {
        ticks: 12,
        attempt: Some(2),
        budget: Budget { starts: 1, stops: 1, stock_outs: 2, lates: 1, ..NOTHING },
        ..STRAYS
    };

    pub(crate) const INTERRUPTED: machines::Bounds = machines::Bounds {
        placements: 2,
        disk: true,
        workers: 1,
        ticks: 6,
        ahead: 0,
        budget: Budget { starts: 1, stops: 1, preemptions: 1, ..NOTHING },
        ..FENCING
    };

    pub(crate) const GONE: machines::Bounds =
        machines::Bounds { budget: Budget { starts: 1, stops: 1, gone: 1, consents: 1, ..NOTHING }, ..INTERRUPTED };

    pub(crate) const USE: usage::Bounds = usage::Bounds {
        ticks: 12,
        idle: 3,
        arrival: 2,
        silence: 5,
        drain: 2,
        hard: 10,
        sweep_every: 1,
        works: 1,
        persons: 1,
        extends: 0,
        lates: 1,
    };

    pub(crate) const EXTENSIONS: usage::Bounds = usage::Bounds { extends: 1, lates: 0, ..USE };

    pub(crate) const SLOW_SWEEPS: usage::Bounds =
        usage::Bounds { ticks: 16, idle: 4, drain: 4, hard: 14, sweep_every: 2, lates: 0, ..USE };

    pub(crate) const UNWRITTEN: usage::Bounds =
        usage::Bounds { ticks: 40, idle: 20, arrival: 20, silence: 4, hard: 34, works: 0, persons: 2, lates: 0, ..USE };
}

#[test]
fn runs_and_their_calls_are_fenced_from_each_other() {
    walk("fencing", Machines::new(bounds::FENCING, Rules::default()), 500_000);
}

#[test]
fn hands_and_preemptions_break_no_law() {
    walk("google", Machines::new(bounds::GOOGLE, Rules::default()), 100_000);
}

#[test]
fn one_placement_at_a_time_has_the_disk_and_runs() {
    walk("placements", Machines::new(bounds::PLACEMENTS, Rules::default()), 100_000);
}

#[test]
fn a_boot_that_moves_goes_on_and_one_that_stands_still_or_fails_ends() {
    walk("boots", Machines::new(bounds::BOOTS, Rules::default()), 500_000);
}

#[test]
fn machines_that_nobody_wants_are_stopped_by_sweeps_alone() {
    walk("strays", Machines::new(bounds::STRAYS, Rules::default()), 100_000);
}

#[test]
fn a_walk_gives_up_what_is_slow_begins_again_and_ends() {
    walk("walk", Machines::new(bounds::WALK, Rules::default()), 500_000);
}

#[test]
fn a_start_that_was_given_up_and_comes_up_late_is_stopped() {
    walk("late", Machines::new(bounds::LATE, Rules::default()), 200_000);
}

#[test]
fn an_interrupted_run_is_followed_by_the_next_unless_its_user_has_stopped_it() {
    walk("interrupted", Machines::new(bounds::INTERRUPTED, Rules::default()), 200_000);
}

#[test]
fn the_disk_is_taken_by_force_from_a_zone_that_is_gone_and_from_no_other() {
    walk("gone", Machines::new(bounds::GONE, Rules::default()), 300_000);
}

#[test]
fn a_run_in_use_goes_on_and_an_idle_one_ends() {
    walk("use", Usage::new(bounds::USE, Rules::default()), 300_000);
}

#[test]
fn an_extension_holds_and_the_hard_end_holds_harder() {
    walk("extensions", Usage::new(bounds::EXTENSIONS, Rules::default()), 500_000);
}

#[test]
fn a_sweep_that_comes_late_takes_its_delay_out_of_the_announcement() {
    walk("slow sweeps", Usage::new(bounds::SLOW_SWEEPS, Rules::default()), 300_000);
}

#[test]
fn activity_that_was_not_worth_a_write_still_counts() {
    walk("unwritten", Usage::new(bounds::UNWRITTEN, Rules::default()), 300_000);
}
