//! The running emulator: listeners, the clock's driver, and the switches for what goes wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use platform::clock::Clock;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;

use crate::api;
use crate::cloud::{Cloud, Effect, FaultRefused, ZoneFaults};
use crate::config::{ApiFaults, Config};
use crate::happening::Happened;
use crate::identity::IdentityProvider;
use crate::listen::Listener;
use crate::machines::{self, InstanceFacts, Machines, Power};
use crate::metadata::{self, Guest};
use crate::moments::until;

/// Log entries that a slow reader may be behind, before it loses the oldest.
const LOG_ENTRIES_BEHIND_MAX: usize = 1024;
/// What shutting down waits, for machines to lose power.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);
/// While nothing is due, the driver looks this seldom; a change wakes it.
const IDLE_NAP: Duration = Duration::from_secs(3600);
/// A nap that may end later than this (of the machine's own time) is not begun.
const NAP_LATE_MAX: Duration = Duration::from_millis(20);

/// The cloud with everything around it that tasks share.
pub(crate) struct Shared {
    cloud: Mutex<Cloud>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) identity: IdentityProvider,
    version: watch::Sender<u64>,
    power: BTreeMap<String, watch::Sender<Power>>,
    metadata_urls: BTreeMap<String, String>,
    log: broadcast::Sender<Value>,
    watchers: Mutex<Vec<mpsc::UnboundedSender<Happened>>>,
}

/// One instance, for a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSnapshot {
    pub instance: String,
    pub zone: String,
    pub status: &'static str,
    pub id: u64,
    pub spot: bool,
    /// Its external address while it is up.
    pub address: Option<String>,
    /// Names of the regional disks it has.
    pub disks: Vec<String>,
    pub metadata_url: String,
}

/// A running emulator. Dropping it stops serving; [`Emulator::shutdown`] also switches the machines off.
pub struct Emulator {
    shared: Arc<Shared>,
    api_base: String,
    metadata_base: String,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    machines: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator").field("api_base", &self.api_base).finish_non_exhaustive()
    }
}

impl Emulator {
    /// Binds its listeners on loopback and begins to serve.
    ///
    /// # Errors
    /// When the configuration contradicts itself, or nothing can be bound.
    pub async fn start(config: Config, clock: Arc<dyn Clock>, machines: Arc<dyn Machines>) -> anyhow::Result<Self> {
        config.check()?;
        let (stop, stopped) = watch::channel(false);
        let api = Listener::bind().await?;
        let cloud_wide = Listener::bind().await?;
        let mut guests = Vec::new();
        let (mut power, mut metadata_urls, mut followers) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for spec in &config.instances {
            let listener = Listener::bind().await?;
            metadata_urls.insert(spec.name.clone(), listener.base());
            let (wish, wished) = watch::channel(Power::Off { grace: Duration::ZERO });
            power.insert(spec.name.clone(), wish);
            followers.push(tokio::spawn(machines::follow(machines.clone(), spec.name.clone(), wished)));
            guests.push((Guest::Instance(spec.name.clone()), listener));
        }
        let (api_base, metadata_base) = (api.base(), cloud_wide.base());
        guests.push((Guest::Service(config.service_account.clone()), cloud_wide));
        let shared = Arc::new(Shared {
            identity: IdentityProvider::new(clock.clone())?,
            cloud: Mutex::new(Cloud::declared(config, clock.now())),
            clock,
            version: watch::Sender::new(0),
            power,
            metadata_urls,
            log: broadcast::Sender::new(LOG_ENTRIES_BEHIND_MAX),
            watchers: Mutex::default(),
        });
        let mut tasks = vec![
            tokio::spawn(drive(shared.clone(), stopped.clone())),
            tokio::spawn(api.serve(api::router(shared.clone()), stopped.clone())),
        ];
        for (guest, listener) in guests {
            tasks.push(tokio::spawn(listener.serve(metadata::router(guest, shared.clone()), stopped.clone())));
        }
        Ok(Self { shared, api_base, metadata_base, stop, tasks, machines: followers })
    }

    /// `http://127.0.0.1:PORT/compute/v1/`, as `gcloud` wants it.
    pub fn compute_base(&self) -> String {
        format!("{}/compute/v1/", self.api_base)
    }

