//! What the history tells of each run, in which pages, and what a month has cost where the owner lives.

use axum::http::StatusCode;
use domain::{Calendar, MicroUsd, Role, Seconds, Timestamp, Workspace};
use platform::clock::Clock;
use platform::store::WorkspaceStore;
use serde_json::{Value, json};

use crate::setting::{Setting, workspace};

const RUNS: &str = "/api/workspaces/main/runs";

async fn get(setting: &Setting, path: &str) -> Value {
    let answer = setting.ask("GET", path, Role::Viewer, None).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body
}

async fn stop(setting: &Setting) {
    setting.ask("POST", "/api/workspaces/main/stop", Role::User, None).await;
    setting.attend().await;
}

/// A workspace that has had so many runs.
async fn after_runs(count: usize) -> Setting {
    let setting = Setting::new();
    for _ in 0..count {
        setting.ready().await;
        stop(&setting).await;
    }
    setting
}

/// The numbers of a page, and what it says comes next.
async fn page(setting: &Setting, query: &str) -> (Vec<u64>, Value) {
    let page = get(setting, &format!("{RUNS}?{query}")).await;
    let numbers = page["runs"].as_array().unwrap().iter().map(|run| run["run"].as_u64().unwrap()).collect();
    (numbers, page["next"].clone())
}

#[tokio::test]
async fn the_history_is_told_newest_first_in_pages() {
    let setting = after_runs(3).await;
    assert_eq!(page(&setting, "").await, (vec![3, 2, 1], json!(null)));
    assert_eq!(page(&setting, "limit=2").await, (vec![3, 2], json!(2)));
    assert_eq!(page(&setting, "limit=2&before=2").await, (vec![1], json!(null)));
}

#[tokio::test]
async fn a_last_page_that_is_just_full_is_the_last() {
    let setting = after_runs(4).await;
    assert_eq!(page(&setting, "limit=4").await, (vec![4, 3, 2, 1], json!(null)));
    assert_eq!(page(&setting, "limit=2").await, (vec![4, 3], json!(3)));
    assert_eq!(page(&setting, "limit=2&before=3").await, (vec![2, 1], json!(null)));
    assert_eq!(page(&setting, "limit=1&before=2").await, (vec![1], json!(null)));
}

#[tokio::test]
async fn a_page_before_the_first_run_is_empty_and_one_beyond_the_last_begins_with_it() {
    let setting = after_runs(2).await;
    for nothing in ["before=0", "before=1", "before=1&limit=1"] {
        assert_eq!(page(&setting, nothing).await, (vec![], json!(null)), "{nothing}");
    }
    for all in ["before=3", "before=1000", "before=18446744073709551615", "limit=100"] {
        assert_eq!(page(&setting, all).await, (vec![2, 1], json!(null)), "{all}");
    }
    assert_eq!(page(&setting, "before=1000&limit=1").await, (vec![2], json!(2)));
}

#[tokio::test]
async fn a_workspace_without_a_run_has_an_empty_history_and_an_unknown_one_has_none() {
    let setting = Setting::new();
    assert_eq!(get(&setting, RUNS).await, json!({"runs": [], "next": null}));
    setting.ask("GET", "/api/workspaces/other/runs", Role::User, None).await.refused(404, "no_such_workspace");
}

#[tokio::test]
async fn a_question_for_a_page_that_cannot_be_is_refused() {
    let setting = Setting::new();
    for wrong in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1&limit=2",
        "before=-1",
        "before=x",
        "before=18446744073709551616",
        "page=2",
        "limit=5&after=3",
    ] {
        setting.ask("GET", &format!("{RUNS}?{wrong}"), Role::User, None).await.refused(400, "invalid_query");
    }
}

