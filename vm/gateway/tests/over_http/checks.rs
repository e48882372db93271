//! The gateway's own checks of the machine, as somebody who looks after it runs them.

use std::process::{Output, Stdio};

use crate::control_plane::{self, Says, reply};

/// `gateway --check-control` against this control plane, with nothing else in its environment.
async fn check(control: &str) -> Output {
    let settings = [
        ("ORIGIN", "https://comfy.example.com"),
        ("PAGE_ORIGIN", "https://pilotlight.example.com"),
        ("CONTROL_URL", &format!("{control}/lifecycle/")),
        ("CONTROL_AUDIENCE", ""),
        ("SILENCE_SECONDS", ""),
        ("HARD_SECONDS", ""),
        ("JWKS_URL", "http://127.0.0.1:9/unused"),
        ("WORKSPACE", "main"),
        ("METADATA", control),
    ];
    let mut gateway = tokio::process::Command::new(env!("CARGO_BIN_EXE_gateway"));
    gateway.arg("--check-control").env_clear().envs(settings).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(crate::world::SOON, gateway.output()).await.unwrap().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_control_plane_that_takes_the_machine_s_word_is_said_to_with_its_wish() {
    let control = control_plane::start().await;
    control.says(Says::Reply(reply(7, "Running")));
    let output = check(&format!("http://{}", control.address)).await;
    assert_eq!(said(&output), "lifecycle answers 200: wish Running, phase Ready, run 7\n");
    assert!(output.status.success());
    let beats = control.beats();
    assert_eq!((beats.len(), beats[0].body.run, &beats[0].body.boot), (1, None, &None), "a question, and no more");
    assert!(beats[0].token.starts_with("Bearer token1."));
    assert_eq!(control.tokens_asked(), [format!("http://{}/lifecycle full", control.address)]);
}

#[tokio::test]
async fn a_refusal_a_noise_and_a_silence_are_told_apart_and_no_token_is_shown() {
    let control = control_plane::start().await;
    let address = format!("http://{}", control.address);
    let cases = [
        (Says::Refused, address.as_str(), "lifecycle refuses this machine's word: 401 wrong_token"),
        (Says::Noise, &address, "lifecycle gives no answer: the reply to a heartbeat is none"),
        (Says::Noise, "http://127.0.0.1:9", "asking the metadata server for an identity token"),
    ];
    for (says, at, words) in cases {
        control.says(says);
        let output = check(at).await;
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains(words) && !said.contains("token1"), "{said}");
    }
}
