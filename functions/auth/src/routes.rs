//! Every address that auth answers.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use service::{Limits, protect, protect_for_page};

use crate::app::App;
use crate::{headers, keys, openapi, page, sessions};

/// Largest body of a sign-in: the longest name and password, each character escaped.
const LOGIN_BYTES_MAX: usize = 8 * 1024;

/// The list, but for the page's own files (`page.rs`) and `/healthz`.
fn list() -> [(&'static str, MethodRouter<App>); 7] {
    [
        // Sign in, and out again; anybody.
        ("/api/login", post(sessions::login).layer(DefaultBodyLimit::max(LOGIN_BYTES_MAX))),
        ("/api/logout", post(sessions::logout)),
        // Whoever is signed in.
        ("/api/session", get(sessions::session)),
        ("/api/session/refresh", post(sessions::refresh)),
        // For whoever checks our tokens: lifecycle, the gateways.
        ("/.well-known/jwks.json", get(keys::serve_jwks)),
        // What the page reads before anything else.
        ("/config.json", get(page::page_config)),
        // For machines and the curious.
        ("/api/auth/openapi.json", get(openapi::describe)),
    ]
}

/// auth's routes without limits and without `/healthz`: for a process that serves other routers beside them.
///
/// # Errors
/// When a setting of the page cannot stand in a header.
pub fn routes(app: App) -> anyhow::Result<Router> {
    let added: Arc<[(HeaderName, HeaderValue)]> = app.page.headers().context("headers of the page")?.into();
    let router = list().into_iter().fold(page::routes(), |router, (path, method)| router.route(path, method));
    let router = router.layer(map_response(move |response: Response| {
        let added = Arc::clone(&added);
        async move { headers::add(response, &added) }
    }));
    Ok(router.with_state(app))
}

/// All of auth, as it is served on a port of its own. The page from elsewhere (a bucket behind a CDN) may ask too.
///
/// # Errors
/// As [`routes`], and when the page's origin cannot stand in a header.
pub fn router(app: App, limits: Limits) -> anyhow::Result<Router> {
    let page_origin = app.gate.page_origin.as_deref().map(HeaderValue::from_str).transpose().context("page origin")?;
    let routes = routes(app)?.route("/healthz", get(|| async { "ok" }));
    Ok(match page_origin {
        Some(page_origin) => protect_for_page(routes, limits, page_origin),
        None => protect(routes, limits),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_described_is_what_is_routed() {
        let routed: BTreeSet<String> = list().iter().map(|(path, _)| (*path).to_owned()).collect();
        let described: BTreeSet<String> = openapi::openapi().paths.paths.into_keys().collect();
        assert_eq!(described, routed);
    }
}
