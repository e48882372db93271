//! What the gateway tells the control plane.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use platform::clock::ManualClock;
use serde_json::json;
use wire::ReadingBody;

use crate::comfyui::DEAD;
use crate::control_plane::{Says, reply};
use crate::world::{
    NOW, Setup, World, begin, marking_command, marks, powered_off, ready, ready_with, while_time_passes,
};

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
    assert!(world.control.changes_asked() > 0, "it does not ask now and then, but is told");
}

#[tokio::test]
async fn a_machine_that_is_taken_back_already_says_so_without_waiting() {
    let world = ready_with(Setup { preempted: true, ..Setup::default() }).await;
    world.control.beat_where(0, |beat| beat.body.preempted).await;
}

#[tokio::test]
async fn a_control_plane_that_did_not_answer_is_told_of_a_preemption_at_once_all_the_same() {
    let world = begin(Setup { says: Says::Noise, ..Setup::default() }).await;
    world.control.beat_where(0, |_| true).await;
    let before = world.control.beats().len();
    world.control.preempt();
    world.control.beat_where(before, |beat| beat.body.preempted).await;
}

#[tokio::test]
async fn a_wish_to_stop_runs_the_command_once_and_ends_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOW);
    let setup = World::manual_clock(&clock).with("--poweroff-command", marking_command(folder.path()));
    let mut world = ready_with(setup).await;
    world.control.says(Says::Reply(reply(3, "Stopped")));
    while_time_passes(&clock, SECOND, powered_off(folder.path())).await;
    // The machine goes down, and ends the gateway.
    world.shutdown.cancel();
    world.ended().await.unwrap();
    assert_eq!(marks(folder.path()), 1);
}

#[tokio::test]
async fn a_machine_that_is_still_up_is_told_again_and_then_it_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOW);
    let setup = World::manual_clock(&clock).with("--poweroff-command", marking_command(folder.path()));
    let mut world = begin(Setup { says: Says::Reply(reply(3, "Stopped")), ..setup }).await;
    let error = while_time_passes(&clock, SECOND, world.ended()).await.unwrap_err();
    assert!(format!("{error:#}").contains("still up"), "{error:#}");
    assert_eq!(marks(folder.path()), 3);
    assert!(world.clock.now() >= NOW + domain::Seconds(90), "not in a hurry");
}

/// A run whose user has pressed Stop while `jobs` run or wait.
async fn stopped_at_work(folder: &Path, clock: &ManualClock, jobs: u64, preempted: bool) -> World {
    let setup = World::manual_clock(clock).with("--poweroff-command", marking_command(folder));
    let world = ready_with(Setup { jobs, preempted, ..setup }).await;
    if preempted {
        while_time_passes(clock, SECOND, world.control.beat_where(0, |beat| beat.body.preempted)).await;
    }
    world.control.says(Says::Reply(reply(3, "Stopped")));
    let orders = Arc::clone(&world.comfyui.orders);
    let asked = async {
        while orders.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    while_time_passes(clock, SECOND, asked).await;
    assert_eq!(*orders.lock().unwrap(), [r#"/queue {"clear":true}"#, "/interrupt {}"]);
    world
}

#[tokio::test]
async fn comfyui_is_interrupted_and_finishes_what_it_writes_before_the_machine_goes_down() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(NOW);
    let mut world = stopped_at_work(folder.path(), &clock, 3, false).await;
    let step = Duration::from_millis(250);
    let mut polls = world.comfyui.polls.clone();
    let until = *polls.borrow() + 5;
    while_time_passes(&clock, step, async {
        polls.wait_for(|polls| *polls >= until).await.unwrap();
    })
    .await;
    assert_eq!(marks(folder.path()), 0, "it still writes");
    world.comfyui.remaining.store(0, std::sync::atomic::Ordering::SeqCst);
    while_time_passes(&clock, step, powered_off(folder.path())).await;
    world.powered_off(folder.path()).await;
    assert_eq!(world.comfyui.orders.lock().unwrap().len(), 2, "asked once");
}

#[tokio::test]
async fn comfyui_that_does_not_come_to_rest_is_waited_for_but_not_for_long_least_when_google_hurries() {
    for (preempted, least, most) in [(false, 20, 40), (true, 5, 15)] {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(NOW);
        let mut world = stopped_at_work(folder.path(), &clock, 1, preempted).await;
        let begun = world.clock.now();
        while_time_passes(&clock, Duration::from_millis(250), powered_off(folder.path())).await;
        let waited = world.clock.now().since(begun).0;
        // The clock may have moved by some steps before the wait began, and after it was over.
        assert!((least - 3..most).contains(&waited), "preempted {preempted}: {waited} s");
        world.powered_off(folder.path()).await;
    }
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
