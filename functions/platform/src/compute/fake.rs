//! Compute Engine in memory, for tests of handlers and of the worker: what happened is recorded, what goes wrong is
//! scripted, and nothing moves until the test says [`FakeCompute::settle`].

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::bail;
use async_trait::async_trait;
use domain::{Action, InstanceSeen, InstanceStatus, OperationError, Placement, UpInstance, Workspace};
use uuid::Uuid;

use super::fake_cloud::{Cloud, Machine};
use super::{CallError, CallRequest, Compute, OperationState};

/// A call that reached the fake, in the order of their coming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    pub action: Action,
    pub request_id: Uuid,
}

/// What goes wrong with one call.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The call is refused.
    Refuse(OperationError),
    /// The call is accepted, and its operation fails.
    FailOperation(OperationError),
    /// The call does not arrive, and is not answered.
    LoseRequest,
    /// The call is accepted, and the answer does not arrive.
    LoseAnswer,
}

/// See the module.
#[derive(Debug, Default)]
pub struct FakeCompute {
    cloud: Mutex<Cloud>,
}

impl FakeCompute {
    /// A project with the placements of `workspaces`, all down, each workspace's disk at its first placement.
    pub fn holding(workspaces: &[Workspace]) -> Self {
        let fake = Self::default();
        for workspace in workspaces {
            for (at, placement) in workspace.placements.iter().enumerate() {
                let disks = workspace.disk.iter().filter(|_| at == 0).cloned().collect();
                fake.add(&placement.instance, &placement.zone, workspace.id.as_str(), InstanceStatus::Down, disks);
            }
        }
        fake
    }

    /// An instance with our label that no workspace declares.
    pub fn add_stray(&self, stray: &UpInstance, status: InstanceStatus) {
        self.add(&stray.instance, &stray.zone, &stray.workspace, status, BTreeSet::new());
    }

    /// Puts an instance into a status at once, whoever has done it: a preemption is `Down`.
    pub fn set_status(&self, instance: &str, status: InstanceStatus) {
        self.cloud().machine(instance).status = status;
    }

    /// Takes an instance away for good.
    pub fn remove(&self, instance: &str) {
        self.cloud().machines.remove(instance);
    }

    /// Whether the zone has no machine to give.
    pub fn set_dry(&self, zone: &str, dry: bool) {
        switch(&mut self.cloud().dry, zone, dry);
    }

    /// Whether a start in the zone is told as a stock-out, and its instance comes up all the same with the next
    /// [`Self::settle`] but one.
    pub fn set_late(&self, zone: &str, late: bool) {
        switch(&mut self.cloud().late, zone, late);
    }

    /// Whether nobody answers for the zone. What is in it stays as it is.
    pub fn set_gone(&self, zone: &str, gone: bool) {
        switch(&mut self.cloud().gone, zone, gone);
    }

    /// The next call that nothing is scripted for yet goes wrong.
    pub fn trouble_next_call(&self, trouble: Trouble) {
        self.cloud().troubles.push_back(trouble);
    }

    /// The next `count` reads fail.
    pub fn fail_looks(&self, count: usize) {
        self.cloud().looks_to_fail = count;
    }

    /// Lets every accepted operation come to its end.
    pub fn settle(&self) {
        let mut cloud = self.cloud();
        for machine in cloud.machines.values_mut().filter(|machine| machine.late) {
            machine.late = false;
            machine.status = InstanceStatus::Running;
        }
        for at in 0..cloud.operations.len() {
            if cloud.operations[at].state == OperationState::Pending {
                let state = cloud.end(at);
                cloud.operations[at].state = state;
            }
        }
    }

    /// Every call that arrived, repeats included.
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.cloud().calls.clone()
    }

    /// The actions of [`Self::calls`].
    pub fn actions(&self) -> Vec<Action> {
        self.cloud().calls.iter().map(|call| call.action.clone()).collect()
    }

    /// Compute Engine's number for the instance.
    pub fn instance_id(&self, instance: &str) -> u64 {
        self.cloud().machine(instance).instance_id
    }

    fn add(&self, instance: &str, zone: &str, workspace: &str, status: InstanceStatus, disks: BTreeSet<String>) {
        let mut cloud = self.cloud();
        let instance_id = 7_000_000_000_000_000_000 + cloud.machines.len() as u64;
        let (workspace, zone) = (workspace.to_owned(), zone.to_owned());
        cloud
            .machines
            .insert(instance.to_owned(), Machine { workspace, zone, status, instance_id, disks, late: false });
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn switch(zones: &mut BTreeSet<String>, zone: &str, on: bool) {
    if on {
        zones.insert(zone.to_owned())
    } else {
        zones.remove(zone)
    };
}

#[async_trait]
impl Compute for FakeCompute {
    async fn see(&self, workspace: &Workspace) -> anyhow::Result<Vec<InstanceSeen>> {
        let mut cloud = self.cloud();
        cloud.look()?;
        let is_gone = |placement: &Placement| cloud.gone.contains(&placement.zone);
        if !workspace.placements.is_empty() && workspace.placements.iter().all(is_gone) {
            bail!("no zone of {} answers", workspace.id);
        }
        let seen = workspace.placements.iter().map(|placement| {
            let instance = placement.instance.clone();
            if is_gone(placement) {
                return InstanceSeen { instance, status: InstanceStatus::Unreachable, instance_id: 0, has_disk: false };
            }
            match cloud.machines.get(&instance) {
                Some(machine) => InstanceSeen {
                    has_disk: workspace.disk.as_ref().is_some_and(|disk| machine.disks.contains(disk)),
                    status: machine.status,
                    instance_id: machine.instance_id,
                    instance,
                },
                None => InstanceSeen { instance, status: InstanceStatus::Missing, instance_id: 0, has_disk: false },
            }
        });
        Ok(seen.collect())
    }

    async fn list_up(&self) -> anyhow::Result<Vec<UpInstance>> {
        let mut cloud = self.cloud();
        cloud.look()?;
        let reached = cloud.machines.iter().filter(|(_, machine)| !cloud.gone.contains(&machine.zone));
        let up = reached.filter(|(_, machine)| machine.status.is_up());
        let told = |(instance, machine): (&String, &Machine)| UpInstance {
            workspace: machine.workspace.clone(),
            instance: instance.clone(),
            zone: machine.zone.clone(),
        };
        Ok(up.map(told).collect())
    }

    async fn call(&self, request: CallRequest<'_>) -> Result<String, CallError> {
        self.cloud().accept(request.action, request.workspace.disk.as_deref(), request.request_id)
    }

    async fn operation(&self, zone: &str, operation: &str) -> anyhow::Result<OperationState> {
        let mut cloud = self.cloud();
        cloud.look()?;
        if cloud.gone.contains(zone) {
            bail!("the zone {zone} does not answer");
        }
        let at = operation.strip_prefix("operation-").and_then(|at| at.parse::<usize>().ok());
        let known = at.and_then(|at| cloud.operations.get(at)).filter(|operation| operation.zone == zone);
        Ok(known.map_or(OperationState::Done, |operation| operation.state.clone()))
    }

    async fn stop_unknown(&self, instance: &UpInstance, request_id: Uuid) -> Result<String, CallError> {
        self.cloud().accept(&Action::StopInstance { instance: instance.instance.clone() }, None, request_id)
    }
}

#[cfg(test)]
#[path = "fake_tests.rs"]
mod tests;
