//! Zones that have no machine, or are not there: the walk, the wait, what comes too late, and the disk taken by force.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::pilotlight::{A, B, PASSWORD, Pilotlight, moment, seconds_between, signal, walk};

const ZONE_A: &str = "us-central1-a";
const ZONE_B: &str = "us-central1-b";
const DISK: &str = "comfyui-main-data";

/// Google says it sooner than it usually does.
const TOLD_AFTER: u64 = 10;
/// `--sweep-every` as it is without being said.
const SWEEP_SECONDS: i64 = 60;
/// From STOPPING to TERMINATED, as the emulator takes it.
const STOPPING_SECONDS: i64 = 40;

async fn dry(pilotlight: &Pilotlight, zones: &[&str]) {
    for zone in zones {
        pilotlight.switch(json!({"zone": zone, "stock_out": true, "after_seconds": TOLD_AFTER})).await;
    }
}

async fn give_again(pilotlight: &Pilotlight, zones: &[&str]) {
    for zone in zones {
        pilotlight.switch(json!({"zone": zone, "stock_out": false})).await;
    }
}

async fn keep_trying(pilotlight: &Pilotlight, minutes: u32) -> Value {
    let answer = pilotlight.post("/api/workspaces/main/start", json!({"keep_trying_minutes": minutes})).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
    pilotlight.until("it waits for the next round", |view| view["keep_trying"]["next_at"].is_string()).await
}

#[tokio::test]
async fn a_dry_zone_moves_the_disk_to_the_next_placement() {
    let pilotlight = Pilotlight::start(&[]).await;
    dry(&pilotlight, &[ZONE_A]).await;
    let ready = pilotlight.ready().await;
    assert_eq!((&ready["placement"]["instance"], &ready["run"]), (&json!(B), &json!(1)), "in the same start");
    assert_eq!(walk(&ready), [(A, "dry"), (B, "up")]);
    assert_eq!(pilotlight.up().await, [B]);
    assert_eq!((&pilotlight.vm(A).await["disks"], &pilotlight.vm(B).await["disks"]), (&json!([]), &json!([DISK])));
    let moves = (pilotlight.operations("detachDisk").await.len(), pilotlight.operations("attachDisk").await.len());
    assert_eq!(moves, (1, 1));
    let told = pilotlight.notice("run.ready").await;
    assert_eq!((&told["placement"], &told["run"], &told["page"]), (&json!(B), &json!(1), &json!(pilotlight.base)));
}

#[tokio::test]
async fn when_every_zone_is_dry_it_says_so_and_tries_again_when_asked() {
    let pilotlight = Pilotlight::start(&[]).await;
    dry(&pilotlight, &[ZONE_A, ZONE_B]).await;
    pilotlight.press("start").await;
    let failed = pilotlight.until_phase("Failed").await;
    let failure = &failed["failure"];
    assert_eq!((&failure["code"], &failure["can_keep_trying"]), (&json!("stock_out"), &json!(true)));
    assert!(failure["retry_at"].as_str() > failed["now"].as_str(), "{failed}");
    assert!(["title", "hint", "detail"].iter().all(|part| !failure[part].as_str().unwrap().is_empty()), "{failure}");
    assert_eq!(failed["last_stop"]["reason"], "StartFailed");
    assert_eq!(walk(&failed), [(A, "dry"), (B, "dry")], "for whoever wants to read how it came to this");
    assert_eq!(pilotlight.up().await, [""; 0]);
    let told = pilotlight.notice("run.no_capacity").await;
    assert_eq!((&told["zones"], &told["keep_trying_until"]), (&json!([ZONE_A, ZONE_B]), &Value::Null));

    give_again(&pilotlight, &[ZONE_A, ZONE_B]).await;
    let ready = pilotlight.ready().await;
    assert_eq!((&ready["run"], &ready["failure"]), (&json!(2), &Value::Null));
    let of_the_past = &pilotlight.runs().await[0];
    assert_eq!((&of_the_past["failure"], walk(of_the_past)), (&json!("StockOut"), vec![(A, "dry"), (B, "dry")]));
}

