//! A ComfyUI made for tests: it shows what reached it, and streams when it is told to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures_util::{SinkExt, StreamExt, stream};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// In `remaining`: no answer to a poll.
pub(crate) const DEAD: u64 = u64::MAX;
pub(crate) const PAGE: &str = "<!doctype html><html><head><title>ComfyUI</title></head><body></body></html>";

#[derive(Clone)]
pub(crate) struct Comfyui {
    pub(crate) address: SocketAddr,
    pub(crate) remaining: Arc<AtomicU64>,
    /// Polls of the queue so far.
    pub(crate) polls: watch::Receiver<u64>,
    /// Headers of the last request to `/ws`.
    pub(crate) socket_headers: Arc<Mutex<HeaderMap>>,
    /// Sizes of the pieces of uploads, as they come; 0 at the end.
    pub(crate) uploads: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<usize>>>,
    /// What `/endless` says next.
    pub(crate) endless: mpsc::UnboundedSender<&'static str>,
    /// WebSockets that have closed.
    pub(crate) closed: watch::Receiver<u64>,
    /// Answers to `/flood` that were given up.
    pub(crate) floods_over: watch::Receiver<u64>,
    /// What was asked of the queue.
    pub(crate) orders: Arc<Mutex<Vec<String>>>,
}

struct App {
    remaining: Arc<AtomicU64>,
    polls: watch::Sender<u64>,
    socket_headers: Arc<Mutex<HeaderMap>>,
    uploads: mpsc::UnboundedSender<usize>,
    endless: Mutex<Option<mpsc::UnboundedReceiver<&'static str>>>,
    closed: watch::Sender<u64>,
    floods_over: watch::Sender<u64>,
    orders: Arc<Mutex<Vec<String>>>,
}

pub(crate) async fn start(remaining: u64) -> Comfyui {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (upload_pieces, uploads) = mpsc::unbounded_channel();
    let (endless, endless_said) = mpsc::unbounded_channel();
    let [polls, closed, floods_over] = [(); 3].map(|()| watch::Sender::new(0));
    let comfyui = Comfyui {
        address,
        remaining: Arc::new(AtomicU64::new(remaining)),
        polls: polls.subscribe(),
        socket_headers: Arc::default(),
        uploads: Arc::new(tokio::sync::Mutex::new(uploads)),
        endless,
        closed: closed.subscribe(),
        floods_over: floods_over.subscribe(),
        orders: Arc::default(),
    };
    let app = Arc::new(App {
        remaining: Arc::clone(&comfyui.remaining),
        polls,
        socket_headers: Arc::clone(&comfyui.socket_headers),
        uploads: upload_pieces,
        endless: Mutex::new(Some(endless_said)),
        closed,
        floods_over,
        orders: Arc::clone(&comfyui.orders),
    });
    let router = Router::new()
        .route("/", get(page))
        .route("/prompt", get(prompt).post(echo))
        .route("/queue", post(order))
        .route("/interrupt", post(order))
        .route("/ws", get(socket))
        .route("/upload/image", post(upload))
        .route("/endless", get(endless_answer))
        .route("/flood", get(flood))
        .route("/framed", get(framed))
        .route("/assets/{name}", get(asset))
        .route("/fails", any(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .fallback(echo)
        .with_state(app);
    tokio::spawn(async move { axum::serve(listener, router).await });
    comfyui
}

async fn page() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::ETAG, "\"1\"")];
    (headers, PAGE).into_response()
}

async fn prompt(State(app): State<Arc<App>>) -> Response {
    app.polls.send_modify(|polls| *polls += 1);
    match app.remaining.load(Ordering::SeqCst) {
        DEAD => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        remaining => axum::Json(json!({ "exec_info": { "queue_remaining": remaining } })).into_response(),
    }
}

/// Only written down: what becomes of the jobs is for the test to say.
async fn order(State(app): State<Arc<App>>, uri: axum::http::Uri, body: axum::Json<serde_json::Value>) {
    app.orders.lock().unwrap().push(format!("{uri} {}", body.0));
}

/// What reached ComfyUI, as JSON.
async fn echo(request: Request) -> Response {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let (method, uri) = (request.method().to_string(), request.uri().to_string());
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    axum::Json(json!({ "method": method, "uri": uri, "headers": headers, "body": body })).into_response()
}

async fn upload(State(app): State<Arc<App>>, request: Request) -> Response {
    let mut pieces = request.into_body().into_data_stream();
    let mut total = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        total += piece.len();
        let _ = app.uploads.send(piece.len());
    }
    let _ = app.uploads.send(0);
    axum::Json(json!({ "bytes": total })).into_response()
}

async fn endless_answer(State(app): State<Arc<App>>) -> Response {
    let said = app.endless.lock().unwrap().take().unwrap();
    let pieces = stream::unfold(said, |mut said| async {
        let piece = said.recv().await?;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(piece.as_bytes())), said))
    });
    Body::from_stream(pieces).into_response()
}

struct CountedWhenDropped(watch::Sender<u64>);

impl Drop for CountedWhenDropped {
    fn drop(&mut self) {
        self.0.send_modify(|dropped| *dropped += 1);
    }
}

/// More than anybody reads.
async fn flood(State(app): State<Arc<App>>) -> Response {
    let counted = CountedWhenDropped(app.floods_over.clone());
    let pieces = stream::unfold(counted, |counted| async {
        Some((Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 64 * 1024])), counted))
    });
    Body::from_stream(pieces).into_response()
}

async fn framed() -> Response {
    let headers = [
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src 'self'; frame-ancestors 'none'"),
        ("referrer-policy", "unsafe-url"),
        ("set-cookie", "__Host-pilotlight=theirs; Path=/; Secure"),
        ("x-own", "kept"),
    ];
    (headers, "framed").into_response()
}

async fn asset() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], "export {}").into_response()
}

async fn socket(State(app): State<Arc<App>>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    *app.socket_headers.lock().unwrap() = headers;
    upgrade.on_upgrade(move |socket| talk(app, socket))
}

/// Greets, then says everything back.
async fn talk(app: Arc<App>, mut socket: WebSocket) {
    let _ = socket.send(Message::Text("hello from ComfyUI".into())).await;
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            break;
        }
    }
    let _ = socket.close().await;
    app.closed.send_modify(|closed| *closed += 1);
}
