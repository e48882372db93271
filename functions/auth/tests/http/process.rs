//! auth as a process: configured by its environment, ended by SIGTERM, silent about secrets.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use platform::identity::keys::SigningKey;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::house::{PASSWORD, users};

const WITHIN: Duration = Duration::from_secs(30);
/// Lines of log before the address is told, and in all.
const LINES_MAX: usize = 1000;

fn auth() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

struct Running {
    child: Child,
    log: tokio::io::Lines<BufReader<ChildStderr>>,
    lines: Vec<String>,
    address: SocketAddr,
}

impl Running {
    async fn start() -> Self {
        let (_, pem) = SigningKey::generate().unwrap();
        let mut child = auth()
            .env("PORT", "0")
            .env("SIGNING_KEY", pem)
            .env("USERS", users().to_string())
            .env("SIGNIN_STORE", "memory")
            .env("RUST_LOG", "trace")
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = Vec::new();
        for _ in 0..LINES_MAX {
            let line = timeout(WITHIN, log.next_line()).await.unwrap().unwrap().expect("it ended before it listened");
            let told: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("a line is no JSON: {line}"));
            lines.push(line);
            if let Some(address) = told["address"].as_str() {
                let port = address.parse::<SocketAddr>().unwrap().port();
                return Self { child, log, lines, address: SocketAddr::from(([127, 0, 0, 1], port)) };
            }
        }
        panic!("it never told its address: {lines:?}");
    }

    async fn ask(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        rest(&mut socket).await
    }

    fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// The exit code, and everything it logged.
    async fn end(mut self) -> (Option<i32>, String) {
        while let Some(line) = timeout(WITHIN, self.log.next_line()).await.unwrap().unwrap() {
            assert!(self.lines.len() < LINES_MAX, "a log without end");
            self.lines.push(line);
        }
        let status = timeout(WITHIN, self.child.wait()).await.unwrap().unwrap();
        (status.code(), self.lines.join("\n"))
    }
}

async fn rest(socket: &mut TcpStream) -> String {
    let mut answer = String::new();
    timeout(WITHIN, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    )
}

