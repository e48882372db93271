//! The worker: what it asks of Compute Engine, in which order, and that it asks once.

use domain::{
    Action, Event, FailureCode, InstanceStatus, OperationError, OperationErrorKind, Phase, Role, Seconds, StopReason,
    decide,
};
use lifecycle::Attended;
use platform::clock::Clock;
use platform::compute::fake::Trouble;
use platform::store::WorkspaceStore;

use crate::setting::Setting;

fn start(instance: &str) -> Action {
    Action::StartInstance { instance: instance.into() }
}

fn stop(instance: &str) -> Action {
    Action::StopInstance { instance: instance.into() }
}

async fn press(setting: &Setting, button: &str) {
    let answer = setting.ask("POST", &format!("/api/workspaces/main/{button}"), Role::User, None).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
}

#[tokio::test]
async fn a_start_asks_for_one_machine_and_sees_it_boot() {
    let setting = Setting::new();
    press(&setting, "start").await;
    assert_eq!(*setting.nudges.0.lock().unwrap(), ["main"]);
    assert_eq!(setting.attend().await, Attended::Agreed);
    assert_eq!(setting.machines.actions(), [start("comfy-a")]);
    let record = setting.record().await;
    assert_eq!((record.phase, record.call), (Phase::Booting, None));
    assert_eq!(record.instance_id, Some(setting.machines.instance_id("comfy-a")));
}

#[tokio::test]
async fn a_message_pushed_a_hundred_times_asks_for_one_machine() {
    let setting = Setting::new();
    press(&setting, "start").await;
    let visits = (0..100).map(|_| setting.app.worker().attend(&setting.workspace.id));
    let ended: Vec<_> = futures_util::future::join_all(visits).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(setting.machines.actions(), [start("comfy-a")]);
    assert!(ended.contains(&Attended::Agreed) && ended.contains(&Attended::Joined), "{ended:?}");
    assert_eq!(setting.record().await.phase, Phase::Booting);
}

#[tokio::test]
async fn a_stop_takes_the_machine_down_and_leaves_a_receipt() {
    let setting = Setting::new();
    setting.ready().await;
    setting.clock.leap(Seconds::minutes(30));
    press(&setting, "stop").await;
    assert_eq!(setting.attend().await, Attended::Agreed);
    assert_eq!(setting.machines.actions(), [start("comfy-a"), stop("comfy-a")]);
    let record = setting.record().await;
    let receipt = record.last_stop.unwrap();
    assert_eq!((record.phase, receipt.reason, receipt.run), (Phase::Stopped, StopReason::User, 1));
    let runs = setting.store.runs(&setting.workspace.id, None, 10).await.unwrap();
    assert_eq!(runs.iter().map(|run| (run.number, run.cost)).collect::<Vec<_>>(), [(1, receipt.cost)]);
    assert!(receipt.cost.0 > 350_000, "half an hour of a machine at 0.7068 an hour: {:?}", receipt.cost);
}

#[tokio::test]
async fn a_stop_before_anything_was_asked_of_google_asks_for_nothing() {
    let setting = Setting::new();
    press(&setting, "start").await;
    press(&setting, "stop").await;
    assert_eq!(setting.attend().await, Attended::Agreed);
    assert_eq!(setting.machines.actions(), []);
    assert_eq!(setting.record().await.phase, Phase::Stopped);
}

#[tokio::test]
async fn a_stop_while_the_machine_is_being_placed_takes_it_down() {
    let setting = Setting::new();
    press(&setting, "start").await;
    // The start is announced and accepted, and its worker dies.
    setting.machines.trouble_next_call(Trouble::LoseAnswer);
    let record = setting.record().await;
    let announced =
        decide(&record, Event::CallIntended(start("comfy-a")), setting.clock.now(), &setting.workspace).unwrap();
    setting.put(&announced.next).await;
    setting.machines.set_status("comfy-a", InstanceStatus::ComingUp);
    press(&setting, "stop").await;
    assert_eq!(setting.record().await.phase, Phase::Stopping);
    assert_eq!(setting.attend().await, Attended::Agreed);
    assert!(setting.machines.actions().contains(&stop("comfy-a")), "{:?}", setting.machines.actions());
    assert_eq!(setting.record().await.phase, Phase::Stopped);
}