    /// `http://127.0.0.1:PORT`, as Google's Rust clients want their endpoint.
    pub fn endpoint(&self) -> String {
        self.api_base.clone()
    }

    /// The metadata server of whoever is no instance: the functions. Instances have their own.
    pub fn metadata_base(&self) -> String {
        self.metadata_base.clone()
    }

    /// The metadata server of one instance: `http://127.0.0.1:PORT`.
    pub fn instance_metadata_base(&self, instance: &str) -> Option<String> {
        self.shared.metadata_urls.get(instance).cloned()
    }

    /// Where the keys are that identity tokens are checked with.
    pub fn jwks_url(&self) -> String {
        format!("{}/oauth2/v3/certs", self.api_base)
    }

    /// Signs tokens as Pub/Sub and Cloud Scheduler send them along.
    pub fn identity(&self) -> &IdentityProvider {
        &self.shared.identity
    }

    /// The audit log's entries from now on, as a sink would publish them.
    pub fn log_entries(&self) -> broadcast::Receiver<Value> {
        self.shared.log.subscribe()
    }

    /// Everything that happens from now on, in its order. Held until it is read: for a test that reads it.
    pub fn happenings(&self) -> mpsc::UnboundedReceiver<Happened> {
        let (watcher, happenings) = mpsc::unbounded_channel();
        self.shared.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(watcher);
        happenings
    }

    pub fn snapshot(&self) -> Vec<InstanceSnapshot> {
        self.shared.with(|cloud, _| {
            let one = |instance: &crate::instance::Instance| InstanceSnapshot {
                instance: instance.spec.name.clone(),
                zone: instance.spec.zone.clone(),
                status: instance.status.name(),
                id: instance.id,
                spot: instance.scheduling.spot,
                address: instance.status.has_guest().then(|| instance.spec.address.clone()),
                disks: instance.disks.iter().map(|attached| attached.disk.clone()).collect(),
                metadata_url: self.shared.metadata_urls.get(&instance.spec.name).cloned().unwrap_or_default(),
            };
            cloud.instances().map(one).collect()
        })
    }

