//! Whole lives of a workspace, from start to idle stop, through kills.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::processes::{is_alive, variable};
use crate::world::World;

/// When lifecycle is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The start was accepted, and nothing else has happened.
    Accepted,
    /// Compute Engine brings the machine up.
    Placing,
    Booting,
    Draining,
    Stopping,
}

impl Moment {
    /// The phase in which it lies, where it is told by that.
    fn phase(self) -> &'static str {
        match self {
            Self::Accepted | Self::Placing => "Placing",
            Self::Booting => "Booting",
            Self::Draining => "Draining",
            Self::Stopping => "Stopping",
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_goes_on_through_the_death_of_every_function_at_every_moment() {
    let Some(mut world) = World::start(&["--speed", "30", "--idle-limit", "2m", "--sweep-every", "20s"]).await else {
        return;
    };
    let clocks = async || {
        let mut clocks = Vec::new();
        for name in ["auth", "lifecycle", "reaper"] {
            let pid = world.function_pid(name).await.unwrap();
            clocks.push(variable(pid, "PILOTLIGHT_CLOCK").unwrap());
        }
        clocks
    };
    let clock = clocks().await;
    assert!(clock[0].ends_with("@30") && clock.iter().all(|other| *other == clock[0]), "{clock:?}");

    live(&world, 1, &[Moment::Accepted, Moment::Draining], async || ()).await;
    live(&world, 2, &[Moment::Placing, Moment::Stopping], async || world.kill("reaper").await).await;
    live(&world, 3, &[Moment::Booting], async || world.kill("auth").await).await;

    // The sign-in of before still holds, because auth signs with the same key as before; and there can be new ones.
    assert_eq!(world.get("/api/session").await["user"]["name"], "admin");
    assert_ne!(world.sign_in().await, "");
    assert_eq!(clocks().await, clock);

    let companions = world.companions();
    assert!(companions.len() >= 5, "three functions and two emulators: {companions:?}");
    let status = world.terminate();
    assert_eq!(status.code(), Some(0));
    let left: Vec<_> = companions.into_iter().filter(|pid| is_alive(*pid)).collect();
    assert!(left.is_empty(), "nothing outlives it: {left:?}");
}

/// One life, in which lifecycle is killed at each of the `moments`, and something else happens while it is ready.
async fn live(world: &World, run: u64, moments: &[Moment], when_ready: impl AsyncFn()) {
    let kill_at = async |moment: Moment| {
        if moments.contains(&moment) {
            until_phase(world, moment.phase()).await;
            world.kill("lifecycle").await;
        }
    };
    let lifecycle = world.function_pid("lifecycle").await.unwrap();
    let (status, view) = world.ask(Method::POST, "/api/workspaces/main/start", Some(json!({}))).await;
    if moments.contains(&Moment::Accepted) {
        world.kill_process("lifecycle", lifecycle).await;
    }
    assert_eq!((status, &view["run"]), (StatusCode::ACCEPTED, &json!(run)), "{view}");
    if moments.contains(&Moment::Placing) {
        world.until("the machine comes up", async || world.up().await).await;
    }
    kill_at(Moment::Placing).await;
    kill_at(Moment::Booting).await;
    until_phase(world, "Ready").await;
    // A person is there, so that it will have been idleness that stops it.
    let presence = json!({"visible": true, "interacted_seconds_ago": 0});
    let (status, view) = world.ask(Method::POST, "/api/workspaces/main/keep-alive", Some(presence)).await;
    assert_eq!((status, &view["active_because"]), (StatusCode::OK, &json!("Person")), "{view}");
    when_ready().await;
    kill_at(Moment::Draining).await;
    kill_at(Moment::Stopping).await;
    let view = until_phase(world, "Stopped").await;
    check_end(world, run, &view).await;
}

/// It was stopped for idleness, with a receipt; each start made one run, on one machine, by one call.
async fn check_end(world: &World, run: u64, view: &Value) {
    let receipt = &view["last_stop"];
    let reason = (receipt["run"].as_u64().unwrap(), receipt["reason"].as_str().unwrap(), &receipt["signal"]);
    assert_eq!(reason, (run, "Idle", &json!("Person")), "{view:#}");
    assert!(receipt["seconds"].as_u64().unwrap() > 0 && receipt["cost_usd"].as_f64().unwrap() > 0.0, "{receipt}");
    assert_eq!(view["failure"], Value::Null);

    let runs = world.get("/api/workspaces/main/runs?limit=50").await;
    let numbers: Vec<u64> = runs["runs"].as_array().unwrap().iter().map(|run| run["run"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=run).rev().collect::<Vec<_>>(), "exactly one run for each start");
    assert_eq!(world.up().await, None);
    let (starts, stops) = (world.operations("start").await, world.operations("stop").await);
    assert_eq!(starts, run, "no start is repeated");
    // The VM may have heard the wish first, and switched itself off.
    assert!(stops <= run, "no stop is repeated: {stops}");
}

/// The view, once the workspace is in this phase; at no time is there more than one machine.
async fn until_phase(world: &World, phase: &str) -> Value {
    world
        .until(&format!("it is {phase}"), async || {
            world.up().await;
            let view = world.view().await;
            assert_ne!(view["phase"], "Failed", "{view:#}");
            Some(view).filter(|view| view["phase"] == phase)
        })
        .await
}
