//! Compute Engine's own events, as its audit log tells them: hints that reality has changed.
//!
//! They come late, twice, out of order or never, so they say where to look and not what to do; the worker looks. The only
//! words that count by themselves are that Google takes a Spot machine back, and that a host broke under a machine: the
//! machine does not show either afterwards.
//!
//! An instance is known by its name and zone, which are declared, and by its number, which the record keeps while a run
//! is up: the same name with another number is an instance that was replaced, and what befell it is nobody's news.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use domain::{Event, Record, Workspace};
use futures_util::{StreamExt, TryStreamExt, stream};
use service::{ApiError, Result};
use wire::PushEnvelope;

use crate::app::App;
use crate::log_entry::{LogEntry, Place, Tells};
use crate::push::payload;

/// Records that are read for an entry that names no instance; more would make a stray message dear.
const RECORDS_MAX: usize = 100;
/// Of these, at once.
const LOADS_AT_ONCE: usize = 16;

/// An event of Compute Engine: a hint that reality has changed.
#[utoipa::path(post, path = "/push/compute-events", responses((status = 204), (status = 503, body = wire::Problem)))]
pub(crate) async fn compute_events(
    State(app): State<App>,
    headers: HeaderMap,
    envelope: std::result::Result<Json<PushEnvelope>, JsonRejection>,
) -> Result<StatusCode> {
    app.parts.push.check(&headers).await?;
    let Some(entry) = payload::<LogEntry>(envelope) else { return Ok(StatusCode::NO_CONTENT) };
    if let Some(workspace) = concerned(&app, &entry).await? {
        entry.log(workspace.id.as_str(), "Compute Engine tells");
        take(&app, &workspace, &entry).await?;
        app.worker.attend(&workspace.id).await.map_err(ApiError::unavailable)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Takes in what the entry alone knows.
async fn take(app: &App, workspace: &Workspace, entry: &LogEntry) -> Result<()> {
    let Some(instance_id) = entry.instance_id() else { return Ok(()) };
    let at = entry.at().unwrap_or_else(|| app.parts.clock.now());
    let event = match entry.tells() {
        Tells::Preempted => Event::Preempted { instance_id, at },
        Tells::HostError => Event::HostError { instance_id, at },
        _ => return Ok(()),
    };
    app.apply(workspace, event).await?;
    Ok(())
}

/// The workspace that the entry is news to, if it is to any.
async fn concerned(app: &App, entry: &LogEntry) -> Result<Option<Arc<Workspace>>> {
    if entry.is_of_another_project(&app.parts.project) {
        return Ok(None);
    }
    let Some(place) = entry.place() else { return in_use(app, entry).await };
    // What is not declared is not ours: nothing is read for it.
    let Some(workspace) = app.workspaces.values().find(|workspace| declares(workspace, place)) else {
        return Ok(None);
    };
    let record = app.look(workspace).await?.record;
    if is_of_another_instance(&record, place, entry) {
        entry.log(workspace.id.as_str(), "Compute Engine tells of an instance that was replaced; nothing to do");
        return Ok(None);
    }
    Ok(Some(Arc::clone(workspace)))
}

fn declares(workspace: &Workspace, place: Place<'_>) -> bool {
    workspace.placement(place.instance).is_some_and(|placement| placement.zone == place.zone)
}

/// The record's own placement, and another instance than the one in use. Unless it has come in the place of that: then
/// it is worth a look.
fn is_of_another_instance(record: &Record, place: Place<'_>, entry: &LogEntry) -> bool {
    let own = record.placement.as_deref() == Some(place.instance);
    let differs = record.instance_id.zip(entry.instance_id()).is_some_and(|(known, told)| known != told);
    own && differs && entry.tells() != Tells::Replaced
}

/// The workspace that uses the instance of this number, where the entry does not say its name.
async fn in_use(app: &App, entry: &LogEntry) -> Result<Option<Arc<Workspace>>> {
    let Some(instance_id) = entry.instance_id() else { return Ok(None) };
    let in_zone = |workspace: &Workspace| {
        entry.zone().is_none_or(|zone| workspace.placements.iter().any(|placement| placement.zone == zone))
    };
    let candidates: Vec<_> = app.workspaces.values().filter(|workspace| in_zone(workspace)).cloned().collect();
    if candidates.len() > RECORDS_MAX {
        tracing::warn!(
            instance_id,
            "an event names no instance; of {} workspaces {RECORDS_MAX} are asked",
            candidates.len()
        );
    }
    let using = stream::iter(candidates.into_iter().take(RECORDS_MAX))
        .map(|workspace| async move {
            let record = app.look(&workspace).await?.record;
            Ok::<_, ApiError>((record.instance_id == Some(instance_id)).then_some(workspace))
        })
        .buffer_unordered(LOADS_AT_ONCE)
        .try_filter_map(async |found| Ok(found));
    std::pin::pin!(using).try_next().await
}
