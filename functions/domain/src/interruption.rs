//! What follows when Google takes a machine away under a run: it ends with its receipt, and the next begins in its place.

use crate::cost::MicroUsd;
use crate::ending::end_run;
use crate::record::{Failure, FailureCode, Phase, Record, Run, StopReason};
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
    if !reason.is_interruption() {
        return end_run(record, reason, now, workspace);
    }
    if let Some(instance) = record.placement.clone() {
        record.walk.end_attempt(&instance, Outcome::Interrupted);
        record.interrupted_run = Some(record.run);
    }
    let interrupted = record.clone();
    let run = end_run(record, reason, now, workspace);
    if interrupted.is_to_go_on(now) {
        restart(record, &interrupted, now, workspace);
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

impl Record {
    /// After so many interruptions in a row only standard placements are tried.
    pub(crate) fn standard_only(&self) -> bool {
        self.restarts > RESTARTS_ANYWHERE_MAX
    }

    /// Which restart in a row the next would be.
    fn next_restart(&self, now: Timestamp) -> u32 {
        let held = self.ready_at.is_some_and(|ready| now.since(ready) >= RESTARTS_FORGOTTEN_AFTER);
        if held { 1 } else { self.restarts + 1 }
    }

    /// Whether another run follows this one, which Google has taken the machine of: not where it was about to stop
    /// anyway, nor where the hard end comes before the next would begin.
    fn is_to_go_on(&self, now: Timestamp) -> bool {
        let wanted = matches!(self.phase, Phase::Booting | Phase::Ready);
        wanted && self.hard_stop_at.is_some_and(|hard| now + back_off(self.next_restart(now)) < hard)
    }
}

/// Begins the next run in the place of the `interrupted` one, which has just ended in `record`, or says why there is none.
fn restart(record: &mut Record, interrupted: &Record, now: Timestamp, workspace: &Workspace) {
    let restarts = interrupted.next_restart(now);
    let mut next = record.clone();
    if let Some(taken) = &interrupted.placement {
        next.note_dry(taken, now);
    }
    let keep_trying_until = interrupted.walk.keep_trying_until.filter(|until| now < *until);
    next.begin_run(now + back_off(restarts), now, keep_trying_until, workspace);
    next.restarts = restarts;
    next.restart_of = Some(interrupted.run);
    next.started_by.clone_from(&interrupted.started_by);
    next.hard_stop_at = interrupted.hard_stop_at;
    // What the interrupted run has cost counts against what its user may spend.
    let spent = record.last_stop.as_ref().map(|last| last.cost.0).unwrap_or_default();
    next.allowance = interrupted.allowance.map(|left| MicroUsd(left.0.saturating_sub(spent)));
    next.beyond_budget = interrupted.beyond_budget;
    // That zone is still gone: nobody has to be asked again.
    next.lost_zone.clone_from(&interrupted.lost_zone);
    next.placement = next_placement(&next, workspace, now);
    if next.placement.is_some() && restarts <= RESTARTS_MAX {
        *record = next;
        return;
    }
    let none = if next.placement.is_none() { ", and no standard placement is declared" } else { "" };
    let detail = format!("Google took the machine back {restarts} times in a row{none}");
    record.phase = Phase::Failed;
    record.failure = Some(Failure { code: FailureCode::Interrupted, detail, zone: None, retry_at: None, step: None });
}
