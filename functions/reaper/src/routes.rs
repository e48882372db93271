//! Every route of reaper, in one list.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use service::{Limits, Result, protect};

use crate::app::App;
use crate::sweep::SweepReport;

/// The routes behind the service's limits.
pub fn router(app: App, limits: Limits) -> Router {
    protect(routes(app).route("/healthz", get(|| async { "ok" })), limits)
}

/// The routes without limits and without `/healthz`, to be merged with others behind one set of limits.
pub fn routes(app: App) -> Router {
    Router::new()
        // For Cloud Scheduler: its own service account.
        .route("/sweep", post(sweep))
        .with_state(app)
}

/// One sweep. A sweep that fails in parts answers 200 and names them: the next one is due in a minute either way.
async fn sweep(State(app): State<App>, headers: HeaderMap) -> Result<Json<SweepReport>> {
    app.parts.scheduler.check(&headers).await?;
    Ok(Json(app.sweep().await))
}
