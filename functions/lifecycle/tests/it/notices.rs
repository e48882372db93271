//! What people are told though nobody looks: once, and again only where it has surely not arrived.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{InstanceStatus, NOTICE_TRIES_MAX, Phase, Policy, Role, Seconds, Workspace};
use lifecycle::Attended;
use platform::notify::{Delivery, Notifier, NotifyError};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::setting::{Setting, workspace};

const MAIN: &str = "/api/workspaces/main";

fn notified() -> Setting {
    Setting::of(Workspace { policy: Policy { notify: true, ..Policy::default() }, ..workspace() })
}

/// The types of what was taken, in order.
fn taken(setting: &Setting) -> Vec<String> {
    let kind = |body: &str| {
        let event: Value = serde_json::from_str(body).unwrap();
        event["type"].as_str().unwrap().to_owned()
    };
    setting.notifier.taken().iter().map(|delivery| kind(&delivery.body)).collect()
}

#[tokio::test]
async fn a_life_is_told_of_in_its_order_each_turn_once() {
    let setting = notified();
    setting.ready().await;
    setting.attend().await;
    assert_eq!(taken(&setting), ["run.ready"]);
    setting.attend().await;
    setting.ask("POST", &format!("{MAIN}/stop"), Role::User, None).await;
    setting.attend().await;
    assert_eq!(taken(&setting), ["run.ready", "run.stopped"], "the receipt goes out in the visit that ends the run");
    let receipt: Value = serde_json::from_str(&setting.notifier.taken()[1].body).unwrap();
    assert_eq!((&receipt["data"]["workspace"], &receipt["data"]["run"]), (&json!("main"), &json!(1)), "{receipt}");
    assert_eq!(setting.record().await.notices, []);
}

#[tokio::test]
async fn what_becomes_true_asks_for_a_visit_by_itself() {
    let setting = notified();
    setting.ready().await;
    assert_eq!(setting.nudges.0.lock().unwrap().len(), 2, "the start, and that it is ready");
}

#[tokio::test]
async fn no_capacity_and_an_interruption_are_told_of() {
    let setting = notified();
    for zone in ["us-central1-a", "us-central1-b"] {
        setting.machines.set_dry(zone, true);
    }
    setting.ask("POST", &format!("{MAIN}/start"), Role::User, None).await;
    setting.attend().await;
    assert_eq!(taken(&setting), ["run.no_capacity"]);
    for zone in ["us-central1-a", "us-central1-b"] {
        setting.machines.set_dry(zone, false);
    }
    setting.ready().await;
    setting.attend().await;
    let body =
        json!({"workspace": "main", "run": 2, "comfyui_up": true, "reading": {"state": "idle"}, "preempted": true});
    setting.bear("/vm/heartbeat", &setting.vm("comfy-a", "us-central1-a"), body).await;
    setting.machines.set_status("comfy-a", InstanceStatus::Down);
    setting.attend().await;
    assert_eq!(taken(&setting), ["run.no_capacity", "run.ready", "run.preempted"]);
}

#[tokio::test]
async fn what_was_surely_not_taken_is_sent_again_later_as_the_same_event() {
    let setting = notified();
    let not_delivered = || NotifyError::NotDelivered { why: "answered 503".into(), retry_after: Some(Seconds(120)) };
    setting.notifier.fail_next([not_delivered()]);
    setting.ready().await;
    setting.attend().await;
    assert_eq!(taken(&setting), Vec::<String>::new());
    let waiting = setting.record().await.notices;
    assert_eq!((waiting.len(), waiting[0].tries), (1, 1));
    setting.attend().await;
    assert_eq!(setting.notifier.tried().len(), 1, "not before its time");
    setting.clock.leap(Seconds(120));
    setting.attend().await;
    assert_eq!(taken(&setting), ["run.ready"]);
    let tried = setting.notifier.tried();
    assert_eq!(tried[0].id, tried[1].id);
}

#[tokio::test]
async fn what_is_in_doubt_or_refused_is_not_sent_again_and_nothing_is_tried_for_ever() {
    for failure in [NotifyError::InDoubt { why: "silence".into() }, NotifyError::Refused { why: "answered 410".into() }]
    {
        let setting = notified();
        setting.notifier.fail_next([failure]);
        setting.ready().await;
        setting.attend().await;
        setting.clock.leap(Seconds::hours(2));
        setting.attend().await;
        assert_eq!(setting.notifier.tried().len(), 1);
    }
    let setting = notified();
    let never = || NotifyError::NotDelivered { why: "refused".into(), retry_after: None };
    setting.notifier.fail_next((0..40).map(|_| never()));
    setting.ready().await;
    for _ in 0..20 {
        setting.attend().await;
        setting.clock.leap(Seconds::hours(1));
        setting.beat("comfy-a", Some(1), json!({"state": "busy", "signal": "Queue"}), true).await;
        if setting.record().await.phase != Phase::Ready {
            break;
        }
    }
    let ids: Vec<_> = setting.notifier.tried().into_iter().map(|delivery| delivery.id).collect();
    let first = ids.iter().filter(|id| **id == ids[0]).count();
    assert_eq!(first, usize::from(NOTICE_TRIES_MAX));
}

#[tokio::test]
async fn two_visits_at_once_tell_it_once() {
    let setting = notified();
    setting.ready().await;
    let other = setting.again_as(setting.workspace.clone());
    tokio::join!(setting.attend(), other.attend());
    assert_eq!(taken(&setting).len() + taken(&other).len(), 1);
}

#[tokio::test]
async fn nobody_is_told_where_nobody_wants_to_be() {
    let setting = Setting::new();
    setting.ready().await;
    setting.attend().await;
    assert_eq!((setting.record().await.notices, setting.notifier.tried()), (Vec::new(), Vec::new()));
}

/// Takes its time over each notice.
#[derive(Debug, Default)]
struct Slow {
    begun: Notify,
    may_end: Notify,
}

#[async_trait]
impl Notifier for Slow {
    async fn send(&self, _delivery: &Delivery) -> Result<(), NotifyError> {
        self.begun.notify_one();
        self.may_end.notified().await;
        Ok(())
    }
}

#[tokio::test]
async fn a_nudge_that_comes_while_the_last_notice_is_sent_is_not_lost() {
    let setting = notified();
    setting.ready().await;
    let slow = Arc::new(Slow::default());
    let telling = setting.telling(slow.clone());
    let meanwhile = async {
        slow.begun.notified().await;
        // The rounds of the visit are over: the machine is as it should be.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        setting.ask("POST", &format!("{MAIN}/stop"), Role::User, None).await;
        assert_eq!(telling.attend().await, Attended::Joined);
        slow.may_end.notify_one();
        // The receipt.
        slow.begun.notified().await;
        slow.may_end.notify_one();
    };
    let (attended, ()) = tokio::join!(telling.attend(), meanwhile);
    assert_eq!((attended, setting.record().await.phase), (Attended::Agreed, Phase::Stopped));
}
