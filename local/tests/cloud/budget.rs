//! What a month may cost: what is told, who may still start, and how a run ends that has used it up.

use serde_json::{Value, json};

use crate::pilotlight::{PASSWORD, Pilotlight};

#[tokio::test]
async fn a_budget_is_told_at_80_and_100_percent_and_ends_a_run_when_nobody_uses_it() {
    let user = format!("ada={PASSWORD}");
    // Four minutes and a quarter of a machine at 70.68 cents an hour.
    let mut pilotlight = Pilotlight::start(&["--speed", "120", "--budget", "0.05", "--user", &user]).await;
    pilotlight.sign_in("ada").await;
    let ready = pilotlight.ready().await;
    assert_eq!((&ready["budget"]["monthly_usd"], &ready["budget"]["used_up"]), (&json!(0.05), &json!(false)));
    let warned = pilotlight.notice("workspace.budget").await;
    assert_eq!((&warned["percent"], &warned["monthly_usd"]), (&json!(80), &json!(0.05)), "{warned}");
    pilotlight.touch().await;

    let used_up = pilotlight.until("it is used up", |view| view["budget"]["used_up"] == true).await;
    assert_eq!(used_up["phase"], "Ready", "it does not cut into work: {used_up}");
    let extended = pilotlight.post("/api/workspaces/main/extend", json!({"minutes": 60})).await;
    extended.refused(409, "budget_used_up");
    let draining = pilotlight.until_phase("Draining").await;
    assert_eq!(draining["ending"], "Budget");
    let over = pilotlight.until_phase("Stopped").await;
    assert_eq!(
        (&over["last_stop"]["reason"], &pilotlight.runs().await[0]["started_by"]),
        (&json!("Budget"), &json!("ada"))
    );

    pilotlight.press("start").await.refused(409, "budget_used_up");
    pilotlight.sign_in("admin").await;
    assert_eq!(pilotlight.ready().await["run"], 2, "an admin may");
    pilotlight.press("stop").await;
    pilotlight.until_phase("Stopped").await;
    let told = pilotlight
        .wait("both receipts are told", async || {
            (pilotlight.notices("run.stopped").await.len() == 2).then_some(pilotlight.notices("workspace.budget").await)
        })
        .await;
    let percents: Vec<&Value> = told.iter().map(|notice| &notice["percent"]).collect();
    assert_eq!(percents, [80, 100], "each once");
}
