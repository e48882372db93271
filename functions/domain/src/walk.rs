//! The walk of a run from placement to placement, until one has a machine: which is tried next, what was found, and
//! when a walk that found all of them dry begins again.

use crate::cost::MicroUsd;
use crate::record::{Call, Failure, FailureCode, Phase, Record, RunNumber, StopReason};
use crate::step::Action;
use crate::time::{Seconds, Timestamp};
use crate::workspace::{Placement, SpotOrder, Workspace};

/// Tries that a record and a run remember; the page shows them, and the history is reckoned from them.
pub const ATTEMPTS_KEPT_MAX: usize = 32;

/// Zones that one answer of Google's may name and that are remembered.
const ZONES_NAMED_MAX: usize = 16;

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Google has been asked and has not answered yet.
    Trying,
    /// Google has no such machine there at the moment.
    Dry,
    /// No answer within the attempt limit, or a zone that does not answer at all.
    TimedOut,
    /// It carries the run.
    Up,
    /// It carried the run until Google took it back.
    Interrupted,
    /// Google has refused for a reason that trying elsewhere would not mend.
    Refused,
    /// The run was over before there was an answer.
    GivenUp,
}

/// One try of a placement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub instance: String,
    pub zone: String,
    pub spot: bool,
    /// When Google was asked.
    pub at: Timestamp,
    pub outcome: Outcome,
}

/// A placement that had no machine to give, remembered beyond its run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FoundDry {
    pub instance: String,
    pub at: Timestamp,
}

/// How far the walk of a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Walk {
    /// When the current round began, or will.
    pub since: Timestamp,
    /// Placements found without a machine in this round.
    pub tried: Vec<String>,
    /// The last tries, oldest first.
    pub attempts: Vec<Attempt>,
    /// Zones in which Google said last that there are machines.
    pub named: Vec<String>,
    /// Nothing is asked of Google before this moment.
    pub not_before: Option<Timestamp>,
    /// Rounds in which no placement had a machine.
    pub rounds: u32,
    /// The user wants it tried until then.
    pub keep_trying_until: Option<Timestamp>,
}

impl Walk {
    /// A walk whose first round begins at `since`.
    pub(crate) fn beginning(since: Timestamp, keep_trying_until: Option<Timestamp>) -> Self {
        Self { since, keep_trying_until, ..Self::default() }
    }

    /// Remembers that Google is asked for `placement`.
    pub(crate) fn begin_attempt(&mut self, placement: &Placement, at: Timestamp) {
        let asked = self.attempts.last();
        if asked.is_some_and(|last| last.instance == placement.instance && last.outcome == Outcome::Trying) {
            return;
        }
        if self.attempts.len() >= ATTEMPTS_KEPT_MAX {
            self.attempts.remove(0);
        }
        let Placement { instance, zone, spot, .. } = placement;
        let (instance, zone) = (instance.clone(), zone.clone());
        self.attempts.push(Attempt { instance, zone, spot: *spot, at, outcome: Outcome::Trying });
    }

    /// Remembers what came of the last try of `instance`.
    pub(crate) fn end_attempt(&mut self, instance: &str, outcome: Outcome) {
        let last = self.attempts.iter_mut().rev().find(|attempt| attempt.instance == instance);
        if let Some(attempt) = last.filter(|attempt| matches!(attempt.outcome, Outcome::Trying | Outcome::Up)) {
            attempt.outcome = outcome;
        }
    }

    /// Nobody waits for an answer any more.
    pub(crate) fn give_up_attempts(&mut self) {
        for attempt in self.attempts.iter_mut().filter(|attempt| attempt.outcome == Outcome::Trying) {
            attempt.outcome = Outcome::GivenUp;
        }
    }

    /// Since when the current round has been walking.
    pub(crate) fn walking_since(&self, phase_since: Timestamp) -> Timestamp {
        self.since.max(phase_since)
    }
}

