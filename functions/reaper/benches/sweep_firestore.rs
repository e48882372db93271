//! One sweep of 10,000 due, the records in Google's Firestore emulator: among 20,000 known, and among 100,000.
//!
//! `cargo bench -p reaper --bench sweep_firestore`. Prints how long each sweep took, the memory it needed, and the
//! documents that it read and wrote. Filling the emulator takes some minutes. It needs Java and the Google Cloud SDK with
//! its component `cloud-firestore-emulator`, and says so where they are missing.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may panic")]

#[path = "../tests/ground/mod.rs"]
mod ground;
mod memory;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use domain::{Seconds, Timestamp, Workspace, due_at};
use futures_util::{StreamExt as _, stream};
use platform::clock::ManualClock;
use platform::contract::emulator::Emulator;
use platform::firestore::Firestore;
use platform::store::FirestoreStore;

use self::ground::{Nudges, ready, reaper, workspace};

const KNOWN: [usize; 2] = [20_000, 100_000];
const DUE: usize = 10_000;
/// Memory of the emulator, in MiB.
const EMULATOR_MIB: u32 = 2048;
/// Records built at once, and how many such heaps are on their way at once.
const FILLED_AT_ONCE: usize = 500;
const HEAPS_AT_ONCE: usize = 4;
/// The clock stands still: filling takes longer than an announcement would wait.
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Runs that have been ready since `since`.
async fn fill(store: &FirestoreStore, numbers: Range<usize>, since: Timestamp) {
    let heaps: Vec<_> =
        numbers.clone().step_by(FILLED_AT_ONCE).map(|first| first..(first + FILLED_AT_ONCE).min(numbers.end)).collect();
    let filled = stream::iter(heaps).map(async |heap| {
        let records = heap.map(|number| {
            let workspace = workspace(number);
            let record = ready(&workspace, since, NOW);
            let due_at = due_at(&record, &workspace.policy);
            (workspace.id, record, due_at)
        });
        store.put_all(&records.collect::<Vec<_>>()).await.unwrap();
    });
    filled.buffer_unordered(HEAPS_AT_ONCE).collect::<Vec<()>>().await;
}

async fn sweep(database: &Arc<Firestore>, workspaces: &[Workspace]) {
    let store = Arc::new(FirestoreStore::new(Arc::clone(database)));
    let nudges = Arc::new(Nudges::default());
    let app = reaper(workspaces, &workspaces[..DUE], store, Arc::new(ManualClock::at(NOW)), Arc::clone(&nudges));
    let (before, used) = (memory::begin(), database.usage());
    let begin = Instant::now();
    let report = app.sweep().await;
    let took = begin.elapsed();
    let (most, used) = (memory::most_over(before), database.usage() - used);
    assert_eq!((report.drained, report.failed.len(), nudges.count()), (DUE, 0, 0));
    println!(
        "sweep on Firestore's emulator, {DUE} due of {} known: {took:.1?}, {most} MiB over what was there, {} documents \
         read, {} written",
        workspaces.len(),
        used.reads,
        used.writes
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Some(emulator) = Emulator::firestore_with(EMULATOR_MIB).await else { return };
        let database = emulator.database();
        let store = FirestoreStore::new(Arc::clone(&database));
        let workspaces: Vec<_> = (0..KNOWN[1]).map(workspace).collect();
        let mut filled = DUE;
        for known in KNOWN {
            fill(&store, filled..known, NOW).await;
            filled = known;
            // Those that were announced by the sweep before are due again.
            fill(&store, 0..DUE, NOW - Seconds::hours(1)).await;
            sweep(&database, &workspaces[..known]).await;
        }
    });
}
