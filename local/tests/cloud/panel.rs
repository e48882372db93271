//! The panel: what it tells a script, and which switches it refuses to turn.

use reqwest::Method;
use serde_json::{Value, json};

use crate::pilotlight::{A, Pilotlight, moment};
use crate::processes::is_alive;

#[tokio::test]
async fn the_panel_tells_a_script_what_runs_and_where() {
    let pilotlight = Pilotlight::start(&["--placements", "3"]).await;
    let panel = pilotlight.panel().await;
    let compute = panel["compute"].as_str().unwrap();
    assert!(compute.starts_with("http://127.0.0.1:") && compute.ends_with("/compute/v1/"), "{compute}");
    assert!(panel["metadata"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{panel}");
    assert_eq!((&panel["project"], &panel["speed"]), (&json!("local"), &json!(60.0)));
    assert_eq!((&panel["zones"], &panel["dry_zones"]), (&json!(["us-central1-a", "us-central1-b"]), &json!([])));
    let vm = |instance: &str, zone: &str, spot: bool, disks: Value| json!({"instance": instance, "zone": zone, "status": "TERMINATED", "spot": spot, "disks": disks, "gateway": null, "pid": null});
    let down = [
        vm(A, "us-central1-a", false, json!(["comfyui-main-data"])),
        vm("comfyui-main-a-spot", "us-central1-a", true, json!([])),
        vm("comfyui-main-b", "us-central1-b", false, json!([])),
    ];
    assert_eq!(panel["vms"], json!(down));

    pilotlight.ready().await;
    let vm = pilotlight.vm(A).await;
    assert_eq!(vm["status"], "RUNNING");
    assert!(is_alive(pilotlight.gateway_pid(A).await));
    let gateway = vm["gateway"].as_str().unwrap();
    let at_the_door = pilotlight.get(gateway).await;
    assert!(matches!(at_the_door.status.as_u16(), 401 | 403), "nobody gets in without a ticket: {at_the_door:?}");
}

#[tokio::test]
async fn the_panel_is_a_page_for_people() {
    let pilotlight = Pilotlight::start(&[]).await;
    let page = reqwest::get(format!("{}/local", pilotlight.base)).await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert!(page.text().await.unwrap().contains("<html"));
}

#[tokio::test]
async fn a_switch_that_is_none_is_refused_and_turns_nothing() {
    let pilotlight = Pilotlight::start(&[]).await;
    let before = pilotlight.panel().await;
    for (body, code) in [
        (json!({}), "invalid_body"),
        (json!([]), "invalid_body"),
        (json!({"zone": "us-central1-a"}), "invalid_body"),
        (json!({"zone": "us-central1-a", "stock_out": "yes"}), "invalid_body"),
        (json!({"zone": "us-central1-a", "stock_out": true, "sun": true}), "invalid_body"),
        (json!({"zone": "mars1-a", "stock_out": true}), "refused_fault"),
        (json!({"zone": "us-central1-a", "stock_out": false, "after_seconds": 100}), "invalid_body"),
        (json!({"zone": "us-central1-a", "after_seconds": 100}), "invalid_body"),
        (json!({"zone": "us-central1-a", "stock_out": true, "after_seconds": 86_401}), "invalid_body"),
        (json!({"zone": "us-central1-a", "stock_out": true, "after_seconds": -1}), "invalid_body"),
        (json!({"zone": "us-central1-a", "late_success_seconds": 86_401}), "invalid_body"),
        (json!({"zone": "us-central1-a", "late_success_seconds": "soon"}), "invalid_body"),
        (json!({"zone": "us-central1-a", "gone": "far"}), "invalid_body"),
        (json!({"zone": "us-central1-a", "gone": null}), "invalid_body"),
        (json!({"zone": "mars1-a", "gone": true}), "refused_fault"),
        (json!({"instance": A}), "invalid_body"),
        (json!({"instance": A, "preempt": true, "host_error": true}), "invalid_body"),
        (json!({"instance": A, "host_error": false}), "refused_fault"),
        (json!({"instance": "nobody", "preempt": true}), "refused_fault"),
        // It does not run.
        (json!({"instance": A, "preempt": true}), "refused_fault"),
        (json!({"instance": A, "preempt": false}), "refused_fault"),
        (json!({"instance": A, "host_error": true}), "refused_fault"),
        (json!({"queue": {"lose": 1.5}}), "invalid_body"),
        (json!({"queue": {"lose": -0.1}}), "invalid_body"),
        (json!({"queue": {"repeat": -1}}), "invalid_body"),
        (json!({"queue": {"repeat": 1_000_000}}), "invalid_body"),
        (json!({"queue": {"shuffle": true}}), "invalid_body"),
        (json!({"compute": {"fail": 2}}), "invalid_body"),
        (json!({"compute": {"delay_ms": 3_600_000}}), "invalid_body"),
        (json!({"compute": {"delay_ms": "long"}}), "invalid_body"),
    ] {
        let answer = pilotlight.post("/local/faults", body.clone()).await;
        assert_eq!(answer.body["code"], code, "{body}: {answer:?}");
        answer.refused(400, code);
    }
    let raw = |kind: &'static str, body: &'static str| {
        pilotlight.request(Method::POST, "/local/faults").header("content-type", kind).body(body)
    };
    assert_eq!(pilotlight.send(raw("application/json", "{")).await.status.as_u16(), 400);
    let form = pilotlight.send(raw("application/x-www-form-urlencoded", "zone=us-central1-a&stock_out=true")).await;
    assert!(form.status.is_client_error(), "{form:?}");
    let large = pilotlight.post("/local/faults", json!({"zone": "a".repeat(100_000), "stock_out": true})).await;
    large.refused(413, "body_too_large");
    assert_eq!(pilotlight.panel().await, before);
}

#[tokio::test]
async fn a_refused_switch_says_what_was_wrong() {
    let pilotlight = Pilotlight::start(&[]).await;
    for (body, told) in [
        (json!({"zone": "us-central1-a", "sun": true}), "sun"),
        (json!({"zone": "us-central1-a"}), "us-central1-a"),
        (json!({"zone": "us-central1-a", "late_success_seconds": 86_401}), "86401"),
        (json!({"zone": "us-central1-a", "after_seconds": 7, "gone": true}), "after_seconds"),
        (json!({"zone": "mars1-a", "gone": true}), "zone"),
        (json!({"queue": {"shuffle": true}}), "shuffle"),
    ] {
        let answer = pilotlight.post("/local/faults", body.clone()).await;
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(told), "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn a_zone_can_be_dry_late_and_gone_and_all_of_it_is_taken_back() {
    let pilotlight = Pilotlight::start(&[]).await;
    let zone = "us-central1-a";
    for fault in [
        json!({"zone": zone, "stock_out": true, "after_seconds": 100}),
        json!({"zone": zone, "late_success_seconds": 120}),
        json!({"zone": zone, "gone": true}),
    ] {
        pilotlight.switch(fault).await;
    }
    let panel = pilotlight.panel().await;
    for kind in ["dry_zones", "late_zones", "gone_zones"] {
        assert_eq!(panel[kind], json!([zone]), "{kind}");
    }
    pilotlight.switch(json!({"zone": zone, "stock_out": false, "late_success_seconds": 0, "gone": false})).await;
    let panel = pilotlight.panel().await;
    for kind in ["dry_zones", "late_zones", "gone_zones"] {
        assert_eq!(panel[kind], json!([]), "{kind}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_zone_is_told_with_its_lengths() {
    let pilotlight = Pilotlight::start(&[]).await;
    let zone = "us-central1-a";
    let told = async |nth: usize| pilotlight.panel().await["zone_faults"][nth].clone();
    let well = |zone: &str| json!({"zone": zone, "stock_out": false, "after_seconds": 100, "late_success_seconds": null, "gone": false});
    assert_eq!(told(0).await, well(zone), "Google takes that long where nothing is said");
    let all = json!({
        "zone": zone, "stock_out": true, "after_seconds": 7, "late_success_seconds": 90, "gone": true
    });
    pilotlight.switch(all.clone()).await;
    assert_eq!((told(0).await, told(1).await), (all, well("us-central1-b")));
}

#[tokio::test]
async fn a_notice_that_lifecycle_has_not_signed_is_not_believed() {
    let pilotlight = Pilotlight::start(&[]).await;
    let notice = json!({"id": "evt_main_1_1", "type": "run.ready", "timestamp": "2026-03-01T00:00:00Z", "data": {}});
    pilotlight.post("/local/webhook", notice.clone()).await.refused(401, "bad_signature");
    let sent_at = moment(&pilotlight.view().await["now"]).as_second();
    let signed = pilotlight.request(Method::POST, "/local/webhook").json(&notice);
    let signed = signed.header("webhook-id", "evt_main_1_1").header("webhook-timestamp", sent_at);
    let signed = signed.header("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    pilotlight.send(signed).await.refused(401, "bad_signature");
    assert_eq!(pilotlight.panel().await["notices"], json!([]));
}

#[tokio::test]
async fn the_page_of_another_site_cannot_switch_anything() {
    let pilotlight = Pilotlight::start(&[]).await;
    let fault = json!({"zone": "us-central1-a", "stock_out": true});
    let from = |origin: &str| {
        pilotlight.request(Method::POST, "/local/faults").header("origin", origin.to_owned()).json(&fault)
    };
    for origin in ["https://elsewhere.example.com", "http://localhost:1", "null", "http://127.0.0.1.example.com"] {
        pilotlight.send(from(origin)).await.refused(403, "cross_site");
    }
    assert_eq!(pilotlight.panel().await["dry_zones"], json!([]));
    assert_eq!(pilotlight.send(from(&pilotlight.base)).await.status.as_u16(), 204, "the panel's own page may");
    assert_eq!(pilotlight.panel().await["dry_zones"], json!(["us-central1-a"]));
}
