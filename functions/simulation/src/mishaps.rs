//! What befalls the world: outages, restarts, what Google does by itself, and what somebody does by hand.

use std::sync::Arc;

use domain::Seconds;

use crate::functions::NAMES;
use crate::history::{Status, Why};
use crate::stage::locked;
use crate::world::World;

/// Lets one mishap follow another until it is quiet.
pub(crate) async fn befall(world: Arc<World>) {
    let hourly = world.setting.storm.mishaps;
    if hourly == 0 {
        return;
    }
    let mean = 3600 / hourly;
    loop {
        world.sleep(world.seconds(mean / 3, mean * 2)).await;
        if world.is_quiet() {
            return;
        }
        befall_once(&world);
    }
}

fn befall_once(world: &Arc<World>) {
    let until = world.now() + Seconds(world.draw(|chance| chance.between(20, 400)));
    if world.strikes(|storm| storm.dry) {
        let zone = world.draw(|chance| chance.pick(&["us-central1-a", "us-central1-b", "us-central1-c"]));
        world.chanced("dry zones", || zone.to_owned());
        locked(&world.outages).dry.insert(zone.to_owned(), until);
        return;
    }
    match world.draw(|chance| chance.between(0, 13)) {
        0 => {
            world.chanced("outages of the store", String::new);
            locked(&world.outages).store = until;
        }
        1 => {
            world.chanced("outages of Compute Engine", String::new);
            locked(&world.outages).compute = until;
        }
        2 => {
            world.chanced("outages of the scheduler", String::new);
            locked(&world.outages).scheduler = until;
        }
        3 | 4 => restart(world),
        5 | 6 => preempt(world),
        7 => host_error(world),
        8 | 9 => mute(world),
        10 | 11 => start_by_hand(world),
        _ => stop_by_hand(world),
    }
}

fn restart(world: &Arc<World>) {
    let side = world.draw(|chance| chance.index(3));
    let tasks = world.stage.kill(side);
    world.chanced("restarts", || format!("{} dies with {tasks} requests", NAMES[side]));
    world.boot(side);
}

/// One of the instances of this status.
fn any(world: &World, status: Status, spot: bool) -> Option<String> {
    let found: Vec<String> = {
        let cloud = locked(&world.cloud);
        let fits = cloud.machines.iter().filter(|(_, machine)| machine.status == status && (machine.spot || !spot));
        fits.map(|(name, _)| name.clone()).collect()
    };
    if found.is_empty() { None } else { Some(found[world.draw(|chance| chance.index(found.len()))].clone()) }
}

fn preempt(world: &Arc<World>) {
    let Some(instance) = any(world, Status::Running, true) else { return };
    world.chanced("preemptions", || instance.clone());
    let life = world.life(&instance);
    world.look_at(&instance, |machine, _| machine.used.preempted = true);
    let world = Arc::clone(world);
    world.clone().spawn(async move {
        // Google gives thirty seconds, and says so to the machine.
        world.sleep(world.seconds(1, 30)).await;
        let runs = world.look_at(&instance, |machine, _| machine.life == life && machine.status == Status::Running);
        if runs == Some(true) {
            world.turn(&instance, Status::Stopping, Why::Preempted);
            world.tell("compute.instances.preempted", &instance);
            world.bring_down(&instance, Why::Preempted).await;
        }
    });
}

fn host_error(world: &Arc<World>) {
    let Some(instance) = any(world, Status::Running, false) else { return };
    world.chanced("host errors", || instance.clone());
    world.turn(&instance, Status::Terminated, Why::HostError);
    world.tell("compute.instances.hostError", &instance);
}

fn mute(world: &World) {
    let Some(instance) = any(world, Status::Running, false) else { return };
    let length = Seconds(world.draw(|chance| chance.between(60, 1500)));
    world.chanced("silences", || format!("{instance} for {length}"));
    world.look_at(&instance, |machine, now| machine.used.mute_until = now + length);
}

fn start_by_hand(world: &Arc<World>) {
    let Some(instance) = any(world, Status::Terminated, false) else { return };
    world.chanced("starts by hand", || instance.clone());
    world.turn(&instance, Status::Provisioning, Why::Hand);
    let world = Arc::clone(world);
    world.clone().spawn(async move {
        world.come_up(&instance, Why::Hand).await;
        world.tell("v1.compute.instances.start", &instance);
    });
}

fn stop_by_hand(world: &Arc<World>) {
    let Some(instance) = any(world, Status::Running, false) else { return };
    world.chanced("stops by hand", || instance.clone());
    world.turn(&instance, Status::Stopping, Why::Hand);
    let world = Arc::clone(world);
    world.clone().spawn(async move {
        world.bring_down(&instance, Why::Hand).await;
        world.tell("v1.compute.instances.stop", &instance);
    });
}