/// The gap before the next round, when `rounds` have found every placement dry.
fn gap_after(rounds: u32) -> Seconds {
    const GAPS: [Seconds; 6] = [
        Seconds(30),
        Seconds::minutes(1),
        Seconds::minutes(2),
        Seconds::minutes(4),
        Seconds::minutes(8),
        Seconds::minutes(10),
    ];
    let at = usize::try_from(rounds.saturating_sub(1)).unwrap_or(usize::MAX);
    GAPS[at.min(GAPS.len() - 1)]
}

/// The placement to try next, of those that were not tried in this round.
///
/// One that was dry a short while ago comes last, for a try that fails may take Google 100 seconds to say so. Then Spot
/// or standard as the owner wants it, then the zones in which Google has said that there are machines, then the order in
/// which they were declared.
pub(crate) fn next_placement(record: &Record, workspace: &Workspace, now: Timestamp) -> Option<String> {
    let policy = &workspace.policy;
    let dry = |placement: &Placement| {
        let found = record.dry_lately.iter().find(|dry| dry.instance == placement.instance);
        found.is_some_and(|dry| now.since(dry.at) < policy.dry_for)
    };
    let out_of_turn = |placement: &Placement| match policy.spot {
        SpotOrder::AsDeclared => false,
        SpotOrder::First => !placement.spot,
        SpotOrder::Last => placement.spot,
    };
    let rank_of_zone =
        |placement: &Placement| record.walk.named.iter().position(|zone| *zone == placement.zone).unwrap_or(usize::MAX);
    workspace
        .placements
        .iter()
        .filter(|placement| !record.walk.tried.contains(&placement.instance))
        .filter(|placement| !(placement.spot && record.standard_only()))
        .min_by_key(|placement| (dry(placement), out_of_turn(placement), rank_of_zone(placement)))
        .map(|placement| placement.instance.clone())
}

/// What a walk does when the placement in use has no machine to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Another placement is tried.
    Next,
    /// All were tried, and the walk begins again a while later.
    Again,
    /// All were tried.
    Over,
}

impl Record {
    /// Notes that the placement in use has no machine to give, for `outcome`, and turns to the next.
    pub(crate) fn turn(&mut self, outcome: Outcome, zones: Vec<String>, now: Timestamp, workspace: &Workspace) -> Turn {
        let Some(instance) = self.placement.take() else { return Turn::Over };
        self.walk.end_attempt(&instance, outcome);
        if outcome == Outcome::Dry {
            self.note_dry(&instance, now);
        }
        if !zones.is_empty() {
            self.walk.named = zones.into_iter().take(ZONES_NAMED_MAX).collect();
        }
        if !self.walk.tried.contains(&instance) {
            self.walk.tried.push(instance.clone());
        }
        if let Some(next) = next_placement(self, workspace, now) {
            self.placement = Some(next);
            return Turn::Next;
        }
        self.walk.rounds += 1;
        let Some(until) = self.walk.keep_trying_until.filter(|until| now < *until) else {
            // The failure is told of the placement that was tried last.
            self.placement = Some(instance);
            return Turn::Over;
        };
        let again = (now + gap_after(self.walk.rounds)).min(until);
        self.walk.since = again;
        self.walk.not_before = Some(again);
        self.walk.tried.clear();
        if self.restarts == 0 {
            // No machine was up yet: its longest life begins with it.
            self.hard_stop_at = self.hard_stop_at.max(Some(again + workspace.policy.hard_limit));
        }
        self.placement = next_placement(self, workspace, now).or(Some(instance));
        Turn::Again
    }

    pub(crate) fn note_dry(&mut self, instance: &str, now: Timestamp) {
        self.dry_lately.retain(|dry| dry.instance != instance);
        self.dry_lately.push(FoundDry { instance: instance.to_owned(), at: now });
    }

    /// The record walked on from a placement whose start is overdue: accepted, and not over within the attempt limit.
    /// The last of a walk is waited for, until the placing limit.
    pub(crate) fn past_overdue_attempt(&self, now: Timestamp, workspace: &Workspace) -> Option<Self> {
        let Call { action: Action::StartInstance { instance }, announced_at, operation: Some(_), .. } =
            self.call.as_ref()?
        else {
            return None;
        };
        let asked_at = self.walk.since.max(*announced_at);
        let overdue =
            self.placement.as_ref() == Some(instance) && now.since(asked_at) >= workspace.policy.attempt_limit;
        if !overdue || self.phase != Phase::Placing {
            return None;
        }
        let mut walked_on = self.clone();
        (walked_on.turn(Outcome::TimedOut, Vec::new(), now, workspace) != Turn::Over).then_some(walked_on)
    }

