//! The gateway's own pages and scripts, over HTTP.

use std::time::Duration;

use platform::clock::ManualClock;
use reqwest::Method;

use crate::control_plane::{Says, reply};
use crate::world::{NOW, PAGE_ORIGIN, World, code_of, ready, ready_with, while_time_passes};

#[tokio::test]
async fn health_and_the_makings_of_our_pages_are_for_anybody() {
    let world = ready().await;
    let cases = [
        ("/_pilotlight/healthz", "application/json"),
        ("/_pilotlight/page.css", "text/css; charset=utf-8"),
        ("/_pilotlight/ended.js", "text/javascript; charset=utf-8"),
        ("/_pilotlight/boot.js", "text/javascript; charset=utf-8"),
    ];
    for (path, kind) in cases {
        let response = world.get(path, "").await;
        assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &kind.parse().unwrap()));
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(world.ask(Method::POST, path, "").send().await.unwrap().status(), 405);
    }
}

#[tokio::test]
async fn the_script_knows_the_page_it_speaks_to() {
    let world = ready().await;
    let cookie = world.enter().await;
    assert_eq!(world.get("/_pilotlight/activity.js", "").await.status(), 401);
    let script = world.get("/_pilotlight/activity.js", &cookie).await.text().await.unwrap();
    assert!(script.contains(&format!(r#""pageOrigin":"{PAGE_ORIGIN}""#)) && script.contains(r#""tellEveryMs":30000"#));
}

#[tokio::test]
async fn what_is_reserved_never_reaches_comfyui() {
    let world = ready().await;
    let cookie = world.enter().await;
    let response = world.get("/_pilotlight/unknown", &cookie).await;
    assert_eq!(response.status(), 404);
    assert_eq!(code_of(response).await, "not_found");
    assert_eq!(world.ask(Method::PUT, "/_pilotlight/person", &cookie).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_beacon_needs_a_session_and_our_own_origin() {
    let world = ready().await;
    let cookie = world.enter().await;
    let beacon = |cookie: &str, origin: Option<&str>| {
        let request = world.ask(Method::POST, "/_pilotlight/person", cookie);
        match origin {
            Some(origin) => request.header("origin", origin).send(),
            None => request.send(),
        }
    };
    let own = world.origin.clone();
    assert_eq!(beacon("", Some(&own)).await.unwrap().status(), 401);
    assert_eq!(beacon(&cookie, None).await.unwrap().status(), 403);
    assert_eq!(beacon(&cookie, Some("https://evil.example")).await.unwrap().status(), 403);
    assert_eq!(beacon(&cookie, Some(&own)).await.unwrap().status(), 204);
}

#[tokio::test]
async fn what_the_control_plane_announces_reaches_whoever_sits_in_comfyui() {
    let clock = ManualClock::at(NOW);
    let world = ready_with(World::manual_clock(&clock)).await;
    let cookie = world.enter().await;
    let announced = || async {
        let session: serde_json::Value = world.get("/_pilotlight/session.json", &cookie).await.json().await.unwrap();
        session["announce"].as_str().unwrap().to_owned()
    };
    assert_eq!(announced().await, "");
    let mut draining = reply(3, "Running");
    draining.phase = "Draining".into();
    draining.announce = "Stops in 3 minutes unless used".into();
    world.control.says(Says::Reply(draining));
    let told = async {
        while announced().await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    while_time_passes(&clock, Duration::from_secs(5), told).await;
    assert_eq!(announced().await, "Stops in 3 minutes unless used");
}
