//! The page: what is served, and what a browser may do with it.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use auth::PageSettings;
use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::house::{Ask, House};

const STATIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../static");

/// A file of the page, its name and contents.
fn a_script() -> (String, Vec<u8>) {
    let entries = std::fs::read_dir(STATIC).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<_> = entries.filter(|path| path.extension().is_some_and(|kind| kind == "js")).collect();
    scripts.sort();
    let path = scripts.first().unwrap();
    (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
}

#[tokio::test]
async fn every_file_is_served_as_it_is_and_by_its_kind() {
    let house = House::new();
    let kinds = [
        ("html", "text/html; charset=utf-8"),
        ("css", "text/css; charset=utf-8"),
        ("js", "text/javascript; charset=utf-8"),
        ("svg", "image/svg+xml"),
    ];
    let mut served = 0;
    for entry in std::fs::read_dir(STATIC).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() || name.starts_with('.') {
            continue;
        }
        let answer = house.ask(Ask::get(&format!("/{name}"))).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        assert!(answer.body == std::fs::read(&path).unwrap(), "{name} as it is");
        let extension = path.extension().map_or(String::new(), |kind| kind.to_string_lossy().into_owned());
        if let Some((_, kind)) = kinds.iter().find(|(known, _)| *known == extension) {
            assert_eq!(answer.header("content-type"), *kind, "{name}");
        }
        assert_eq!(answer.header("cache-control"), "no-cache", "{name}");
        served += 1;
    }
    assert!(served > 0, "the page has files");
}

#[tokio::test]
async fn the_front_door_is_the_index() {
    let index = Path::new(STATIC).join("index.html");
    let house = House::new();
    let answer = house.ask(Ask::get("/")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.body == std::fs::read(index).unwrap());
    assert_eq!(house.ask(Ask::get("/index.html")).await.body, answer.body);
    let head = house.ask(Ask::new(Method::HEAD, "/")).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn what_the_browser_has_already_is_not_sent_again() {
    let house = House::new();
    let path = format!("/{}", a_script().0);
    let first = house.ask(Ask::get(&path)).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    for seen in [tag.clone(), tag.trim_start_matches("W/").to_owned(), format!("\"other\", {tag}"), "*".into()] {
        let again = house.ask(Ask::get(&path).header("if-none-match", &seen)).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{seen}");
        assert_eq!(again.header("etag"), tag);
        assert_eq!(again.header("cache-control"), "no-cache");
    }
    let changed = house.ask(Ask::get(&path).header("if-none-match", "\"other\"")).await;
    assert_eq!(changed.status, StatusCode::OK);
}

#[tokio::test]
async fn the_page_travels_compressed_to_who_understands_it() {
    let (name, plain) = a_script();
    let house = House::new();
    let path = format!("/{name}");
    let answer = house.ask(Ask::get(&path).header("accept-encoding", "gzip, deflate, br")).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert!(answer.header("vary").contains("accept-encoding"));
    assert!(answer.body.len() < plain.len(), "{} of {}", answer.body.len(), plain.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain, "the same file");
    let uncompressed = house.ask(Ask::get(&path).header("accept-encoding", "identity")).await;
    assert!(uncompressed.header("content-encoding").is_empty() && uncompressed.body == plain);
    assert_eq!(uncompressed.header("etag"), answer.header("etag"));
}

#[tokio::test]
async fn nothing_beside_the_page_is_served() {
    let house = House::new();
    for path in [
        "/../Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%5cCargo.toml",
        "//etc/passwd",
        "/static/index.html",
        "/./index.html",
        "/.git",
        "/.gitignore",
        "/index.html/",
        "/index.html%00.js",
    ] {
        house.ask(Ask::get(path)).await.is_problem(404, "no_such_route");
    }
}

#[tokio::test]
async fn the_page_is_told_where_lifecycle_is_and_the_browser_what_the_page_may_do() {
    let house = House::with(|app| {
        app.page = Arc::new(PageSettings {
            lifecycle_origin: "https://lifecycle.example.com".into(),
            frame_sources: vec!["https://comfy.example.com".into()],
            https_only: true,
        });
    });
    let config = house.ask(Ask::get("/config.json")).await;
    assert_eq!(config.json(), json!({"lifecycle_origin": "https://lifecycle.example.com"}));
    let page = house.ask(Ask::get("/")).await;
    assert_eq!(
        page.header("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src \
         'self' https://lifecycle.example.com; frame-src https://comfy.example.com; base-uri 'none'; form-action \
         'self'; frame-ancestors 'none'"
    );
    assert!(page.header("permissions-policy").contains("fullscreen=(self \"https://comfy.example.com\")"));
    for path in ["/", "/config.json", "/api/session", &format!("/{}", a_script().0)] {
        let answer = house.ask(Ask::get(path)).await;
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header("strict-transport-security").starts_with("max-age="), "{path}");
    }
    let alone = House::new().ask(Ask::get("/config.json")).await;
    assert_eq!(alone.json(), json!({"lifecycle_origin": ""}));
    assert_eq!(alone.header("strict-transport-security"), "");
}

#[tokio::test]
async fn other_routers_beside_ours_keep_their_addresses() {
    let house = House::new();
    let theirs = axum::Router::new()
        .route("/healthz", axum::routing::get(|| async { "theirs" }))
        .route("/local", axum::routing::get(|| async { "panel" }))
        .route("/api/workspaces/{id}", axum::routing::get(|| async { "view" }));
    let routes = auth::routes(house.app.clone()).unwrap().merge(theirs);
    let router = service::protect(routes, service::Limits::default());
    for (path, told) in [("/healthz", "theirs"), ("/local", "panel"), ("/api/workspaces/main", "view")] {
        assert_eq!(crate::house::ask_router(&router, Ask::get(path)).await.text(), told);
    }
    assert_eq!(crate::house::ask_router(&router, Ask::get("/config.json")).await.status, StatusCode::OK);
    crate::house::ask_router(&router, Ask::get("/other")).await.is_problem(404, "no_such_route");
}
