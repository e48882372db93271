//! How a run ends: the wish goes, the machine follows, the receipt stays.

use crate::cost::billed;
use crate::phase_times::PhaseTimes;
use crate::record::{LastStop, Phase, Record, Run, StopReason, Wish};
use crate::time::{Seconds, Timestamp};
use crate::workspace::Workspace;

/// The run is to end: from here on only the machine has to follow.
pub(crate) fn stop(record: &mut Record, reason: StopReason, now: Timestamp) {
    record.wish = Wish::Stopped;
    record.phase = Phase::Stopping;
    record.phase_since = now;
    record.drain_ends_at = None;
    record.ending = Some(reason);
}

/// The run has ended: writes its receipt and leaves the record stopped, or failed where a failure ended it.
pub(crate) fn end_run(record: &mut Record, reason: StopReason, now: Timestamp, workspace: &Workspace) -> Option<Run> {
    let started_at = record.started_at?;
    let placement = record.placement.as_deref().and_then(|instance| workspace.placement(instance));
    let signal = record.last_active.map(|activity| activity.signal);
    let cost = record.run_cost(now, workspace);
    let run = Run {
        number: record.run,
        started_at,
        ready_at: record.ready_at,
        ended_at: now,
        reason,
        signal,
        failure: record.failure.as_ref().map(|failure| failure.code),
        instance: record.placement.clone(),
        zone: placement.map(|placement| placement.zone.clone()),
        // Filled in where the event is decided, as every turn's is.
        in_phases: PhaseTimes::default(),
        billed: record.billed_since.map_or(Seconds(0), |since| billed(since, now)),
        price: record.price(workspace),
        cost,
        idle_cost: record.idle_cost(now, workspace),
    };
    record.month = record.month_cost(now, workspace);
    record.last_stop = Some(LastStop { run: record.run, reason, at: now, signal, cost, lasted: now.since(started_at) });
    *record = Record {
        phase: if record.failure.is_some() { Phase::Failed } else { Phase::Stopped },
        run: record.run,
        phase_since: now,
        placement: record.placement.take(),
        // A call that may still arrive outlives the run, so that the next one waits for it.
        call: record.call.take(),
        calls: record.calls,
        usual: std::mem::take(&mut record.usual),
        last_stop: record.last_stop.take(),
        failure: record.failure.take(),
        month: record.month,
        wish: Wish::Stopped,
        ..Record::default()
    };
    Some(run)
}
