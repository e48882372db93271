//! What follows from an event: the next record, or the reason why not.

use crate::budget::{BudgetOf, StartRequest, check_extension, check_start};
use crate::calls::{accept_call, announce_call, take_failure};
use crate::cost::MicroUsd;
use crate::ending::{end_run, stop};
use crate::event::Event;
use crate::heartbeat::take_heartbeat;
use crate::idleness::{is_silent, keep_running, move_stop_at, note_activity, write_threshold};
use crate::interruption::{end_and_follow, note_interruption};
use crate::passing::pass_time;
use crate::record::{Activity, BootReport, BootStep, FailureCode, Phase, Record, Run, RunNumber, Signal, StopReason};
use crate::step::{InstanceSeen, InstanceStatus};
use crate::telling::tell;
use crate::time::{Seconds, Timestamp};
use crate::walk::{Outcome, keep_trying_until, next_placement};
use crate::workspace::{Policy, Workspace};

/// What an event leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub next: Record,
    /// Whether `next` differs from the record by enough to be worth a write.
    pub save: bool,
    /// Whether the worker must look at the workspace.
    pub nudge: bool,
    /// The run that this event ended, for the history; saved together with the record.
    pub ended: Option<Run>,
}

/// Why something may not happen, for somebody who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denied {
    /// The machine is on its way down: a start must wait until it is.
    StillStopping,
    /// Only a run that is open can be extended.
    NotReady,
    /// The longest life of a run cannot be extended.
    AtHardLimit,
    /// An extension must be at least a minute and within the hard limit.
    ExtensionOutOfBounds,
    /// The message belongs to another run.
    WrongRun { current: RunNumber },
    /// The message comes from another instance than the one in use.
    WrongInstance,
    /// The month's budget is used up; an admin may start all the same.
    BudgetUsedUp { of: BudgetOf, spent: MicroUsd, limit: MicroUsd },
    /// No start has failed because this zone does not answer.
    NothingToMove,
}

/// Decides what `event`, happening `now`, makes of `record`.
///
/// # Errors
/// When the event may not happen; the record then stays as it is.
pub fn decide(record: &Record, event: Event, now: Timestamp, workspace: &Workspace) -> Result<Decision, Denied> {
    let mut next = record.clone();
    let policy = &workspace.policy;
    let mut ended = None;
    let mut nudge = false;
    match event {
        Event::StartRequested(request) => start(&mut next, &request, now, workspace)?,
        Event::ZoneLost { zone, request } => start_without(&mut next, zone, &request, now, workspace)?,
        Event::StopRequested => ended = stop_for_user(&mut next, now, workspace),
        Event::KeepAlive { person_at } => {
            if let Some(at) = person_at {
                note_activity(&mut next, Activity { at, signal: Signal::Person }, now, policy);
            }
        }
        Event::ExtendRequested { by } => extend(&mut next, by, now, workspace)?,
        Event::Heartbeat(heartbeat) => nudge = take_heartbeat(&mut next, heartbeat, now, workspace)?,
        Event::InstanceSeen(seen) => ended = take_sight(&mut next, &seen, now, workspace),
        Event::CallIntended(action) => announce_call(&mut next, action, now, workspace),
        Event::CallAccepted { operation } => accept_call(&mut next, operation, now, workspace),
        Event::OperationDone => next.call = None,
        Event::OperationFailed(error) => ended = take_failure(&mut next, error, now, workspace),
        Event::Preempted { instance_id, at } => {
            nudge = note_interruption(&mut next, StopReason::Preempted, instance_id, at);
        }
        Event::HostError { instance_id, at } => {
            nudge = note_interruption(&mut next, StopReason::HostError, instance_id, at);
        }
        Event::QueueAgreed { restore } => next.restore_queue = restore,
        Event::NoticeTaken { sequence } => next.notices.retain(|notice| notice.sequence != sequence),
        Event::NoticeReturned { notice, at_least } => {
            next.notices.extend(notice.again(now, at_least));
            // The oldest is the first to be dropped where there are too many.
            next.notices.sort_by_key(|notice| notice.sequence);
        }
        Event::AttemptOverdue => {
            if let Some(walked_on) = record.past_overdue_attempt(now, workspace) {
                next = walked_on;
            }
        }
        Event::SweepDue => {
            ended = pass_time(&mut next, now, workspace);
            let silent = next.phase.is_open() && is_silent(&next, now, policy);
            nudge = silent
                || next.notices.iter().any(|notice| notice.is_due(now))
                || matches!(next.phase, Phase::Placing | Phase::Booting | Phase::Stopping)
                || (next.call.is_some() && !next.phase.expects_machine());
        }
    }
    nudge |= tell(record, &mut next, ended.as_ref(), now, workspace);
    // Here alone, whatever has turned the phase.
    if let Some(run) = ended.as_mut() {
        run.in_phases = record.phase_times(now);
    } else if next.phase != record.phase {
        next.in_phases = record.phase_times(now);
    }
    nudge |= next.phase != record.phase && matches!(next.phase, Phase::Placing | Phase::Stopping);
    let save = worth_saving(record, &next, now, policy);
    Ok(Decision { next, save, nudge, ended })
}

