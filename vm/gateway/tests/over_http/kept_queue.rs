//! What waits when Google takes the machine back is put back by the next run, in order and once.

use std::path::Path;
use std::sync::Arc;

use platform::clock::{Clock, ScaledClock, SystemClock};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::control_plane::{Beat, Says, reply};
use crate::world::{SOON, Setup, World, begin, marking_command};

/// The queue is polled four times a second.
const SPEED: f64 = 20.0;

/// A ComfyUI of its own; what it had in its queue goes with it.
pub(crate) async fn comfyui() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(stand_in::serve(listener, stand_in::Options::default(), std::future::pending()));
    url
}

/// How a run's gateway begins on a machine that has the data disk.
pub(crate) fn setup(disk: &Path, upstream: &str, run: u64, restore_queue: bool) -> Setup {
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(SystemClock.now(), SPEED));
    let mut says = reply(run, "Running");
    (says.restore_queue, says.next_in_seconds) = (restore_queue, 5);
    says.interrupted_run = run.checked_sub(1);
    let setup = Setup { clock, says: Says::Reply(says), upstream: Some(upstream.to_owned()), ..Setup::default() };
    setup.with("--kept-queue-dir", disk.display())
}

pub(crate) async fn run(disk: &Path, upstream: &str, run: u64, restore_queue: bool) -> World {
    let world = begin(setup(disk, upstream, run, restore_queue)).await;
    world.control.beat_where(0, |beat| beat.body.run == Some(run) && beat.body.comfyui_up).await;
    world
}

/// The machine is gone, between one instant and the next.
pub(crate) async fn gone(mut world: World) {
    world.gateway.abort();
    let _ = (&mut world.gateway).await;
}

/// Waits for a heartbeat from now on that tells so many kept prompts.
pub(crate) async fn tells(world: &World, kept: u32) -> Beat {
    let from = world.control.beats().len();
    world.control.beat_where(from, |beat| beat.body.kept_prompts == Some(kept)).await.1
}

pub(crate) fn graph(seconds: u64) -> Value {
    let blur = json!({"image": ["1", 0], "blur_radius": 31, "sigma": 1.0, "stand_in_seconds": seconds});
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 255}},
        "2": {"class_type": "ImageBlur", "inputs": blur},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    })
}

/// Submits a prompt as a browser does, or as `more` says.
pub(crate) async fn submit(upstream: &str, seconds: u64, more: Value) -> String {
    let data = json!({"extra_pnginfo": {"workflow": {"id": Uuid::new_v4().to_string()}}});
    let mut asked = json!({"client_id": "a-tab", "prompt": graph(seconds), "extra_data": data});
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let http = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
    let answer = http.post(format!("{upstream}/prompt")).json(&asked).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.unwrap()["prompt_id"].as_str().unwrap().to_owned()
}

/// Five jobs of an hour, one of them at the front; their ids in the order in which it is their turn.
pub(crate) async fn five_jobs(upstream: &str) -> Vec<String> {
    let own = Uuid::new_v4().to_string();
    let first = submit(upstream, 3600, json!({})).await;
    let second = submit(upstream, 3600, json!({})).await;
    let third = submit(upstream, 3600, json!({"prompt_id": own})).await;
    let fourth = submit(upstream, 3600, json!({})).await;
    let front = submit(upstream, 3600, json!({"front": true})).await;
    assert_eq!(third, own);
    vec![first, front, second, third, fourth]
}

/// What ComfyUI has, in the order in which it is its turn.
pub(crate) async fn queue(upstream: &str) -> Vec<Value> {
    let http = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
    let queue: Value = http.get(format!("{upstream}/queue")).send().await.unwrap().json().await.unwrap();
    let mut pending = queue["queue_pending"].as_array().unwrap().clone();
    pending.sort_by_key(|entry| entry[0].as_i64().unwrap());
    queue["queue_running"].as_array().unwrap().iter().cloned().chain(pending).collect()
}

