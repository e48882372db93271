//! What happens without anybody asking: preemption, power off, host error, the end of the run; and the audit log.

use std::collections::BTreeSet;

use compute_emulator::{FaultRefused, PowerChange};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use crate::world::{A, B, World};

/// Everything logged so far, by method and which of the call's entries it is.
fn logged(log: &mut Receiver<Value>) -> Vec<Value> {
    std::iter::from_fn(|| log.try_recv().ok()).collect()
}

fn methods(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["protoPayload"]["methodName"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_preemption_is_announced_in_the_metadata_before_it_happens() {
    let world = World::new().await;
    world.accepted(&format!("{B}/start"), "").await;
    world.pass(12).await;
    assert_eq!(world.status(B).await, "RUNNING");
    let mut log = world.emulator.log_entries();
    world.emulator.preempt("main-b").unwrap();
    let base = world.emulator.instance_metadata_base("main-b").unwrap();
    let asked = world.http.get(format!("{base}/computeMetadata/v1/instance/preempted"));
    let told = asked.header("Metadata-Flavor", "Google").send().await.unwrap().text().await.unwrap();
    assert_eq!(told, "TRUE");
    assert_eq!(world.status(B).await, "RUNNING");
    world.pass(30).await;
    assert_eq!(world.status(B).await, "STOPPING");
    world.pass(40).await;
    assert_eq!(world.status(B).await, "TERMINATED");
    let entries = logged(&mut log);
    assert_eq!(methods(&entries), ["compute.instances.preempted"]);
    let entry = &entries[0];
    assert_eq!(entry["logName"], "projects/p/logs/cloudaudit.googleapis.com%2Fsystem_event");
    assert_eq!(entry["severity"], "INFO");
    assert_eq!(entry["protoPayload"]["status"]["message"], "Instance was preempted.");
    assert_eq!(entry["protoPayload"]["resourceName"], format!("projects/p/{B}"));
    assert_eq!(entry["resource"]["labels"]["instance_id"], world.instance(B).await["id"]);
    let operation = entry["operation"]["id"].as_str().unwrap();
    assert!(operation.starts_with("systemevent-"), "{operation}");
    let (status, found) = world.get(&format!("zones/us-central1-b/operations/{operation}")).await;
    assert_eq!((status, &found["operationType"]), (200, &json!("compute.instances.preempted")));
    assert_eq!((&found["user"], &found["status"]), (&json!("system"), &json!("DONE")));
}

#[tokio::test]
async fn a_stop_in_the_preemption_window_comes_first() {
    let world = World::running().await;
    let mut log = world.emulator.log_entries();
    world.emulator.preempt("main-a").unwrap();
    world.pass(10).await;
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(60).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    assert!(!methods(&logged(&mut log)).contains(&"compute.instances.preempted"));
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(12).await;
    assert_eq!(world.metadata("instance/preempted").await, (200, "FALSE".into()), "the next life begins afresh");
}

#[tokio::test]
async fn a_guest_that_switches_itself_off_stops_its_instance() {
    let world = World::running().await;
    let mut log = world.emulator.log_entries();
    world.emulator.guest_poweroff("main-a").unwrap();
    assert_eq!(world.status(A).await, "STOPPING");
    assert_eq!(world.emulator.guest_poweroff("main-a"), Err(FaultRefused::NotRunning));
    world.pass(40).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    let entries = logged(&mut log);
    assert_eq!(methods(&entries), ["compute.instances.guestTerminate"]);
    assert_eq!(entries[0]["protoPayload"]["status"]["message"], "Instance terminated by guest OS shutdown.");
    assert_eq!(entries[0]["operation"]["first"], true);
    assert_eq!(entries[0]["operation"]["last"], true);
}

#[tokio::test]
async fn a_host_error_takes_the_machine_away_and_brings_a_standard_one_back() {
    let world = World::running().await;
    world.machines.told_at_least(1).await;
    let mut log = world.emulator.log_entries();
    world.emulator.host_error("main-a").unwrap();
    world.pass(40).await;
    assert_eq!(world.status(A).await, "TERMINATED");
    let told = world.machines.told_at_least(2).await;
    assert!(matches!(&told[1], PowerChange::Off { grace, .. } if grace.is_zero()), "{told:?}");
    world.pass(60).await;
    assert_eq!(world.status(A).await, "PROVISIONING");
    world.pass(12).await;
    assert_eq!(world.status(A).await, "RUNNING");
    assert_eq!(methods(&logged(&mut log)), ["compute.instances.hostError", "compute.instances.automaticRestart"]);
}

#[tokio::test]
async fn an_instance_that_was_stopped_after_a_host_error_is_not_brought_back() {
    let world = World::running().await;
    world.emulator.host_error("main-a").unwrap();
    world.pass(40).await;
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(3600).await;
    assert_eq!(world.status(A).await, "TERMINATED");
}

#[tokio::test]
async fn an_instance_stops_by_itself_when_its_longest_run_is_over() {
    let world = World::running().await;
    let mut log = world.emulator.log_entries();
    let ends = world.instance(A).await["resourceStatus"]["scheduling"]["terminationTimestamp"].clone();
    assert_eq!(ends, "2026-07-07T14:56:36.000-07:00");
    world.pass(3599).await;
    assert_eq!(world.status(A).await, "RUNNING");
    world.pass(1).await;
    assert_eq!(world.status(A).await, "STOPPING");
    world.pass(40).await;
    let stopped = world.instance(A).await;
    assert_eq!(stopped["status"], "TERMINATED");
    assert!(stopped["resourceStatus"]["scheduling"].get("terminationTimestamp").is_none());
    assert_eq!(methods(&logged(&mut log)), ["compute.instances.deferredStop"]);
}

#[tokio::test]
async fn the_longest_run_counts_anew_from_each_start() {
    let world = World::running().await;
    world.pass(3000).await;
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(40).await;
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(12).await;
    world.pass(3000).await;
    assert_eq!(world.status(A).await, "RUNNING", "the first life's end does not end the second");
    world.pass(600).await;
    assert_eq!(world.status(A).await, "STOPPING");
}

#[tokio::test]
async fn a_clock_that_jumps_leaves_everything_done_at_its_own_moment() {
    let world = World::new().await;
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(24 * 3600).await;
    let instance = world.instance(A).await;
    assert_eq!(instance["status"], "TERMINATED");
    assert_eq!(instance["lastStartTimestamp"], "2026-07-07T13:56:36.000-07:00");
    assert_eq!(instance["lastStopTimestamp"], "2026-07-07T14:57:16.000-07:00");
}

#[tokio::test]
async fn a_call_is_logged_when_it_begins_and_when_it_ends() {
    let world = World::new().await;
    let mut log = world.emulator.log_entries();
    let operation = world.accepted(&format!("{A}/start"), "").await;
    world.pass(12).await;
    world.status(A).await;
    let entries = logged(&mut log);
    assert_eq!(methods(&entries), ["v1.compute.instances.start", "v1.compute.instances.start"]);
    assert_eq!(entries[0]["operation"]["first"], true);
    assert!(entries[0]["operation"].get("last").is_none());
    assert_eq!(entries[1]["operation"]["last"], true);
    assert_eq!(entries[1]["operation"]["id"], operation["name"]);
    assert_eq!(entries[1]["severity"], "NOTICE");
    assert_eq!(entries[1]["logName"], "projects/p/logs/cloudaudit.googleapis.com%2Factivity");
    assert_eq!(entries[1]["timestamp"], "2026-07-07T20:56:36.000Z");
}

#[tokio::test]
async fn a_failed_start_is_logged_as_an_error_with_its_cause() {
    let world = World::new().await;
    let mut log = world.emulator.log_entries();
    world.emulator.set_stock_out("us-central1-a", true).unwrap();
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(100).await;
    world.status(A).await;
    let last = logged(&mut log).pop().unwrap();
    assert_eq!(last["severity"], "ERROR");
    let message = last["protoPayload"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("ZONE_RESOURCE_POOL_EXHAUSTED"), "{message}");
}

#[tokio::test]
async fn what_is_due_happens_although_nobody_asks() {
    let world = World::new().await;
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(12).await;
    let told = world.machines.told_at_least(1).await;
    assert!(matches!(&told[0], PowerChange::On(facts) if facts.instance == "main-a"));
}

/// Entries of the shape of real ones, which lifecycle's tests are fed with.
macro_rules! real {
    ($name:literal) => {
        include_str!(concat!("../../../../functions/lifecycle/tests/it/events/", $name, ".json"))
    };
}

/// What lifecycle reads of an entry.
const READ: [&str; 7] = [
    "/protoPayload/methodName",
    "/protoPayload/resourceName",
    "/resource/labels/instance_id",
    "/resource/labels/project_id",
    "/resource/labels/zone",
    "/severity",
    "/timestamp",
];

/// The paths to all values, but not into the request and the response: those have shapes of their own.
fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if !at.ends_with("/request") && !at.ends_with("/response") => {
            fields.iter().for_each(|(key, value)| paths(value, &format!("{at}/{key}"), found));
        }
        _ => drop(found.insert(at.to_owned())),
    }
}

