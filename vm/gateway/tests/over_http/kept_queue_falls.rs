//! The gateway falls while it puts prompts back, ComfyUI refuses one, the data disk is full or damaged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::kept_queue::{comfyui, five_jobs, gone, ids, interrupted, kept, run, setup, submit, tells, until};
use crate::world::{SOON, begin};

/// Less than an id in doubt is looked for.
const LATE_BY: Duration = Duration::from_secs(1);

/// What the way to ComfyUI does to the prompt that it stops at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// It never arrives.
    Before,
    /// It arrives, and no answer comes back.
    After,
    /// It arrives a while after the gateway has fallen.
    Late,
}

/// A way to ComfyUI that stops at the third prompt.
struct Way {
    upstream: String,
    stops: Stops,
    prompts: AtomicUsize,
    stopped: Notify,
    http: reqwest::Client,
}

async fn way(upstream: &str, stops: Stops) -> (String, Arc<Way>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let http = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
    let (prompts, stopped) = (AtomicUsize::new(0), Notify::new());
    let way = Arc::new(Way { upstream: upstream.to_owned(), stops, prompts, stopped, http });
    let router = Router::new().fallback(pass).with_state(Arc::clone(&way));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, way)
}

async fn pass(State(way): State<Arc<Way>>, method: Method, uri: Uri, body: Bytes) -> (StatusCode, Bytes) {
    let is_prompt = method == Method::POST && uri.path() == "/prompt";
    let stops_here = is_prompt && way.prompts.fetch_add(1, Ordering::SeqCst) == 2;
    if stops_here && way.stops == Stops::Before {
        way.stopped.notify_one();
        return std::future::pending().await;
    }
    if stops_here && way.stops == Stops::Late {
        let late = way.http.request(method, format!("{}{uri}", way.upstream)).body(body);
        tokio::spawn(async move {
            tokio::time::sleep(LATE_BY).await;
            late.send().await.unwrap();
        });
        way.stopped.notify_one();
        return std::future::pending().await;
    }
    let asked = way.http.request(method, format!("{}{uri}", way.upstream)).body(body).send().await.unwrap();
    let answer = (asked.status(), asked.bytes().await.unwrap());
    if stops_here {
        way.stopped.notify_one();
        return std::future::pending().await;
    }
    answer
}

/// Run 4's gateway falls at the third prompt that it puts back; ComfyUI, whose address is returned, does not.
async fn falls(disk: &Path, stops: Stops) -> String {
    let upstream = comfyui().await;
    let (url, way) = way(&upstream, stops).await;
    let world = begin(setup(disk, &url, 4, true)).await;
    tokio::time::timeout(SOON, way.stopped.notified()).await.unwrap();
    gone(world).await;
    upstream
}

#[tokio::test]
async fn a_gateway_that_falls_in_the_middle_neither_repeats_one_nor_loses_one() {
    for stops in [Stops::Before, Stops::After, Stops::Late] {
        let disk = tempfile::tempdir().unwrap();
        let jobs = interrupted(disk.path()).await;
        let upstream = falls(disk.path(), stops).await;
        assert_eq!(ids(&upstream).await.len(), if stops == Stops::After { 3 } else { 2 });
        // The agreement was for all of it.
        let world = run(disk.path(), &upstream, 4, false).await;
        until("all is put back", async || ids(&upstream).await == jobs).await;
        tells(&world, 0).await;
        assert_eq!(ids(&upstream).await, jobs);
        assert_eq!(kept(disk.path(), "queue.json"), jobs);
        assert!(!disk.path().join("putting-back.json").exists());
    }
}

#[tokio::test]
async fn a_machine_that_goes_down_in_the_middle_loses_none() {
    let disk = tempfile::tempdir().unwrap();
    let jobs = interrupted(disk.path()).await;
    falls(disk.path(), Stops::After).await;
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 5, false).await;
    tells(&world, 5).await;
    assert_eq!(ids(&upstream).await.len(), 0, "it is for somebody to agree again");
    gone(world).await;
    let world = run(disk.path(), &upstream, 5, true).await;
    until("all is put back", async || ids(&upstream).await == jobs).await;
    tells(&world, 0).await;
}

#[tokio::test]
async fn one_that_comfyui_refuses_is_set_aside_and_the_others_go_on() {
    let disk = tempfile::tempdir().unwrap();
    let mut jobs = interrupted(disk.path()).await;
    let file = disk.path().join("queue.json");
    let text = std::fs::read_to_string(&file).unwrap();
    // The node of the second is gone from the next run's ComfyUI.
    let (first, rest) = text.split_at(text.find(&jobs[1]).unwrap());
    std::fs::write(&file, format!("{first}{}", rest.replacen("ImageBlur", "NodeThatIsGone", 1))).unwrap();
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 4, true).await;
    let refused = jobs.remove(1);
    until("the others are put back", async || ids(&upstream).await == jobs).await;
    tells(&world, 0).await;
    assert_eq!(kept(disk.path(), "refused.json"), [refused]);
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_keeps_nobody_from_anything() {
    let disk = tempfile::tempdir().unwrap();
    let in_the_way = disk.path().join("queue.json.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 3, true).await;
    let jobs = five_jobs(&upstream).await;
    for _ in 0..3 {
        tells(&world, 0).await;
    }
    assert!(!world.gateway.is_finished() && !disk.path().join("queue.json").exists());
    std::fs::remove_dir(&in_the_way).unwrap();
    until("what waits is kept", async || kept(disk.path(), "queue.json") == jobs).await;
}

#[tokio::test]
async fn what_may_have_been_sent_is_not_sent_without_a_word_on_the_disk() {
    let disk = tempfile::tempdir().unwrap();
    let jobs = interrupted(disk.path()).await;
    let in_the_way = disk.path().join("sent.json.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 4, true).await;
    for _ in 0..3 {
        tells(&world, 5).await;
    }
    assert_eq!(ids(&upstream).await.len(), 0);
    std::fs::remove_dir(&in_the_way).unwrap();
    until("all is put back", async || ids(&upstream).await == jobs).await;
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_what_waits_is_kept_all_the_same() {
    let disk = tempfile::tempdir().unwrap();
    std::fs::write(disk.path().join("queue.json"), "\0\0\0\0").unwrap();
    let upstream = comfyui().await;
    let world = run(disk.path(), &upstream, 4, true).await;
    let job = submit(&upstream, 3600, serde_json::json!({})).await;
    until("what waits is kept", async || kept(disk.path(), "queue.json") == [job.as_str()]).await;
    assert!(disk.path().join("damaged-queue.json").exists());
    tells(&world, 0).await;
}

#[tokio::test]
async fn without_a_data_disk_nothing_is_told_until_it_is_there() {
    let disk = tempfile::tempdir().unwrap();
    let jobs = interrupted(disk.path()).await;
    let mount = tempfile::tempdir().unwrap();
    let folder = mount.path().join("queue");
    let upstream = comfyui().await;
    let world = run(&folder, &upstream, 4, false).await;
    assert!(world.control.beats().iter().all(|beat| beat.body.kept_prompts.is_none()));
    assert!(!folder.exists(), "it is not made on the boot disk");
    std::os::unix::fs::symlink(disk.path(), &folder).unwrap();
    tells(&world, u32::try_from(jobs.len()).unwrap()).await;
}
