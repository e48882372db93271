//! What Compute Engine's audit log tells, and that the record follows reality within one push. The entries in `events/`
//! have the shapes of the real ones.

use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine;
use domain::{Action, Event, InstanceStatus, Phase, Record, Role, RunNumber, Seconds, StopReason, decide};
use platform::clock::Clock;
use platform::compute::fake::Trouble;
use platform::store::{FaultyStore, WorkspaceStore};
use serde_json::{Value, json};

use crate::setting::{AUDIENCE, PUSH_EMAIL, Setting};

const PREEMPTED: &str = include_str!("events/preempted.json");
const GUEST_TERMINATE: &str = include_str!("events/guest_terminate.json");
const HOST_ERROR: &str = include_str!("events/host_error.json");
const HOST_MAINTENANCE: &str = include_str!("events/terminate_on_host_maintenance.json");
const DEFERRED_STOP: &str = include_str!("events/deferred_stop.json");
const AUTOMATIC_RESTART: &str = include_str!("events/automatic_restart.json");
const STOP_BEGUN: &str = include_str!("events/stop_begun.json");
const STOP_OVER: &str = include_str!("events/stop_over.json");
const STOP_OVER_BETA: &str = include_str!("events/stop_over_beta.json");
const START_OVER: &str = include_str!("events/start_over.json");
const START_STOCK_OUT: &str = include_str!("events/start_stock_out.json");
const INSERT_OVER: &str = include_str!("events/insert_over.json");

const ALL: [&str; 12] = [
    PREEMPTED,
    GUEST_TERMINATE,
    HOST_ERROR,
    HOST_MAINTENANCE,
    DEFERRED_STOP,
    AUTOMATIC_RESTART,
    STOP_BEGUN,
    STOP_OVER,
    STOP_OVER_BETA,
    START_OVER,
    START_STOCK_OUT,
    INSERT_OVER,
];

fn read(entry: &str) -> Value {
    serde_json::from_str(entry).unwrap()
}

/// An entry with one thing put otherwise.
fn with(entry: &str, pointer: &str, value: impl Into<Value>) -> Value {
    let mut entry = read(entry);
    *entry.pointer_mut(pointer).unwrap() = value.into();
    entry
}

fn without(entry: &str, parent: &str, key: &str) -> Value {
    let mut entry = read(entry);
    entry.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    entry
}

fn start(instance: &str) -> Action {
    Action::StartInstance { instance: instance.into() }
}

fn stop(instance: &str) -> Action {
    Action::StopInstance { instance: instance.into() }
}

impl Setting {
    /// Pub/Sub pushes the entry; it is taken.
    async fn told(&self, entry: &Value) {
        let answer = self.tell(entry).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
    }

    async fn tell(&self, entry: &Value) -> crate::setting::Answer {
        let data = base64::engine::general_purpose::STANDARD.encode(entry.to_string());
        let envelope = json!({"message": {"data": data, "messageId": "1", "publishTime": "2027-01-15T08:10:01Z",
            "attributes": {"logging.googleapis.com/timestamp": "2027-01-15T08:10:00.123456Z"}}, "subscription": "projects/p/subscriptions/compute-events"});
        self.bear("/push/compute-events", &self.google(PUSH_EMAIL, AUDIENCE, json!(null)), envelope).await
    }

    /// Tells it where neither store nor machines can be reached: whoever looks, fails.
    async fn told_without_a_look(&self, entry: &Value) {
        let store = Arc::new(FaultyStore::new(self.store.clone()));
        store.set_out_of_reach(true);
        let unable = self.again_on(store);
        self.machines.fail_looks(1);
        unable.told(entry).await;
        self.machines.fail_looks(0);
        assert_eq!(*unable.nudges.0.lock().unwrap(), Vec::<String>::new());
    }

    /// A run that has been ready since the beginning, by now ten minutes old: the entries tell of this moment.
    async fn ten_minutes_up(&self) {
        self.ready().await;
        self.clock.leap(Seconds::minutes(10));
        self.nudges.0.lock().unwrap().clear();
    }

    async fn ended(&self) -> (Phase, Option<(RunNumber, StopReason)>) {
        let record = self.record().await;
        (record.phase, record.last_stop.map(|stop| (stop.run, stop.reason)))
    }
}

