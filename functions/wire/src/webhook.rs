//! Webhooks: where a workspace's notices are sent, and what is said there.
//!
//! | question | answered in |
//! |---|---|
//! | where to, in which shape, signed by what? | `webhook/config.rs` |
//! | what does a machine read? | `webhook/event.rs` |
//! | what does a person read? | `webhook/words.rs` |

mod config;
mod event;
mod words;

use domain::{Notice, Timestamp, Workspace};
use serde_json::json;

pub use config::{WebhookConfig, WebhookConfigError, WebhookShape, WebhooksConfig, webhooks_from_json};
pub use event::event_id;

/// Discord refuses a longer message (discord.com/developers/docs/resources/webhook, `content`).
const DISCORD_LENGTH_MAX: usize = 2000;

/// A notice, and what must be known to tell of it.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    pub notice: &'a Notice,
    pub workspace: &'a Workspace,
    /// The page's address, where it is known.
    pub page: Option<&'a str>,
    /// When it is told.
    pub now: Timestamp,
}

impl Telling<'_> {
    /// The body of the request, as JSON.
    pub fn body(self, shape: WebhookShape) -> String {
        match shape {
            WebhookShape::Json => json!(event::event(self)).to_string(),
            WebhookShape::Slack => json!({ "text": escaped(&self.text()) }).to_string(),
            // Nobody is called by a name that stands in a title.
            WebhookShape::Discord => {
                let content = clipped(self.text(), DISCORD_LENGTH_MAX);
                json!({ "content": content, "allowed_mentions": { "parse": [] } }).to_string()
            }
        }
    }

    /// A sentence or two for people, and the page's address.
    pub fn text(self) -> String {
        let words = words::words(self);
        match self.page {
            Some(page) => format!("{words} {page}"),
            None => words,
        }
    }
}

/// The three characters that have a meaning in Slack's mrkdwn (docs.slack.dev/messaging/formatting-message-text).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// At most so many UTF-16 units: whoever counts in characters counts no more of them.
fn clipped(text: String, length_max: usize) -> String {
    let length = |text: &str| text.encode_utf16().count();
    if length(&text) <= length_max {
        return text;
    }
    let mut room = length_max - 1;
    let fits = |c: &char| {
        let left = room.checked_sub(c.len_utf16());
        room = left.unwrap_or(0);
        left.is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