pub(crate) async fn ids(upstream: &str) -> Vec<String> {
    queue(upstream).await.iter().map(|entry| entry[1].as_str().unwrap().to_owned()).collect()
}

/// The ids in a file on the data disk.
pub(crate) fn kept(disk: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(disk.join(name)).unwrap_or_default();
    let file: Value = serde_json::from_str(&text).unwrap_or_default();
    file["prompts"].as_array().into_iter().flatten().map(|prompt| prompt["id"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(SOON, async {
        while !done().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

/// Run 3 has five jobs and is taken away; their ids.
pub(crate) async fn interrupted(disk: &Path) -> Vec<String> {
    let upstream = comfyui().await;
    let world = run(disk, &upstream, 3, false).await;
    let jobs = five_jobs(&upstream).await;
    world.control.preempt();
    until("what waits is kept", async || kept(disk, "queue.json") == jobs).await;
    gone(world).await;
    jobs
}

#[tokio::test]
async fn what_waits_is_put_back_in_order_and_once_after_each_interruption() {
    let disk = tempfile::tempdir().unwrap();
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 3, true).await;
    let jobs = five_jobs(&upstream).await;
    let before = queue(&upstream).await;
    until("what waits is kept", async || kept(disk.path(), "queue.json") == jobs).await;
    // Nothing was interrupted.
    tells(&world, 0).await;
    gone(world).await;

    for number in [4, 5] {
        let upstream = comfyui().await;
        let world = run(disk.path(), &upstream, number, true).await;
        until("all is put back", async || ids(&upstream).await == jobs).await;
        tells(&world, 0).await;
        for (before, after) in before.iter().zip(queue(&upstream).await) {
            assert_eq!((&before[2], &before[4]), (&after[2], &after[4]), "the graph and what it is asked for");
            assert_eq!(before[3]["client_id"], after[3]["client_id"]);
            assert_eq!(before[3]["extra_pnginfo"], after[3]["extra_pnginfo"]);
        }
        gone(world).await;
        // The gateway alone falls, and finds what it has put back.
        let world = run(disk.path(), &upstream, number, true).await;
        for _ in 0..3 {
            tells(&world, 0).await;
        }
        assert_eq!(ids(&upstream).await, jobs);
        gone(world).await;
    }
}

#[tokio::test]
async fn nothing_is_put_back_before_somebody_agrees() {
    let disk = tempfile::tempdir().unwrap();
    let jobs = interrupted(disk.path()).await;
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 4, false).await;
    tells(&world, 5).await;
    let new = submit(&upstream, 3600, json!({})).await;
    for _ in 0..3 {
        tells(&world, 5).await;
    }
    assert_eq!(ids(&upstream).await, [new.as_str()]);
    // Another interruption adds to what is kept.
    until("this run's is kept too", async || kept(disk.path(), "queue.json") == [new.as_str()]).await;
    gone(world).await;
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 5, false).await;
    tells(&world, 6).await;
    let mut agreed = reply(5, "Running");
    agreed.restore_queue = true;
    world.control.says(Says::Reply(agreed));
    let all: Vec<_> = jobs.into_iter().chain([new]).collect();
    until("all is put back", async || ids(&upstream).await == all).await;
    tells(&world, 0).await;
}

#[tokio::test]
async fn the_notice_is_enough_to_keep_what_has_come_since_the_last_look() {
    let disk = tempfile::tempdir().unwrap();
    let upstream = comfyui().await;
    // An hour between two looks.
    let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(SystemClock.now(), 0.001));
    let world = begin(Setup { clock, ..setup(disk.path(), &upstream, 3, false) }).await;
    world.control.beat_where(0, |beat| beat.body.comfyui_up).await;
    let jobs = five_jobs(&upstream).await;
    until("the change is waited for", async || world.control.changes_asked() > 0).await;
    world.control.preempt();
    until("what waits is kept", async || kept(disk.path(), "queue.json") == jobs).await;
}

#[tokio::test]
async fn what_has_ended_or_was_dropped_is_not_kept() {
    let disk = tempfile::tempdir().unwrap();
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 3, true).await;
    submit(&upstream, 0, json!({})).await;
    let runs = submit(&upstream, 3600, json!({})).await;
    let dropped = submit(&upstream, 3600, json!({})).await;
    until("two are left", async || kept(disk.path(), "queue.json") == [runs.as_str(), dropped.as_str()]).await;
    let ask = world.http.post(format!("{upstream}/queue")).json(&json!({"delete": [dropped]}));
    ask.send().await.unwrap();
    until("one is left", async || kept(disk.path(), "queue.json") == [runs.as_str()]).await;
    world.http.post(format!("{upstream}/interrupt")).send().await.unwrap();
    until("none is left", async || !disk.path().join("queue.json").exists()).await;
}

