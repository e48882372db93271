//! The world: Google's emulators, the three functions as processes, one emulated Compute Engine with its machines, and
//! everybody in it. Whatever it starts ends with it, also when a test fails: the processes' keepers kill what they drop.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compute_emulator::Emulator;
use domain::Workspace;
use local::emulators::{self, Google, Wanted};
use local::environment::{Environment, Surroundings};
use local::front::{self, Door};
use local::processes::{Companions, Functions};
use local::pubsub::{Declared as DeclaredTopics, Topics};
use local::scheduler;
use local::users::{self, User};
use platform::clock::{Clock, ScaledClock, SystemClock};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::client::Client;
use crate::door::Weather;
use crate::history::{Declared, History, Limits, Swept, What};
use crate::mishaps::Mischief;
use crate::people::Person;
use crate::pusher::{self, Pusher};
use crate::settings::{self, SWEEP_EVERY, Settings};
use crate::vms::{Counts, Ground, Vms};

const PASSWORD: &str = "correct horse battery staple";
/// Real time between two looks at everything.
const LOOK_EVERY: Duration = Duration::from_millis(2000);

/// See the module.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) history: History,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: Client,
    pub(crate) vms: Arc<Vms>,
    pub(crate) emulator: Arc<Emulator>,
    pub(crate) workspaces: Vec<Workspace>,
    functions: Arc<Functions>,
    companions: Companions,
    google: Google,
    project: String,
    weather: Weather,
    /// What never ends by itself.
    around: JoinSet<()>,
}

impl World {
    /// Everything is up, and nobody is there yet.
    pub(crate) async fn start(settings: Settings, programs: &Path) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let around_us = Surrounding::new(settings, listener.local_addr()?.port())?;
        let Surrounding { url, clock, history, http, workspaces, project, .. } = around_us.clone();
        for workspace in &workspaces {
            history.note(clock.now().millis(), What::Declared(declared(workspace)));
        }
        let mut companions = Companions::default();
        let google = emulators::start(&wanted(), &mut companions).await?;
        let (powered_off, poweroffs) = mpsc::unbounded_channel();
        let vms = Vms::new(around_us.ground(powered_off), &workspaces);
        let config = settings::cloud(&workspaces, &project, settings.seed);
        let emulator = Arc::new(Emulator::start(config, Arc::clone(&clock), vms.clone()).await?);

        let mut around = JoinSet::new();
        around.spawn(write_down(emulator.happenings(), history.clone()));
        around.spawn(tell_poweroffs(poweroffs, Arc::clone(&emulator)));
        let door = Door::bind().await?;
        let topics = around_us.declare_topics(&google, door.url()).await?;
        for (subscription, path) in [("nudges", "nudge"), ("compute-events", "compute-events")] {
            let endpoint = format!("{}/push/{path}", door.url());
            let at = (google.pubsub.as_str(), project.as_str());
            let pusher = Pusher::take_over((http.clone(), Arc::clone(&clock)), at, subscription, endpoint).await?;
            around.spawn(pusher.run());
        }
        let environment = around_us.environment(&emulator, &google, &topics.nudges)?;
        let functions = Functions::start(programs, |name| environment.for_function(name), &mut companions).await?;
        around.spawn(publish_events(emulator.log_entries(), topics));
        around.spawn(sweep(around_us.clone(), Arc::clone(&emulator)));

