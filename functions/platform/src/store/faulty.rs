//! A store that fails on demand, for tests of what must survive it: refused, in conflict, or saved while the answer
//! was lost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::{Run, RunNumber, Timestamp, WorkspaceId};

use super::{DueCursor, DuePage, Save, SaveError, Version, Versioned, WorkspaceStore};

/// What goes wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Nothing is done, and the caller is told so.
    Unavailable,
    /// A save finds that somebody was faster (nobody was). Another operation fails as if unavailable.
    Conflict,
    /// It is done, but the caller hears of a failure.
    AnswerLost,
}

/// One of the store's operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Load,
    Save,
    Due,
    Runs,
}

/// Passes everything on to another store, except what a test has asked to go wrong.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn WorkspaceStore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they strike.
    planned: VecDeque<(Operation, StoreFault)>,
    out_of_reach: bool,
    failing: Option<WorkspaceId>,
}

impl FaultyStore {
    /// Faultless until told otherwise.
    pub fn new(inner: Arc<dyn WorkspaceStore>) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// The next `operation` that no earlier fault is planned for meets `fault`.
    pub fn fail_next(&self, operation: Operation, fault: StoreFault) {
        self.state().planned.push_back((operation, fault));
    }

    /// Every operation fails until this is taken back.
    pub fn set_out_of_reach(&self, out_of_reach: bool) {
        self.state().out_of_reach = out_of_reach;
    }

    /// Loading or saving this workspace fails until another one, or none, is named.
    pub fn set_failing(&self, workspace: Option<WorkspaceId>) {
        self.state().failing = workspace;
    }

    /// Whether every planned fault has struck.
    pub fn is_spent(&self) -> bool {
        self.state().planned.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, operation: Operation, workspace: Option<&WorkspaceId>) -> Option<StoreFault> {
        let mut state = self.state();
        if state.out_of_reach || (workspace.is_some() && state.failing.as_ref() == workspace) {
            return Some(StoreFault::Unavailable);
        }
        let place = state.planned.iter().position(|(planned, _)| *planned == operation)?;
        state.planned.remove(place).map(|(_, fault)| fault)
    }

    async fn read<T>(
        &self,
        operation: Operation,
        workspace: Option<&WorkspaceId>,
        answer: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        match self.strike(operation, workspace) {
            None => answer.await,
            Some(fault) => anyhow::bail!("{operation:?} was made to fail ({fault:?})"),
        }
    }
}

#[async_trait]
impl WorkspaceStore for FaultyStore {
    async fn load(&self, id: &WorkspaceId) -> anyhow::Result<Versioned> {
        self.read(Operation::Load, Some(id), self.inner.load(id)).await
    }

    async fn save(&self, save: Save<'_>) -> Result<Version, SaveError> {
        let lost = |what: &str| SaveError::Unavailable(anyhow::anyhow!("a save was made to fail: {what}"));
        match self.strike(Operation::Save, Some(save.id)) {
            None => self.inner.save(save).await,
            Some(StoreFault::Unavailable) => Err(lost("not saved")),
            Some(StoreFault::Conflict) => Err(SaveError::Conflict),
            Some(StoreFault::AnswerLost) => {
                self.inner.save(save).await?;
                Err(lost("saved, but the answer was lost"))
            }
        }
    }

    async fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> anyhow::Result<DuePage> {
        self.read(Operation::Due, None, self.inner.due(now, after, limit)).await
    }

    async fn runs(&self, id: &WorkspaceId, before: Option<RunNumber>, limit: usize) -> anyhow::Result<Vec<Run>> {
        self.read(Operation::Runs, Some(id), self.inner.runs(id, before, limit)).await
    }
}

#[cfg(test)]
mod tests {
    use domain::Record;

    use super::*;
    use crate::contract::store::store_contract;
    use crate::store::MemoryStore;

    fn faulty() -> (FaultyStore, WorkspaceId) {
        (FaultyStore::new(Arc::new(MemoryStore::new())), WorkspaceId::parse("main").unwrap())
    }

    fn first<'a>(id: &'a WorkspaceId, record: &'a Record) -> Save<'a> {
        Save { id, record, seen: None, due_at: None, ended: None }
    }

    #[tokio::test]
    async fn without_faults_it_is_the_store_behind_it() {
        store_contract(async || Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()))) as Arc<dyn WorkspaceStore>)
            .await;
    }

    #[tokio::test]
    async fn a_save_whose_answer_is_lost_is_saved_all_the_same() {
        let (store, id) = faulty();
        let record = Record { run: 7, ..Record::default() };
        store.fail_next(Operation::Save, StoreFault::AnswerLost);
        assert!(matches!(store.save(first(&id, &record)).await, Err(SaveError::Unavailable(_))));
        assert_eq!(store.load(&id).await.unwrap().record, record);
        assert!(store.is_spent());
    }

    #[tokio::test]
    async fn a_refused_save_and_a_false_conflict_save_nothing_and_strike_once() {
        let (store, id) = faulty();
        let record = Record { run: 7, ..Record::default() };
        store.fail_next(Operation::Save, StoreFault::Unavailable);
        store.fail_next(Operation::Save, StoreFault::Conflict);
        assert!(matches!(store.save(first(&id, &record)).await, Err(SaveError::Unavailable(_))));
        assert!(matches!(store.save(first(&id, &record)).await, Err(SaveError::Conflict)));
        assert_eq!(store.load(&id).await.unwrap().version, None);
        store.save(first(&id, &record)).await.unwrap();
    }

    #[tokio::test]
    async fn a_store_out_of_reach_answers_nothing_until_it_is_back() {
        let (store, id) = faulty();
        store.set_out_of_reach(true);
        assert!(store.load(&id).await.is_err());
        assert!(store.due(Timestamp::from_seconds(0), None, 1).await.is_err());
        assert!(store.runs(&id, None, 1).await.is_err());
        store.set_out_of_reach(false);
        assert!(store.load(&id).await.is_ok());
    }

    #[tokio::test]
    async fn one_workspace_can_fail_while_the_others_do_not() {
        let (store, id) = faulty();
        store.set_failing(Some(id.clone()));
        assert!(store.load(&id).await.is_err());
        assert!(store.load(&WorkspaceId::parse("other").unwrap()).await.is_ok());
    }
}
