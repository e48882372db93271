//! What one hour of use costs, with how it begins and ends, and what a day costs on which nobody comes: documents of
//! Firestore, requests to Cloud Run, messages of Pub/Sub. `docs/cost.md` makes dollars of it.
//!
//! `cargo bench -p lifecycle --bench hour`. The routers and the worker are the real ones, the records are in Google's
//! Firestore emulator, counted as Firestore bills; page, VM, Compute Engine, Pub/Sub and Cloud Scheduler are played, each
//! at the pace at which it would ask, on a clock that leaps from one to the next. It needs Java and the Google Cloud SDK
//! with its component `cloud-firestore-emulator`, and says so where they are missing.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may panic")]

mod cast;
mod functions;
mod identity;
mod page;
mod stage;
mod tally;

use std::sync::Arc;

use domain::{Phase, Policy, Seconds};
use platform::contract::emulator::Emulator;

use self::stage::Stage;
use self::tally::Tally;

/// A machine that is not ready by then will not be.
const READY_WITHIN: Seconds = Seconds::minutes(10);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(emulator) = Emulator::firestore().await else { return };
        let stage = Stage::on(&emulator);
        row("usage, signing in and starting until ready", start(&stage).await);
        row("usage, the hour at work", hour(&stage).await);
        row("usage, idle until stopped", end(&stage).await);
        row("usage, a day on which nobody comes", day(&stage).await);
    });
}

fn row(what: &str, used: Tally) {
    println!("{what}: {used}");
}

/// Somebody signs in, reads for a while, presses Start, and waits.
async fn start(stage: &Arc<Stage>) -> Tally {
    let before = stage.tally();
    stage.open_page().await;
    stage.pass(Seconds(20)).await;
    stage.press_start().await;
    for _ in 0..READY_WITHIN.0 {
        if stage.page_shows("Ready") {
            break;
        }
        stage.pass(Seconds(1)).await;
    }
    assert_eq!(stage.record().await.phase, Phase::Ready);
    stage.tally() - before
}

/// Works, lets a long job run behind another window, comes back, and at the end only looks.
async fn hour(stage: &Arc<Stage>) -> Tally {
    let before = stage.tally();
    stage.set_person(true, true);
    stage.pass(Seconds::minutes(10)).await;
    stage.set_job(true);
    stage.pass(Seconds::minutes(5)).await;
    stage.set_person(false, false);
    stage.pass(Seconds::minutes(15)).await;
    stage.set_job(false);
    stage.set_person(true, true);
    stage.pass(Seconds::minutes(20)).await;
    stage.set_person(true, false);
    stage.pass(Seconds::minutes(10)).await;
    assert_eq!(stage.record().await.phase, Phase::Ready);
    stage.tally() - before
}

/// Closes the page. The run is announced, stopped, and over.
async fn end(stage: &Arc<Stage>) -> Tally {
    let before = stage.tally();
    stage.set_person(false, false);
    let policy = Policy::default();
    stage.pass(policy.idle_limit + policy.drain + Seconds::minutes(5)).await;
    assert_eq!(stage.record().await.phase, Phase::Stopped);
    stage.tally() - before
}

async fn day(stage: &Arc<Stage>) -> Tally {
    let before = stage.tally();
    stage.pass(Seconds::hours(24)).await;
    stage.tally() - before
}
