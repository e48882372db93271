//! The routes of jobs: `/prompt`, `/queue`, `/history`, `/jobs`, `/interrupt`. They translate; `engine` decides.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    engine::{HISTORY_MAX, Submission, now_ms},
    graph::plan,
    nodes::nodes,
    refusal::Refusal,
    routes::App,
    views,
};

/// `/api/jobs` answers no more than this at once.
const JOBS_PER_PAGE_MAX: usize = 500;
const JOBS_PER_PAGE_DEFAULT: usize = 100;
/// Keys to an account, which ComfyUI uses and does not show.
const SECRETS: [&str; 2] = ["auth_token_comfy_org", "api_key_comfy_org"];

type Shared = State<Arc<App>>;

pub(crate) async fn remaining(State(app): Shared) -> Json<Value> {
    Json(json!({ "exec_info": { "queue_remaining": app.engine.remaining() } }))
}

/// `POST /prompt`. The body is parsed here, so that every refusal has ComfyUI's shape.
pub(crate) async fn submit(State(app): Shared, body: Bytes) -> Result<Json<Value>, Refusal> {
    let submission = submission(&app, &body)?;
    let node_errors = submission.plan.node_errors.clone();
    let job = app.engine.submit(submission)?;
    tracing::info!(job = job.id, number = job.number, nodes = job.plan.steps.len(), "prompt queued");
    Ok(Json(json!({ "prompt_id": job.id, "number": job.number, "node_errors": node_errors })))
}

fn submission(app: &App, body: &[u8]) -> Result<Submission, Refusal> {
    let mut asked: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::of_prompt("invalid_json", "The body is not JSON", &error.to_string()))?;
    let Value::Object(prompt) = asked["prompt"].take() else {
        return Err(Refusal::of_prompt("no_prompt", "No prompt provided", "No prompt provided"));
    };
    let targets: Option<Vec<String>> = serde_json::from_value(asked["partial_execution_targets"].take())
        .map_err(|error| Refusal::of_prompt("invalid_prompt", "Wrong execution targets", &error.to_string()))?;
    let plan = plan(&prompt, targets.as_deref(), &nodes(&app.uploads.names()), app.seconds_per_node)?;
    let mut extra_data = Some(asked["extra_data"].take()).filter(Value::is_object).unwrap_or_else(|| json!({}));
    if asked["client_id"].is_string() {
        extra_data["client_id"] = asked["client_id"].take();
    }
    for secret in SECRETS {
        extra_data.as_object_mut().and_then(|data| data.remove(secret));
    }
    extra_data["create_time"] = json!(now_ms());
    let client = extra_data["client_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    Ok(Submission {
        id: prompt_id(&asked["prompt_id"])?,
        prompt: Value::Object(prompt),
        extra_data,
        client,
        plan,
        bytes: body.len(),
        number: asked["number"].as_f64().map(|number| number as i64),
        front: asked["front"] == true,
    })
}

fn prompt_id(given: &Value) -> Result<String, Refusal> {
    match given {
        Value::Null => Ok(Uuid::new_v4().to_string()),
        Value::String(id) if Uuid::parse_str(id).is_ok_and(|uuid| uuid.to_string() == *id) => Ok(id.clone()),
        _ => Err(Refusal::of_prompt(
            "invalid_prompt_id",
            "prompt_id must be a valid UUID",
            "in lower case, with hyphens",
        )),
    }
}

pub(crate) async fn queue(State(app): Shared) -> Json<Value> {
    Json(views::queue(&app.engine.seen()))
}

/// `{"clear": true}` or `{"delete": [id, …]}`
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Forget {
    #[serde(default)]
    clear: bool,
    delete: Option<Vec<String>>,
}

pub(crate) async fn change_queue(State(app): Shared, Json(forget): Json<Forget>) {
    if forget.clear {
        app.engine.forget_pending(None);
    }
    if let Some(ids) = &forget.delete {
        app.engine.forget_pending(Some(ids));
    }
}

pub(crate) async fn change_history(State(app): Shared, Json(forget): Json<Forget>) {
    if forget.clear {
        app.engine.forget_history(None);
    }
    if let Some(ids) = &forget.delete {
        app.engine.forget_history(Some(ids));
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Window {
    max_items: Option<usize>,
    offset: Option<i64>,
}

/// The newest `max_items`, or those from `offset` on; a negative offset means "the last ones", as in ComfyUI.
pub(crate) async fn history(State(app): Shared, Query(window): Query<Window>) -> Json<Value> {
    let all = app.engine.seen().history;
    let count = window.max_items.unwrap_or(HISTORY_MAX).min(all.len());
    let from = match window.offset.map(usize::try_from) {
        Some(Ok(offset)) => offset,
        _ => all.len() - count,
    };
    Json(views::history(all.iter().skip(from).take(count)))
}

pub(crate) async fn past_job(State(app): Shared, Path(id): Path<String>) -> Json<Value> {
    Json(views::history(app.engine.seen().history.iter().filter(|ended| ended.job.id == id)))
}

#[derive(Debug, Deserialize)]
pub(crate) struct JobsAsked {
    status: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

pub(crate) async fn jobs(State(app): Shared, Query(asked): Query<JobsAsked>) -> Json<Value> {
    let statuses: Vec<&str> = asked.status.iter().flat_map(|status| status.split(',')).collect();
    let limit = asked.limit.unwrap_or(JOBS_PER_PAGE_DEFAULT).min(JOBS_PER_PAGE_MAX);
    Json(views::jobs(&app.engine.seen(), &statuses, asked.offset.unwrap_or_default(), limit))
}

pub(crate) async fn job(State(app): Shared, Path(id): Path<String>) -> Response {
    match views::job(&app.engine.seen(), &id) {
        Some(job) => Json(job).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "error": "Job not found" }))).into_response(),
    }
}

pub(crate) async fn cancel_job(State(app): Shared, Path(id): Path<String>) -> Json<Value> {
    cancel(&app, &[id])
}

#[derive(Debug, Deserialize)]
pub(crate) struct CancelAsked {
    job_ids: Vec<String>,
}

pub(crate) async fn cancel_jobs(State(app): Shared, Json(asked): Json<CancelAsked>) -> Json<Value> {
    cancel(&app, &asked.job_ids)
}

/// Waiting jobs are taken out, a running one is interrupted, ended ones stay as they are.
fn cancel(app: &App, ids: &[String]) -> Json<Value> {
    app.engine.forget_pending(Some(ids));
    for id in ids {
        app.engine.interrupt(Some(id));
    }
    Json(json!({ "cancelled": ids }))
}

/// `POST /interrupt`, with nothing or `{"prompt_id": …}`. A body that cannot be read counts as none, as in ComfyUI.
pub(crate) async fn interrupt(State(app): Shared, body: Bytes) {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    app.engine.interrupt(asked["prompt_id"].as_str());
}
