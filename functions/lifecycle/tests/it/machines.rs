//! What VMs and Pub/Sub may say, and how they are refused.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use domain::{InstanceStatus, Phase, Role, Seconds, StopReason};
use platform::clock::Clock;
use serde_json::{Value, json};

use crate::setting::{AUDIENCE, PUSH_EMAIL, Setting, VM_EMAIL};

fn envelope(data: &Value) -> Value {
    let data = base64::engine::general_purpose::STANDARD.encode(data.to_string());
    json!({"message": {"data": data, "messageId": "1", "message_id": "1", "publishTime": "2026-11-22T18:00:00Z", "attributes": {}},
        "subscription": "projects/p/subscriptions/s"})
}

#[tokio::test]
async fn a_vm_asks_for_its_run_and_then_makes_it_ready() {
    let setting = Setting::new();
    setting.ask("POST", "/api/workspaces/main/start", Role::User, None).await;
    setting.attend().await;
    let hello = setting.beat("comfy-a", None, json!({"state": "unknown"}), false).await;
    assert_eq!((hello.status, &hello.body["run"], &hello.body["wish"]), (StatusCode::OK, &json!(1), &json!("Running")));
    let up = setting.beat("comfy-a", Some(1), json!({"state": "idle"}), true).await;
    assert_eq!(up.body["phase"], "Ready");
    assert!(up.body["stop_at"].is_string() && up.body["hard_stop_at"].is_string());
}

#[tokio::test]
async fn a_job_in_the_queue_keeps_the_machine_alive_and_the_page_says_so() {
    let setting = Setting::new();
    setting.ready().await;
    for _ in 0..100 {
        setting.clock.leap(Seconds(30));
        setting.beat("comfy-a", Some(1), json!({"state": "busy", "signal": "Queue"}), true).await;
    }
    let record = setting.record().await;
    assert_eq!(record.phase, Phase::Ready);
    assert!(record.stop_at.unwrap() > setting.clock.now() + Seconds::minutes(28));
    let view = setting.ask("GET", "/api/workspaces/main", Role::User, None).await.body;
    assert_eq!(view["active_because"], "Queue");
}

#[tokio::test]
async fn an_idle_run_is_announced_then_stopped_by_heartbeats_alone() {
    let setting = Setting::new();
    setting.ready().await;
    let idle = json!({"state": "idle"});
    setting.clock.leap(setting.workspace.policy.arrival_limit);
    let draining = setting.beat("comfy-a", Some(1), idle.clone(), true).await;
    assert_eq!(draining.body["phase"], "Draining");
    assert!(draining.body["announce"].as_str().unwrap().contains("3 minutes"), "{draining:?}");
    setting.clock.leap(setting.workspace.policy.drain);
    let stopping = setting.beat("comfy-a", Some(1), idle, true).await;
    assert_eq!((&stopping.body["phase"], &stopping.body["wish"]), (&json!("Stopping"), &json!("Stopped")));
    setting.attend().await;
    assert_eq!(setting.record().await.last_stop.unwrap().reason, StopReason::NeverOpened);
}

#[tokio::test]
async fn a_vm_that_cannot_set_itself_up_ends_its_run_and_its_last_words_reach_the_page() {
    let setting = Setting::new();
    setting.ask("POST", "/api/workspaces/main/start", Role::User, None).await;
    setting.attend().await;
    let boot = |percent: u8, detail: &str, failed: bool| {
        let boot = json!({"step": "installing", "percent": percent, "detail": detail, "failed": failed});
        json!({"workspace": "main", "run": 1, "comfyui_up": false, "reading": {"state": "unknown"}, "boot": boot})
    };
    let vm = setting.vm("comfy-a", "us-central1-a");
    let goes_well = setting.bear("/vm/heartbeat", &vm, boot(40, "pip", false)).await;
    assert_eq!(goes_well.body["phase"], "Booting");
    let words = "pip: no space left\non device";
    let failed = setting.bear("/vm/heartbeat", &vm, boot(0, words, true)).await;
    assert_eq!((&failed.body["phase"], &failed.body["wish"]), (&json!("Stopping"), &json!("Stopped")));
    setting.attend().await;
    let view = setting.ask("GET", "/api/workspaces/main", Role::User, None).await.body;
    assert_eq!((&view["phase"], &view["last_stop"]["reason"]), (&json!("Failed"), &json!("StartFailed")));
    assert_eq!((&view["failure"]["code"], &view["failure"]["detail"]), (&json!("boot_failed"), &json!(words)));
    assert!(view["failure"]["hint"].as_str().unwrap().contains("installed what it needs"), "{view}");
    let runs = setting.ask("GET", "/api/workspaces/main/runs", Role::User, None).await.body;
    assert_eq!(runs["runs"][0]["failure"], "BootFailed");
}

#[tokio::test]
async fn a_vm_that_is_taken_back_ends_its_run_when_it_is_down_and_says_why() {
    let setting = Setting::new();
    setting.ready().await;
    let body =
        json!({"workspace": "main", "run": 1, "comfyui_up": true, "reading": {"state": "idle"}, "preempted": true});
    let reply = setting.bear("/vm/heartbeat", &setting.vm("comfy-a", "us-central1-a"), body).await;
    assert_eq!(reply.status, StatusCode::OK);
    setting.attend().await;
    assert_eq!(setting.record().await.phase, Phase::Ready, "the word alone stops nothing");
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    setting.attend().await;
    assert_eq!(setting.record().await.last_stop.unwrap().reason, StopReason::Preempted);
}

