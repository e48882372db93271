//! Where the records of workspaces are kept: compare-and-set, and a query for what is due.

mod faulty;
#[cfg(feature = "firestore")]
mod firestore;
mod memory;

use async_trait::async_trait;
use domain::{Decision, Record, Run, RunNumber, Timestamp, Workspace, WorkspaceId, due_at};

pub use self::faulty::{FaultyStore, Operation, StoreFault};
#[cfg(feature = "firestore")]
pub use self::firestore::FirestoreStore;
pub use self::memory::{MemoryStore, RUNS_KEPT_MAX};

/// Which state of a record was read. Opaque; Firestore's `updateTime`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub String);

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    pub record: Record,
    /// `None` when nothing is stored yet: the record is then a new one.
    pub version: Option<Version>,
}

/// What is saved in one go, or not at all.
#[derive(Clone, Debug)]
pub struct Save<'a> {
    pub id: &'a WorkspaceId,
    pub record: &'a Record,
    /// The state that the record was derived from; `None` to create it.
    pub seen: Option<&'a Version>,
    /// When the reaper must look at it next.
    pub due_at: Option<Timestamp>,
    /// A run that has just ended, for the history. Saved under its number; once.
    pub ended: Option<&'a Run>,
}

/// Why a save did not happen.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Somebody else has saved since: load again and decide again.
    #[error("the record has changed since it was read")]
    Conflict,
    /// Others were at the record each time it was tried: come back later. What is stored is told by loading it again.
    #[error("others are writing the record all the time")]
    Contended(#[source] anyhow::Error),
    /// The store could not be reached, or refused.
    #[error("the store failed")]
    Unavailable(#[source] anyhow::Error),
}

/// One page of what is due, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePage {
    pub records: Vec<(WorkspaceId, Versioned)>,
    /// Give it back for the page after this one; `None` at the end.
    pub next: Option<DueCursor>,
}

/// A place in the list of what is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueCursor {
    pub due_at: Timestamp,
    pub id: WorkspaceId,
}

/// Records of workspaces and their finished runs.
#[async_trait]
pub trait WorkspaceStore: Send + Sync + std::fmt::Debug {
    /// The record of a workspace; a new one when nothing is stored.
    async fn load(&self, id: &WorkspaceId) -> anyhow::Result<Versioned>;

    /// Saves on condition that nothing was saved since `seen` was read.
    async fn save(&self, save: Save<'_>) -> Result<Version, SaveError>;

    /// Up to `limit` records with `due_at <= now`, oldest first, reading no others.
    async fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> anyhow::Result<DuePage>;

    /// Up to `limit` finished runs with a number below `before`, newest first.
    async fn runs(&self, id: &WorkspaceId, before: Option<RunNumber>, limit: usize) -> anyhow::Result<Vec<Run>>;
}

/// Saves what was decided on the state `seen`: the record, when it is due next, and the run that ended, in one go.
///
/// # Errors
/// As [`WorkspaceStore::save`].
pub async fn save_decision(
    store: &dyn WorkspaceStore,
    workspace: &Workspace,
    seen: Option<&Version>,
    decision: &Decision,
) -> Result<Version, SaveError> {
    let save = Save {
        id: &workspace.id,
        record: &decision.next,
        seen,
        due_at: due_at(&decision.next, &workspace.policy),
        ended: decision.ended.as_ref(),
    };
    store.save(save).await
}
