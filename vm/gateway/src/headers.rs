//! What a proxy in front of ComfyUI must change in headers, and whom it must refuse by them. Pure.
//!
//! ComfyUI answers 403 to `Sec-Fetch-Site: cross-site` (which the iframe's own navigation carries) and to an `Origin`
//! other than its loopback `Host`, and looks up `Host` in DNS, blocking, for each request with an `Origin`. So those are
//! taken away here, and what they protect from is refused here instead.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};

/// Of one connection, not of the message (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// None of ComfyUI's business: where the request comes from, and what proves who sent it. `Host` becomes the
/// upstream's; `Expect` has been answered here.
const NOT_FOR_COMFYUI: [HeaderName; 11] = [
    header::HOST,
    header::ORIGIN,
    header::COOKIE,
    header::AUTHORIZATION,
    header::EXPECT,
    HeaderName::from_static("x-auth-token"),
    SEC_FETCH_SITE,
    SEC_FETCH_MODE,
    SEC_FETCH_DEST,
    HeaderName::from_static("sec-fetch-user"),
    HeaderName::from_static("sec-fetch-storage-access"),
];

/// Ours to say. A `Set-Cookie` could only be meant to replace our session: no cookie ever reaches ComfyUI.
const NOT_FOR_BROWSERS: [HeaderName; 5] = [
    header::X_FRAME_OPTIONS,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
    header::REFERRER_POLICY,
    header::SET_COOKIE,
];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Names in a `Connection` header that are heeded; an honest one has two.
const CONNECTION_NAMES_MAX: usize = 16;

/// Length of the hash that ComfyUI's build puts into the names of its assets.
const ASSET_HASH_LENGTH: usize = 8;

/// Whether a request may come from where it says it comes from: our own pages, or a browser's own navigation.
///
/// Chromium sends no `Sec-Fetch-*` with a WebSocket, and no `Origin` with a GET of an image: so both are looked at.
pub(crate) fn is_foreign(headers: &HeaderMap, own_origin: &str) -> bool {
    if headers.get_all(header::ORIGIN).iter().any(|origin| origin != own_origin) {
        return true;
    }
    let from_elsewhere = headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site" || site == "same-site");
    from_elsewhere && headers.get(SEC_FETCH_MODE).is_none_or(|mode| mode != "navigate")
}

/// Whether a browser wants a page to show, as opposed to data.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if *method != Method::GET {
        return false;
    }
    match headers.get(SEC_FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => {
            let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            accept.is_some_and(|accept| accept.contains("text/html"))
        }
    }
}

/// Whether the client asks to speak WebSocket from here on.
pub(crate) fn is_websocket(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, wanted: &str| {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| names(value, wanted))
    };
    *method == Method::GET
        && version == Version::HTTP_11
        && has(header::UPGRADE, "websocket")
        && has(header::CONNECTION, "upgrade")
}

fn names(list: &str, wanted: &str) -> bool {
    list.split(',').any(|name| name.trim().eq_ignore_ascii_case(wanted))
}

/// Makes a browser's headers fit for ComfyUI.
pub(crate) fn for_comfyui(headers: &mut HeaderMap, websocket: bool) {
    strip_hop_by_hop(headers);
    for name in &NOT_FOR_COMFYUI {
        headers.remove(name);
    }
    if websocket {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        // Compressed, the page's greeting could not be told from a person's message; over loopback it costs more
        // than it saves, and what is big in it are pictures.
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    }
}

/// Makes the request for a document such that the answer is whole, plain and not "the same as before".
pub(crate) fn for_document(headers: &mut HeaderMap) {
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE, header::IF_RANGE] {
        headers.remove(name);
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Makes ComfyUI's headers fit for a browser that shows it inside `frame_ancestors`' page.
pub(crate) fn for_browser(headers: &mut HeaderMap, frame_ancestors: &HeaderValue) {
    strip_hop_by_hop(headers);
    for name in &NOT_FOR_BROWSERS {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, frame_ancestors.clone());
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// Lets browsers keep what never changes: ComfyUI marks all scripts and styles `no-store`, which is most of what a
/// page loads.
pub(crate) fn keep_long_if_hashed(headers: &mut HeaderMap, path: &str, status: StatusCode) {
    if (status == StatusCode::OK || status == StatusCode::NOT_MODIFIED) && is_hashed_asset(path) {
        headers.remove(header::PRAGMA);
        headers.remove(header::EXPIRES);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    }
}

/// `/assets/index-BX3hk2Pq.js`: the name changes with the content. A word of eight letters is no hash.
fn is_hashed_asset(path: &str) -> bool {
    let Some(name) = path.strip_prefix("/assets/") else { return false };
    let Some((stem, _ending)) = name.rsplit_once('.') else { return false };
    let stem = stem.as_bytes();
    let Some(dash) = stem.len().checked_sub(ASSET_HASH_LENGTH + 1) else { return false };
    let hash = &stem[dash + 1..];
    stem[dash] == b'-'
        && hash.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && hash.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .take(CONNECTION_NAMES_MAX)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
