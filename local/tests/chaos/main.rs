//! Chaos: three functions as processes on Google's emulators, a hundred workspaces, and everything that can go wrong
//! going wrong at once. At the end every law of the design held on the recorded history, and nothing is stuck.
//!
//! `CHAOS_SECONDS=300 cargo test -p local --test chaos` is the long one; `CHAOS_SEED` has a plan again (what happens
//! between two plans is up to the machine), `CHAOS_SPEED` and `CHAOS_WORKSPACES` choose pace and size, `CHAOS_LOG` is the
//! functions' log filter. The history is written, a line of JSON for each thing, into `target/tmp`.
//!
//! Needs Java and Google's emulators, as `tests/restart` does.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod chance;
mod client;
mod court;
mod door;
mod guest;
mod history;
mod inject;
mod laws;
mod mishaps;
mod people;
#[path = "../restart/programs.rs"]
mod programs;
mod pusher;
mod rest;
mod settings;
mod story;
mod summary;
mod vms;
mod world;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use platform::contract::emulator::both_are_installed;

use crate::settings::Settings;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_law_holds_while_everything_goes_wrong() {
    if !both_are_installed() {
        return;
    }
    let folder = programs::function("lifecycle").parent().unwrap().to_owned();
    let settings = Settings::from_environment();
    say(&format!("chaos: {settings:?}"));
    let mut world = World::start(settings, &folder).await.unwrap();
    world.live().await;
    world.calm_down();
    let restless = rest::come_to_rest(&world).await;
    let lines = world.end().await.unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos-history.jsonl");
    history::write(&lines, &path).unwrap();
    say(&format!("chaos: {} lines in {}", lines.len(), path.display()));
    report(&lines, &restless);
}

fn report(lines: &[history::Line], restless: &[String]) {
    say(&summary::of(lines));
    let verdict = laws::judge(lines);
    for (law, count) in &verdict.judged {
        say(&format!("{count:>7}  {law}"));
    }
    assert!(restless.is_empty(), "not at rest: {restless:#?}\n{}", verdict.told(lines));
    assert!(verdict.findings.is_empty(), "{}", verdict.told(lines));
    assert_eq!(verdict.idle(&laws::ALL), [], "laws that had nothing to judge");
    for inject in inject::ALL {
        let mut lines = lines.to_vec();
        let law = inject(&mut lines);
        assert_eq!(laws::judge(&lines).broken(), BTreeSet::from([law]), "what was put in was not found");
    }
}

/// Judges a history that was written down before: `CHAOS_HISTORY` names its file.
#[test]
fn a_history_that_was_written_down_is_judged_again() {
    let Some(path) = std::env::var_os("CHAOS_HISTORY") else { return };
    report(&history::read(Path::new(&path)), &[]);
}

/// Past the test harness, which keeps what a passing test prints to itself.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
