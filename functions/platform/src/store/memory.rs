//! Records in memory, with Firestore's compare-and-set: for the pocket cloud, tests and benches. Nothing survives the
//! process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::{Record, Run, RunNumber, Timestamp, WorkspaceId};

use super::{DueCursor, DuePage, Save, SaveError, Version, Versioned, WorkspaceStore};

/// Finished runs kept of each workspace; the oldest is forgotten first. Thirty years of a run a day.
pub const RUNS_KEPT_MAX: usize = 10_000;

/// Records of workspaces in memory. How many there are is bounded by who declares them, not here.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    workspaces: HashMap<WorkspaceId, Stored>,
    /// What is due, oldest first: the cost of a sweep grows with this, not with `workspaces`.
    due: BTreeSet<DueCursor>,
    /// Moves at each save, over all workspaces, as `updateTime` does.
    last_version: u64,
}

#[derive(Debug)]
struct Stored {
    record: Record,
    version: u64,
    due_at: Option<Timestamp>,
    runs: BTreeMap<RunNumber, Run>,
}

impl Stored {
    fn versioned(&self) -> Versioned {
        Versioned { record: self.record.clone(), version: Some(Version(self.version.to_string())) }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below panics between two writes, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn save(&mut self, save: &Save<'_>) -> Result<Version, SaveError> {
        let stored = self.workspaces.get(save.id);
        let seen = save.seen.map(|version| version.0.as_str());
        if stored.map(|stored| stored.version.to_string()).as_deref() != seen {
            return Err(SaveError::Conflict);
        }
        self.last_version += 1;
        let version = self.last_version;
        let due_before = stored.and_then(|stored| stored.due_at);
        if due_before != save.due_at {
            if let Some(due_at) = due_before {
                self.due.remove(&DueCursor { due_at, id: save.id.clone() });
            }
            if let Some(due_at) = save.due_at {
                self.due.insert(DueCursor { due_at, id: save.id.clone() });
            }
        }
        let stored = self.workspaces.entry(save.id.clone()).or_insert_with(|| Stored {
            record: Record::default(),
            version,
            due_at: None,
            runs: BTreeMap::new(),
        });
        stored.record = save.record.clone();
        stored.version = version;
        stored.due_at = save.due_at;
        if let Some(run) = save.ended {
            stored.runs.insert(run.number, run.clone());
            if stored.runs.len() > RUNS_KEPT_MAX {
                stored.runs.pop_first();
            }
        }
        Ok(Version(version.to_string()))
    }

    fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> DuePage {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut places = self.due.range((from, Bound::Unbounded)).take_while(|place| place.due_at <= now);
        let mut last = None;
        let mut records = Vec::new();
        for place in places.by_ref().take(limit) {
            if let Some(stored) = self.workspaces.get(&place.id) {
                records.push((place.id.clone(), stored.versioned()));
            }
            last = Some(place);
        }
        DuePage { records, next: places.next().and(last).cloned() }
    }
}

#[async_trait]
impl WorkspaceStore for MemoryStore {
    async fn load(&self, id: &WorkspaceId) -> anyhow::Result<Versioned> {
        let state = self.state();
        let nothing = || Versioned { record: Record::default(), version: None };
        Ok(state.workspaces.get(id).map_or_else(nothing, Stored::versioned))
    }

    async fn save(&self, save: Save<'_>) -> Result<Version, SaveError> {
        self.state().save(&save)
    }

    async fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> anyhow::Result<DuePage> {
        Ok(self.state().due(now, after, limit))
    }

    async fn runs(&self, id: &WorkspaceId, before: Option<RunNumber>, limit: usize) -> anyhow::Result<Vec<Run>> {
        let state = self.state();
        let Some(stored) = state.workspaces.get(id) else { return Ok(Vec::new()) };
        let below = before.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(stored.runs.range((Bound::Unbounded, below)).rev().take(limit).map(|(_, run)| run.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contract::records::run_numbered;
    use crate::contract::store::store_contract;

    #[tokio::test]
    async fn memory_keeps_the_contract_of_a_store() {
        store_contract(async || Arc::new(MemoryStore::new()) as Arc<dyn WorkspaceStore>).await;
    }

    #[tokio::test]
    async fn the_oldest_run_is_forgotten_when_there_are_too_many() {
        let store = MemoryStore::new();
        let id = WorkspaceId::parse("main").unwrap();
        let mut seen = None;
        for number in 1..=RUNS_KEPT_MAX as u64 + 1 {
            let run = run_numbered(number);
            let save =
                Save { id: &id, record: &Record::default(), seen: seen.as_ref(), due_at: None, ended: Some(&run) };
            seen = Some(store.save(save).await.unwrap());
        }
        let oldest = store.runs(&id, Some(3), 10).await.unwrap();
        assert_eq!(oldest, [run_numbered(2)]);
    }
}
