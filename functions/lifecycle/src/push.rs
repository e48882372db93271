//! What Pub/Sub pushes: the envelope, and the nudges for the worker.
//!
//! 204 acknowledges. A message that no retry could mend is acknowledged too, with a line in the log: sent back, it would
//! only come again.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
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
    match app.declared(&nudge.workspace) {
        Ok(workspace) => {
            app.worker.attend(&workspace.id).await.map_err(ApiError::unavailable)?;
        }
        Err(_) => tracing::warn!(workspace = nudge.workspace, "a nudge for a workspace that is not declared"),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The message in the envelope; `None`, and a line in the log, when there is none that we know.
pub(crate) fn payload<T: for<'de> Deserialize<'de>>(
    envelope: std::result::Result<Json<PushEnvelope>, JsonRejection>,
) -> Option<T> {
    let read = || -> anyhow::Result<T> {
        let Json(envelope) = envelope?;
        let data = base64::engine::general_purpose::STANDARD.decode(&envelope.message.data)?;
        Ok(serde_json::from_slice(&data)?)
    };
    read().map_err(|error| tracing::warn!(%error, "a message that is not understood was dropped")).ok()
}
