//! The regional disk: seen, detached, attached, taken by force.

use serde_json::{Value, json};

use crate::world::{A, B, World, reason};

const DISK: &str = "regions/us-central1/disks/main-data";

fn attach(source: &str) -> String {
    json!({"source": source, "deviceName": "data", "mode": "READ_WRITE"}).to_string()
}

fn devices(instance: &Value) -> Vec<&str> {
    instance["disks"].as_array().unwrap().iter().map(|disk| disk["deviceName"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_regional_disk_shows_where_it_is_and_who_has_it() {
    let world = World::new().await;
    let (status, disk) = world.get(DISK).await;
    assert_eq!(status, 200);
    assert_eq!(disk["sizeGb"], "200");
    assert_eq!(disk["users"], json!([format!("https://www.googleapis.com/compute/v1/projects/p/{A}")]));
    assert_eq!(disk["replicaZones"].as_array().unwrap().len(), 2);
    let (_, listed) = world.get("regions/us-central1/disks").await;
    assert_eq!(listed["items"], json!([disk]));
    assert_eq!(reason(world.get("regions/us-central1/disks/other").await).1, "notFound");
    let instance = world.instance(A).await;
    assert_eq!(instance["disks"][1]["source"], disk["selfLink"]);
    assert_eq!(instance["disks"][0]["boot"], true);
}

#[tokio::test]
async fn a_disk_moves_from_one_stopped_instance_to_another() {
    let world = World::new().await;
    let detach = world.accepted(&format!("{A}/detachDisk?deviceName=main-data"), "").await;
    assert_eq!(devices(&world.instance(A).await), ["boot", "main-data"], "it takes until the operation's end");
    world.pass(4).await;
    assert_eq!(world.again(&detach).await["status"], "DONE");
    assert_eq!(devices(&world.instance(A).await), ["boot"]);
    let attach = world.accepted(&format!("{B}/attachDisk"), &attach(DISK)).await;
    world.pass(4).await;
    let attach = world.again(&attach).await;
    assert_eq!(attach["status"], "DONE");
    assert!(attach.get("error").is_none());
    assert_eq!(devices(&world.instance(B).await), ["boot", "data"]);
    let (_, disk) = world.get(DISK).await;
    assert!(disk["users"][0].as_str().unwrap().ends_with("main-b"));
    assert_eq!(disk["lastAttachTimestamp"], "2026-07-07T13:56:32.000-07:00");
}

#[tokio::test]
async fn a_disk_that_somebody_has_is_refused_inside_the_operation() {
    let world = World::new().await;
    let link = format!("https://compute.googleapis.com/compute/v1/projects/p/{DISK}");
    let operation = world.accepted(&format!("{B}/attachDisk"), &attach(&link)).await;
    world.pass(4).await;
    let operation = world.again(&operation).await;
    assert_eq!(operation["httpErrorStatusCode"], 400);
    let error = &operation["error"]["errors"][0];
    assert_eq!(error["code"], "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE");
    let told = format!("The disk resource 'projects/p/{DISK}' is already being used by 'projects/p/{A}'");
    assert_eq!(error["message"], told);
    assert_eq!(devices(&world.instance(A).await), ["boot", "main-data"]);
}

#[tokio::test]
async fn two_that_reach_for_a_free_disk_at_once_do_not_both_get_it() {
    let world = World::new().await;
    world.accepted(&format!("{A}/detachDisk?deviceName=main-data"), "").await;
    world.pass(4).await;
    let first = world.accepted(&format!("{A}/attachDisk"), &attach(DISK)).await;
    let second = world.accepted(&format!("{B}/attachDisk"), &attach(DISK)).await;
    world.pass(4).await;
    assert!(world.again(&first).await.get("error").is_none());
    let refused = world.again(&second).await;
    assert_eq!(refused["error"]["errors"][0]["code"], "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE");
    assert_eq!(devices(&world.instance(B).await), ["boot"]);
}

#[tokio::test]
async fn a_disk_is_taken_by_force() {
    let world = World::new().await;
    let operation = world.accepted(&format!("{B}/attachDisk?forceAttach=true"), &attach(DISK)).await;
    world.pass(4).await;
    assert!(world.again(&operation).await.get("error").is_none());
    assert_eq!(devices(&world.instance(A).await), ["boot"]);
    assert_eq!(devices(&world.instance(B).await), ["boot", "data"]);
}

#[tokio::test]
async fn a_disk_of_a_zone_that_is_gone_is_taken_by_force_alone() {
    let world = World::running().await;
    world.emulator.change_zone("us-central1-a", |faults| faults.gone = true).unwrap();
    let operation = world.accepted(&format!("{B}/attachDisk"), &attach(DISK)).await;
    world.pass(4).await;
    let refused = world.again(&operation).await;
    assert_eq!(refused["error"]["errors"][0]["code"], "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE");
    assert_eq!(devices(&world.instance(B).await), ["boot"]);

    world.accepted(&format!("{B}/attachDisk?forceAttach=true"), &attach(DISK)).await;
    world.pass(4).await;
    assert_eq!(devices(&world.instance(B).await), ["boot", "data"]);
    let (_, disk) = world.get(DISK).await;
    assert_eq!(disk["users"], json!([format!("https://www.googleapis.com/compute/v1/projects/p/{B}")]));
    world.emulator.change_zone("us-central1-a", |faults| faults.gone = false).unwrap();
    let back = world.instance(A).await;
    assert_eq!((devices(&back), &back["status"]), (vec!["boot"], &json!("RUNNING")), "it runs on without its disk");
}

#[tokio::test]
async fn force_is_for_regional_disks_that_another_has() {
    let world = World::new().await;
    let forced = format!("{B}/attachDisk?forceAttach=true");
    let (status, reason, message) = world.refused(&forced, &attach("zones/us-central1-b/disks/main-b")).await;
    assert_eq!((status, reason.as_str()), (400, "invalid"));
    assert!(message.contains("forceAttach") && message.contains("regional"), "{message}");
    let again = world.accepted(&format!("{A}/attachDisk?forceAttach=true"), &attach(DISK)).await;
    world.pass(4).await;
    let again = world.again(&again).await;
    assert_eq!(again["error"]["errors"][0]["code"], "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "it has it already");
    assert_eq!(devices(&world.instance(A).await), ["boot", "main-data"]);
    let unforced = world.accepted(&format!("{B}/attachDisk?forceAttach=false"), &attach(DISK)).await;
    world.pass(4).await;
    assert_eq!(world.again(&unforced).await["httpErrorStatusCode"], 400);
}

#[tokio::test]
async fn a_disk_is_detached_from_an_instance_that_runs_on() {
    let world = World::running().await;
    let detach = world.accepted(&format!("{A}/detachDisk?deviceName=main-data"), "").await;
    world.pass(4).await;
    assert!(world.again(&detach).await.get("error").is_none());
    let instance = world.instance(A).await;
    assert_eq!((devices(&instance), &instance["status"]), (vec!["boot"], &json!("RUNNING")));
    let late = world.accepted(&format!("{A}/attachDisk"), &attach(DISK)).await;
    world.pass(4).await;
    assert!(world.again(&late).await.get("error").is_none());
    assert_eq!(devices(&world.instance(A).await), ["boot", "data"]);
}

#[tokio::test]
async fn a_disk_that_cannot_be_there_is_refused_at_once() {
    let world = World::new().await;
    let call = format!("{B}/attachDisk");
    assert_eq!(world.refused(&call, &attach("regions/us-central1/disks/other")).await.1, "notFound");
    assert_eq!(world.refused(&call, &attach("zones/us-central1-b/disks/zonal")).await.1, "notFound");
    assert_eq!(world.refused(&call, &attach("main-data")).await.1, "invalid");
    assert_eq!(world.refused(&call, &json!({"source": DISK, "mode": "APPEND"}).to_string()).await.1, "invalid");
    let (status, reason, message) = world.refused(&format!("{A}/detachDisk?deviceName=none"), "").await;
    assert_eq!((status, reason.as_str()), (400, "invalid"));
    assert!(message.contains("'none'"), "{message}");
}

#[tokio::test]
async fn disks_are_not_changed_while_an_instance_is_between_states() {
    let world = World::running().await;
    world.accepted(&format!("{A}/stop"), "").await;
    let (status, reason, _) = world.refused(&format!("{A}/detachDisk?deviceName=main-data"), "").await;
    assert_eq!((status, reason.as_str()), (400, "resourceNotReady"));
}
