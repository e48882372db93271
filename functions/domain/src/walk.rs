//! The walk of a run from placement to placement, until one has a machine: which is tried next, what was found, and
//! when a walk that found all of them dry begins again.

use crate::budget::StartRequest;
use crate::record::{Phase, Record};
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

    /// When the walk last came further: the placing limit is for one that stands still, as the booting limit is. A
    /// walk past six placements that are dry takes longer than any of them may.
    pub(crate) fn moved_at(&self, phase_since: Timestamp) -> Timestamp {
        let asked_at = self.attempts.last().map(|last| last.at);
        self.since.max(phase_since).max(asked_at.unwrap_or_default())
    }

    /// Between two rounds, or before a restart that waits.
    pub(crate) fn waits(&self, now: Timestamp) -> bool {
        self.not_before.is_some_and(|at| now < at)
    }
}

/// How long one walk may be kept up.
const KEEP_TRYING_MAX: Seconds = Seconds::hours(48);

/// Until when a walk that is asked for `now` goes on, if its user wants more than one round.
pub(crate) fn keep_trying_until(request: &StartRequest, now: Timestamp) -> Option<Timestamp> {
    request.keep_trying.map(|length| now + length.min(KEEP_TRYING_MAX))
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
        if let Some(placement) = workspace.placement(&instance) {
            // Nobody has been asked where the zone does not answer.
            self.walk.begin_attempt(placement, now);
        }
        self.walk.end_attempt(&instance, outcome);
        self.note_dry(&instance, now);
        // What came up late all the same is stopped, and not reckoned.
        (self.billed_since, self.price) = (None, None);
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

    /// Google was asked for the placement in use, and what came of it is not known yet.
    pub(crate) fn may_be_coming_up(&self) -> bool {
        let last = self.walk.attempts.last().filter(|last| last.outcome == Outcome::Trying);
        last.is_some_and(|last| self.placement.as_ref() == Some(&last.instance))
    }

    pub(crate) fn note_dry(&mut self, instance: &str, now: Timestamp) {
        self.dry_lately.retain(|dry| dry.instance != instance);
        self.dry_lately.push(FoundDry { instance: instance.to_owned(), at: now });
    }

    /// The record walked on from a placement that was asked for, and has had no machine for the attempt limit. The last
    /// of a walk is waited for, until the placing limit.
    pub(crate) fn past_overdue_attempt(&self, now: Timestamp, workspace: &Workspace) -> Option<Self> {
        let attempt = self.walk.attempts.last().filter(|last| last.outcome == Outcome::Trying)?;
        let overdue = self.phase == Phase::Placing
            && self.placement.as_ref() == Some(&attempt.instance)
            && now.since(self.walk.since.max(attempt.at)) >= workspace.policy.attempt_limit;
        let mut walked_on = overdue.then(|| self.clone())?;
        (walked_on.turn(Outcome::TimedOut, Vec::new(), now, workspace) != Turn::Over).then_some(walked_on)
    }
}
