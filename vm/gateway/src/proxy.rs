//! Passes a request on to ComfyUI and its answer back, piece by piece.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use crate::body::{Download, Reply, Upload};
use crate::connection::{Occupant, Occupied};
use crate::evidence::InFlight;
use crate::gateway::Gateway;
use crate::headers;
use crate::inject::Injector;
use crate::pages::Problem;
use crate::sessions::Session;
use crate::socket;
use crate::traffic::shows_a_person;
use crate::upstream::NoAnswer;

/// Answers with what ComfyUI answers, or with the boot page while it does not.
pub(crate) async fn forward(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    session: Arc<Session>,
    occupant: &Occupant,
) -> Response<Reply> {
    let occupied = occupant.serves(Arc::clone(&session));
    // It may have ended between being found and being known to the connection.
    if session.ended().is_cancelled() {
        return gateway.pages.problem(Problem::SESSION_NEEDED);
    }
    let navigation = is_navigation(&request);
    if !gateway.comfyui_came_up() {
        return not_up(gateway, navigation);
    }
    if headers::is_websocket(request.method(), request.version(), request.headers()) {
        return socket::open(gateway, request, session, occupied).await;
    }
    let wanted = Wanted::of(&request);
    let mut in_flight =
        shows_a_person(request.method(), request.uri().path()).then(|| InFlight::begin(&gateway.evidence));
    let Some(request) = for_comfyui(gateway, request, wanted, in_flight.as_ref()) else {
        return gateway.pages.problem(Problem::NO_PATH);
    };
    let progress = request.body().progress();
    let path = request.uri().clone();
    match gateway.upstream.send(request, progress).await {
        Ok(response) => {
            if let Some(in_flight) = &mut in_flight
                && (response.status().is_success() || response.status().is_redirection())
            {
                in_flight.goes_well();
            }
            for_browser(gateway, response, path.path(), wanted, in_flight, occupied)
        }
        Err(no_answer) => answer_for(gateway, &no_answer, navigation),
    }
}

/// What must be done to the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// ComfyUI's page itself, which gets our script.
    Document,
    Anything,
}

impl Wanted {
    fn of<B>(request: &Request<B>) -> Self {
        let document = *request.method() == Method::GET && matches!(request.uri().path(), "/" | "/index.html");
        if document { Self::Document } else { Self::Anything }
    }
}

fn is_navigation<B>(request: &Request<B>) -> bool {
    headers::is_navigation(request.method(), request.headers())
}

fn for_comfyui(
    gateway: &Gateway,
    request: Request<Incoming>,
    wanted: Wanted,
    in_flight: Option<&InFlight>,
) -> Option<Request<Upload>> {
    let (mut head, body) = request.into_parts();
    head.uri = gateway.upstream.uri(head.uri.path_and_query()?.clone())?;
    head.version = Version::HTTP_11;
    head.extensions.clear();
    headers::for_comfyui(&mut head.headers, false);
    if wanted == Wanted::Document {
        headers::for_document(&mut head.headers);
    }
    Some(Request::from_parts(head, Upload::of(body, in_flight)))
}

fn for_browser(
    gateway: &Gateway,
    response: Response<Incoming>,
    path: &str,
    wanted: Wanted,
    in_flight: Option<InFlight>,
    occupied: Occupied,
) -> Response<Reply> {
    let (mut head, body) = response.into_parts();
    headers::for_browser(&mut head.headers, gateway.pages.frame_ancestors());
    headers::keep_long_if_hashed(&mut head.headers, path, head.status);
    head.version = Version::HTTP_11;
    head.extensions.clear();
    let mut injector = None;
    if wanted == Wanted::Document && head.status == StatusCode::OK && is_plain_html(&head.headers) {
        injector = Some(Injector::default());
        for name in [header::CONTENT_LENGTH, header::ETAG, header::LAST_MODIFIED, header::ACCEPT_RANGES] {
            head.headers.remove(name);
        }
        head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    Response::from_parts(head, Reply::Stream(Box::new(Download::new(body, injector, in_flight, occupied))))
}

fn is_plain_html(headers: &HeaderMap) -> bool {
    let html = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/html");
    headers.get(header::CONTENT_TYPE).is_some_and(html)
        && headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity")
}

/// What to say in place of ComfyUI.
pub(crate) fn answer_for(gateway: &Gateway, no_answer: &NoAnswer, navigation: bool) -> Response<Reply> {
    match no_answer {
        NoAnswer::NotThere => not_up(gateway, navigation),
        NoAnswer::Broken(error) => {
            tracing::debug!(%error, "ComfyUI broke off");
            if navigation { gateway.pages.boot() } else { gateway.pages.problem(Problem::BROKEN) }
        }
        NoAnswer::Silent => gateway.pages.problem(Problem::SILENT),
    }
}

fn not_up(gateway: &Gateway, navigation: bool) -> Response<Reply> {
    if navigation { gateway.pages.boot() } else { gateway.pages.problem(Problem::STARTING) }
}
