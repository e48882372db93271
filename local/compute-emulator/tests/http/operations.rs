//! Operations: their shape, waiting for them, repeating requests, and forgetting.

use std::time::Duration;

use compute_emulator::ApiFaults;
use serde_json::Value;

use crate::world::{A, B, World, reason};

const REQUEST: &str = "5b0b8f8e-6a3c-4d53-9a8e-0c4f1a2b3c4d";

#[tokio::test]
async fn an_operation_looks_as_google_writes_it() {
    let world = World::new().await;
    let operation = world.accepted(&format!("{A}/start?requestId={REQUEST}&%24alt=json&%24apiVersion=v1"), "").await;
    let name = operation["name"].as_str().unwrap();
    let parts: Vec<&str> = name.split('-').collect();
    assert_eq!((parts.len(), parts[0], parts[1]), (5, "operation", "1783457784000"));
    assert_eq!([parts[2].len(), parts[3].len(), parts[4].len()], [13, 8, 8]);
    assert_eq!(operation["kind"], "compute#operation");
    assert_eq!(operation["clientOperationId"], REQUEST);
    assert_eq!(operation["insertTime"], "2026-07-07T13:56:24.000-07:00");
    assert_eq!(operation["zone"], "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a");
    let link = format!("https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a/operations/{name}");
    assert_eq!(operation["selfLink"], link);
    let target = format!("https://www.googleapis.com/compute/v1/projects/p/{A}");
    assert_eq!(operation["targetLink"], target);
    assert_eq!(operation["targetId"], world.instance(A).await["id"]);
    assert!(operation["id"].as_str().unwrap().parse::<u64>().is_ok());
    assert!(operation.get("startTime").is_none() && operation.get("endTime").is_none(), "it is only PENDING");
    world.clock.advance(Duration::from_millis(500));
    let running = world.again(&operation).await;
    assert_eq!(running["status"], "RUNNING");
    assert_eq!(running["startTime"], "2026-07-07T13:56:24.500-07:00");
    world.pass(12).await;
    assert_eq!(world.again(&operation).await["endTime"], "2026-07-07T13:56:36.000-07:00");
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_operation_and_does_nothing_more() {
    let world = World::new().await;
    let first = world.accepted(&format!("{A}/start?requestId={REQUEST}"), "").await;
    world.pass(12).await;
    world.accepted(&format!("{A}/stop"), "").await;
    world.pass(40).await;
    let again = world.accepted(&format!("{A}/start?requestId={REQUEST}"), "").await;
    assert_eq!(again["name"], first["name"]);
    assert_eq!(again["status"], "DONE");
    assert_eq!(world.status(A).await, "TERMINATED", "a late repeat wakes nothing");
}

#[tokio::test]
async fn a_request_id_that_is_none_or_stands_for_another_call_is_refused() {
    let world = World::new().await;
    world.accepted(&format!("{A}/start?requestId={REQUEST}"), "").await;
    let calls = [
        format!("{A}/start?requestId=00000000-0000-0000-0000-000000000000"),
        format!("{A}/start?requestId=once"),
        format!("{A}/stop?requestId={REQUEST}"),
        format!("{B}/start?requestId={REQUEST}"),
    ];
    for call in calls {
        let (status, reason, message) = world.refused(&call, "").await;
        assert_eq!((status, reason.as_str()), (400, "invalid"), "{call}");
        assert!(message.contains("'requestId'"), "{message}");
    }
    assert_eq!(world.status(B).await, "TERMINATED");
}

#[tokio::test]
async fn wait_answers_when_the_operation_is_done() {
    let world = World::new().await;
    let operation = world.accepted(&format!("{A}/start"), "").await;
    let wait = world.url(&format!("zones/us-central1-a/operations/{}/wait", operation["name"].as_str().unwrap()));
    let waiting = tokio::spawn(world.http.post(wait).send());
    world.pass(12).await;
    let answer: Value = waiting.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["status"], "DONE");
}

#[tokio::test]
async fn wait_gives_up_after_two_minutes_and_at_once_when_told_to() {
    let world = World::new().await;
    let ten_days = Duration::from_secs(10 * 24 * 3600);
    world.emulator.set_api_faults(ApiFaults { operation_delay: ten_days, ..ApiFaults::default() });
    let operation = world.accepted(&format!("{B}/start"), "").await;
    let wait = format!("zones/us-central1-b/operations/{}/wait", operation["name"].as_str().unwrap());
    let waiting = tokio::spawn(world.http.post(world.url(&wait)).send());
    // The two minutes begin when the call arrives: move the clock until it has answered.
    while !waiting.is_finished() {
        world.pass(60).await;
        world.status(B).await;
    }
    let answer: Value = waiting.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["status"], "RUNNING");
    assert_eq!(world.status(B).await, "RUNNING", "a slow operation does not slow what it tells of");

    world.emulator.set_api_faults(ApiFaults { wait_returns_early: true, ..ApiFaults::default() });
    let (status, early) = world.post(&wait, "").await;
    assert_eq!((status, early["status"].as_str()), (200, Some("RUNNING")));
}

#[tokio::test]
async fn an_operation_that_is_too_old_is_not_found() {
    let world = World::new().await;
    let operation = world.accepted(&format!("{A}/start?requestId={REQUEST}"), "").await;
    let rest = format!("zones/us-central1-a/operations/{}", operation["name"].as_str().unwrap());
    world.pass(13 * 24 * 3600).await;
    assert_eq!(world.get(&rest).await.0, 200);
    world.pass(2 * 24 * 3600).await;
    let (status, reason, message) = reason(world.get(&rest).await);
    assert_eq!((status, reason.as_str()), (404, "notFound"));
    assert_eq!(message, format!("The resource 'projects/p/{rest}' was not found"));
}
