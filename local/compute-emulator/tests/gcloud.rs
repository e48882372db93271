//! The real `gcloud compute` command against the emulator, on a clock that runs fast.
//!
//! Each command costs more than a second, so one test goes through all of them in the order a person would.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "a test that could not run has to say so")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use compute_emulator::{Config, Emulator, InstanceSpec, RecordingMachines, RegionalDiskSpec};
use platform::clock::{Clock as _, ScaledClock, SystemClock};
use serde_json::{Value, json};
use tokio::process::Command;

/// Twelve seconds of booting pass in a fifth of one.
const CLOCK_RATE: f64 = 60.0;
/// One command, on a busy machine.
const COMMAND_MAX: Duration = Duration::from_secs(60);

struct Gcloud {
    program: PathBuf,
    settings: tempfile::TempDir,
    compute: String,
}

impl Gcloud {
    async fn run(&self, arguments: &str) -> Output {
        let command = Command::new(&self.program)
            .arg("compute")
            .args(arguments.split(' '))
            .args(["--quiet", "--format=json"])
            .env("CLOUDSDK_CONFIG", self.settings.path())
            .env("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
            .env("CLOUDSDK_CORE_DISABLE_PROMPTS", "1")
            .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
            .env("CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true")
            .env("CLOUDSDK_CORE_PROJECT", "local")
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", &self.compute)
            .env("NO_PROXY", "127.0.0.1")
            .kill_on_drop(true)
            .output();
        tokio::time::timeout(COMMAND_MAX, command).await.unwrap().unwrap()
    }

    /// What a command that works prints.
    async fn json(&self, arguments: &str) -> Value {
        let output = self.run(arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gcloud compute {arguments}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| json!(said))
    }

    /// What a command that fails says, on one line.
    async fn refusal(&self, arguments: &str) -> String {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "gcloud compute {arguments} succeeded");
        let said = String::from_utf8_lossy(&output.stderr);
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn config() -> Config {
    let instance = |name: &str, zone: &str| InstanceSpec {
        name: name.into(),
        zone: zone.into(),
        labels: BTreeMap::from([("pilotlight".into(), "main".into())]),
        address: "203.0.113.7".into(),
        ..InstanceSpec::default()
    };
    Config {
        project: "local".into(),
        project_number: 123_456_789_012,
        zones: vec!["us-central1-a".into(), "us-central1-b".into()],
        instances: vec![instance("main-a", "us-central1-a"), instance("main-b", "us-central1-b")],
        disks: vec![RegionalDiskSpec {
            name: "main-data".into(),
            region: "us-central1".into(),
            zones: ["us-central1-a".into(), "us-central1-b".into()],
            size_gb: 200,
            attached_to: Some("main-a".into()),
        }],
        ..Config::default()
    }
}

/// Where gcloud is; loudly nothing, which only a machine that is not a CI's may be content with.
fn gcloud() -> Option<PathBuf> {
    let found = std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join("gcloud"))
        .find(|program| Path::is_file(program));
    if found.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "gcloud is not installed, and CI must not skip it");
        println!("NOT TESTED: gcloud is not installed, so nobody knows whether it works with the emulator.");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn gcloud_does_with_the_emulator_what_it_does_with_google() {
    let Some(program) = gcloud() else { return };
    let clock = Arc::new(ScaledClock::new(SystemClock.now(), CLOCK_RATE));
    let machines = RecordingMachines::default();
    let emulator = Emulator::start(config(), clock, Arc::new(machines.clone())).await.unwrap();
    let gcloud = Gcloud { program, settings: tempfile::tempdir().unwrap(), compute: emulator.compute_base() };

    looks_around(&gcloud).await;
    starts_and_reads_a_stock_out(&gcloud, &emulator).await;
    changes_settings(&gcloud).await;
    stops_and_moves_the_disk(&gcloud).await;
    takes_the_disk_by_force(&gcloud, &emulator).await;
    lists_operations(&gcloud).await;

    assert_eq!(machines.told_at_least(2).await.len(), 2, "the machine was switched on and off once");
    emulator.shutdown().await;
}

async fn looks_around(gcloud: &Gcloud) {
    let listed = gcloud.json("instances list").await;
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|instance| instance["name"].clone()).collect();
    assert_eq!(names, ["main-a", "main-b"]);
    let listed = gcloud.json("instances list --filter=name=main-b").await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["name"], "main-b");
    let described = gcloud.json("instances describe main-a --zone=us-central1-a").await;
    assert_eq!(described["status"], "TERMINATED");
    assert_eq!(described["disks"][1]["deviceName"], "main-data");
    let refusal = gcloud.refusal("instances describe main-c --zone=us-central1-a").await;
    assert!(refusal.contains("'projects/local/zones/us-central1-a/instances/main-c' was not found"), "{refusal}");
}

