//! What the worker does next: wish against reality, one step at a time.
//!
//! The worker sees every instance of the workspace, asks [`next_step`], takes that one step, and asks again. Nothing is
//! remembered between two steps but the record, so a worker that dies is followed by any other.

use crate::event::{Event, OperationError, OperationErrorKind};
use crate::record::{Call, Phase, Record};
use crate::time::{Seconds, Timestamp};
use crate::workspace::{Policy, Workspace};

/// Status of an instance, as far as a decision needs it. Unknown states of Google's count as in transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceStatus {
    /// There is no such instance.
    Missing,
    /// TERMINATED, STOPPED, SUSPENDED: nothing of it runs.
    Down,
    /// PROVISIONING or STAGING: on its way up.
    ComingUp,
    Running,
    /// STOPPING, or anything in between that we do not know.
    InTransition,
    /// Its zone does not answer: nobody knows how it is.
    Unreachable,
}

impl InstanceStatus {
    /// Nothing of it runs, and nothing is under way.
    pub fn is_down(self) -> bool {
        matches!(self, Self::Missing | Self::Down)
    }

    /// It runs, or is about to.
    pub fn is_up(self) -> bool {
        matches!(self, Self::ComingUp | Self::Running)
    }
}

/// An instance of a placement as Compute Engine told of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstanceSeen {
    pub instance: String,
    pub status: InstanceStatus,
    /// Compute Engine's own number; 0 when there is no such instance.
    pub instance_id: u64,
    /// The workspace's data disk is attached to it.
    pub has_disk: bool,
}

/// A call to Compute Engine that changes something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    StartInstance {
        instance: String,
    },
    StopInstance {
        instance: String,
    },
    /// First half of moving the disk.
    DetachDisk {
        instance: String,
    },
    /// Second half of moving the disk.
    AttachDisk {
        instance: String,
    },
    /// Attaches the disk though an instance that cannot be reached may hold it: an admin has said that its zone is gone.
    ForceAttachDisk {
        instance: String,
    },
}

impl Action {
    /// The instance that the call is about.
    pub fn instance(&self) -> &str {
        let (Self::StartInstance { instance }
        | Self::StopInstance { instance }
        | Self::DetachDisk { instance }
        | Self::AttachDisk { instance }
        | Self::ForceAttachDisk { instance }) = self;
        instance
    }
}

/// The worker's next step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Announce this call in the record, then make it.
    Call(Action),
    /// See how the accepted operation of the record's call is doing.
    Follow { operation: String, instance: String },
    /// Look again then, or a little later.
    Wait { until: Timestamp },
    /// Let `decide` take this in.
    Record(Event),
    /// Wish and reality agree.
    Done,
}

/// How often the worker looks at what takes its time.
const LOOK_EVERY: Seconds = Seconds(2);

/// The step that brings reality closer to the record's wish.
///
/// `seen` holds one entry for each placement of the workspace. The order in which a worker gathers the three matters:
/// it loads the record, then reads the clock (`now`), then looks at the machines. With a clock read after the look, a
/// call that arrived in between would count as one that can no longer arrive, and what was seen before it as final.
pub fn next_step(record: &Record, seen: &[InstanceSeen], now: Timestamp, workspace: &Workspace) -> Step {
    let held_up = attend_overdue(record, seen, now, workspace).or_else(|| attend_call(record, seen, now));
    if let Some(step) = held_up {
        return step;
    }
    match record.phase {
        Phase::Placing => place(record, seen, now, workspace),
        Phase::Booting | Phase::Ready | Phase::Draining => watch(record, seen, now, &workspace.policy),
        Phase::Stopping | Phase::Stopped | Phase::Failed => bring_down(record, seen, now, &workspace.policy),
    }
}

/// Walks on from a start that is overdue, unless its machine has come up while nobody looked.
fn attend_overdue(record: &Record, seen: &[InstanceSeen], now: Timestamp, workspace: &Workspace) -> Option<Step> {
    record.past_overdue_attempt(now, workspace)?;
    let up = status_of(seen, record.placement.as_deref()?) == InstanceStatus::Running;
    let accepted = record.call.as_ref().is_some_and(|call| call.operation.is_some());
    match (up, accepted) {
        // Whatever its operation is still waiting for.
        (true, true) => Some(Step::Record(Event::OperationDone)),
        (true, false) => None,
        (false, _) => Some(Step::Record(Event::AttemptOverdue)),
    }
}

