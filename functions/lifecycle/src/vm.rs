//! What a VM tells, and what it is told in return. Which VM speaks is in its Google identity token; everything in it
//! is checked against what was declared.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use domain::{Event, Heartbeat, Phase, Record, Timestamp, WhenUsedUp, Workspace};
use platform::identity::GoogleIdentity;
use service::{ApiError, Body, Result};
use wire::{HeartbeatBody, HeartbeatReply, Rfc3339, phase_name, wish_name};

use crate::app::{App, Applied};

/// A VM's word.
#[utoipa::path(post, path = "/vm/heartbeat", request_body = HeartbeatBody,
    responses((status = 200, body = HeartbeatReply), (status = 403, body = wire::Problem), (status = 409, body = wire::Problem)))]
pub(crate) async fn heartbeat(
    State(app): State<App>,
    headers: HeaderMap,
    Body(body): Body<HeartbeatBody>,
) -> Result<Json<HeartbeatReply>> {
    let identity = app.parts.vms.check(&headers).await?;
    let workspace = app.declared(&body.workspace)?;
    let (instance, instance_id) = speaker(&identity, &app.parts.project, workspace)?;
    let beat = read(&body, instance, instance_id, app.parts.clock.now())?;
    let mut applied = app.apply(workspace, Event::Heartbeat(beat)).await?;
    if body.preempted {
        let at = app.parts.clock.now();
        applied = app.apply(workspace, Event::Preempted { instance_id, at }).await?;
    }
    Ok(Json(reply(&applied, workspace)))
}

/// The declared instance that the token speaks for.
fn speaker(identity: &GoogleIdentity, project: &str, workspace: &Workspace) -> Result<(String, u64)> {
    let wrong = |detail: String| ApiError::forbidden("wrong_instance", detail);
    let claim = identity.google.as_ref().map(|google| &google.compute_engine);
    let claim = claim.ok_or_else(|| {
        wrong("The token does not say which VM it belongs to.".into()).hint("Ask the metadata server for format=full.")
    })?;
    if claim.project_id != project {
        return Err(wrong(format!("The VM belongs to project {:?}.", claim.project_id)));
    }
    let placement = workspace.placement(&claim.instance_name);
    let placement = placement.filter(|placement| placement.zone == claim.zone).ok_or_else(|| {
        wrong(format!("{} in {} carries no placement of this workspace.", claim.instance_name, claim.zone))
    })?;
    let id = claim.instance_id.parse().map_err(|_| wrong("The token's instance id is no number.".into()))?;
    Ok((placement.instance.clone(), id))
}

fn read(body: &HeartbeatBody, instance: String, instance_id: u64, now: Timestamp) -> Result<Heartbeat> {
    let unknown = |what: &str, name: &str| {
        ApiError::bad_request("invalid_body", format!("{name:?} is no {what} that is known here."))
    };
    let boot = body.boot.as_ref().map(|boot| boot.report()).transpose();
    Ok(Heartbeat {
        instance,
        instance_id,
        run: body.run,
        comfyui_up: body.comfyui_up,
        reading: body.reading.reading(now).map_err(|name| unknown("signal", &name))?,
        boot: boot.map_err(|name| unknown("boot step", &name))?,
        kept_prompts: body.kept_prompts,
    })
}

fn reply(applied: &Applied, workspace: &Workspace) -> HeartbeatReply {
    let Applied { record, now, .. } = applied;
    let every = workspace.policy.heartbeat_every.0;
    let decisive = matches!(record.phase, Phase::Booting | Phase::Draining);
    HeartbeatReply {
        wish: wish_name(record.wish),
        phase: phase_name(record.phase),
        run: record.run,
        stop_at: record.stop_at.map(Rfc3339),
        hard_stop_at: record.hard_stop_at.map(Rfc3339),
        announce: announcement(record, workspace, *now),
        // While it boots or is about to be stopped somebody waits for every word.
        next_in_seconds: if decisive { (every / 3).max(1) } else { every },
        idle_limit_seconds: workspace.policy.idle_limit.0,
        restore_queue: record.restore_queue,
        interrupted_run: record.interrupted_run,
    }
}

/// What whoever sits in ComfyUI should know.
fn announcement(record: &Record, workspace: &Workspace, now: Timestamp) -> String {
    let Some(ends) = record.drain_ends_at.filter(|_| record.phase == Phase::Draining) else {
        let stops_when_idle = workspace.policy.budget.when_used_up == WhenUsedUp::NextIdle;
        if record.phase == Phase::Ready && stops_when_idle && record.is_beyond_its_budget(now, workspace) {
            return "This month's budget is used up. The machine stops as soon as nobody uses it.".to_owned();
        }
        return String::new();
    };
    let minutes = ends.since(now).0.div_ceil(60).max(1);
    let plural = if minutes == 1 { "minute" } else { "minutes" };
    if record.ending == Some(domain::StopReason::Budget) {
        format!("This month's budget is used up. This machine stops in {minutes} {plural} unless you go on working.")
    } else if record.ending == Some(domain::StopReason::HardLimit) {
        format!("This run reaches its longest time and stops in {minutes} {plural}. Your files are kept.")
    } else {
        format!("Nobody seems to be using this machine. It stops in {minutes} {plural} unless you do.")
    }
}
