//! What operations do, in the time that they take: coming up, going down, carrying the disk, and finding a zone dry.

use std::sync::Arc;

use platform::compute::OperationState;

use crate::breaks::Break;
use crate::cloud::dry;
use crate::guest;
use crate::history::{Status, What, Why};
use crate::stage::locked;
use crate::world::World;

impl World {
    /// An instance that is stopping goes down, in its time.
    pub(crate) async fn bring_down(self: &Arc<Self>, instance: &str, why: Why) {
        let life = self.life(instance);
        if self.breaks(Break::StopsNeverEnd) {
            return std::future::pending().await;
        }
        let stuck = self.strikes(|storm| storm.stop_stuck);
        let slow = self.strikes(|storm| storm.operation_slow);
        let takes = if stuck {
            (500, 1500)
        } else if slow {
            (60, 150)
        } else {
            (3, 40)
        };
        if stuck {
            self.chanced("stops that are stuck", || instance.to_owned());
        }
        self.sleep(self.seconds(takes.0, takes.1)).await;
        if self.stands(instance, life, &[Status::Stopping]) {
            self.turn(instance, Status::Terminated, why);
        }
    }

    pub(crate) async fn carry(self: Arc<Self>, workspace: String, instance: String, name: String, attach: bool) {
        let slow = self.strikes(|storm| storm.operation_slow);
        self.sleep(if slow { self.seconds(10, 90) } else { self.seconds(1, 8) }).await;
        self.machine(&instance, |machine| machine.has_disk = attach);
        self.disk_is_moved(&workspace);
        self.note(What::Disk { workspace, instance, attached: attach });
        self.over(&name, OperationState::Done);
    }

    pub(crate) fn over(&self, name: &str, state: OperationState) {
        locked(&self.cloud).operations.insert(name.to_owned(), state);
    }

    /// An instance that is provisioning comes up, and boots; false where something else has befallen it.
    pub(crate) async fn come_up(self: &Arc<Self>, instance: &str, why: Why) -> bool {
        let life = self.life(instance);
        self.sleep(self.seconds(1, 5)).await;
        if !self.stands(instance, life, &[Status::Provisioning]) {
            return false;
        }
        self.turn(instance, Status::Staging, why);
        let slow = self.strikes(|storm| storm.operation_slow);
        self.sleep(if slow { self.seconds(60, 240) } else { self.seconds(3, 20) }).await;
        if !self.stands(instance, life, &[Status::Staging]) {
            return false;
        }
        self.turn(instance, Status::Running, why);
        self.spawn(guest::live(Arc::clone(self), instance.to_owned(), life));
        true
    }

    /// When whoever was told that there is none to be had gets it all the same.
    fn come_late(self: &Arc<Self>, instance: &str, run: u64) {
        if !self.strikes(|storm| storm.late_success) {
            return;
        }
        let (world, instance) = (Arc::clone(self), instance.to_owned());
        self.spawn(async move {
            world.sleep(world.seconds(5, 300)).await;
            let life = world.life(&instance);
            if world.stands(&instance, life, &[Status::Terminated]) {
                world.chanced("late successes", || format!("{instance}, which run {run} was refused"));
                world.turn(&instance, Status::Provisioning, Why::Late(run));
                world.come_up(&instance, Why::Late(run)).await;
            }
        });
    }
}

/// What an accepted start does.
pub(crate) async fn start(world: Arc<World>, instance: String, run: u64, name: String, is_dry: bool) {
    let why = Why::Run(run);
    if !is_dry {
        if !world.come_up(&instance, why).await {
            world.chanced("starts overtaken", || instance.clone());
        }
        world.sleep(world.millis(0, 3000)).await;
        world.over(&name, OperationState::Done);
        world.tell("v1.compute.instances.start", &instance);
        return;
    }
    let life = world.life(&instance);
    // Google tells of it within seconds mostly, and within a minute and a half now and then.
    let late = world.draw(|chance| chance.strikes(300));
    world.sleep(if late { world.seconds(30, 100) } else { world.seconds(2, 15) }).await;
    let zone = world.machine(&instance, |machine| machine.zone.clone()).unwrap_or_default();
    world.chanced("stock-outs", || format!("{instance}, {zone}"));
    if world.stands(&instance, life, &[Status::Provisioning]) {
        world.turn(&instance, Status::Terminated, Why::StockOut);
    }
    world.over(&name, OperationState::Failed(dry(&zone)));
    world.come_late(&instance, run);
}

impl World {
    /// A call is refused for want of machines, in Google's time.
    pub(crate) async fn refuse_dry(self: &Arc<Self>, instance: &str, run: u64) {
        self.chanced("stock-outs", || format!("{instance}, at once"));
        self.sleep(self.seconds(0, 25)).await;
        self.come_late(instance, run);
    }
}