/// The run has ended so, and the next is coming up on the other placement where Google has taken its machine.
fn followed(reason: StopReason) -> (Phase, Option<(RunNumber, StopReason)>) {
    let taken = matches!(reason, StopReason::Preempted | StopReason::HostError);
    (if taken { Phase::Booting } else { Phase::Stopped }, Some((1, reason)))
}

fn stop_calls(setting: &Setting) -> usize {
    setting.machines.actions().iter().filter(|action| matches!(action, Action::StopInstance { .. })).count()
}

async fn reason_after(entry: &str, at: Seconds) -> (Phase, Option<(RunNumber, StopReason)>) {
    let setting = Setting::new();
    setting.ready().await;
    setting.clock.leap(at);
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    setting.told(&read(entry)).await;
    assert_eq!(stop_calls(&setting), 0, "nothing is asked of a machine that is down");
    let runs = setting.store.runs(&setting.workspace.id, None, 10).await.unwrap();
    assert_eq!(runs.len(), 1, "the run is in the history");
    setting.ended().await
}

#[tokio::test]
async fn each_way_in_which_a_machine_goes_ends_its_run_within_one_push_and_says_why() {
    let soon = Seconds::minutes(10);
    for (entry, reason) in [
        (PREEMPTED, StopReason::Preempted),
        (GUEST_TERMINATE, StopReason::MachineStopped),
        (HOST_ERROR, StopReason::HostError),
        (HOST_MAINTENANCE, StopReason::HostError),
        (STOP_OVER, StopReason::MachineStopped),
        (STOP_OVER_BETA, StopReason::MachineStopped),
        (STOP_BEGUN, StopReason::MachineStopped),
    ] {
        assert_eq!(reason_after(entry, soon).await, followed(reason), "{entry}");
    }
}

#[tokio::test]
async fn googles_own_end_of_a_run_is_the_hard_limits() {
    let hard = Setting::new().workspace.policy.hard_limit;
    let (phase, ended) = reason_after(DEFERRED_STOP, hard + Seconds::minutes(10)).await;
    assert_eq!((phase, ended), (Phase::Stopped, Some((1, StopReason::HardLimit))));
}

#[tokio::test]
async fn a_machine_that_is_still_stopping_is_waited_for_within_the_push() {
    for (entry, reason) in [(STOP_BEGUN, StopReason::MachineStopped), (PREEMPTED, StopReason::Preempted)] {
        let setting = Setting::new();
        setting.ten_minutes_up().await;
        setting.machines.set_status("comfy-a", InstanceStatus::InTransition);
        let before = setting.clock.now();
        let entry = read(entry);
        let meanwhile = async {
            // The worker has seen it STOPPING, and sleeps.
            while setting.clock.now() == before {
                tokio::task::yield_now().await;
            }
            assert_eq!(setting.record().await.phase, Phase::Ready);
            setting.machines.set_status("comfy-a", InstanceStatus::Down);
        };
        tokio::join!(setting.told(&entry), meanwhile);
        assert_eq!(setting.ended().await, followed(reason));
    }
}

#[tokio::test]
async fn a_start_by_hand_while_it_is_stopped_is_taken_back_within_the_push() {
    for entry in [START_OVER, AUTOMATIC_RESTART, INSERT_OVER] {
        let setting = Setting::new();
        setting.machines.set_status("comfy-a", InstanceStatus::Running);
        setting.told(&read(entry)).await;
        assert_eq!(setting.machines.actions(), [stop("comfy-a")], "{entry}");
        assert_eq!(setting.ended().await, (Phase::Stopped, None));
    }
}

#[tokio::test]
async fn a_start_by_hand_of_another_placement_is_taken_back_and_the_run_goes_on() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    setting.machines.set_status("comfy-b", InstanceStatus::Running);
    let mut entry = with(START_OVER, "/protoPayload/resourceName", "projects/p/zones/us-central1-b/instances/comfy-b");
    entry["resource"]["labels"] = json!({"instance_id": setting.machines.instance_id("comfy-b").to_string(), "project_id": "p", "zone": "us-central1-b"});
    setting.told(&entry).await;
    assert_eq!(setting.machines.actions(), [start("comfy-a"), stop("comfy-b")]);
    assert_eq!(setting.record().await.phase, Phase::Ready);
}

