//! The one way in which a record is changed from outside the worker's rounds: decided anew as long as others are faster.

use anyhow::Context;
use domain::{Decision, Denied, Event, Record, Timestamp, Workspace, decide};
use platform::clock::Clock;
use platform::store::{SaveError, WorkspaceStore, save_decision};
use service::log_turn;

/// A record that others change all the time is decided anew this often before the caller is asked to come back.
const ATTEMPTS_MAX: usize = 16;

/// What has come of an event.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) before: Record,
    pub(crate) decision: Decision,
    pub(crate) now: Timestamp,
}

/// Why nothing has.
#[derive(Debug)]
pub(crate) enum NotChanged {
    /// By the domain, on the record as it is.
    Denied(Denied, Box<Record>),
    /// The store cannot be had, or others were faster each time.
    Failed(anyhow::Error),
}

/// Decides `event` on the record as it is, and saves the answer on condition that nobody else has saved since.
///
/// # Errors
/// The domain's denial, or why the store cannot be had.
pub(crate) async fn change(
    store: &dyn WorkspaceStore,
    clock: &dyn Clock,
    workspace: &Workspace,
    event: &Event,
) -> Result<Changed, NotChanged> {
    for _ in 0..ATTEMPTS_MAX {
        let loaded = store.load(&workspace.id).await.context("loading a workspace").map_err(NotChanged::Failed)?;
        let now = clock.now();
        let decision = match decide(&loaded.record, event.clone(), now, workspace) {
            Ok(decision) => decision,
            Err(denied) => return Err(NotChanged::Denied(denied, Box::new(loaded.record))),
        };
        if decision.save {
            match save_decision(store, workspace, loaded.version.as_ref(), &decision).await {
                Ok(_) => log_turn(workspace, &loaded.record, &decision.next),
                Err(SaveError::Conflict) => continue,
                Err(error) => {
                    return Err(NotChanged::Failed(anyhow::Error::new(error).context("saving a workspace")));
                }
            }
        }
        return Ok(Changed { before: loaded.record, decision, now });
    }
    Err(NotChanged::Failed(anyhow::anyhow!("{} was changed by others {ATTEMPTS_MAX} times in a row", workspace.id)))
}
