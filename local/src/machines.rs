//! What stands behind an emulated instance: real processes, a gateway and the ComfyUI behind it.
//!
//! Power on starts them, power off ends them: SIGTERM, the grace that Compute Engine gives, then SIGKILL. A gateway that
//! exits by itself has switched its VM off, as `poweroff` would; a ComfyUI that falls is started again, as systemd would.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use compute_emulator::{InstanceFacts, Machines};
use nix::sys::signal::Signal;
use platform::clock::Clock;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::process_group::{self, GONE_WITHIN};

/// What answers behind the gateway.
#[derive(Clone, Debug)]
pub(crate) enum Comfyui {
    /// One that runs already.
    At(String),
    /// One to run from its folder.
    Dir(PathBuf),
    /// The stand-in, with the real page where its files are known.
    StandIn { frontend: Option<PathBuf> },
}

/// A program that is a VM.
#[derive(Clone, Debug)]
pub(crate) struct VmProgram {
    pub(crate) path: PathBuf,
    /// Where browsers reach it.
    pub(crate) origin: String,
}

impl VmProgram {
    fn start(&self, facts: &InstanceFacts) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.path);
        command
            .env("INSTANCE", &facts.instance)
            .env("ZONE", &facts.zone)
            // Beside our own environment, by which it finds its programs.
            .env("METADATA", &facts.metadata_url);
        process_group::spawn(command)
    }
}

/// What every VM's processes are told.
#[derive(Clone, Debug)]
pub(crate) struct VmSettings {
    pub(crate) comfyui: Comfyui,
    pub(crate) workspace: String,
    pub(crate) page_origin: String,
    pub(crate) control_url: String,
    pub(crate) control_audience: String,
    pub(crate) jwks_url: String,
    pub(crate) issuer: String,
    /// The clock setting that makes a process agree with this one on the time.
    pub(crate) clock_setting: String,
    pub(crate) speed: f64,
    pub(crate) log_filter: String,
    /// What each VM is, where that is neither a gateway nor a ComfyUI of ours.
    pub(crate) program: Option<VmProgram>,
    /// What is on the data disks: a folder for each, by its name, whichever VM has it.
    pub(crate) disks: PathBuf,
    /// Port of the gateway of each instance.
    pub(crate) gateway_ports: HashMap<String, u16>,
    /// Port of the ComfyUI of each instance.
    pub(crate) comfyui_ports: HashMap<String, u16>,
}

impl VmSettings {
    /// What is a VM while it is on, and what stands behind that.
    fn processes(&self, facts: &InstanceFacts) -> anyhow::Result<(Child, Option<Child>)> {
        match &self.program {
            Some(program) => Ok((program.start(facts)?, None)),
            None => Ok((self.gateway(facts)?, self.upstream(&facts.instance)?)),
        }
    }

    fn gateway(&self, facts: &InstanceFacts) -> anyhow::Result<Child> {
        let port = self.gateway_ports.get(&facts.instance).copied().unwrap_or(0);
        let upstream = match &self.comfyui {
            Comfyui::At(url) => url.clone(),
            _ => format!("http://127.0.0.1:{}", self.comfyui_port(&facts.instance)),
        };
        let mut command = this_program()?;
        command
            .arg("vm-gateway")
            .env_clear()
            .env("LISTEN", format!("127.0.0.1:{port}"))
            .env("UPSTREAM", upstream)
            .env("ORIGIN", format!("http://127.0.0.1:{port}"))
            .env("PAGE_ORIGIN", &self.page_origin)
            .env("CONTROL_URL", &self.control_url)
            .env("CONTROL_AUDIENCE", &self.control_audience)
            .env("JWKS_URL", &self.jwks_url)
            .env("TOKEN_ISSUER", &self.issuer)
            .env("WORKSPACE", &self.workspace)
            .env("METADATA", &facts.metadata_url)
            .env("KEPT_QUEUE_DIR", self.kept_queue_dir(facts)?)
            .env("PILOTLIGHT_CLOCK", &self.clock_setting)
            .env("LOG_FORMAT", "human")
            .env("RUST_LOG", &self.log_filter);
        process_group::spawn(command)
    }

    /// Where the gateway keeps prompts: on the data disk, as far as the VM has one.
    fn kept_queue_dir(&self, facts: &InstanceFacts) -> anyhow::Result<PathBuf> {
        let Some(disk) = facts.disks.first() else { return Ok(PathBuf::new()) };
        let folder = self.disks.join(disk).join("kept-queue");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }

    fn comfyui_port(&self, instance: &str) -> u16 {
        self.comfyui_ports.get(instance).copied().unwrap_or(0)
    }

    /// The process behind the gateway; none where ComfyUI runs already.
    fn upstream(&self, instance: &str) -> anyhow::Result<Option<Child>> {
        let port = self.comfyui_port(instance).to_string();
        let mut command = this_program()?;
        match &self.comfyui {
            Comfyui::At(_) => return Ok(None),
            Comfyui::Dir(dir) => {
                command.args(["vm-comfyui", "--port", &port, "--dir"]).arg(dir);
            }
            Comfyui::StandIn { frontend } => {
                command.args(["vm-stand-in", "--port", &port, "--speed", &self.speed.to_string()]);
                if let Some(frontend) = frontend {
                    command.arg("--frontend").arg(frontend);
                }
            }
        }
        process_group::spawn(command).map(Some)
    }
}