fn has_the_shape_of(entry: &Value, real: &str) {
    let real: Value = serde_json::from_str(real).unwrap();
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    paths(entry, "", &mut ours);
    paths(&real, "", &mut theirs);
    let method = &entry["protoPayload"]["methodName"];
    assert_eq!(method, &real["protoPayload"]["methodName"]);
    assert_eq!(
        ours.difference(&theirs).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "{method}: Google sends no such key"
    );
    assert_eq!(
        READ.into_iter().filter(|path| !ours.contains(*path)).collect::<Vec<_>>(),
        Vec::<&str>::new(),
        "{method}"
    );
    for same in ["/severity", "/logName", "/resource/type", "/operation/first", "/operation/last"] {
        assert_eq!(entry.pointer(same), real.pointer(same), "{method}: {same}");
    }
}

#[tokio::test]
async fn what_is_logged_has_the_shape_of_the_real_entries() {
    let world = World::new().await;
    let mut log = world.emulator.log_entries();
    world.emulator.set_stock_out("us-central1-a", true).unwrap();
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(100).await;
    world.emulator.set_stock_out("us-central1-a", false).unwrap();
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(12).await;
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(60).await;
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(12).await;
    world.emulator.guest_poweroff("main-a").unwrap();
    world.pass(60).await;
    world.accepted(&format!("{A}/start"), "").await;
    world.pass(12).await;
    world.emulator.host_error("main-a").unwrap();
    // It comes back by itself, and reaches the end of its longest run.
    world.pass(4000).await;
    world.accepted(&format!("{B}/start"), "").await;
    world.pass(12).await;
    world.emulator.preempt("main-b").unwrap();
    world.pass(100).await;
    assert_eq!(world.status(B).await, "TERMINATED");
    let entries = logged(&mut log);
    let logged = |method: &str, last: bool, severity: &str| {
        let fits = |entry: &&Value| {
            entry["protoPayload"]["methodName"] == method
                && entry["operation"].get("last").is_some() == last
                && entry["severity"] == severity
        };
        entries.iter().find(fits).unwrap_or_else(|| panic!("{method} in {:?}", methods(&entries)))
    };
    has_the_shape_of(logged("v1.compute.instances.start", true, "ERROR"), real!("start_stock_out"));
    has_the_shape_of(logged("v1.compute.instances.start", true, "NOTICE"), real!("start_over"));
    has_the_shape_of(logged("v1.compute.instances.stop", false, "NOTICE"), real!("stop_begun"));
    has_the_shape_of(logged("v1.compute.instances.stop", true, "NOTICE"), real!("stop_over"));
    has_the_shape_of(logged("compute.instances.guestTerminate", true, "INFO"), real!("guest_terminate"));
    has_the_shape_of(logged("compute.instances.hostError", true, "INFO"), real!("host_error"));
    has_the_shape_of(logged("compute.instances.automaticRestart", true, "INFO"), real!("automatic_restart"));
    has_the_shape_of(logged("compute.instances.deferredStop", true, "INFO"), real!("deferred_stop"));
    has_the_shape_of(logged("compute.instances.preempted", true, "INFO"), real!("preempted"));
}