#[tokio::test]
async fn with_patience_it_goes_on_trying_until_a_zone_has_a_machine_and_tells_once() {
    let pilotlight = Pilotlight::start(&["--speed", "120"]).await;
    dry(&pilotlight, &[ZONE_A, ZONE_B]).await;
    let waits = keep_trying(&pilotlight, 60).await;
    assert_eq!((&waits["phase"], &waits["failure"]), (&json!("Placing"), &Value::Null), "{waits}");
    assert_eq!(seconds_between(moment(&waits["started_at"]), moment(&waits["keep_trying"]["until"])), 3600);

    let later = pilotlight.after(600).await;
    assert!(later["keep_trying"]["rounds"].as_u64() > Some(2), "{later}");
    give_again(&pilotlight, &[ZONE_A]).await;
    let ready = pilotlight.until_phase("Ready").await;
    let tries = walk(&ready);
    assert_eq!((&ready["run"], tries.last()), (&json!(1), Some(&(A, "up"))));
    assert!(
        tries[..tries.len() - 1].iter().all(|(_, outcome)| *outcome == "dry" || *outcome == "timed_out"),
        "{tries:?}"
    );

    // What is sent is sent in its order: nothing of before comes any more.
    pilotlight.press("stop").await;
    pilotlight.notice("run.stopped").await;
    pilotlight.notice("run.ready").await;
    let told = pilotlight.notice("run.no_capacity").await;
    assert_eq!(told["keep_trying_until"], waits["keep_trying"]["until"]);
}

#[tokio::test]
async fn stop_ends_the_waiting_and_nothing_is_asked_of_google_any_more() {
    let pilotlight = Pilotlight::start(&[]).await;
    dry(&pilotlight, &[ZONE_A, ZONE_B]).await;
    let waits = keep_trying(&pilotlight, 240).await;
    give_again(&pilotlight, &[ZONE_A, ZONE_B]).await;
    assert_eq!(pilotlight.press("stop").await.status.as_u16(), 202);
    let over = pilotlight.until_phase("Stopped").await;
    assert_eq!((&over["last_stop"]["reason"], &over["keep_trying"]), (&json!("User"), &Value::Null), "{over}");
    let asked = pilotlight.operations("start").await.len();

    let next_round = moment(&waits["keep_trying"]["next_at"]);
    let past = |view: &Value| seconds_between(next_round, moment(&view["now"])) > 2 * SWEEP_SECONDS;
    let view = pilotlight.until("the next round would be over", past).await;
    assert_eq!((&view["phase"], pilotlight.operations("start").await.len()), (&json!("Stopped"), asked));
    assert_eq!(pilotlight.up().await, [""; 0]);
}

#[tokio::test]
async fn patience_that_is_at_its_end_fails_as_without_it() {
    let pilotlight = Pilotlight::start(&[]).await;
    dry(&pilotlight, &[ZONE_A, ZONE_B]).await;
    let waits = keep_trying(&pilotlight, 2).await;
    let failed = pilotlight.until_phase("Failed").await;
    assert_eq!((&failed["failure"]["code"], &failed["run"]), (&json!("stock_out"), &json!(1)), "{failed}");
    assert!(moment(&failed["now"]) >= moment(&waits["keep_trying"]["until"]), "{failed}");
    assert!(walk(&failed).len() > 2, "there was more than one round: {failed}");
}

