//! Which turns of a workspace its people are told of, where they want to be.

use crate::budget::step_to_tell;
use crate::notice::{NOTICES_MAX, Notice, NoticeKind};
use crate::record::{FailureCode, Phase, Record, Run, StopReason};
use crate::time::Timestamp;
use crate::walk::{Attempt, Outcome};
use crate::workspace::Workspace;

/// Puts what `before` has turned into into the notices of `next`. True when there is something new to send.
pub(crate) fn tell(
    before: &Record,
    next: &mut Record,
    ended: Option<&Run>,
    now: Timestamp,
    workspace: &Workspace,
) -> bool {
    // Which step of the budget was told is remembered in any case: whoever is told from now on is not told of the past.
    let budget = step_to_tell(next, now, workspace).and_then(|percent| budget_notice(next, percent, now, workspace));
    if !workspace.policy.notify {
        next.notices.clear();
        return false;
    }
    let run_over = ended.and_then(|run| end_of(run, next));
    let no_capacity = (ended.is_none() && before.walk.rounds == 0 && next.walk.rounds > 0)
        .then(|| NoticeKind::NoCapacity { zones: zones_of(&next.walk.attempts), until: next.walk.keep_trying_until });
    let turn = (before.phase != next.phase && ended.is_none()).then(|| turned_to(next)).flatten();
    let news: Vec<(u64, NoticeKind)> = [run_over, no_capacity, turn, budget]
        .into_iter()
        .flatten()
        .map(|kind| (if ended.is_some() { before.run } else { next.run }, kind))
        .collect();
    let any = !news.is_empty();
    for (run, kind) in news {
        next.notices_made += 1;
        next.notices.push(Notice::new(next.notices_made, run, kind, now));
    }
    let excess = next.notices.len().saturating_sub(NOTICES_MAX);
    next.notices.drain(..excess);
    any
}

fn turned_to(next: &Record) -> Option<NoticeKind> {
    match (next.phase, next.ending, next.drain_ends_at) {
        (Phase::Ready, ..) if next.drain_ends_at.is_none() && next.ready_at == Some(next.phase_since) => {
            Some(NoticeKind::Ready { placement: next.placement.clone()?, restarts: next.restarts })
        }
        (Phase::Draining, Some(reason), Some(ends_at)) => Some(NoticeKind::DrainingSoon { reason, ends_at }),
        _ => None,
    }
}

/// What is told of a run that has ended. One that its user took back before it cost anything is not worth a word.
fn end_of(run: &Run, next: &Record) -> Option<NoticeKind> {
    match (run.reason, run.failure) {
        (reason, _) if reason.is_interruption() => Some(NoticeKind::Preempted {
            zone: run.zone.clone(),
            host_error: run.reason == StopReason::HostError,
            restarting: next.phase == Phase::Placing,
        }),
        (_, Some(FailureCode::StockOut)) => Some(NoticeKind::NoCapacity { zones: zones_of(&run.walk), until: None }),
        (StopReason::User, None) if run.billed.0 == 0 => None,
        (reason, failure) => Some(NoticeKind::Stopped {
            reason,
            lasted: run.ended_at.since(run.started_at),
            billed: run.billed,
            cost: run.cost,
            month: next.month.spent,
            failure,
        }),
    }
}

/// The zones without a machine, each once, in the order of the tries.
fn zones_of(attempts: &[Attempt]) -> Vec<String> {
    let mut zones = Vec::new();
    for attempt in attempts.iter().filter(|attempt| matches!(attempt.outcome, Outcome::Dry | Outcome::TimedOut)) {
        if !zones.contains(&attempt.zone) {
            zones.push(attempt.zone.clone());
        }
    }
    zones
}

fn budget_notice(record: &Record, percent: u8, now: Timestamp, workspace: &Workspace) -> Option<NoticeKind> {
    let limit = workspace.policy.budget.monthly?;
    Some(NoticeKind::Budget { percent, spent: record.month_cost(now, workspace).spent, limit })
}