#[tokio::test]
async fn a_request_under_way_is_finished_after_sigterm() {
    let running = Running::start().await;
    let body = json!({"user": "ada", "password": PASSWORD}).to_string();
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    let whole = post("/api/login", "expect: 100-continue\r\n", &body);
    let (head, _) = whole.split_at(whole.len() - body.len());
    socket.write_all(head.as_bytes()).await.unwrap();
    // The handler waits for the body now: it asked for it.
    let mut go_on = [0; 25];
    timeout(WITHIN, socket.read_exact(&mut go_on)).await.unwrap().unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    running.terminate();
    let closed = async { while TcpStream::connect(running.address).await.is_ok() {} };
    timeout(WITHIN, closed).await.expect("nobody new is let in");
    socket.write_all(body.as_bytes()).await.unwrap();
    let answer = rest(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"token\""), "{answer}");
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn the_log_holds_no_password_no_token_and_no_query() {
    let running = Running::start().await;
    let good = json!({"user": "ada", "password": PASSWORD}).to_string();
    let answer = running.ask(&post("/api/login?next=query-secret", "", &good)).await;
    let reply: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let token = reply["token"].as_str().unwrap();
    let wrong = json!({"user": "ada", "password": "wrong-secret"}).to_string();
    assert!(running.ask(&post("/api/login", "", &wrong)).await.starts_with("HTTP/1.1 401"));
    let malformed = r#"{"password": "broken-secret"#;
    assert!(running.ask(&post("/api/login", "", malformed)).await.starts_with("HTTP/1.1 400"));
    let refreshed =
        running.ask(&post("/api/session/refresh?x=query-secret", &format!("x-auth-token: {token}\r\n"), "")).await;
    assert!(refreshed.starts_with("HTTP/1.1 200"), "{refreshed}");
    let stale = running.ask(&post("/api/session/refresh", &format!("cookie: pilotlight_token={token}\r\n"), "")).await;
    assert!(stale.starts_with("HTTP/1.1 401"), "{stale}");
    let unknown = running.ask("GET /path-secret?x=query-secret HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
    running.terminate();
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("/api/login") && log.contains("\"status\":401"), "it does log: {log}");
    let signature = token.rsplit('.').next().unwrap();
    for secret in [PASSWORD, "query-secret", "wrong-secret", "broken-secret", "path-secret", signature, "$argon2id"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn a_wrong_variable_stops_the_start_by_name() {
    let (_, pem) = SigningKey::generate().unwrap();
    let users = users().to_string();
    let good = [("SIGNING_KEY", pem.as_str()), ("USERS", &users), ("SIGNIN_STORE", "memory"), ("PORT", "0")];
    let wrongs = [
        ("PORT", "http", "auth: PORT: found \"http\"; expected a number from 0 to 65535"),
        ("SIGNING_KEY", "key-secret", "auth: SIGNING_KEY: expected 1 to 8 blocks"),
        ("USERS", "users-secret", "auth: USERS: expected a JSON list"),
        ("SIGNIN_STORE", "firestore", "auth: PROJECT: found nothing; expected the project of the database"),
        (
            "FRAME_SOURCES",
            "comfy.example.com",
            "auth: FRAME_SOURCES: found \"comfy.example.com\"; expected up to 50 origins",
        ),
        ("PILOTLIGHT_CLOCK", "noon", "auth: PILOTLIGHT_CLOCK: found \"noon\"; expected nothing, or ORIGIN_MILLIS@RATE"),
        ("RUST_LOG", "hyper=loud", "auth: RUST_LOG: found \"hyper=loud\"; expected a log filter"),
    ];
    for (name, value, told) in wrongs {
        let output = timeout(WITHIN, auth().envs(good).env(name, value).output()).await.unwrap().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && log.contains(told), "{name}={value}: {log}");
        assert!(!log.contains("-secret") && !log.contains("argon2id$"), "{log}");
    }
}

#[tokio::test]
async fn a_check_tells_what_a_start_would_use_and_keeps_secrets_to_itself() {
    let (key, pem) = SigningKey::generate().unwrap();
    let checked = auth()
        .arg("--check-config")
        .envs([("SIGNING_KEY", pem.as_str()), ("USERS", &users().to_string()), ("SIGNIN_STORE", "memory")])
        .output();
    let output = timeout(WITHIN, checked).await.unwrap().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = told.lines().collect();
    for line in [
        "PORT=8080  # default",
        &format!("SIGNING_KEY=(1 key, kid {})  # environment", key.key_id()),
        "USERS=(3 users: admin admin, ada user, guest viewer)  # environment",
        "SIGNIN_STORE=memory  # environment",
        "VERIFYING_KEYS=  # not set",
    ] {
        assert!(lines.contains(&line), "{line} in {told}");
    }
    assert!(!told.contains("argon2id") && !told.contains("PRIVATE"), "{told}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let taken = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (_, pem) = SigningKey::generate().unwrap();
    let started = auth()
        .envs([
            ("SIGNING_KEY", pem.as_str()),
            ("USERS", &users().to_string()),
            ("SIGNIN_STORE", "memory"),
            ("PORT", &port),
        ])
        .output();
    let output = timeout(WITHIN, started).await.unwrap().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && log.contains(&format!("PORT: found {port}")), "{log}");
}

#[tokio::test]
async fn the_tools_make_what_the_configuration_takes() {
    let mut hashing = auth().arg("hash-password").env("USERS", "in the way").stdin(Stdio::piped()).spawn().unwrap();
    hashing.stdin.take().unwrap().write_all(b"battery staple\n").await.unwrap();
    let hashed = timeout(WITHIN, hashing.wait_with_output()).await.unwrap().unwrap();
    let hash = String::from_utf8(hashed.stdout).unwrap();
    let list = json!([{"name": "admin", "role": "admin", "hash": hash.trim_end()}]).to_string();
    let key = timeout(WITHIN, auth().arg("new-key").output()).await.unwrap().unwrap();
    let pem = String::from_utf8(key.stdout).unwrap();
    assert!(SigningKey::from_pem(&pem).is_ok(), "a key that can be read");

    let house = crate::house::House::with(|app| {
        app.users = std::sync::Arc::new(auth::Users::from_json(&list).unwrap());
    });
    let signed_in = house.ask(crate::house::login(&json!({"password": "battery staple"}))).await;
    assert_eq!(signed_in.status, 200);

    let mut nothing = auth().arg("hash-password").stdin(Stdio::piped()).spawn().unwrap();
    nothing.stdin.take().unwrap().write_all(b"\n").await.unwrap();
    let refused = timeout(WITHIN, nothing.wait_with_output()).await.unwrap().unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty());
}
