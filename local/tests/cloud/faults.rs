//! A cloud that is not in a good mood: dry zones, messages repeated and lost, calls that are slow or fail.

use serde_json::{Value, json};

use crate::pilotlight::{A, Pilotlight};

#[tokio::test]
async fn a_quota_is_told_and_no_other_placement_is_tried() {
    let pilotlight = Pilotlight::start(&[]).await;
    pilotlight.switch(json!({"compute": {"quota_exceeded": true}})).await;
    pilotlight.press("start").await;
    let failed = pilotlight.until_phase("Failed").await;
    assert_eq!((&failed["failure"]["code"], &failed["failure"]["retry_at"]), (&json!("quota"), &Value::Null));
    assert_eq!(pilotlight.operations("start").await.len(), 1);
}

/// So often is one message pushed again.
const REPEATS: u64 = 100;

#[tokio::test]
async fn a_message_pushed_a_hundred_times_starts_one_machine_and_stops_it_once() {
    let pilotlight = Pilotlight::start(&[]).await;
    pilotlight.switch(json!({"queue": {"repeat": REPEATS}})).await;
    pilotlight.ready().await;
    pilotlight
        .wait("the repeats are through", async || repeated(&pilotlight).await.filter(|repeated| *repeated >= REPEATS))
        .await;
    assert_eq!(pilotlight.operations("start").await.len(), 1);
    assert_eq!(pilotlight.up().await, [A]);

    pilotlight.press("stop").await;
    pilotlight.until_phase("Stopped").await;
    pilotlight
        .wait("those too", async || repeated(&pilotlight).await.filter(|repeated| *repeated >= 2 * REPEATS))
        .await;
    assert_eq!((pilotlight.operations("start").await.len(), pilotlight.operations("stop").await.len()), (1, 1));
    let view = pilotlight.view().await;
    assert_eq!((&view["phase"], &view["run"]), (&json!("Stopped"), &json!(1)), "{view}");
}

/// How often nudges were pushed again, once none is waiting.
async fn repeated(pilotlight: &Pilotlight) -> Option<u64> {
    let queue = pilotlight.panel().await["queue"].clone();
    (queue["waiting"] == 0).then(|| queue["repeated"].as_u64().unwrap())
}

#[tokio::test]
async fn lost_messages_are_made_good_by_the_sweep() {
    let pilotlight = Pilotlight::start(&["--sweep-every", "30s"]).await;
    pilotlight.switch(json!({"queue": {"lose": 1.0}})).await;
    assert_eq!(pilotlight.press("start").await.status.as_u16(), 202);
    pilotlight.wait("the nudge is lost", async || lost(&pilotlight).await.filter(|lost| *lost > 0)).await;
    assert_eq!(pilotlight.view().await["phase"], "Placing");
    assert_eq!(pilotlight.operations("start").await, [Value::Null; 0], "nobody has told the worker");

    // Nobody presses anything from here on.
    pilotlight.switch(json!({"queue": {"lose": 0.0}})).await;
    pilotlight.until_phase("Ready").await;
    assert_eq!(pilotlight.operations("start").await.len(), 1);

    pilotlight.switch(json!({"queue": {"lose": 1.0}})).await;
    pilotlight.press("stop").await;
    // The machine hears it from its own heartbeat; that it is down, nobody hears.
    pilotlight.wait("the machine is down", async || pilotlight.up().await.is_empty().then_some(())).await;
    assert_eq!(pilotlight.view().await["phase"], "Stopping");
    pilotlight.switch(json!({"queue": {"lose": 0.0}})).await;
    let over = pilotlight.until_phase("Stopped").await;
    assert_eq!(over["last_stop"]["reason"], "User");
}

async fn lost(pilotlight: &Pilotlight) -> Option<u64> {
    pilotlight.panel().await["queue"]["lost"].as_u64()
}

#[tokio::test]
async fn calls_that_are_slow_or_fail_delay_a_run_and_double_nothing() {
    let pilotlight = Pilotlight::start(&["--sweep-every", "30s"]).await;
    pilotlight.switch(json!({"compute": {"delay_ms": 30, "fail": 0.3}})).await;
    pilotlight.ready().await;
    assert_eq!(pilotlight.up().await, [A]);
    pilotlight.press("stop").await;
    pilotlight.until_phase("Stopped").await;
    assert_eq!(pilotlight.up().await, [""; 0]);
    pilotlight.switch(json!({"compute": {"delay_ms": 0, "fail": 0.0}})).await;
    let ids: Vec<_> = pilotlight.operations("start").await.into_iter().map(|start| start["targetId"].clone()).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "one placement and no other: {ids:?}");
}
