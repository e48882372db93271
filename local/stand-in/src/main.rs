//! The stand-in as a program of its own: reads flags, waits as ComfyUI does while it starts, then serves.

use std::{
    io::{Write, stdout},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use stand_in::{Options, SECONDS_PER_NODE, serve};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// A stand-in for ComfyUI: not the real thing. Speaks its HTTP and WebSocket API, without models.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8188)]
    port: u16,
    /// Folder of the real ComfyUI page (comfyui_frontend_package/static)
    #[arg(long, value_name = "DIR")]
    frontend: Option<PathBuf>,
    /// How much faster than real time jobs and the start go
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    speed: f64,
    /// Seconds that each ImageBlur takes, before --speed
    #[arg(long, default_value_t = SECONDS_PER_NODE, value_name = "S")]
    seconds_per_node: f64,
    /// Seconds until it listens, before --speed: connections are refused till then, as by a ComfyUI that starts
    #[arg(long, default_value_t = 0.0, value_name = "S")]
    startup_delay: f64,
    /// Largest upload in megabytes
    #[arg(long, default_value_t = 100, value_name = "MB")]
    max_upload_size: u32,
}

impl Flags {
    fn options(&self) -> anyhow::Result<Options> {
        let startup_delay = Duration::try_from_secs_f64(self.startup_delay).context("--startup-delay")?;
        let options = Options {
            frontend: self.frontend.clone(),
            speed: self.speed,
            seconds_per_node: self.seconds_per_node,
            startup_delay,
            max_upload_bytes: u64::from(self.max_upload_size) * 1024 * 1024,
        };
        options.check()?;
        Ok(options)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let options = flags.options()?;
    let stop = CancellationToken::new();
    tokio::spawn(told_to_stop(stop.clone())?);
    if stop.run_until_cancelled(tokio::time::sleep(options.real_startup_delay())).await.is_none() {
        return Ok(());
    }
    let address = (flags.listen, flags.port);
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address:?}"))?;
    // One line that whoever started it can wait for, and read the port from.
    writeln!(stdout(), "Stand-in for ComfyUI: listening on http://{}", listener.local_addr()?)?;
    let options = Options { startup_delay: Duration::ZERO, ..options };
    serve(listener, options, stop.cancelled_owned()).await
}

/// Cancels `stop` at SIGTERM or SIGINT.
fn told_to_stop(stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
        stop.cancel();
    })
}
