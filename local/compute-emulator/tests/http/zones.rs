//! Zones that have nothing, that give it late, and that nobody answers for.

use std::time::Duration;

use compute_emulator::{FaultRefused, PowerChange};
use serde_json::{Value, json};

use crate::world::{A, B, World, reason};

const ZONE: &str = "us-central1-a";

fn code(operation: &Value) -> &Value {
    &operation["error"]["errors"][0]["code"]
}

fn zones_available(operation: &Value) -> &Value {
    &operation["error"]["errors"][0]["errorDetails"][2]["errorInfo"]["metadatas"]["zonesAvailable"]
}

impl World {
    fn late(&self, seconds: Option<u64>) {
        self.emulator.change_zone(ZONE, |faults| faults.late_success = seconds.map(Duration::from_secs)).unwrap();
    }

    fn gone(&self, gone: bool) {
        self.emulator.change_zone(ZONE, |faults| faults.gone = gone).unwrap();
    }
}

#[tokio::test]
async fn a_late_success_is_told_as_a_stock_out_and_runs_so_long_after_it_was_told() {
    let world = World::new().await;
    world.late(Some(120));
    let operation = world.accepted(&format!("{A}/start"), "").await;
    world.pass(100).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    let operation = world.again(&operation).await;
    assert_eq!(code(&operation), "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS");
    assert_eq!(zones_available(&operation), "us-central1-b,us-central1-c");
    world.pass(107).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    world.pass(1).await;
    assert_eq!(world.status(A).await, "PROVISIONING");
    world.pass(8).await;
    assert_eq!(world.status(A).await, "STAGING");
    assert_eq!(world.machines.told(), []);
    world.pass(4).await;
    assert_eq!(world.status(A).await, "RUNNING", "120 seconds after it was told");
    let told = world.machines.told_at_least(1).await;
    assert!(matches!(&told[0], PowerChange::On(facts) if facts.instance == "main-a"), "{told:?}");
    assert_eq!(
        code(&world.again(&operation).await),
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "nobody takes it back"
    );
}

#[tokio::test]
async fn a_late_success_that_is_sooner_than_a_machine_comes_up_takes_what_that_takes() {
    let world = World::new().await;
    world.late(Some(1));
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(100).await;
    assert_eq!(world.status(A).await, "PROVISIONING");
    world.pass(12).await;
    assert_eq!(world.status(A).await, "RUNNING");
}

#[tokio::test]
async fn a_stop_of_what_is_not_up_yet_does_not_keep_a_late_success_away_and_the_next_start_does() {
    let world = World::new().await;
    world.late(Some(120));
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(100).await;
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(120).await;
    assert_eq!(world.status(A).await, "RUNNING");
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(40).await;

    world.accepted(&format!("{A}/start"), "").await;
    world.pass(100).await;
    world.late(None);
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(12).await;
    assert_eq!(world.status(A).await, "RUNNING", "there is a machine again");
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(600).await;
    assert_eq!(world.status(A).await, "TERMINATED", "the late machine was the next start's");
}

#[tokio::test]
async fn a_stock_out_is_told_when_it_is_said_to_be() {
    let world = World::new().await;
    let told_after = Some(Duration::from_secs(300));
    world.emulator.change_zone(ZONE, |faults| (faults.stock_out, faults.told_after) = (true, told_after)).unwrap();
    assert_eq!(world.emulator.dry_zones(), [ZONE]);
    let operation = world.accepted(&format!("{A}/start"), "").await;
    world.pass(299).await;
    assert_eq!(world.again(&operation).await["status"], "RUNNING");
    world.pass(1).await;
    assert_eq!(code(&world.again(&operation).await), "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS");
    assert_eq!(world.status(A).await, "TERMINATED");

    world.emulator.change_zone(ZONE, |faults| faults.told_after = Some(Duration::ZERO)).unwrap();
    let operation = world.accepted(&format!("{A}/start"), "").await;
    assert_eq!(code(&world.again(&operation).await), "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS");
    assert_eq!(world.status(A).await, "TERMINATED");
}

#[tokio::test]
async fn a_stop_overtakes_a_start_whose_stock_out_is_not_told_yet() {
    let world = World::new().await;
    let told_after = Some(Duration::from_secs(300));
    world.emulator.change_zone(ZONE, |faults| (faults.stock_out, faults.told_after) = (true, told_after)).unwrap();
    let start = world.accepted(&format!("{A}/start"), "").await;
    world.pass(150).await;
    world.accepted(&format!("{A}/stop"), "").await;
    assert_eq!(world.status(A).await, "STOPPING");
    world.pass(40).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    assert_eq!(world.again(&start).await["status"], "RUNNING");
    world.pass(110).await;
    assert_eq!(code(&world.again(&start).await), "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS");
    assert_eq!(world.status(A).await, "TERMINATED");
}