        let weather = Weather::new(settings.seed, history.clone(), Arc::clone(&clock));
        let pushes = front::pushes(Arc::clone(&functions), Arc::downgrade(&emulator), around_us.base);
        let pushes = door.serve(weather.over(pushes));
        let routes = front::routes(Arc::clone(&functions)).into_make_service_with_connect_info::<SocketAddr>();
        around.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        around.spawn(async move { pushes.await.unwrap() });
        let token = sign_in(&http, &url).await?;
        let client = Client { http, url, token, clock: Arc::clone(&clock), history: history.clone() };
        Ok(Self {
            settings,
            history,
            clock,
            client,
            vms,
            emulator,
            workspaces,
            functions,
            companions,
            google,
            project,
            weather,
            around,
        })
    }

    /// Lets everybody in, and everything go wrong, for the time that the settings give.
    pub(crate) async fn live(&mut self) {
        let leaving = CancellationToken::new();
        let mut lives = JoinSet::new();
        for workspace in &self.workspaces {
            for (name, eager) in [("owner", 50), ("guest", 10)] {
                let id = workspace.id.to_string();
                let name = format!("{id} {name}");
                let chance = Chance::of(self.settings.seed, &name);
                let (client, vms) = (self.client.clone(), Arc::clone(&self.vms));
                lives.spawn(Person { name, workspace: id, client, vms, chance, eager }.live(leaving.clone()));
            }
        }
        lives.spawn(self.mischief().run(leaving.clone()));
        lives.spawn(look_on(self.client.clone(), leaving.clone()));
        tokio::select! {
            () = tokio::time::sleep(self.settings.turbulence) => {}
            failure = self.companions.first_failure() => panic!("{failure:#}"),
        }
        leaving.cancel();
        while let Some(ended) = lives.join_next().await {
            ended.unwrap();
        }
    }

    fn mischief(&self) -> Mischief {
        let mut zones: Vec<String> = self
            .workspaces
            .iter()
            .flat_map(|workspace| &workspace.placements)
            .map(|place| place.zone.clone())
            .collect();
        zones.sort();
        zones.dedup();
        Mischief {
            seed: self.settings.seed,
            clock: Arc::clone(&self.clock),
            history: self.history.clone(),
            emulator: Arc::clone(&self.emulator),
            functions: Arc::clone(&self.functions),
            vms: Arc::clone(&self.vms),
            http: self.client.http.clone(),
            project: self.project.clone(),
            zones,
        }
    }

    /// From now on nothing goes wrong and nobody does anything any more.
    pub(crate) fn calm_down(&self) {
        self.weather.calm_down();
        self.vms.ground.calm.store(true, Ordering::Relaxed);
        self.vms.clear_queues(self.client.now());
        self.history.note(self.client.now(), What::Calm);
    }

    /// Asks for the runs of everybody and for the dead letters, and ends everything.
    pub(crate) async fn end(mut self) -> anyhow::Result<Vec<crate::history::Line>> {
        for workspace in &self.workspaces {
            let workspace = workspace.id.to_string();
            let runs = self.client.runs(&workspace).await?;
            self.history.note(self.client.now(), What::Runs { workspace, runs });
        }
        for (message, workspace) in pusher::dead_letters(&self.client.http, &self.google.pubsub, &self.project).await {
            self.history.note(self.client.now(), What::DeadLetter { message, workspace });
        }
        self.around.shutdown().await;
        drop(self.functions);
        self.companions.end().await;
        if let Some(emulator) = Arc::into_inner(self.emulator) {
            emulator.shutdown().await;
        }
        Ok(self.history.lines())
    }
}

/// What everything in the world needs to know of it.
#[derive(Clone)]
struct Surrounding {
    settings: Settings,
    /// `http://localhost:PORT`, the audience of everybody who calls, and where that is.
    base: String,
    url: String,
    clock: Arc<dyn Clock>,
    clock_setting: String,
    history: History,
    http: reqwest::Client,
    workspaces: Vec<Workspace>,
    project: String,
}

impl Surrounding {
    fn new(settings: Settings, port: u16) -> anyhow::Result<Self> {
        let clock = ScaledClock::new(SystemClock.now(), settings.speed);
        Ok(Self {
            settings,
            base: format!("http://localhost:{port}"),
            url: format!("http://127.0.0.1:{port}"),
            clock_setting: format!("{}@{}", clock.origin().millis(), settings.speed),
            clock: Arc::new(clock),
            history: History::default(),
            http: reqwest::Client::builder().no_proxy().build()?,
            workspaces: settings.declare(),
            // Nobody else's, where emulators run already.
            project: format!("chaos-{:016x}", settings.seed),
        })
    }