async fn starts_and_reads_a_stock_out(gcloud: &Gcloud, emulator: &Emulator) {
    emulator.set_stock_out("us-central1-b", true).unwrap();
    let refusal = gcloud.refusal("instances start main-b --zone=us-central1-b").await;
    assert!(refusal.contains("ZONE_RESOURCE_POOL_EXHAUSTED"), "{refusal}");
    assert!(refusal.contains("does not have enough resources available"), "{refusal}");
    emulator.set_stock_out("us-central1-b", false).unwrap();

    gcloud.json("instances start main-a --zone=us-central1-a").await;
    let described = gcloud.json("instances describe main-a --zone=us-central1-a").await;
    assert_eq!(described["status"], "RUNNING");
    assert_eq!(described["networkInterfaces"][0]["accessConfigs"][0]["natIP"], "203.0.113.7");
}

async fn changes_settings(gcloud: &Gcloud) {
    gcloud.json("instances add-metadata main-a --zone=us-central1-a --metadata=lease=7,colour=blue").await;
    let described = gcloud.json("instances describe main-a --zone=us-central1-a").await;
    let items = described["metadata"]["items"].as_array().unwrap();
    assert!(items.contains(&json!({"key": "lease", "value": "7"})), "{items:?}");
    assert!(items.contains(&json!({"key": "colour", "value": "blue"})), "{items:?}");
}

async fn stops_and_moves_the_disk(gcloud: &Gcloud) {
    let attach =
        "instances attach-disk main-b --zone=us-central1-b --disk=main-data --disk-scope=regional --device-name=data";
    let refusal = gcloud.refusal(attach).await;
    assert!(refusal.contains("is already being used by"), "{refusal}");

    gcloud.json("instances stop main-a --zone=us-central1-a").await;
    until_terminated(gcloud, "main-a").await;
    gcloud.json("instances detach-disk main-a --zone=us-central1-a --disk=main-data --disk-scope=regional").await;
    gcloud.json(attach).await;
    let described = gcloud.json("instances describe main-b --zone=us-central1-b").await;
    assert_eq!(described["disks"][1]["deviceName"], "data");
    let disk = gcloud.json("disks describe main-data --region=us-central1").await;
    let users = disk["users"].as_array().unwrap();
    assert_eq!(users.len(), 1);
    assert!(users[0].as_str().unwrap().ends_with("zones/us-central1-b/instances/main-b"));
}

/// `main-b` has the disk; its zone is gone.
async fn takes_the_disk_by_force(gcloud: &Gcloud, emulator: &Emulator) {
    emulator.change_zone("us-central1-b", |faults| faults.gone = true).unwrap();
    let attach = "instances attach-disk main-a --zone=us-central1-a --disk=main-data --disk-scope=regional";
    let refusal = gcloud.refusal(attach).await;
    assert!(refusal.contains("is already being used by"), "{refusal}");
    gcloud.json(&format!("{attach} --force-attach")).await;
    let described = gcloud.json("instances describe main-a --zone=us-central1-a").await;
    assert!(described["disks"][1]["source"].as_str().unwrap().ends_with("regions/us-central1/disks/main-data"));
    emulator.change_zone("us-central1-b", |faults| faults.gone = false).unwrap();
    let described = gcloud.json("instances describe main-b --zone=us-central1-b").await;
    assert_eq!(described["disks"].as_array().unwrap().len(), 1, "it was taken");
}

/// A stop's operation is DONE a little before the instance is TERMINATED: asking again is right, sleeping is not needed.
async fn until_terminated(gcloud: &Gcloud, name: &str) {
    for _ in 0..5 {
        let described = gcloud.json(&format!("instances describe {name} --zone=us-central1-a")).await;
        if described["status"] == "TERMINATED" {
            return;
        }
    }
    panic!("{name} was not TERMINATED after five looks");
}

async fn lists_operations(gcloud: &Gcloud) {
    let listed = gcloud.json("operations list").await;
    let listed = listed.as_array().unwrap();
    let of = |kind: &str| listed.iter().filter(|operation| operation["operationType"] == kind).count();
    assert_eq!((of("start"), of("stop"), of("setMetadata")), (2, 1, 1));
    assert_eq!((of("attachDisk"), of("detachDisk")), (4, 1));
    let failed =
        |operation: &&Value| operation["error"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS";
    let dry = listed.iter().find(failed).unwrap();
    assert_eq!(dry["status"], "DONE");
    let name = dry["name"].as_str().unwrap();
    let described = gcloud.json(&format!("operations describe {name} --zone=us-central1-b")).await;
    assert_eq!(described["httpErrorStatusCode"], 503);
}
