//! Notices over HTTP.
//!
//! ```text
//! no connection ──► NotDelivered          2xx ──► taken                3xx, 4xx ──► Refused
//! sent, no answer ──► InDoubt             408, 429, 5xx ──► NotDelivered
//! ```
//!
//! Of an answer only its head is read: its body says nothing that is acted upon, may be of any length, and may repeat
//! the address, which is a secret.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use domain::{Seconds, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode};

use super::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};
use super::{Delivery, Notifier, NotifyError};

/// One try takes no longer than this, connecting included: the worker waits for it, and has other things to do.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Less than the whole, so that one who was never connected is known to have been told nothing.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// No receiver makes us wait longer: the longest wait that a notice has anyway.
pub const RETRY_AFTER_MAX: Seconds = Seconds::hours(1);

const CALLED: &str = concat!("Pilotlight/", env!("CARGO_PKG_VERSION"));

/// Sends notices over HTTP.
#[derive(Debug)]
pub struct WebhookNotifier {
    client: OnceLock<Client>,
    answer_limit: Duration,
}

impl Default for WebhookNotifier {
    fn default() -> Self {
        Self::answered_within(ANSWER_LIMIT)
    }
}

impl WebhookNotifier {
    /// Waits for an answer for `answer_limit`. Nothing is built before the first notice.
    pub fn answered_within(answer_limit: Duration) -> Self {
        Self { client: OnceLock::new(), answer_limit }
    }

    /// Built at the first notice: reading the certificate store takes longer than the rest of a cold start.
    fn client(&self) -> anyhow::Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = Client::builder()
            .user_agent(CALLED)
            .timeout(self.answer_limit)
            .connect_timeout(CONNECT_LIMIT.min(self.answer_limit))
            // Notices go where the configuration says, and nowhere else: neither where it points to, nor by a proxy.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // Sent once. A connection that was kept may be closed just when it is used: that would be a doubt.
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .http1_only();
        let client = builder.build().context("building the client that sends notices")?;
        Ok(self.client.get_or_init(|| client))
    }
}

#[async_trait]
impl Notifier for WebhookNotifier {
    async fn send(&self, delivery: &Delivery) -> Result<(), NotifyError> {
        let Delivery { to, id, at, body } = delivery;
        let client = self
            .client()
            .map_err(|error| NotifyError::NotDelivered { why: format!("{error:#}"), retry_after: None })?;
        let request = client
            .post(to.url())
            .header(CONTENT_TYPE, "application/json")
            .header(ID_HEADER, id)
            .header(TIMESTAMP_HEADER, at.seconds())
            .header(SIGNATURE_HEADER, sign(to.key(), id, *at, body))
            .body(body.clone());
        match request.send().await {
            Ok(answer) => judge(answer.status(), answer.headers(), *at),
            Err(error) => Err(unanswered(error)),
        }
    }
}

/// What an answer means.
fn judge(status: StatusCode, headers: &HeaderMap, sent_at: Timestamp) -> Result<(), NotifyError> {
    // 408: the receiver has not had the whole request (RFC 9110 §15.5.9).
    let not_now = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if status.is_success() {
        Ok(())
    } else if matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) {
        // Whoever stands before the receiver has passed it on, and does not know what became of it.
        Err(NotifyError::InDoubt { why: format!("answered {status}") })
    } else if not_now || status.is_server_error() {
        Err(NotifyError::NotDelivered { why: format!("answered {status}"), retry_after: retry_after(headers, sent_at) })
    } else if status.is_redirection() {
        Err(NotifyError::Refused { why: format!("answered {status}, and redirects are not followed") })
    } else {
        Err(NotifyError::Refused { why: format!("answered {status}") })
    }
}

/// Why there was no answer.
fn unanswered(error: reqwest::Error) -> NotifyError {
    let (connecting, building) = (error.is_connect(), error.is_builder());
    let why = format!("{:#}", anyhow::Error::new(error.without_url()));
    if building {
        NotifyError::Refused { why }
    } else if connecting {
        NotifyError::NotDelivered { why, retry_after: None }
    } else {
        NotifyError::InDoubt { why }
    }
}

/// How long the receiver asks to be left alone: seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, sent_at: Timestamp) -> Option<Seconds> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse() {
        Ok(seconds) => Seconds(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Timestamp::from_millis(date.as_millisecond()).since(sent_at)
        }
    };
    Some(asked.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
