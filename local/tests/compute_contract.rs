//! The contract of `Compute`, kept by the client that runs in production against the pocket cloud's Compute Engine. The
//! same suite holds the fake in memory, so a test that uses the fake tests what the emulator does.

#[path = "compute_contract/recorded.rs"]
mod recorded;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use compute_emulator::{Config, Emulator, InstanceSpec, RecordingMachines, RegionalDiskSpec, Timings};
use domain::{Timestamp, Workspace};
use platform::clock::ManualClock;
use platform::compute::google::{GoogleCompute, GoogleComputeConfig};
use platform::compute::{Compute, WORKSPACE_LABEL};
use platform::contract::compute::{ComputeHarness, compute_contract, compute_contract_workspace};
use platform::contract::permissions;

use crate::recorded::{Record, Recorded, Wire};

/// Longer than anything in the emulator's timings takes.
const EVERYTHING: Duration = Duration::from_secs(3600);
/// From the word that there is no machine to the machine: not within the settling that brings the word.
const LATE: Duration = Duration::from_secs(3600);

struct Harness {
    emulator: Emulator,
    clock: ManualClock,
    compute: Recorded,
}

impl Harness {
    async fn new(record: Record) -> Self {
        let clock = ManualClock::at(Timestamp::from_seconds(1_763_800_000));
        let config = cloud_of(&compute_contract_workspace());
        let machines = Arc::new(RecordingMachines::default());
        let emulator = Emulator::start(config, Arc::new(clock.clone()), machines).await.expect("an emulator");
        let wire = Wire::to(emulator.endpoint()).await;
        let compute = GoogleCompute::new(GoogleComputeConfig {
            project: "local".to_owned(),
            endpoint: Some(wire.url()),
            anonymous: true,
            call_limit: Duration::from_secs(20),
        });
        Self { emulator, clock, compute: Recorded::new(compute, wire, record) }
    }
}

/// A project that holds the workspace's instances and its disk, at the first of them.
fn cloud_of(workspace: &Workspace) -> Config {
    let label = BTreeMap::from([(WORKSPACE_LABEL.to_owned(), workspace.id.to_string())]);
    let instances = workspace.placements.iter().map(|placement| InstanceSpec {
        name: placement.instance.clone(),
        zone: placement.zone.clone(),
        labels: label.clone(),
        ..InstanceSpec::default()
    });
    let zones = ["us-central1-a", "us-central1-b"].map(str::to_owned);
    let disks = workspace.disk.iter().map(|name| RegionalDiskSpec {
        name: name.clone(),
        region: "us-central1".to_owned(),
        zones: zones.clone(),
        size_gb: 200,
        attached_to: workspace.placements.first().map(|placement| placement.instance.clone()),
    });
    Config {
        project: "local".to_owned(),
        project_number: 1,
        zones: zones.to_vec(),
        instances: instances.collect(),
        disks: disks.collect(),
        timings: Timings::default(),
        service_account: "lifecycle@local.iam.gserviceaccount.com".to_owned(),
        seed: 1,
    }
}

#[async_trait]
impl ComputeHarness for Harness {
    fn compute(&self) -> &dyn Compute {
        &self.compute
    }

    async fn settle(&self) {
        self.clock.advance(EVERYTHING);
    }

    async fn set_dry(&self, zone: &str, dry: bool) {
        self.emulator.set_stock_out(zone, dry).expect("a zone of the project");
    }

    async fn set_late(&self, zone: &str, late: bool) {
        let after = late.then_some(LATE);
        self.emulator.change_zone(zone, |faults| faults.late_success = after).expect("a zone of the project");
    }

    async fn set_gone(&self, zone: &str, gone: bool) {
        self.emulator.change_zone(zone, |faults| faults.gone = gone).expect("a zone of the project");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_production_client_keeps_the_contract_against_the_emulator() {
    let limit = Duration::from_secs(120);
    let record = Record::default();
    let contract = compute_contract(async || Harness::new(Arc::clone(&record)).await);
    tokio::time::timeout(limit, contract).await.expect("the contract within its time limit");
    // The suite takes every way through the client, so this is all that it ever asks for.
    let made = record.lock().expect("nobody holds it any more").clone();
    assert_eq!(
        made,
        permissions::of_traits(&["Compute"]),
        "permissions.json, by which the functions' rights are given"
    );
}
