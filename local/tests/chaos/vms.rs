//! The machines behind the emulated instances: a task for each that has power, in place of a gateway and a ComfyUI.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use compute_emulator::{InstanceFacts, Machines};
use domain::Workspace;
use platform::clock::Clock;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::guest::Guest;
use crate::history::{History, Millis, What};

/// What all machines share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) seed: u64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) history: History,
    pub(crate) http: reqwest::Client,
    /// Where the control plane is reached.
    pub(crate) control: String,
    /// What identity tokens are asked for.
    pub(crate) audience: String,
    pub(crate) calm: AtomicBool,
    /// Instances that switch themselves off.
    pub(crate) powered_off: mpsc::UnboundedSender<String>,
    pub(crate) counts: Counts,
}

/// What the machines have seen.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) boots: AtomicU64,
    pub(crate) beats: AtomicU64,
    pub(crate) lost_beats: AtomicU64,
    pub(crate) silences: AtomicU64,
}

/// What ComfyUI has to do on a machine, and what Google has told it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) up: AtomicBool,
    pub(crate) preempted: AtomicBool,
    /// Nothing that it says gets out any more.
    pub(crate) mute: AtomicBool,
    work: Mutex<Work>,
    pub(crate) news: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    /// The queue is empty from then on.
    pub(crate) busy_until: Option<Millis>,
}

impl Desk {
    pub(crate) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Running {
    workspace: String,
    desk: Arc<Desk>,
    unplug: CancellationToken,
    life: JoinHandle<()>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Vms {
    pub(crate) ground: Arc<Ground>,
    /// Workspace of each instance.
    belongs: HashMap<String, String>,
    running: Mutex<HashMap<String, Running>>,
}

impl Vms {
    pub(crate) fn new(ground: Ground, workspaces: &[Workspace]) -> Arc<Self> {
        let instances = |workspace: &Workspace| {
            let id = workspace.id.to_string();
            workspace.placements.iter().map(|place| (place.instance.clone(), id.clone())).collect::<Vec<_>>()
        };
        let belongs = workspaces.iter().flat_map(instances).collect();
        Arc::new(Self { ground: Arc::new(ground), belongs, running: Mutex::default() })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job for the ComfyUI of this workspace, if there is one up; it takes until then.
    pub(crate) fn queue_job(&self, workspace: &str, until: Millis) {
        let running = self.running();
        let desks = running.values().filter(|vm| vm.workspace == workspace && vm.desk.up.load(Ordering::Relaxed));
        for Running { desk, .. } in desks {
            let mut work = desk.work();
            work.busy_until = work.busy_until.max(Some(until));
            desk.news.notify_one();
        }
    }

    /// So many machines whose ComfyUI is up are heard no more.
    pub(crate) fn mute(&self, count: usize) {
        let running = self.running();
        let up = running.values().filter(|vm| vm.desk.up.load(Ordering::Relaxed));
        up.take(count).for_each(|vm| vm.desk.mute.store(true, Ordering::Relaxed));
    }

    /// Everybody has left, and nothing is in any queue.
    pub(crate) fn clear_queues(&self, now: Millis) {
        for Running { desk, .. } in self.running().values() {
            let mut work = desk.work();
            work.busy_until = work.busy_until.map(|until| until.min(now));
        }
    }

    /// The machine reads at its metadata server that Google takes it back.
    pub(crate) fn tell_preempted(&self, instance: &str) {
        if let Some(Running { desk, .. }) = self.running().get(instance) {
            desk.preempted.store(true, Ordering::Relaxed);
            desk.news.notify_one();
        }
    }

    /// Instances whose machine has power.
    pub(crate) fn powered(&self) -> Vec<String> {
        let mut names: Vec<String> = self.running().keys().cloned().collect();
        names.sort();
        names
    }

    fn note(&self, instance: &str, on: bool, boot: u64) {
        let power = What::Power { instance: instance.to_owned(), on, boot };
        self.ground.history.note(self.ground.clock.now().millis(), power);
    }
}

#[async_trait]
impl Machines for Vms {
    async fn power_on(&self, facts: InstanceFacts) {
        let Some(workspace) = self.belongs.get(&facts.instance).cloned() else { return };
        self.note(&facts.instance, true, facts.boot);
        self.ground.counts.boots.fetch_add(1, Ordering::Relaxed);
        let (desk, unplug) = (Arc::new(Desk::default()), CancellationToken::new());
        let instance = facts.instance.clone();
        let guest = Guest::new(Arc::clone(&self.ground), workspace.clone(), facts, Arc::clone(&desk));
        let life = tokio::spawn(guest.live(unplug.clone()));
        self.running().insert(instance, Running { workspace, desk, unplug, life });
    }

    async fn power_off(&self, instance: &str, grace: Duration) {
        let running = self.running().remove(instance);
        let Some(Running { unplug, life, .. }) = running else { return };
        unplug.cancel();
        let mut life = life;
        tokio::select! {
            ended = &mut life => ended.unwrap(),
            () = self.ground.clock.sleep(grace) => life.abort(),
        }
        self.note(instance, false, 0);
    }
}
