//! Serving a router on loopback, with two things that a plain server cannot do: cut a connection instead of answering,
//! and stop at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

/// More connections than this at one listener wait.
const CONNECTIONS_MAX: usize = 512;

/// Marks an answer that must not reach its caller: the connection is cut in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CutConnection;

/// A router and the loopback address it is to be served at.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Listener {
    pub(crate) async fn bind() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("binding to loopback")?;
        let address = listener.local_addr().context("asking for the bound address")?;
        Ok(Self { listener, address })
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until `stopped` turns true; then cuts every connection.
    pub(crate) async fn serve(self, router: Router, mut stopped: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &room) => accepted,
            };
            let Some((stream, permit)) = accepted else { continue };
            let router = router.clone();
            connections.spawn(async move {
                serve_connection(stream, router).await;
                drop(permit);
            });
        }
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "could not accept a connection");
            tokio::task::yield_now().await;
            None
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| answer(router.clone(), request.map(Body::new)));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(router: Router, request: Request) -> Result<Response, std::io::Error> {
    let Ok(response) = router.oneshot(request).await;
    if response.extensions().get::<CutConnection>().is_some() {
        return Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut on purpose"));
    }
    Ok(response)
}
