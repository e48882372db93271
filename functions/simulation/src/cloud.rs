//! Compute Engine as far as Pilotlight knows it: instances, the disk, and operations that take their time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{Action, InstanceStatus, OperationError, OperationErrorKind, Timestamp, Workspace};
use platform::compute::OperationState;
use uuid::Uuid;

use crate::breaks::Break;
use crate::guest::Use;
use crate::history::{Status, What, Why};
use crate::operations;
use crate::stage::locked;
use crate::world::World;

/// An instance.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) workspace: String,
    pub(crate) zone: String,
    pub(crate) spot: bool,
    pub(crate) number: u64,
    pub(crate) status: Status,
    pub(crate) has_disk: bool,
    /// Counts how often it has come up; whoever began something with another life must leave this one alone.
    pub(crate) life: u64,
    pub(crate) used: Use,
}

impl Machine {
    pub(crate) fn seen(&self) -> InstanceStatus {
        match self.status {
            Status::Terminated => InstanceStatus::Down,
            Status::Provisioning | Status::Staging => InstanceStatus::ComingUp,
            Status::Running => InstanceStatus::Running,
            Status::Stopping => InstanceStatus::InTransition,
        }
    }
}

/// The project.
#[derive(Debug, Default)]
pub(crate) struct Cloud {
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) operations: BTreeMap<String, OperationState>,
    accepted: BTreeMap<Uuid, String>,
    /// Workspaces whose disk is being attached or detached.
    moving: BTreeSet<String>,
}

impl Cloud {
    /// All down, each disk at its first placement.
    pub(crate) fn holding(workspaces: &[Workspace]) -> Self {
        let mut cloud = Self::default();
        for workspace in workspaces {
            for (at, placement) in workspace.placements.iter().enumerate() {
                let number = 7_000_000_000_000_000_000 + cloud.machines.len() as u64;
                let machine = Machine {
                    workspace: workspace.id.as_str().to_owned(),
                    zone: placement.zone.clone(),
                    spot: placement.spot,
                    number,
                    status: Status::Terminated,
                    has_disk: at == 0 && workspace.disk.is_some(),
                    life: 0,
                    used: Use::default(),
                };
                cloud.machines.insert(placement.instance.clone(), machine);
            }
        }
        cloud
    }

    pub(crate) fn pending(&self) -> usize {
        self.operations.values().filter(|state| **state == OperationState::Pending).count()
    }
}

pub(crate) fn error(kind: OperationErrorKind, detail: impl Into<String>) -> OperationError {
    OperationError { kind, detail: detail.into(), zones: Vec::new() }
}

fn not_ready(name: &str) -> OperationError {
    error(OperationErrorKind::Transient, format!("The resource '{name}' is not ready"))
}

pub(crate) fn dry(zone: &str) -> OperationError {
    let detail = format!("The zone '{zone}' does not have enough resources available to fulfill the request.");
    error(OperationErrorKind::StockOut, detail)
}

/// A call that has arrived.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) workspace: String,
    pub(crate) action: Action,
    pub(crate) request: Uuid,
    /// The run and the number of its call; `None` for the reaper's.
    pub(crate) by: Option<(u64, u32)>,
}

/// What comes of an action: what becomes of its operation is told by whoever works on it.
enum Taken {
    /// It changes nothing, and is over.
    Idle,
    /// It changes nothing, and is over when the machine is down.
    Joined,
    Started {
        dry: bool,
    },
    Stopping,
    Moving {
        attach: bool,
    },
}

impl World {
    pub(crate) fn machine<T>(&self, instance: &str, look: impl FnOnce(&mut Machine) -> T) -> Option<T> {
        locked(&self.cloud).machines.get_mut(instance).map(look)
    }

    /// An instance turns.
    pub(crate) fn turn(&self, instance: &str, status: Status, why: Why) {
        let workspace = self.machine(instance, |machine| {
            machine.status = status;
            if status == Status::Provisioning {
                machine.life += 1;
                machine.used = Use::default();
            }
            machine.workspace.clone()
        });
        let Some(workspace) = workspace else { return };
        self.note(What::Turned { workspace, instance: instance.to_owned(), status, why });
    }

    /// Whether the instance has this status still, in the same life.
    pub(crate) fn stands(&self, instance: &str, life: u64, statuses: &[Status]) -> bool {
        self.machine(instance, |machine| machine.life == life && statuses.contains(&machine.status)).unwrap_or(false)
    }

    pub(crate) fn disk_is_moved(&self, workspace: &str) {
        locked(&self.cloud).moving.remove(workspace);
    }

    pub(crate) fn life(&self, instance: &str) -> u64 {
        self.machine(instance, |machine| machine.life).unwrap_or_default()
    }

    fn is_dry(&self, zone: &str) -> bool {
        if self.strikes(|storm| storm.stock_out) {
            return true;
        }
        let now = self.now();
        locked(&self.outages).dry.get(zone).is_some_and(|until| now < *until)
    }

