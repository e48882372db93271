//! Every route of lifecycle, in one list.

use axum::Router;
use axum::http::HeaderValue;
use axum::routing::{get, post};
use service::{Limits, protect, protect_for_page};

use crate::app::App;
use crate::{browser, compute_events, openapi, push, vm};

/// Routes on which Pub/Sub waits for the worker, for as long as its ack deadline (600 s at most).
pub const PATIENT: &[&str] = &["/push/nudge", "/push/compute-events"];

/// The routes behind the service's limits; the page may live on another origin than this service.
pub fn router(app: App, limits: Limits) -> Router {
    let page_origin = app.parts.gate.page_origin.as_deref().and_then(|origin| HeaderValue::from_str(origin).ok());
    let routes = routes(app).route("/healthz", get(|| async { "ok" }));
    let limits = Limits { patient: PATIENT, ..limits };
    match page_origin {
        Some(page_origin) => protect_for_page(routes, limits, page_origin),
        None => protect(routes, limits),
    }
}

/// The routes without limits and without `/healthz`, to be merged with others behind one set of limits.
pub fn routes(app: App) -> Router {
    Router::new()
        // For the browser: a person who is signed in.
        .route("/api/workspaces", get(browser::list))
        .route("/api/workspaces/{id}", get(browser::show))
        .route("/api/workspaces/{id}/start", post(browser::start))
        .route("/api/workspaces/{id}/stop", post(browser::stop))
        .route("/api/workspaces/{id}/extend", post(browser::extend))
        .route("/api/workspaces/{id}/keep-alive", post(browser::keep_alive))
        .route("/api/workspaces/{id}/preferences", post(browser::preferences))
        .route("/api/workspaces/{id}/move-disk", post(browser::move_disk))
        .route("/api/workspaces/{id}/ticket", post(browser::ticket))
        .route("/api/workspaces/{id}/runs", get(browser::runs))
        // For the VM: its own Google identity.
        .route("/vm/heartbeat", post(vm::heartbeat))
        // For Pub/Sub: the push subscription's service account.
        .route("/push/nudge", post(push::nudge))
        .route("/push/compute-events", post(compute_events::compute_events))
        .route("/api/lifecycle/openapi.json", get(openapi::document))
        .with_state(app)
}
