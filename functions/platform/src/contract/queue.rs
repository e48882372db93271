//! What every [`Queue`] must do, whoever carries the nudges; and an endpoint that is pushed to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::WorkspaceId;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use wire::{Nudge, PushEnvelope, Rfc3339};

use crate::queue::Queue;

/// How often the queues of this suite try a message before it is dead (the least that Pub/Sub allows).
pub const QUEUE_CONTRACT_ATTEMPTS: u32 = 5;
/// A push or dead letter that takes longer is missing.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Pushes that an endpoint keeps for its test.
const PUSHES_MAX: usize = 10_000;

/// A queue, and what its suite must see of it.
#[async_trait]
pub trait QueueHarness: Send + Sync {
    /// Pushes to the endpoint that it was opened for, up to [`QUEUE_CONTRACT_ATTEMPTS`] times, with little back-off.
    fn queue(&self) -> &dyn Queue;

    /// The nudge in the next dead letter; the suite bounds the wait.
    async fn next_dead_letter(&mut self) -> Nudge;
}

/// Holds a queue to its contract. `open` makes one that nobody else uses, pushing to the URL it is given.
///
/// # Panics
/// When the queue breaks the contract; the message says where.
pub async fn queue_contract<H: QueueHarness>(open: impl AsyncFn(String) -> H) {
    a_nudge_is_pushed_in_the_envelope(&open).await;
    a_refused_nudge_is_pushed_again(&open).await;
    every_nudge_arrives(&open).await;
    what_is_always_refused_becomes_a_dead_letter_and_holds_up_no_other(&open).await;
}

/// One push as it arrived.
#[derive(Clone, Debug)]
pub struct Push {
    pub envelope: PushEnvelope,
    /// The whole body, with what the envelope's type leaves out.
    pub body: serde_json::Value,
    pub authorization: Option<String>,
}

impl Push {
    /// The nudge in it.
    ///
    /// # Panics
    /// When there is none.
    pub fn nudge(&self) -> Nudge {
        let data = STANDARD.decode(&self.envelope.message.data).expect("base64 data");
        serde_json::from_slice(&data).expect("a nudge in the data")
    }
}

type Answer = dyn Fn(&Push, u32) -> u16 + Send + Sync;

struct Receiving {
    answer: Box<Answer>,
    /// How often each message has arrived.
    arrived: Mutex<BTreeMap<String, u32>>,
    pushes: mpsc::Sender<Push>,
}

/// An endpoint on loopback that is pushed to; it ends when dropped.
pub struct PushEndpoint {
    address: SocketAddr,
    receiving: Arc<Receiving>,
    pushes: mpsc::Receiver<Push>,
    server: AbortHandle,
}

impl PushEndpoint {
    /// Listens; answers the nth push of a message (from 1) with the status that `answer` tells.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn answering(answer: impl Fn(&Push, u32) -> u16 + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("the port");
        let (sender, pushes) = mpsc::channel(PUSHES_MAX);
        let receiving = Arc::new(Receiving { answer: Box::new(answer), arrived: Mutex::default(), pushes: sender });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&receiving));
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { address, receiving, pushes, server }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/push", self.address)
    }

    /// The next push.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next(&mut self) -> Push {
        let next = tokio::time::timeout(WAIT_MAX, self.pushes.recv()).await;
        next.expect("a push within the time limit").expect("a running endpoint")
    }

    /// How often a message has arrived so far.
    pub fn times_pushed(&self, message_id: &str) -> u32 {
        self.receiving.arrived().get(message_id).copied().unwrap_or(0)
    }
}