#[tokio::test]
async fn a_start_that_found_no_machine_is_followed_to_the_next_placement() {
    let setting = Setting::new();
    setting.machines.set_dry("us-central1-a", true);
    setting.ask("POST", "/api/workspaces/main/start", Role::User, None).await;
    setting.told(&read(START_STOCK_OUT)).await;
    let record = setting.record().await;
    assert_eq!((record.phase, record.placement.as_deref()), (Phase::Booting, Some("comfy-b")));
}

#[tokio::test]
async fn an_event_that_comes_again_changes_nothing() {
    for entry in [PREEMPTED, GUEST_TERMINATE, STOP_OVER] {
        let setting = Setting::new();
        setting.ten_minutes_up().await;
        setting.machines.set_status("comfy-a", InstanceStatus::Down);
        setting.told(&read(entry)).await;
        let (once, actions) = (setting.record().await, setting.machines.actions());
        assert_eq!(once.run, if entry == PREEMPTED { 2 } else { 1 });
        for _ in 0..3 {
            setting.told(&read(entry)).await;
        }
        assert_eq!((setting.record().await, setting.machines.actions()), (once, actions));
    }
}

#[tokio::test]
async fn an_event_of_the_run_before_changes_nothing_in_the_next() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    setting.attend().await;
    setting.clock.leap(Seconds::minutes(5));
    setting.ready().await;
    let second = setting.record().await;
    assert_eq!(
        (second.run, second.instance_id),
        (2, Some(setting.machines.instance_id("comfy-a"))),
        "the same instance"
    );
    for entry in ALL {
        setting.told(&read(entry)).await;
        assert_eq!(setting.record().await, second, "{entry}");
    }
    // The end that comes later is not put down to the preemption of the run before.
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    setting.told(&with(GUEST_TERMINATE, "/timestamp", "2027-01-15T09:00:00Z")).await;
    assert_eq!(setting.ended().await, (Phase::Stopped, Some((2, StopReason::MachineStopped))));
}

#[tokio::test]
async fn an_event_while_nothing_has_changed_changes_nothing() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    let before = setting.record().await;
    let words = [
        (PREEMPTED, StopReason::Preempted),
        (HOST_ERROR, StopReason::HostError),
        (HOST_MAINTENANCE, StopReason::HostError),
    ];
    for entry in ALL.into_iter().filter(|entry| words.iter().all(|(word, _)| word != entry)) {
        setting.told(&read(entry)).await;
    }
    assert_eq!(setting.record().await, before);
    assert_eq!(setting.machines.actions(), [start("comfy-a")]);
    for (word, reason) in words {
        setting.told(&read(word)).await;
        let noted = Record { ending: Some(reason), ..before.clone() };
        assert_eq!(setting.record().await, noted, "a word stops nothing");
    }
}

#[tokio::test]
async fn an_event_of_an_instance_that_was_replaced_does_not_even_nudge() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    let before = setting.record().await;
    for entry in ALL.into_iter().filter(|entry| *entry != INSERT_OVER) {
        let other = with(entry, "/resource/labels/instance_id", "1234567890123456789");
        // Who looks at the machines, fails.
        setting.machines.fail_looks(1);
        setting.told(&other).await;
    }
    setting.machines.fail_looks(0);
    assert_eq!((setting.record().await, setting.nudges.0.lock().unwrap().len()), (before, 0));
}

#[tokio::test]
async fn an_instance_that_comes_in_the_place_of_another_is_looked_at() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    setting.told(&with(INSERT_OVER, "/resource/labels/instance_id", "1234567890123456789")).await;
    assert_eq!(setting.ended().await, (Phase::Stopped, Some((1, StopReason::MachineStopped))));
}

