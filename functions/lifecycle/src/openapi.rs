//! The OpenAPI document of lifecycle.

use axum::Json;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "Pilotlight lifecycle", description = "Starts, stops and opens workspaces."),
    paths(
        crate::browser::list,
        crate::browser::show,
        crate::browser::start,
        crate::browser::stop,
        crate::browser::extend,
        crate::browser::keep_alive,
        crate::browser::preferences,
        crate::browser::move_disk,
        crate::browser::ticket,
        crate::browser::runs,
        crate::vm::heartbeat,
        crate::push::nudge,
        crate::compute_events::compute_events
    )
)]
struct Document;

/// The document, as JSON.
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