#[tokio::test]
async fn a_dry_zone_moves_the_disk_and_tries_the_next_placement() {
    let setting = Setting::new();
    setting.machines.set_dry("us-central1-a", true);
    press(&setting, "start").await;
    assert_eq!(setting.attend().await, Attended::Agreed);
    let detach = Action::DetachDisk { instance: "comfy-a".into() };
    let attach = Action::AttachDisk { instance: "comfy-b".into() };
    assert_eq!(setting.machines.actions(), [start("comfy-a"), detach, attach, start("comfy-b")]);
    let record = setting.record().await;
    assert_eq!((record.phase, record.placement.as_deref()), (Phase::Booting, Some("comfy-b")));
}

#[tokio::test]
async fn when_all_zones_are_dry_it_fails_with_a_time_to_try_again() {
    let setting = Setting::new();
    setting.machines.set_dry("us-central1-a", true);
    setting.machines.set_dry("us-central1-b", true);
    press(&setting, "start").await;
    assert_eq!(setting.attend().await, Attended::Agreed);
    let record = setting.record().await;
    let failure = record.failure.unwrap();
    assert_eq!((record.phase, failure.code), (Phase::Failed, FailureCode::StockOut));
    assert!(failure.retry_at.unwrap() > setting.clock.now());
}

#[tokio::test]
async fn a_quota_is_told_and_not_tried_elsewhere() {
    let setting = Setting::new();
    let detail = "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.".to_owned();
    let quota = OperationError { kind: OperationErrorKind::Quota, detail: detail.clone(), zones: Vec::new() };
    setting.machines.trouble_next_call(Trouble::FailOperation(quota));
    press(&setting, "start").await;
    setting.attend().await;
    assert_eq!(setting.machines.actions(), [start("comfy-a")]);
    let failure = setting.record().await.failure.unwrap();
    assert_eq!((failure.code, failure.detail), (FailureCode::Quota, detail));
}

#[tokio::test]
async fn a_call_that_was_not_answered_is_made_again_when_it_can_arrive_no_more() {
    let setting = Setting::new();
    setting.machines.trouble_next_call(Trouble::LoseRequest);
    press(&setting, "start").await;
    let begin = setting.clock.now();
    assert_eq!(setting.attend().await, Attended::Agreed);
    assert!(setting.clock.now() >= begin + setting.workspace.policy.call_limit, "it waited for the first to be lost");
    assert_eq!(setting.record().await.phase, Phase::Booting);
}

#[tokio::test]
async fn a_worker_that_died_after_announcing_a_call_is_followed_by_another() {
    let setting = Setting::new();
    press(&setting, "start").await;
    let record = setting.record().await;
    let announced =
        decide(&record, Event::CallIntended(start("comfy-a")), setting.clock.now(), &setting.workspace).unwrap();
    setting.put(&announced.next).await;
    assert_eq!(setting.attend().await, Attended::Agreed);
    let record = setting.record().await;
    assert_eq!((record.phase, record.calls), (Phase::Booting, 2));
    assert_eq!(setting.machines.actions(), [start("comfy-a")]);
}

#[tokio::test]
async fn a_machine_that_somebody_started_by_hand_is_stopped() {
    let setting = Setting::new();
    setting.machines.set_status("comfy-b", InstanceStatus::Running);
    assert_eq!(setting.attend().await, Attended::Agreed);
    assert_eq!(setting.machines.actions(), [stop("comfy-b")]);
    assert_eq!(setting.record().await.phase, Phase::Stopped);
}

#[tokio::test]
async fn a_machine_that_has_gone_ends_its_run() {
    let setting = Setting::new();
    setting.ready().await;
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    setting.attend().await;
    let record = setting.record().await;
    assert_eq!((record.phase, record.last_stop.unwrap().reason), (Phase::Stopped, StopReason::MachineStopped));
}

#[tokio::test]
async fn a_nudge_is_not_acknowledged_while_compute_engine_is_out_of_reach() {
    let setting = Setting::new();
    press(&setting, "start").await;
    setting.machines.fail_looks(1);
    assert!(setting.app.worker().attend(&setting.workspace.id).await.is_err());
    assert_eq!(setting.attend().await, Attended::Agreed);
    assert_eq!(setting.record().await.phase, Phase::Booting);
}
