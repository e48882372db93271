//! The gateway: stands between the internet (behind nginx) and ComfyUI on the machine of a run.
//!
//! ```text
//!  browser ─► connection ─► routes ─┬─► enter ──► sessions          a ticket becomes a cookie, once
//!                                   ├─► pages                       our own few pages and scripts
//!                                   └─► proxy, socket ─► upstream   ComfyUI, streamed both ways
//!                                          │
//!              traffic, frames (pure) ─────┴─► evidence ─ activity (pure) ─► heartbeat ─► lifecycle
//!  rounds ─► GET /prompt, GPU ────────────────────┘               │
//!     └─► kept_queue ─► shelf (the data disk) ─► put_back          │
//!                                                                 └─► last_resort (pure) ─► wind_down ─► poweroff
//! ```
//!
//! It decides who gets in, and says what it sees of use. Whether the machine stops is decided by `domain` in the control
//! plane; only when that is out of reach does `last_resort` decide here.

mod activity;
mod body;
mod boot;
mod check;
mod config;
mod connection;
mod control;
mod enter;
mod evidence;
mod frames;
mod gateway;
mod gpu;
mod headers;
mod heartbeat;
mod inject;
mod kept_queue;
mod last_resort;
mod metadata;
mod orders;
mod pace;
mod pages;
mod poweroff;
mod proxy;
mod put_back;
mod queued;
mod rounds;
mod routes;
mod sessions;
mod shelf;
mod socket;
mod traffic;
mod upstream;
mod wind_down;

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use platform::clock::Clock;
use platform::identity::Identity;
use platform::identity::jwks::{JwksSources, JwksVerifier};
use tokio::net::TcpListener;

pub use check::{Finding, check_control, check_gpu};
pub use config::{Config, GpuCheck};
pub use gpu::{GpuReading, NoGpu, Nvml};

use crate::control::ControlPlane;
use crate::gateway::Gateway;

/// What the gateway is given of the world.
#[derive(Clone, Debug)]
pub struct Deps {
    pub clock: Arc<dyn Clock>,
    /// Checks tickets.
    pub identity: Arc<dyn Identity>,
    pub gpu: Arc<dyn GpuReading>,
}

/// The gateway as a process: listens where the configuration says, and serves until told to end.
///
/// # Errors
/// When it cannot begin; the message names the setting.
pub async fn start(config: Config) -> anyhow::Result<()> {
    let clock = platform::clock::from_setting(&config.clock).context("PILOTLIGHT_CLOCK")?;
    let keys = JwksSources::none().with_ours_at(&config.token_issuer, config.jwks_url.as_str());
    let gpu: Arc<dyn GpuReading> = match config.nvml() {
        Some(nvml) => Arc::new(nvml),
        None => Arc::new(NoGpu),
    };
    let deps = Deps { clock, identity: Arc::new(JwksVerifier::new(keys)), gpu };
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("LISTEN: {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, origin = config.origin, "the gateway listens");
    run(config, deps, listener, service::terminated()).await
}

/// Serves until `shutdown`, or until this machine is to stop: then all sessions are cut, ComfyUI is let to finish what it
/// writes, and the command is run, until `shutdown` comes from the machine itself.
///
/// # Errors
/// When it cannot begin, or the machine cannot be told to stop.
pub async fn run(
    config: Config,
    deps: Deps,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let mut shutdown = std::pin::pin!(shutdown);
    let control = ControlPlane::new(&config)?;
    let gateway = Arc::new(Gateway::new(config, deps.clock, deps.identity)?);
    // What the startup script has said before the gateway runs must not be overtaken by less.
    gateway.boot.look(gateway.clock.now());
    let _stop_when_dropped = gateway.stop.clone().drop_guard();
    let server = tokio::spawn(connection::serve(Arc::clone(&gateway), listener, gateway.stop.clone()));
    let stops_machine = tokio::select! {
        () = &mut shutdown => false,
        () = heartbeat::speak(&gateway, &control) => {
            tracing::info!("the control plane wishes this machine stopped");
            true
        }
        why = rounds::watch(&gateway, deps.gpu) => {
            tracing::warn!(?why, "the control plane is out of reach; this machine stops itself");
            true
        }
        () = heartbeat::watch_preemption(&gateway, &control) => false,
        () = kept_queue::keep(&gateway) => false,
        () = rounds::end_sessions(&gateway) => false,
    };
    gateway.sessions.end_all();
    gateway.stop.cancel();
    server.await.context("the server of the gateway")?;
    if !stops_machine {
        return Ok(());
    }
    if !gateway.preempted() {
        gateway.kept.end_in_order().await;
    }
    tokio::select! {
        () = shutdown => Ok(()),
        stopped = stop_machine(&gateway) => stopped,
    }
}

async fn stop_machine(gateway: &Gateway) -> anyhow::Result<()> {
    let command = &gateway.config.poweroff_command;
    if command.is_empty() {
        // Nothing goes down with us, so nothing needs to come to rest.
        tracing::info!("no command to stop the machine was given; ending");
        return Ok(());
    }
    wind_down::let_comfyui_finish(gateway).await;
    poweroff::run(command, &*gateway.clock).await
}
