//! Start, stop, reset, stock-out and quota: states and their times.

use std::time::Duration;

use compute_emulator::{ApiFaults, PowerChange};
use serde_json::json;

use crate::world::{A, B, World};

#[tokio::test]
async fn a_start_goes_through_provisioning_and_staging_to_running() {
    let world = World::new().await;
    let operation = world.accepted(&format!("{A}/start"), "").await;
    assert_eq!(operation["status"], "PENDING");
    assert_eq!(operation["operationType"], "start");
    let instance = world.instance(A).await;
    assert_eq!(instance["status"], "PROVISIONING");
    assert_eq!(instance["cpuPlatform"], "Unknown CPU Platform");
    world.pass(8).await;
    assert_eq!(world.status(A).await, "STAGING");
    assert_eq!(world.again(&operation).await["status"], "RUNNING");
    world.pass(3).await;
    assert_eq!(world.status(A).await, "STAGING");
    world.pass(1).await;
    let instance = world.instance(A).await;
    assert_eq!(instance["status"], "RUNNING");
    assert_eq!(instance["lastStartTimestamp"], "2026-07-07T13:56:36.000-07:00");
    let operation = world.again(&operation).await;
    assert_eq!((&operation["status"], &operation["progress"]), (&json!("DONE"), &json!(100)));
    assert!(operation.get("error").is_none());
}

#[tokio::test]
async fn the_external_address_is_there_only_while_the_instance_is_up() {
    let world = World::new().await;
    let address = |instance: &serde_json::Value| instance["networkInterfaces"][0]["accessConfigs"][0]["natIP"].clone();
    assert!(address(&world.instance(A).await).is_null());
    world.accepted(&format!("{A}/start"), "").await;
    assert!(address(&world.instance(A).await).is_null());
    world.pass(12).await;
    assert_eq!(address(&world.instance(A).await), "203.0.113.7");
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(40).await;
    let stopped = world.instance(A).await;
    assert!(address(&stopped).is_null());
    assert!(stopped["networkInterfaces"][0]["networkIP"].is_string(), "the internal address stays");
    assert_eq!(stopped["lastStopTimestamp"], "2026-07-07T13:57:16.000-07:00");
}

#[tokio::test]
async fn a_stop_is_told_done_before_the_instance_is_terminated() {
    let world = World::running().await;
    let operation = world.accepted(&format!("{A}/stop"), "{}").await;
    assert_eq!(world.status(A).await, "STOPPING");
    world.pass(38).await;
    assert_eq!(world.again(&operation).await["status"], "DONE");
    assert_eq!(world.status(A).await, "STOPPING");
    world.pass(2).await;
    assert_eq!(world.status(A).await, "TERMINATED");
}

#[tokio::test]
async fn stopping_what_is_stopped_and_starting_what_runs_change_nothing() {
    let world = World::running().await;
    let before = world.instance(A).await;
    let start = world.accepted(&format!("{A}/start"), "").await;
    world.pass(2).await;
    assert_eq!(world.again(&start).await["status"], "DONE");
    assert_eq!(world.instance(A).await, before);
    let stop = world.accepted(&format!("{B}/stop"), "").await;
    world.pass(2).await;
    let stop = world.again(&stop).await;
    assert_eq!(stop["status"], "DONE");
    assert!(stop.get("error").is_none());
    assert_eq!(world.status(B).await, "TERMINATED");
    assert_eq!(world.machines.told_at_least(1).await.len(), 1, "only the first start switched a machine on");
}

#[tokio::test]
async fn starting_what_is_stopping_is_refused_and_stopping_it_again_is_not() {
    let world = World::running().await;
    world.accepted(&format!("{A}/stop"), "").await;
    let (status, reason, message) = world.refused(&format!("{A}/start"), "").await;
    assert_eq!((status, reason.as_str()), (400, "resourceNotReady"));
    assert_eq!(message, "The resource 'projects/p/zones/us-central1-a/instances/main-a' is not ready");
    world.pass(20).await;
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(20).await;
    assert_eq!(world.status(A).await, "TERMINATED", "the second stop did not begin anew");
}

#[tokio::test]
async fn a_stop_while_provisioning_keeps_the_instance_from_running() {
    let world = World::new().await;
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(5).await;
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(10).await;
    assert_eq!(world.status(A).await, "STOPPING");
    world.pass(30).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    assert_eq!(world.machines.told(), []);
}

