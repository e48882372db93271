//! Puts the pocket cloud together, and takes it down again.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use compute_emulator::Emulator;
use domain::{Seconds, Workspace};
use platform::clock::{Clock, ScaledClock, SystemClock};
use platform::queue::{MemoryTopic, Subscription, TokenMint};
use service::Limits;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::{broadcast, mpsc};

use crate::args::Args;
use crate::cloud::Guests;
use crate::functions::{self, Ground};
use crate::inbox::Inbox;
use crate::machines::{Comfyui, LocalMachines, VmProgram, VmSettings};
use crate::panel::{self, Panel, Topics};
use crate::ports::HeldPorts;
use crate::users::{self, User};
use crate::{cloud, names, scheduler, three_processes};

/// A push may be answered as late as Pub/Sub's longest ack deadline.
const ACK_DEADLINE: Duration = Duration::from_secs(600);

/// What both ways of running stand on: the emulated cloud and its VMs, under one clock.
pub(crate) struct Pocket {
    /// `http://localhost:PORT`, the page's origin and the audience of everybody who calls.
    pub(crate) base: String,
    pub(crate) project: String,
    pub(crate) clock: Arc<dyn Clock>,
    /// What makes another process agree with this one on the time.
    pub(crate) clock_setting: String,
    pub(crate) log_filter: String,
    pub(crate) workspace: Workspace,
    /// Who may sign in: first `admin`.
    known: Vec<User>,
    pub(crate) users: String,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) emulator: Arc<Emulator>,
    machines: Arc<LocalMachines>,
    exits: mpsc::UnboundedReceiver<String>,
    comfyui: Comfyui,
    speed: f64,
    sweep_every: Seconds,
    /// Of chance.
    seed: u64,
    /// Of the VMs.
    _held_ports: [HeldPorts; 2],
    /// What is on the data disks, for as long as this cloud is there.
    _disks: TempDir,
}

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// When a part cannot be started; the message says which and what to do.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let listener = listen(args.port).await?;
    if args.wants_emulators() {
        return three_processes::run(listener, &args).await;
    }
    let pocket = Pocket::start(&listener, &args, names::PROJECT.to_owned()).await?;
    in_this_process(listener, pocket).await
}

impl Pocket {
    /// Starts the emulated cloud, whose page will be at `listener`.
    ///
    /// # Errors
    /// As [`run`].
    pub(crate) async fn start(listener: &TcpListener, args: &Args, project: String) -> anyhow::Result<Self> {
        let base = format!("http://localhost:{}", listener.local_addr()?.port());
        let clock = Arc::new(ScaledClock::new(SystemClock.now(), args.speed));
        let clock_setting = format!("{}@{}", clock.origin().millis(), args.speed);
        let clock: Arc<dyn Clock> = clock;
        let instances: Vec<String> = cloud::placement_names(args.placements).map(|(instance, ..)| instance).collect();
        let (held_gateways, held_comfyuis) = (HeldPorts::hold(&instances)?, HeldPorts::hold(&instances)?);
        let gateway_ports = held_gateways.ports()?;
        let workspace = cloud::workspace(args, &gateway_ports)?;
        let comfyui = comfyui(args).await?;
        let disks = TempDir::with_prefix("pilotlight-").context("a temporary folder for what is on the data disks")?;
        let jwks_url = format!("{base}/.well-known/jwks.json");
        let program = args.vm_program.as_ref().zip(args.vm_origin.as_ref());
        let settings = VmSettings {
            program: program.map(|(path, origin)| VmProgram { path: path.clone(), origin: origin.clone() }),
            comfyui: comfyui.clone(),
            workspace: names::WORKSPACE.to_owned(),
            page_origin: base.clone(),
            control_url: base.clone(),
            control_audience: base.clone(),
            jwks_url: jwks_url.clone(),
            issuer: names::ISSUER.to_owned(),
            clock_setting: clock_setting.clone(),
            speed: args.speed,
            log_filter: args.log_filter.clone(),
            disks: disks.path().to_owned(),
            gateway_ports,
            comfyui_ports: held_comfyuis.ports()?,
        };
        let (machines, exits) = LocalMachines::new(settings, Arc::clone(&clock));
        let seed = u64::try_from(clock.now().millis()).unwrap_or_default();
        let guests = guests(args, &base, &jwks_url, &clock_setting);
        let config = cloud::compute(&workspace, &guests, &project, seed);
        let emulator = Arc::new(Emulator::start(config, Arc::clone(&clock), machines.clone()).await?);
        let password = args.password.clone().map_or_else(made_up_password, Ok)?;
        let known = [User::admin(&password)].into_iter().chain(args.user.iter().cloned()).collect::<Vec<_>>();
        let users = users::declared(&known)?;
        let inbox = Arc::new(Inbox::new(&base, Arc::clone(&clock))?);
        Ok(Self {
            base,
            project,
            clock,
            clock_setting,
            log_filter: args.log_filter.clone(),
            workspace,
            known,
            users,
            inbox,
            emulator,
            machines,
            exits,
            comfyui,
            speed: args.speed,
            sweep_every: args.sweep_every,
            seed,
            _held_ports: [held_gateways, held_comfyuis],
            _disks: disks,
        })
    }

