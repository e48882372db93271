//! How a run ends and the next begins: the wish goes, the machine follows, the receipt stays.

use crate::cost::billed;
use crate::phase_times::PhaseTimes;
use crate::record::{Boot, LastStop, Phase, Record, Run, StopReason, Wish};
use crate::time::{Seconds, Timestamp};
use crate::walk::Walk;
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
    record.walk.give_up_attempts();
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
        started_by: record.started_by.clone(),
        restart_of: record.restart_of,
        walk: record.walk.attempts.clone(),
        instance: record.placement.clone(),
        zone: placement.map(|placement| placement.zone.clone()),
        // Filled in where the event is decided, as every turn's is.
        in_phases: PhaseTimes::default(),
        billed: record.billed_since.map_or(Seconds(0), |since| billed(since, now)),
        price: record.price(workspace),
        cost,
        idle_cost: record.idle_cost(now, workspace),
    };
    record.book_to_user(now, workspace);
    record.month = record.month_cost(now, workspace);
    record.last_stop = Some(LastStop { run: record.run, reason, at: now, signal, cost, lasted: now.since(started_at) });
    *record = Record {
        phase: if record.failure.is_some() { Phase::Failed } else { Phase::Stopped },
        phase_since: now,
        placement: record.placement.take(),
        calls: record.calls,
        failure: record.failure.take(),
        // For whoever wants to read how it came to this.
        walk: Walk { attempts: std::mem::take(&mut record.walk.attempts), ..Walk::default() },
        wish: Wish::Stopped,
        ..record.beyond_runs()
    };
    Some(run)
}

impl Record {
    /// What outlives a run.
    fn beyond_runs(&mut self) -> Self {
        Self {
            run: self.run,
            // A call that may still arrive outlives the run, so that the next one waits for it.
            call: self.call.take(),
            dry_lately: std::mem::take(&mut self.dry_lately),
            usual: std::mem::take(&mut self.usual),
            last_stop: self.last_stop.take(),
            month: self.month,
            by_user: std::mem::take(&mut self.by_user),
            budget_told: self.budget_told,
            restore_queue: self.restore_queue,
            interrupted_run: self.interrupted_run,
            kept_prompts: self.kept_prompts,
            notices: std::mem::take(&mut self.notices),
            notices_made: self.notices_made,
            ..Self::default()
        }
    }

    /// Begins the next run: placing, from `begins` on. Where, its caller says.
    pub(crate) fn begin_run(
        &mut self,
        begins: Timestamp,
        now: Timestamp,
        keep_trying_until: Option<Timestamp>,
        workspace: &Workspace,
    ) {
        let mut next = Self {
            wish: Wish::Running,
            phase: Phase::Placing,
            run: self.run + 1,
            phase_since: now,
            started_at: Some(now),
            hard_stop_at: Some(now + workspace.policy.hard_limit),
            boot: Some(Boot { since: now, moved_at: now, ..Boot::default() }),
            walk: Walk { not_before: (begins > now).then_some(begins), ..Walk::beginning(begins, keep_trying_until) },
            ..self.beyond_runs()
        };
        next.dry_lately.retain(|dry| now.since(dry.at) < workspace.policy.dry_for);
        *self = next;
    }
}
