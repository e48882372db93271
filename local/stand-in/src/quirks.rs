//! What ComfyUI does to every request and answer, faithfully, since a proxy in front of it has to live with it:
//! 403 for cross-site and foreign origins, `no-store` on scripts and styles, no `X-Frame-Options`. And two things of
//! the stand-in's own: the mark on every answer, and 503 until it has "started".

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;

use crate::routes::App;

/// On every answer, so that nobody takes this for ComfyUI.
pub(crate) const MARK: HeaderName = HeaderName::from_static("x-pilotlight-stand-in");
const IMAGE_ENDINGS: [&str; 9] = [".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"];

pub(crate) async fn quirks(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = if Instant::now() < app.started_at {
        starting(&app)
    } else if is_foreign(request.headers()) {
        StatusCode::FORBIDDEN.into_response()
    } else {
        let answered = app.cut.run_until_cancelled(next.run(request)).await;
        answered.unwrap_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
    };
    if let Some(caching) = cache_control(&path, response.status()) {
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(caching);
    }
    response.headers_mut().insert(MARK, HeaderValue::from_static("1"));
    response
}

fn starting(app: &App) -> Response {
    let seconds = app.started_at.saturating_duration_since(Instant::now()).as_secs() + 1;
    let body = "Stand-in for ComfyUI: still starting.\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds.to_string())], body).into_response()
}

/// ComfyUI's two checks. The second looks only at hosts that are loopback, which is what a proxy talks to.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(HeaderName::from_static("sec-fetch-site")) == Some("cross-site") {
        return true;
    }
    let (Some(host), Some(origin)) = (text(header::HOST), text(header::ORIGIN)) else { return false };
    differs(host, origin)
}

fn differs(host: &str, origin: &str) -> bool {
    let (Ok(host), Ok(origin)) = (format!("http://{host}").parse::<Uri>(), origin.parse::<Uri>()) else {
        return false;
    };
    let (Some(host), Some(origin)) = (host.authority(), origin.authority()) else { return false };
    // Either without a port: names alone are compared, as ComfyUI does for odd browsers.
    let ports_differ = host.port_u16().zip(origin.port_u16()).is_some_and(|(host, origin)| host != origin);
    is_loopback(host.host()) && (ports_differ || !host.host().eq_ignore_ascii_case(origin.host()))
}

/// ComfyUI looks the name up; here the names that are loopback everywhere are known, and no lookup blocks.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

fn cache_control(path: &str, status: StatusCode) -> Option<HeaderValue> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_index = name.starts_with("index") && name.ends_with(".json");
    if path.ends_with(".js") || path.ends_with(".css") || is_index {
        return Some(HeaderValue::from_static("no-store"));
    }
    let path = path.to_ascii_lowercase();
    if !IMAGE_ENDINGS.iter().any(|ending| path.ends_with(ending)) {
        return None;
    }
    match status {
        StatusCode::NOT_FOUND => Some(HeaderValue::from_static("public, max-age=3600")),
        status if status.is_success() => Some(HeaderValue::from_static("public, max-age=86400")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loopback_host_is_compared_with_the_origin() {
        let cases = [
            ("127.0.0.1:8188", "http://127.0.0.1:8188", false),
            ("127.0.0.1:8188", "http://127.0.0.1:9999", true),
            ("127.0.0.1:8188", "http://localhost:8188", true),
            ("localhost:8188", "https://evil.example", true),
            ("main.localhost:8188", "https://evil.example", true),
            ("[::1]:8188", "http://[::1]:8188", false),
            ("[::1]:8188", "http://127.0.0.1:8188", true),
            ("127.0.0.1:8188", "http://127.0.0.1", false),
            ("vm.example.com", "https://evil.example", false),
            ("127.0.0.1:8188", "null", true),
        ];
        for (host, origin, foreign) in cases {
            assert_eq!(differs(host, origin), foreign, "{host} {origin}");
        }
    }

    #[test]
    fn scripts_and_styles_are_never_stored() {
        for path in ["/assets/app-x.js", "/materialdesignicons.min.css", "/templates/index.de.json"] {
            assert_eq!(cache_control(path, StatusCode::OK).as_ref().map(HeaderValue::as_bytes), Some(&b"no-store"[..]));
        }
        assert_eq!(cache_control("/prompt", StatusCode::OK), None);
    }
}
