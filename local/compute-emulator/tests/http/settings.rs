//! Metadata, labels, scheduling; fingerprints.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::json;

use crate::world::{A, B, World};

#[tokio::test]
async fn metadata_is_replaced_by_who_has_seen_it() {
    let world = World::new().await;
    let before = world.instance(A).await;
    let fingerprint = before["metadata"]["fingerprint"].as_str().unwrap();
    assert_eq!(URL_SAFE.decode(fingerprint).unwrap().len(), 8);
    let body = json!({"fingerprint": fingerprint, "items": [{"key": "lease", "value": "7"}]}).to_string();
    let operation = world.accepted(&format!("{A}/setMetadata"), &body).await;
    assert_eq!(operation["status"], "RUNNING", "a change of settings is never PENDING");
    assert!(operation["startTime"].is_string());
    let after = world.instance(A).await;
    assert_eq!(after["metadata"]["items"], json!([{"key": "lease", "value": "7"}]), "all items are replaced");
    assert_ne!(after["metadata"]["fingerprint"], before["metadata"]["fingerprint"]);
    assert_ne!(after["fingerprint"], before["fingerprint"]);
    assert_eq!(after["labelFingerprint"], before["labelFingerprint"]);
}

#[tokio::test]
async fn a_stale_or_missing_fingerprint_is_a_failed_condition() {
    let world = World::new().await;
    for body in [json!({"fingerprint": "AAAAAAAAAAA="}), json!({"items": []})] {
        let (status, answer) = world.post(&format!("{A}/setMetadata"), &body.to_string()).await;
        assert_eq!(status, 412);
        let entry = &answer["error"]["errors"][0];
        assert_eq!(entry["reason"], "conditionNotMet");
        assert_eq!((&entry["location"], &entry["locationType"]), (&json!("If-Match"), &json!("header")));
        assert_eq!(entry["message"], "Supplied fingerprint does not match current metadata fingerprint.");
    }
    let (status, reason, message) = world.refused(&format!("{A}/setLabels"), "{\"labels\":{}}").await;
    assert_eq!((status, reason.as_str()), (412, "conditionNotMet"));
    assert!(message.contains("label fingerprint"), "{message}");
}

#[tokio::test]
async fn metadata_beyond_its_limits_is_refused_and_nothing_is_changed() {
    let world = World::new().await;
    let before = world.instance(A).await;
    let fingerprint = &before["metadata"]["fingerprint"];
    let kib = |count: usize| "x".repeat(count * 1024);
    let items = [
        json!([{"key": "a b", "value": ""}]),
        json!([{"key": "", "value": ""}]),
        json!([{"key": "k".repeat(128), "value": ""}]),
        json!([{"key": "twice", "value": "1"}, {"key": "twice", "value": "2"}]),
        json!([{"key": "long", "value": kib(257)}]),
        json!([{"key": "one", "value": kib(256)}, {"key": "two", "value": kib(256)}]),
    ];
    for items in items {
        let body = json!({"fingerprint": fingerprint, "items": items}).to_string();
        let (status, reason, _) = world.refused(&format!("{A}/setMetadata"), &body).await;
        assert_eq!((status, reason.as_str()), (400, "invalid"));
    }
    assert_eq!(world.instance(A).await, before);
    let fits = json!({"fingerprint": fingerprint, "items": [{"key": "long", "value": kib(256)}]}).to_string();
    world.accepted(&format!("{A}/setMetadata"), &fits).await;
}

#[tokio::test]
async fn an_instance_without_metadata_or_labels_does_not_show_empty_ones() {
    let instance = World::new().await.instance(B).await;
    assert!(instance["metadata"].get("items").is_none());
    assert!(instance.get("labels").is_none());
    assert_eq!(instance["metadata"]["kind"], "compute#metadata");
}

#[tokio::test]
async fn labels_are_replaced_by_who_has_seen_them() {
    let world = World::new().await;
    let fingerprint = world.instance(A).await["labelFingerprint"].clone();
    let body = json!({"labels": {"colour": "blue"}, "labelFingerprint": fingerprint}).to_string();
    world.accepted(&format!("{A}/setLabels"), &body).await;
    let after = world.instance(A).await;
    assert_eq!(after["labels"], json!({"colour": "blue"}));
    assert_ne!(after["labelFingerprint"], fingerprint);
    assert_eq!(world.refused(&format!("{A}/setLabels"), &body).await.0, 412, "the same fingerprint serves once");
}

#[tokio::test]
async fn scheduling_changes_only_while_terminated_and_within_its_bounds() {
    let world = World::running().await;
    let body = |seconds: u64| json!({"maxRunDuration": {"seconds": seconds.to_string()}}).to_string();
    assert_eq!(world.refused(&format!("{A}/setScheduling"), &body(600)).await.0, 400);
    for seconds in [29, 120 * 24 * 3600 + 1] {
        let (status, _, message) = world.refused(&format!("{B}/setScheduling"), &body(seconds)).await;
        assert_eq!(status, 400);
        assert!(message.contains("maxRunDuration"), "{message}");
    }
    world.accepted(&format!("{B}/setScheduling"), &body(600)).await;
    let scheduling = world.instance(B).await["scheduling"].clone();
    assert_eq!(scheduling["maxRunDuration"], json!({"seconds": "600"}));
    assert_eq!(scheduling["instanceTerminationAction"], "STOP");
    assert_eq!(scheduling["provisioningModel"], "STANDARD");
    assert_eq!(scheduling["automaticRestart"], true);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let world = World::new().await;
    for body in ["{", "[]", "7"] {
        let (status, reason, _) = world.refused(&format!("{A}/setMetadata"), body).await;
        assert_eq!((status, reason.as_str()), (400, "invalid"), "{body}");
    }
}