#[tokio::test]
async fn a_machine_that_comes_too_late_is_stopped_again_and_disturbs_nothing() {
    let pilotlight = Pilotlight::start(&[]).await;
    dry(&pilotlight, &[ZONE_A]).await;
    pilotlight.switch(json!({"zone": ZONE_A, "late_success_seconds": 120})).await;
    let ready = pilotlight.ready().await;
    assert_eq!(walk(&ready), [(A, "dry"), (B, "up")]);

    pilotlight
        .wait("it comes up after all", async || (pilotlight.vm(A).await["status"] == "RUNNING").then_some(()))
        .await;
    pilotlight.wait("it is down again", async || (pilotlight.up().await == [B]).then_some(())).await;
    let late = pilotlight.described(ZONE_A, A).await;
    let up_for = seconds_between(moment(&late["lastStartTimestamp"]), moment(&late["lastStopTimestamp"]));
    let most = 2 * SWEEP_SECONDS + STOPPING_SECONDS;
    assert!((0..=most).contains(&up_for), "one sweep sees it, at the latest the next has stopped it: {up_for} s");
    let stops = pilotlight.operations("stop").await;
    assert!(stops.iter().all(|stop| stop["targetLink"].as_str().unwrap().ends_with(A)), "{stops:?}");

    let view = pilotlight.view().await;
    assert_eq!((&view["phase"], &view["run"], &view["placement"]["instance"]), (&json!("Ready"), &json!(1), &json!(B)));
    assert_eq!(pilotlight.vm(B).await["disks"], json!([DISK]));
}

#[tokio::test]
async fn a_disk_in_a_zone_that_is_gone_is_moved_when_an_admin_says_so_and_not_before() {
    let user = format!("ada={PASSWORD}");
    let mut pilotlight = Pilotlight::start(&["--speed", "120", "--user", &user]).await;
    let ready = pilotlight.ready().await;
    assert_eq!(ready["placement"]["instance"], A);
    // It is gone with all that is in it: the machine can do nothing, not even switch itself off.
    signal(pilotlight.gateway_pid(A).await, Signal::SIGSTOP);
    pilotlight.switch(json!({"zone": ZONE_A, "gone": true})).await;
    pilotlight.press("stop").await;
    let failed = pilotlight.until_phase("Failed").await;
    assert_eq!(failed["failure"]["code"], "stop_timed_out", "{failed}");

    let lost = json!({"lost_zone": ZONE_A});
    pilotlight.post("/api/workspaces/main/move-disk", lost.clone()).await.refused(409, "nothing_to_move");
    pilotlight.sign_in("ada").await;
    pilotlight.press("start").await;
    let failed = pilotlight.until("the start has failed", |view| view["failure"]["code"] == "zone_gone").await;
    assert_eq!((&failed["phase"], &failed["run"]), (&json!("Failed"), &json!(2)), "{failed}");
    pilotlight.post("/api/workspaces/main/move-disk", lost.clone()).await.refused(403, "role_may_not");
    assert_eq!(pilotlight.vm(A).await["disks"], json!([DISK]), "nothing has touched it");

    pilotlight.sign_in("admin").await;
    pilotlight
        .post("/api/workspaces/main/move-disk", json!({"lost_zone": ZONE_B}))
        .await
        .refused(409, "nothing_to_move");
    let moved = pilotlight.post("/api/workspaces/main/move-disk", lost).await;
    assert_eq!((moved.status.as_u16(), &moved.body["run"]), (202, &json!(3)), "{moved:?}");
    let ready = pilotlight.until_phase("Ready").await;
    assert_eq!(ready["placement"]["instance"], B, "{ready}");
    assert_eq!((&pilotlight.vm(A).await["disks"], &pilotlight.vm(B).await["disks"]), (&json!([]), &json!([DISK])));
    assert_eq!(pilotlight.vm(A).await["status"], "RUNNING", "nobody could stop it");

    pilotlight.switch(json!({"zone": ZONE_A, "gone": false})).await;
    pilotlight.wait("the old one is down", async || (pilotlight.up().await == [B]).then_some(())).await;
    let view = pilotlight.view().await;
    assert_eq!((&view["phase"], &view["placement"]["instance"]), (&json!("Ready"), &json!(B)), "{view}");
    assert_eq!((&pilotlight.vm(A).await["disks"], &pilotlight.vm(B).await["disks"]), (&json!([]), &json!([DISK])));
}
