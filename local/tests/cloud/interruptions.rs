//! Google takes the machine in the middle of a job: the run ends with its receipt, the next begins elsewhere, and what
//! waited in ComfyUI's queue is put back where somebody has agreed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::comfyui::{Guest, long_job};
use crate::pilotlight::{A, B, Pilotlight, walk};

const A_SPOT: &str = "comfyui-main-a-spot";
const B_SPOT: &str = "comfyui-main-b-spot";
/// A gateway looks at the queue more often than this; policy time.
const QUEUE_KEPT_WITHIN: i64 = 60;
/// One that runs, and two that wait.
const JOBS: usize = 3;

/// Starts, and gives it work: the names of the prompts, in order.
async fn ready_with_jobs(pilotlight: &Pilotlight) -> Vec<Value> {
    pilotlight.ready().await;
    let guest = Guest::enter(pilotlight).await;
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        let submitted = guest.ask(Method::POST, "/prompt", Some(long_job())).await;
        assert!(submitted.body["prompt_id"].is_string(), "{submitted:?}");
        ids.push(submitted.body["prompt_id"].clone());
    }
    pilotlight.until("it works", |view| view["working"] == "Queue").await;
    pilotlight.after(QUEUE_KEPT_WITHIN).await;
    assert_eq!(queue(&guest).await, ids);
    ids
}

/// Names of the prompts that ComfyUI has, the one that runs first.
async fn queue(guest: &Guest<'_>) -> Vec<Value> {
    let queue = guest.ask(Method::GET, "/queue", None).await.body;
    let of = |part: &str| queue[part].as_array().unwrap_or_else(|| panic!("{queue}")).clone();
    of("queue_running").into_iter().chain(of("queue_pending")).map(|entry| entry[1].clone()).collect()
}

async fn agree(pilotlight: &Pilotlight) {
    let agreed = pilotlight.post("/api/workspaces/main/preferences", json!({"restore_queue": true})).await;
    assert_eq!((agreed.status.as_u16(), &agreed.body["restore_queue"]), (200, &json!(true)), "{agreed:?}");
}

async fn restarted(pilotlight: &Pilotlight) -> Value {
    pilotlight.until("the next run is ready", |view| view["run"] == 2 && view["phase"] == "Ready").await
}

#[tokio::test]
async fn a_preempted_run_goes_on_elsewhere_and_its_queue_is_put_back_once_somebody_agrees() {
    let pilotlight = Pilotlight::start(&["--placements", "4", "--spot", "first"]).await;
    let ids = ready_with_jobs(&pilotlight).await;
    let before = pilotlight.view().await;
    assert_eq!(walk(&before), [(A_SPOT, "up")], "Spot is first");
    pilotlight.switch(json!({"instance": A_SPOT, "preempt": true})).await;

    let ready = restarted(&pilotlight).await;
    assert_eq!((walk(&ready), &ready["restarts"]), (vec![(B_SPOT, "up")], &json!(1)), "not where it was taken");
    assert_eq!(ready["hard_stop_at"], before["hard_stop_at"], "no restart makes it live longer");
    assert_eq!(pilotlight.operations("compute.instances.preempted").await.len(), 1);
    let receipt = &pilotlight.runs().await[0];
    assert_eq!((&receipt["run"], &receipt["reason"]), (&json!(1), &json!("Preempted")), "{receipt}");
    assert_eq!((walk(receipt), &receipt["signal"]), (vec![(A_SPOT, "preempted")], &json!("Queue")), "{receipt}");
    assert!(receipt["cost_usd"].as_f64() > Some(0.0), "{receipt}");
    let told = pilotlight.notice("run.preempted").await;
    assert_eq!(
        (&told["run"], &told["zone"], &told["host_error"], &told["restarting"]),
        (&json!(1), &json!("us-central1-a"), &json!(false), &json!(true))
    );

    // Nothing is put back that nobody has agreed to.
    let asks = pilotlight.until("it tells what is kept", |view| view["kept_prompts"] == JOBS).await;
    assert_eq!(asks["restore_queue"], false);
    let guest = Guest::enter(&pilotlight).await;
    assert_eq!(queue(&guest).await, [Value::Null; 0]);
    agree(&pilotlight).await;
    pilotlight.wait("the prompts are back", async || (queue(&guest).await.len() >= JOBS).then_some(())).await;
    pilotlight.until("nothing is kept any more", |view| view["kept_prompts"] == 0).await;
    assert_eq!(queue(&guest).await, ids, "each once, in their order");
}

#[tokio::test]
async fn a_run_whose_host_breaks_goes_on_elsewhere_with_its_queue() {
    let pilotlight = Pilotlight::start(&[]).await;
    agree(&pilotlight).await;
    let ids = ready_with_jobs(&pilotlight).await;
    pilotlight.switch(json!({"instance": A, "host_error": true})).await;

    let ready = restarted(&pilotlight).await;
    assert_eq!((walk(&ready), &ready["restarts"]), (vec![(B, "up")], &json!(1)));
    let receipt = &pilotlight.runs().await[0];
    assert_eq!((&receipt["reason"], walk(receipt)), (&json!("HostError"), vec![(A, "preempted")]), "{receipt}");
    let told = pilotlight.notice("run.preempted").await;
    assert_eq!((&told["host_error"], &told["restarting"]), (&json!(true), &json!(true)));
    let guest = Guest::enter(&pilotlight).await;
    pilotlight.wait("the prompts are back", async || (queue(&guest).await.len() >= JOBS).then_some(())).await;
    pilotlight.after(QUEUE_KEPT_WITHIN).await;
    assert_eq!(queue(&guest).await, ids, "each once, in their order");

    pilotlight.press("stop").await;
    pilotlight.until_phase("Stopped").await;
    let runs = pilotlight.runs().await;
    assert_eq!((&runs[0]["run"], &runs[0]["restart_of"]), (&json!(2), &json!(1)), "{runs:?}");
    assert_eq!(pilotlight.up().await, [""; 0], "the broken one does not come back by itself");
    let view = pilotlight.ready().await;
    assert_eq!((&view["kept_prompts"], &view["restarts"]), (&json!(0), &json!(0)), "it ended in order");
}

#[tokio::test]
async fn a_run_that_is_stopped_when_google_takes_its_machine_does_not_go_on() {
    let pilotlight = Pilotlight::start(&[]).await;
    pilotlight.ready().await;
    pilotlight.press("stop").await;
    // Too late where it is down already, which is as well.
    pilotlight.post("/local/faults", json!({"instance": A, "preempt": true})).await;
    pilotlight.until_phase("Stopped").await;
    let view = pilotlight.after(2 * QUEUE_KEPT_WITHIN).await;
    assert_eq!((&view["phase"], &view["run"]), (&json!("Stopped"), &json!(1)), "{view}");
    assert_eq!(pilotlight.notices("run.preempted").await, [Value::Null; 0]);
}