/// One call at a time: what was announced may still arrive, what was accepted may still fail.
fn attend_call(record: &Record, seen: &[InstanceSeen], now: Timestamp) -> Option<Step> {
    let Call { action, until, operation, .. } = record.call.as_ref()?;
    let Some(operation) = operation else {
        // Never answered, and too late to arrive now: as if it had not been announced.
        return (now < *until).then_some(Step::Wait { until: *until });
    };
    let instance = action.instance();
    let follow = Step::Follow { operation: operation.clone(), instance: instance.to_owned() };
    let beside = seen.iter().any(|seen| seen.instance != instance && seen.status.is_up());
    match status_of(seen, instance) {
        // Nobody can be asked how it is doing. Whatever comes of it is seen when the zone answers again.
        InstanceStatus::Unreachable => None,
        // What may overtake an accepted start is a stop: of what it brings up in vain, or of a machine beside it.
        status if starts(action) && status.is_up() && (is_given_up(record, action) || beside) => None,
        // Given up with its round, it makes room for the start of the next.
        InstanceStatus::ComingUp if starts(action) && record.walk.waits(now) => {
            Some(Step::Call(Action::StopInstance { instance: instance.to_owned() }))
        }
        _ => Some(follow),
    }
}

/// Nobody waits for what it would bring up any more: the run ends, or walks on.
fn is_given_up(record: &Record, action: &Action) -> bool {
    match record.phase {
        Phase::Stopping | Phase::Stopped | Phase::Failed => true,
        Phase::Placing => record.placement.as_deref() != Some(action.instance()),
        Phase::Booting | Phase::Ready | Phase::Draining => false,
    }
}

fn starts(action: &Action) -> bool {
    matches!(action, Action::StartInstance { .. })
}

fn status_of(seen: &[InstanceSeen], instance: &str) -> InstanceStatus {
    seen.iter().find(|seen| seen.instance == instance).map_or(InstanceStatus::Missing, |seen| seen.status)
}

fn look_again(now: Timestamp) -> Step {
    Step::Wait { until: now + LOOK_EVERY }
}

/// Stops an instance that is up beside the one in use: at most one placement runs. Of one whose zone does not answer
/// nothing is known, and nothing can be done about it.
fn bring_down_others(record: &Record, seen: &[InstanceSeen], now: Timestamp) -> Option<Step> {
    let others = || seen.iter().filter(|seen| record.placement.as_ref() != Some(&seen.instance));
    if let Some(other) = others().find(|seen| seen.status.is_up()) {
        return Some(Step::Call(Action::StopInstance { instance: other.instance.clone() }));
    }
    others().any(|seen| seen.status == InstanceStatus::InTransition).then(|| look_again(now))
}

/// A walk that begins again later is left alone until then; the reaper finds it due.
const WAITED_FOR: Seconds = Seconds(60);

/// Brings the placement in use up: alone, with the disk.
fn place(record: &Record, seen: &[InstanceSeen], now: Timestamp, workspace: &Workspace) -> Step {
    if now.since(record.walk.moved_at(record.phase_since)) >= workspace.policy.placing_limit {
        return Step::Record(Event::SweepDue);
    }
    if let Some(step) = bring_down_others(record, seen, now) {
        return step;
    }
    let target = seen.iter().find(|seen| record.placement.as_ref() == Some(&seen.instance));
    // A machine that has come up meanwhile ends the waiting.
    let is_up = target.is_some_and(|target| target.status.is_up());
    if let Some(until) = record.walk.not_before.filter(|at| now < *at && !is_up) {
        return if until.since(now) > WAITED_FOR { Step::Done } else { Step::Wait { until } };
    }
    let Some(target) = target else { return not_found(record) };
    let patient = now.since(record.walk.moved_at(record.phase_since)) < workspace.policy.zone_silence_limit;
    match target.status {
        InstanceStatus::Missing => not_found(record),
        // Started by hand without its disk: there is nothing on it to work with.
        InstanceStatus::Running if workspace.disk.is_some() && !target.has_disk => {
            Step::Call(Action::StopInstance { instance: target.instance.clone() })
        }
        InstanceStatus::Running => Step::Record(Event::InstanceSeen(target.clone())),
        InstanceStatus::ComingUp | InstanceStatus::InTransition => look_again(now),
        // A machine that was asked for may be up.
        InstanceStatus::Unreachable if record.may_be_coming_up() || patient => look_again(now),
        InstanceStatus::Unreachable => {
            let detail = format!("the zone of {} does not answer", target.instance);
            failed(OperationErrorKind::ZoneDown, detail, Vec::new())
        }
        InstanceStatus::Down => {
            let meanwhile = patient.then(|| look_again(now));
            let moving = workspace.disk.as_ref().and_then(|_| move_disk(record, target, seen, workspace, meanwhile));
            moving.unwrap_or_else(|| Step::Call(Action::StartInstance { instance: target.instance.clone() }))
        }
    }
}