    fn ground(&self, powered_off: mpsc::UnboundedSender<String>) -> Ground {
        Ground {
            seed: self.settings.seed,
            clock: Arc::clone(&self.clock),
            history: self.history.clone(),
            http: self.http.clone(),
            control: self.url.clone(),
            audience: self.base.clone(),
            calm: AtomicBool::new(false),
            powered_off,
            counts: Counts::default(),
        }
    }

    async fn declare_topics(&self, google: &Google, door: &str) -> anyhow::Result<Topics> {
        let (host, project, audience) = (&google.pubsub, &self.project, &self.base);
        Topics::declare(&DeclaredTopics { host, project, door, audience, rate: self.clock.rate() }).await
    }

    fn environment(&self, compute: &Emulator, google: &Google, nudge_topic: &str) -> anyhow::Result<Environment> {
        let log_filter = std::env::var("CHAOS_LOG").unwrap_or_else(|_| "off".to_owned());
        Environment::of(&Surroundings {
            project: &self.project,
            workspaces: &self.workspaces,
            base: &self.base,
            clock_setting: &self.clock_setting,
            log_filter: &log_filter,
            users: &users::declared(&[User::admin(PASSWORD)])?,
            // Nobody is told of a hundred workspaces.
            webhooks: "{}",
            compute,
            google,
            nudge_topic,
        })
    }
}

/// The emulators that run already, if the environment names any.
fn wanted() -> Wanted {
    let given = |name: &str| std::env::var(name).ok();
    Wanted {
        firestore: given("FIRESTORE_EMULATOR_HOST"),
        pubsub: given("PUBSUB_EMULATOR_HOST"),
        cloud_sdk: given("CLOUDSDK_ROOT").map(Into::into),
    }
}

fn declared(workspace: &Workspace) -> Declared {
    let place = |place: &domain::Placement| (place.instance.clone(), place.usd_per_hour.dollars());
    Declared {
        workspace: workspace.id.to_string(),
        disk: workspace.disk.clone().unwrap(),
        placements: workspace.placements.iter().map(place).collect(),
        disk_at: settings::disk_at(workspace),
        limits: Limits::of(&workspace.policy),
    }
}

async fn sign_in(http: &reqwest::Client, url: &str) -> anyhow::Result<String> {
    let body = serde_json::json!({"user": "admin", "password": PASSWORD});
    let answer = http.post(format!("{url}/api/login")).json(&body).send().await?.error_for_status()?;
    Ok(answer.json::<wire::LoginReply>().await?.token)
}

/// Looks at everything again and again.
async fn look_on(client: Client, leaving: CancellationToken) {
    // Ends when everybody has to leave.
    loop {
        tokio::select! {
            () = leaving.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => drop(client.look_at_all("onlooker").await),
        }
    }
}

/// Cloud Scheduler's part.
async fn sweep(around: Surrounding, emulator: Arc<Emulator>) {
    let Surrounding { base, clock, history, http, .. } = around;
    // Ends with the world.
    loop {
        clock.sleep(SWEEP_EVERY.duration()).await;
        let sent = clock.now().millis();
        let report = scheduler::sweep(&http, &base, &emulator).await;
        let well = report.as_ref().is_ok_and(|report| report.failed.is_empty());
        let looked_at = report.map_or(0, |report| report.looked_at);
        history.note(clock.now().millis(), What::Swept(Swept { sent, well, looked_at }));
    }
}

async fn tell_poweroffs(mut poweroffs: mpsc::UnboundedReceiver<String>, emulator: Arc<Emulator>) {
    while let Some(instance) = poweroffs.recv().await {
        // Refused where it was going down anyway.
        let _ = emulator.guest_poweroff(&instance);
    }
}

/// The log sink.
async fn publish_events(mut entries: tokio::sync::broadcast::Receiver<Value>, topics: Topics) {
    // Ends with the emulator.
    loop {
        match entries.recv().await {
            // An event that is lost is one of the things that may happen.
            Ok(entry) => drop(topics.publish_event(entry.to_string()).await),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn write_down(mut happenings: mpsc::UnboundedReceiver<compute_emulator::Happened>, history: History) {
    while let Some(happened) = happenings.recv().await {
        history.note(happened.at_ms, What::Cloud(happened));
    }
}
