//! What a browser may ask, and how it is refused.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use domain::{Phase, Role, Seconds};
use platform::clock::Clock;
use serde_json::json;

use crate::setting::Setting;

const MAIN: &str = "/api/workspaces/main";

#[tokio::test]
async fn a_stopped_workspace_shows_where_it_would_run_and_what_that_costs() {
    let setting = Setting::new();
    let answer = setting.ask("GET", MAIN, Role::Viewer, None).await;
    assert_eq!(answer.status, StatusCode::OK);
    let view = &answer.body;
    assert_eq!(view["phase"], "Stopped");
    assert_eq!(view["placement"]["zone"], "us-central1-a");
    assert_eq!(view["placement"]["usd_per_hour"], 0.7068);
    assert_eq!(view["placement"]["price_date"], "2026-07-30");
    let list = setting.ask("GET", "/api/workspaces", Role::Viewer, None).await;
    assert_eq!(list.body["workspaces"][0]["id"], "main");
}

#[tokio::test]
async fn an_unchanged_workspace_is_not_sent_twice() {
    let setting = Setting::new();
    let first = setting.ask("GET", MAIN, Role::User, None).await;
    let again = |tag: axum::http::HeaderValue| {
        Request::get(MAIN)
            .header("x-auth-token", setting.person(Role::User))
            .header(header::IF_NONE_MATCH, tag)
            .body(Body::empty())
            .unwrap()
    };
    let tag = first.headers[header::ETAG].clone();
    setting.clock.leap(Seconds(20));
    assert_eq!(setting.send(again(tag.clone())).await.status, StatusCode::NOT_MODIFIED);
    setting.ask("POST", &format!("{MAIN}/start"), Role::User, None).await;
    assert_eq!(setting.send(again(tag)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_start_repeated_is_the_same_start() {
    let setting = Setting::new();
    for _ in 0..3 {
        let answer = setting.ask("POST", &format!("{MAIN}/start"), Role::User, None).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["run"], &answer.body["phase"]),
            (202, &json!(1), &json!("Placing"))
        );
    }
}

#[tokio::test]
async fn a_start_while_it_is_stopping_is_denied_with_a_hint() {
    let setting = Setting::new();
    setting.ready().await;
    setting.ask("POST", &format!("{MAIN}/stop"), Role::User, None).await;
    let denied = setting.ask("POST", &format!("{MAIN}/start"), Role::User, None).await;
    denied.refused(409, "still_stopping");
    assert!(denied.headers.contains_key(header::RETRY_AFTER) && !denied.body["hint"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_keep_alive_counts_only_a_persons_own_input_in_a_visible_page() {
    let setting = Setting::new();
    setting.ready().await;
    let before = setting.record().await.stop_at;
    setting.clock.leap(Seconds::minutes(10));
    let path = format!("{MAIN}/keep-alive");
    for quiet in [
        json!({"visible": true}),
        json!({"visible": false, "interacted_seconds_ago": 1}),
        json!({"visible": true, "interacted_seconds_ago": null}),
    ] {
        let answer = setting.ask("POST", &path, Role::User, Some(quiet)).await;
        assert_eq!((answer.status.as_u16(), &answer.body["active_because"]), (200, &json!(null)));
        assert_eq!(setting.record().await.stop_at, before);
    }
    let active =
        setting.ask("POST", &path, Role::User, Some(json!({"visible": true, "interacted_seconds_ago": 12}))).await;
    assert_eq!(active.body["active_because"], "Person");
    let expected = setting.clock.now() - Seconds(12) + setting.workspace.policy.idle_limit;
    assert_eq!(setting.record().await.stop_at, Some(expected));
}

#[tokio::test]
async fn an_extension_moves_the_deadline_as_far_as_asked() {
    let setting = Setting::new();
    let path = format!("{MAIN}/extend");
    setting.ask("POST", &path, Role::User, Some(json!({"minutes": 60}))).await.refused(409, "not_ready");
    setting.ready().await;
    let answer = setting.ask("POST", &path, Role::User, Some(json!({"minutes": 60}))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(setting.record().await.stop_at, Some(setting.clock.now() + Seconds::minutes(60)));
    setting.ask("POST", &path, Role::User, Some(json!({"minutes": 0}))).await.refused(400, "minutes_out_of_bounds");
    setting
        .ask("POST", &path, Role::User, Some(json!({"minutes": 100_000})))
        .await
        .refused(400, "minutes_out_of_bounds");
}

#[tokio::test]
async fn a_ticket_opens_the_gateway_of_the_run_that_is_open() {
    let setting = Setting::new();
    let path = format!("{MAIN}/ticket");
    setting.ask("POST", &path, Role::User, None).await.refused(409, "not_ready");
    setting.ready().await;
    let answer = setting.ask("POST", &path, Role::User, None).await;
    let url = answer.body["url"].as_str().unwrap();
    assert!(url.starts_with("https://a.example.com/_enter?ticket="), "{url}");
    assert!(answer.body["expires_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn a_viewer_may_look_and_nothing_else() {
    let setting = Setting::new();
    for (path, body) in [
        ("start", None),
        ("stop", None),
        ("ticket", None),
        ("extend", Some(json!({"minutes": 5}))),
        ("keep-alive", Some(json!({"visible": true}))),
    ] {
        setting.ask("POST", &format!("{MAIN}/{path}"), Role::Viewer, body).await.refused(403, "role_may_not");
    }
    assert_eq!(setting.record().await.phase, Phase::Stopped);
    assert_eq!(setting.ask("GET", &format!("{MAIN}/runs"), Role::Viewer, None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn nobody_gets_anything_without_a_token() {
    let setting = Setting::new();
    for (method, path) in [
        ("GET", "/api/workspaces"),
        ("GET", MAIN),
        ("POST", "/api/workspaces/main/start"),
        ("GET", "/api/workspaces/main/runs"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        setting.send(request).await.refused(401, "not_signed_in");
        let forged = Request::builder()
            .method(method)
            .uri(path)
            .header("x-auth-token", "e30.e30.e30")
            .body(Body::empty())
            .unwrap();
        setting.send(forged).await.refused(401, "invalid_token");
    }
    let google = setting.google("ada@example.com", "pilotlight", json!(null));
    let request = Request::get(MAIN).header("x-auth-token", google).body(Body::empty()).unwrap();
    setting.send(request).await.refused(401, "invalid_token");
}

#[tokio::test]
async fn a_wrong_request_is_told_what_is_wrong_with_it() {
    let setting = Setting::new();
    setting.ask("GET", "/api/workspaces/other", Role::User, None).await.refused(404, "no_such_workspace");
    setting.ask("POST", "/api/workspaces/..%2Fmain/start", Role::User, None).await.refused(404, "no_such_workspace");
    setting.ask("DELETE", MAIN, Role::User, None).await.refused(405, "method_not_allowed");
    setting.ask("GET", "/api/nothing", Role::User, None).await.refused(404, "no_such_route");
    let extend = format!("{MAIN}/extend");
    for (wrong, code) in [
        (json!({}), "invalid_body"),
        (json!({"minutes": "ten"}), "invalid_body"),
        (json!({"minutes": -1}), "invalid_body"),
        (json!({"minutes": 5, "hours": 1}), "invalid_body"),
    ] {
        setting.ask("POST", &extend, Role::User, Some(wrong)).await.refused(400, code);
    }
    let keep_alive = format!("{MAIN}/keep-alive");
    setting
        .ask("POST", &keep_alive, Role::User, Some(json!({"visible": true, "interacted_seconds_ago": -3})))
        .await
        .refused(400, "invalid_body");
    let with = |kind: &str, body: String| {
        Request::post(&keep_alive)
            .header("x-auth-token", setting.person(Role::User))
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap()
    };
    setting.send(with("application/json", "{\"visible\":".into())).await.refused(400, "malformed_json");
    setting.send(with("text/plain", "{}".into())).await.refused(415, "not_json");
    setting.send(with("application/json", " ".repeat(70_000))).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn only_the_page_may_read_the_answers_from_another_origin() {
    let setting = Setting::new();
    let from = |origin: &str| {
        Request::get(MAIN)
            .header("x-auth-token", setting.person(Role::User))
            .header("origin", origin)
            .body(Body::empty())
            .unwrap()
    };
    let page = setting.send(from("https://page.example.com")).await;
    assert_eq!(page.headers["access-control-allow-origin"], "https://page.example.com");
    let lost = Request::get("/api/nothing").header("origin", "https://page.example.com").body(Body::empty()).unwrap();
    let lost = setting.send(lost).await;
    lost.refused(404, "no_such_route");
    assert_eq!(lost.headers["access-control-allow-origin"], "https://page.example.com");
    let other = setting.send(from("https://evil.example.com")).await;
    assert_ne!(
        other.headers.get("access-control-allow-origin").map(|v| v.to_str().unwrap()),
        Some("https://evil.example.com")
    );
}

#[tokio::test]
async fn every_route_stands_in_the_openapi_document() {
    let setting = Setting::new();
    let document = setting.ask("GET", "/api/lifecycle/openapi.json", Role::User, None).await.body;
    let mut paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    paths.sort_unstable();
    let source = include_str!("../../src/routes.rs");
    let mut routes: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".route(\"")?.split('"').next())
        .filter(|path| !path.ends_with("openapi.json"))
        .collect();
    routes.sort_unstable();
    assert_eq!(paths, routes);
}