#[tokio::test]
async fn zones_available_are_those_that_have_and_answer() {
    let world = World::new().await;
    let available = async || {
        let operation = world.accepted(&format!("{A}/start"), "").await;
        world.pass(100).await;
        zones_available(&world.again(&operation).await).clone()
    };
    world.emulator.set_stock_out(ZONE, true).unwrap();
    assert_eq!(available().await, "us-central1-b,us-central1-c");
    world.emulator.change_zone("us-central1-b", |faults| faults.gone = true).unwrap();
    assert_eq!(available().await, "us-central1-c");
    world.emulator.change_zone("us-central1-c", |faults| faults.late_success = Some(Duration::ZERO)).unwrap();
    assert_eq!(available().await, "");
}

#[tokio::test]
async fn every_call_about_a_zone_that_is_gone_is_answered_with_503() {
    let world = World::running().await;
    let operation = world.accepted(&format!("{A}/setLabels"), &labels(&world).await).await;
    let operation = format!("zones/{ZONE}/operations/{}", operation["name"].as_str().unwrap());
    world.gone(true);
    assert_eq!(world.emulator.gone_zones(), [ZONE]);
    for path in
        [A, &operation, "zones/us-central1-a", "zones/us-central1-a/instances", "zones/us-central1-a/operations"]
    {
        let (status, refused, _) = reason(world.get(path).await);
        assert_eq!((status, refused.as_str()), (503, "backendError"), "{path}");
    }
    for verb in ["start", "stop", "reset", "detachDisk?deviceName=main-data", "attachDisk?forceAttach=true"] {
        assert_eq!(world.refused(&format!("{A}/{verb}"), "").await.0, 503, "{verb}");
    }
    assert_eq!(world.refused(&format!("{operation}/wait"), "").await.0, 503);
    assert_eq!(world.status(B).await, "TERMINATED", "another zone answers");
    assert_eq!(world.get("regions/us-central1/disks/main-data").await.0, 200, "and so does the region");
    let (_, zones) = world.get("zones").await;
    let status = |at: usize| zones["items"][at]["status"].clone();
    assert_eq!((status(0), status(1)), (json!("DOWN"), json!("UP")));

    world.gone(false);
    assert_eq!(world.status(A).await, "RUNNING", "nothing has become of it");
    assert_eq!(world.machines.told_at_least(1).await.len(), 1, "its machine was left alone");
    assert_eq!(world.get(&operation).await.0, 200);
}

async fn labels(world: &World) -> String {
    json!({"labels": {}, "labelFingerprint": world.instance(A).await["labelFingerprint"]}).to_string()
}

#[tokio::test]
async fn a_list_over_all_zones_says_which_it_could_not_reach() {
    let world = World::running().await;
    world.gone(true);
    for what in ["instances", "operations"] {
        let (status, list) = world.get(&format!("aggregated/{what}")).await;
        assert_eq!(status, 200, "{list}");
        let scope = &list["items"]["zones/us-central1-a"];
        assert_eq!((&scope["warning"]["code"], scope.get(what)), (&json!("UNREACHABLE"), None), "{list}");
        assert_eq!(list["items"]["zones/us-central1-c"]["warning"]["code"], "NO_RESULTS_ON_PAGE");
    }
    let (_, list) = world.get("aggregated/instances").await;
    assert_eq!(list["items"]["zones/us-central1-b"]["instances"][0]["name"], "main-b");
}

#[tokio::test]
async fn what_is_under_way_in_a_zone_that_is_gone_goes_on() {
    let world = World::new().await;
    let start = world.accepted(&format!("{A}/start"), "").await;
    world.gone(true);
    world.pass(12).await;
    let told = world.machines.told_at_least(1).await;
    assert!(matches!(&told[0], PowerChange::On(facts) if facts.instance == "main-a"));
    world.gone(false);
    assert_eq!(world.again(&start).await["status"], "DONE");
    assert_eq!(world.emulator.gone_zones(), Vec::<String>::new());
}

#[tokio::test]
async fn a_zone_that_is_not_there_cannot_be_gone() {
    let world = World::new().await;
    let refused = world.emulator.change_zone("mars1-a", |faults| faults.gone = true);
    assert_eq!(refused, Err(FaultRefused::UnknownZone));
    assert_eq!(world.emulator.gone_zones(), Vec::<String>::new());
}
