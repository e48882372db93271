//! Google's own client crate against the emulator: the calls that the production code makes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use compute_emulator::{ApiFaults, Config, Emulator, InstanceSpec, RecordingMachines, RegionalDiskSpec};
use google_cloud_auth::credentials::anonymous;
use google_cloud_compute_v1::client::{Instances, ZoneOperations};
use google_cloud_compute_v1::model::{AttachedDisk, Metadata, Operation, metadata::Items, operation::Status};
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::paginator::ItemPaginator as _;
use google_cloud_gax::retry_policy::{Aip194Strict, RetryPolicyExt as _};
use google_cloud_lro::Poller as _;
use platform::clock::{Clock as _, ScaledClock, SystemClock};

const ZONE: &str = "us-central1-a";
/// A stock-out's hundred seconds pass in half of one.
const CLOCK_RATE: f64 = 200.0;

struct World {
    emulator: Emulator,
    instances: Instances,
    operations: ZoneOperations,
}

fn quick() -> ExponentialBackoff {
    let begin = ExponentialBackoffBuilder::new().with_initial_delay(Duration::from_millis(10));
    begin.with_maximum_delay(Duration::from_millis(50)).build().unwrap()
}

impl World {
    async fn new() -> Self {
        let instance = |name: &str, zone: &str| InstanceSpec {
            name: name.into(),
            zone: zone.into(),
            labels: BTreeMap::from([("pilotlight".into(), "main".into())]),
            ..InstanceSpec::default()
        };
        let config = Config {
            project: "p".into(),
            project_number: 1,
            zones: vec![ZONE.into(), "us-central1-b".into()],
            instances: vec![instance("main-a", ZONE), instance("main-b", "us-central1-b")],
            disks: vec![RegionalDiskSpec {
                name: "main-data".into(),
                region: "us-central1".into(),
                zones: [ZONE.into(), "us-central1-b".into()],
                size_gb: 200,
                attached_to: None,
            }],
            ..Config::default()
        };
        let clock = Arc::new(ScaledClock::new(SystemClock.now(), CLOCK_RATE));
        let emulator = Emulator::start(config, clock, Arc::new(RecordingMachines::default())).await.unwrap();
        let credentials = anonymous::Builder::new().build();
        let instances = Instances::builder()
            .with_endpoint(emulator.endpoint())
            .with_credentials(credentials.clone())
            .with_retry_policy(Aip194Strict.with_attempt_limit(4))
            .with_backoff_policy(quick())
            .with_polling_backoff_policy(quick())
            .build()
            .await
            .unwrap();
        let operations =
            ZoneOperations::builder().with_endpoint(emulator.endpoint()).with_credentials(credentials).build();
        Self { operations: operations.await.unwrap(), emulator, instances }
    }

    async fn start(&self, request: &str) -> Operation {
        let call = self.instances.start().set_project("p").set_zone(ZONE).set_instance("main-a");
        call.set_request_id(request).poller().until_done().await.unwrap()
    }

    async fn get(&self) -> google_cloud_compute_v1::model::Instance {
        self.instances.get().set_project("p").set_zone(ZONE).set_instance("main-a").send().await.unwrap()
    }
}

#[tokio::test]
async fn the_client_starts_an_instance_and_sees_it_run() {
    let world = World::new().await;
    assert_eq!(world.get().await.status.unwrap().name(), Some("TERMINATED"));
    let operation = world.start("5b0b8f8e-6a3c-4d53-9a8e-0c4f1a2b3c4d").await;
    assert_eq!(operation.status, Some(Status::Done));
    assert!(operation.to_result().is_ok());
    let instance = world.get().await;
    assert_eq!(instance.status.unwrap().name(), Some("RUNNING"));
    assert_eq!(instance.id.unwrap(), world.emulator.snapshot()[0].id);
    assert_eq!(instance.disks[0].boot, Some(true));
}

#[tokio::test]
async fn the_client_lists_by_label_over_all_zones() {
    let world = World::new().await;
    let list = world.instances.aggregated_list().set_project("p").set_filter("labels.pilotlight:*");
    let mut scopes = list.set_max_results(1_u32).by_item();
    let mut names = Vec::new();
    while let Some(scope) = scopes.next().await {
        names.extend(scope.unwrap().1.instances.into_iter().filter_map(|instance| instance.name));
    }
    assert_eq!(names, ["main-a", "main-b"]);
    let refused = world.instances.list().set_project("p").set_zone(ZONE).set_filter("size>5").send().await.unwrap_err();
    assert_eq!(refused.http_status_code(), Some(400));
}

#[tokio::test]
async fn the_client_reads_a_stock_out_from_a_done_operation() {
    let world = World::new().await;
    world.emulator.set_stock_out(ZONE, true).unwrap();
    let operation = world.start("5b0b8f8e-6a3c-4d53-9a8e-0c4f1a2b3c4e").await;
    assert_eq!(operation.http_error_status_code, Some(503));
    let error = &operation.error.as_ref().unwrap().errors[0];
    assert_eq!(error.code.as_deref(), Some("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"));
    let info = error.error_details.iter().find_map(|detail| detail.error_info.as_ref()).unwrap();
    assert_eq!(info.metadatas["zonesAvailable"], "us-central1-b");
    assert!(operation.to_result().is_err());
}

