//! The store as the reaper sees it: at the planned moments somebody else is faster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::{Event, Phase, Reading, Run, RunNumber, Timestamp, Workspace, WorkspaceId};
use futures_util::{StreamExt as _, stream};
use platform::clock::{Clock as _, ManualClock};
use platform::store::{DueCursor, DuePage, Save, SaveError, Version, Versioned, WorkspaceStore};

use super::moments::Way;
use super::{AT_ONCE, Moment, beat, happen};

/// Makes runs active at their moments, and watches whether one is stopped all the same.
#[derive(Debug)]
pub(crate) struct Interloper {
    inner: Arc<dyn WorkspaceStore>,
    clock: ManualClock,
    runs: BTreeMap<WorkspaceId, (Workspace, Way)>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    planned: BTreeMap<WorkspaceId, Moment>,
    active_at: BTreeMap<WorkspaceId, Timestamp>,
    stopped_while_active: usize,
}

impl Interloper {
    pub(crate) fn new(
        inner: Arc<dyn WorkspaceStore>,
        clock: ManualClock,
        workspaces: &[Workspace],
        moments: &[Option<Moment>],
    ) -> Self {
        let planned = workspaces.iter().zip(moments);
        let planned = planned.filter_map(|(workspace, moment)| Some((workspace.id.clone(), (*moment)?))).collect();
        let known = workspaces.iter().enumerate();
        let runs = known.map(|(number, workspace)| (workspace.id.clone(), (workspace.clone(), Way::of(number))));
        Self { inner, clock, runs: runs.collect(), state: Mutex::new(State { planned, ..State::default() }) }
    }

    /// The store behind it.
    pub(crate) fn inner(&self) -> &dyn WorkspaceStore {
        &*self.inner
    }

    /// Runs whose moment has not come.
    pub(crate) fn awaiting(&self) -> usize {
        self.state.lock().unwrap().planned.len()
    }

    pub(crate) fn became_active(&self) -> usize {
        self.state.lock().unwrap().active_at.len()
    }

    pub(crate) fn stopped_while_active(&self) -> usize {
        self.state.lock().unwrap().stopped_while_active
    }

    /// Everybody whose moment it is becomes active.
    pub(crate) async fn strike(&self, is_it: impl Fn(Moment) -> bool) {
        let due: Vec<_> = {
            let state = self.state.lock().unwrap();
            state.planned.iter().filter(|(_, moment)| is_it(**moment)).map(|(id, _)| id.clone()).collect()
        };
        stream::iter(due)
            .map(|id| async move { self.act(&id).await })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<()>>()
            .await;
    }

    /// This run becomes active if `moment` is its moment.
    async fn strike_one(&self, id: &WorkspaceId, moment: Moment) {
        let is_it = self.state.lock().unwrap().planned.get(id) == Some(&moment);
        if is_it {
            self.act(id).await;
        }
    }

    async fn act(&self, id: &WorkspaceId) {
        let Some(_) = self.state.lock().unwrap().planned.remove(id) else { return };
        let (workspace, way) = &self.runs[id];
        let now = self.clock.now();
        let event = match way {
            Way::Person => Event::KeepAlive { person_at: Some(now) },
            Way::Machine(signal) => beat(workspace, Reading::Busy(*signal)),
        };
        let phase = happen(self.inner(), workspace, event, &self.clock).await;
        assert_eq!(phase, Phase::Ready, "{id} was told that it goes on");
        self.state.lock().unwrap().active_at.insert(id.clone(), now);
    }

    /// A stop has been saved.
    fn watch(&self, id: &WorkspaceId) {
        let mut state = self.state.lock().unwrap();
        let idle_limit = self.runs[id].0.policy.idle_limit;
        let in_use = state.active_at.get(id).is_some_and(|at| *at + idle_limit > self.clock.now());
        state.stopped_while_active += usize::from(in_use);
    }
}

#[async_trait]
impl WorkspaceStore for Interloper {
    async fn load(&self, id: &WorkspaceId) -> anyhow::Result<Versioned> {
        self.inner.load(id).await
    }

    async fn save(&self, save: Save<'_>) -> Result<Version, SaveError> {
        let (id, phase) = (save.id, save.record.phase);
        match phase {
            Phase::Draining => self.strike_one(id, Moment::BeforeAnnounced).await,
            Phase::Stopping => self.strike_one(id, Moment::BeforeStopped).await,
            _ => {}
        }
        let version = self.inner.save(save).await?;
        match phase {
            Phase::Draining => self.strike_one(id, Moment::AfterAnnounced).await,
            Phase::Stopping => self.watch(id),
            _ => {}
        }
        Ok(version)
    }

    async fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> anyhow::Result<DuePage> {
        let page = self.inner.due(now, after, limit).await?;
        for (id, read) in &page.records {
            match read.record.phase {
                Phase::Ready => self.strike_one(id, Moment::Listed).await,
                Phase::Draining => self.strike_one(id, Moment::ListedToStop).await,
                _ => {}
            }
        }
        Ok(page)
    }

    async fn runs(&self, id: &WorkspaceId, before: Option<RunNumber>, limit: usize) -> anyhow::Result<Vec<Run>> {
        self.inner.runs(id, before, limit).await
    }
}
