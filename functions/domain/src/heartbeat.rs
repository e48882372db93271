//! What the VM's word leads to: how far its boot is, that ComfyUI answers, what is going on.

use crate::decide::Denied;
use crate::event::{Heartbeat, Reading};
use crate::idleness::{first_stop_at, note_activity};
use crate::passing::{announce_or_stop, fail_later};
use crate::record::{Activity, FailureCode, Phase, Record, StepTime};
use crate::time::Timestamp;
use crate::workspace::{Policy, Workspace};

/// Takes in what the VM says; true when the worker must look at the VM.
pub(crate) fn take_heartbeat(
    record: &mut Record,
    beat: Heartbeat,
    now: Timestamp,
    workspace: &Workspace,
) -> Result<bool, Denied> {
    let policy = &workspace.policy;
    if record.placement.as_ref() != Some(&beat.instance) {
        return Err(Denied::WrongInstance);
    }
    if record.instance_id.is_some_and(|id| id != beat.instance_id) {
        return Err(Denied::WrongInstance);
    }
    match beat.run {
        // The VM has just come up and asks which run it serves. What it saw before it knew counts for nothing yet.
        None => return Ok(record.phase == Phase::Placing),
        Some(run) if run != record.run => return Err(Denied::WrongRun { current: record.run }),
        Some(_) => {}
    }
    match record.phase {
        Phase::Booting | Phase::Ready | Phase::Draining => {}
        // A machine on its way down may speak still, and one of the run before may be about to be stopped: only what
        // the worker sees, once no call is outstanding, makes it this run's.
        Phase::Placing => return Ok(true),
        Phase::Stopping | Phase::Stopped | Phase::Failed => return Ok(false),
    }
    if let (Phase::Booting, Some(report)) = (record.phase, beat.boot) {
        if report.failed {
            // The machine has given up, so there is nothing to wait for.
            fail_later(record, FailureCode::BootFailed, Some(report.step), report.detail, now);
            return Ok(false);
        }
        record.boot = record.boot.take().map(|boot| boot.at(report, now));
    }
    record.kept_prompts = beat.kept_prompts.unwrap_or(record.kept_prompts);
    record.working = match beat.reading {
        Reading::Unknown => record.working,
        Reading::Idle { .. } => None,
        Reading::Busy(signal) => Some(signal),
    };
    let activity = match beat.reading {
        Reading::Unknown => None,
        Reading::Idle { last } => last,
        Reading::Busy(signal) => Some(Activity { at: now, signal }),
    };
    if beat.reading != Reading::Unknown {
        record.heard_at = Some(now);
    }
    if let Some(activity) = activity {
        note_activity(record, activity, now, policy);
    }
    if matches!(beat.reading, Reading::Idle { .. }) {
        record.idle_heard_at = Some(now);
    }
    if record.phase == Phase::Booting && beat.comfyui_up {
        enter_ready(record, now, policy);
    }
    announce_or_stop(record, now, workspace);
    Ok(false)
}

fn enter_ready(record: &mut Record, now: Timestamp, policy: &Policy) {
    record.phase = Phase::Ready;
    record.phase_since = now;
    record.ready_at = Some(now);
    record.heard_at = Some(now);
    // What Google has said in `Booting` still holds: the machine is about to go.
    if let Some(mut boot) = record.boot.take() {
        boot.done.push(StepTime { step: boot.step, took: now.since(boot.since) });
        record.usual = boot.done;
    }
    first_stop_at(record, now, policy);
}