#[tokio::test]
async fn a_repeated_request_id_is_the_same_operation_for_the_client() {
    let world = World::new().await;
    let request = "5b0b8f8e-6a3c-4d53-9a8e-0c4f1a2b3c4f";
    let first = world.start(request).await;
    let again = world.start(request).await;
    assert_eq!(first.name, again.name);
    assert_eq!(again.client_operation_id.as_deref(), Some(request));
    let found = world.operations.get().set_project("p").set_zone(ZONE).set_operation(first.name.unwrap());
    assert_eq!(found.send().await.unwrap().status, Some(Status::Done));
}

#[tokio::test]
async fn a_stale_fingerprint_reaches_the_client_as_412() {
    let world = World::new().await;
    let stale = world.get().await.metadata.unwrap().fingerprint.unwrap();
    let set = |fingerprint: bytes::Bytes| {
        let items = [Items::new().set_key("lease").set_value("7")];
        let body = Metadata::new().set_fingerprint(fingerprint).set_items(items);
        world.instances.set_metadata().set_project("p").set_zone(ZONE).set_instance("main-a").set_body(body)
    };
    set(stale.clone()).send().await.unwrap();
    let refused = set(stale).send().await.unwrap_err();
    assert_eq!(refused.http_status_code(), Some(412));
}

#[tokio::test]
async fn the_client_attaches_and_detaches_the_regional_disk() {
    let world = World::new().await;
    let at = |disk: AttachedDisk| {
        let call = world.instances.attach_disk().set_project("p").set_zone(ZONE).set_instance("main-a");
        call.set_body(disk)
    };
    let disk = AttachedDisk::new().set_source("projects/p/regions/us-central1/disks/main-data").set_device_name("data");
    at(disk).poller().until_done().await.unwrap().to_result().unwrap();
    assert_eq!(world.get().await.disks[1].device_name.as_deref(), Some("data"));
    let detach = world.instances.detach_disk().set_project("p").set_zone(ZONE).set_instance("main-a");
    detach.set_device_name("data").poller().until_done().await.unwrap().to_result().unwrap();
    assert_eq!(world.get().await.disks.len(), 1);
}

#[tokio::test]
async fn the_client_takes_the_regional_disk_by_force() {
    let world = World::new().await;
    let attach = |zone: &str, instance: &str| {
        let disk = AttachedDisk::new().set_source("projects/p/regions/us-central1/disks/main-data");
        let call = world.instances.attach_disk().set_project("p").set_zone(zone).set_instance(instance);
        call.set_body(disk.set_device_name("data"))
    };
    attach(ZONE, "main-a").poller().until_done().await.unwrap().to_result().unwrap();
    world.emulator.change_zone(ZONE, |faults| faults.gone = true).unwrap();
    let silent = world.instances.get().set_project("p").set_zone(ZONE).set_instance("main-a").send().await.unwrap_err();
    assert_eq!(silent.http_status_code(), Some(503));
    let refused = attach("us-central1-b", "main-b").poller().until_done().await.unwrap();
    let code = refused.error.as_ref().unwrap().errors[0].code.clone();
    assert_eq!(code.as_deref(), Some("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"));
    let forced = attach("us-central1-b", "main-b").set_force_attach(true);
    forced.poller().until_done().await.unwrap().to_result().unwrap();
    world.emulator.change_zone(ZONE, |faults| faults.gone = false).unwrap();
    let disks: Vec<_> = world.emulator.snapshot().into_iter().map(|instance| instance.disks).collect();
    assert_eq!(disks, [vec![], vec!["main-data".to_owned()]]);
}

#[tokio::test]
async fn the_client_lists_what_answers_while_a_zone_is_gone() {
    let world = World::new().await;
    world.emulator.change_zone(ZONE, |faults| faults.gone = true).unwrap();
    let page = world.instances.aggregated_list().set_project("p").send().await.unwrap();
    let code = page.items["zones/us-central1-a"].warning.as_ref().and_then(|warning| warning.code.clone()).unwrap();
    assert_eq!(code.name(), Some("UNREACHABLE"));
    assert_eq!(page.items["zones/us-central1-b"].instances.len(), 1);
}

#[tokio::test]
async fn the_clients_retries_get_through_calls_that_fail() {
    let world = World::new().await;
    world.emulator.set_api_faults(ApiFaults { fail: 0.3, ..ApiFaults::default() });
    let mut reached = 0;
    for _ in 0..10 {
        let get = world.instances.get().set_project("p").set_zone(ZONE).set_instance("main-a");
        reached += usize::from(get.send().await.is_ok());
    }
    assert!(reached >= 6, "{reached} of 10 calls got through");
}

#[tokio::test]
async fn a_status_that_the_client_does_not_know_passes_through_it() {
    let world = World::new().await;
    world.emulator.show_status("main-a", Some("CONTEMPLATING")).unwrap();
    assert_eq!(world.get().await.status.unwrap().name(), Some("CONTEMPLATING"));
}
