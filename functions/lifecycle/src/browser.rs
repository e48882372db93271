//! What a browser asks for. Each handler: who is asking, one call, the view.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{Act, Event, MicroUsd, Role, Seconds, StartRequest, Ticket, Timestamp, Workspace};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use service::{ApiError, Body, OptionalBody, Result, SignedIn};
use wire::{
    ExtendBody, KeepAliveBody, MoveDiskBody, PreferencesBody, Rfc3339, RunView, RunsReply, StartBody, TicketClaims,
    TicketReply, WorkspaceView, WorkspacesReply,
};

use crate::app::{App, Applied, LOADS_AT_ONCE};

/// Runs on one page of the history.
const RUNS_PER_PAGE: usize = 20;
const RUNS_PER_PAGE_MAX: usize = 100;

/// All workspaces that are there for whoever asks.
#[utoipa::path(get, path = "/api/workspaces", responses((status = 200, body = WorkspacesReply)))]
pub(crate) async fn list(user: SignedIn, State(app): State<App>) -> Result<Json<WorkspacesReply>> {
    let all: Vec<_> = app.workspaces_of(&user).cloned().collect();
    let workspaces = stream::iter(all)
        .map(|workspace| {
            let app = app.clone();
            async move { Ok::<_, ApiError>(view(&app, &workspace, &app.look(&workspace).await?)) }
        })
        .buffered(LOADS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(Json(WorkspacesReply { workspaces }))
}

/// One workspace; 304 while nothing that the page shows has changed.
#[utoipa::path(get, path = "/api/workspaces/{id}", params(("id" = String, Path)),
    responses((status = 200, body = WorkspaceView), (status = 304), (status = 404, body = wire::Problem)))]
pub(crate) async fn show(
    user: SignedIn,
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let workspace = app.workspace(&user, &id)?;
    let view = view(&app, workspace, &app.look(workspace).await?);
    let tag = etag(&view);
    let fresh = headers.get(header::IF_NONE_MATCH).is_some_and(|seen| seen == tag);
    let mut response = if fresh { StatusCode::NOT_MODIFIED.into_response() } else { Json(view).into_response() };
    response.headers_mut().insert(header::ETAG, tag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// Start, or keep running what is about to stop.
#[utoipa::path(post, path = "/api/workspaces/{id}/start", params(("id" = String, Path)), request_body = Option<StartBody>,
    responses((status = 202, body = WorkspaceView), (status = 409, body = wire::Problem)))]
pub(crate) async fn start(
    user: SignedIn,
    State(app): State<App>,
    Path(id): Path<String>,
    OptionalBody(body): OptionalBody<StartBody>,
) -> Result<(StatusCode, Json<WorkspaceView>)> {
    user.require(Act::Use)?;
    let keep_trying = body.keep_trying_minutes.map(keep_trying).transpose()?;
    let workspace = app.workspace(&user, &id)?;
    let request = StartRequest { keep_trying, ..start_request(&app, &user, workspace).await? };
    wish(&user, &app, &id, Event::StartRequested(request)).await
}

/// Longest time that a start may go on trying, in minutes.
const KEEP_TRYING_MINUTES_MAX: u32 = 48 * 60;

fn keep_trying(minutes: u32) -> Result<Seconds> {
    if (1..=KEEP_TRYING_MINUTES_MAX).contains(&minutes) {
        return Ok(Seconds::minutes(u64::from(minutes)));
    }
    let detail = format!("keep_trying_minutes is {minutes}; expected 1 to {KEEP_TRYING_MINUTES_MAX}.");
    Err(ApiError::bad_request("invalid_body", detail).hint("Leave it out for a start that tries each placement once."))
}

/// Who asks, and what they have spent, where that is limited.
async fn start_request(app: &App, user: &SignedIn, workspace: &Workspace) -> Result<StartRequest> {
    let is_admin = user.0.role == Role::Admin;
    let counts = workspace.policy.budget.per_user.is_some() && !is_admin;
    let user_spent = if counts { app.spent_by(&user.0.user).await? } else { MicroUsd(0) };
    Ok(StartRequest { user: Some(user.0.user.clone()), is_admin, user_spent, keep_trying: None })
}

