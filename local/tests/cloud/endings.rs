//! Machines that end without being asked, or begin so. What follows where Google takes one, `interruptions` plays.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::pilotlight::{A, Pilotlight, signal};
use crate::processes::{children, is_alive};

#[tokio::test]
async fn a_machine_whose_process_is_killed_ends_its_run() {
    let pilotlight = Pilotlight::start(&[]).await;
    pilotlight.ready().await;
    let processes = children(pilotlight.pid());
    signal(pilotlight.gateway_pid(A).await, Signal::SIGKILL);

    let over = pilotlight.until_phase("Stopped").await;
    assert_eq!((&over["last_stop"]["reason"], &over["wish"]), (&json!("MachineStopped"), &json!("Stopped")), "{over}");
    let told = pilotlight.operations("compute.instances.guestTerminate").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0]["targetLink"].as_str().unwrap().ends_with(A), "{told:?}");
    assert_eq!(pilotlight.vm(A).await["status"], "TERMINATED");
    assert!(processes.iter().all(|pid| !is_alive(*pid)), "the stand-in went with it");

    assert_eq!(pilotlight.ready().await["run"], 2, "and it can be started again");
}

#[tokio::test]
async fn a_comfyui_that_is_killed_is_started_again_and_the_run_goes_on() {
    let pilotlight = Pilotlight::start(&[]).await;
    pilotlight.ready().await;
    let gateway = pilotlight.gateway_pid(A).await;
    let comfyui = || children(pilotlight.pid()).into_iter().find(|pid| *pid != gateway);
    let first = comfyui().unwrap();
    signal(first, Signal::SIGKILL);
    let second = pilotlight.wait("another ComfyUI runs", async || comfyui().filter(|pid| *pid != first)).await;
    assert!(is_alive(second));
    let view = pilotlight.view().await;
    assert_eq!((&view["phase"], &view["run"]), (&json!("Ready"), &json!(1)), "{view}");
    assert_eq!(pilotlight.gateway_pid(A).await, gateway);
}

#[tokio::test]
async fn a_machine_that_somebody_starts_by_hand_is_stopped_by_a_sweep() {
    let pilotlight = Pilotlight::start(&["--sweep-every", "30s"]).await;
    let compute = pilotlight.panel().await["compute"].as_str().unwrap().to_owned();
    let by_hand =
        pilotlight.post(&format!("{compute}projects/local/zones/us-central1-a/instances/{A}/start"), json!({})).await;
    assert_eq!(by_hand.body["operationType"], "start", "{by_hand:?}");

    pilotlight.wait("it is asked to stop", async || pilotlight.operations("stop").await.pop()).await;
    pilotlight.wait("it is down", async || pilotlight.up().await.is_empty().then_some(())).await;
    let view = pilotlight.view().await;
    assert_eq!((&view["phase"], &view["run"], &view["last_stop"]), (&json!("Stopped"), &json!(0), &Value::Null));
}
