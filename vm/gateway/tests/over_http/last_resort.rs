//! The machine stops itself, when nobody else can.

use std::sync::Arc;

use platform::clock::{Clock, ScaledClock, SystemClock};

use crate::comfyui::DEAD;
use crate::control_plane::{Says, reply};
use crate::world::{SOON, Setup, World, marking_command, marks, ready_with};

/// An idle limit of a minute, a silence limit of five, and a clock that runs three hundred times faster.
fn hasty(folder: &std::path::Path) -> Setup {
    let mut says = reply(3, "Running");
    says.idle_limit_seconds = 60;
    let setup = Setup {
        clock: Arc::new(ScaledClock::new(SystemClock.now(), 300.0)),
        says: Says::Reply(says),
        ..Setup::default()
    };
    setup.with("--silence-seconds", 300).with("--poweroff-command", marking_command(folder))
}

async fn polls(world: &World, more: u64) {
    let mut polls = world.comfyui.polls.clone();
    let until = *polls.borrow() + more;
    tokio::time::timeout(SOON, polls.wait_for(|polls| *polls >= until)).await.unwrap().unwrap();
}

#[tokio::test]
async fn cut_off_and_idle_it_stops_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = ready_with(hasty(folder.path())).await;
    world.control.says(Says::Noise);
    world.powered_off(folder.path()).await;
}

#[tokio::test]
async fn cut_off_and_busy_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let world = ready_with(Setup { jobs: 1, ..hasty(folder.path()) }).await;
    world.control.says(Says::Noise);
    // Each poll is at least a minute of the policy's clock.
    polls(&world, 15).await;
    assert!(!world.gateway.is_finished());
    assert_eq!(marks(folder.path()), 0);
}

#[tokio::test]
async fn idle_but_in_contact_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let world = ready_with(hasty(folder.path())).await;
    polls(&world, 15).await;
    assert!(!world.gateway.is_finished());
    assert_eq!(marks(folder.path()), 0);
}

#[tokio::test]
async fn cut_off_at_the_hard_end_it_stops_even_when_busy() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = hasty(folder.path());
    let mut says = reply(3, "Running");
    says.hard_stop_at = Some(wire::Rfc3339(setup.clock.now() + domain::Seconds(600)));
    setup.says = Says::Reply(says);
    let mut world = ready_with(Setup { jobs: 1, ..setup }).await;
    world.control.says(Says::Noise);
    world.powered_off(folder.path()).await;
}

#[tokio::test]
async fn a_machine_that_never_reached_the_control_plane_nor_comfyui_does_not_burn_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup { says: Says::Noise, jobs: DEAD, ..hasty(folder.path()) };
    let mut world =
        crate::world::begin(Setup { clock: Arc::new(ScaledClock::new(SystemClock.now(), 1200.0)), ..setup }).await;
    world.powered_off(folder.path()).await;
}

#[tokio::test]
async fn a_busy_machine_that_never_reached_the_control_plane_stops_at_a_hard_limit_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup { says: Says::Noise, jobs: 1, ..hasty(folder.path()) }.with("--hard-seconds", 3000);
    let begun = setup.clock.now();
    let mut world = crate::world::begin(setup).await;
    world.powered_off(folder.path()).await;
    let lasted = world.clock.now().since(begun);
    assert!(lasted >= domain::Seconds(3000), "{lasted}");
}
