//! The state of the cloud, and how it changes. Pure but for its arguments: no clock, no sockets, no tasks.
//!
//! A change that takes time is written into the agenda; [`Cloud::advance`] does what has come due, each thing at its own
//! moment. What the outside must hear of (power, log entries) is collected in an outbox.

mod disks;
mod faults;
mod guest;
mod operations;
mod power;
mod settings;
mod zones;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use domain::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::agenda::Agenda;
use crate::chance::{Chance, number_of};
use crate::config::{ApiFaults, Config};
use crate::disk::RegionalDisk;
use crate::error::CallError;
use crate::happening::{Happened, Happening};
use crate::instance::{AttachedDisk, Instance};
use crate::links::path;
use crate::operation::Operation;
pub(crate) use disks::AttachRequest;
pub use faults::FaultRefused;
pub(crate) use guest::{GuestRefused, guest_attributes_enabled};
use power::Change;
pub(crate) use settings::SchedulingChange;
pub use zones::ZoneFaults;

/// More than this many changes in one look at the clock is a loop in the agenda, not a busy cloud.
const CHANGES_PER_ADVANCE_MAX: usize = 100_000;

/// Something that will be due.
#[derive(Debug)]
enum Due {
    OperationRuns(String),
    OperationEnds(String),
    /// Happens only if the instance's epoch is still this one.
    Instance {
        name: String,
        epoch: u64,
        change: Change,
    },
}

/// Something the world outside must hear of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    PowerOn { instance: String },
    PowerOff { instance: String, grace: Duration },
    Logged(Value),
    Happened(Happened),
}

/// What a call brings along, beside its path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    pub(crate) request_id: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) config: Config,
    pub(crate) faults: ApiFaults,
    instances: BTreeMap<String, Instance>,
    disks: BTreeMap<String, RegionalDisk>,
    operations: BTreeMap<String, Operation>,
    /// Names of operations in the order of their beginning.
    operation_order: VecDeque<String>,
    /// The call (verb and instance) and the operation that a request id stands for.
    requests: HashMap<Uuid, (String, String)>,
    zone_faults: BTreeMap<String, ZoneFaults>,
    agenda: Agenda<Due>,
    chance: Chance,
    outbox: Vec<Effect>,
    version: u64,
}

impl Cloud {
    /// Everything that is declared, all of it TERMINATED.
    pub(crate) fn declared(config: Config, now: Timestamp) -> Self {
        let mut chance = Chance::seeded(config.seed);
        let id_of = |what: &str| (number_of(&format!("{}/{what}", config.project)) >> 1) | (1 << 60);
        let mut instances = BTreeMap::new();
        for spec in &config.instances {
            let id = id_of(&format!("{}/{}", spec.zone, spec.name));
            instances.insert(spec.name.clone(), Instance::declared(spec.clone(), id, now, &mut chance));
        }
        let mut disks = BTreeMap::new();
        for spec in &config.disks {
            let mut disk = RegionalDisk {
                spec: spec.clone(),
                id: id_of(&format!("{}/{}", spec.region, spec.name)),
                created: now,
                attached: None,
                detached: None,
                label_fingerprint: chance.fingerprint(),
                users: BTreeMap::new(),
            };
            let user = spec.attached_to.as_ref().and_then(|name| instances.get_mut(name));
            if let Some(instance) = user {
                disk.users.insert(instance.spec.name.clone(), false);
                instance.disks.push(AttachedDisk {
                    disk: spec.name.clone(),
                    rest: disk.rest(),
                    device: spec.name.clone(),
                    size_gb: spec.size_gb,
                    read_only: false,
                });
            }
            disks.insert(spec.name.clone(), disk);
        }
        Self {
            config,
            faults: ApiFaults::default(),
            instances,
            disks,
            operations: BTreeMap::new(),
            operation_order: VecDeque::new(),
            requests: HashMap::new(),
            zone_faults: BTreeMap::new(),
            agenda: Agenda::new(),
            chance,
            outbox: Vec::new(),
            version: 0,
        }
    }

    /// Does everything that has come due by `now`.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        for _ in 0..CHANGES_PER_ADVANCE_MAX {
            let Some((at, due)) = self.agenda.take_due(now) else { break };
            self.version += 1;
            match due {
                Due::OperationRuns(name) => self.operation_runs(&name, at),
                Due::OperationEnds(name) => self.operation_ends(&name, at),
                Due::Instance { name, epoch, change } => self.change(&name, epoch, change, at),
            }
        }
        self.forget_old_operations(now);
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.agenda.next()
    }

    /// Grows with each change, so that whoever waits can tell whether there was one.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn take_outbox(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.outbox)
    }

    /// Writes down what has happened, for whoever watches.
    fn note(&mut self, what: Happening, at: Timestamp) {
        self.outbox.push(Effect::Happened(what.at(at)));
    }

    pub(crate) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    pub(crate) fn touch(&mut self) {
        self.version += 1;
    }

    pub(crate) fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    pub(crate) fn instance(&self, name: &str) -> Option<&Instance> {
        self.instances.get(name)
    }

    /// The instance of a call's path.
    pub(crate) fn instance_in(&self, zone: &str, name: &str) -> Result<&Instance, CallError> {
        self.check_zone(zone)?;
        let found = self.instances.get(name).filter(|instance| instance.spec.zone == zone);
        found
            .ok_or_else(|| CallError::not_found(&path(&self.config.project, &format!("zones/{zone}/instances/{name}"))))
    }

    fn instance_mut(&mut self, zone: &str, name: &str) -> Result<&mut Instance, CallError> {
        self.instance_in(zone, name)?;
        self.version += 1;
        self.instances.get_mut(name).ok_or_else(|| CallError::not_found(&format!("zones/{zone}/instances/{name}")))
    }

    pub(crate) fn disks(&self) -> impl Iterator<Item = &RegionalDisk> {
        self.disks.values()
    }

    pub(crate) fn check_zone(&self, zone: &str) -> Result<(), CallError> {
        if self.config.zones.iter().any(|known| known == zone) {
            return Ok(());
        }
        Err(CallError::invalid_field("zone", zone, "Unknown zone."))
    }

    pub(crate) fn zone_of(&self, instance: &str) -> String {
        self.instances.get(instance).map_or_else(String::new, |instance| instance.spec.zone.clone())
    }

    fn refused_not_ready(&self, instance: &Instance) -> CallError {
        CallError::not_ready(&path(&self.config.project, &instance.rest()))
    }
}
