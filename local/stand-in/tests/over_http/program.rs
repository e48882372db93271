//! The program itself: says where it listens, waits as asked, ends at SIGTERM.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn stand_in(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stand-in"));
    command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn it_says_where_it_listens_serves_and_ends_at_sigterm() {
    let mut child = stand_in(&["--port", "0", "--startup-delay", "20", "--speed", "200"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let url = line.strip_prefix("Stand-in for ComfyUI: listening on ").unwrap();
    let answer = reqwest::get(format!("{url}/prompt")).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), r#"{"exec_info":{"queue_remaining":0}}"#);

    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_wrong_flag_stops_the_start_and_is_named() {
    for (flags, named) in [
        (["--speed", "0"], "speed"),
        (["--frontend", "/no/such/folder"], "frontend"),
        (["--startup-delay=-1", "--port=0"], "--startup-delay"),
        (["--port", "70000"], "--port"),
    ] {
        let mut child = stand_in(&flags).spawn().unwrap();
        let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        assert!(!status.success());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        assert!(said.contains(named), "{said}");
    }
}