    /// The zone has nothing left for a start, or has again.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn set_stock_out(&self, zone: &str, dry: bool) -> Result<(), FaultRefused> {
        self.change_zone(zone, |faults| faults.stock_out = dry)
    }

    /// Changes what is wrong with a zone.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn change_zone(&self, zone: &str, change: impl FnOnce(&mut ZoneFaults)) -> Result<(), FaultRefused> {
        self.shared.with(|cloud, _| cloud.change_zone(zone, change))
    }

    pub fn zone_faults(&self, zone: &str) -> ZoneFaults {
        self.shared.with(|cloud, _| cloud.zone_faults(zone))
    }

    pub fn dry_zones(&self) -> Vec<String> {
        self.shared.with(|cloud, _| cloud.zones_where(|faults| faults.stock_out))
    }

    pub fn late_zones(&self) -> Vec<String> {
        self.shared.with(|cloud, _| cloud.zones_where(|faults| faults.late_success.is_some()))
    }

    pub fn gone_zones(&self) -> Vec<String> {
        self.shared.with(|cloud, _| cloud.zones_where(|faults| faults.gone))
    }

    pub fn api_faults(&self) -> ApiFaults {
        self.shared.with(|cloud, _| cloud.faults.clone())
    }

    pub fn set_api_faults(&self, faults: ApiFaults) {
        self.shared.with(|cloud, _| {
            cloud.faults = faults;
            cloud.touch();
        });
    }

    /// Announces a preemption to the guest; the instance stops when the window is over.
    ///
    /// # Errors
    /// When the instance is unknown or not running.
    pub fn preempt(&self, instance: &str) -> Result<(), FaultRefused> {
        self.shared.with(|cloud, now| cloud.preempt(instance, now))
    }

    /// The instance's machine switched itself off.
    ///
    /// # Errors
    /// When the instance is unknown or not running; a machine that exits because its instance is stopping is expected.
    pub fn guest_poweroff(&self, instance: &str) -> Result<(), FaultRefused> {
        self.shared.with(|cloud, now| cloud.guest_powers_off(instance, now))
    }

    /// The instance's host breaks.
    ///
    /// # Errors
    /// When the instance is unknown or not running.
    pub fn host_error(&self, instance: &str) -> Result<(), FaultRefused> {
        self.shared.with(|cloud, now| cloud.host_fails(instance, now))
    }

    /// Shows `word` as the instance's status, whatever it is, until given `None`.
    ///
    /// # Errors
    /// When the instance is unknown.
    pub fn show_status(&self, instance: &str, word: Option<&str>) -> Result<(), FaultRefused> {
        self.shared.with(|cloud, _| cloud.show_status(instance, word.map(str::to_owned)))
    }

    /// Stops serving and switches every machine off.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        for power in self.shared.power.values() {
            power.send_replace(Power::Off { grace: Duration::ZERO });
        }
        let tasks = std::mem::take(&mut self.tasks);
        let followers = std::mem::take(&mut self.machines);
        // The tasks hold what the machines' wishes are sent through: when both are gone, the machines are done.
        drop(self);
        let ended = tokio::time::timeout(SHUTDOWN_MAX, async {
            for task in tasks.into_iter().chain(followers) {
                let _ = task.await;
            }
        });
        if ended.await.is_err() {
            tracing::warn!(waited = ?SHUTDOWN_MAX, "a machine did not lose its power in time");
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Shared {
    /// Looks at the clock, does what is due, then `act`s, and tells whoever must hear of it.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Cloud, Timestamp) -> R) -> R {
        let mut cloud = self.lock();
        // Read under the lock, so that time never runs backwards for the cloud.
        let now = self.clock.now();
        cloud.advance(now);
        let result = act(&mut cloud, now);
        for effect in cloud.take_outbox() {
            self.tell(&cloud, effect);
        }
        let version = cloud.version();
        self.version.send_if_modified(|seen| std::mem::replace(seen, version) != version);
        result
    }

    /// Wakes at each change of the cloud.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, cloud: &Cloud, effect: Effect) {
        match effect {
            Effect::PowerOn { instance } => {
                if let (Some(wish), Some(facts)) = (self.power.get(&instance), self.facts(cloud, &instance)) {
                    wish.send_replace(Power::On(Box::new(facts)));
                }
            }
            Effect::PowerOff { instance, grace } => {
                if let Some(wish) = self.power.get(&instance) {
                    wish.send_replace(Power::Off { grace });
                }
            }
            // Nobody listening is no fault: the entry is simply not wanted.
            Effect::Logged(entry) => drop(self.log.send(entry)),
            Effect::Happened(happened) => {
                let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
                watchers.retain(|watcher| watcher.send(happened.clone()).is_ok());
            }
        }
    }

    fn facts(&self, cloud: &Cloud, name: &str) -> Option<InstanceFacts> {
        let instance = cloud.instance(name)?;
        Some(InstanceFacts {
            instance: name.to_owned(),
            zone: instance.spec.zone.clone(),
            project: cloud.config.project.clone(),
            id: instance.id,
            machine_type: instance.spec.machine_type.clone(),
            accelerator: instance.spec.accelerator.clone(),
            address: instance.spec.address.clone(),
            labels: instance.labels.clone(),
            metadata: instance.metadata.iter().cloned().collect(),
            disks: instance.disks.iter().map(|attached| attached.disk.clone()).collect(),
            metadata_url: self.metadata_urls.get(name)?.clone(),
            boot: instance.boot,
        })
    }
}

/// Does what is due when it is due, even if nobody asks.
async fn drive(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let mut changes = shared.changes();
        let before = shared.clock.now();
        let due = shared.with(|cloud, _| cloud.next_due());
        let nap = shared.clock.sleep(due.map_or(IDLE_NAP, |due| until(before, due)));
        tokio::pin!(nap);
        // A nap counts from its first look at the clock: one that looked late would end late, so it is measured anew.
        let over = futures_util::poll!(nap.as_mut()).is_ready();
        let late = until(before, shared.clock.now());
        if over || late > NAP_LATE_MAX.mul_f64(shared.clock.rate()) {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => {}
            _ = changes.changed() => {}
            () = nap => {}
        }
    }
}
