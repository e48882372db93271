//! What [`super::fake::FakeCompute`] is made of: machines, and operations that end when they are told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::bail;
use domain::{Action, InstanceStatus, OperationError, OperationErrorKind};
use uuid::Uuid;

use super::fake::{RecordedCall, Trouble};
use super::{CallError, OperationState};

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) workspace: String,
    pub(super) zone: String,
    pub(super) status: InstanceStatus,
    pub(super) instance_id: u64,
    pub(super) disks: BTreeSet<String>,
    /// Told as a stock-out, and on its way all the same.
    pub(super) late: bool,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) zone: String,
    pub(super) action: Action,
    pub(super) disk: Option<String>,
    /// How it will end whatever the machine is like.
    pub(super) fails: Option<OperationError>,
    pub(super) state: OperationState,
}

#[derive(Debug, Default)]
pub(super) struct Cloud {
    pub(super) machines: BTreeMap<String, Machine>,
    /// In the order of their acceptance.
    pub(super) operations: Vec<Operation>,
    pub(super) accepted: BTreeMap<Uuid, usize>,
    pub(super) dry: BTreeSet<String>,
    pub(super) late: BTreeSet<String>,
    pub(super) gone: BTreeSet<String>,
    pub(super) troubles: VecDeque<Trouble>,
    pub(super) looks_to_fail: usize,
    pub(super) calls: Vec<RecordedCall>,
}

