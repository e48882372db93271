//! The program as a process: its roles by name and by word, its tools, and what it says to what it does not know.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use platform::identity::keys::SigningKey;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(30);
/// Lines of log before the address is told.
const LINES_MAX: usize = 100;

fn program(path: &Path, line: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(path);
    command.env_clear().args(line).envs(variables.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn control_plane() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_control-plane"))
}

async fn output(line: &[&str], variables: &[(&str, &str)]) -> (bool, String, String) {
    let ended = timeout(WITHIN, program(control_plane(), line, variables).output()).await;
    let Output { status, stdout, stderr } = ended.expect("it ends at once").unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

const WORKSPACES: &str = r#"[{"id": "main", "title": "ComfyUI", "placements": [{"instance": "comfyui-main-a",
    "zone": "us-central1-a", "machine_type": "g2-standard-4", "usd_per_hour": 0.7068,
    "origin": "https://comfy.example.com"}]}]"#;

/// Enough for reaper.
fn reaper() -> Vec<(&'static str, &'static str)> {
    vec![
        ("PROJECT", "p"),
        ("WORKSPACES", WORKSPACES),
        ("NUDGE_TOPIC", "projects/p/topics/nudges"),
        ("SWEEP_AUDIENCE", "https://reaper.example.com"),
        ("SWEEP_EMAILS", "scheduler@p.iam.gserviceaccount.com"),
        ("PORT", "0"),
    ]
}

/// The message with which a function says that it is there.
async fn listens(mut command: Command) -> String {
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..LINES_MAX {
        let line = timeout(WITHIN, log.next_line()).await.unwrap().unwrap().expect("it ended before it listened");
        let told: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        if told["address"].is_string() {
            child.kill().await.unwrap();
            return told["message"].as_str().unwrap().to_owned();
        }
    }
    panic!("it never told its address")
}

#[tokio::test]
async fn its_own_name_or_its_first_word_says_which_function_it_is() {
    assert_eq!(listens(program(control_plane(), &["reaper"], &reaper())).await, "reaper listens");
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("reaper");
    symlink(control_plane(), &link).unwrap();
    assert_eq!(listens(program(&link, &[], &reaper())).await, "reaper listens");
}

#[tokio::test]
async fn each_function_tells_its_variables_and_checks_them() {
    for (name, variable) in [("auth", "<USERS_FILE>"), ("lifecycle", "<VM_AUDIENCE>"), ("reaper", "<SWEEP_EMAILS>")] {
        let (done, help, _) = output(&[name, "--help"], &[]).await;
        assert!(done && help.contains(variable) && help.contains("<PORT>"), "{help}");
        let (done, _, said) = output(&["check-config", name], &[("PORT", "http")]).await;
        assert!(!done && said.starts_with(&format!("{name}: PORT: found \"http\"; expected a number")), "{said}");
    }
}

#[tokio::test]
async fn a_check_tells_how_lifecycle_would_be_used_and_asks_nobody() {
    let (key, pem) = SigningKey::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (key_file, workspaces) = (folder.path().join("key"), folder.path().join("workspaces"));
    std::fs::write(&key_file, pem).unwrap();
    std::fs::write(&workspaces, WORKSPACES).unwrap();
    // Where nobody listens.
    let nowhere = "http://127.0.0.1:9";
    let variables = [
        ("PROJECT", "p"),
        ("WORKSPACES_FILE", workspaces.to_str().unwrap()),
        ("SIGNING_KEY_FILE", key_file.to_str().unwrap()),
        ("JWKS_URL", nowhere),
        ("VM_AUDIENCE", nowhere),
        ("VM_EMAILS", "vm@p.iam.gserviceaccount.com"),
        ("PUSH_AUDIENCE", nowhere),
        ("PUSH_EMAILS", "push@p.iam.gserviceaccount.com"),
        ("NUDGE_TOPIC", "projects/p/topics/nudges"),
        ("FIRESTORE_EMULATOR_HOST", "127.0.0.1:9"),
    ];
    let (done, told, said) = output(&["check-config", "lifecycle"], &variables).await;
    assert!(done, "{said}");
    let lines: Vec<&str> = told.lines().collect();
    for line in [
        "PORT=8080  # default",
        "WORKSPACES=(1 workspace: main on comfyui-main-a)  # file, by WORKSPACES_FILE",
        &format!("SIGNING_KEY=(1 key, kid {})  # file, by SIGNING_KEY_FILE", key.key_id()),
        "GOOGLE_JWKS_URL=https://www.googleapis.com/oauth2/v3/certs  # default",
        "FIRESTORE_EMULATOR_HOST=127.0.0.1:9  # environment",
        "COMPUTE_ENDPOINT=  # not set",
    ] {
        assert!(lines.contains(&line), "{line} in {told}");
    }
    assert!(!told.contains("PRIVATE"), "{told}");
}

#[tokio::test]
async fn its_tools_make_what_auth_takes() {
    let (done, pem, _) = output(&["new-key"], &[]).await;
    assert!(done);
    let mut hashing = program(control_plane(), &["hash-password"], &[]).stdin(Stdio::piped()).spawn().unwrap();
    hashing.stdin.take().unwrap().write_all(b"battery staple\n").await.unwrap();
    let hashed = timeout(WITHIN, hashing.wait_with_output()).await.unwrap().unwrap();
    let hash = String::from_utf8(hashed.stdout).unwrap();
    let users = json!([{"name": "eve", "role": "viewer", "hash": hash.trim_end()}]).to_string();
    let variables = [("SIGNING_KEY", pem.as_str()), ("USERS", &users), ("SIGNIN_STORE", "memory")];
    let (done, told, said) = output(&["check-config", "auth"], &variables).await;
    assert!(done && told.contains("USERS=(1 user: eve viewer)"), "{told}{said}");
}

#[tokio::test]
async fn what_it_does_not_know_it_refuses_and_says_what_there_is() {
    let cases = [
        (&[][..], "control-plane: found no word; expected auth, lifecycle, reaper, or a tool"),
        (&["gateway"], "control-plane: found \"gateway\"; expected auth, lifecycle, reaper, or a tool"),
        (&["check-config"], "control-plane: check-config: found no function to check"),
        (&["check-config", "gateway"], "control-plane: check-config: found no function to check"),
    ];
    for (line, told) in cases {
        let (done, _, said) = output(line, &[]).await;
        assert!(!done && said.starts_with(told), "{line:?}: {said}");
    }
    let (done, help, _) = output(&["--help"], &[]).await;
    assert!(done);
    for word in ["auth", "lifecycle", "reaper", "check-config", "hash-password", "new-key"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}
