//! Compute Engine as a process reaches it: [`platform::compute::Compute`] on the world's cloud.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use domain::{Action, InstanceSeen, InstanceStatus, OperationErrorKind, UpInstance, Workspace};
use platform::compute::{CallError, CallRequest, Compute, OperationState};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::breaks::Break;
use crate::cloud::Arrival;
use crate::stage::locked;
use crate::world::World;

/// See the module.
#[derive(Debug)]
pub(crate) struct Reachable {
    pub(crate) world: Arc<World>,
    pub(crate) side: usize,
}

fn unanswered() -> CallError {
    CallError::Unanswered(anyhow::anyhow!("the call was made to go unanswered"))
}

impl Reachable {
    async fn look(&self) -> anyhow::Result<()> {
        self.world.sleep(self.world.millis(20, 200)).await;
        if self.world.now() < locked(&self.world.outages).compute || self.world.strikes(|storm| storm.look) {
            self.world.chanced("looks that failed", String::new);
            bail!("the look was made to fail");
        }
        Ok(())
    }

    /// How long the call may still be on its way: it is made within its limit, and its client has the same limit.
    fn left(&self, arrival: &Arrival, workspace: Option<&Workspace>) -> Duration {
        let limit = workspace.map_or(domain::Seconds(30), |workspace| workspace.policy.call_limit);
        let announced = self.world.record(&arrival.workspace).call.map(|call| call.announced_at);
        let ahead = self.world.setting.ahead_millis[self.side];
        let elapsed = announced.map_or(0, |at| self.world.now().millis() + ahead - at.millis());
        let left = i64::try_from(limit.0 * 1000).unwrap_or(i64::MAX) - elapsed;
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    async fn make(&self, arrival: Arrival, workspace: Option<&Workspace>) -> Result<String, CallError> {
        let world = &self.world;
        if world.now() < locked(&world.outages).compute {
            world.sleep(world.millis(20, 200)).await;
            return Err(unanswered());
        }
        let lost = world.strikes(|storm| storm.call_lost);
        let answer_lost = lost && world.draw(|chance| chance.strikes(600));
        let left = self.left(&arrival, workspace);
        let late = world.strikes(|storm| storm.call_late);
        let most = if late { left } else { left.min(Duration::from_millis(300)) };
        let mut way = world.millis(0, u64::try_from(most.as_millis()).unwrap_or(0) + 1);
        if world.breaks(Break::CallsArriveLate) {
            way += world.seconds(60, 300);
        }
        let (answer, answered) = oneshot::channel();
        let instance = arrival.action.instance().to_owned();
        let (arriving, run) = (Arc::clone(world), arrival.by.map_or(0, |(run, _)| run));
        if !lost || answer_lost {
            world.spawn(async move {
                arriving.sleep(way).await;
                let taken = arriving.arrive(&arrival);
                if taken.as_ref().is_err_and(|error| error.kind == OperationErrorKind::StockOut) {
                    arriving.refuse_dry(&instance, run).await;
                }
                arriving.sleep(arriving.millis(5, 200)).await;
                if answer_lost {
                    arriving.chanced("answers lost", || instance.clone());
                } else {
                    drop(answer.send(taken));
                }
            });
        } else {
            world.chanced("calls lost", || instance.clone());
            drop(answer);
        }
        match answered.await {
            Ok(taken) => taken.map_err(CallError::Refused),
            Err(_) => {
                // As long as a client waits.
                world.sleep(world.seconds(0, 60)).await;
                Err(unanswered())
            }
        }
    }
}

#[async_trait]
impl Compute for Reachable {
    async fn see(&self, workspace: &Workspace) -> anyhow::Result<Vec<InstanceSeen>> {
        self.look().await?;
        let mut seen = Vec::new();
        for placement in &workspace.placements {
            // Each is looked at by a request of its own.
            if self.world.draw(|chance| chance.strikes(100)) {
                self.world.sleep(self.world.millis(10, 600)).await;
            }
            let instance = placement.instance.clone();
            let found = self.world.look_at(&instance, |machine, _| (machine.seen(), machine.number, machine.has_disk));
            let (status, instance_id, has_disk) = found.unwrap_or((InstanceStatus::Missing, 0, false));
            let told = InstanceSeen { instance, status, instance_id, has_disk };
            seen.push(if self.world.setting.broken.is_some() { self.as_broken(workspace, told) } else { told });
        }
        Ok(seen)
    }

    async fn list_up(&self) -> anyhow::Result<Vec<UpInstance>> {
        self.look().await?;
        if self.world.breaks(Break::SweepsSeeNoMachines) {
            return Ok(Vec::new());
        }
        let cloud = locked(&self.world.cloud);
        let up = cloud.machines.iter().filter(|(_, machine)| machine.status.is_up());
        let told = up.map(|(instance, machine)| UpInstance {
            workspace: machine.workspace.clone(),
            instance: instance.clone(),
            zone: machine.zone.clone(),
        });
        Ok(told.collect())
    }

    async fn call(&self, request: CallRequest<'_>) -> Result<String, CallError> {
        let CallRequest { workspace, action, request_id } = request;
        let by = self.world.caller(request_id);
        let name = workspace.id.as_str().to_owned();
        let arrival = Arrival { workspace: name, action: action.clone(), request: request_id, by };
        self.make(arrival, Some(workspace)).await
    }

    async fn operation(&self, _zone: &str, operation: &str) -> anyhow::Result<OperationState> {
        self.look().await?;
        Ok(locked(&self.world.cloud).operations.get(operation).cloned().unwrap_or(OperationState::Done))
    }

    async fn stop_unknown(&self, instance: &UpInstance, request_id: Uuid) -> Result<String, CallError> {
        let action = Action::StopInstance { instance: instance.instance.clone() };
        let workspace = self.world.look_at(&instance.instance, |machine, _| machine.workspace.clone());
        let arrival = Arrival { workspace: workspace.unwrap_or_default(), action, request: request_id, by: None };
        self.make(arrival, None).await
    }
}

impl Reachable {
    /// What is told of an instance, where a rule of looking is broken.
    fn as_broken(&self, workspace: &Workspace, seen: InstanceSeen) -> InstanceSeen {
        let record = self.world.record(workspace.id.as_str());
        let own = record.placement.as_ref() == Some(&seen.instance);
        let status = if own { seen.status } else { InstanceStatus::Down };
        match self.world.setting.broken {
            Some(Break::OthersAreNotSeen) => InstanceSeen { status, ..seen },
            Some(Break::TheDiskIsSeenInPlace) => InstanceSeen { has_disk: own, ..seen },
            Some(Break::NothingElseIsSeen) => InstanceSeen { has_disk: own, status, ..seen },
            Some(Break::TheDiskIsSeenNowhere) => InstanceSeen { has_disk: seen.has_disk && own, ..seen },
            Some(Break::NothingComesUp) if seen.status == InstanceStatus::Running => {
                InstanceSeen { status: InstanceStatus::ComingUp, ..seen }
            }
            Some(Break::StoppingIsSeenAsDown) if seen.status == InstanceStatus::InTransition => {
                InstanceSeen { status: InstanceStatus::Down, ..seen }
            }
            _ => seen,
        }
    }
}