    /// What the panel shows of it; the caller adds what it has beside.
    pub(crate) fn panel(&self) -> Panel {
        Panel {
            emulator: Arc::clone(&self.emulator),
            machines: Arc::clone(&self.machines),
            topics: None,
            inbox: Arc::clone(&self.inbox),
            functions: None,
            project: self.project.clone(),
            zones: names::ZONE_LETTERS.iter().map(|letter| format!("{}-{letter}", names::REGION)).collect(),
            speed: self.speed,
        }
    }

    /// Serves until the process is asked to end, or `beside` fails; `publish` takes the log sink's entries.
    ///
    /// # Errors
    /// When the listener fails, or with what `beside` failed with.
    pub(crate) async fn serve(
        &mut self,
        listener: TcpListener,
        router: Router,
        publish: impl AsyncFn(String) -> anyhow::Result<()>,
        beside: impl Future<Output = anyhow::Error>,
    ) -> anyhow::Result<()> {
        let Self { base, clock, emulator, exits, .. } = self;
        let background = async {
            tokio::join!(
                scheduler::run(base.clone(), self.sweep_every, Arc::clone(emulator), Arc::clone(clock)),
                tell_poweroffs(exits, emulator),
                publish_events(emulator.log_entries(), publish),
            )
        };
        tokio::select! {
            result = service::serve(listener, router, service::terminated()) => result,
            error = beside => Err(error),
            _ = background => Ok(()),
        }
    }

    /// Switches the VMs off.
    pub(crate) async fn end(self) {
        if let Some(emulator) = Arc::into_inner(self.emulator) {
            emulator.shutdown().await;
        }
    }
}

/// The functions and everything they need in this one process.
async fn in_this_process(listener: TcpListener, mut pocket: Pocket) -> anyhow::Result<()> {
    let topic = |name: &str, path: &str| topic(name, &format!("{}{path}", pocket.base), &pocket);
    let topics =
        Topics { nudges: topic("nudges", "/push/nudge")?, events: topic("compute-events", "/push/compute-events")? };
    let ground = Ground {
        workspace: pocket.workspace.clone(),
        users: pocket.users.clone(),
        webhooks: pocket.inbox.declared(),
        base: pocket.base.clone(),
        emulator: Arc::clone(&pocket.emulator),
        nudges: topics.nudges.clone(),
        clock: Arc::clone(&pocket.clock),
    };
    let panel = Panel { topics: Some(topics.clone()), ..pocket.panel() };
    let routes = functions::routes(&ground)?.merge(panel::routes(panel));
    let router = service::protect(routes, Limits { patient: lifecycle::PATIENT, ..Limits::default() });
    drop(ground);
    pocket.announce();
    let publish = async |entry: String| Ok(topics.events.publish(entry.as_bytes(), BTreeMap::default()).map(drop)?);
    let result = pocket.serve(listener, router, publish, std::future::pending()).await;
    topics.nudges.close().await;
    topics.events.close().await;
    pocket.end().await;
    result
}

/// What the VMs are told, as Terraform would write it into their metadata.
fn guests(args: &Args, base: &str, jwks_url: &str, clock_setting: &str) -> Guests {
    let told = [
        ("workspace", names::WORKSPACE),
        ("control_url", base),
        ("jwks_url", jwks_url),
        ("page_origin", base),
        ("token_issuer", names::ISSUER),
        ("pilotlight_clock", clock_setting),
    ];
    let told = told.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Guests { metadata: told.into_iter().chain(args.vm_metadata.iter().cloned()).collect(), address: args.vm_address }
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.with_context(|| {
        format!("port {port} cannot be had: another program may be using it. Choose another with --port, or 0 for any")
    })
}

