//! Whom the gateway speaks to, on one thread: something in ComfyUI's place that costs as little as it can, lifecycle and
//! the metadata server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::pace::{LongBody, Pace};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Sleep;
use wire::{HeartbeatBody, HeartbeatReply};

pub(crate) const RUN: u64 = 3;
/// A person's request, which takes all that the gateway does for one.
pub(crate) const SMALL: &str = "/view";
pub(crate) const SMALL_BODY: &[u8; 200] = &[b'x'; 200];
pub(crate) const LONG: &str = "/view/long";
pub(crate) const SINK: &str = "/upload/image";

/// Long bodies are made of pieces as long as those ComfyUI reads its files in.
const PIECE: &[u8; 256 * 1024] = &[b'x'; 256 * 1024];
/// A gateway that is not ready by then never is.
const READY_WITHIN: Duration = Duration::from_secs(20);

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The neighbours, once they listen.
#[derive(Debug)]
pub(crate) struct Neighbours {
    pub(crate) address: SocketAddr,
    /// The gateway has told that it knows its run, and that ComfyUI answers.
    ready: watch::Receiver<bool>,
}

impl Neighbours {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, ready) = watch::channel(false);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, Arc::new(tell)));
        });
        Self { address, ready }
    }

    pub(crate) fn wait_until_ready(&self) {
        let mut ready = self.ready.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(READY_WITHIN, ready.wait_for(|ready| *ready)).await.unwrap().unwrap();
        });
    }
}

async fn serve(listener: std::net::TcpListener, ready: Arc<watch::Sender<bool>>) {
    let listener = TcpListener::from_std(listener).unwrap();
    // As long as the bench lasts.
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let ready = Arc::clone(&ready);
        let service = service_fn(move |request| answer(request, Arc::clone(&ready)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, ready: Arc<watch::Sender<bool>>) -> Result<Answer, Infallible> {
    Ok(match request.uri().path() {
        SMALL => whole(&SMALL_BODY[..]),
        LONG => {
            let pace = LongBody::parse(request.uri().query().unwrap()).begin();
            Response::new(Long { pace, wait: None }.boxed_unsync())
        }
        SINK => whole(count(request.into_body()).await.to_string()),
        "/prompt" => whole(r#"{"exec_info":{"queue_remaining":0}}"#),
        "/vm/heartbeat" => heartbeat(request, &ready).await,
        // {"exp":4102444800}: the year 2100.
        "/computeMetadata/v1/instance/service-accounts/default/identity" => whole("a.eyJleHAiOjQxMDI0NDQ4MDB9.x"),
        // Held for ever if it asks to be told of a change.
        "/computeMetadata/v1/instance/preempted" if request.uri().query().is_some() => std::future::pending().await,
        "/computeMetadata/v1/instance/preempted" => {
            let mut answer = whole("FALSE");
            answer.headers_mut().insert(header::ETAG, HeaderValue::from_static("1"));
            answer
        }
        _ => {
            let mut answer = whole("");
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        }
    })
}

fn whole(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()).boxed_unsync())
}

async fn count(mut body: Incoming) -> u64 {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.unwrap().data_ref().map_or(0, Bytes::len) as u64;
    }
    bytes
}

async fn heartbeat(request: Request<Incoming>, ready: &watch::Sender<bool>) -> Answer {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let beat: HeartbeatBody = serde_json::from_slice(&body).unwrap();
    ready.send_replace(beat.run == Some(RUN) && beat.comfyui_up);
    let reply = HeartbeatReply {
        wish: "Running".into(),
        phase: "Ready".into(),
        run: RUN,
        stop_at: None,
        hard_stop_at: None,
        announce: String::new(),
        next_in_seconds: 30,
        idle_limit_seconds: 1800,
        restore_queue: false,
        interrupted_run: None,
    };
    whole(serde_json::to_vec(&reply).unwrap())
}

/// A body that is told its length and costs nothing to make.
struct Long {
    pace: Pace,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Body for Long {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(wait) = &mut self.wait {
            std::task::ready!(wait.as_mut().poll(cx));
        }
        let piece = self.pace.next(PIECE.len());
        let ahead = self.pace.ahead();
        self.wait = (!ahead.is_zero()).then(|| Box::pin(tokio::time::sleep(ahead)));
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(Bytes::from_static(&PIECE[..piece])))))
    }

    fn is_end_stream(&self) -> bool {
        self.pace.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.pace.left())
    }
}
