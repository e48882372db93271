//! Lifecycle and the metadata server, as far as a machine meets them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use wire::{HeartbeatBody, HeartbeatReply};

/// What the control plane answers.
#[derive(Clone)]
pub(crate) enum Says {
    Reply(HeartbeatReply),
    WrongRun,
    Refused,
    /// Nothing that makes sense.
    Noise,
}

/// One heartbeat as it came.
#[derive(Clone, Debug)]
pub(crate) struct Beat {
    pub(crate) body: HeartbeatBody,
    pub(crate) token: String,
}

#[derive(Clone)]
pub(crate) struct ControlPlane {
    pub(crate) address: SocketAddr,
    says: Arc<Mutex<Says>>,
    beats: watch::Sender<Vec<Beat>>,
    tokens: watch::Sender<Vec<String>>,
    preempted: watch::Sender<bool>,
    changes: Arc<AtomicU64>,
}

pub(crate) fn reply(run: u64, wish: &str) -> HeartbeatReply {
    HeartbeatReply {
        wish: wish.into(),
        phase: "Ready".into(),
        run,
        stop_at: None,
        hard_stop_at: None,
        announce: String::new(),
        next_in_seconds: 30,
        idle_limit_seconds: 1800,
        restore_queue: false,
        interrupted_run: None,
    }
}

pub(crate) async fn start() -> ControlPlane {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = ControlPlane {
        address: listener.local_addr().unwrap(),
        says: Arc::new(Mutex::new(Says::Reply(reply(3, "Running")))),
        beats: watch::Sender::default(),
        tokens: watch::Sender::default(),
        preempted: watch::Sender::new(false),
        changes: Arc::default(),
    };
    let router = Router::new()
        .route("/lifecycle/vm/heartbeat", post(heartbeat))
        .route("/computeMetadata/v1/instance/service-accounts/default/identity", get(identity))
        .route("/computeMetadata/v1/instance/preempted", get(preempted))
        .with_state(control.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    control
}

impl ControlPlane {
    pub(crate) fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    pub(crate) fn preempt(&self) {
        self.preempted.send_replace(true);
    }

    /// Questions whether the machine is taken back that were to be answered when that changes.
    pub(crate) fn changes_asked(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    pub(crate) fn beats(&self) -> Vec<Beat> {
        self.beats.borrow().clone()
    }

    /// Queries that asked for a token.
    pub(crate) fn tokens_asked(&self) -> Vec<String> {
        self.tokens.borrow().clone()
    }

    /// Waits for the first heartbeat, from the `from`-th on, that is as wanted; where it stands, and it.
    pub(crate) async fn beat_where(&self, from: usize, wanted: impl Fn(&Beat) -> bool) -> (usize, Beat) {
        let mut beats = self.beats.subscribe();
        let found = |beats: &Vec<Beat>| beats.iter().enumerate().skip(from).any(|(_, beat)| wanted(beat));
        let waited = tokio::time::timeout(Duration::from_secs(20), beats.wait_for(found)).await;
        assert!(waited.is_ok(), "no such heartbeat among {:#?}", self.beats());
        let beats = self.beats();
        let at = (from..beats.len()).find(|at| wanted(&beats[*at])).unwrap();
        (at, beats[at].clone())
    }
}

async fn heartbeat(
    State(control): State<ControlPlane>,
    headers: HeaderMap,
    Json(body): Json<HeartbeatBody>,
) -> Response {
    let token = headers.get("authorization").and_then(|token| token.to_str().ok()).unwrap_or_default().to_owned();
    control.beats.send_modify(|beats| beats.push(Beat { body, token }));
    let says = control.says.lock().unwrap().clone();
    let problem = |status: u16, code: &str| {
        let body = json!({ "type": "about:blank", "title": "no", "status": status, "code": code });
        (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
    };
    match says {
        Says::Reply(reply) => Json(reply).into_response(),
        Says::WrongRun => problem(409, "wrong_run"),
        Says::Refused => problem(401, "wrong_token"),
        Says::Noise => "noise".into_response(),
    }
}

#[derive(serde::Deserialize)]
struct Audience {
    audience: String,
    format: String,
}

/// Unsigned: whoever gets it, in this test, does not look.
async fn identity(State(control): State<ControlPlane>, headers: HeaderMap, Query(query): Query<Audience>) -> Response {
    if headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
        return StatusCode::FORBIDDEN.into_response();
    }
    control.tokens.send_modify(|tokens| tokens.push(format!("{} {}", query.audience, query.format)));
    let number = control.tokens.borrow().len();
    // {"exp":4102444800}: the year 2100.
    format!("token{number}.eyJleHAiOjQxMDI0NDQ4MDB9.x\n").into_response()
}

#[derive(serde::Deserialize)]
struct Change {
    wait_for_change: Option<bool>,
}

async fn preempted(State(control): State<ControlPlane>, Query(query): Query<Change>) -> Response {
    let mut preempted = control.preempted.subscribe();
    if query.wait_for_change == Some(true) {
        control.changes.fetch_add(1, Ordering::SeqCst);
        let _ = preempted.wait_for(|preempted| *preempted).await;
    }
    let text = if *preempted.borrow() { "TRUE" } else { "FALSE" };
    ([("etag", text)], text).into_response()
}
