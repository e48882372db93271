//! What the gateway tells the control plane.

use std::path::Path;
use std::time::Duration;

use platform::clock::ManualClock;
use serde_json::json;
use wire::ReadingBody;

use crate::comfyui::DEAD;
use crate::control_plane::{Says, reply};
use crate::world::{NOW, Setup, World, begin, marking_command, marks, ready, ready_with, while_time_passes};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_first_heartbeat_asks_for_the_run_and_the_second_names_it() {
    let world = begin(Setup { jobs: DEAD, ..Setup::default() }).await;
    let (_, first) = world.control.beat_where(0, |_| true).await;
    assert_eq!((first.body.workspace.as_str(), first.body.run), ("main", None));
    assert!(!first.body.comfyui_up && first.body.reading == ReadingBody::Unknown && !first.body.preempted);
    assert_eq!(first.body.boot.unwrap().step, "booting");
    let (_, second) = world.control.beat_where(1, |_| true).await;
    assert_eq!(second.body.run, Some(3));
    assert_eq!(second.body.boot.unwrap().step, "starting_comfyui");
}

#[tokio::test]
async fn comfyui_coming_up_is_told_at_once() {
    let clock = ManualClock::at(NOW);
    let world = begin(Setup { jobs: DEAD, ..World::manual_clock(&clock) }).await;
    let (at, _) = world.control.beat_where(0, |beat| beat.body.run == Some(3)).await;
    world.comfyui.remaining.store(0, std::sync::atomic::Ordering::SeqCst);
    let up = world.control.beat_where(at + 1, |beat| beat.body.comfyui_up);
    let (_, up) = while_time_passes(&clock, Duration::from_millis(100), up).await;
    assert_eq!(up.body.boot, None);
    assert_eq!(up.body.reading, ReadingBody::Idle { last_signal: None, last_seconds_ago: None });
    assert!(world.clock.now() < NOW + domain::Seconds(25), "not only when the next heartbeat was due");
}

/// Puts the startup script's next word in the place of the last, as it does.
fn say(folder: &Path, step: &str, percent: u8, detail: &str, failed: bool) {
    let words = json!({ "step": step, "percent": percent, "detail": detail, "failed": failed });
    std::fs::write(folder.join("boot.json.new"), words.to_string()).unwrap();
    std::fs::rename(folder.join("boot.json.new"), folder.join("boot.json")).unwrap();
}

#[tokio::test]
async fn comfyui_is_up_only_when_the_boot_has_come_to_it_and_each_step_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOW);
    say(folder.path(), "installing", 40, "PyTorch", false);
    let setup = World::manual_clock(&clock).with("--boot-file", folder.path().join("boot.json").display());
    let world = begin(setup).await;
    let (at, told) = world.control.beat_where(0, |beat| beat.body.run == Some(3)).await;
    assert_eq!(world.control.beats()[0].body.boot, told.body.boot, "from the first word on");
    let boot = told.body.boot.unwrap();
    assert_eq!((boot.step.as_str(), boot.percent, boot.detail.as_str()), ("installing", 40, "PyTorch"));

    say(folder.path(), "getting_certificate", 60, "Asking for it", false);
    let beat = world.control.beat_where(at + 1, |beat| beat.body.boot.as_ref().is_some_and(|boot| boot.percent == 60));
    let (at, told) = while_time_passes(&clock, Duration::from_millis(100), beat).await;
    assert!(!told.body.comfyui_up, "it answers, and nobody can reach it");
    assert_eq!(told.body.reading, ReadingBody::Idle { last_signal: None, last_seconds_ago: None });

    say(folder.path(), "starting_comfyui", 70, "Waiting", false);
    let up = world.control.beat_where(at + 1, |beat| beat.body.comfyui_up);
    let (_, up) = while_time_passes(&clock, Duration::from_millis(100), up).await;
    assert_eq!(up.body.boot, None);
    assert!(world.clock.now() < NOW + domain::Seconds(25), "not only when the next heartbeat was due");
}

