//! The queue that carries nudges: at least once, in any order.

mod memory;
#[cfg(feature = "pubsub")]
mod pubsub;

use async_trait::async_trait;
use domain::WorkspaceId;

pub use memory::{
    DATA_BYTES_MAX, DEAD_LETTERS_MAX, DeadLetter, MemoryTopic, PublishError, QueueFaults, REORDER_SPREAD, REPEAT_MAX,
    Subscription, TokenMint, TopicSnapshot, WAITING_MAX,
};
#[cfg(feature = "pubsub")]
pub use pubsub::{PubsubConfig, PubsubQueue};

/// Asks that the worker look at a workspace.
#[async_trait]
pub trait Queue: Send + Sync + std::fmt::Debug {
    /// Returns when the queue has taken the nudge.
    async fn nudge(&self, workspace: &WorkspaceId) -> anyhow::Result<()>;
}

/// The payload of a nudge.
fn nudge_data(workspace: &WorkspaceId) -> anyhow::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&wire::Nudge { workspace: workspace.as_str().to_owned() })?)
}
