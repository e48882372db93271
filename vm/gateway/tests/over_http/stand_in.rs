//! The gateway in front of the stand-in, which refuses what real ComfyUI refuses.

use std::sync::Arc;

use platform::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::control_plane::{Says, reply};
use crate::world::{Setup, World, marking_command, powered_off, ready_with};

async fn world() -> World {
    world_with(Setup::default()).await
}

async fn world_with(setup: Setup) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Some(format!("http://{}", listener.local_addr().unwrap()));
    let options = stand_in::Options { speed: 1000.0, ..stand_in::Options::default() };
    tokio::spawn(stand_in::serve(listener, options, std::future::pending()));
    ready_with(Setup { upstream, ..setup }).await
}

#[tokio::test]
async fn what_comfyui_refuses_on_sight_gets_through_the_gateway() {
    let world = world().await;
    let cookie = world.enter().await;
    let frame = world.ask(Method::GET, "/", &cookie).header("sec-fetch-site", "cross-site");
    let page = frame.header("sec-fetch-mode", "navigate").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("/_pilotlight/activity.js"));
    let own = world.ask(Method::GET, "/object_info", &cookie).header("origin", &world.origin);
    assert_eq!(own.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_job_is_interrupted_and_what_waits_is_dropped_before_the_machine_goes_down() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut often = reply(3, "Running");
    often.next_in_seconds = 1;
    let setup = Setup { clock, says: Says::Reply(often), ..Setup::default() };
    let setup = setup.with("--poweroff-command", marking_command(folder.path()));
    let mut world = world_with(setup).await;
    let cookie = world.enter().await;
    // An hour of the stand-in's, which runs a thousand times faster.
    let blur = json!({"image": ["1", 0], "blur_radius": 31, "sigma": 1.0, "stand_in_seconds": 3_600_000});
    let job = json!({"client_id": "a-test", "prompt": {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 255}},
        "2": {"class_type": "ImageBlur", "inputs": blur},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }});
    for _ in 0..3 {
        let asked = world.ask(Method::POST, "/prompt", &cookie).json(&job).send().await.unwrap();
        assert_eq!(asked.status(), 200);
    }
    let queue = || async {
        let queue = world.http.get(format!("{}/queue", world.upstream)).send().await.unwrap();
        queue.json::<serde_json::Value>().await.unwrap()
    };
    assert_eq!(queue().await["queue_pending"].as_array().unwrap().len(), 2);
    world.control.says(Says::Reply(reply(3, "Stopped")));
    powered_off(folder.path()).await;
    assert_eq!(queue().await, json!({"queue_running": [], "queue_pending": []}));
    world.powered_off(folder.path()).await;
}