#[tokio::test]
async fn a_vm_that_is_not_the_one_is_refused() {
    let setting = Setting::new();
    setting.ready().await;
    let body = json!({"workspace": "main", "run": 1, "comfyui_up": true, "reading": {"state": "idle"}});
    let claim = |project: &str, zone: &str, id: &str, name: &str| json!({"compute_engine": {"project_id": project, "zone": zone, "instance_id": id, "instance_name": name}});
    let id = setting.machines.instance_id("comfy-a").to_string();
    for google in [
        json!(null),
        claim("other", "us-central1-a", &id, "comfy-a"),
        claim("p", "us-central1-b", &id, "comfy-a"),
        claim("p", "us-central1-a", "12345", "comfy-a"),
        claim("p", "us-central1-a", "not a number", "comfy-a"),
        claim("p", "us-central1-a", &id, "comfy-z"),
    ] {
        let token = setting.google(VM_EMAIL, AUDIENCE, google.clone());
        let answer = setting.bear("/vm/heartbeat", &token, body.clone()).await;
        answer.refused(403, "wrong_instance");
    }
    // The other placement of the same workspace is not the one in use.
    setting
        .beat("comfy-b", Some(1), json!({"state": "busy", "signal": "Queue"}), true)
        .await
        .refused(403, "wrong_instance");
}

#[tokio::test]
async fn a_heartbeat_of_another_run_is_refused() {
    let setting = Setting::new();
    setting.ready().await;
    setting.beat("comfy-a", Some(7), json!({"state": "idle"}), true).await.refused(409, "wrong_run");
}

#[tokio::test]
async fn a_caller_that_is_not_google_or_not_the_right_one_is_refused() {
    let setting = Setting::new();
    let nudge = envelope(&json!({"workspace": "main"}));
    for path in ["/push/nudge", "/push/compute-events", "/vm/heartbeat"] {
        let body = if path == "/vm/heartbeat" {
            json!({"workspace": "main", "run": null, "comfyui_up": true, "reading": {"state": "idle"}})
        } else {
            nudge.clone()
        };
        let bare =
            Request::post(path).header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        setting.send(bare).await.refused(401, "no_identity");
        setting.bear(path, "garbage", body.clone()).await.refused(401, "invalid_identity");
        let stranger = setting.google("stranger@example.com", AUDIENCE, json!(null));
        setting.bear(path, &stranger, body.clone()).await.refused(403, "wrong_caller");
        let elsewhere = setting.google(PUSH_EMAIL, "https://elsewhere.example.com", json!(null));
        setting.bear(path, &elsewhere, body.clone()).await.refused(403, "wrong_caller");
        // Somebody who is signed in is no machine.
        setting.bear(path, &setting.person(Role::Admin), body).await.refused(403, "wrong_caller");
    }
    assert_eq!(setting.machines.actions(), []);
}

#[tokio::test]
async fn a_heartbeat_of_the_wrong_shape_is_told_so() {
    let setting = Setting::new();
    let token = setting.vm("comfy-a", "us-central1-a");
    let good = json!({"workspace": "main", "run": 1, "comfyui_up": true, "reading": {"state": "idle"}});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for wrong in [
        with("mood", json!("fine")),
        with("run", json!("1")),
        with("reading", json!({"state": "sleepy"})),
        with("reading", json!({"state": "busy", "signal": "Coffee"})),
        with("boot", json!({"step": "brewing", "percent": 5})),
        with("boot", json!({"step": "booting", "percent": 500})),
    ] {
        setting.bear("/vm/heartbeat", &token, wrong).await.refused(400, "invalid_body");
    }
    setting.bear("/vm/heartbeat", &token, with("workspace", json!("other"))).await.refused(404, "no_such_workspace");
}

#[tokio::test]
async fn a_nudge_is_attended_and_a_message_nobody_understands_is_dropped() {
    let setting = Setting::new();
    let token = setting.google(PUSH_EMAIL, AUDIENCE, json!(null));
    setting.ask("POST", "/api/workspaces/main/start", Role::User, None).await;
    let answer = setting.bear("/push/nudge", &token, envelope(&json!({"workspace": "main"}))).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(setting.record().await.phase, Phase::Booting);
    for odd in [
        envelope(&json!({"workspace": "nowhere"})),
        envelope(&json!([1, 2])),
        json!({"hello": 1}),
        json!({"message": {"data": "%%%", "messageId": "1"}, "subscription": "s"}),
    ] {
        assert_eq!(setting.bear("/push/nudge", &token, odd).await.status, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn a_nudge_that_cannot_be_attended_now_comes_again() {
    let setting = Setting::new();
    let token = setting.google(PUSH_EMAIL, AUDIENCE, json!(null));
    setting.machines.fail_looks(1);
    setting.bear("/push/nudge", &token, envelope(&json!({"workspace": "main"}))).await.refused(503, "unavailable");
}
