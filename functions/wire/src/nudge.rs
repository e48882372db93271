//! The nudge and the envelope in which Pub/Sub pushes it.

use serde::{Deserialize, Serialize};

/// Which workspace to look at; never what to do to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nudge {
    pub workspace: String,
}

/// Body of a push (the wrapped form).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushEnvelope {
    pub message: PushMessage,
    pub subscription: String,
    /// Sent only where the subscription has a dead-letter policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_attempt: Option<u32>,
}

/// A message in its envelope. Pub/Sub sends some fields twice, in snake case too; those are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushMessage {
    /// Base64 of the payload; may be absent when there are attributes.
    #[serde(default)]
    pub data: String,
    #[serde(default)]
    pub attributes: std::collections::BTreeMap<String, String>,
    pub message_id: String,
    #[serde(default)]
    pub publish_time: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ordering_key: String,
}
