//! Every route, in one list, and what the handlers share.

use std::{path::Path, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, patch, post},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{about, engine::Engine, front, jobs, quirks, socket, uploads, uploads::Uploads, user, user::User};

/// A prompt carries its graph twice; a saved workflow may carry images.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) user: User,
    pub(crate) uploads: Uploads,
    pub(crate) seconds_per_node: f64,
    pub(crate) max_upload_bytes: u64,
    /// Until then, everything is answered 503.
    pub(crate) started_at: Instant,
    /// The end has been asked for.
    pub(crate) stop: CancellationToken,
    /// What is still open now is cut.
    pub(crate) cut: CancellationToken,
}

pub(crate) fn router(app: Arc<App>, frontend: Option<&Path>) -> Router {
    let served = Router::new().merge(api()).merge(internal()).nest("/api", api());
    front::with_page(served, frontend)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&app), quirks::quirks))
        .with_state(app)
}

/// ComfyUI serves all of these at the root and under `/api`.
fn api() -> Router<Arc<App>> {
    Router::new()
        // Jobs
        .route("/ws", get(socket::connect))
        .route("/prompt", get(jobs::remaining).post(jobs::submit))
        .route("/queue", get(jobs::queue).post(jobs::change_queue))
        .route("/history", get(jobs::history).post(jobs::change_history))
        .route("/history/{id}", get(jobs::past_job))
        .route("/jobs", get(jobs::jobs))
        .route("/jobs/cancel", post(jobs::cancel_jobs))
        .route("/jobs/{id}", get(jobs::job))
        .route("/jobs/{id}/cancel", post(jobs::cancel_job))
        .route("/interrupt", post(jobs::interrupt))
        .route("/free", post(about::nothing_to_do))
        // Images; an upload has its own limit, counted as it streams
        .route("/view", get(uploads::view))
        .route("/upload/image", post(uploads::upload).layer(DefaultBodyLimit::disable()))
        .route("/upload/mask", post(uploads::upload).layer(DefaultBodyLimit::disable()))
        // The user's own
        .route("/users", get(user::users))
        .route("/settings", get(user::settings).post(user::change_settings))
        .route("/settings/{id}", get(user::setting).post(user::change_setting))
        .route("/userdata", get(user::list))
        .route("/userdata/{path}", get(user::read).post(user::write).delete(user::delete))
        .route("/userdata/{path}/move/{to}", post(user::rename))
        // What there is, and what there is not
        .route("/system_stats", get(about::system_stats))
        .route("/features", get(about::features))
        .route("/object_info", get(about::object_info))
        .route("/object_info/{class}", get(about::object_info_of))
        .route("/extensions", get(about::extensions))
        .route("/embeddings", get(about::empty_list))
        .route("/models", get(about::model_folders))
        .route("/models/{folder}", get(about::empty_list))
        .route("/experiment/models", get(about::model_folders_with_paths))
        .route("/experiment/models/{folder}", get(about::empty_list))
        .route("/i18n", get(about::empty_object))
        .route("/workflow_templates", get(about::empty_object))
        .route("/global_subgraphs", get(about::empty_object))
        .route("/node_replacements", get(about::empty_object))
}

/// These and the gallery's index stand at the root only.
fn internal() -> Router<Arc<App>> {
    Router::new()
        .route("/internal/logs", get(about::logs))
        .route("/internal/logs/raw", get(about::raw_logs))
        .route("/internal/logs/subscribe", patch(about::nothing_to_do))
        .route("/internal/folder_paths", get(about::empty_object))
        .route("/internal/files/{kind}", get(about::empty_list))
        .route("/templates/index.json", get(about::empty_list))
}
