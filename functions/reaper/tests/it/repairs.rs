//! What a sweep puts right: lost nudges, phases past their limit, machines that nobody wants.

use domain::{Action, FailureCode, InstanceStatus, Phase, Policy, Reading, Seconds, Signal, StopReason, UpInstance};
use platform::store::FaultyStore;
use reaper::Swept;

use crate::setting::{Setting, less, nudged, stopped};

fn stop(instance: &str) -> Action {
    Action::StopInstance { instance: instance.into() }
}

fn stray(workspace: &str, instance: &str) -> UpInstance {
    UpInstance { workspace: workspace.into(), instance: instance.into(), zone: "us-central1-a".into() }
}

fn stopped_unknown(instance: &str) -> Swept {
    Swept::StoppedUnknown { instance: instance.into() }
}

#[tokio::test]
async fn a_step_whose_nudge_was_lost_is_nudged_again_after_a_minute() {
    let setting = Setting::new(&["booting", "placing", "ready", "stopping"]);
    setting.ready("ready").await;
    setting.ready("stopping").await;
    setting.happen("stopping", domain::Event::StopRequested).await;
    setting.booting("booting").await;
    setting.placing("placing").await;

    setting.leap(Seconds(59));
    assert_eq!(setting.swept().await, []);
    setting.leap(Seconds(1));
    let before = setting.phases().await;
    assert_eq!(setting.swept().await, [nudged("booting"), nudged("placing"), nudged("stopping")]);
    assert_eq!(setting.nudges.take(), ["booting", "placing", "stopping"]);
    assert_eq!(setting.phases().await, before, "a nudge decides nothing");
    // Until somebody has looked, each sweep nudges.
    assert_eq!(setting.swept().await.len(), 3);
}

#[tokio::test]
async fn no_phase_outlives_its_limit() {
    let setting = Setting::new(&["booting", "placing", "stopping"]);
    let policy = Policy::default();
    setting.booting("booting").await;
    setting.leap(less(policy.booting_limit, policy.placing_limit));
    setting.placing("placing").await;
    setting.ready("stopping").await;
    setting.happen("stopping", domain::Event::StopRequested).await;
    setting.leap(policy.placing_limit);

    let gave_up = Swept::GaveUp { workspace: "stopping".into() };
    assert_eq!(setting.swept().await, [stopped("booting"), stopped("placing"), gave_up]);

    for (name, code) in [("booting", FailureCode::BootTimedOut), ("placing", FailureCode::PlacingTimedOut)] {
        let record = setting.record(name).await;
        let failure = record.failure.unwrap().code;
        assert_eq!((record.phase, record.ending, failure), (Phase::Stopping, Some(StopReason::StartFailed), code));
    }
    let record = setting.record("stopping").await;
    assert_eq!((record.phase, record.failure.unwrap().code), (Phase::Failed, FailureCode::StopTimedOut));
    assert_eq!(setting.nudges.take(), ["booting", "placing"]);
    // Its machine is still up, and no longer wanted.
    assert_eq!(setting.swept().await, [nudged("stopping")]);
}

#[tokio::test]
async fn a_machine_that_its_record_does_not_want_is_told_to_the_worker() {
    let setting = Setting::new(&["main", "ready"]);
    setting.ready("ready").await;
    // Somebody started these by hand: one of a workspace that is stopped, one beside the placement in use.
    setting.machines.set_status("main-a", InstanceStatus::Running);
    setting.machines.set_status("ready-b", InstanceStatus::ComingUp);
    let before = (setting.record("main").await, setting.record("ready").await);
    assert_eq!(setting.swept().await, [nudged("main"), nudged("ready")]);
    assert_eq!(setting.nudges.take(), ["main", "ready"]);
    assert_eq!((setting.record("main").await, setting.record("ready").await), before);
    assert_eq!(setting.machines.actions(), [], "which one to stop is for the worker, who looks at all of them");
}

