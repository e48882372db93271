//! One push as Pub/Sub makes it: the envelope, the token, and what counts as an acknowledgement.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use wire::{PushEnvelope, PushMessage, Rfc3339};

use super::DeadLetter;

/// Makes the OIDC token for an audience. Called for each push.
pub type TokenMint = Arc<dyn Fn(&str) -> anyhow::Result<String> + Send + Sync>;

/// Statuses that acknowledge a push in production; 102 belongs to them too, but is never a final answer.
const ACKNOWLEDGED: [u16; 4] = [200, 201, 202, 204];

/// Where the messages of a topic are pushed, and how long that is tried.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// `projects/P/subscriptions/S`
    pub name: String,
    /// The URL that is called.
    pub endpoint: String,
    /// Audience of the token.
    pub audience: String,
    /// An answer that takes longer on the machine's own clock is none.
    pub ack_deadline: Duration,
    /// Policy time before the second attempt; doubled before each one after it.
    pub minimum_backoff: Duration,
    /// Policy time between two attempts is never longer.
    pub maximum_backoff: Duration,
    /// A message refused so often is a dead letter.
    pub max_delivery_attempts: u32,
}

impl Subscription {
    /// With Pub/Sub's own back-off and deadline, and as many attempts as a nudge is worth: the reaper mends the rest.
    pub fn new(name: impl Into<String>, endpoint: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            endpoint: endpoint.into(),
            audience: audience.into(),
            ack_deadline: Duration::from_secs(10),
            minimum_backoff: Duration::from_secs(10),
            maximum_backoff: Duration::from_secs(600),
            max_delivery_attempts: 5,
        }
    }

    /// How long to wait after so many attempts have failed.
    pub(super) fn backoff(&self, failed: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
        self.minimum_backoff.saturating_mul(doubled).min(self.maximum_backoff)
    }
}

/// A message as it was taken.
#[derive(Debug)]
pub(super) struct Message {
    message: PushMessage,
    text: String,
}

impl Message {
    pub(super) fn new(data: &[u8], attributes: BTreeMap<String, String>, now: Timestamp, number: u64) -> Self {
        let publish_time = serde_json::to_value(Rfc3339(now)).ok();
        let message = PushMessage {
            data: STANDARD.encode(data),
            attributes,
            // Numbers in Pub/Sub's manner, of which no two are alike even over a restart.
            message_id: format!("{}{number:06}", now.millis()),
            publish_time: publish_time.as_ref().and_then(|time| time.as_str()).unwrap_or_default().to_owned(),
            ordering_key: String::new(),
        };
        Self { message, text: String::from_utf8_lossy(data).into_owned() }
    }

    pub(super) fn id(&self) -> &str {
        &self.message.message_id
    }

    pub(super) fn dead_letter(&self, attempts: u32, refusal: String) -> DeadLetter {
        DeadLetter {
            message_id: self.message.message_id.clone(),
            data: self.text.clone(),
            attributes: self.message.attributes.clone(),
            attempts,
            refusal,
        }
    }

    fn envelope(&self, subscription: &str, attempt: u32) -> anyhow::Result<serde_json::Value> {
        let envelope = PushEnvelope {
            message: self.message.clone(),
            subscription: subscription.to_owned(),
            delivery_attempt: Some(attempt),
        };
        let mut body = serde_json::to_value(envelope)?;
        // Production sends these two in both spellings.
        let message = &mut body["message"];
        message["message_id"] = message["messageId"].clone();
        message["publish_time"] = message["publishTime"].clone();
        Ok(body)
    }
}

/// Calls the endpoint of a subscription.
pub(super) struct Pusher {
    subscription: Subscription,
    mint: TokenMint,
    client: reqwest::Client,
}

impl fmt::Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}

impl Pusher {
    pub(super) fn new(subscription: Subscription, mint: TokenMint) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(subscription.ack_deadline)
            // The endpoint is on this machine, whatever proxy the environment names; and Pub/Sub follows no redirect.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("making the HTTP client of a push subscription")?;
        Ok(Self { subscription, mint, client })
    }

    pub(super) fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// `Ok` when it was acknowledged; else how it was not.
    pub(super) async fn push(&self, message: &Message, attempt: u32) -> Result<(), String> {
        let status = self.call(message, attempt).await.map_err(|error| format!("{error:#}"))?;
        if ACKNOWLEDGED.contains(&status) { Ok(()) } else { Err(format!("answered {status}")) }
    }

    async fn call(&self, message: &Message, attempt: u32) -> anyhow::Result<u16> {
        let Subscription { name, endpoint, audience, .. } = &self.subscription;
        let token = (self.mint)(audience).context("minting the token")?;
        let body = serde_json::to_vec(&message.envelope(name, attempt)?)?;
        let answer = self
            .client
            .post(endpoint)
            .bearer_auth(token)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "CloudPubSub-Google")
            .body(body)
            .send()
            .await
            .context("calling the endpoint")?;
        Ok(answer.status().as_u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_says_some_things_twice_as_production_does() {
        let attributes = BTreeMap::from([("kind".to_owned(), "nudge".to_owned())]);
        let message = Message::new(b"{}", attributes, Timestamp::from_millis(1_772_323_200_250), 3);
        let expected = serde_json::json!({
            "message": {
                "attributes": {"kind": "nudge"}, "data": "e30=",
                "messageId": "1772323200250000003", "message_id": "1772323200250000003",
                "publishTime": "2026-03-01T00:00:00.250Z", "publish_time": "2026-03-01T00:00:00.250Z",
            },
            "subscription": "projects/local/subscriptions/nudges",
            "deliveryAttempt": 2,
        });
        assert_eq!(message.envelope("projects/local/subscriptions/nudges", 2).unwrap(), expected);
    }

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        let subscription = Subscription::new("s", "http://127.0.0.1", "a");
        let seconds: Vec<u64> =
            [1, 2, 3, 7, 100].into_iter().map(|failed| subscription.backoff(failed).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 600, 600]);
    }
}
