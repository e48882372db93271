//! What every [`Notifier`] must do, whoever receives; and a receiver that checks signatures.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Seconds, Timestamp};
use futures_util::stream;
use tokio::task::AbortHandle;
use wire::{WebhookConfig, WebhookShape};

use crate::notify::{Delivery, ID_HEADER, Notifier, NotifyError, SIGNATURE_HEADER, TIMESTAMP_HEADER};

/// The key of this suite's webhooks, as it is declared and in bytes.
const SECRET: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4";
const KEY: &[u8] = b"abcdefghijklmnopqrstuvwx";
/// The moment at which this suite sends.
pub const NOTIFY_CONTRACT_NOW: Timestamp = Timestamp::from_millis(1_772_323_200_900);
/// What this suite's address has behind the host: a secret, as with Slack.
pub const SECRET_PATH: &str = "/services/T0/B0/hidden";

/// A notifier that takes longer waits for ever.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How a receiver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With this status; asking to be left alone for so many seconds.
    Status(u16, Option<u64>),
    /// By pointing elsewhere, where it would be taken.
    Redirect,
    /// With this status and a body without end.
    Endless(u16),
    /// Never.
    Silence,
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub id: String,
    /// Seconds since 1970.
    pub at: i64,
    pub body: String,
}

/// A notifier, and the receiver that its suite must see.
pub trait NotifierHarness: Send + Sync {
    /// Waits for an answer for a short time only.
    fn notifier(&self) -> &dyn Notifier;

    /// Where the receiver is.
    fn url(&self) -> String;

    /// How it answers the next request that has not got an answer yet; all others are taken.
    fn answer_next(&self, answer: Answer);

    /// What has arrived with a good signature, whatever was answered; oldest first.
    fn arrived(&self) -> Vec<Arrived>;
}

/// Holds a notifier to its contract. `open` makes one that nobody else uses, with a receiver of its own.
///
/// # Panics
/// When the notifier breaks the contract; the message says where.
pub async fn notifier_contract<H: NotifierHarness>(open: impl AsyncFn() -> H) {
    what_is_taken_has_arrived_once_as_it_was_given(&open().await).await;
    what_was_not_taken_may_be_sent_again_as_the_same_event(&open().await).await;
    what_is_refused_stays_refused_and_spoils_no_other(&open().await).await;
    without_an_answer_it_is_in_doubt(&open().await).await;
}