#[tokio::test]
async fn a_boot_that_has_failed_says_so_at_once_with_its_last_words_and_goes_on_saying_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOW);
    let setup = World::manual_clock(&clock).with("--boot-file", folder.path().join("boot.json").display());
    let world = begin(setup).await;
    let (at, told) = world.control.beat_where(0, |beat| beat.body.run == Some(3)).await;
    assert_eq!(told.body.boot.unwrap().step, "booting");
    say(folder.path(), "installing", 0, "pip:\nno space", true);
    let failed = |beat: &crate::control_plane::Beat| beat.body.boot.as_ref().is_some_and(|boot| boot.failed);
    let (at, told) =
        while_time_passes(&clock, Duration::from_millis(100), world.control.beat_where(at + 1, failed)).await;
    assert_eq!(told.body.boot.unwrap().detail, "pip:\nno space");
    assert!(!told.body.comfyui_up && world.clock.now() < NOW + domain::Seconds(25));
    while_time_passes(&clock, SECOND, world.control.beat_where(at + 1, failed)).await;
}

#[tokio::test]
async fn a_heartbeat_shows_the_machine_s_identity_for_lifecycle() {
    let clock = ManualClock::at(NOW);
    let world = ready_with(World::manual_clock(&clock)).await;
    while_time_passes(&clock, SECOND, world.control.beat_where(3, |_| true)).await;
    assert_eq!(world.control.tokens_asked(), ["lifecycle full"], "asked once and kept");
    assert!(world.control.beats().iter().all(|beat| beat.token.starts_with("Bearer token1.")));
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced() {
    let clock = ManualClock::at(NOW);
    let world = begin(Setup { says: Says::Refused, ..World::manual_clock(&clock) }).await;
    world.control.beat_where(0, |_| true).await;
    let again = world.control.beat_where(1, |beat| beat.token.starts_with("Bearer token2."));
    while_time_passes(&clock, SECOND, again).await;
}

#[tokio::test]
async fn heartbeats_come_as_often_as_the_reply_says() {
    let clock = ManualClock::at(NOW);
    let mut often = reply(3, "Running");
    often.next_in_seconds = 7;
    let world = ready_with(Setup { says: Says::Reply(often), ..World::manual_clock(&clock) }).await;
    let before = world.control.beats().len();
    let start = world.clock.now();
    while_time_passes(&clock, SECOND, world.control.beat_where(before, |_| true)).await;
    // Moved in steps of a second, a few of which may pass while the heartbeat is under way.
    let passed = world.clock.now().since(start).0;
    assert!((7..30).contains(&passed), "{passed}");
}

#[tokio::test]
async fn a_control_plane_that_talks_nonsense_is_asked_again() {
    let clock = ManualClock::at(NOW);
    let world = begin(Setup { says: Says::Noise, ..World::manual_clock(&clock) }).await;
    world.control.beat_where(0, |_| true).await;
    while_time_passes(&clock, SECOND, world.control.beat_where(3, |_| true)).await;
    world.control.says(Says::Reply(reply(3, "Running")));
    while_time_passes(&clock, SECOND, world.control.beat_where(4, |beat| beat.body.run == Some(3))).await;
}

#[tokio::test]
async fn a_preemption_is_told_at_once() {
    let world = ready().await;
    let before = world.control.beats().len();
    world.control.preempt();
    // The policy's clock stands still: only news can bring another heartbeat.
    world.control.beat_where(before, |beat| beat.body.preempted).await;
}

#[tokio::test]
async fn a_wish_to_stop_runs_the_command_once_and_ends_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOW);
    let setup = World::manual_clock(&clock).with("--poweroff-command", marking_command(folder.path()));
    let mut world = ready_with(setup).await;
    world.control.says(Says::Reply(reply(3, "Stopped")));
    while_time_passes(&clock, SECOND, world.ended()).await.unwrap();
    assert_eq!(marks(folder.path()), 1);
}

#[tokio::test]
async fn a_machine_that_wakes_up_unwanted_stops_at_the_first_word() {
    let mut world = begin(Setup { says: Says::Reply(reply(2, "Stopped")), ..Setup::default() }).await;
    world.ended().await.unwrap();
    assert_eq!(world.control.beats().len(), 1);
}

#[tokio::test]
async fn a_command_that_fails_is_an_error_of_the_gateway() {
    let setup = Setup { says: Says::Reply(reply(3, "Stopped")), ..Setup::default() };
    let mut world = begin(setup.with("--poweroff-command", "/nonexistent/poweroff now")).await;
    let error = world.ended().await.unwrap_err();
    assert!(format!("{error:#}").contains("stopping the machine"), "{error:#}");
}

#[tokio::test]
async fn told_to_end_the_gateway_ends_without_stopping_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::default().with("--poweroff-command", marking_command(folder.path()));
    let mut world = ready_with(setup).await;
    world.shutdown.cancel();
    world.ended().await.unwrap();
    assert_eq!(marks(folder.path()), 0);
}
