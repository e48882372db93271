//! One sweep of 10,000 due among 1,000,000 known, the store in memory.
//!
//! `cargo bench -p reaper --bench sweep`. Prints how long the sweep took and the memory it needed over the store's own.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may panic")]

#[path = "../tests/ground/mod.rs"]
mod ground;
mod memory;

use std::sync::Arc;
use std::time::Instant;

use domain::{Seconds, Timestamp, Workspace, due_at};
use platform::clock::{Clock, SystemClock};
use platform::store::{MemoryStore, Save, WorkspaceStore};

use self::ground::{Nudges, ready, reaper, workspace};

const KNOWN: usize = 1_000_000;
const DUE: usize = 10_000;

async fn filled(now: Timestamp) -> (Arc<MemoryStore>, Vec<Workspace>) {
    let store = Arc::new(MemoryStore::new());
    let mut workspaces = Vec::with_capacity(KNOWN);
    for number in 0..KNOWN {
        let workspace = workspace(number);
        let due = number < DUE;
        let since = if due { now - Seconds::hours(1) } else { now };
        let record = ready(&workspace, since, now);
        let due_at = due_at(&record, &workspace.policy);
        store.save(Save { id: &workspace.id, record: &record, seen: None, due_at, ended: None }).await.unwrap();
        workspaces.push(workspace);
    }
    (store, workspaces)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (store, workspaces) = filled(clock.now()).await;
        let nudges = Arc::new(Nudges::default());
        let app = reaper(&workspaces, &workspaces[..DUE], store, clock, Arc::clone(&nudges));
        let before = memory::begin();
        let begin = Instant::now();
        let report = app.sweep().await;
        let took = begin.elapsed();
        let most = memory::most_over(before);
        assert_eq!((report.drained, report.failed.len(), nudges.count()), (DUE, 0, 0));
        println!("sweep, {DUE} due of {KNOWN} known: {took:?}, {most} MiB over what was there");
    });
}