#[tokio::test]
async fn a_machine_of_no_workspace_is_stopped_and_the_others_run_on() {
    let setting = Setting::new(&["main"]);
    setting.ready("main").await;
    for (workspace, instance) in [("gone", "gone-a"), ("No Name!", "odd-a"), ("", "bare-a")] {
        setting.machines.add_stray(&stray(workspace, instance), InstanceStatus::Running);
    }
    setting.machines.add_stray(&stray("gone", "gone-b"), InstanceStatus::Down);
    let told = setting.swept().await;
    assert_eq!(told, [stopped_unknown("bare-a"), stopped_unknown("gone-a"), stopped_unknown("odd-a")]);
    let mut actions = setting.machines.actions();
    actions.sort();
    assert_eq!(actions, [stop("bare-a"), stop("gone-a"), stop("odd-a")]);
}

#[tokio::test]
async fn the_stop_of_an_unknown_machine_is_one_call_a_minute() {
    let setting = Setting::new(&["main"]);
    let ids = |setting: &Setting| setting.machines.calls().iter().map(|call| call.request_id).collect::<Vec<_>>();
    setting.machines.add_stray(&stray("gone", "gone-a"), InstanceStatus::Running);
    setting.swept().await;
    // The stop has not been obeyed.
    setting.machines.set_status("gone-a", InstanceStatus::Running);
    setting.leap(Seconds(1));
    setting.swept().await;
    setting.leap(Seconds(60));
    setting.swept().await;
    let ids = ids(&setting);
    assert_eq!((ids.len(), ids[0] == ids[1], ids[1] == ids[2]), (3, true, false), "{ids:?}");
}

#[tokio::test]
async fn a_machine_of_a_workspace_that_is_declared_no_more_is_stopped_though_its_record_is_there() {
    let setting = Setting::new(&["main"]);
    // As it was before its declaration was taken away.
    let before = Setting::new(&["gone"]);
    before.ready("gone").await;
    let record = before.record("gone").await;
    let gone = before.workspace("gone");
    let due_at = domain::due_at(&record, &gone.policy);
    let save = platform::store::Save { id: &gone.id, record: &record, seen: None, due_at, ended: None };
    platform::store::WorkspaceStore::save(&*setting.records, save).await.unwrap();
    setting.machines.add_stray(&stray("gone", "gone-a"), InstanceStatus::Running);

    assert_eq!(setting.swept().await, [stopped_unknown("gone-a")]);
    // The same when the record it left behind is due.
    setting.machines.set_status("gone-a", InstanceStatus::Running);
    setting.leap(Policy::default().hard_limit);
    assert_eq!(setting.swept().await, [stopped_unknown("gone-a")]);
    assert_eq!(setting.record("gone").await, record);
}

#[tokio::test]
async fn a_workspace_whose_record_cannot_be_read_is_left_alone() {
    let mut faulty = None;
    let setting = Setting::behind(&["main", "other"], |records, _| {
        faulty = Some(std::sync::Arc::new(FaultyStore::new(records)));
        faulty.clone().unwrap()
    });
    let faulty = faulty.unwrap();
    // Both run though their records say that they should not.
    setting.machines.set_status("main-a", InstanceStatus::Running);
    setting.machines.set_status("other-a", InstanceStatus::Running);
    faulty.set_failing(Some(setting.workspace("main").id.clone()));

    let report = setting.sweep().await;
    assert_eq!(report.items, [nudged("other")]);
    assert_eq!(report.failed.iter().map(|failed| failed.item.as_str()).collect::<Vec<_>>(), ["main"]);
    assert_eq!((setting.nudges.take(), setting.machines.actions()), (vec!["other".to_owned()], vec![]));

    faulty.set_failing(None);
    assert_eq!(setting.swept().await, [nudged("main"), nudged("other")]);
}

#[tokio::test]
async fn a_machine_that_runs_as_it_should_is_nobodys_business() {
    let setting = Setting::new(&["booting", "ready"]);
    setting.ready("ready").await;
    setting.booting("booting").await;
    setting.beat("ready", Reading::Busy(Signal::Queue)).await;
    let report = setting.sweep().await;
    assert_eq!((report.looked_at, report.items, report.failed), (2, vec![], vec![]));
    assert_eq!((setting.nudges.take(), setting.machines.actions()), (vec![], vec![]));
}