impl Cloud {
    pub(super) fn machine(&mut self, instance: &str) -> &mut Machine {
        let known = self.machines.keys().cloned().collect::<Vec<_>>();
        self.machines.get_mut(instance).unwrap_or_else(|| panic!("the fake holds {known:?}, and no {instance}"))
    }

    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        if self.looks_to_fail == 0 {
            return Ok(());
        }
        self.looks_to_fail -= 1;
        bail!("the fake was told to fail this read")
    }

    pub(super) fn accept(
        &mut self,
        action: &Action,
        disk: Option<&str>,
        request_id: Uuid,
    ) -> Result<String, CallError> {
        let trouble = self.troubles.pop_front();
        let silent = self.machines.get(action.instance()).is_some_and(|machine| self.gone.contains(&machine.zone));
        if silent || matches!(trouble, Some(Trouble::LoseRequest)) {
            return Err(unanswered());
        }
        self.calls.push(RecordedCall { action: action.clone(), request_id });
        if let Some(&at) = self.accepted.get(&request_id) {
            return Ok(operation_name(at));
        }
        if let Some(Trouble::Refuse(error)) = trouble {
            return Err(CallError::Refused(error));
        }
        let zone = self.begin(action).map_err(CallError::Refused)?;
        let fails = match &trouble {
            Some(Trouble::FailOperation(error)) => Some(error.clone()),
            _ => None,
        };
        let at = self.operations.len();
        let disk = disk.map(str::to_owned);
        self.operations.push(Operation { zone, action: action.clone(), disk, fails, state: OperationState::Pending });
        self.accepted.insert(request_id, at);
        if matches!(trouble, Some(Trouble::LoseAnswer)) { Err(unanswered()) } else { Ok(operation_name(at)) }
    }

    /// What a call does at once; the zone it happens in.
    pub(super) fn begin(&mut self, action: &Action) -> Result<String, OperationError> {
        let instance = action.instance();
        let Some(machine) = self.machines.get_mut(instance) else {
            return Err(error(OperationErrorKind::NotFound, format!("The resource '{instance}' was not found")));
        };
        match (action, machine.status) {
            (Action::StartInstance { .. }, InstanceStatus::InTransition) => {
                return Err(error(OperationErrorKind::Transient, format!("The resource '{instance}' is not ready")));
            }
            (Action::StartInstance { .. }, InstanceStatus::Down) => {
                machine.status = InstanceStatus::ComingUp;
                machine.late = false;
            }
            (Action::StopInstance { .. }, status) if status.is_up() => machine.status = InstanceStatus::InTransition,
            _ => {}
        }
        Ok(machine.zone.clone())
    }

    /// What an operation has done when it is over.
    pub(super) fn end(&mut self, at: usize) -> OperationState {
        let Operation { zone, action, disk, fails, .. } = &self.operations[at];
        let (zone, action, disk, fails) = (zone.clone(), action.clone(), disk.clone(), fails.clone());
        let late = self.late.contains(&zone);
        let dry = (late || self.dry.contains(&zone)).then(|| self.stock_out(&zone));
        let holder =
            self.machines.iter().find(|(_, machine)| disk.as_ref().is_some_and(|disk| machine.disks.contains(disk)));
        let holder = holder.map(|(name, _)| name.clone());
        let Some(machine) = self.machines.get_mut(action.instance()) else { return OperationState::Done };
        let failed = match &action {
            Action::StartInstance { .. } if machine.status == InstanceStatus::ComingUp => {
                machine.late = late && fails.is_none();
                let failed = fails.or(dry);
                machine.status = if failed.is_some() { InstanceStatus::Down } else { InstanceStatus::Running };
                failed
            }
            Action::StopInstance { .. } if machine.status == InstanceStatus::InTransition => {
                machine.status = if fails.is_some() { InstanceStatus::Running } else { InstanceStatus::Down };
                fails
            }
            Action::StartInstance { .. } | Action::StopInstance { .. } => fails,
            Action::AttachDisk { .. } => fails.or_else(|| attach(machine, disk, holder)),
            Action::ForceAttachDisk { .. } => fails.or_else(|| self.take_disk(action.instance(), disk)),
            Action::DetachDisk { .. } => fails.or_else(|| detach(machine, disk)),
        };
        failed.map_or(OperationState::Done, OperationState::Failed)
    }

    pub(super) fn stock_out(&self, zone: &str) -> OperationError {
        let detail = format!("The zone '{zone}' does not have enough resources available to fulfill the request.");
        let zones: BTreeSet<&String> = self.machines.values().map(|machine| &machine.zone).collect();
        let has = |zone: &&String| ![&self.dry, &self.late, &self.gone].iter().any(|without| without.contains(*zone));
        let zones = zones.into_iter().filter(has).cloned().collect();
        OperationError { zones, ..error(OperationErrorKind::StockOut, detail) }
    }

    /// By force: whoever has the disk has it no longer.
    pub(super) fn take_disk(&mut self, instance: &str, disk: Option<String>) -> Option<OperationError> {
        let disk = disk?;
        let holder = |(name, machine): &(&String, &mut Machine)| *name != instance && machine.disks.contains(&disk);
        if let Some((_, holder)) = self.machines.iter_mut().find(holder) {
            holder.disks.remove(&disk);
        }
        let holds = self.machines.get(instance).is_some_and(|machine| machine.disks.contains(&disk));
        attach(self.machine(instance), Some(disk), holds.then(|| instance.to_owned()))
    }
}

fn attach(machine: &mut Machine, disk: Option<String>, holder: Option<String>) -> Option<OperationError> {
    let disk = disk?;
    if let Some(holder) = holder {
        let detail = format!("The disk resource '{disk}' is already being used by '{holder}'");
        return Some(error(OperationErrorKind::Refused, detail));
    }
    machine.disks.insert(disk);
    None
}

fn detach(machine: &mut Machine, disk: Option<String>) -> Option<OperationError> {
    let disk = disk?;
    let detail = format!("No attached disk '{disk}'");
    (!machine.disks.remove(&disk)).then(|| error(OperationErrorKind::Refused, detail))
}

fn error(kind: OperationErrorKind, detail: String) -> OperationError {
    OperationError { kind, detail, zones: Vec::new() }
}

fn unanswered() -> CallError {
    CallError::Unanswered(anyhow::anyhow!("the fake was told not to answer"))
}

fn operation_name(at: usize) -> String {
    format!("operation-{at}")
}
