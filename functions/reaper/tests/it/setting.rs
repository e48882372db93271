//! A reaper on parts in memory, with as many workspaces as a test wants, and a clock that stands still until moved.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use domain::{
    Action, Calendar, Event, Heartbeat, InstanceSeen, InstanceStatus, MicroUsd, Phase, Placement, Policy, Reading,
    Record, Seconds, Signal, Timestamp, Workspace, WorkspaceId, decide,
};
use platform::clock::{Clock, ManualClock};
use platform::compute::fake::FakeCompute;
use platform::identity::{Expected, GOOGLE_ISSUERS, Identity, TokenRefused};
use platform::queue::Queue;
use platform::store::{MemoryStore, Save, WorkspaceStore};
use reaper::{App, Parts, SweepReport, Swept};
use serde_json::{Value, json};
use service::{Limits, OidcGate};

pub(crate) const SCHEDULER_EMAIL: &str = "scheduler@p.iam.gserviceaccount.com";
pub(crate) const AUDIENCE: &str = "https://reaper.example.com";
pub(crate) const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// A token for which the keys cannot be had.
pub(crate) const KEYS_AWAY: &str = "keys are away";

/// Takes a token for what it says, as long as it is meant for whoever asks: signatures have tests of their own.
#[derive(Debug)]
struct Trusting;

#[async_trait]
impl Identity for Trusting {
    async fn verify(&self, token: &str, expected: Expected<'_>) -> Result<Value, TokenRefused> {
        if token == KEYS_AWAY {
            return Err(TokenRefused::KeysUnavailable(std::io::Error::other("out of reach").into()));
        }
        let claims: Value = serde_json::from_str(token).map_err(|_| TokenRefused::BadSignature)?;
        let says = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
        if !expected.issuers.contains(&says("iss").as_str()) || says("aud") != expected.audience {
            return Err(TokenRefused::WrongParty);
        }
        if claims["exp"].as_i64().unwrap_or(0) <= expected.now.seconds() {
            return Err(TokenRefused::Expired);
        }
        Ok(claims)
    }
}

/// Writes down who was nudged, and takes no nudge for those who are `refused`.
#[derive(Debug, Default)]
pub(crate) struct Nudges {
    told: Mutex<Vec<String>>,
    refused: Mutex<BTreeSet<WorkspaceId>>,
}

impl Nudges {
    pub(crate) fn refuse(&self, workspace: &WorkspaceId) {
        self.refused.lock().unwrap().insert(workspace.clone());
    }

    pub(crate) fn accept_all(&self) {
        self.refused.lock().unwrap().clear();
    }

    /// Who was nudged since this was asked last, in order of names.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut told = std::mem::take(&mut *self.told.lock().unwrap());
        told.sort();
        told
    }
}

#[async_trait]
impl Queue for Nudges {
    async fn nudge(&self, workspace: &WorkspaceId) -> anyhow::Result<()> {
        if self.refused.lock().unwrap().contains(workspace) {
            return Err(std::io::Error::other("the topic is full").into());
        }
        self.told.lock().unwrap().push(workspace.to_string());
        Ok(())
    }
}

pub(crate) struct Setting {
    pub(crate) app: App,
    pub(crate) router: Router,
    /// What is really stored, whatever stands before it.
    pub(crate) records: Arc<MemoryStore>,
    pub(crate) machines: Arc<FakeCompute>,
    pub(crate) clock: ManualClock,
    pub(crate) nudges: Arc<Nudges>,
    pub(crate) workspaces: Vec<Workspace>,
}

/// The workspace of a name, with two placements.
pub(crate) fn workspace(name: &str) -> Workspace {
    let placement = |letter: &str| Placement {
        instance: format!("{name}-{letter}"),
        zone: format!("us-central1-{letter}"),
        spot: false,
        machine_type: "g2-standard-4".into(),
        accelerator: "nvidia-l4".into(),
        usd_per_hour: MicroUsd(706_800),
        price_date: None,
        origin: format!("https://{name}.example.com"),
    };
    Workspace {
        id: WorkspaceId::parse(name).unwrap(),
        title: name.into(),
        members: None,
        placements: vec![placement("a"), placement("b")],
        disk: Some(format!("{name}-data")),
        calendar: Calendar::default(),
        policy: Policy::default(),
    }
}

/// `count` names that sort as they are counted.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("w{at:04}")).collect()
}

impl Setting {
    pub(crate) fn new(names: &[impl AsRef<str>]) -> Self {
        Self::behind(names, |records, _| records)
    }

