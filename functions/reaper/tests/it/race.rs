//! Two hundred runs that are idle when a sweep lists them, each of which becomes active before it is stopped: none is.
//! The same runs, left alone: all are.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{Run, RunNumber, Timestamp, WorkspaceId};
use platform::store::{DueCursor, DuePage, MemoryStore, Save, SaveError, Version, Versioned, WorkspaceStore};

use crate::culling::{Moment, Outcome, moments, play};

const RUNS: usize = 200;
/// Any would do; these are tried each time.
const SEEDS: std::ops::Range<u64> = 0..20;

/// Plays with `moments`, and holds the end against what it must be.
async fn none_is_stopped(store: Arc<dyn WorkspaceStore>, seed: u64) {
    let outcome = play(store, &moments(RUNS, seed)).await;
    let Outcome { became_active, stopped, stopped_while_active, nudges, .. } = outcome;
    assert_eq!((became_active, stopped, stopped_while_active, nudges), (RUNS, 0, 0, 0), "seed {seed}");
}

async fn all_are_stopped(store: Arc<dyn WorkspaceStore>) {
    let outcome = play(store, &[None; RUNS]).await;
    // Each worker was asked once when its stop was saved, and once more by each of the two sweeps after it.
    let nudges = 3 * RUNS;
    let expected = Outcome { announced: RUNS, became_active: 0, stopped: RUNS, stopped_while_active: 0, nudges };
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn of_200_idle_runs_that_become_active_before_their_stop_none_is_stopped() {
    for seed in SEEDS {
        none_is_stopped(Arc::new(MemoryStore::new()), seed).await;
    }
}

#[tokio::test]
async fn of_200_idle_runs_that_stay_idle_all_are_stopped() {
    all_are_stopped(Arc::new(MemoryStore::new())).await;
}

#[tokio::test]
async fn among_200_each_moment_is_somebodys() {
    for seed in SEEDS {
        let drawn = moments(RUNS, seed).into_iter().flatten();
        let kinds: BTreeSet<_> =
            drawn.map(|moment| format!("{moment:?}").split('(').next().unwrap().to_owned()).collect();
        assert_eq!(kinds.len(), 7, "seed {seed}: {kinds:?}");
    }
}

#[cfg(feature = "cloud")]
mod on_firestore {
    use platform::contract::emulator::Emulator;
    use platform::store::FirestoreStore;

    use super::*;

    #[tokio::test]
    async fn of_200_idle_runs_that_become_active_before_their_stop_none_is_stopped_on_firestore() {
        let Some(emulator) = Emulator::firestore().await else { return };
        let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        none_is_stopped(Arc::new(FirestoreStore::new(emulator.database())), seed).await;
    }

    #[tokio::test]
    async fn of_200_idle_runs_that_stay_idle_all_are_stopped_on_firestore() {
        let Some(emulator) = Emulator::firestore().await else { return };
        all_are_stopped(Arc::new(FirestoreStore::new(emulator.database()))).await;
    }
}

/// Compare-and-set, switched off: whoever saves last has it.
#[derive(Debug)]
struct LastSaveWins(MemoryStore);

#[async_trait]
impl WorkspaceStore for LastSaveWins {
    async fn load(&self, id: &WorkspaceId) -> anyhow::Result<Versioned> {
        self.0.load(id).await
    }

    async fn save(&self, save: Save<'_>) -> Result<Version, SaveError> {
        let seen = self.0.load(save.id).await.map_err(SaveError::Unavailable)?.version;
        self.0.save(Save { seen: seen.as_ref(), ..save }).await
    }

    async fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> anyhow::Result<DuePage> {
        self.0.due(now, after, limit).await
    }

    async fn runs(&self, id: &WorkspaceId, before: Option<RunNumber>, limit: usize) -> anyhow::Result<Vec<Run>> {
        self.0.runs(id, before, limit).await
    }
}

#[tokio::test]
async fn without_compare_and_set_runs_are_stopped_while_active() {
    for seed in SEEDS {
        let moments = moments(RUNS, seed);
        let outdated = moments.iter().flatten().filter(|moment| Moment::is_between_read_and_save(**moment)).count();
        let outcome = play(Arc::new(LastSaveWins(MemoryStore::new())), &moments).await;
        assert_eq!((outcome.stopped, outcome.stopped_while_active), (outdated, outdated), "seed {seed}");
        assert!(outdated > RUNS / 4, "seed {seed}");
    }
}
