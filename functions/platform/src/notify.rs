//! Sending notices to the webhooks that workspaces are declared with. One try: when there is another, the record says.

mod memory;
mod signature;
mod webhook;

use async_trait::async_trait;
use domain::{Seconds, Timestamp};
use wire::{Telling, WebhookConfig, event_id};

pub use memory::{DELIVERIES_KEPT_MAX, MemoryNotifier};
pub use signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};
pub use webhook::{ANSWER_LIMIT, RETRY_AFTER_MAX, WebhookNotifier};

/// Brings a notice to where its workspace's notices go.
#[async_trait]
pub trait Notifier: Send + Sync + std::fmt::Debug {
    /// Returns when the receiver has taken it. Whoever drops this half way must take it for sent.
    async fn send(&self, delivery: &Delivery) -> Result<(), NotifyError>;
}

/// A notice on its way. `Debug` shows no secret of the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub to: WebhookConfig,
    /// The event's name, the same on each try.
    pub id: String,
    /// When it is sent: the receiver refuses what is old, so this is the try's moment and not the event's.
    pub at: Timestamp,
    /// The body, as it is signed and sent.
    pub body: String,
}

impl Delivery {
    /// What is told, as this webhook is told it.
    pub fn new(to: &WebhookConfig, telling: Telling<'_>) -> Self {
        Self {
            to: to.clone(),
            id: event_id(&telling.workspace.id, telling.notice),
            at: telling.now,
            body: telling.body(to.shape()),
        }
    }
}

/// Why a notice was not taken, by what may be done about it. Nothing here shows a secret of the webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// The receiver has surely not taken it: it may be sent again, no sooner than the receiver asks.
    #[error("not delivered: {why}")]
    NotDelivered { why: String, retry_after: Option<Seconds> },
    /// The receiver will never take it.
    #[error("refused: {why}")]
    Refused { why: String },
    /// It was sent and there was no answer: it must not be sent again.
    #[error("sent, without an answer: {why}")]
    InDoubt { why: String },
}
