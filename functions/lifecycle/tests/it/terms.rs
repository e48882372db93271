//! On what terms a workspace is started, restarted and moved, as its people see it.

use axum::http::StatusCode;
use domain::{
    Budget, FailureCode, InstanceStatus, MicroUsd, Outcome, Phase, Policy, Record, Role, Seconds, StopReason, Workspace,
};
use lifecycle::Attended;
use platform::clock::Clock;
use serde_json::json;

use crate::setting::{Answer, Setting, workspace};

const MAIN: &str = "/api/workspaces/main";

async fn post(setting: &Setting, path: &str, role: Role, body: serde_json::Value) -> Answer {
    setting.ask("POST", &format!("{MAIN}/{path}"), role, Some(body)).await
}

fn under(policy: Policy) -> Setting {
    Setting::of(Workspace { policy, ..workspace() })
}

fn dry(setting: &Setting, dry: bool) {
    for zone in ["us-central1-a", "us-central1-b"] {
        setting.machines.set_dry(zone, dry);
    }
}

#[tokio::test]
async fn a_start_may_ask_to_go_on_trying_and_for_nothing_else() {
    let setting = Setting::new();
    for (body, code) in [
        (json!({"keep_trying_minutes": 0}), "invalid_body"),
        (json!({"keep_trying_minutes": 2881}), "invalid_body"),
        (json!({"keep_trying_minutes": -1}), "invalid_body"),
        (json!({"keep_trying": 5}), "invalid_body"),
        (json!([]), "invalid_body"),
    ] {
        post(&setting, "start", Role::User, body).await.refused(400, code);
    }
    assert_eq!(setting.record().await, Record::default());
    for body in [json!({}), json!({"keep_trying_minutes": null})] {
        let answer = post(&setting, "start", Role::User, body).await;
        assert_eq!((answer.status, &answer.body["keep_trying"]), (StatusCode::ACCEPTED, &json!(null)));
    }
    let patient = post(&setting, "start", Role::User, json!({"keep_trying_minutes": 2880})).await;
    assert_eq!(patient.body["keep_trying"]["rounds"], 0, "{patient:?}");
}

#[tokio::test]
async fn with_all_zones_dry_a_patient_start_waits_and_comes_up_when_one_has_a_machine() {
    let setting = Setting::new();
    dry(&setting, true);
    post(&setting, "start", Role::User, json!({"keep_trying_minutes": 60})).await;
    for round in 1..=3 {
        assert_eq!(setting.attend().await, Attended::Agreed, "left to the reaper in the end");
        let record = setting.record().await;
        assert_eq!(record.phase, Phase::Placing);
        assert!(record.walk.rounds >= round, "{:?}", record.walk);
        let again = record.walk.not_before.unwrap();
        assert_eq!(domain::due_at(&record, &setting.workspace.policy), Some(again), "the reaper comes in time");
        setting.clock.leap(again.since(setting.clock.now()));
    }
    let waiting = setting.ask("GET", MAIN, Role::Viewer, None).await.body;
    assert!(waiting["walk"].as_array().unwrap().iter().all(|attempt| attempt["outcome"] == "dry"), "{waiting}");
    assert!(waiting["walk"].as_array().unwrap().len() >= 6);
    dry(&setting, false);
    assert_eq!(setting.attend().await, Attended::Agreed);
    let record = setting.record().await;
    assert_eq!((record.phase, record.run), (Phase::Booting, 1), "the same run");
    assert_eq!(record.walk.attempts.last().unwrap().outcome, Outcome::Up);
}

#[tokio::test]
async fn patience_ends_at_its_time_and_can_be_taken_back_before() {
    let setting = Setting::new();
    dry(&setting, true);
    let ends = setting.clock.now() + Seconds::minutes(3);
    post(&setting, "start", Role::User, json!({"keep_trying_minutes": 3})).await;
    while setting.record().await.phase == Phase::Placing {
        setting.attend().await;
        setting.clock.leap(Seconds(30));
        assert!(setting.clock.now() < ends + Seconds::minutes(10), "it never ends");
    }
    let record = setting.record().await;
    assert_eq!((record.phase, record.failure.unwrap().code), (Phase::Failed, FailureCode::StockOut));
    let shown = setting.ask("GET", MAIN, Role::Viewer, None).await.body;
    assert_eq!(shown["failure"]["can_keep_trying"], true);

    post(&setting, "start", Role::User, json!({"keep_trying_minutes": 60})).await;
    setting.attend().await;
    setting.ask("POST", &format!("{MAIN}/stop"), Role::User, None).await;
    setting.attend().await;
    assert_eq!(setting.record().await.phase, Phase::Stopped);
}

#[tokio::test]
async fn a_preempted_run_is_followed_by_another_on_the_next_placement_with_the_disk() {
    let setting = Setting::new();
    setting.ready().await;
    let told = setting.beat("comfy-a", Some(1), json!({"state": "busy", "signal": "Queue"}), true).await;
    assert_eq!(told.body["restore_queue"], false);
    post(&setting, "preferences", Role::User, json!({"restore_queue": true})).await;
    let preempted = json!({"workspace": "main", "run": 1, "comfyui_up": true, "reading": {"state": "unknown"},
        "preempted": true, "kept_prompts": 3});
    let answer = setting.bear("/vm/heartbeat", &setting.vm("comfy-a", "us-central1-a"), preempted).await;
    assert_eq!(answer.body["restore_queue"], true, "{answer:?}");
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    assert_eq!(setting.attend().await, Attended::Agreed);
    let record = setting.record().await;
    assert_eq!((record.phase, record.run, record.placement.as_deref()), (Phase::Booting, 2, Some("comfy-b")));
    let runs = setting.ask("GET", &format!("{MAIN}/runs"), Role::Viewer, None).await.body;
    assert_eq!((&runs["runs"][0]["reason"], &runs["runs"][0]["started_by"]), (&json!("Preempted"), &json!("ada")));
    assert_eq!(runs["runs"][0]["walk"][0]["outcome"], "preempted");
    let view = setting.ask("GET", MAIN, Role::Viewer, None).await.body;
    assert_eq!(
        (&view["restarts"], &view["kept_prompts"], &view["restore_queue"]),
        (&json!(1), &json!(3), &json!(true))
    );
    assert_eq!(view["last_stop"]["reason"], "Preempted");
}

