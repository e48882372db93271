//! What counts as use, as the control plane hears of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, stream};
use gateway::GpuReading;
use platform::clock::ManualClock;
use reqwest::{Body, Method};
use tokio_tungstenite::tungstenite::Message;
use wire::ReadingBody;

use crate::control_plane::Beat;
use crate::sockets;
use crate::world::{NOW, Setup, World, ready_with, while_time_passes};

const STEP: Duration = Duration::from_secs(2);

fn busy(beat: &Beat, wanted: &str) -> bool {
    matches!(&beat.body.reading, ReadingBody::Busy { signal } if signal == wanted)
}

fn last(beat: &Beat, wanted: &str) -> bool {
    matches!(&beat.body.reading, ReadingBody::Idle { last_signal: Some(signal), .. } if signal == wanted)
}

async fn world(clock: &ManualClock) -> World {
    ready_with(World::manual_clock(clock)).await
}

/// The next heartbeat that begins from now on, whatever it says, while time passes.
async fn next_beat(world: &World, clock: &ManualClock) -> Beat {
    // One may be under way already, with what was true before.
    let from = world.control.beats().len() + 1;
    while_time_passes(clock, STEP, world.control.beat_where(from, |_| true)).await.1
}

#[tokio::test]
async fn a_job_in_the_queue_is_told_at_once_and_until_it_is_done() {
    let clock = ManualClock::at(NOW);
    let world = world(&clock).await;
    let from = world.control.beats().len();
    world.comfyui.remaining.store(1, Ordering::SeqCst);
    while_time_passes(&clock, STEP, world.control.beat_where(from, |beat| busy(beat, "Queue"))).await;
    let beat = next_beat(&world, &clock).await;
    assert!(busy(&beat, "Queue"), "{beat:?}");
    world.comfyui.remaining.store(0, Ordering::SeqCst);
    let from = world.control.beats().len();
    while_time_passes(&clock, STEP, world.control.beat_where(from, |beat| last(beat, "Queue"))).await;
}

#[tokio::test]
async fn a_comfyui_that_stops_answering_is_unknown_and_not_idle() {
    let clock = ManualClock::at(NOW);
    let world = world(&clock).await;
    let from = world.control.beats().len();
    world.comfyui.remaining.store(crate::comfyui::DEAD, Ordering::SeqCst);
    let unknown = world.control.beat_where(from, |beat| beat.body.reading == ReadingBody::Unknown);
    let (_, beat) = while_time_passes(&clock, STEP, unknown).await;
    assert!(!beat.body.comfyui_up && beat.body.boot.is_none());
}

#[tokio::test]
async fn a_person_s_request_is_traffic() {
    let clock = ManualClock::at(NOW);
    let world = world(&clock).await;
    let cookie = world.enter().await;
    let from = world.control.beats().len();
    assert_eq!(world.get("/view", &cookie).await.status(), 200);
    while_time_passes(&clock, STEP, world.control.beat_where(from, |beat| last(beat, "Traffic"))).await;
}

#[tokio::test]
async fn a_person_s_input_is_told_as_such() {
    let clock = ManualClock::at(NOW);
    let world = world(&clock).await;
    let cookie = world.enter().await;
    let from = world.control.beats().len();
    let beacon = world.ask(Method::POST, "/_pilotlight/person", &cookie).header("origin", &world.origin);
    assert_eq!(beacon.send().await.unwrap().status(), 204);
    while_time_passes(&clock, STEP, world.control.beat_where(from, |beat| last(beat, "Person"))).await;
}

#[tokio::test]
async fn an_open_tab_its_polling_its_failures_and_our_own_probes_are_no_use() {
    let clock = ManualClock::at(NOW);
    let world = world(&clock).await;
    let cookie = world.enter().await;
    let mut socket = sockets::open(&world, &cookie).await;
    let greeting = r#"{"type":"feature_flags","data":{"supports_preview_metadata":true}}"#;
    socket.send(Message::Text(greeting.into())).await.unwrap();
    socket.send(Message::Ping(b"are you there".to_vec().into())).await.unwrap();
    for path in ["/queue", "/api/queue", "/prompt", "/history?max_items=1", "/api/jobs", "/system_stats", "/fails"] {
        world.get(path, &cookie).await;
    }
    for path in ["/_pilotlight/session.json", "/_pilotlight/boot.json", "/_pilotlight/activity.js", "/assets/a.js"] {
        assert_eq!(world.get(path, &cookie).await.status(), 200, "{path}");
    }
    world.ask(Method::POST, "/fails", &cookie).send().await.unwrap();
    world.get("/view", "").await;
    world.get("/_pilotlight/healthz", "").await;
    let beat = next_beat(&world, &clock).await;
    assert_eq!(beat.body.reading, ReadingBody::Idle { last_signal: None, last_seconds_ago: None });
}