#[tokio::test]
async fn what_is_not_ours_is_acknowledged_and_nothing_is_read_for_it() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    let named = |resource: &str| with(PREEMPTED, "/protoPayload/resourceName", resource);
    for foreign in [
        named("projects/p/zones/us-central1-a/instances/comfy-z"),
        // The name of ours, in another zone.
        named("projects/p/zones/us-central1-f/instances/comfy-a"),
        with(PREEMPTED, "/resource/labels/project_id", "another-project"),
        json!({}),
        json!({"protoPayload": {}, "resource": {"type": "gce_instance", "labels": {"instance_id": "no number"}}}),
    ] {
        setting.told_without_a_look(&foreign).await;
    }
}

#[tokio::test]
async fn the_projects_number_in_the_path_is_as_good_as_its_name() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    let path = "projects/123456789012/zones/us-central1-a/instances/comfy-a";
    setting.told(&with(PREEMPTED, "/protoPayload/resourceName", path)).await;
    assert_eq!(setting.ended().await, followed(StopReason::Preempted));
}

#[tokio::test]
async fn an_entry_without_a_path_is_known_by_its_number() {
    for entry in [
        without(PREEMPTED, "/protoPayload", "resourceName"),
        with(PREEMPTED, "/protoPayload/resourceName", "//compute.googleapis.com/something/new"),
        {
            let mut entry = without(PREEMPTED, "/protoPayload", "resourceName");
            entry["resource"]["labels"].as_object_mut().unwrap().remove("zone");
            entry
        },
    ] {
        let setting = Setting::new();
        setting.ten_minutes_up().await;
        setting.machines.set_status("comfy-a", InstanceStatus::Down);
        setting.told(&entry).await;
        assert_eq!(setting.ended().await, followed(StopReason::Preempted), "{entry}");
    }
}

#[tokio::test]
async fn an_entry_without_a_path_whose_number_no_run_uses_is_nobodys() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    let nameless = without(PREEMPTED, "/protoPayload", "resourceName");
    let mut elsewhere = nameless.clone();
    elsewhere["resource"]["labels"]["zone"] = json!("europe-west1-b");
    setting.told_without_a_look(&elsewhere).await;
    let mut other = nameless;
    other["resource"]["labels"]["instance_id"] = json!("1234567890123456789");
    setting.machines.fail_looks(1);
    setting.told(&other).await;
    assert_eq!((setting.record().await.phase, setting.record().await.ending), (Phase::Ready, None));
}

#[tokio::test]
async fn an_entry_without_a_number_is_known_by_its_name() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    setting.told(&without(GUEST_TERMINATE, "/resource/labels", "instance_id")).await;
    assert_eq!(setting.ended().await, (Phase::Stopped, Some((1, StopReason::MachineStopped))));
}

#[tokio::test]
async fn a_method_that_nobody_has_described_nudges_all_the_same() {
    for method in ["compute.instances.somethingNew", "v2.compute.instances.stop", ""] {
        let setting = Setting::new();
        setting.ten_minutes_up().await;
        setting.machines.set_status("comfy-a", InstanceStatus::Down);
        setting.told(&with(GUEST_TERMINATE, "/protoPayload/methodName", method)).await;
        assert_eq!(setting.ended().await, (Phase::Stopped, Some((1, StopReason::MachineStopped))), "{method}");
    }
}

#[tokio::test]
async fn an_event_while_a_machine_is_being_placed_starts_no_second_one() {
    let setting = Setting::new();
    setting.ask("POST", "/api/workspaces/main/start", Role::User, None).await;
    let record = setting.record().await;
    let announced =
        decide(&record, Event::CallIntended(start("comfy-a")), setting.clock.now(), &setting.workspace).unwrap();
    setting.put(&announced.next).await;
    setting.machines.trouble_next_call(Trouble::LoseRequest);
    setting.told(&read(START_OVER)).await;
    assert_eq!(setting.machines.actions(), [start("comfy-a")], "once the first call can arrive no more");
    assert_eq!(setting.record().await.phase, Phase::Booting);
}

#[tokio::test]
async fn an_event_that_cannot_be_looked_into_now_comes_again() {
    let setting = Setting::new();
    setting.ten_minutes_up().await;
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    setting.machines.fail_looks(1);
    setting.tell(&read(STOP_OVER)).await.refused(503, "unavailable");
    setting.told(&read(STOP_OVER)).await;
    assert_eq!(setting.ended().await, (Phase::Stopped, Some((1, StopReason::MachineStopped))));
}
