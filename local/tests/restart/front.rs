//! Three processes behind one address: who answers what, that no check is switched off, and what is told when a part
//! is missing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::processes::is_alive;
use crate::programs;
use crate::world::{World, signal};

/// Larger than anything that a function reads.
const TOO_LARGE: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn three_functions_behind_one_address_refuse_what_each_refuses_alone() {
    let Some(mut world) = World::start(&["--speed", "30"]).await else { return };
    let page = world.send(world.request(Method::GET, "/").header(header::ACCEPT, "text/html")).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-src http://127.0.0.1:"));
    assert!(page.text().await.unwrap().to_lowercase().starts_with("<!doctype html>"));
    assert_eq!(world.get("/.well-known/jwks.json").await["keys"].as_array().unwrap().len(), 1);
    assert_eq!(world.get("/api/workspaces").await["workspaces"][0]["phase"], "Stopped");
    assert_eq!(world.get("/api/workspaces/main/runs").await["runs"], json!([]));

    let heartbeat = json!({"workspace": "main", "comfyui_up": true, "reading": {"state": "idle"}}).to_string();
    let refusals = [
        (Method::POST, "/api/login", "x".repeat(TOO_LARGE), 413, "body_too_large"),
        (Method::GET, "/api/workspaces/main", String::new(), 401, "not_signed_in"),
        (Method::POST, "/vm/heartbeat", heartbeat, 401, "no_identity"),
        (Method::POST, "/push/nudge", "{}".to_owned(), 401, "no_identity"),
        (Method::POST, "/push/compute-events", "{}".to_owned(), 401, "no_identity"),
        (Method::POST, "/sweep", String::new(), 401, "no_identity"),
        (Method::GET, "/sweep", String::new(), 405, "method_not_allowed"),
        (Method::GET, "/api/nothing", String::new(), 404, "no_such_route"),
        (Method::POST, "/local/faults", r#"{"queue":{"repeat":3}}"#.to_owned(), 400, "refused_fault"),
    ];
    for (method, path, body, status, code) in refusals {
        let request = world.request(method, path).header(header::CONTENT_TYPE, "application/json").body(body);
        let answer = world.send(request).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.headers()["x-request-id"].len(), 36, "{path}: every answer has one id");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], code, "{path}");
    }

    // Without Firestore's emulator nothing can go on: the program ends, says why, and leaves nothing behind.
    let companions = world.companions();
    let firestore = companions.iter().find(|pid| command_line(**pid).contains("CloudFirestore")).unwrap();
    signal(*firestore, Signal::SIGKILL);
    assert!(!world.ended().success());
    world.until_logged("Google's cloud-firestore-emulator has ended").await;
    let left: Vec<_> = companions.into_iter().filter(|pid| is_alive(*pid)).collect();
    assert!(left.is_empty(), "nothing outlives it: {left:?}");
}

fn command_line(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

#[test]
fn functions_that_are_not_built_are_told_with_how_to_build_them() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("alone-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let alone = folder.join("pilotlight");
    fs::hard_link(programs::pilotlight(), &alone).unwrap();
    let output = Command::new(&alone).args(["--emulators", "--port", "0"]).stdin(Stdio::null()).output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("cargo build -p auth -p lifecycle -p reaper"), "{said}");
}