#[tokio::test]
async fn a_run_that_ends_in_order_leaves_nothing_and_one_that_is_taken_away_leaves_all() {
    for preempted in [false, true] {
        let (disk, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let upstream = comfyui().await;
        let setup = setup(disk.path(), &upstream, 3, true).with("--poweroff-command", marking_command(folder.path()));
        let mut world = begin(setup).await;
        world.control.beat_where(0, |beat| beat.body.run == Some(3)).await;
        let jobs = five_jobs(&upstream).await;
        until("what waits is kept", async || kept(disk.path(), "queue.json") == jobs).await;
        if preempted {
            world.control.preempt();
            world.control.beat_where(0, |beat| beat.body.preempted).await;
        }
        world.control.says(Says::Reply(reply(3, "Stopped")));
        world.powered_off(folder.path()).await;
        let left = if preempted { jobs } else { Vec::new() };
        assert_eq!(kept(disk.path(), "queue.json"), left);
    }
}

#[tokio::test]
async fn a_machine_that_goes_on_to_the_next_run_has_lost_nothing() {
    let disk = tempfile::tempdir().unwrap();
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 3, true).await;
    let jobs = five_jobs(&upstream).await;
    until("what waits is kept", async || kept(disk.path(), "queue.json") == jobs).await;
    let of_run = |run: u64| {
        std::fs::read_to_string(disk.path().join("queue.json")).unwrap().contains(&format!("\"run\":{run},"))
    };
    assert!(of_run(3));
    let mut next = reply(4, "Running");
    (next.restore_queue, next.next_in_seconds) = (true, 5);
    world.control.says(Says::Reply(next.clone()));
    until("it is the next run's", async || of_run(4)).await;
    assert_eq!(tells(&world, 0).await.body.run, Some(4));
    gone(world).await;
    // Nor when it is another gateway that goes on.
    let world = run(disk.path(), &upstream, 5, false).await;
    until("it is the last run's", async || of_run(5)).await;
    tells(&world, 0).await;
    assert_eq!(ids(&upstream).await, jobs);
}

#[tokio::test]
async fn what_waited_in_a_run_that_was_stopped_is_not_put_back_though_its_gateway_was_too_late_to_say_so() {
    let disk = tempfile::tempdir().unwrap();
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 3, true).await;
    let jobs = five_jobs(&upstream).await;
    until("what waits is kept", async || kept(disk.path(), "queue.json") == jobs).await;
    gone(world).await;

    let upstream = comfyui().await;
    let mut setup = setup(disk.path(), &upstream, 4, true);
    // Some run was interrupted, and it was not that one.
    if let Says::Reply(says) = &mut setup.says {
        says.interrupted_run = Some(2);
    }
    let world = begin(setup).await;
    world.control.beat_where(0, |beat| beat.body.run == Some(4) && beat.body.comfyui_up).await;
    until("the file is this run's", async || kept(disk.path(), "queue.json").is_empty()).await;
    for _ in 0..3 {
        tells(&world, 0).await;
    }
    assert_eq!((ids(&upstream).await, kept(disk.path(), "kept.json")), (Vec::new(), Vec::new()));
}