#[tokio::test]
async fn a_run_is_told_with_its_phases_its_price_and_its_cost() {
    let setting = Setting::new();
    setting.ready().await;
    setting.clock.leap(Seconds::minutes(30));
    stop(&setting).await;
    let page = get(&setting, RUNS).await;
    let run = &page["runs"][0];
    let seconds = run["seconds"].as_object().unwrap();
    let moment = |name: &str| run[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    let lasted = moment("ended_at") - moment("started_at");
    assert_eq!(seconds.values().map(|part| part.as_i64().unwrap()).sum::<i64>(), lasted);
    assert_eq!(seconds["ready"], 1800);
    assert_eq!(seconds.keys().collect::<Vec<_>>(), ["booting", "draining", "placing", "ready", "stopping"]);
    assert_eq!((&run["usd_per_hour"], &run["price_date"]), (&json!(0.7068), &json!("2026-07-30")));
    assert_eq!((&run["reason"], &run["signal"], &run["instance"]), (&json!("User"), &json!(null), &json!("comfy-a")));
    let cost = MicroUsd(706_800).for_time(Seconds(run["billed_seconds"].as_u64().unwrap()));
    assert_eq!(run["cost_usd"], json!(cost.dollars()));
    assert!(run["idle_usd"].as_f64().unwrap() > 0.35 && run["idle_usd"].as_f64() < run["cost_usd"].as_f64(), "{run}");
}

#[tokio::test]
async fn the_openapi_document_knows_every_field_of_a_run_and_of_a_view() {
    let setting = after_runs(1).await;
    let document = get(&setting, "/api/lifecycle/openapi.json").await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let described = |schema: &str| keys(&document["components"]["schemas"][schema]["properties"]);
    let page = get(&setting, RUNS).await;
    let view = get(&setting, "/api/workspaces/main").await;
    for (schema, told) in [
        ("RunsReply", &page),
        ("RunView", &page["runs"][0]),
        ("PhaseSecondsView", &page["runs"][0]["seconds"]),
        ("WorkspaceView", &view),
        ("PlacementView", &view["placement"]),
        ("CostView", &view["cost"]),
        ("LastStopView", &view["last_stop"]),
    ] {
        assert_eq!(described(schema), keys(told), "{schema}");
    }
}

#[tokio::test]
async fn a_run_keeps_the_price_that_it_was_started_for() {
    let setting = Setting::new();
    setting.ready().await;
    // The same cloud, a function with a new price list.
    let mut dearer = workspace();
    for placement in &mut dearer.placements {
        placement.usd_per_hour = MicroUsd(900_000);
        placement.price_date = Some("2027-01-01".to_owned());
    }
    let anew = setting.again_as(dearer);
    let placement = get(&anew, "/api/workspaces/main").await["placement"].clone();
    assert_eq!((&placement["usd_per_hour"], &placement["price_date"]), (&json!(0.7068), &json!("2026-07-30")));
    stop(&anew).await;
    let run = get(&anew, RUNS).await["runs"][0].clone();
    assert_eq!((&run["usd_per_hour"], &run["price_date"]), (&json!(0.7068), &json!("2026-07-30")));
    let placement = get(&anew, "/api/workspaces/main").await["placement"].clone();
    assert_eq!((&placement["usd_per_hour"], &placement["price_date"]), (&json!(0.9), &json!("2027-01-01")));
}

fn in_los_angeles() -> Workspace {
    // February and March 2027, and the end of the table: midnight in Los Angeles.
    let begins = ["2027-01-01T08:00Z", "2027-02-01T08:00Z", "2027-03-01T08:00Z", "2027-04-01T07:00Z"];
    Workspace { calendar: Calendar::new("America/Los_Angeles", begins.map(at).to_vec()), ..workspace() }
}

fn at(rfc3339: &str) -> Timestamp {
    Timestamp::from_millis(rfc3339.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

impl Setting {
    fn leap_to(&self, then: Timestamp) {
        self.clock.leap(then.since(self.clock.now()));
    }

    async fn cost(&self, which: &str) -> f64 {
        get(self, "/api/workspaces/main").await["cost"][which].as_f64().unwrap()
    }
}

#[tokio::test]
async fn a_month_turns_at_the_owners_midnight_while_a_run_is_up() {
    let setting = Setting::of(in_los_angeles());
    // February has begun in UTC, and not where the owner lives.
    setting.leap_to(at("2027-02-01T05:00Z"));
    setting.ready().await;
    setting.leap_to(at("2027-02-01T07:59:59Z"));
    assert_eq!(setting.cost("month_usd").await, setting.cost("run_usd").await);
    let before = setting.cost("run_usd").await;
    assert!(before > 2.0, "three hours: {before}");
    setting.clock.leap(Seconds(1));
    assert_eq!(setting.cost("month_usd").await, 0.0);
    setting.clock.leap(Seconds::hours(1));
    assert_eq!(setting.cost("month_usd").await, 0.7068);
    let billed_since = setting.record().await.billed_since.unwrap();
    stop(&setting).await;
    let januarys = MicroUsd(706_800).for_time(at("2027-02-01T08:00Z").since(billed_since));
    let run = setting.store.runs(&setting.workspace.id, None, 1).await.unwrap().remove(0);
    assert_eq!(setting.record().await.month.spent.0 + januarys.0, run.cost.0);
}

#[tokio::test]
async fn a_month_turns_with_nothing_running_and_nothing_written() {
    let setting = Setting::of(in_los_angeles());
    setting.leap_to(at("2027-02-20T12:00Z"));
    setting.ready().await;
    setting.clock.leap(Seconds::hours(1));
    stop(&setting).await;
    let spent = setting.cost("month_usd").await;
    assert!(spent > 0.7, "{spent}");
    let written = setting.store.load(&setting.workspace.id).await.unwrap().version;
    setting.leap_to(at("2027-03-01T07:59:59Z"));
    assert_eq!(setting.cost("month_usd").await, spent);
    setting.clock.leap(Seconds(1));
    assert_eq!(setting.cost("month_usd").await, 0.0);
    assert_eq!(setting.store.load(&setting.workspace.id).await.unwrap().version, written);
}