    /// A call arrives.
    pub(crate) fn arrive(self: &Arc<Self>, arrival: &Arrival) -> Result<String, OperationError> {
        if let Some(known) = locked(&self.cloud).accepted.get(&arrival.request) {
            return Ok(known.clone());
        }
        let taken = self.take(arrival);
        let took = taken.as_ref().is_ok_and(|taken| !matches!(taken, Taken::Idle | Taken::Joined));
        let Arrival { workspace, action, by, .. } = arrival.clone();
        self.note(What::Arrived { workspace, by, action, took });
        let taken = taken?;
        let name = format!("operation-{}", self.number());
        {
            let mut cloud = locked(&self.cloud);
            cloud.accepted.insert(arrival.request, name.clone());
            cloud.operations.insert(name.clone(), OperationState::Pending);
        }
        self.begin(arrival, &name, &taken);
        Ok(name)
    }

    fn take(&self, Arrival { workspace, action, .. }: &Arrival) -> Result<Taken, OperationError> {
        let instance = action.instance();
        let found = self.machine(instance, |machine| (machine.status, machine.zone.clone(), machine.has_disk));
        let Some((status, zone, has_disk)) = found else {
            return Err(error(OperationErrorKind::NotFound, format!("The resource '{instance}' was not found")));
        };
        let holder = {
            let cloud = locked(&self.cloud);
            if cloud.moving.contains(workspace)
                && matches!(action, Action::AttachDisk { .. } | Action::DetachDisk { .. })
            {
                return Err(not_ready(&format!("{workspace}-data")));
            }
            let holds = |machine: &&Machine| machine.workspace == *workspace && machine.has_disk;
            cloud.machines.values().any(|machine| holds(&machine))
        };
        match action {
            Action::StartInstance { .. } if self.breaks(Break::StartsAreRefused) => {
                Err(error(OperationErrorKind::Refused, "Every start is refused"))
            }
            Action::StartInstance { .. } => match status {
                Status::Stopping => Err(not_ready(instance)),
                Status::Terminated if self.is_dry(&zone) && self.draw(|chance| chance.strikes(300)) => Err(dry(&zone)),
                Status::Terminated => Ok(Taken::Started { dry: self.is_dry(&zone) }),
                _ => Ok(Taken::Idle),
            },
            Action::StopInstance { .. } => Ok(match status {
                Status::Terminated => Taken::Idle,
                Status::Stopping => Taken::Joined,
                _ => Taken::Stopping,
            }),
            Action::AttachDisk { .. } if holder && !self.breaks(Break::TheDiskIsSeenNowhere) => {
                Err(error(OperationErrorKind::Refused, "The disk resource is already being used by another instance"))
            }
            Action::AttachDisk { .. } => Ok(Taken::Moving { attach: true }),
            // No zone is gone here, so nobody has anything to force.
            Action::ForceAttachDisk { .. } => Err(error(OperationErrorKind::Refused, "Nothing is to be forced")),
            Action::DetachDisk { .. } if !has_disk => {
                Err(error(OperationErrorKind::Refused, format!("No attached disk at {instance}")))
            }
            Action::DetachDisk { .. } => Ok(Taken::Moving { attach: false }),
        }
    }

    fn begin(self: &Arc<Self>, arrival: &Arrival, name: &str, taken: &Taken) {
        let instance = arrival.action.instance().to_owned();
        let (world, name) = (Arc::clone(self), name.to_owned());
        let run = arrival.by.map(|(run, _)| run);
        match *taken {
            Taken::Idle => self.over(&name, OperationState::Done),
            Taken::Joined => self.spawn(async move {
                let life = world.life(&instance);
                while world.stands(&instance, life, &[Status::Stopping]) {
                    world.sleep(world.seconds(1, 4)).await;
                }
                world.over(&name, OperationState::Done);
            }),
            Taken::Started { dry } => {
                self.turn(&instance, Status::Provisioning, Why::Run(run.unwrap_or_default()));
                self.spawn(operations::start(world, instance, run.unwrap_or_default(), name, dry));
            }
            Taken::Stopping => {
                let why = run.map_or(Why::Reaper, Why::Run);
                self.turn(&instance, Status::Stopping, why);
                self.spawn(async move {
                    world.bring_down(&instance, why).await;
                    world.over(&name, OperationState::Done);
                    world.tell("v1.compute.instances.stop", &instance);
                });
            }
            Taken::Moving { attach } => {
                locked(&self.cloud).moving.insert(arrival.workspace.clone());
                self.spawn(world.carry(arrival.workspace.clone(), instance, name, attach));
            }
        }
    }

    /// All that is known of an instance, for its guest.
    pub(crate) fn look_at<T>(&self, instance: &str, look: impl FnOnce(&mut Machine, Timestamp) -> T) -> Option<T> {
        let now = self.now();
        self.machine(instance, |machine| look(machine, now))
    }
}