/// The next step of bringing the disk to `target`, all others being down; `None` when it is there, and nowhere else.
///
/// Each step is seen in what both instances say of themselves before the next is taken. Where a zone that may have the
/// disk is silent, `meanwhile` is done as long as there is something to be done: its silence may end.
fn move_disk(
    record: &Record,
    target: &InstanceSeen,
    seen: &[InstanceSeen],
    workspace: &Workspace,
    meanwhile: Option<Step>,
) -> Option<Step> {
    let holder = seen.iter().find(|seen| seen.has_disk && seen.instance != target.instance);
    if let Some(holder) = holder {
        return Some(Step::Call(Action::DetachDisk { instance: holder.instance.clone() }));
    }
    if target.has_disk {
        return None;
    }
    let instance = target.instance.clone();
    let silent: Vec<&InstanceSeen> = seen.iter().filter(|seen| seen.status == InstanceStatus::Unreachable).collect();
    if silent.is_empty() {
        return Some(Step::Call(Action::AttachDisk { instance }));
    }
    let zone = |seen: &&InstanceSeen| workspace.placement(&seen.instance).map(|placement| placement.zone.clone());
    let unvouched = silent.iter().filter_map(zone).find(|zone| record.lost_zone.as_ref() != Some(zone));
    meanwhile.or_else(|| {
        Some(match unvouched {
            Some(zone) => {
                let detail = format!("the data disk may be held in {zone}, which does not answer");
                failed(OperationErrorKind::DiskOutOfReach, detail, vec![zone])
            }
            None => Step::Call(Action::ForceAttachDisk { instance }),
        })
    })
}

fn failed(kind: OperationErrorKind, detail: String, zones: Vec<String>) -> Step {
    Step::Record(Event::OperationFailed(OperationError { kind, detail, zones }))
}

fn not_found(record: &Record) -> Step {
    let name = record.placement.as_deref().unwrap_or("(none)");
    failed(OperationErrorKind::NotFound, format!("the declared instance {name} does not exist"), Vec::new())
}

/// Watches over a machine that is up: it may have gone, or have been joined by another.
fn watch(record: &Record, seen: &[InstanceSeen], now: Timestamp, policy: &Policy) -> Step {
    if let Some(step) = bring_down_others(record, seen, now) {
        return step;
    }
    if record.boot_stands_still(now, policy) {
        return Step::Record(Event::SweepDue);
    }
    match seen.iter().find(|seen| record.placement.as_ref() == Some(&seen.instance)) {
        Some(target) if target.status.is_down() => Step::Record(Event::InstanceSeen(target.clone())),
        Some(target) if target.status == InstanceStatus::InTransition => look_again(now),
        _ => Step::Done,
    }
}

/// Brings every machine of the workspace down, whoever has started it.
fn bring_down(record: &Record, seen: &[InstanceSeen], now: Timestamp, policy: &Policy) -> Step {
    let stopping = record.phase == Phase::Stopping;
    if stopping && now.since(record.phase_since) >= policy.stopping_limit {
        return Step::Record(Event::SweepDue);
    }
    if let Some(up) = seen.iter().find(|seen| seen.status.is_up()) {
        return Step::Call(Action::StopInstance { instance: up.instance.clone() });
    }
    // One that cannot be reached is waited for while the run is being stopped; after that, the reaper sees it come back.
    if seen.iter().any(|seen| !seen.status.is_down() && (stopping || seen.status != InstanceStatus::Unreachable)) {
        return look_again(now);
    }
    let over = record.call.as_ref().is_some_and(|call| !call.is_outstanding(now));
    let mut down = seen.iter().filter(|seen| seen.status.is_down());
    let ours = down.clone().find(|seen| record.placement.as_ref() == Some(&seen.instance));
    match ours.or_else(|| down.next()) {
        Some(any) if stopping || over => Step::Record(Event::InstanceSeen(any.clone())),
        _ => Step::Done,
    }
}
