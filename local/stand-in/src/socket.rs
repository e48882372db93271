//! The WebSocket `/ws`: who is connected, and what they are told.
//!
//! As in ComfyUI: the first message tells the client its id and the queue; everybody hears of the queue's length,
//! only the submitter hears of a job; the server never pings.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    body::Body,
    extract::{Query, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        handshake::server::create_response_with_body,
        protocol::{Role, WebSocketConfig},
    },
};
use uuid::Uuid;

use crate::{about, routes::App};

type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// Clients connected at once; one more is answered 503.
pub(crate) const CLIENTS_MAX: usize = 256;
/// Messages that wait for a slow client before it is cut off.
const BACKLOG_MAX: usize = 512;
/// The page sends only its feature flags; custom nodes may send more.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// A client's own id, longer than this, is replaced by ours.
const CLIENT_ID_CHARS_MAX: usize = 200;

#[derive(Debug)]
struct Client {
    /// Tells a client from an earlier one of the same id.
    serial: u64,
    outbox: mpsc::Sender<Utf8Bytes>,
}

#[derive(Debug, Default)]
struct Clients {
    serial: u64,
    by_id: HashMap<String, Client>,
}

#[derive(Debug, Default)]
pub(crate) struct Sockets(Mutex<Clients>);

impl Sockets {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a client; an earlier one of the same id hears no more, as in ComfyUI.
    fn join(&self, id: &str) -> (u64, mpsc::Receiver<Utf8Bytes>) {
        let (outbox, inbox) = mpsc::channel(BACKLOG_MAX);
        let mut clients = self.clients();
        clients.serial += 1;
        let serial = clients.serial;
        clients.by_id.insert(id.to_owned(), Client { serial, outbox });
        (serial, inbox)
    }

    fn leave(&self, id: &str, serial: u64) {
        let mut clients = self.clients();
        if clients.by_id.get(id).is_some_and(|client| client.serial == serial) {
            clients.by_id.remove(id);
        }
    }

    fn is_full(&self) -> bool {
        self.clients().by_id.len() >= CLIENTS_MAX
    }

    pub(crate) fn send(&self, id: &str, kind: &str, data: &Value) {
        let text = message(kind, data);
        let mut clients = self.clients();
        let Some(client) = clients.by_id.get(id) else { return };
        // A full backlog drops the client: its outbox closes and the page connects again.
        if client.outbox.try_send(text).is_err() {
            clients.by_id.remove(id);
        }
    }

    pub(crate) fn broadcast(&self, kind: &str, data: &Value) {
        let text = message(kind, data);
        self.clients().by_id.retain(|_, client| client.outbox.try_send(text.clone()).is_ok());
    }
}

fn message(kind: &str, data: &Value) -> Utf8Bytes {
    json!({ "type": kind, "data": data }).to_string().into()
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(rename = "clientId", default)]
    client_id: String,
}

/// `GET /ws?clientId=…`; 400 for anything that is no WebSocket handshake.
pub(crate) async fn connect(State(app): State<Arc<App>>, Query(asked): Query<Asked>, mut request: Request) -> Response {
    if app.engine.sockets.is_full() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let Ok(switching) = create_response_with_body(&request, Body::empty) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let given = Some(asked.client_id).filter(|id| !id.is_empty() && id.chars().count() <= CLIENT_ID_CHARS_MAX);
    let id = given.unwrap_or_else(|| Uuid::new_v4().simple().to_string());
    tokio::spawn(talk_after(upgrade, app, id));
    switching
}

async fn talk_after(upgrade: OnUpgrade, app: Arc<App>, id: String) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => TokioIo::new(upgraded),
        Err(error) => return tracing::debug!(%error, "a client went away before its WebSocket began"),
    };
    let limits =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    talk(app, id, WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(limits)).await).await;
}

/// Until the client leaves, is replaced, falls behind, or the stand-in stops.
async fn talk(app: Arc<App>, id: String, mut socket: WebSocket) {
    let (serial, mut inbox) = app.engine.sockets.join(&id);
    let mut hello = app.engine.status();
    hello["sid"] = json!(id);
    let mut open = socket.send(Message::Text(message("status", &hello))).await.is_ok();
    while open {
        open = tokio::select! {
            told = inbox.recv() => match told {
                Some(text) => socket.send(Message::Text(text)).await.is_ok(),
                None => false,
            },
            heard = socket.next() => match heard {
                Some(Ok(Message::Text(text))) => answer(&mut socket, &text).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => false,
                Some(Ok(_)) => true,
            },
            () = app.stop.cancelled() => false,
        };
    }
    app.engine.sockets.leave(&id, serial);
    // The peer may be gone already: closing is a courtesy.
    let _ = socket.close(None).await;
}

/// A client's feature flags are answered with ours; anything else is ignored, as in ComfyUI.
async fn answer(socket: &mut WebSocket, text: &str) -> bool {
    let said: Value = serde_json::from_str(text).unwrap_or_default();
    if said["type"] != "feature_flags" {
        return true;
    }
    socket.send(Message::Text(message("feature_flags", &about::feature_flags()))).await.is_ok()
}