/// Stop.
#[utoipa::path(post, path = "/api/workspaces/{id}/stop", params(("id" = String, Path)),
    responses((status = 202, body = WorkspaceView)))]
pub(crate) async fn stop(
    user: SignedIn,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<WorkspaceView>)> {
    wish(&user, &app, &id, Event::StopRequested).await
}

/// Start without the zone that does not answer, though an instance there may hold the data disk.
#[utoipa::path(post, path = "/api/workspaces/{id}/move-disk", params(("id" = String, Path)), request_body = MoveDiskBody,
    responses((status = 202, body = WorkspaceView), (status = 403, body = wire::Problem), (status = 409, body = wire::Problem)))]
pub(crate) async fn move_disk(
    user: SignedIn,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body<MoveDiskBody>,
) -> Result<(StatusCode, Json<WorkspaceView>)> {
    let workspace = app.workspace(&user, &id)?;
    user.require(Act::MoveDisk)?;
    let request = start_request(&app, &user, workspace).await?;
    tracing::warn!(workspace = %workspace.id, user = user.0.user, zone = body.lost_zone, "an admin says that a zone is gone");
    wish(&user, &app, &id, Event::ZoneLost { zone: body.lost_zone, request }).await
}

async fn wish(user: &SignedIn, app: &App, id: &str, event: Event) -> Result<(StatusCode, Json<WorkspaceView>)> {
    user.require(Act::Use)?;
    let workspace = app.workspace(user, id)?;
    let applied = app.apply(workspace, event).await?;
    Ok((StatusCode::ACCEPTED, Json(view(app, workspace, &applied))))
}

/// What the people of a workspace have agreed to.
#[utoipa::path(post, path = "/api/workspaces/{id}/preferences", params(("id" = String, Path)),
    request_body = PreferencesBody, responses((status = 200, body = WorkspaceView)))]
pub(crate) async fn preferences(
    user: SignedIn,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body<PreferencesBody>,
) -> Result<Json<WorkspaceView>> {
    user.require(Act::Use)?;
    let workspace = app.workspace(&user, &id)?;
    let applied = app.apply(workspace, Event::QueueAgreed { restore: body.restore_queue }).await?;
    Ok(Json(view(&app, workspace, &applied)))
}

/// Let idleness stop nothing for some minutes.
#[utoipa::path(post, path = "/api/workspaces/{id}/extend", params(("id" = String, Path)), request_body = ExtendBody,
    responses((status = 200, body = WorkspaceView), (status = 409, body = wire::Problem)))]
pub(crate) async fn extend(
    user: SignedIn,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body<ExtendBody>,
) -> Result<Json<WorkspaceView>> {
    user.require(Act::Use)?;
    let workspace = app.workspace(&user, &id)?;
    let by = Seconds::minutes(u64::from(body.minutes));
    let applied = app.apply(workspace, Event::ExtendRequested { by }).await?;
    Ok(Json(view(&app, workspace, &applied)))
}

/// The page's word that somebody is there.
#[utoipa::path(post, path = "/api/workspaces/{id}/keep-alive", params(("id" = String, Path)),
    request_body = KeepAliveBody, responses((status = 200, body = WorkspaceView)))]
pub(crate) async fn keep_alive(
    user: SignedIn,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(body): Body<KeepAliveBody>,
) -> Result<Json<WorkspaceView>> {
    user.require(Act::Use)?;
    let workspace = app.workspace(&user, &id)?;
    let now = app.parts.clock.now();
    let person_at = person_at(body, now, app.parts.clock.rate())?;
    let applied = app.apply(workspace, Event::KeepAlive { person_at }).await?;
    Ok(Json(view(&app, workspace, &applied)))
}

