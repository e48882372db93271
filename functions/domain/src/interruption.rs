//! What follows when Google takes a machine away under a run: it ends with its receipt, and the next begins in its place.

use crate::cost::MicroUsd;
use crate::ending::end_run;
use crate::record::{Failure, FailureCode, Phase, Record, Run, RunNumber, StopReason};
use crate::time::{Seconds, Timestamp};
use crate::walk::{Outcome, next_placement};
use crate::workspace::Workspace;

/// Remembers that Google has said it takes the machine back, or that its host broke; true when the worker must look
/// whether it has.
///
/// The word alone stops nothing: it comes by a queue, perhaps from the run before, and an instance keeps its number.
/// Said before this run began, it is no news of it; clocks that differ may let some such word pass all the same.
pub(crate) fn note_interruption(record: &mut Record, reason: StopReason, instance_id: u64, at: Timestamp) -> bool {
    let ours = record.instance_id == Some(instance_id) && record.started_at.is_some_and(|started| at >= started);
    let up = matches!(record.phase, Phase::Booting | Phase::Ready | Phase::Draining);
    if ours && up && record.ending != Some(StopReason::HardLimit) {
        record.ending = Some(reason);
    }
    ours && up
}

/// Ends a run whose machine has gone, and begins the next where Google has taken it and its user wants it up.
pub(crate) fn end_and_follow(
    record: &mut Record,
    reason: StopReason,
    now: Timestamp,
    workspace: &Workspace,
) -> Option<Run> {
    let follows = Interrupted::of(record, reason, now);
    if reason.is_interruption()
        && let Some(instance) = record.placement.clone()
    {
        record.walk.end_attempt(&instance, Outcome::Interrupted);
        record.interrupted_run = Some(record.run);
    }
    let run = end_run(record, reason, now, workspace);
    if let Some(interrupted) = follows {
        interrupted.restart(record, now, workspace);
    }
    run
}

/// Restarts after an interruption that may go to a Spot placement again; those after them go to standard ones.
const RESTARTS_ANYWHERE_MAX: u32 = 3;

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
struct Interrupted {
    run: RunNumber,
    instance: String,
    started_by: Option<String>,
    restarts: u32,
    hard_stop_at: Option<Timestamp>,
    keep_trying_until: Option<Timestamp>,
    allowance: Option<MicroUsd>,
    beyond_budget: bool,
    lost_zone: Option<String>,
}

impl Record {
    /// After so many interruptions in a row only standard placements are tried.
    pub(crate) fn standard_only(&self) -> bool {
        self.restarts > RESTARTS_ANYWHERE_MAX
    }
}

impl Interrupted {
    /// What follows the run of `record`, which Google has taken the machine of, if anything does.
    ///
    /// A run that was about to stop anyway is not begun again, nor one whose hard end comes before the next would begin.
    fn of(record: &Record, reason: StopReason, now: Timestamp) -> Option<Self> {
        let held = record.ready_at.is_some_and(|ready| now.since(ready) >= RESTARTS_FORGOTTEN_AFTER);
        let restarts = if held { 1 } else { record.restarts + 1 };
        let wanted = matches!(record.phase, Phase::Booting | Phase::Ready);
        let in_time = record.hard_stop_at.is_some_and(|hard| now + back_off(restarts) < hard);
        if !(reason.is_interruption() && wanted && in_time) {
            return None;
        }
        Some(Self {
            run: record.run,
            instance: record.placement.clone()?,
            started_by: record.started_by.clone(),
            restarts,
            hard_stop_at: record.hard_stop_at,
            keep_trying_until: record.walk.keep_trying_until.filter(|until| now < *until),
            allowance: record.allowance,
            beyond_budget: record.beyond_budget,
            lost_zone: record.lost_zone.clone(),
        })
    }

    /// Begins the next run in the place of the one that has just ended in `record`, or says why there is none.
    fn restart(self, record: &mut Record, now: Timestamp, workspace: &Workspace) {
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
        // That zone is still gone: nobody has to be asked again.
        next.lost_zone = self.lost_zone;
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
