//! Everything that happens, told exactly and in its order.

use compute_emulator::Happening;

use crate::world::{A, B, BEGINNING, World};

const ID: &str = "3f2b2f0e-58f5-4a36-9f4e-7d5f5f0f8a11";

/// What happened, and how many seconds after the beginning.
fn told(happenings: &mut tokio::sync::mpsc::UnboundedReceiver<compute_emulator::Happened>) -> Vec<(i64, String)> {
    let one = |what: Happening| match what {
        Happening::Accepted { verb, instance, request_id, .. } => {
            format!("{verb} {instance} accepted{}", request_id.map(|id| format!(" as {id}")).unwrap_or_default())
        }
        Happening::Ended { verb, instance, error, .. } => {
            format!("{verb} {instance} ended{}", error.map(|code| format!(" with {code}")).unwrap_or_default())
        }
        Happening::Status { instance, status } => format!("{instance} {status}"),
        Happening::System { instance, event } => format!("{event} {instance}"),
        Happening::Announced { instance } => format!("{instance} is told"),
        Happening::Attached { disk, instance } => format!("{disk} at {instance}"),
        Happening::Detached { disk, instance } => format!("{disk} off {instance}"),
    };
    let next = || happenings.try_recv().ok().map(|happened| ((happened.at_ms - BEGINNING.millis()) / 1000, happened));
    std::iter::from_fn(next).map(|(at, happened)| (at, one(happened.what))).collect()
}

fn expected(told: &[(i64, &str)]) -> Vec<(i64, String)> {
    told.iter().map(|(at, what)| (*at, (*what).to_owned())).collect()
}

#[tokio::test]
async fn a_life_of_a_machine_is_told_step_by_step_and_a_call_after_what_it_changes_at_once() {
    let world = World::new().await;
    let mut happenings = world.emulator.happenings();
    world.accepted(&format!("{A}/start?requestId={ID}"), "").await;
    world.pass(12).await;
    assert_eq!(world.status(A).await, "RUNNING");
    world.emulator.guest_poweroff("main-a").unwrap();
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(40).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    let accepted = format!("start main-a accepted as {ID}");
    let life = [
        (0, "main-a PROVISIONING"),
        (0, &accepted),
        (8, "main-a STAGING"),
        (12, "main-a RUNNING"),
        (12, "start main-a ended"),
        (12, "compute.instances.guestTerminate main-a"),
        (12, "main-a STOPPING"),
        // It was on its way down already: nothing changes by this call.
        (12, "stop main-a accepted"),
        (14, "stop main-a ended"),
        (52, "main-a TERMINATED"),
    ];
    assert_eq!(told(&mut happenings), expected(&life));
}

#[tokio::test]
async fn a_preemption_is_told_when_it_is_announced_and_when_it_happens() {
    let world = World::running().await;
    let mut happenings = world.emulator.happenings();
    world.emulator.preempt("main-a").unwrap();
    world.pass(30).await;
    assert_eq!(world.status(A).await, "STOPPING");
    let way = [(12, "main-a is told"), (42, "compute.instances.preempted main-a"), (42, "main-a STOPPING")];
    assert_eq!(told(&mut happenings), expected(&way));
}

#[tokio::test]
async fn a_stock_out_and_the_way_of_a_disk_are_told() {
    let world = World::new().await;
    let mut happenings = world.emulator.happenings();
    world.emulator.set_stock_out("us-central1-a", true).unwrap();
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(100).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    world.accepted(&format!("{A}/detachDisk?deviceName=main-data"), "").await;
    world.pass(4).await;
    let body = serde_json::json!({"source": "regions/us-central1/disks/main-data"}).to_string();
    world.accepted(&format!("{B}/attachDisk"), &body).await;
    world.pass(4).await;
    assert_eq!(world.status(B).await, "TERMINATED");
    let way = [
        (0, "main-a PROVISIONING"),
        (0, "start main-a accepted"),
        (95, "main-a STOPPING"),
        (100, "main-a TERMINATED"),
        (100, "start main-a ended with ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"),
        (100, "detachDisk main-a accepted"),
        (104, "main-data off main-a"),
        (104, "detachDisk main-a ended"),
        (104, "attachDisk main-b accepted"),
        (108, "main-data at main-b"),
        (108, "attachDisk main-b ended"),
    ];
    assert_eq!(told(&mut happenings), expected(&way));
}
