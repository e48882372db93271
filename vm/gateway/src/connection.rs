//! Connections from nginx or a browser: how many, how long, and cut when the session they serve ends.
//!
//! A body that is blocked by a slow reader is not asked for more, so it could not notice that its session is over.
//! Hence each connection knows whose request it serves at the moment, and is dropped as a whole when that one ends.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::{READ_AHEAD_MAX, Reply};
use crate::gateway::Gateway;
use crate::routes;
use crate::sessions::Session;

/// Connections at once; more wait to be accepted. A browser opens six to a host.
const CONNECTIONS_MAX: usize = 1024;
/// A request's head must come within this time, and a connection without one is kept as long: longer than nginx keeps
/// its side (60 s), so that it is never us who closes what nginx is just about to use.
const HEAD_WITHIN: Duration = Duration::from_secs(75);
/// Largest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Fields in the head of a request.
const FIELDS_MAX: usize = 100;
/// Requests under way may end within this time of a shutdown; then they are cut.
pub(crate) const FINISH_WITHIN: Duration = Duration::from_secs(3);
/// After the machine had no more sockets to give.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Whose request a connection serves at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Occupant(Arc<Mutex<Option<Arc<Session>>>>);

/// Held while the connection serves this request.
#[derive(Debug)]
pub(crate) struct Occupied(Occupant);

impl Occupant {
    /// The connection serves a request of `session` until the answer is dropped.
    pub(crate) fn serves(&self, session: Arc<Session>) -> Occupied {
        self.set(Some(session));
        Occupied(self.clone())
    }

    fn set(&self, session: Option<Arc<Session>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }

    fn is_over(&self) -> bool {
        let session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        session.as_ref().is_some_and(|session| session.ended().is_cancelled())
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// Serves until `stop`, then lets what is under way finish for a moment.
pub(crate) async fn serve(gateway: Arc<Gateway>, listener: TcpListener, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tasks = TaskTracker::new();
    // Ends by `stop`.
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = connection(Arc::clone(&gateway), stream, stop.clone());
                tasks.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(FINISH_WITHIN, tasks.wait()).await.is_err() {
        tracing::info!("requests were still under way at the end and were cut");
    }
}

async fn connection(gateway: Arc<Gateway>, stream: TcpStream, stop: CancellationToken) {
    // Small frames of a WebSocket must not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let mut endings = gateway.sessions.endings();
    let occupant = Occupant::default();
    let service = service_fn({
        let (gateway, occupant) = (Arc::clone(&gateway), occupant.clone());
        move |request| answer(Arc::clone(&gateway), request, occupant.clone())
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX)
        .max_buf_size(READ_AHEAD_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    tokio::select! {
        result = serving.as_mut() => return log_end(result),
        () = session_over(&occupant, &mut endings) => return tracing::debug!("cut with its session"),
        () = stop.cancelled() => {}
    }
    serving.as_mut().graceful_shutdown();
    if let Ok(result) = tokio::time::timeout(FINISH_WITHIN, serving).await {
        log_end(result);
    }
}

async fn answer(
    gateway: Arc<Gateway>,
    request: Request<Incoming>,
    occupant: Occupant,
) -> Result<Response<Reply>, Infallible> {
    Ok(routes::answer(&gateway, request, &occupant).await)
}

/// Ready when a session has ended whose request this connection serves.
async fn session_over(occupant: &Occupant, endings: &mut watch::Receiver<u64>) {
    // One turn for each session that ends; pending for ever once the gateway itself is gone.
    while endings.changed().await.is_ok() {
        if occupant.is_over() {
            return;
        }
    }
    std::future::pending().await
}

fn log_end(result: hyper::Result<()>) {
    if let Err(error) = result {
        // Browsers break off all the time; what was asked is not logged, it may hold a ticket.
        tracing::debug!(%error, "a connection ended early");
    }
}