impl Receiving {
    fn arrived(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PushEndpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(receiving): State<Arc<Receiving>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let parsed = serde_json::from_slice::<PushEnvelope>(&body).and_then(|envelope| {
        let body = serde_json::from_slice(&body)?;
        Ok(Push { envelope, body, authorization })
    });
    let Ok(push) = parsed else { return StatusCode::BAD_REQUEST };
    let nth = {
        let mut arrived = receiving.arrived();
        let times = arrived.entry(push.envelope.message.message_id.clone()).or_insert(0);
        *times += 1;
        *times
    };
    let status = (receiving.answer)(&push, nth);
    // A test that has seen enough no longer listens.
    let _ = receiving.pushes.try_send(push);
    StatusCode::from_u16(status).expect("a status of this suite")
}

fn workspace(name: &str) -> WorkspaceId {
    WorkspaceId::parse(name).expect("a workspace name of this suite")
}

async fn a_nudge_is_pushed_in_the_envelope<H: QueueHarness>(open: &impl AsyncFn(String) -> H) {
    let mut endpoint = PushEndpoint::answering(|_, _| 204).await;
    let harness = open(endpoint.url()).await;
    harness.queue().nudge(&workspace("main")).await.expect("a nudge");
    let push = endpoint.next().await;
    assert_eq!(push.nudge(), Nudge { workspace: "main".to_owned() });
    let message = &push.body["message"];
    assert!(!push.envelope.message.message_id.is_empty());
    assert_eq!(message["messageId"], message["message_id"], "in both spellings");
    assert_eq!(message["publishTime"], message["publish_time"], "in both spellings");
    serde_json::from_value::<Rfc3339>(message["publishTime"].clone()).expect("a time in RFC 3339");
    assert!(push.envelope.subscription.starts_with("projects/"), "{}", push.envelope.subscription);
}

async fn a_refused_nudge_is_pushed_again<H: QueueHarness>(open: &impl AsyncFn(String) -> H) {
    let mut endpoint = PushEndpoint::answering(|_, nth| if nth < 3 { 503 } else { 204 }).await;
    let harness = open(endpoint.url()).await;
    harness.queue().nudge(&workspace("main")).await.expect("a nudge");
    let first = endpoint.next().await;
    for _ in 0..2 {
        let again = endpoint.next().await;
        assert_eq!(again.envelope.message, first.envelope.message);
    }
}

async fn every_nudge_arrives<H: QueueHarness>(open: &impl AsyncFn(String) -> H) {
    let mut endpoint = PushEndpoint::answering(|_, _| 204).await;
    let harness = open(endpoint.url()).await;
    let sent: BTreeSet<String> = (0..50).map(|number| format!("w-{number}")).collect();
    for name in &sent {
        harness.queue().nudge(&workspace(name)).await.expect("a nudge");
    }
    let mut arrived = BTreeSet::new();
    // At least once: some may come twice, and the time limit of each push bounds the loop.
    while arrived.len() < sent.len() {
        arrived.insert(endpoint.next().await.nudge().workspace);
    }
    assert_eq!(arrived, sent);
}

async fn what_is_always_refused_becomes_a_dead_letter_and_holds_up_no_other<H: QueueHarness>(
    open: &impl AsyncFn(String) -> H,
) {
    let refuse_poison = |push: &Push, _| if push.nudge().workspace == "poison" { 500 } else { 204 };
    let mut endpoint = PushEndpoint::answering(refuse_poison).await;
    let mut harness = open(endpoint.url()).await;
    for name in ["poison", "main"] {
        harness.queue().nudge(&workspace(name)).await.expect("a nudge");
    }
    let dead = tokio::time::timeout(WAIT_MAX, harness.next_dead_letter()).await.expect("a dead letter in time");
    assert_eq!(dead, Nudge { workspace: "poison".to_owned() });
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    // Both have been pushed, or are about to be; the time limit of each push bounds the loop.
    while ids.len() < 2 {
        let push = endpoint.next().await;
        ids.insert(push.nudge().workspace, push.envelope.message.message_id);
    }
    assert_eq!(endpoint.times_pushed(&ids["poison"]), QUEUE_CONTRACT_ATTEMPTS, "each attempt was made, and no other");
}