fn start(record: &mut Record, request: &StartRequest, now: Timestamp, workspace: &Workspace) -> Result<(), Denied> {
    match record.phase {
        Phase::Stopping => Err(Denied::StillStopping),
        Phase::Placing => {
            // Whoever asks for more patience gets it.
            let until = keep_trying_until(request, now);
            record.walk.keep_trying_until = record.walk.keep_trying_until.max(until);
            Ok(())
        }
        Phase::Booting => Ok(()),
        Phase::Draining if record.ending == Some(StopReason::HardLimit) => Err(Denied::AtHardLimit),
        Phase::Ready | Phase::Draining => {
            // A person presses this: evidence of use, even where another instance's clock has run ahead of ours.
            note_activity(record, Activity { at: now, signal: Signal::Person }, now, &workspace.policy);
            move_stop_at(record, now + workspace.policy.idle_limit);
            keep_running(record, now);
            Ok(())
        }
        Phase::Stopped | Phase::Failed => {
            let allowance = check_start(record, request, now, workspace)?;
            let beyond_budget = record.budget_is_used_up(now, workspace);
            record.begin_run(now, now, keep_trying_until(request, now), workspace);
            record.placement = next_placement(record, workspace, now);
            record.started_by.clone_from(&request.user);
            record.allowance = allowance;
            record.beyond_budget = beyond_budget;
            Ok(())
        }
    }
}

/// Starts a workspace whose disk may be held in a zone that an admin has said is gone.
fn start_without(
    record: &mut Record,
    zone: String,
    request: &StartRequest,
    now: Timestamp,
    workspace: &Workspace,
) -> Result<(), Denied> {
    let told = record
        .failure
        .as_ref()
        .is_some_and(|failure| failure.code == FailureCode::ZoneGone && failure.zone.as_deref() == Some(zone.as_str()));
    if record.phase != Phase::Failed || !told {
        return Err(Denied::NothingToMove);
    }
    start(record, request, now, workspace)?;
    record.lost_zone = Some(zone);
    Ok(())
}

fn stop_for_user(record: &mut Record, now: Timestamp, workspace: &Workspace) -> Option<Run> {
    match record.phase {
        Phase::Stopped | Phase::Stopping => None,
        Phase::Failed => {
            // The run is over already; its user has read why.
            record.phase = Phase::Stopped;
            record.phase_since = now;
            record.failure = None;
            None
        }
        // Nothing was asked of Google yet, so there is nothing to wait for.
        Phase::Placing if record.calls == 0 && record.call.is_none() => {
            end_run(record, StopReason::User, now, workspace)
        }
        Phase::Placing | Phase::Booting | Phase::Ready | Phase::Draining => {
            stop(record, StopReason::User, now);
            None
        }
    }
}

