//! What stands behind an instance: told when its power goes on and off.
//!
//! The wish for power is kept, not queued: a machine that is slow to stop sees the latest wish when it is done, and an
//! instance that went on and off again in the meantime is not switched on for nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

/// What a machine needs to know when its power goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    pub instance: String,
    pub zone: String,
    pub project: String,
    pub id: u64,
    pub machine_type: String,
    pub accelerator: Option<String>,
    pub address: String,
    pub labels: BTreeMap<String, String>,
    pub metadata: BTreeMap<String, String>,
    /// Names of the regional disks it has.
    pub disks: Vec<String>,
    /// `http://127.0.0.1:PORT`: where this instance, and no other, finds its metadata server.
    pub metadata_url: String,
    /// Counts the times that the power went on.
    pub boot: u64,
}

/// The machines behind the instances. Calls for one instance come one after the other; both should come back soon.
#[async_trait]
pub trait Machines: Send + Sync {
    /// The instance is RUNNING: its guest begins to boot.
    async fn power_on(&self, facts: InstanceFacts);
    /// The instance is STOPPING: its guest has `grace` (of the emulator's clock) to shut down, then the plug is pulled.
    /// Also called when the guest is already gone.
    async fn power_off(&self, instance: &str, grace: Duration);
}

/// What [`Machines`] was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PowerChange {
    On(Box<InstanceFacts>),
    Off { instance: String, grace: Duration },
}

/// Machines that only write down what they are told.
#[derive(Debug, Clone, Default)]
pub struct RecordingMachines {
    told: watch::Sender<Vec<PowerChange>>,
}

impl RecordingMachines {
    /// Everything so far.
    pub fn told(&self) -> Vec<PowerChange> {
        self.told.borrow().clone()
    }

    /// Waits until `count` things have been told, and gives them all.
    pub async fn told_at_least(&self, count: usize) -> Vec<PowerChange> {
        let mut seen = self.told.subscribe();
        match seen.wait_for(|told| told.len() >= count).await {
            Ok(told) => told.clone(),
            Err(_) => self.told(),
        }
    }
}

#[async_trait]
impl Machines for RecordingMachines {
    async fn power_on(&self, facts: InstanceFacts) {
        self.told.send_modify(|told| told.push(PowerChange::On(Box::new(facts))));
    }

    async fn power_off(&self, instance: &str, grace: Duration) {
        let instance = instance.to_owned();
        self.told.send_modify(|told| told.push(PowerChange::Off { instance, grace }));
    }
}

/// What an instance's power should be.
#[derive(Debug, Clone)]
pub(crate) enum Power {
    On(Box<InstanceFacts>),
    Off { grace: Duration },
}

/// Brings one machine's power to the wish, until nobody can wish any more.
pub(crate) async fn follow(machines: Arc<dyn Machines>, instance: String, mut wish: watch::Receiver<Power>) {
    let mut boot = None;
    loop {
        let wanted = wish.borrow_and_update().clone();
        match wanted {
            Power::On(facts) if boot != Some(facts.boot) => {
                if boot.is_some() {
                    machines.power_off(&instance, Duration::ZERO).await;
                }
                boot = Some(facts.boot);
                machines.power_on(*facts).await;
            }
            Power::Off { grace } if boot.is_some() => {
                boot = None;
                machines.power_off(&instance, grace).await;
            }
            Power::On(_) | Power::Off { .. } => {}
        }
        if wish.changed().await.is_err() {
            break;
        }
    }
}