#[tokio::test]
async fn a_dry_zone_is_told_inside_a_done_operation_of_a_call_that_answered_200() {
    let world = World::new().await;
    world.emulator.set_stock_out("us-central1-a", true).unwrap();
    let operation = world.accepted(&format!("{A}/start"), "").await;
    world.pass(94).await;
    assert_eq!(world.status(A).await, "PROVISIONING");
    assert_eq!(world.again(&operation).await["status"], "RUNNING");
    world.pass(1).await;
    assert_eq!(world.status(A).await, "STOPPING");
    world.pass(5).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    let operation = world.again(&operation).await;
    assert_eq!(operation["status"], "DONE");
    assert_eq!(operation["httpErrorStatusCode"], 503);
    assert_eq!(operation["httpErrorMessage"], "SERVICE UNAVAILABLE");
    let error = &operation["error"]["errors"][0];
    assert_eq!(error["code"], "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS");
    assert_eq!(
        error["message"],
        "The zone 'projects/p/zones/us-central1-a' does not have enough resources available to fulfill the request.  \
         '(resource type:compute)'."
    );
    let info = &error["errorDetails"][2]["errorInfo"];
    assert_eq!(info["reason"], "resource_availability");
    assert_eq!(info["domain"], "compute.googleapis.com");
    let expected = json!({"vmType": "g2-standard-4", "attachment": "nvidia-l4:1", "zone": "us-central1-a",
        "zonesAvailable": "us-central1-b,us-central1-c"});
    assert_eq!(info["metadatas"], expected);
    assert_eq!(world.machines.told(), [], "nothing was switched on");

    world.emulator.set_stock_out("us-central1-a", false).unwrap();
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(12).await;
    assert_eq!(world.status(A).await, "RUNNING");
}

#[tokio::test]
async fn a_quota_is_told_inside_the_operation_too() {
    let world = World::new().await;
    world.emulator.set_api_faults(ApiFaults { quota_exceeded: true, ..ApiFaults::default() });
    let operation = world.accepted(&format!("{A}/start"), "").await;
    world.pass(2).await;
    let operation = world.again(&operation).await;
    assert_eq!(operation["httpErrorStatusCode"], 403);
    assert_eq!(operation["httpErrorMessage"], "FORBIDDEN");
    let error = &operation["error"]["errors"][0];
    assert_eq!(error["code"], "QUOTA_EXCEEDED");
    assert_eq!(error["errorDetails"][0]["quotaInfo"]["limit"], 0.0);
    assert_eq!(world.status(A).await, "TERMINATED");
}

#[tokio::test]
async fn a_machine_is_switched_on_and_off_with_its_instance() {
    let world = World::running().await;
    world.accepted(&format!("{A}/stop"), "").await;
    let told = world.machines.told_at_least(2).await;
    let [PowerChange::On(facts), off] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((facts.instance.as_str(), facts.boot), ("main-a", 1));
    assert_eq!(facts.disks, ["main-data"]);
    assert_eq!(Some(&facts.metadata_url), world.emulator.instance_metadata_base("main-a").as_ref());
    assert_eq!(facts.id.to_string(), world.instance(A).await["id"].as_str().unwrap());
    assert_eq!(*off, PowerChange::Off { instance: "main-a".into(), grace: Duration::from_secs(40) });
}

#[tokio::test]
async fn a_reset_pulls_the_plug_while_the_instance_reads_running() {
    let world = World::running().await;
    world.machines.told_at_least(1).await;
    world.accepted(&format!("{A}/reset"), "").await;
    assert_eq!(world.status(A).await, "RUNNING");
    let told = world.machines.told_at_least(3).await;
    assert_eq!(told[1], PowerChange::Off { instance: "main-a".into(), grace: Duration::ZERO });
    assert!(matches!(&told[2], PowerChange::On(facts) if facts.boot == 2), "{told:?}");
    let (status, reason, _) = world.refused(&format!("{B}/reset"), "").await;
    assert_eq!((status, reason.as_str()), (400, "resourceNotReady"));
}

#[tokio::test]
async fn machines_are_switched_off_when_the_cloud_is_shut_down() {
    let world = World::running().await;
    world.machines.told_at_least(1).await;
    let machines = world.machines.clone();
    world.emulator.shutdown().await;
    assert_eq!(machines.told()[1], PowerChange::Off { instance: "main-a".into(), grace: Duration::ZERO });
}
