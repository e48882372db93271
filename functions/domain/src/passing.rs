//! What the passing of time alone leads to: limits that are over, stops that are announced, and those that have been.

use crate::budget::budget_reason;
use crate::ending::{end_run, stop};
use crate::idleness::{hard_reason, idle_reason};
use crate::record::{BootStep, Failure, FailureCode, Phase, Record, Run, StopReason};
use crate::time::{Seconds, Timestamp};
use crate::workspace::{Policy, Workspace};

/// What the passing of time alone leads to.
pub(crate) fn pass_time(record: &mut Record, now: Timestamp, workspace: &Workspace) -> Option<Run> {
    let policy = &workspace.policy;
    let in_phase = now.since(record.phase_since);
    let at_hard_end = record.hard_stop_at.is_some_and(|hard| now >= hard);
    match record.phase {
        Phase::Placing if now.since(record.walk.moved_at(record.phase_since)) >= policy.placing_limit => {
            let detail = boot_detail(record);
            fail_later(record, FailureCode::PlacingTimedOut, None, detail, now);
        }
        Phase::Booting if record.boot_stands_still(now, policy) => {
            let (step, detail) = (record.boot.as_ref().map(|boot| boot.step), boot_detail(record));
            fail_later(record, FailureCode::BootTimedOut, step, detail, now);
        }
        Phase::Stopping if in_phase >= policy.stopping_limit => {
            let detail = "the machine was asked to stop and has not".to_owned();
            let code = FailureCode::StopTimedOut;
            record.failure = Some(Failure { code, detail, zone: None, retry_at: None, step: None });
            let reason = record.ending.unwrap_or(StopReason::User);
            return end_run(record, reason, now, workspace);
        }
        Phase::Placing | Phase::Booting if at_hard_end => {
            stop(record, StopReason::HardLimit, now);
        }
        Phase::Ready | Phase::Draining => announce_or_stop(record, now, workspace),
        _ => {}
    }
    None
}

/// The run has failed, and ends as soon as its machine is down.
pub(crate) fn fail_later(
    record: &mut Record,
    code: FailureCode,
    step: Option<BootStep>,
    detail: String,
    now: Timestamp,
) {
    record.failure = Some(Failure { code, detail, zone: None, retry_at: None, step });
    stop(record, StopReason::StartFailed, now);
}

fn boot_detail(record: &Record) -> String {
    record.boot.as_ref().map(|boot| boot.detail.clone()).unwrap_or_default()
}

/// Announces a stop whose time has come, and stops what has been announced for long enough.
pub(crate) fn announce_or_stop(record: &mut Record, now: Timestamp, workspace: &Workspace) {
    let policy = &workspace.policy;
    match record.phase {
        Phase::Ready => {
            let reason = hard_reason(record, now, policy)
                .or_else(|| idle_reason(record, now, policy))
                .or_else(|| budget_reason(record, now, workspace));
            if let Some((reason, since)) = reason {
                record.phase = Phase::Draining;
                record.phase_since = now;
                record.ending = Some(reason);
                record.drain_ends_at = Some(drain_end(record, since, now, policy));
            }
        }
        Phase::Draining if record.drain_ends_at.is_none_or(|ends| now >= ends) => {
            let announced = record.ending.filter(|ending| !ending.is_interruption());
            if announced == Some(StopReason::HardLimit) {
                stop(record, StopReason::HardLimit, now);
            } else if let Some((reason, _)) = idle_reason(record, now, policy) {
                // Asked again at the end: what was idle when it was announced may have gone silent since. But what was
                // silent and has spoken since was heard within the silence limit.
                let announced = announced.filter(|announced| *announced != StopReason::Silent);
                stop(record, announced.unwrap_or(reason), now);
            } else if budget_reason(record, now, workspace).is_some() {
                stop(record, announced.unwrap_or(StopReason::Budget), now);
            } else if let Some((reason, since)) = hard_reason(record, now, policy) {
                record.ending = Some(reason);
                record.drain_ends_at = Some(drain_end(record, since, now, policy));
            }
        }
        _ => {}
    }
}

/// When a stop that is announced `now`, for a reason that has held since `since`, happens.
///
/// A sweep that came late takes its delay out of the announcement, down to half of it: so an idle run ends within
/// idle limit, drain and one sweep, where sweeps are no further apart than half the drain.
fn drain_end(record: &Record, since: Timestamp, now: Timestamp, policy: &Policy) -> Timestamp {
    let ends = (since + policy.drain).max(now + Seconds(policy.drain.0.div_ceil(2)));
    record.hard_stop_at.map_or(ends, |hard| ends.min(hard.max(now)))
}