#[tokio::test]
async fn a_message_of_the_browser_over_the_socket_is_traffic() {
    let clock = ManualClock::at(NOW);
    let world = world(&clock).await;
    let cookie = world.enter().await;
    let mut socket = sockets::open(&world, &cookie).await;
    let from = world.control.beats().len();
    socket.send(Message::Text("{\"type\":\"custom\"}".into())).await.unwrap();
    while_time_passes(&clock, STEP, world.control.beat_where(from, |beat| last(beat, "Traffic"))).await;
}

#[tokio::test]
async fn an_upload_is_busy_until_it_ends() {
    let clock = ManualClock::at(NOW);
    let world = world(&clock).await;
    let cookie = world.enter().await;
    let (send, receive) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
    let body = stream::unfold(receive, |mut receive| async {
        Some((Ok::<_, std::io::Error>(receive.recv().await?), receive))
    });
    let sending = tokio::spawn(world.ask(Method::POST, "/upload/image", &cookie).body(Body::wrap_stream(body)).send());
    send.send(vec![1; 1024]).await.unwrap();
    assert!(world.comfyui.uploads.lock().await.recv().await.unwrap() > 0);
    let from = world.control.beats().len();
    while_time_passes(&clock, STEP, world.control.beat_where(from, |beat| busy(beat, "Traffic"))).await;
    drop(send);
    assert_eq!(sending.await.unwrap().unwrap().status(), 200);
    let from = world.control.beats().len();
    while_time_passes(&clock, STEP, world.control.beat_where(from, |beat| last(beat, "Traffic"))).await;
}

#[derive(Debug)]
struct BusyGpu;

impl GpuReading for BusyGpu {
    fn utilisation_percent(&self) -> Option<u8> {
        Some(97)
    }
}

#[tokio::test]
async fn a_gpu_at_work_is_told() {
    let clock = ManualClock::at(NOW);
    let world = ready_with(Setup { gpu: Arc::new(BusyGpu), ..World::manual_clock(&clock) }).await;
    while_time_passes(&clock, STEP, world.control.beat_where(0, |beat| busy(beat, "Gpu"))).await;
}

/// A GPU that has fallen off its bus: whoever asks it waits until it is dropped.
#[derive(Debug)]
struct LostGpu {
    asked: AtomicU64,
    hangs: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl GpuReading for LostGpu {
    fn utilisation_percent(&self) -> Option<u8> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _ = self.hangs.lock().unwrap().recv();
        Some(97)
    }
}

#[tokio::test]
async fn a_gpu_that_gives_no_answer_is_asked_once_and_keeps_nobody_waiting() {
    let clock = ManualClock::at(NOW);
    let (lets_go, hangs) = std::sync::mpsc::channel();
    let gpu = Arc::new(LostGpu { asked: AtomicU64::new(0), hangs: Mutex::new(hangs) });
    let setup = Setup { gpu: Arc::<LostGpu>::clone(&gpu), ..World::manual_clock(&clock) };
    let mut world = ready_with(setup).await;
    let mut polls = world.comfyui.polls.clone();
    while_time_passes(&clock, STEP, async {
        polls.wait_for(|polls| *polls >= 5).await.unwrap();
    })
    .await;
    assert_eq!(gpu.asked.load(Ordering::SeqCst), 1);
    world.shutdown.cancel();
    world.ended().await.unwrap();
    drop(lets_go);
}

#[tokio::test]
async fn while_a_stop_is_announced_any_use_is_told_at_once() {
    let clock = ManualClock::at(NOW);
    let mut draining = crate::control_plane::reply(3, "Running");
    draining.phase = "Draining".into();
    let says = crate::control_plane::Says::Reply(draining);
    let world = ready_with(Setup { says, ..World::manual_clock(&clock) }).await;
    let cookie = world.enter().await;
    // The clock stands still from here on: only news can bring a heartbeat.
    for _ in 0..3 {
        let from = world.control.beats().len();
        assert_eq!(world.get("/view", &cookie).await.status(), 200);
        world.control.beat_where(from, |beat| last(beat, "Traffic")).await;
    }
}
