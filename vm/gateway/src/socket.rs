//! WebSockets: handed through byte by byte once both sides have agreed to speak it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::Signal;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::body::{Download, Reply, Upload};
use crate::connection::Occupied;
use crate::frames::FrameWatch;
use crate::gateway::Gateway;
use crate::headers;
use crate::pages::Problem;
use crate::proxy::answer_for;
use crate::sessions::Session;

/// A socket on which nothing moves for this long is half open. ComfyUI never pings, and an idle page is silent.
const IDLE_MAX: Duration = Duration::from_secs(60 * 60);
/// Once one side has closed, the other may say goodbye for this long.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);
/// Both sides have answered by now, or never will.
const UPGRADED_WITHIN: Duration = Duration::from_secs(10);
/// Piece in which bytes are handed on.
const PIECE_BYTES: usize = 16 * 1024;

/// Opens a WebSocket to ComfyUI for the browser.
pub(crate) async fn open(
    gateway: &Arc<Gateway>,
    mut request: Request<Incoming>,
    session: Arc<Session>,
    occupied: Occupied,
) -> Response<Reply> {
    let Ok(permit) = Arc::clone(&gateway.sockets).try_acquire_owned() else {
        return gateway.pages.problem(Problem::TOO_MANY_SOCKETS);
    };
    let browser = hyper::upgrade::on(&mut request);
    let Some(request) = handshake(gateway, request) else {
        return gateway.pages.problem(Problem::NO_PATH);
    };
    let progress = request.body().progress();
    let mut response = match gateway.upstream.send(request, progress).await {
        Ok(response) => response,
        Err(no_answer) => return answer_for(gateway, &no_answer, false),
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (mut head, body) = response.into_parts();
        headers::for_browser(&mut head.headers, gateway.pages.frame_ancestors());
        return Response::from_parts(head, Reply::Stream(Box::new(Download::new(body, None, None, occupied))));
    }
    let comfyui = hyper::upgrade::on(&mut response);
    let gateway_of_task = Arc::clone(gateway);
    tokio::spawn(async move {
        carry(&gateway_of_task, browser, comfyui, &session).await;
        drop(permit);
    });
    switching(gateway, response)
}

fn handshake(gateway: &Gateway, request: Request<Incoming>) -> Option<Request<Upload>> {
    let (mut head, _) = request.into_parts();
    head.uri = gateway.upstream.uri(head.uri.path_and_query()?.clone())?;
    head.version = Version::HTTP_11;
    head.extensions.clear();
    headers::for_comfyui(&mut head.headers, true);
    Some(Request::from_parts(head, Upload::none()))
}

fn switching(gateway: &Gateway, response: Response<Incoming>) -> Response<Reply> {
    let (mut head, _) = response.into_parts();
    headers::for_browser(&mut head.headers, gateway.pages.frame_ancestors());
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    head.extensions.clear();
    Response::from_parts(head, Reply::Own(Full::default()))
}

/// Carries bytes both ways until a side closes, nothing moves for too long, or the session is over.
async fn carry(gateway: &Gateway, browser: OnUpgrade, comfyui: OnUpgrade, session: &Session) {
    let both = tokio::time::timeout(UPGRADED_WITHIN, async { tokio::try_join!(browser, comfyui) });
    let Ok(Ok((browser, comfyui))) = both.await else {
        return tracing::debug!("a WebSocket was given up before it was open");
    };
    let carrying = exchange(gateway, browser, comfyui);
    tokio::select! {
        () = carrying => {}
        () = session.ended().cancelled() => tracing::info!(user = session.user, "a WebSocket was cut with its session"),
        () = gateway.stop.cancelled() => {}
    }
}

async fn exchange(gateway: &Gateway, browser: Upgraded, comfyui: Upgraded) {
    let (from_browser, to_browser) = tokio::io::split(TokioIo::new(browser));
    let (from_comfyui, to_comfyui) = tokio::io::split(TokioIo::new(comfyui));
    let quiet = Quiet::new();
    let mut frames = FrameWatch::default();
    let up = pump(from_browser, to_comfyui, |bytes| {
        quiet.moved();
        if frames.saw(bytes) {
            gateway.evidence.note(Signal::Traffic);
        }
    });
    let down = pump(from_comfyui, to_browser, |_| quiet.moved());
    let (mut up, mut down) = (pin!(up), pin!(down));
    tokio::select! {
        _ = up.as_mut() => say_goodbye(down).await,
        _ = down.as_mut() => say_goodbye(up).await,
        () = quiet.too_long() => tracing::info!("a WebSocket was silent for too long and was cut"),
    }
}

async fn say_goodbye(rest: impl Future<Output = std::io::Result<()>>) {
    // Whoever has not closed by then is gone.
    let _ = tokio::time::timeout(GOODBYE_WITHIN, rest).await;
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut saw: impl FnMut(&[u8]),
) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    // Ends when its side closes or breaks; the caller ends it otherwise.
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        saw(&piece[..read]);
        to.write_all(&piece[..read]).await?;
    }
}

/// When bytes last moved on a socket.
struct Quiet {
    began: Instant,
    moved_ms: AtomicU64,
}

impl Quiet {
    fn new() -> Self {
        Self { began: Instant::now(), moved_ms: AtomicU64::new(0) }
    }

    fn moved(&self) {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
    }

    async fn too_long(&self) {
        // One turn an hour, at most, for a socket that is in use.
        loop {
            let until = self.began + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)) + IDLE_MAX;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}