fn topic(name: &str, endpoint: &str, pocket: &Pocket) -> anyhow::Result<MemoryTopic> {
    let mint: TokenMint = {
        let emulator = Arc::downgrade(&pocket.emulator);
        Arc::new(move |audience: &str| {
            let emulator = emulator.upgrade().context("the pocket cloud is shutting down")?;
            emulator.identity().mint(names::PUSH_ACCOUNT, audience)
        })
    };
    let name = format!("projects/{}/subscriptions/{name}", pocket.project);
    let subscription = Subscription { ack_deadline: ACK_DEADLINE, ..Subscription::new(name, endpoint, &pocket.base) };
    MemoryTopic::new(subscription, mint, Arc::clone(&pocket.clock), pocket.seed)
}

/// Which ComfyUI the VMs run.
async fn comfyui(args: &Args) -> anyhow::Result<Comfyui> {
    if let Some(url) = &args.comfyui {
        return Ok(Comfyui::At(url.clone()));
    }
    if let Some(dir) = &args.comfyui_dir {
        anyhow::ensure!(
            dir.join("main.py").is_file(),
            "--comfyui-dir is {}, which holds no main.py; expected the folder of ComfyUI",
            dir.display()
        );
        return Ok(Comfyui::Dir(dir.canonicalize()?));
    }
    if let Some(frontend) = &args.comfyui_frontend {
        anyhow::ensure!(
            frontend.join("index.html").is_file(),
            "--comfyui-frontend is {}, which holds no index.html; expected the package's folder `static`",
            frontend.display()
        );
        return Ok(Comfyui::StandIn { frontend: Some(frontend.canonicalize()?) });
    }
    Ok(Comfyui::StandIn { frontend: installed_frontend().await })
}

/// How long Python is given to say where the package is.
const PYTHON_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Where comfyui-frontend-package is installed, if it is.
async fn installed_frontend() -> Option<PathBuf> {
    let script = "import importlib.util as u; s = u.find_spec('comfyui_frontend_package'); print(s.submodule_search_locations[0])";
    let output = Command::new("python3").args(["-c", script]).kill_on_drop(true).output();
    let output = tokio::time::timeout(PYTHON_ANSWERS_WITHIN, output).await.ok()?.ok()?;
    let package = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let folder = package.join("static");
    (package.is_absolute() && folder.join("index.html").is_file()).then_some(folder)
}

/// Sixteen letters and digits that cannot be mistaken for each other: 80 bits.
fn made_up_password() -> anyhow::Result<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness to be had: {error}"))?;
    Ok(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

impl Pocket {
    #[expect(clippy::print_stdout, reason = "this is what the program is started for")]
    pub(crate) fn announce(&self) {
        let Self { base, known, speed, .. } = self;
        let behind = match &self.comfyui {
            Comfyui::At(url) => format!("the ComfyUI at {url}"),
            Comfyui::Dir(dir) => format!("the ComfyUI in {}", dir.display()),
            Comfyui::StandIn { frontend: Some(_) } => "a stand-in for ComfyUI, with the real ComfyUI page".to_owned(),
            Comfyui::StandIn { frontend: None } => "a stand-in for ComfyUI, with a page of its own".to_owned(),
        };
        println!("Pilotlight is at   {base}");
        for User { name, password, .. } in known {
            println!("User and password  {name}  {password}");
        }
        println!("Behind the VMs     {behind}");
        println!("The pocket cloud   {base}/local   at {speed} times the pace");
    }
}

/// A VM whose gateway has exited has switched itself off.
async fn tell_poweroffs(exits: &mut mpsc::UnboundedReceiver<String>, emulator: &Emulator) {
    while let Some(instance) = exits.recv().await {
        if let Err(refused) = emulator.guest_poweroff(&instance) {
            tracing::debug!(instance, %refused, "a VM switched itself off that was going down anyway");
        }
    }
}

/// The log sink: Compute Engine's own events go to their topic.
async fn publish_events(
    mut entries: broadcast::Receiver<serde_json::Value>,
    publish: impl AsyncFn(String) -> anyhow::Result<()>,
) {
    loop {
        match entries.recv().await {
            Ok(entry) => {
                if let Err(error) = publish(entry.to_string()).await {
                    tracing::warn!(error = format!("{error:#}"), "an event of Compute Engine was dropped");
                }
            }
            Err(broadcast::error::RecvError::Lagged(count)) => {
                tracing::warn!(count, "events of Compute Engine were dropped");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
