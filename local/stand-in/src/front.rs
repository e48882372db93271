//! The page: the real ComfyUI front end from a folder, or a small one of our own; and the script that tells
//! the real one that this is a stand-in.

use std::path::Path;

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::services::{ServeDir, ServeFile};

use crate::about::EXTENSION_PATH;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Adds what answers outside the API: the page's files, or ours.
pub(crate) fn with_page<S: Clone + Send + Sync + 'static>(router: Router<S>, frontend: Option<&Path>) -> Router<S> {
    let router = router.route(EXTENSION_PATH, get(|| file(SCRIPT, include_str!("../extension/stand-in.js"))));
    match frontend {
        Some(folder) => router
            .route_service("/", ServeFile::new(folder.join("index.html")))
            .layer(axum::middleware::map_response(fresh_html))
            .fallback_service(ServeDir::new(folder).append_index_html_on_directories(false)),
        None => router
            .route("/", get(|| file(HTML, include_str!("../page/index.html"))))
            .route("/page.js", get(|| file(SCRIPT, include_str!("../page/page.js"))))
            .route("/page.css", get(|| file(STYLE, include_str!("../page/page.css")))),
    }
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    fresh_html(([(header::CONTENT_TYPE, kind)], text).into_response()).await
}

/// ComfyUI lets no page be kept without asking again.
async fn fresh_html(mut response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes);
    if kind.is_some_and(|kind| kind.starts_with(b"text/html")) {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache"));
        headers.insert(header::PRAGMA, header::HeaderValue::from_static("no-cache"));
        headers.insert(header::EXPIRES, header::HeaderValue::from_static("0"));
    }
    response
}