#[tokio::test]
async fn preferences_are_for_those_who_may_use_it_and_say_exactly_one_thing() {
    let setting = Setting::new();
    post(&setting, "preferences", Role::Viewer, json!({"restore_queue": true})).await.refused(403, "role_may_not");
    post(&setting, "preferences", Role::User, json!({})).await.refused(400, "invalid_body");
    post(&setting, "preferences", Role::User, json!({"restore_queue": true, "more": 1}))
        .await
        .refused(400, "invalid_body");
    let answer = post(&setting, "preferences", Role::User, json!({"restore_queue": true})).await;
    assert_eq!((answer.status, &answer.body["restore_queue"]), (StatusCode::OK, &json!(true)));
}

/// Zone `a` holds the disk, and does not answer any more.
async fn with_a_zone_gone() -> Setting {
    let setting = Setting::new();
    setting.machines.set_gone("us-central1-a", true);
    setting.ask("POST", &format!("{MAIN}/start"), Role::User, None).await;
    setting.attend().await;
    setting
}

#[tokio::test]
async fn a_disk_in_a_zone_that_does_not_answer_is_not_taken_without_an_admins_word() {
    let setting = with_a_zone_gone().await;
    let record = setting.record().await;
    let failure = record.failure.clone().unwrap();
    assert_eq!((record.phase, failure.code), (Phase::Failed, FailureCode::ZoneGone), "{record:?}");
    assert_eq!(failure.zone.as_deref(), Some("us-central1-a"));
    assert_eq!(setting.machines.actions(), []);
    let lost = json!({"lost_zone": "us-central1-a"});
    post(&setting, "move-disk", Role::User, lost.clone()).await.refused(403, "role_may_not");
    post(&setting, "move-disk", Role::Admin, json!({"lost_zone": "us-central1-b"}))
        .await
        .refused(409, "nothing_to_move");
    assert_eq!(setting.record().await, record, "nothing has come of it");
    let answer = post(&setting, "move-disk", Role::Admin, lost).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    setting.attend().await;
    let record = setting.record().await;
    assert_eq!((record.phase, record.placement.as_deref()), (Phase::Booting, Some("comfy-b")));
    let forced = domain::Action::ForceAttachDisk { instance: "comfy-b".into() };
    assert!(setting.machines.actions().contains(&forced), "{:?}", setting.machines.actions());
}

#[tokio::test]
async fn a_disk_is_not_moved_by_force_where_nothing_stands_in_its_way() {
    let setting = Setting::new();
    post(&setting, "move-disk", Role::Admin, json!({"lost_zone": "us-central1-a"}))
        .await
        .refused(409, "nothing_to_move");
}

#[tokio::test]
async fn a_used_up_budget_refuses_starts_with_the_sums_and_lets_an_admin_start() {
    let budget = Budget { monthly: Some(MicroUsd(500_000)), ..Budget::default() };
    let setting = under(Policy { budget, ..Policy::default() });
    setting.ready().await;
    setting.clock.leap(Seconds::minutes(50));
    let view = setting.ask("GET", MAIN, Role::Viewer, None).await.body;
    assert_eq!((&view["budget"]["used_up"], &view["budget"]["monthly_usd"]), (&json!(true), &json!(0.5)), "{view}");
    post(&setting, "extend", Role::User, json!({"minutes": 30})).await.refused(409, "budget_used_up");
    let busy = json!({"state": "busy", "signal": "Queue"});
    let told = setting.beat("comfy-a", Some(1), busy, true).await.body;
    assert_eq!((&told["wish"], told["announce"].as_str().unwrap().contains("budget")), (&json!("Running"), true));
    setting.clock.leap(Seconds::minutes(5));
    let drained = setting.beat("comfy-a", Some(1), json!({"state": "idle"}), true).await.body;
    assert_eq!(drained["phase"], "Draining", "{drained}");
    setting.clock.leap(setting.workspace.policy.drain);
    setting.beat("comfy-a", Some(1), json!({"state": "idle"}), true).await;
    setting.attend().await;
    assert_eq!(setting.record().await.last_stop.unwrap().reason, StopReason::Budget);
    let refused = setting.ask("POST", &format!("{MAIN}/start"), Role::User, None).await;
    refused.refused(409, "budget_used_up");
    assert!(refused.body["detail"].as_str().unwrap().contains("of the $0.50"), "{refused:?}");
    assert_eq!(setting.ask("POST", &format!("{MAIN}/start"), Role::Admin, None).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn what_a_user_may_spend_counts_over_all_that_user_has_started() {
    let budget = Budget { per_user: Some(MicroUsd(300_000)), ..Budget::default() };
    let setting = under(Policy { budget, ..Policy::default() });
    setting.ready().await;
    setting.clock.leap(Seconds::minutes(30));
    setting.ask("POST", &format!("{MAIN}/stop"), Role::User, None).await;
    setting.attend().await;
    assert_eq!(setting.record().await.by_user[0].user, "ada");
    let refused = setting.ask("POST", &format!("{MAIN}/start"), Role::User, None).await;
    refused.refused(409, "budget_used_up");
    assert!(refused.body["detail"].as_str().unwrap().contains("for you"), "{refused:?}");
}