fn extend(record: &mut Record, by: Seconds, now: Timestamp, workspace: &Workspace) -> Result<(), Denied> {
    let policy = &workspace.policy;
    if !record.phase.is_open() {
        return Err(Denied::NotReady);
    }
    if by < Seconds(60) || by > policy.hard_limit {
        return Err(Denied::ExtensionOutOfBounds);
    }
    if record.ending == Some(StopReason::HardLimit) || record.stop_at.is_some_and(|at| record.hard_stop_at == Some(at))
    {
        return Err(Denied::AtHardLimit);
    }
    check_extension(record, now, workspace)?;
    move_stop_at(record, now + by);
    keep_running(record, now);
    Ok(())
}

fn enter_booting(record: &mut Record, instance_id: u64, now: Timestamp, workspace: &Workspace) {
    record.phase = Phase::Booting;
    record.phase_since = now;
    record.instance_id = Some(instance_id);
    record.bill_what_is_up(now, workspace);
    record.call = None;
    note_up(record, now, workspace);
    let report = BootReport { step: BootStep::Booting, percent: 20, detail: String::new(), failed: false };
    record.boot = record.boot.take().map(|boot| boot.at(report, now));
}

/// The placement in use has a machine, perhaps one that nobody has asked for.
fn note_up(record: &mut Record, now: Timestamp, workspace: &Workspace) {
    if let Some(placement) = record.placement.as_deref().and_then(|name| workspace.placement(name)) {
        record.walk.begin_attempt(placement, now);
        record.walk.end_attempt(&placement.instance, Outcome::Up);
        record.dry_lately.retain(|dry| dry.instance != placement.instance);
    }
}

fn take_sight(record: &mut Record, seen: &InstanceSeen, now: Timestamp, workspace: &Workspace) -> Option<Run> {
    let ours = record.placement.as_ref() == Some(&seen.instance);
    // What is seen while a call may still arrive may be over in a moment: a machine to be stopped is no machine to
    // boot on, and one to be started is not down.
    let settled = !record.call.as_ref().is_some_and(|call| call.is_outstanding(now));
    match (record.phase, seen.status) {
        (Phase::Placing, InstanceStatus::Running) if ours && settled => {
            enter_booting(record, seen.instance_id, now, workspace);
            None
        }
        (Phase::Booting | Phase::Ready | Phase::Draining, status) if ours && status.is_down() => {
            let at_hard_end = record.hard_stop_at.is_some_and(|hard| now >= hard);
            let reason = match record.ending {
                Some(taken) if taken.is_interruption() => taken,
                _ if at_hard_end => StopReason::HardLimit,
                _ => StopReason::MachineStopped,
            };
            end_and_follow(record, reason, now, workspace)
        }
        // The worker sends this when it has seen every instance of the workspace down.
        (Phase::Stopping, status) if status.is_down() && settled => {
            let reason = record.ending.unwrap_or(StopReason::User);
            end_run(record, reason, now, workspace)
        }
        (Phase::Stopped | Phase::Failed, status) if status.is_down() && settled => {
            record.call = None;
            None
        }
        _ => None,
    }
}

/// Whether the difference is more than moments that have moved a little.
fn worth_saving(before: &Record, after: &Record, now: Timestamp, policy: &Policy) -> bool {
    if before == after {
        return false;
    }
    let hard_parts = |record: &Record| Record {
        last_active: None,
        heard_at: None,
        idle_heard_at: None,
        stop_at: None,
        idle: Seconds(0),
        ..record.clone()
    };
    if hard_parts(before) != hard_parts(after) {
        return true;
    }
    // Close to a decision every word counts: it is what the decision will rest on.
    let near = Seconds(policy.heartbeat_every.0 * 2) + write_threshold(policy);
    let decides_soon = after.phase == Phase::Draining || after.stop_at.is_some_and(|at| now + near >= at);
    let moved = |from: Option<Timestamp>, to: Option<Timestamp>| match (from, to) {
        (Some(from), Some(to)) => to.since(from) > write_threshold(policy),
        (from, to) => from != to,
    };
    decides_soon
        || moved(before.stop_at, after.stop_at)
        || moved(before.heard_at, after.heard_at)
        || moved(before.last_active.map(|last| last.at), after.last_active.map(|last| last.at))
}