/// Something to send to `url`.
///
/// # Panics
/// When `url` is none that a webhook may have.
pub fn delivery(url: &str, id: &str) -> Delivery {
    let to = WebhookConfig::new(url, WebhookShape::Json, SECRET).expect("a webhook");
    Delivery {
        to,
        id: id.to_owned(),
        at: NOTIFY_CONTRACT_NOW,
        body: format!(r#"{{"id": "{id}", "title": "Ünïcödé 🔥."}}"#),
    }
}

fn arrived(ids: &[&str]) -> Vec<Arrived> {
    let arrived = |id: &&str| {
        let Delivery { id, at, body, .. } = delivery("https://hooks.example.com/", id);
        Arrived { id, at: at.seconds(), body }
    };
    ids.iter().map(arrived).collect()
}

async fn send(harness: &impl NotifierHarness, id: &str) -> Result<(), NotifyError> {
    let delivery = delivery(&harness.url(), id);
    tokio::time::timeout(WAIT_MAX, harness.notifier().send(&delivery)).await.expect("an end in time")
}

async fn what_is_taken_has_arrived_once_as_it_was_given(harness: &impl NotifierHarness) {
    for id in ["evt_main_1_1", "evt_main_1_2"] {
        send(harness, id).await.expect("to be taken");
    }
    assert_eq!(harness.arrived(), arrived(&["evt_main_1_1", "evt_main_1_2"]));
}

async fn what_was_not_taken_may_be_sent_again_as_the_same_event(harness: &impl NotifierHarness) {
    for (status, wait) in [(500, None), (501, None), (503, Some(7)), (429, Some(30)), (429, None)] {
        harness.answer_next(Answer::Status(status, wait));
        let failed = send(harness, "evt_main_1_1").await;
        let Err(NotifyError::NotDelivered { why, retry_after }) = failed else { panic!("{status}: {failed:?}") };
        assert!(why.contains(&status.to_string()), "{status}: {why}");
        assert_eq!(retry_after, wait.map(Seconds), "{status}");
    }
    send(harness, "evt_main_1_1").await.expect("to be taken at last");
    assert_eq!(harness.arrived(), arrived(&["evt_main_1_1"; 6]));
}

async fn what_is_refused_stays_refused_and_spoils_no_other(harness: &impl NotifierHarness) {
    for status in [400, 401, 403, 404, 410, 413] {
        harness.answer_next(Answer::Status(status, None));
        let failed = send(harness, "evt_main_1_1").await;
        assert!(matches!(failed, Err(NotifyError::Refused { .. })), "{status}: {failed:?}");
    }
    send(harness, "evt_main_1_2").await.expect("another to be taken");
}

async fn without_an_answer_it_is_in_doubt(harness: &impl NotifierHarness) {
    harness.answer_next(Answer::Silence);
    let failed = send(harness, "evt_main_1_1").await;
    assert!(matches!(failed, Err(NotifyError::InDoubt { .. })), "{failed:?}");
    assert_eq!(harness.arrived(), arrived(&["evt_main_1_1"]), "it has arrived all the same");
    send(harness, "evt_main_1_2").await.expect("another to be taken");
}

#[derive(Default)]
struct Receiving {
    answers: Mutex<VecDeque<Answer>>,
    arrived: Mutex<Vec<Arrived>>,
}

/// A receiver on loopback that takes what is signed with this suite's key; it ends when dropped.
pub struct Receiver {
    address: SocketAddr,
    receiving: Arc<Receiving>,
    server: AbortHandle,
}

impl Receiver {
    /// Listens.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn listening() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("the port");
        let receiving = Arc::<Receiving>::default();
        let router = Router::new().fallback(receive).with_state(Arc::clone(&receiving));
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { address, receiving, server }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}{SECRET_PATH}", self.address)
    }

    /// How it answers the next request that has not got an answer yet; all others are taken.
    pub fn answer_next(&self, answer: Answer) {
        locked(&self.receiving.answers).push_back(answer);
    }

    /// What has arrived with a good signature; oldest first.
    pub fn arrived(&self) -> Vec<Arrived> {
        locked(&self.receiving.arrived).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn receive(State(receiving): State<Arc<Receiving>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let Some(arrived) = signed(&headers, &body) else { return StatusCode::UNAUTHORIZED.into_response() };
    locked(&receiving.arrived).push(arrived);
    let answer = locked(&receiving.answers).pop_front();
    let status = |status: u16| StatusCode::from_u16(status).expect("a status");
    match answer {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Answer::Status(code, None)) => (status(code), format!("no such thing as {uri}")).into_response(),
        Some(Answer::Status(code, Some(wait))) => {
            (status(code), [(header::RETRY_AFTER, wait.to_string())]).into_response()
        }
        Some(Answer::Redirect) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/elsewhere")]).into_response(),
        Some(Answer::Endless(code)) => {
            let chunk = Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b'x'; 4096]));
            (status(code), Body::from_stream(stream::repeat(chunk))).into_response()
        }
        Some(Answer::Silence) => std::future::pending().await,
    }
}

/// The request, if its headers are all there and its signature is right, as a receiver checks it.
fn signed(headers: &HeaderMap, body: &[u8]) -> Option<Arrived> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let (id, at) = (text(ID_HEADER)?, text(TIMESTAMP_HEADER)?);
    let signature = STANDARD.decode(text(SIGNATURE_HEADER)?.strip_prefix("v1,")?).ok()?;
    let content = [id.as_bytes(), b".", at.as_bytes(), b".", body].concat();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, KEY), &content, &signature).ok()?;
    (text("content-type")? == "application/json").then_some(())?;
    Some(Arrived { id: id.to_owned(), at: at.parse().ok()?, body: String::from_utf8(body.to_vec()).ok()? })
}
