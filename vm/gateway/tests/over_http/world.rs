//! A gateway with everything around it, and a browser's ways of asking.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use domain::{Seconds, Ticket, Timestamp, WorkspaceId};
use gateway::{Config, Deps, GpuReading, NoGpu};
use platform::clock::{Clock, ManualClock};
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::identity::keys::{SigningKey, jwks};
use reqwest::{Method, RequestBuilder, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::TicketClaims;

use crate::comfyui::{self, Comfyui};
use crate::control_plane::{self, ControlPlane, Says};

pub(crate) const PAGE_ORIGIN: &str = "https://pilotlight.example.com";
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// No test waits longer for anything.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How a world begins.
pub(crate) struct Setup {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gpu: Arc<dyn GpuReading>,
    pub(crate) says: Says,
    pub(crate) jobs: u64,
    /// Google has taken the machine back before the gateway runs.
    pub(crate) preempted: bool,
    pub(crate) arguments: Vec<String>,
    /// Where ComfyUI is instead of the one made for tests.
    pub(crate) upstream: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            clock: Arc::new(ManualClock::at(NOW)),
            gpu: Arc::new(NoGpu),
            says: Says::Reply(control_plane::reply(3, "Running")),
            jobs: 0,
            preempted: false,
            arguments: Vec::new(),
            upstream: None,
        }
    }
}

impl Setup {
    pub(crate) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.arguments.extend([name.to_owned(), value.to_string()]);
        self
    }
}

pub(crate) struct World {
    pub(crate) origin: String,
    pub(crate) comfyui: Comfyui,
    pub(crate) control: ControlPlane,
    /// Where ComfyUI is.
    pub(crate) upstream: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gateway: JoinHandle<anyhow::Result<()>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) http: reqwest::Client,
    key: SigningKey,
}

pub(crate) async fn begin(setup: Setup) -> World {
    let comfyui = comfyui::start(setup.jobs).await;
    let control = control_plane::start().await;
    control.says(setup.says);
    if setup.preempted {
        control.preempt();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let upstream = setup.upstream.unwrap_or_else(|| format!("http://{}", comfyui.address));
    let control_base = format!("http://{}", control.address);
    let given = [
        ("--upstream", upstream.clone()),
        ("--origin", origin.clone()),
        ("--page-origin", PAGE_ORIGIN.to_owned()),
        ("--control-url", format!("{control_base}/lifecycle/")),
        ("--control-audience", "lifecycle".to_owned()),
        ("--jwks-url", "http://127.0.0.1:9/unused".to_owned()),
        ("--workspace", "main".to_owned()),
        ("--metadata", control_base),
    ];
    let given = given.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    let arguments = std::iter::once("gateway".to_owned()).chain(given).chain(setup.arguments);
    let config = Config::try_parse_from(arguments).unwrap();

    let (key, _) = SigningKey::generate().unwrap();
    let keys = JwksSources::none().with_ours("pilotlight", &jwks(std::slice::from_ref(&key)));
    let deps = Deps { clock: Arc::clone(&setup.clock), identity: Arc::new(JwksVerifier::new(keys)), gpu: setup.gpu };
    let shutdown = CancellationToken::new();
    let gateway = tokio::spawn(gateway::run(config, deps, listener, shutdown.clone().cancelled_owned()));
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(SOON)
        .build()
        .unwrap();
    World { origin, comfyui, control, upstream, clock: setup.clock, gateway, shutdown, http, key }
}

/// A world in which ComfyUI answers and the run is known.
pub(crate) async fn ready() -> World {
    ready_with(Setup::default()).await
}

pub(crate) async fn ready_with(setup: Setup) -> World {
    let world = begin(setup).await;
    world.control.beat_where(0, |beat| beat.body.run == Some(3) && beat.body.comfyui_up).await;
    world
}

impl Drop for World {
    fn drop(&mut self) {
        self.gateway.abort();
    }
}

impl World {
    /// A ticket as auth and lifecycle would make it out now, changed as wished.
    pub(crate) fn ticket(&self, change: impl FnOnce(&mut TicketClaims)) -> String {
        let now = self.clock.now();
        let ticket = Ticket {
            id: uuid::Uuid::new_v4().to_string(),
            workspace: WorkspaceId::parse("main").unwrap(),
            run: 3,
            user: "ada".into(),
            origin: self.origin.clone(),
            issued_at: now,
            expires_at: now + Seconds(120),
            session_ends_at: now + Seconds::hours(24),
        };
        let mut claims = TicketClaims::of(&ticket, "pilotlight");
        change(&mut claims);
        self.key.sign(&claims).unwrap()
    }

    pub(crate) async fn show(&self, ticket: &str) -> Response {
        self.http.get(format!("{}/_enter?ticket={ticket}", self.origin)).send().await.unwrap()
    }

    /// Enters by ticket; the cookie to send from now on.
    pub(crate) async fn enter(&self) -> String {
        self.enter_until(self.clock.now() + Seconds::hours(24)).await
    }

    pub(crate) async fn enter_until(&self, session_ends_at: Timestamp) -> String {
        let ticket = self.ticket(|claims| claims.session_exp = session_ends_at.seconds());
        let response = self.show(&ticket).await;
        assert_eq!(response.status(), 303);
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    pub(crate) fn ask(&self, method: Method, path: &str, cookie: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.origin));
        if cookie.is_empty() { request } else { request.header("cookie", cookie) }
    }

    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Response {
        self.ask(Method::GET, path, cookie).send().await.unwrap()
    }

    pub(crate) fn manual_clock(clock: &ManualClock) -> Setup {
        Setup { clock: Arc::new(clock.clone()), ..Setup::default() }
    }

    /// The machine has been told to stop, and ends the gateway, as it does.
    pub(crate) async fn powered_off(&mut self, folder: &Path) {
        powered_off(folder).await;
        self.shutdown.cancel();
        self.ended().await.unwrap();
    }

    /// The gateway has ended by itself.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        tokio::time::timeout(SOON, &mut self.gateway).await.unwrap().unwrap()
    }
}

/// Lets `step` of policy time pass again and again until `awaited` is ready: whoever waits by the clock may not have
/// begun to wait when it is moved.
pub(crate) async fn while_time_passes<T>(clock: &ManualClock, step: Duration, awaited: impl Future<Output = T>) -> T {
    const TICK: Duration = Duration::from_millis(20);
    let mut awaited = std::pin::pin!(awaited);
    tokio::time::timeout(SOON, async {
        loop {
            if let Ok(ready) = tokio::time::timeout(TICK, awaited.as_mut()).await {
                return ready;
            }
            clock.advance(step);
        }
    })
    .await
    .unwrap()
}

pub(crate) async fn code_of(response: Response) -> String {
    let body: serde_json::Value = response.json().await.unwrap();
    body["code"].as_str().unwrap().to_owned()
}

/// A command that leaves a mark, and whether it has.
pub(crate) fn marking_command(folder: &Path) -> String {
    let script = folder.join("poweroff.sh");
    std::fs::write(&script, "echo off >> \"$1\"\n").unwrap();
    format!("sh {} {}", script.display(), folder.join("mark").display())
}

/// The command has left its mark.
pub(crate) async fn powered_off(folder: &Path) {
    let marked = async {
        while marks(folder) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, marked).await.unwrap();
}

pub(crate) fn marks(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("mark")).map_or(0, |text| text.lines().count())
}
