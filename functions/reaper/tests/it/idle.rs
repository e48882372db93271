//! What is stopped for being idle, when, and above all what is not.

use domain::{Event, Phase, Policy, Reading, Seconds, Signal, StopReason};

use crate::setting::{Setting, drained, less, nudged, stopped};

const IDLE: Reading = Reading::Idle { last: None };

#[tokio::test]
async fn only_what_is_idle_and_due_is_drained() {
    let survivors = ["busy", "opened", "stopped", "unsure"];
    let setting = Setting::new(&["busy", "idle", "opened", "silent", "stopped", "unsure"]);
    for name in ["busy", "idle", "silent", "unsure"] {
        setting.ready(name).await;
    }
    setting.leap(Seconds::minutes(25));
    setting.beat("unsure", IDLE).await;
    setting.leap(Seconds(295));
    setting.beat("idle", IDLE).await;
    setting.beat("busy", Reading::Busy(Signal::Gpu)).await;
    setting.leap(Seconds(5));
    // Its machine speaks, but ComfyUI has not answered it: nobody knows.
    setting.beat("unsure", Reading::Unknown).await;
    setting.ready("opened").await;
    let mut before = Vec::new();
    for name in survivors {
        before.push(setting.record(name).await);
    }

    assert_eq!(setting.swept().await, [drained("idle"), drained("silent")]);

    let (idle, silent) = (setting.record("idle").await, setting.record("silent").await);
    assert_eq!((idle.phase, idle.ending), (Phase::Draining, Some(StopReason::Idle)));
    assert_eq!((silent.phase, silent.ending), (Phase::Draining, Some(StopReason::Silent)));
    for (name, before) in survivors.iter().zip(before) {
        assert_eq!(setting.record(name).await, before, "{name}");
    }
    assert_eq!(setting.machines.actions(), []);
}

#[tokio::test]
async fn a_machine_of_which_nothing_is_known_is_busy_until_the_silence_limit() {
    let setting = Setting::new(&["main"]);
    let policy = Policy::default();
    setting.ready("main").await;
    // Heard a minute before its deadline, and then no more.
    setting.leap(less(policy.idle_limit, Seconds(120)));
    setting.beat("main", IDLE).await;
    setting.leap(Seconds(120));
    for _ in 0..8 {
        assert_eq!(setting.swept().await.iter().filter(|swept| **swept != nudged("main")).count(), 0);
        assert_eq!(setting.record("main").await.phase, Phase::Ready);
        setting.leap(Seconds(60));
    }
    setting.leap(policy.silence_limit);
    assert_eq!(setting.swept().await, [drained("main")]);
    setting.leap(policy.drain);
    assert_eq!(setting.swept().await, [stopped("main")]);
    assert_eq!(setting.record("main").await.ending, Some(StopReason::Silent));
}

#[tokio::test]
async fn a_run_is_stopped_when_its_announcement_is_over_and_not_before() {
    let setting = Setting::new(&["main"]);
    setting.idle(&["main"]).await;
    assert_eq!(setting.swept().await, [drained("main")]);
    let ends = setting.record("main").await.drain_ends_at.unwrap();

    setting.clock.set(ends - Seconds(1));
    setting.happen("main", Event::KeepAlive { person_at: None }).await;
    setting.beat("main", IDLE).await;
    assert_eq!(setting.swept().await, []);
    assert_eq!(setting.record("main").await.phase, Phase::Draining);

    setting.clock.set(ends);
    assert_eq!(setting.swept().await, [stopped("main")]);
    assert_eq!(setting.nudges.take(), ["main"], "its worker is asked to take the machine down");
    assert_eq!(setting.record("main").await.ending, Some(StopReason::Idle));
}

#[tokio::test]
async fn a_run_that_nobody_came_for_is_stopped_for_that() {
    let setting = Setting::new(&["main"]);
    setting.booting("main").await;
    setting.beat("main", IDLE).await;
    let half = Seconds(Policy::default().arrival_limit.0 / 2);
    setting.leap(half);
    setting.beat("main", IDLE).await;
    setting.leap(less(half, Seconds(5)));
    assert_eq!(setting.swept().await, []);
    setting.beat("main", IDLE).await;
    setting.leap(Seconds(5));
    assert_eq!(setting.swept().await, [drained("main")]);
    assert_eq!(setting.record("main").await.ending, Some(StopReason::NeverOpened));
}

#[tokio::test]
async fn the_hard_end_comes_though_it_is_busy() {
    let setting = Setting::new(&["main"]);
    let policy = Policy::default();
    setting.ready("main").await;
    setting.leap(less(policy.hard_limit, policy.drain));
    setting.beat("main", Reading::Busy(Signal::Queue)).await;
    assert_eq!(setting.record("main").await.phase, Phase::Draining, "announced by the heartbeat already");
    setting.leap(policy.drain);
    assert_eq!(setting.swept().await, [stopped("main")]);
    assert_eq!(setting.record("main").await.ending, Some(StopReason::HardLimit));
}
