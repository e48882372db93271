//! What every test stands on: two instances in two zones, a disk between them, and a clock that stands still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use compute_emulator::{Config, Emulator, InstanceSpec, RecordingMachines, RegionalDiskSpec};
use domain::Timestamp;
use platform::clock::ManualClock;
use serde_json::Value;

/// 2026-07-07T13:56:24-07:00
pub(crate) const BEGINNING: Timestamp = Timestamp::from_seconds(1_783_457_784);
/// Nothing on loopback takes this long.
const ANSWER_MAX: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) clock: ManualClock,
    pub(crate) machines: RecordingMachines,
    pub(crate) http: reqwest::Client,
}

/// An answer: its HTTP status and its JSON.
pub(crate) type Answer = (u16, Value);

pub(crate) fn config() -> Config {
    let a = InstanceSpec {
        name: "main-a".into(),
        zone: "us-central1-a".into(),
        labels: BTreeMap::from([("pilotlight".into(), "main".into())]),
        metadata: BTreeMap::from([("enable-guest-attributes".into(), "TRUE".into())]),
        max_run_duration: Some(Duration::from_secs(3600)),
        service_account: "vm@p.iam.gserviceaccount.com".into(),
        address: "203.0.113.7".into(),
        ..InstanceSpec::default()
    };
    let b = InstanceSpec {
        name: "main-b".into(),
        zone: "us-central1-b".into(),
        spot: true,
        max_run_duration: None,
        labels: BTreeMap::new(),
        metadata: BTreeMap::new(),
        ..a.clone()
    };
    Config {
        project: "p".into(),
        project_number: 123_456_789_012,
        zones: vec!["us-central1-a".into(), "us-central1-b".into(), "us-central1-c".into()],
        instances: vec![a, b],
        disks: vec![RegionalDiskSpec {
            name: "main-data".into(),
            region: "us-central1".into(),
            zones: ["us-central1-a".into(), "us-central1-b".into()],
            size_gb: 200,
            attached_to: Some("main-a".into()),
        }],
        service_account: "lifecycle@p.iam.gserviceaccount.com".into(),
        ..Config::default()
    }
}

pub(crate) const A: &str = "zones/us-central1-a/instances/main-a";
pub(crate) const B: &str = "zones/us-central1-b/instances/main-b";

impl World {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::at(BEGINNING);
        let machines = RecordingMachines::default();
        let emulator = Emulator::start(config(), Arc::new(clock.clone()), Arc::new(machines.clone())).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build().unwrap();
        Self { emulator, clock, machines, http }
    }

    /// With `main-a` RUNNING.
    pub(crate) async fn running() -> Self {
        let world = Self::new().await;
        world.post(&format!("{A}/start"), "").await;
        world.pass(12).await;
        assert_eq!(world.status(A).await, "RUNNING");
        world
    }

    pub(crate) fn url(&self, rest: &str) -> String {
        format!("{}projects/p/{rest}", self.emulator.compute_base())
    }

    pub(crate) async fn get(&self, rest: &str) -> Answer {
        answer(self.http.get(self.url(rest)).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, rest: &str, body: &str) -> Answer {
        answer(self.http.post(self.url(rest)).body(body.to_owned()).send().await.unwrap()).await
    }

    /// A call that is accepted: its operation.
    pub(crate) async fn accepted(&self, rest: &str, body: &str) -> Value {
        let (status, operation) = self.post(rest, body).await;
        assert_eq!(status, 200, "{rest}: {operation}");
        operation
    }

    /// A call that is refused: status, reason and message.
    pub(crate) async fn refused(&self, rest: &str, body: &str) -> (u16, String, String) {
        reason(self.post(rest, body).await)
    }

    pub(crate) async fn instance(&self, rest: &str) -> Value {
        let (status, instance) = self.get(rest).await;
        assert_eq!(status, 200, "{instance}");
        instance
    }

    pub(crate) async fn status(&self, rest: &str) -> String {
        self.instance(rest).await["status"].as_str().unwrap().to_owned()
    }

    /// The operation as it is now.
    pub(crate) async fn again(&self, operation: &Value) -> Value {
        let zone = operation["zone"].as_str().unwrap().rsplit('/').next().unwrap();
        let (status, now) = self.get(&format!("zones/{zone}/operations/{}", operation["name"].as_str().unwrap())).await;
        assert_eq!(status, 200, "{now}");
        now
    }

    /// Moves the clock by whole seconds.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The metadata server of `main-a`.
    pub(crate) async fn metadata(&self, path: &str) -> (u16, String) {
        let base = self.emulator.instance_metadata_base("main-a").unwrap();
        let url = format!("{base}/computeMetadata/v1/{path}");
        let response = self.http.get(url).header("Metadata-Flavor", "Google").send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

pub(crate) fn reason((status, body): Answer) -> (u16, String, String) {
    let entry = &body["error"]["errors"][0];
    assert_eq!(body["error"]["code"], status, "{body}");
    assert_eq!(body["error"]["message"], entry["message"]);
    assert_eq!(entry["domain"], "global");
    (status, entry["reason"].as_str().unwrap().to_owned(), entry["message"].as_str().unwrap().to_owned())
}

async fn answer(response: reqwest::Response) -> Answer {
    (response.status().as_u16(), response.json().await.unwrap())
}