    /// The same, where the reaper reaches the records through a store of the test's.
    pub(crate) fn behind<S: WorkspaceStore + 'static>(
        names: &[impl AsRef<str>],
        store: impl FnOnce(Arc<MemoryStore>, &ManualClock) -> Arc<S>,
    ) -> Self {
        let workspaces: Vec<_> = names.iter().map(|name| workspace(name.as_ref())).collect();
        let machines = Arc::new(FakeCompute::holding(&workspaces));
        let clock = ManualClock::at(BEGIN);
        let records = Arc::new(MemoryStore::new());
        let nudges = Arc::new(Nudges::default());
        let app = App::new(Parts {
            workspaces: workspaces.clone(),
            store: store(Arc::clone(&records), &clock),
            queue: nudges.clone(),
            compute: machines.clone(),
            clock: Arc::new(clock.clone()),
            scheduler: OidcGate {
                identity: Arc::new(Trusting),
                clock: Arc::new(clock.clone()),
                audience: AUDIENCE.into(),
                emails: vec![SCHEDULER_EMAIL.into()],
            },
        });
        let router = reaper::router(app.clone(), Limits::default());
        Self { app, router, records, machines, clock, nudges, workspaces }
    }

    pub(crate) fn workspace(&self, name: &str) -> &Workspace {
        self.workspaces.iter().find(|workspace| workspace.id.as_str() == name).unwrap()
    }

    pub(crate) fn leap(&self, length: Seconds) {
        self.clock.advance(length.duration());
    }

    pub(crate) async fn record(&self, name: &str) -> Record {
        self.records.load(&WorkspaceId::parse(name).unwrap()).await.unwrap().record
    }

    pub(crate) async fn phases(&self) -> Vec<(String, Phase)> {
        let mut phases = Vec::new();
        for workspace in &self.workspaces {
            phases.push((workspace.id.to_string(), self.record(workspace.id.as_str()).await.phase));
        }
        phases
    }

    /// What another function makes of `event` at this moment.
    pub(crate) async fn happen(&self, name: &str, event: Event) {
        happen(&self.records, self.workspace(name), event, self.clock.now()).await;
    }

    /// The VM says what it is doing.
    pub(crate) async fn beat(&self, name: &str, reading: Reading) {
        let heartbeat = self.heartbeat(name, reading).await;
        self.happen(name, heartbeat).await;
    }

    async fn heartbeat(&self, name: &str, reading: Reading) -> Event {
        heartbeat(name, self.machines.instance_id(&format!("{name}-a")), self.record(name).await.run, reading)
    }

    /// Start was pressed.
    pub(crate) async fn placing(&self, name: &str) {
        self.happen(name, Event::StartRequested(Default::default())).await;
    }

    /// A run whose machine has just come up.
    pub(crate) async fn booting(&self, name: &str) {
        let instance = format!("{name}-a");
        self.placing(name).await;
        self.happen(name, Event::CallIntended(Action::StartInstance { instance: instance.clone() })).await;
        self.happen(name, Event::CallAccepted { operation: "operation-0".into() }).await;
        self.happen(name, Event::OperationDone).await;
        self.machines.set_status(&instance, InstanceStatus::Running);
        let instance_id = self.machines.instance_id(&instance);
        let seen = InstanceSeen { instance, status: InstanceStatus::Running, instance_id, has_disk: true };
        self.happen(name, Event::InstanceSeen(seen)).await;
    }

    /// A run that is ready and was busy until this moment.
    pub(crate) async fn ready(&self, name: &str) {
        self.booting(name).await;
        self.beat(name, Reading::Busy(Signal::Queue)).await;
        assert_eq!(self.record(name).await.phase, Phase::Ready);
    }

    /// Runs that are ready, and whose VMs have said shortly before their deadline that nothing is going on: due now.
    pub(crate) async fn idle(&self, names: &[impl AsRef<str>]) {
        for name in names {
            self.ready(name.as_ref()).await;
        }
        let idle_limit = Policy::default().idle_limit;
        self.leap(less(idle_limit, Seconds(5)));
        for name in names {
            self.beat(name.as_ref(), Reading::Idle { last: None }).await;
        }
        self.leap(Seconds(5));
    }

    pub(crate) async fn sweep(&self) -> SweepReport {
        self.app.sweep().await
    }

    /// A sweep in which nothing went wrong, and what it did.
    pub(crate) async fn swept(&self) -> Vec<Swept> {
        let report = self.sweep().await;
        assert_eq!(report.failed, []);
        report.items
    }

    pub(crate) fn token(&self, email: &str, audience: &str) -> Value {
        let exp = self.clock.now().seconds() + 3600;
        json!({"iss": GOOGLE_ISSUERS[0], "aud": audience, "sub": "1", "email": email, "email_verified": true, "exp": exp})
    }
}

/// A heartbeat of the first placement.
pub(crate) fn heartbeat(name: &str, instance_id: u64, run: u64, reading: Reading) -> Event {
    let instance = format!("{name}-a");
    Event::Heartbeat(Heartbeat {
        instance,
        instance_id,
        run: Some(run),
        comfyui_up: true,
        reading,
        boot: None,
        kept_prompts: None,
    })
}

/// What lifecycle does with an event: load, decide, save.
pub(crate) async fn happen(store: &MemoryStore, workspace: &Workspace, event: Event, now: Timestamp) {
    let current = store.load(&workspace.id).await.unwrap();
    let decision = decide(&current.record, event, now, workspace).unwrap();
    let due_at = domain::due_at(&decision.next, &workspace.policy);
    let ended = decision.ended.as_ref();
    let save = Save { id: &workspace.id, record: &decision.next, seen: current.version.as_ref(), due_at, ended };
    if decision.save {
        store.save(save).await.unwrap();
    }
}

pub(crate) fn drained(workspace: &str) -> Swept {
    Swept::Drained { workspace: workspace.into() }
}

pub(crate) fn stopped(workspace: &str) -> Swept {
    Swept::Stopped { workspace: workspace.into() }
}

pub(crate) fn nudged(workspace: &str) -> Swept {
    Swept::Nudged { workspace: workspace.into() }
}

/// What is left of a length.
pub(crate) fn less(length: Seconds, by: Seconds) -> Seconds {
    Seconds(length.0 - by.0)
}
