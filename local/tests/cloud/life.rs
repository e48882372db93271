//! A whole life of a run: start, ready, idle, stopped; and two people who press at once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::pilotlight::{A, Pilotlight};

#[tokio::test]
async fn a_run_goes_from_start_to_an_idle_stop_with_reason_and_receipt() {
    let pilotlight = Pilotlight::start(&["--idle-limit", "2m"]).await;
    let stopped = pilotlight.view().await;
    assert_eq!(
        (&stopped["phase"], &stopped["wish"], &stopped["run"]),
        (&json!("Stopped"), &json!("Stopped"), &json!(0))
    );

    let ready = pilotlight.ready().await;
    assert_eq!(
        (&ready["run"], &ready["placement"]["instance"], &ready["opened"]),
        (&json!(1), &json!(A), &json!(false))
    );
    assert_eq!(pilotlight.up().await, [A]);
    assert_eq!(pilotlight.touch().await["active_because"], "Person");

    let draining = pilotlight.until_phase("Draining").await;
    assert_eq!(draining["ending"], "Idle");
    assert!(draining["drain_ends_at"].as_str() > draining["stop_at"].as_str(), "{draining}");
    assert_eq!(pilotlight.up().await, [A], "it is announced first");

    let over = pilotlight.until_phase("Stopped").await;
    let stop = &over["last_stop"];
    assert_eq!(
        (&stop["reason"], &stop["signal"], &stop["run"]),
        (&json!("Idle"), &json!("Person"), &json!(1)),
        "{stop}"
    );
    // Two minutes and the announcement, at 70.68 cents an hour; less than an hour's worth.
    let (seconds, cost) = (stop["seconds"].as_u64().unwrap(), stop["cost_usd"].as_f64().unwrap());
    assert!(seconds >= 120 + 180 && cost > 0.7068 * 300.0 / 3600.0 && cost < 0.7068, "{stop}");
    assert_eq!(over["cost"]["month_usd"], stop["cost_usd"]);
    assert_eq!(pilotlight.up().await, [""; 0]);

    let runs = pilotlight.get("/api/workspaces/main/runs").await.body;
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs}");
    assert_eq!((&runs["runs"][0]["run"], &runs["runs"][0]["reason"]), (&json!(1), &json!("Idle")), "{runs}");
}

#[tokio::test]
async fn a_run_that_nobody_opens_is_stopped_and_the_next_one_counts_on() {
    let pilotlight = Pilotlight::start(&["--idle-limit", "1m"]).await;
    pilotlight.ready().await;
    let over = pilotlight.until_phase("Stopped").await;
    assert_eq!((&over["last_stop"]["reason"], &over["last_stop"]["signal"]), (&json!("NeverOpened"), &Value::Null));

    let again = pilotlight.ready().await;
    assert_eq!((&again["run"], &again["last_stop"]["run"]), (&json!(2), &json!(1)));
    assert!(again["last_active_at"].is_null(), "another run, nothing of the last one: {again}");
}

#[tokio::test]
async fn an_announced_stop_is_taken_back_by_a_person() {
    let pilotlight = Pilotlight::start(&["--idle-limit", "1m"]).await;
    pilotlight.ready().await;
    pilotlight.touch().await;
    pilotlight.until_phase("Draining").await;
    let kept = pilotlight.touch().await;
    assert_eq!(
        (&kept["phase"], &kept["drain_ends_at"], &kept["ending"]),
        (&json!("Ready"), &Value::Null, &Value::Null)
    );
    let extended = pilotlight.post("/api/workspaces/main/extend", json!({"minutes": 60})).await.body;
    assert!(extended["stop_at"].as_str() > kept["stop_at"].as_str(), "{extended}");
    assert_eq!(pilotlight.operations("stop").await, [Value::Null; 0]);
}

/// As many browsers press at the same moment.
const AT_ONCE: usize = 10;

#[tokio::test]
async fn starts_at_once_make_one_run_and_one_machine() {
    let pilotlight = Pilotlight::start(&[]).await;
    let presses = (0..AT_ONCE).map(|_| pilotlight.press("start"));
    let answers = join_all(presses).await;
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), &answer.body["run"]), (202, &json!(1)), "{answer:?}");
    }
    pilotlight.until_phase("Ready").await;
    assert_eq!(pilotlight.operations("start").await.len(), 1);
    assert_eq!(pilotlight.up().await, [A]);

    let answers = join_all((0..AT_ONCE).map(|_| pilotlight.press("stop"))).await;
    assert!(answers.iter().all(|answer| answer.status.as_u16() == 202), "{answers:?}");
    let over = pilotlight.until_phase("Stopped").await;
    assert_eq!(over["last_stop"]["reason"], "User");
    assert_eq!(pilotlight.operations("stop").await.len(), 1);
}

#[tokio::test]
async fn a_stop_while_it_comes_up_takes_it_down_and_a_start_meanwhile_has_to_wait() {
    let pilotlight = Pilotlight::start(&[]).await;
    pilotlight.press("start").await;
    pilotlight
        .until("a machine is asked for", |view| view["cost"]["run_usd"] != json!(0.0) || view["phase"] != "Placing")
        .await;
    let stopping = pilotlight.press("stop").await;
    assert_eq!((stopping.status.as_u16(), &stopping.body["phase"]), (202, &json!("Stopping")), "{stopping:?}");
    pilotlight.press("start").await.refused(409, "still_stopping");
    let over = pilotlight.until_phase("Stopped").await;
    assert_eq!(over["last_stop"]["reason"], "User");
    assert_eq!(pilotlight.up().await, [""; 0]);
    assert_eq!(pilotlight.ready().await["run"], 2);
}

#[tokio::test]
async fn the_hard_limit_ends_a_run_that_is_busy() {
    let pilotlight = Pilotlight::start(&["--hard-limit", "10m"]).await;
    let ready = pilotlight.ready().await;
    let over = pilotlight
        .wait("the busy run ends", async || {
            let view = pilotlight.touch().await;
            assert_eq!(view["run"], 1);
            let open = view["hard_stop_at"] == ready["hard_stop_at"]
                && view["stop_at"].as_str() <= view["hard_stop_at"].as_str();
            assert!(open || view["hard_stop_at"].is_null(), "no activity moves the end: {view}");
            Some(view).filter(|view| view["phase"] == "Stopped")
        })
        .await;
    let stop = &over["last_stop"];
    assert_eq!((&stop["reason"], &stop["signal"]), (&json!("HardLimit"), &json!("Person")));
    assert_eq!(pilotlight.up().await, [""; 0]);
}
