//! What the worker's calls to Compute Engine leave in the record: announced, accepted, failed.
//!
//! A call is announced before it is made, by a save that fails if anything has changed since the worker looked. That is
//! what lets two workers at once, or one that comes back from the dead, do no harm without a lock.

use crate::ending::end_run;
use crate::event::{OperationError, OperationErrorKind};
use crate::record::{Call, Failure, FailureCode, Phase, Record, Run, StopReason};
use crate::step::Action;
use crate::time::{Seconds, Timestamp};
use crate::walk::{Outcome, Turn};
use crate::workspace::Workspace;

/// Clocks of two instances of a function may differ by this much; a call counts as possible for so much longer.
const CLOCK_SKEW_MAX: Seconds = Seconds(10);

/// The call is about to be made: nobody makes another until it is answered, or can no longer arrive.
pub(crate) fn announce_call(record: &mut Record, action: Action, now: Timestamp, workspace: &Workspace) {
    if let (Action::StartInstance { instance }, Phase::Placing) = (&action, record.phase)
        && let Some(placement) = workspace.placement(instance)
    {
        record.walk.begin_attempt(placement, now);
    }
    if let Action::StopInstance { instance } = &action
        && record.placement.as_ref() == Some(instance)
        && record.started_at.is_some()
    {
        // Found up and stopped, perhaps before anybody has heard that its start was taken.
        record.bill_what_is_up(now, workspace);
    }
    let repeats = record.call.as_ref().is_some_and(|before| before.action == action && before.operation.is_none());
    record.calls += 1;
    record.call = Some(Call {
        repeats,
        action,
        sequence: record.calls,
        announced_at: now,
        until: now + workspace.policy.call_limit + CLOCK_SKEW_MAX,
        operation: None,
    });
}

impl Record {
    /// The machine of the placement in use is up. Where the answer to its start was lost, it has been for some time, and
    /// is billed from when that was announced.
    pub(crate) fn bill_what_is_up(&mut self, now: Timestamp, workspace: &Workspace) {
        if self.billed_since.is_some() {
            return;
        }
        let is_its_start = |action: &Action| matches!(action, Action::StartInstance { instance } if self.placement.as_ref() == Some(instance));
        let asked_at = self.call.as_ref().filter(|call| is_its_start(&call.action)).map(|call| call.announced_at);
        self.begin_billing(asked_at.unwrap_or(now), workspace);
    }
}

/// After a call that went wrong in a way that may pass, the next is made no sooner.
const CALL_AGAIN_AFTER: Seconds = Seconds(10);

/// Compute Engine has accepted the announced call.
pub(crate) fn accept_call(record: &mut Record, operation: String, now: Timestamp, workspace: &Workspace) {
    let Some(call) = record.call.as_mut() else { return };
    call.operation = Some(operation);
    // Not where the walk has gone on meanwhile.
    let in_use = record.placement.as_deref() == Some(call.action.instance());
    if in_use && matches!(call.action, Action::StartInstance { .. }) {
        record.begin_billing(now, workspace);
    }
}

/// The announced call was refused, or its operation has gone wrong.
pub(crate) fn take_failure(
    record: &mut Record,
    error: OperationError,
    now: Timestamp,
    workspace: &Workspace,
) -> Option<Run> {
    // A call that can no longer arrive is not what has failed: the worker tells of something it has seen.
    let failed = record.call.take().filter(|call| call.is_outstanding(now));
    let action = failed.as_ref().map(|call| &call.action);
    let starting = matches!(action, Some(Action::StartInstance { .. }));
    if starting && record.instance_id.is_none() {
        record.billed_since = None;
        record.price = None;
    }
    let elsewhere = action.is_some_and(|action| record.placement.as_deref() != Some(action.instance()));
    if starting && (elsewhere || record.phase != Phase::Placing || record.walk.waits(now)) {
        // A start that nobody waits for any more.
        return None;
    }
    // Where this run has made no call yet, the call was the run before's.
    let beside_the_point = record.phase != Phase::Placing
        || (failed.is_some() && record.calls == 0)
        || matches!(action, Some(Action::StopInstance { .. }))
        // The disk's old zone has nothing to say of the new one.
        || (elsewhere && matches!(error.kind, OperationErrorKind::StockOut | OperationErrorKind::ZoneDown));
    let OperationError { kind, detail, zones } = error;
    let zone = match kind {
        OperationErrorKind::DiskOutOfReach => zones.first().cloned(),
        _ => record.placement.as_deref().and_then(|name| workspace.placement(name)).map(|place| place.zone.clone()),
    };
    let code = match kind {
        _ if beside_the_point => return call_again_later(record, failed, now),
        OperationErrorKind::Transient => return call_again_later(record, failed, now),
        // Refused because it was done already, perhaps: whoever looks next sees where the disk is.
        OperationErrorKind::Refused if !starting && failed.as_ref().is_some_and(|call| call.repeats) => {
            return call_again_later(record, failed, now);
        }
        OperationErrorKind::StockOut | OperationErrorKind::ZoneDown => {
            let dry = kind == OperationErrorKind::StockOut;
            let outcome = if dry { Outcome::Dry } else { Outcome::TimedOut };
            if record.turn(outcome, zones, now, workspace) != Turn::Over {
                return None;
            }
            if dry { FailureCode::StockOut } else { FailureCode::PlacingTimedOut }
        }
        OperationErrorKind::DiskOutOfReach => FailureCode::ZoneGone,
        OperationErrorKind::Quota => FailureCode::Quota,
        OperationErrorKind::Permission => FailureCode::Permission,
        OperationErrorKind::NotFound => FailureCode::NotFound,
        OperationErrorKind::Refused => FailureCode::Refused,
    };
    if let Some(refused) = record.placement.clone() {
        record.walk.end_attempt(&refused, Outcome::Refused);
    }
    let retry_at = (code == FailureCode::StockOut).then(|| now + workspace.policy.stock_out_retry);
    record.failure = Some(Failure { code, detail, zone, retry_at, step: None });
    end_run(record, StopReason::StartFailed, now, workspace)
}

/// Leaves the failed call standing for a while: as long as it stands, nobody makes the next.
fn call_again_later(record: &mut Record, failed: Option<Call>, now: Timestamp) -> Option<Run> {
    record.call = failed.map(|call| Call { operation: None, until: now + CALL_AGAIN_AFTER, ..call });
    None
}
