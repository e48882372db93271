//! A small stand-in for ComfyUI, for machines that have none: its routes, its queue, its WebSocket and its quirks,
//! and none of its models. It says that it is one: in a header on every answer, in `/system_stats`, on the page.
//!
//! For `cargo run` and for tests. Nothing that runs in the cloud depends on it.
//!
//! ```text
//!  routes ──► jobs ──► graph, checks (pure: is the prompt right, which steps, how long)
//!    │          └────► engine (queue, history) ◄── work (one job at a time) ──► socket
//!    ├──► uploads, pictures (PNGs drawn on demand) · user (settings, files in memory) · about
//!    ├──► front (the real page from a folder, or a small one of its own)
//!    └──► quirks (what ComfyUI refuses and marks)
//! ```

mod about;
mod checks;
mod engine;
mod front;
mod graph;
mod jobs;
mod nodes;
mod pictures;
mod quirks;
mod refusal;
mod routes;
mod socket;
mod uploads;
mod user;
mod views;
mod work;

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{engine::Engine, routes::App};

/// What one `ImageBlur` takes on a CPU in real ComfyUI (radius 31, 1024 × 1024 pixels).
pub const SECONDS_PER_NODE: f64 = 1.6;
/// ComfyUI's own limit for an upload.
pub const UPLOAD_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Open requests may end within this time of a shutdown; then they are cut.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// No start takes longer than this to pretend.
const STARTUP_DELAY_MAX: Duration = Duration::from_secs(3_600);

/// How the stand-in behaves. Times are those of the machine it stands in for: `speed` divides them.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the real ComfyUI page (`comfyui_frontend_package/static`); without it, a page of its own.
    pub frontend: Option<PathBuf>,
    /// How much faster than real time jobs and the start go.
    pub speed: f64,
    /// Seconds that each `ImageBlur` takes, before `speed`.
    pub seconds_per_node: f64,
    /// How long after `serve` begins every request is answered 503, before `speed`. Real ComfyUI takes 13–28 s.
    pub startup_delay: Duration,
    /// Larger uploads are answered 413.
    pub max_upload_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            frontend: None,
            speed: 1.0,
            seconds_per_node: SECONDS_PER_NODE,
            startup_delay: Duration::ZERO,
            max_upload_bytes: UPLOAD_BYTES_MAX,
        }
    }
}

impl Options {
    /// Says what is wrong with the options, naming the one.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(self.speed.is_finite() && self.speed > 0.0, "speed: expected a number above 0, found {}", self.speed);
        ensure!(
            (0.0..=graph::NODE_SECONDS_MAX).contains(&self.seconds_per_node),
            "seconds_per_node: expected 0 to {}, found {}",
            graph::NODE_SECONDS_MAX,
            self.seconds_per_node
        );
        ensure!(
            self.startup_delay <= STARTUP_DELAY_MAX,
            "startup_delay: expected at most {STARTUP_DELAY_MAX:?}, found {:?}",
            self.startup_delay
        );
        if let Some(folder) = &self.frontend {
            let index = folder.join("index.html");
            ensure!(index.is_file(), "frontend: expected a folder with index.html, found none at {}", index.display());
        }
        Ok(())
    }

    /// The start's delay in real time.
    pub fn real_startup_delay(&self) -> Duration {
        Duration::try_from_secs_f64(self.startup_delay.as_secs_f64() / self.speed).unwrap_or(STARTUP_DELAY_MAX)
    }
}

/// Serves on `listener` until `shutdown` ends. The running job is then interrupted, WebSockets are closed, and open
/// requests have a second to end.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    options.check()?;
    let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
    let app = Arc::new(App {
        engine: Arc::new(Engine::new(options.speed)),
        user: user::User::default(),
        uploads: uploads::Uploads::default(),
        seconds_per_node: options.seconds_per_node,
        max_upload_bytes: options.max_upload_bytes,
        started_at: Instant::now() + options.real_startup_delay(),
        stop: stop.clone(),
        cut: cut.clone(),
    });
    // Also when this future is dropped before its end.
    let _ends = (stop.clone().drop_guard(), cut.drop_guard());
    let worker = tokio::spawn(work::work(Arc::clone(&app.engine), stop.clone()));
    let router = routes::router(app, options.frontend.as_deref());
    let asked = stop.clone();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        shutdown.await;
        asked.cancel();
    });
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        served = server => served.context("serving the stand-in")?,
        () = overdue => tracing::warn!("requests were still open at shutdown and were cut"),
    }
    stop.cancel();
    worker.await.context("the worker of the stand-in")
}