    /// After this many interruptions in a row only standard placements are tried.
    pub(crate) fn standard_only(&self) -> bool {
        self.restarts > RESTARTS_ANYWHERE_MAX
    }
}

/// Restarts after an interruption that may go to a Spot placement again; those after them go to standard ones.
pub(crate) const RESTARTS_ANYWHERE_MAX: u32 = 3;

/// Restarts after interruptions in all, before somebody must press Start again.
const RESTARTS_MAX: u32 = 6;

/// A run that was ready for this long before it was interrupted begins the counting anew.
const RESTARTS_FORGOTTEN_AFTER: Seconds = Seconds::hours(1);

/// How long the `restart`-th restart in a row waits: the first not at all.
fn back_off(restart: u32) -> Seconds {
    match restart {
        0 | 1 => Seconds(0),
        2 => Seconds::minutes(1),
        _ => Seconds::minutes(5),
    }
}

/// What is handed on from an interrupted run to the one that follows it.
#[derive(Clone, Debug)]
pub(crate) struct Interrupted {
    run: RunNumber,
    instance: String,
    started_by: Option<String>,
    restarts: u32,
    hard_stop_at: Option<Timestamp>,
    keep_trying_until: Option<Timestamp>,
    allowance: Option<MicroUsd>,
    beyond_budget: bool,
}

impl Interrupted {
    /// What follows the run of `record`, which Google has taken the machine of, if anything does.
    ///
    /// A run that was about to stop anyway is not begun again, nor one whose hard end has come.
    pub(crate) fn of(record: &Record, reason: StopReason, now: Timestamp) -> Option<Self> {
        let taken = matches!(reason, StopReason::Preempted | StopReason::HostError);
        let wanted = matches!(record.phase, Phase::Booting | Phase::Ready);
        let in_time = record.hard_stop_at.is_some_and(|hard| now < hard);
        if !(taken && wanted && in_time) {
            return None;
        }
        let held = record.ready_at.is_some_and(|ready| now.since(ready) >= RESTARTS_FORGOTTEN_AFTER);
        Some(Self {
            run: record.run,
            instance: record.placement.clone()?,
            started_by: record.started_by.clone(),
            restarts: if held { 1 } else { record.restarts + 1 },
            hard_stop_at: record.hard_stop_at,
            keep_trying_until: record.walk.keep_trying_until.filter(|until| now < *until),
            allowance: record.allowance,
            beyond_budget: record.beyond_budget,
        })
    }

    /// Begins the next run in the place of the one that has just ended in `record`, or says why there is none.
    pub(crate) fn restart(self, record: &mut Record, now: Timestamp, workspace: &Workspace) {
        let begins = now + back_off(self.restarts);
        let mut next = record.clone();
        next.note_dry(&self.instance, now);
        next.begin_run(begins, now, self.keep_trying_until, workspace);
        next.restarts = self.restarts;
        next.restart_of = Some(self.run);
        next.started_by = self.started_by;
        next.hard_stop_at = self.hard_stop_at;
        // What the interrupted run has cost counts against what its user may spend.
        let spent = record.last_stop.as_ref().map(|last| last.cost.0).unwrap_or_default();
        next.allowance = self.allowance.map(|left| MicroUsd(left.0.saturating_sub(spent)));
        next.beyond_budget = self.beyond_budget;
        // Asked again: how many restarts there were bears on it.
        next.placement = next_placement(&next, workspace, now);
        if next.placement.is_some() && self.restarts <= RESTARTS_MAX {
            *record = next;
            return;
        }
        let detail = format!(
            "Google took the machine back {} times in a row{}",
            self.restarts,
            if next.placement.is_none() { ", and no standard placement is declared" } else { "" }
        );
        record.phase = Phase::Failed;
        record.failure =
            Some(Failure { code: FailureCode::Interrupted, detail, zone: None, retry_at: None, step: None });
    }
}
