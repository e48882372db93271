//! What Pub/Sub pushes: nudges for the worker, and Compute Engine's own events.
//!
//! 204 acknowledges. A message that no retry could mend is acknowledged too, with a line in the log: sent back, it would
//! only come again.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use domain::{Event, Workspace};
use serde::Deserialize;
use service::{ApiError, Result};
use wire::{Nudge, PushEnvelope};

use crate::app::App;

/// A nudge: look at a workspace until its wish and reality agree.
#[utoipa::path(post, path = "/push/nudge", responses((status = 204), (status = 503, body = wire::Problem)))]
pub(crate) async fn nudge(
    State(app): State<App>,
    headers: HeaderMap,
    envelope: std::result::Result<Json<PushEnvelope>, JsonRejection>,
) -> Result<StatusCode> {
    app.parts.push.check(&headers).await?;
    let Some(nudge) = payload::<Nudge>(envelope) else { return Ok(StatusCode::NO_CONTENT) };
    match app.workspace(&nudge.workspace) {
        Ok(workspace) => {
            app.worker.attend(&workspace.id).await.map_err(ApiError::unavailable)?;
        }
        Err(_) => tracing::warn!(workspace = nudge.workspace, "a nudge for a workspace that is not declared"),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The parts of an audit log entry that tell which instance it is about, and what befell it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry {
    proto_payload: ProtoPayload,
    resource: Resource,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProtoPayload {
    #[serde(default)]
    method_name: String,
    #[serde(default)]
    resource_name: String,
}

#[derive(Debug, Deserialize)]
struct Resource {
    labels: ResourceLabels,
}

#[derive(Debug, Deserialize)]
struct ResourceLabels {
    #[serde(default)]
    instance_id: String,
}

/// An event of Compute Engine: a hint that reality has changed.
#[utoipa::path(post, path = "/push/compute-events", responses((status = 204), (status = 503, body = wire::Problem)))]
pub(crate) async fn compute_events(
    State(app): State<App>,
    headers: HeaderMap,
    envelope: std::result::Result<Json<PushEnvelope>, JsonRejection>,
) -> Result<StatusCode> {
    app.parts.push.check(&headers).await?;
    let Some(entry) = payload::<LogEntry>(envelope) else { return Ok(StatusCode::NO_CONTENT) };
    let instance = entry.proto_payload.resource_name.rsplit('/').next().unwrap_or_default();
    let Some(workspace) = app.workspaces.values().find(|workspace| workspace.placement(instance).is_some()) else {
        return Ok(StatusCode::NO_CONTENT);
    };
    take_event(&app, workspace, &entry).await?;
    app.worker.attend(&workspace.id).await.map_err(ApiError::unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take_event(app: &App, workspace: &Workspace, entry: &LogEntry) -> Result<()> {
    let method = entry.proto_payload.method_name.as_str();
    tracing::info!(workspace = %workspace.id, method, "Compute Engine tells");
    if method != "compute.instances.preempted" {
        return Ok(());
    }
    if let Ok(instance_id) = entry.resource.labels.instance_id.parse() {
        app.apply(workspace, Event::Preempted { instance_id }).await?;
    }
    Ok(())
}

/// The message in the envelope; `None`, and a line in the log, when there is none that we know.
fn payload<T: for<'de> Deserialize<'de>>(
    envelope: std::result::Result<Json<PushEnvelope>, JsonRejection>,
) -> Option<T> {
    let read = || -> anyhow::Result<T> {
        let Json(envelope) = envelope?;
        let data = base64::engine::general_purpose::STANDARD.decode(&envelope.message.data)?;
        Ok(serde_json::from_slice(&data)?)
    };
    read().map_err(|error| tracing::warn!(%error, "a message that is not understood was dropped")).ok()
}
