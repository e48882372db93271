use super::*;

const OWN: &str = "https://comfy.example.com";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    let mut map = HeaderMap::new();
    for (name, value) in pairs.iter().map(pair) {
        map.append(name, value);
    }
    map
}

fn names_of(map: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn what_says_who_and_from_where_does_not_reach_comfyui() {
    let mut map = headers(&[
        ("host", "comfy.example.com"),
        ("origin", OWN),
        ("cookie", "__Host-pilotlight=x"),
        ("cookie", "other=1"),
        ("authorization", "Bearer x"),
        ("x-auth-token", "x"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-user", "?1"),
        ("expect", "100-continue"),
        ("comfy-user", "ada"),
        ("content-length", "12"),
        ("accept", "*/*"),
    ]);
    for_comfyui(&mut map, false);
    assert_eq!(names_of(&map), ["accept", "comfy-user", "content-length"]);
}

#[test]
fn what_belongs_to_one_connection_stays_on_it() {
    let mut map = headers(&[
        ("connection", "keep-alive, x-mine"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "x"),
        ("range", "bytes=0-1"),
    ]);
    for_comfyui(&mut map, false);
    assert_eq!(names_of(&map), ["range"]);
}

#[test]
fn a_websocket_asks_for_its_upgrade_and_for_no_compression() {
    let mut map = headers(&[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("origin", OWN),
    ]);
    assert!(is_websocket(&Method::GET, Version::HTTP_11, &map));
    for_comfyui(&mut map, true);
    assert_eq!(names_of(&map), ["connection", "sec-websocket-key", "sec-websocket-version", "upgrade"]);
    assert_eq!(map["connection"], "upgrade");
}

#[test]
fn only_a_whole_websocket_handshake_is_one() {
    let whole = [("connection", "Upgrade"), ("upgrade", "WebSocket")];
    assert!(is_websocket(&Method::GET, Version::HTTP_11, &headers(&whole)));
    assert!(!is_websocket(&Method::POST, Version::HTTP_11, &headers(&whole)));
    assert!(!is_websocket(&Method::GET, Version::HTTP_10, &headers(&whole)));
    assert!(!is_websocket(&Method::GET, Version::HTTP_11, &headers(&whole[..1])));
    assert!(!is_websocket(&Method::GET, Version::HTTP_11, &headers(&[("connection", "upgrade"), ("upgrade", "h2c")])));
}

#[test]
fn an_origin_other_than_our_own_is_foreign() {
    assert!(!is_foreign(&headers(&[]), OWN));
    assert!(!is_foreign(&headers(&[("origin", OWN)]), OWN));
    for other in ["null", "https://example.com", "http://comfy.example.com", "https://comfy.example.com:8443", ""] {
        assert!(is_foreign(&headers(&[("origin", other)]), OWN), "{other}");
    }
    assert!(is_foreign(&headers(&[("origin", OWN), ("origin", "https://evil.example")]), OWN));
}

#[test]
fn a_sibling_may_show_us_but_not_read_from_us() {
    for site in ["cross-site", "same-site"] {
        assert!(!is_foreign(&headers(&[("sec-fetch-site", site), ("sec-fetch-mode", "navigate")]), OWN));
        assert!(is_foreign(&headers(&[("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")]), OWN));
        assert!(is_foreign(&headers(&[("sec-fetch-site", site)]), OWN));
    }
    for site in ["same-origin", "none"] {
        assert!(!is_foreign(&headers(&[("sec-fetch-site", site), ("sec-fetch-mode", "cors")]), OWN), "{site}");
    }
}

#[test]
fn comfyui_s_own_rules_for_frames_give_way_to_ours() {
    let mut map = headers(&[
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src 'self'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("content-security-policy-report-only", "default-src 'self'"),
        ("referrer-policy", "unsafe-url"),
        ("set-cookie", "__Host-pilotlight=theirs; Path=/; Secure"),
        ("connection", "close"),
        ("etag", "\"1\""),
    ]);
    for_browser(&mut map, &HeaderValue::from_static("frame-ancestors https://pilotlight.example.com"));
    assert_eq!(names_of(&map), ["content-security-policy", "etag", "referrer-policy"]);
    assert_eq!(map["content-security-policy"], "frame-ancestors https://pilotlight.example.com");
    assert_eq!(map["referrer-policy"], "no-referrer");
}

#[test]
fn assets_named_for_their_content_are_kept_for_a_year() {
    for path in ["/assets/index-BX3hk2Pq.js", "/assets/a-b-c-_0aZ-9zz.css", "/assets/deep/x-DvZ1kQ_a.woff2"] {
        assert!(is_hashed_asset(path), "{path}");
    }
    for path in
        ["/assets/logo-darkmode.svg", "/assets/BX3hk2Pq.js", "/index-BX3hk2Pq.js", "/assets/index.js", "/assets/"]
    {
        assert!(!is_hashed_asset(path), "{path}");
    }
    let mut map = headers(&[("cache-control", "no-store"), ("pragma", "no-cache")]);
    keep_long_if_hashed(&mut map, "/assets/index-BX3hk2Pq.js", StatusCode::OK);
    assert_eq!(map["cache-control"], "private, max-age=31536000, immutable");
    assert!(!map.contains_key("pragma"));
}

#[test]
fn an_asset_that_is_missing_is_not_kept() {
    let mut map = headers(&[("cache-control", "no-store")]);
    keep_long_if_hashed(&mut map, "/assets/index-BX3hk2Pq.js", StatusCode::NOT_FOUND);
    assert_eq!(map["cache-control"], "no-store");
}

#[test]
fn a_navigation_is_known_by_what_the_browser_says_or_by_what_it_accepts() {
    assert!(is_navigation(&Method::GET, &headers(&[("sec-fetch-mode", "navigate")])));
    assert!(is_navigation(&Method::GET, &headers(&[("accept", "text/html,*/*")])));
    assert!(!is_navigation(&Method::GET, &headers(&[("sec-fetch-mode", "cors"), ("accept", "text/html")])));
    assert!(!is_navigation(&Method::GET, &headers(&[("accept", "*/*")])));
    assert!(!is_navigation(&Method::POST, &headers(&[("accept", "text/html")])));
}

#[test]
fn a_document_is_asked_for_whole_and_plain() {
    let mut map = headers(&[("if-none-match", "\"1\""), ("range", "bytes=0-9"), ("accept-encoding", "gzip, br")]);
    for_document(&mut map);
    assert_eq!(names_of(&map), ["accept-encoding"]);
    assert_eq!(map["accept-encoding"], "identity");
}
