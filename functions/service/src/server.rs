//! A listener that ends in order: no new requests, the ones under way finish, within the time Cloud Run gives.

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Cloud Run kills ten seconds after SIGTERM; what is not done two seconds before that is left to a retry.
const FINISH_WITHIN: Duration = Duration::from_secs(8);

/// Serves until `shutdown` is ready, then lets the requests under way finish.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (ended, end) = oneshot::channel::<()>();
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
        shutdown.await;
        let _ = ended.send(());
    });
    tokio::select! {
        result = async { serving.await } => result.context("serving HTTP"),
        () = async {
            let _ = end.await;
            tokio::time::sleep(FINISH_WITHIN).await;
        } => {
            tracing::warn!("requests were still under way at the end");
            Ok(())
        }
    }
}

/// Ready when the process is asked to end: SIGTERM, or Ctrl-C.
pub async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut term) => tokio::select! {
            _ = interrupted => (),
            _ = term.recv() => (),
        },
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be heard; only Ctrl-C ends this process in order");
            let _ = interrupted.await;
        }
    }
}
