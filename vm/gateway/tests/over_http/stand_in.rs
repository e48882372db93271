//! The gateway in front of the stand-in, which refuses what real ComfyUI refuses.

use reqwest::Method;
use tokio::net::TcpListener;

use crate::world::{Setup, World, ready_with};

async fn world() -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Some(format!("http://{}", listener.local_addr().unwrap()));
    let options = stand_in::Options { speed: 1000.0, ..stand_in::Options::default() };
    tokio::spawn(stand_in::serve(listener, options, std::future::pending()));
    ready_with(Setup { upstream, ..Setup::default() }).await
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
