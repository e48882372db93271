//! Laws 1, 5 and 6: a run in use is not stopped, deadlines move forward only, and unknown is active.

use domain::{Phase, Record, Seconds, StopReason, Timestamp};

use super::story::Story;
use super::{Court, Law, ON_ITS_WAY, SLACK};
use crate::history::{Clocked, Why};

pub(crate) const YOUNG_ACTIVITY: Law = "1: nothing is stopped as idle with activity younger than the idle limit";
pub(crate) const TOLD_DEADLINE: Law = "1: nothing is stopped as idle before its deadline";
pub(crate) const CAUSE: Law = "1: a user, the hard end or Google ends a run only where they did";
pub(crate) const FORWARD: Law = "5: deadlines move forward only";
pub(crate) const WITHIN_HARD_END: Law = "5: no deadline lies past the hard end, which does not move";
pub(crate) const RESTARTS: Law = "5: a run that goes on after an interruption keeps its hard end";
pub(crate) const UNKNOWN_IS_ACTIVE: Law = "6: nothing is stopped as idle or silent that was not heard to be";

pub(crate) fn judge_save(story: &Story, before: &Record, court: &mut Court) {
    judge_deadlines(story, before, court);
    let record = &story.record;
    if record.phase == Phase::Stopping && before.phase != Phase::Stopping {
        judge_stop(story, before, court);
    }
    let over = before.phase.expects_machine() && (!record.phase.expects_machine() || record.run != before.run);
    if let Some(last) = record.last_stop.as_ref().filter(|_| over) {
        judge_cause(story, before, last.reason, record.phase_since, court);
    }
}

fn judge_deadlines(story: &Story, before: &Record, court: &mut Court) {
    let record = &story.record;
    if record.restart_of == Some(before.run) {
        let moved = (record.hard_stop_at != before.hard_stop_at)
            .then(|| format!("run {} goes on in place of run {}, with another hard end", record.run, before.run));
        court.judge(RESTARTS, story.name(), moved);
    }
    if record.run != before.run || !record.phase.expects_machine() || !before.phase.expects_machine() {
        return;
    }
    let back = before.stop_at.zip(record.stop_at).filter(|(from, to)| to < from);
    let back = back
        .map(|(from, to)| format!("stop_at of run {} goes back from {} to {}", record.run, Clocked(from), Clocked(to)));
    court.judge(FORWARD, story.name(), back);
    let past = record.stop_at.zip(record.hard_stop_at).filter(|(stop_at, hard)| stop_at > hard);
    let past =
        past.map(|(stop_at, hard)| format!("stop_at is {} and the hard end {}", Clocked(stop_at), Clocked(hard)));
    // A walk that begins again has had no machine yet: its longest life begins with it.
    let again = record.phase == Phase::Placing && record.walk.rounds > before.walk.rounds && record.restarts == 0;
    let moved =
        if again { record.hard_stop_at < before.hard_stop_at } else { record.hard_stop_at != before.hard_stop_at };
    let moved = moved.then(|| "the hard end has moved".to_owned());
    court.judge(WITHIN_HARD_END, story.name(), past.or(moved));
}

/// A run begins to be stopped.
fn judge_stop(story: &Story, before: &Record, court: &mut Court) {
    let (record, spoken) = (&story.record, &story.spoken);
    let policy = &story.workspace.policy;
    let decided = record.phase_since;
    let Some(reason) = record.ending else { return };
    let idle_limit = match reason {
        StopReason::Idle | StopReason::NeverOpened | StopReason::Silent => Some(policy.idle_limit),
        // Sooner than others, and never while it is used (`domain/src/budget.rs`).
        StopReason::Budget => Some(policy.idle_limit.min(Seconds::minutes(5))),
        _ => None,
    };
    if let Some(idle_limit) = idle_limit {
        let young = spoken.active_at.filter(|at| *at + idle_limit > decided + SLACK);
        let young = young.map(|at| {
            format!(
                "run {} is stopped ({reason:?}) {} after activity that was acknowledged",
                record.run,
                decided.since(at)
            )
        });
        court.judge(YOUNG_ACTIVITY, story.name(), young);
        let early = before.stop_at.filter(|stop_at| *stop_at > decided + SLACK && reason != StopReason::Budget);
        let early = early.map(|at| format!("run {} is stopped, and its deadline was {}", record.run, Clocked(at)));
        court.judge(TOLD_DEADLINE, story.name(), early);
    }
    let lately = |at: Option<Timestamp>, within: Seconds| at.is_some_and(|at| at + within + SLACK > decided);
    let unheard = match reason {
        StopReason::Silent => spoken
            .heard_at
            .filter(|at| *at + policy.silence_limit > decided + SLACK)
            .map(|at| format!("run {} is stopped as silent {} after it was heard", record.run, decided.since(at))),
        StopReason::Idle | StopReason::NeverOpened | StopReason::Budget => {
            let heard = Seconds(policy.heartbeat_every.0 * 2) + ON_ITS_WAY;
            // What was announced as idle and has gone silent since is stopped all the same.
            let silent = !lately(spoken.heard_at, policy.silence_limit);
            let idle = lately(spoken.idle_said_at, heard) || silent;
            (!idle).then(|| format!("run {} is stopped as idle, and has not said so lately", record.run))
        }
        _ => return,
    };
    court.judge(UNKNOWN_IS_ACTIVE, story.name(), unheard);
}

fn judge_cause(story: &Story, before: &Record, reason: StopReason, ended: Timestamp, court: &mut Court) {
    let began = before.started_at.unwrap_or_default();
    let own = before.placement.as_ref().and_then(|name| story.instances.get(name));
    let went = own.and_then(|own| own.went).filter(|(at, _)| *at + SLACK > began);
    let has_cause = match reason {
        StopReason::User => story.stop_asked_at.is_some_and(|at| at + ON_ITS_WAY + SLACK > began),
        StopReason::HardLimit => before.hard_stop_at.is_some_and(|hard| ended + SLACK >= hard),
        StopReason::MachineStopped => went.is_some_and(|(_, why)| why != Why::Run(before.run)),
        StopReason::Preempted | StopReason::HostError => went.is_some(),
        StopReason::StartFailed => story.record.failure.is_some(),
        _ => return,
    };
    let broken = (!has_cause).then(|| format!("run {} is over by {reason:?}, and nothing shows it", before.run));
    court.judge(CAUSE, story.name(), broken);
}
