//! What every request goes through: an id, a log line, limits, and a problem document for every refusal.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, extract::DefaultBodyLimit};
use domain::Seconds;
use platform::clock::Stopwatch;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tracing::Instrument;
use wire::PROBLEM_JSON;

use crate::drained::drained;
use crate::error::ApiError;
use crate::gate::TOKEN_HEADER;

/// Bounds of one service.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body that is read.
    pub body_bytes: usize,
    /// Longest time for one request.
    pub time: Duration,
    /// Routes whose callers wait longer, such as a push subscription: its ack deadline is their limit.
    pub patient: &'static [&'static str],
    /// Longest time for a request to one of those.
    pub patience: Duration,
    /// Requests worked on at once; one more is told to come back.
    pub concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * 1024,
            time: Duration::from_secs(30),
            patient: &[],
            patience: Duration::from_secs(600),
            concurrency: 512,
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a caller.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Puts `router` behind the limits and gives it the answers for what no route handles.
pub fn protect(router: Router, limits: Limits) -> Router {
    limited(router, limits).layer(middleware::from_fn(identified))
}

/// As [`protect`], for a service that a page on another origin asks: its browser may read every answer, those that the
/// limits give included, or it would show its person an error of the network in place of what is wrong.
pub fn protect_for_page(router: Router, limits: Limits, page_origin: HeaderValue) -> Router {
    limited(router, limits).layer(cross_origin(page_origin)).layer(middleware::from_fn(identified))
}

fn limited(router: Router, limits: Limits) -> Router {
    let places = Arc::new(Semaphore::new(limits.concurrency));
    router
        .fallback(no_such_route)
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(middleware::from_fn(as_problem))
        .layer(middleware::from_fn(drained))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(limits, within_time))
        .layer(middleware::from_fn_with_state(places, within_concurrency))
}

/// The page may ask by header, never by cookie; nobody else's page may read the answers.
fn cross_origin(page_origin: HeaderValue) -> CorsLayer {
    let token = HeaderName::from_static(TOKEN_HEADER);
    CorsLayer::new()
        .allow_origin(page_origin)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([token, header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_NONE_MATCH])
        .expose_headers([REQUEST_ID, header::ETAG, header::RETRY_AFTER])
}

async fn no_such_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_such_route", "There is nothing here")
}

/// What a panic said is for the log: it may quote what nobody outside should see.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands over what it caught")]
fn panicked(caught: Box<dyn std::any::Any + Send>) -> Response {
    let said = caught.downcast_ref::<String>().map(String::as_str).or(caught.downcast_ref::<&str>().copied());
    let source = anyhow::anyhow!("a handler panicked: {}", said.unwrap_or("without a word"));
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side")
        .hint("Try again; should it stay so, tell the owner the request's id.")
        .source(source)
        .into_response()
}

/// Gives the request an id, or keeps the caller's, and writes the one log line of its end.
async fn identified(request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |id: &&str| {
        !id.is_empty() && id.len() <= REQUEST_ID_CHARS_MAX && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let id = given.filter(plain).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    // The route's pattern, never the address itself: a query may hold a secret.
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!("request", %id, %method, route);
    let watch = Stopwatch::start();
    let mut response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| {
        let status = response.status().as_u16();
        let millis = watch.millis();
        if response.status().is_server_error() {
            tracing::warn!(status, millis, "answered");
        } else {
            tracing::debug!(status, millis, "answered");
        }
    });
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn within_concurrency(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match places.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_busy", "Too many requests at once")
            .hint("Try again in a moment.")
            .retry_after(Seconds(1))
            .into_response(),
    }
}

async fn within_time(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let limit = if limits.patient.contains(&route) { limits.patience } else { limits.time };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", "That took too long")
            .hint("Try again: what was accepted is not lost.")
            .into_response(),
    }
}

/// Whatever axum itself refuses gets a problem document too.
async fn as_problem(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    if is_problem {
        return response;
    }
    let (code, title) = match status {
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "This address takes another method"),
        StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "The request is too large"),
        StatusCode::BAD_REQUEST => ("bad_request", "The request cannot be understood"),
        StatusCode::NOT_FOUND => ("not_found", "There is nothing here"),
        _ => ("refused", "The request was refused"),
    };
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut problem = ApiError::new(status, code, title).into_response();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem
}
