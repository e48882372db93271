//! The page itself: the files of `static/`, as they are, out of the binary. A debug build reads them from the disk at
//! each request, so that a change shows on reload.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;
use serde::Serialize;
use service::{ApiError, Result};
use tower_http::compression::CompressionLayer;

use crate::app::App;

/// File behind `/`.
const INDEX: &str = "index.html";
/// The names stay when the contents change: ask each time, and be told 304.
const PAGE_CACHE_CONTROL: &str = "no-cache";
/// Bytes of the content's SHA-256 that make the ETag.
const ETAG_BYTES: usize = 12;

#[derive(RustEmbed)]
#[folder = "../../static/"]
struct Files;

/// One route for each file there is, and `/`. No pattern: what no file is called stays free for other routers.
pub(crate) fn routes() -> Router<App> {
    let mut router = Router::new().route("/", get(|headers: HeaderMap| async move { serve(INDEX, &headers) }));
    for name in names() {
        let path = format!("/{name}");
        router = router.route(&path, get(move |headers: HeaderMap| async move { serve(&name, &headers) }));
    }
    router.layer(CompressionLayer::new().gzip(true))
}

/// Names of the files that are served.
pub(crate) fn names() -> impl Iterator<Item = String> {
    Files::iter().map(|name| name.into_owned()).filter(|name| !name.split('/').any(|part| part.starts_with('.')))
}

fn serve(name: &str, headers: &HeaderMap) -> Result<Response> {
    let file = Files::get(name).ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, "no_such_route", "There is nothing here")
            .detail(format!("The page has no file {name}."))
    })?;
    let etag = etag(&file.metadata.sha256_hash());
    let seen = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let unchanged = seen.flat_map(|line| line.split(',')).map(str::trim).any(|seen| matches(seen, &etag));
    let headers =
        [(header::ETAG, value(&etag)?), (header::CACHE_CONTROL, HeaderValue::from_static(PAGE_CACHE_CONTROL))];
    if unchanged {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)))];
    Ok((headers, kind, file.data.into_owned()).into_response())
}

/// Weak, because the same content goes out compressed and plain.
fn etag(sha256: &[u8; 32]) -> String {
    let digits: String = sha256.iter().take(ETAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{digits}\"")
}

fn matches(seen: &str, etag: &str) -> bool {
    seen == "*" || seen.trim_start_matches("W/") == etag.trim_start_matches("W/")
}

fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(ApiError::unavailable)
}

/// The kinds of files that a page without a build step is made of.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// What the page must know before it can ask anybody anything.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct PageConfigReply {
    /// Where lifecycle answers; empty when at the page's own origin.
    lifecycle_origin: String,
}

/// What the page must know before it can ask anybody anything.
#[utoipa::path(get, path = "/config.json", tag = "page",
    responses((status = 200, description = "The page's settings", body = PageConfigReply)))]
pub(crate) async fn page_config(State(app): State<App>) -> impl IntoResponse {
    let reply = PageConfigReply { lifecycle_origin: app.page.lifecycle_origin.clone() };
    ([(header::CACHE_CONTROL, PAGE_CACHE_CONTROL)], Json(reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_has_a_kind() {
        let unknown: Vec<String> = names().filter(|name| content_type(name) == "application/octet-stream").collect();
        assert_eq!(unknown, [] as [String; 0]);
        assert!(names().any(|name| name.ends_with(".js")), "the page is embedded");
    }

    #[test]
    fn a_tag_matches_itself_strong_or_weak_and_no_other() {
        let own = etag(&[7; 32]);
        assert!(matches(&own, &own) && matches(own.trim_start_matches("W/"), &own) && matches("*", &own));
        assert!(!matches(&etag(&[8; 32]), &own) && !matches("", &own));
    }
}
