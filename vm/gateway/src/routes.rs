//! Every request, in one place: who may ask, and who answers.
//!
//! ```text
//!  GET  /_pilotlight/healthz              anybody   the gateway runs
//!  GET  /_pilotlight/{page.css,ended.js,boot.js}  anybody   what our own pages need
//!  GET  /_enter?ticket=…                  a ticket  opens a session, leads to /
//!  GET  /_pilotlight/activity.js          session   the script put into ComfyUI's page
//!  GET  /_pilotlight/{session,boot}.json  session   cheap questions of our scripts
//!  POST /_pilotlight/person               session   a person's own input
//!       everything else                   session   ComfyUI, or the boot page until it answers
//! ```

use std::sync::Arc;

use domain::Signal;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;

use crate::body::Reply;
use crate::connection::Occupant;
use crate::gateway::Gateway;
use crate::headers::{is_foreign, is_navigation};
use crate::pages::Problem;
use crate::sessions::Session;
use crate::{enter, proxy};

const OURS: &str = "/_pilotlight/";

/// Answers any request.
pub(crate) async fn answer(gateway: &Arc<Gateway>, request: Request<Incoming>, occupant: &Occupant) -> Response<Reply> {
    let pages = &gateway.pages;
    let ours = request.uri().path().strip_prefix(OURS);
    if let Some(page) = ours.and_then(|name| pages.public(name)) {
        return if *request.method() == Method::GET { page } else { pages.problem(Problem::WRONG_METHOD) };
    }
    if is_foreign(request.headers(), &gateway.config.origin) {
        return pages.problem(Problem::FOREIGN);
    }
    if request.uri().path() == enter::PATH {
        return if *request.method() == Method::GET {
            enter::enter(gateway, request.uri().query()).await
        } else {
            pages.problem(Problem::WRONG_METHOD)
        };
    }
    let Some(session) = session(gateway, &request) else {
        return if is_navigation(request.method(), request.headers()) {
            pages.session_needed()
        } else {
            pages.problem(Problem::SESSION_NEEDED)
        };
    };
    match ours {
        Some(name) => answer_script(gateway, request.method(), name, &request),
        None => proxy::forward(gateway, request, session, occupant).await,
    }
}

fn session(gateway: &Gateway, request: &Request<Incoming>) -> Option<Arc<Session>> {
    let now = gateway.clock.now();
    let cookies = request.headers().get_all(header::COOKIE);
    cookies.iter().filter_map(|cookies| cookies.to_str().ok()).find_map(|cookies| gateway.sessions.find(cookies, now))
}

fn answer_script(gateway: &Gateway, method: &Method, name: &str, request: &Request<Incoming>) -> Response<Reply> {
    let pages = &gateway.pages;
    match (method, name) {
        (&Method::GET, "activity.js") => pages.activity_script(),
        (&Method::GET, "session.json") => pages.json(&json!({ "announce": gateway.orders().announce })),
        (&Method::GET, "boot.json") => {
            let up = gateway.evidence.read().comfyui_answers;
            pages.json(&json!({ "up": up, "again": gateway.comfyui_came_up(), "seconds": gateway.uptime_seconds() }))
        }
        // Browsers send an Origin with every POST; one without is nobody's own input.
        (&Method::POST, "person") if request.headers().contains_key(header::ORIGIN) => {
            gateway.evidence.note(Signal::Person);
            pages.empty(StatusCode::NO_CONTENT)
        }
        (&Method::POST, "person") => pages.problem(Problem::FOREIGN),
        (_, "activity.js" | "session.json" | "boot.json" | "person") => pages.problem(Problem::WRONG_METHOD),
        _ => pages.problem(Problem::NOT_FOUND),
    }
}
