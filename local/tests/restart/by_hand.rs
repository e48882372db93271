//! A function started by hand, with nothing but its environment: `cargo run -p lifecycle`, as on Cloud Run.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use platform::identity::keys::SigningKey;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::programs;

/// What a loaded machine takes to start a process and to answer once.
const WITHIN: Duration = Duration::from_secs(30);
/// What Cloud Run gives between SIGTERM and SIGKILL.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// An environment that is right, but for `changes`; an empty value takes the variable away.
fn program(name: &str, changes: &[(&str, &str)]) -> Command {
    let (_, key) = SigningKey::generate().unwrap();
    let workspaces = json!([{"id": "main", "title": "ComfyUI", "placements": [{"instance": "a", "zone": "us-central1-a",
        "machine_type": "g2-standard-4", "usd_per_hour": 0.7068, "origin": "https://comfy.example.com"}]}]);
    let mut command = Command::new(programs::function(name));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let nowhere = "http://127.0.0.1:9";
    command.envs([
        ("PROJECT", "p"),
        ("WORKSPACES", &workspaces.to_string()),
        ("SIGNING_KEY", &key),
        ("JWKS_URL", nowhere),
        ("VM_AUDIENCE", nowhere),
        ("VM_EMAILS", "vm@p.iam.gserviceaccount.com"),
        ("PUSH_AUDIENCE", nowhere),
        ("PUSH_EMAILS", "push@p.iam.gserviceaccount.com"),
        ("SWEEP_AUDIENCE", nowhere),
        ("SWEEP_EMAILS", "scheduler@p.iam.gserviceaccount.com"),
        ("NUDGE_TOPIC", "projects/p/topics/nudges"),
    ]);
    for (variable, value) in changes {
        if value.is_empty() {
            command.env_remove(variable);
        } else {
            command.env(variable, value);
        }
    }
    command
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_function_needs_only_its_environment_and_ends_in_time_on_sigterm() {
    for name in ["lifecycle", "reaper"] {
        let port = free_port();
        let mut child = program(name, &[("PORT", &port.to_string())]).spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}/healthz");
        let begun = Instant::now();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let answer = loop {
            looks.tick().await;
            assert!(begun.elapsed() < WITHIN && child.try_wait().unwrap().is_none(), "{name} does not answer");
            if let Ok(answer) = reqwest::get(&url).await {
                break answer;
            }
        };
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "ok"), "{name}");

        kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
        let status = timeout(ENDS_WITHIN, child.wait()).await.expect("it ends in time").unwrap();
        assert_eq!(status.code(), Some(0), "{name}");
    }
}

#[tokio::test]
async fn a_variable_that_is_wrong_or_missing_stops_the_start_by_name() {
    let wrongs = [
        ("lifecycle", "PROJECT", "", "PROJECT: found nothing; expected: Google Cloud project"),
        ("lifecycle", "WORKSPACES", "[]", "WORKSPACES: the list of workspaces is empty; expected at least one"),
        ("lifecycle", "WORKSPACES", r#"[{"id":"main"}]"#, "WORKSPACES: expected a JSON list"),
        ("lifecycle", "SIGNING_KEY", "key-secret", "SIGNING_KEY: expected 1 to 8 blocks"),
        ("lifecycle", "VM_EMAILS", "", "VM_EMAILS: found nothing; expected: Service accounts of VMs"),
        ("lifecycle", "PUSH_EMAILS", "push", "PUSH_EMAILS: found \"push\"; expected 1 to 50 e-mail addresses"),
        ("lifecycle", "JWKS_URL", "nowhere", "JWKS_URL: found \"nowhere\"; expected a URL"),
        ("lifecycle", "PORT", "http", "PORT: found \"http\"; expected a number from 0 to 65535"),
        (
            "lifecycle",
            "PILOTLIGHT_CLOCK",
            "noon",
            "PILOTLIGHT_CLOCK: found \"noon\"; expected nothing, or ORIGIN_MILLIS@RATE",
        ),
        ("reaper", "NUDGE_TOPIC", "", "NUDGE_TOPIC: found nothing; expected: Topic of the nudges"),
        ("reaper", "NUDGE_TOPIC", "nudges", "NUDGE_TOPIC: found \"nudges\"; expected projects/PROJECT/topics/TOPIC"),
        ("reaper", "LOG_FORMAT", "xml", "LOG_FORMAT: found \"xml\"; expected `human` or `json`"),
    ];
    for (name, variable, value, told) in wrongs {
        let ended = timeout(WITHIN, program(name, &[(variable, value)]).output()).await;
        let Output { status, stderr, .. } = ended.expect("it ends at once").unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert!(!status.success() && said.contains(told), "{name}, {variable}={value}: {said}");
        assert!(!said.contains("-secret"), "a secret is not repeated: {said}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_by_name() {
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = timeout(WITHIN, program("reaper", &[("PORT", &port)]).output()).await;
    let Output { status, stderr, .. } = ended.expect("it ends at once").unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && said.contains(&format!("PORT: found {port}; expected a port that is free")), "{said}");
}
