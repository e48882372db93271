//! Compute Engine: how instances are, and the few calls that change them.

pub mod fake;
mod fake_cloud;
#[cfg(feature = "compute")]
pub mod google;
#[cfg(feature = "compute")]
mod google_errors;
#[cfg(feature = "compute")]
mod google_looks;

use async_trait::async_trait;
use domain::{Action, InstanceSeen, OperationError, RunNumber, UpInstance, Workspace, WorkspaceId};

/// Label that every instance of a workspace carries; its value is the workspace's name.
pub const WORKSPACE_LABEL: &str = "pilotlight-workspace";

/// Name space of our request ids; drawn once, and never to change: a repeat must get the id of the first attempt.
const REQUEST_IDS: uuid::Uuid = uuid::uuid!("5f0c2f4e-6d0b-4b57-9a55-0b1f0d4f7c19");

/// The request id of a run's call: the same for the same call, whoever makes it, and for no other.
pub fn request_id(workspace: &WorkspaceId, run: RunNumber, sequence: u32) -> uuid::Uuid {
    uuid::Uuid::new_v5(&REQUEST_IDS, format!("{workspace}/{run}/{sequence}").as_bytes())
}

/// A call as it is made.
#[derive(Clone, Debug)]
pub struct CallRequest<'a> {
    pub workspace: &'a Workspace,
    pub action: &'a Action,
    /// The same id again is the same call (Compute Engine's `requestId`).
    pub request_id: uuid::Uuid,
}

/// How an accepted operation is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationState {
    Pending,
    /// Over, and went well; or so long over that it is forgotten.
    Done,
    /// Over, and went wrong.
    Failed(OperationError),
}

/// Why a call was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Compute Engine said no: the call has not happened.
    #[error("Compute Engine refused: {}", .0.detail)]
    Refused(OperationError),
    /// No answer: the call may have happened. The same `request_id` may be sent again.
    #[error("Compute Engine did not answer")]
    Unanswered(#[source] anyhow::Error),
}

/// Instances and operations of the project.
#[async_trait]
pub trait Compute: Send + Sync + std::fmt::Debug {
    /// Every placement of the workspace as it is now, in the order of its placements.
    async fn see(&self, workspace: &Workspace) -> anyhow::Result<Vec<InstanceSeen>>;

    /// Every labelled instance of the project that is up, or on its way up.
    async fn list_up(&self) -> anyhow::Result<Vec<UpInstance>>;

    /// Makes a call; returns the name of the accepted operation.
    async fn call(&self, request: CallRequest<'_>) -> Result<String, CallError>;

    /// How an operation on an instance in `zone` is doing.
    async fn operation(&self, zone: &str, operation: &str) -> anyhow::Result<OperationState>;

    /// Stops an instance that no workspace knows.
    async fn stop_unknown(&self, instance: &UpInstance, request_id: uuid::Uuid) -> Result<String, CallError>;
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_same_call_has_the_same_request_id_and_no_two_calls_share_one() {
        let (main, main1) = (WorkspaceId::parse("main").unwrap(), WorkspaceId::parse("main1").unwrap());
        let ids = [
            request_id(&main, 1, 1),
            request_id(&main, 1, 2),
            request_id(&main, 2, 1),
            request_id(&main, 11, 1),
            request_id(&main, 1, 11),
            request_id(&main1, 1, 1),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{at}");
        }
        // Compute Engine remembers ids across our versions.
        assert_eq!(ids[0].to_string(), "d6ee552c-5905-5062-925d-d95946f96d99");
    }
}
