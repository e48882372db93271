//! A store in which somebody is always faster than the reaper.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::{Reading, Run, RunNumber, Signal, Timestamp, Workspace, WorkspaceId};
use platform::clock::{Clock, ManualClock};
use platform::store::{DueCursor, DuePage, MemoryStore, Save, SaveError, Version, Versioned, WorkspaceStore};

use crate::setting::{happen, heartbeat, workspace};

/// Between the reaper's reading of a record and its saving it, the workspace's VM says that it is at work.
#[derive(Debug)]
pub(crate) struct Interloper {
    records: Arc<MemoryStore>,
    clock: ManualClock,
    /// How many more saves are overtaken, by workspace.
    awaited: Mutex<BTreeMap<WorkspaceId, usize>>,
}

impl Interloper {
    pub(crate) fn new(records: Arc<MemoryStore>, clock: &ManualClock) -> Arc<Self> {
        Arc::new(Self { records, clock: clock.clone(), awaited: Mutex::default() })
    }

    /// Overtakes the next `saves` saves of each of these.
    pub(crate) fn overtake(&self, names: &[impl AsRef<str>], saves: usize) {
        let ids = names.iter().map(|name| (WorkspaceId::parse(name.as_ref()).unwrap(), saves));
        self.awaited.lock().unwrap().extend(ids);
    }

    /// Saves that are still to be overtaken.
    pub(crate) fn awaiting(&self) -> usize {
        self.awaited.lock().unwrap().values().sum()
    }

    fn strikes(&self, id: &WorkspaceId) -> bool {
        match self.awaited.lock().unwrap().get_mut(id) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    async fn work(&self, workspace: &Workspace) {
        let record = self.records.load(&workspace.id).await.unwrap().record;
        let busy = Reading::Busy(Signal::Traffic);
        let event = heartbeat(workspace.id.as_str(), record.instance_id.unwrap(), record.run, busy);
        // Later by more than is too little to be written down.
        self.clock.advance(std::time::Duration::from_millis(1));
        happen(&self.records, workspace, event, self.clock.now()).await;
    }
}

#[async_trait]
impl WorkspaceStore for Interloper {
    async fn load(&self, id: &WorkspaceId) -> anyhow::Result<Versioned> {
        self.records.load(id).await
    }

    async fn save(&self, save: Save<'_>) -> Result<Version, SaveError> {
        if self.strikes(save.id) {
            self.work(&workspace(save.id.as_str())).await;
        }
        self.records.save(save).await
    }

    async fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> anyhow::Result<DuePage> {
        self.records.due(now, after, limit).await
    }

    async fn runs(&self, id: &WorkspaceId, before: Option<RunNumber>, limit: usize) -> anyhow::Result<Vec<Run>> {
        self.records.runs(id, before, limit).await
    }
}