/// This very program, even where a newer build has taken the place of its file.
fn this_program() -> std::io::Result<Command> {
    let running = Path::new("/proc/self/exe");
    let mut command = if running.exists() { Command::new(running) } else { Command::new(std::env::current_exe()?) };
    command.arg0("pilotlight");
    Ok(command)
}

/// The VMs of the pocket cloud.
#[derive(Debug)]
pub(crate) struct LocalMachines {
    settings: Arc<VmSettings>,
    clock: Arc<dyn Clock>,
    running: Mutex<HashMap<String, Vm>>,
    /// Instances whose gateway has exited by itself.
    powered_off: mpsc::UnboundedSender<String>,
}

/// The processes of one VM.
#[derive(Debug)]
struct Vm {
    gateway_pid: u32,
    unplug: CancellationToken,
    /// Process groups to end.
    groups: Arc<Mutex<Vec<u32>>>,
    ended: tokio::task::JoinHandle<()>,
}

/// A ComfyUI that falls more often than this within one boot is left alone.
const RESTARTS_MAX: u32 = 50;

impl LocalMachines {
    /// VMs that run nothing yet, and the names of those whose gateway exits by itself.
    pub(crate) fn new(settings: VmSettings, clock: Arc<dyn Clock>) -> (Arc<Self>, mpsc::UnboundedReceiver<String>) {
        let (powered_off, exits) = mpsc::unbounded_channel();
        (Arc::new(Self { settings: Arc::new(settings), clock, running: Mutex::default(), powered_off }), exits)
    }

    /// Where the gateway of an instance listens when it runs.
    pub(crate) fn origin(&self, instance: &str) -> Option<String> {
        let port = self.settings.gateway_ports.get(instance)?;
        let program = self.settings.program.as_ref().map(|program| program.origin.clone());
        Some(program.unwrap_or_else(|| format!("http://127.0.0.1:{port}")))
    }

    /// Process id of the gateway of an instance, while it runs.
    pub(crate) fn gateway_pid(&self, instance: &str) -> Option<u32> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).get(instance).map(|vm| vm.gateway_pid)
    }
}

#[async_trait]
impl Machines for LocalMachines {
    async fn power_on(&self, facts: InstanceFacts) {
        let (gateway, upstream) = match self.settings.processes(&facts) {
            Ok(children) => children,
            Err(error) => {
                tracing::error!(
                    instance = facts.instance,
                    error = format!("{error:#}"),
                    "the VM's processes cannot be started"
                );
                let _ = self.powered_off.send(facts.instance);
                return;
            }
        };
        let unplug = CancellationToken::new();
        let groups = Arc::new(Mutex::new(Vec::new()));
        let gateway_pid = gateway.id().unwrap_or_default();
        let life = Life {
            settings: Arc::clone(&self.settings),
            instance: facts.instance.clone(),
            unplug: unplug.clone(),
            groups: Arc::clone(&groups),
            powered_off: self.powered_off.clone(),
        };
        let ended = tokio::spawn(life.live(gateway, upstream));
        let vm = Vm { gateway_pid, unplug, groups, ended };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(facts.instance, vm);
    }

    async fn power_off(&self, instance: &str, grace: Duration) {
        let vm = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(instance);
        let Some(mut vm) = vm else { return };
        vm.unplug.cancel();
        let groups = || vm.groups.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for group in groups() {
            process_group::signal(group, Signal::SIGTERM);
        }
        let in_order = tokio::select! {
            _ = &mut vm.ended => true,
            () = self.clock.sleep(grace) => false,
        };
        for group in groups() {
            process_group::signal(group, Signal::SIGKILL);
        }
        if !in_order && tokio::time::timeout(GONE_WITHIN, &mut vm.ended).await.is_err() {
            tracing::error!(instance, "processes of the VM are still there after SIGKILL");
        }
    }
}

/// One boot of a VM, from power on until both processes have ended.
struct Life {
    settings: Arc<VmSettings>,
    instance: String,
    unplug: CancellationToken,
    groups: Arc<Mutex<Vec<u32>>>,
    powered_off: mpsc::UnboundedSender<String>,
}

impl Life {
    fn note(&self, child: &Child) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).extend(child.id());
    }

    async fn live(self, mut gateway: Child, mut upstream: Option<Child>) {
        self.note(&gateway);
        upstream.iter().for_each(|child| self.note(child));
        let mut restarts = 0;
        loop {
            tokio::select! {
                status = gateway.wait() => {
                    if !self.unplug.is_cancelled() {
                        tracing::info!(instance = self.instance, ?status, "the VM has switched itself off");
                        let _ = self.powered_off.send(self.instance.clone());
                    }
                    break;
                }
                status = wait_for(&mut upstream) => {
                    if self.unplug.is_cancelled() {
                        upstream = None;
                        continue;
                    }
                    restarts += 1;
                    tracing::warn!(instance = self.instance, ?status, restarts, "ComfyUI has ended; starting it again");
                    // As systemd's RestartSec: not in a hot loop.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    upstream = if restarts > RESTARTS_MAX { None } else { self.settings.upstream(&self.instance).ok().flatten() };
                    upstream.iter().for_each(|child| self.note(child));
                }
            }
        }
        if let Some(mut child) = upstream {
            process_group::end(&mut child, GONE_WITHIN).await;
        }
    }
}

/// Waits for a child to end; for ever where there is none.
async fn wait_for(child: &mut Option<Child>) -> std::io::Result<std::process::ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}