/// When the person last did something. The browser counts seconds of its own clock.
#[expect(clippy::cast_possible_truncation, reason = "a number too large for the clock is long ago either way")]
fn person_at(body: KeepAliveBody, now: Timestamp, clock_rate: f64) -> Result<Option<Timestamp>> {
    match body.interacted_seconds_ago {
        Some(ago) if ago < 0.0 => {
            Err(ApiError::bad_request("invalid_body", format!("interacted_seconds_ago is {ago}."))
                .hint("Send how many seconds ago the last input was, 0 or more."))
        }
        Some(ago) if body.visible => {
            let millis = (ago * clock_rate * 1000.0) as i64;
            Ok(Some(Timestamp::from_millis(now.millis().saturating_sub(millis))))
        }
        _ => Ok(None),
    }
}

/// A ticket to open the run's ComfyUI.
#[utoipa::path(post, path = "/api/workspaces/{id}/ticket", params(("id" = String, Path)),
    responses((status = 200, body = TicketReply), (status = 409, body = wire::Problem)))]
pub(crate) async fn ticket(
    user: SignedIn,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<TicketReply>> {
    user.require(Act::Use)?;
    let workspace = app.workspace(&user, &id)?;
    let Applied { record, now, .. } = app.look(workspace).await?;
    let ticket_id = uuid::Uuid::new_v4().to_string();
    let ticket = Ticket::grant(ticket_id, &user.0, &record, workspace, now)
        .map_err(|denied| crate::refusal::refuse(denied, &record))?;
    let signed = app.parts.key.sign(&TicketClaims::of(&ticket, &app.parts.gate.issuer))?;
    let url = format!("{}/_enter?ticket={signed}", ticket.origin);
    Ok(Json(TicketReply { url, expires_at: Rfc3339(ticket.expires_at) }))
}

/// Which page of the history.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunsQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<usize>,
    /// Only runs with a smaller number.
    before: Option<u64>,
}

/// The history, newest first.
#[utoipa::path(get, path = "/api/workspaces/{id}/runs", params(("id" = String, Path), RunsQuery),
    responses((status = 200, body = RunsReply)))]
pub(crate) async fn runs(
    user: SignedIn,
    State(app): State<App>,
    Path(id): Path<String>,
    query: std::result::Result<Query<RunsQuery>, QueryRejection>,
) -> Result<Json<RunsReply>> {
    let Query(query) = query.map_err(|rejection| ApiError::bad_request("invalid_query", rejection.body_text()))?;
    let limit = query.limit.unwrap_or(RUNS_PER_PAGE);
    if !(1..=RUNS_PER_PAGE_MAX).contains(&limit) {
        let detail = format!("limit is {limit}; expected 1 to {RUNS_PER_PAGE_MAX}.");
        return Err(ApiError::bad_request("invalid_query", detail));
    }
    let workspace = app.workspace(&user, &id)?;
    // One more than asked for tells whether there is another page.
    let mut runs = app.parts.store.runs(&workspace.id, query.before, limit + 1).await?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().map(|run| run.number).filter(|_| more);
    Ok(Json(RunsReply { runs: runs.into_iter().map(RunView::from).collect(), next }))
}

fn view(app: &App, workspace: &Workspace, applied: &Applied) -> WorkspaceView {
    WorkspaceView::of(&applied.record, workspace, &app.parts.project, applied.now, app.parts.clock.rate())
}

/// Changes when something changes that a page cannot reckon by itself: not with the time, and not with the cents that
/// tick with it.
fn etag(view: &WorkspaceView) -> HeaderValue {
    let mut still = view.clone();
    still.now = Rfc3339(Timestamp::default());
    still.poll_after_ms = 0;
    let cents = |usd: f64| (usd * 100.0).floor();
    still.cost.run_usd = cents(view.cost.run_usd);
    still.cost.month_usd = cents(view.cost.month_usd);
    still.cost.idle_usd = cents(view.cost.idle_usd);
    if let Some(budget) = still.budget.as_mut() {
        budget.spent_usd = cents(budget.spent_usd);
    }
    if let Some(current) = still.boot.as_mut().and_then(|boot| boot.steps.last_mut()) {
        current.seconds = 0;
    }
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(&still).unwrap_or_default().hash(&mut hasher);
    HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish())).unwrap_or(HeaderValue::from_static("\"0\""))
}
