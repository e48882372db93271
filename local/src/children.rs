//! What this program is when it starts itself again as a process of a VM.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpListener;
use tokio::process::Command;

/// A process of a VM.
#[derive(clap::Subcommand, Clone, Debug)]
pub enum Process {
    /// The gateway; its settings come by the environment, as on a VM.
    #[command(name = "vm-gateway", hide = true)]
    Gateway(Box<gateway::Config>),
    /// The stand-in for ComfyUI.
    #[command(name = "vm-stand-in", hide = true)]
    StandIn {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        speed: f64,
        #[arg(long)]
        frontend: Option<PathBuf>,
    },
    /// A real ComfyUI.
    #[command(name = "vm-comfyui", hide = true)]
    Comfyui {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        dir: PathBuf,
    },
}

/// What a guest takes from power on until its units start.
const GUEST_BOOTS: Duration = Duration::from_secs(12);
/// From power on; a real ComfyUI takes 13 to 28 s once the guest is up, the stand-in has nothing to load.
const STAND_IN_STARTS_AFTER: Duration = Duration::from_secs(20);

/// Runs until it is told to end.
pub async fn run(process: Process) -> anyhow::Result<()> {
    match process {
        Process::Gateway(config) => {
            let clock = platform::clock::from_setting(&config.clock).context("PILOTLIGHT_CLOCK")?;
            clock.sleep(GUEST_BOOTS).await;
            gateway::start(*config).await
        }
        Process::StandIn { port, speed, frontend } => {
            let options =
                stand_in::Options { frontend, speed, startup_delay: STAND_IN_STARTS_AFTER, ..Default::default() };
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let listener = TcpListener::bind(address).await.with_context(|| format!("binding {address}"))?;
            stand_in::serve(listener, options, service::terminated()).await
        }
        Process::Comfyui { port, dir } => comfyui(port, &dir).await,
    }
}

/// What ComfyUI gets between SIGTERM and SIGKILL.
const COMFYUI_ENDS_WITHIN: Duration = Duration::from_secs(5);

async fn comfyui(port: u16, dir: &std::path::Path) -> anyhow::Result<()> {
    let venv = dir.join(".venv/bin/python");
    let python = if venv.exists() { venv } else { PathBuf::from("python3") };
    let mut child = Command::new(&python)
        .current_dir(dir)
        .args(["main.py", "--listen", "127.0.0.1", "--disable-auto-launch", "--port", &port.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {} main.py in {}", python.display(), dir.display()))?;
    tokio::select! {
        status = child.wait() => ended(status?),
        () = service::terminated() => {
            if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                kill(Pid::from_raw(pid), Signal::SIGTERM)?;
            }
            match tokio::time::timeout(COMFYUI_ENDS_WITHIN, child.wait()).await {
                Ok(status) => status.map(drop)?,
                Err(_) => child.kill().await?,
            }
            Ok(())
        }
    }
}

fn ended(status: ExitStatus) -> anyhow::Result<()> {
    anyhow::ensure!(status.success(), "ComfyUI ended: {status}");
    Ok(())
}
