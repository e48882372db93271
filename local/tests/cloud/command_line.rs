//! How it is started, refuses to be, and is ended.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::pilotlight::{A, Pilotlight, program, signal};
use crate::processes::{children, is_alive, variable};

/// Runs it with arguments that it cannot start with.
fn refused(args: &[&str]) -> (Output, String) {
    let output = program(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{args:?}: {said}");
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "it announces nothing: {output:?}");
    (output, said)
}

#[test]
fn a_port_that_is_taken_is_told_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (output, said) = refused(&["--port", &port]);
    assert!(said.contains(&format!("port {port} cannot be had")) && said.contains("--port"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn wrong_flags_are_told_by_name_with_what_was_expected() {
    for (args, wanted) in [
        (&["--speed", "fast"] as &[&str], &["--speed", "fast", "expected a number"] as &[&str]),
        (&["--speed", "0"], &["--speed", "expected 0.1 to 600"]),
        (&["--speed", "NaN"], &["--speed", "expected 0.1 to 600"]),
        (&["--speed", "100000"], &["--speed", "expected 0.1 to 600"]),
        (&["--idle-limit", "30"], &["--idle-limit", "30", "expected a length such as 90s, 30m or 12h"]),
        (&["--hard-limit=-1h"], &["--hard-limit", "expected a length"]),
        (&["--sweep-every", "0s"], &["--sweep-every", "expected a length"]),
        (&["--placements", "0"], &["--placements", "1..=4"]),
        (&["--placements", "9"], &["--placements", "1..=4"]),
        (&["--port", "70000"], &["--port", "70000"]),
        (&["--spot", "never"], &["--spot", "never", "expected first or last"]),
        (&["--budget", "much"], &["--budget", "much", "expected US dollars"]),
        (&["--budget=-1"], &["--budget", "expected US dollars"]),
        (&["--user", "ada"], &["--user", "expected NAME=PASSWORD"]),
        (&["--comfyui", "localhost:8188"], &["--comfyui", "expected http://HOST:PORT"]),
        (&["--comfyui", "http://127.0.0.1:1", "--comfyui-dir", "/tmp"], &["--comfyui", "--comfyui-dir"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
    ] {
        let (output, said) = refused(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        for part in wanted {
            assert!(said.contains(part), "{args:?} should say {part:?}: {said}");
        }
    }
}

#[test]
fn limits_and_folders_that_cannot_be_are_told_by_name() {
    let nowhere = "/nonexistent/comfyui";
    for (args, wanted) in [
        (["--idle-limit", "10s"], ["idle_limit is 10 s", "expected 60 s"]),
        (["--hard-limit", "1m"], ["hard_limit is 60 s", "expected 240 s"]),
        (["--comfyui-dir", nowhere], ["--comfyui-dir is /nonexistent/comfyui", "main.py"]),
        (["--comfyui-frontend", nowhere], ["--comfyui-frontend is /nonexistent/comfyui", "index.html"]),
    ] {
        let (_, said) = refused(&["--port", "0", args[0], args[1]]);
        for part in wanted {
            assert!(said.contains(part), "{args:?} should say {part:?}: {said}");
        }
    }
}

#[tokio::test]
async fn sigterm_ends_it_and_every_process_of_its_vms() {
    let mut pilotlight = Pilotlight::start(&[]).await;
    pilotlight.ready().await;
    let vms = children(pilotlight.pid());
    assert_eq!(vms.len(), 2, "a gateway and the stand-in behind it");
    let gateway = pilotlight.gateway_pid(A).await;
    assert!(vms.contains(&gateway));
    let kept = variable(gateway, "KEPT_QUEUE_DIR").unwrap();
    assert!(kept.contains("comfyui-main-data") && Path::new(&kept).is_dir(), "{kept} is on the data disk");

    let status = pilotlight.terminate();

    assert_eq!(status.code(), Some(0), "{status:?}");
    let left: Vec<_> = vms.into_iter().filter(|pid| is_alive(*pid)).collect();
    assert_eq!(left, [0_u32; 0], "these outlived it");
    assert!(!Path::new(&kept).exists(), "what was on the data disk is cleaned away");
}

#[tokio::test]
async fn a_password_is_made_up_where_none_is_given_and_is_told() {
    let mut child = program(&["--port", "0"]).spawn().unwrap();
    // Kept to the end: who prints to nobody has failed.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let printed: Vec<_> = lines.by_ref().take(2).map(Result::unwrap).collect();
    let base = printed[0].strip_prefix("Pilotlight is at").unwrap().trim();
    let (user, password) =
        printed[1].strip_prefix("User and password").unwrap().trim().split_once(char::is_whitespace).unwrap();
    let body = json!({"user": user, "password": password.trim()});
    let signed_in = reqwest::Client::new().post(format!("{base}/api/login")).json(&body).send().await.unwrap();
    signal(child.id(), Signal::SIGTERM);
    assert!(child.wait().unwrap().success());
    assert_eq!((user, password.trim().len(), signed_in.status().as_u16()), ("admin", 16, 200), "{printed:?}");
}

#[tokio::test]
async fn its_vms_start_though_its_file_was_replaced_by_a_newer_build() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pilotlight-{}", std::process::id()));
    std::fs::hard_link(env!("CARGO_BIN_EXE_pilotlight"), &file).unwrap();
    let pilotlight = Pilotlight::start_from(&file, &[]).await;
    std::fs::remove_file(&file).unwrap();
    pilotlight.ready().await;
}
