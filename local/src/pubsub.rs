//! Topics and push subscriptions in Google's Pub/Sub emulator, as Terraform makes them in the cloud; and the log sink,
//! which publishes Compute Engine's events to theirs.

use std::time::Duration;

use anyhow::Context as _;
use google_cloud_auth::credentials::{Credentials, anonymous};
use google_cloud_gax::retry_policy::RetryPolicyExt as _;
use google_cloud_pubsub::client::{Publisher, SubscriptionAdmin, TopicAdmin};
use google_cloud_pubsub::model::push_config::OidcToken;
use google_cloud_pubsub::model::{DeadLetterPolicy, ExpirationPolicy, Message, PushConfig, RetryPolicy, Subscription};
use google_cloud_pubsub::retry_policy::RetryableErrors;
use platform::queue::Subscription as Patience;

use crate::names;

/// The longest that Pub/Sub knows: lifecycle answers a nudge when it is done with it.
const ACK_DEADLINE_SECONDS: i32 = 600;
/// Pub/Sub's own shortest wait is 10 s of policy time; no emulator need spin faster than this in real time.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Making a topic takes no longer: the emulator is on this machine.
const CALL_TIME_MAX: Duration = Duration::from_secs(20);
/// An event is tried for so long; the next sweep sees what it would have told.
const PUBLISH_TIME_MAX: Duration = Duration::from_secs(6);

/// What is published to.
pub struct Topics {
    /// `projects/P/topics/T`
    pub nudges: String,
    events: Publisher,
}

/// What the topics are for.
pub struct Declared<'a> {
    /// `host:port` of the emulator.
    pub host: &'a str,
    pub project: &'a str,
    /// Where pushes go: the door that signs them.
    pub door: &'a str,
    /// Audience of their tokens.
    pub audience: &'a str,
    /// Policy seconds in one second of the emulator's clock.
    pub rate: f64,
}

impl Topics {
    /// Makes the topics and their subscriptions.
    ///
    /// # Errors
    /// When the emulator does not take one of them.
    pub async fn declare(declared: &Declared<'_>) -> anyhow::Result<Self> {
        let made = tokio::time::timeout(CALL_TIME_MAX, make(declared)).await;
        made.context("Google's Pub/Sub emulator took too long")?.context("making topics and subscriptions")?;
        let events = declared.topic("compute-events");
        let publisher = Publisher::builder(&events)
            .with_endpoint(declared.url())
            .with_credentials(nobody())
            .set_message_count_threshold(1)
            .with_retry_policy(RetryableErrors.with_time_limit(PUBLISH_TIME_MAX))
            .build()
            .await
            .context("making a publisher of Compute Engine's events")?;
        Ok(Self { nudges: declared.topic("nudges"), events: publisher })
    }

    /// The log sink: one entry of Compute Engine's log goes to its topic.
    ///
    /// # Errors
    /// When Pub/Sub does not take it.
    pub async fn publish_event(&self, entry: String) -> anyhow::Result<()> {
        self.events.publish(Message::new().set_data(entry)).await.map(drop).context("Pub/Sub did not take the event")
    }
}

impl Declared<'_> {
    fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    fn topic(&self, name: &str) -> String {
        format!("projects/{}/topics/{name}", self.project)
    }

    fn subscription(&self, name: &str, topic: &str) -> Subscription {
        Subscription::new()
            .set_name(format!("projects/{}/subscriptions/{name}", self.project))
            .set_topic(self.topic(topic))
            .set_ack_deadline_seconds(ACK_DEADLINE_SECONDS)
            // Without a time to live it never expires; by default it would after 31 days in which nobody starts anything.
            .set_expiration_policy(ExpirationPolicy::new())
    }

    /// As lifecycle is nudged: pushed with a token, tried again with patience, given up in the end.
    fn push(&self, name: &str, dead: &str) -> anyhow::Result<Subscription> {
        let endpoint = format!("{}/push/{}", self.door, if name == "nudges" { "nudge" } else { name });
        // The emulator keeps this and signs nothing; Google's own Pub/Sub does.
        let token = OidcToken::new().set_service_account_email(names::PUSH_ACCOUNT).set_audience(self.audience);
        let usual = Patience::new("", "", "");
        let mut retry = RetryPolicy::new();
        let real = |policy_time: Duration| policy_time.div_f64(self.rate).max(BACKOFF_MIN).try_into();
        retry.minimum_backoff = Some(real(usual.minimum_backoff)?);
        retry.maximum_backoff = Some(real(usual.maximum_backoff)?);
        let dead_letters = DeadLetterPolicy::new()
            .set_dead_letter_topic(self.topic(dead))
            .set_max_delivery_attempts(i32::try_from(usual.max_delivery_attempts)?);
        Ok(self
            .subscription(name, name)
            .set_push_config(PushConfig::new().set_push_endpoint(endpoint).set_oidc_token(token))
            .set_retry_policy(retry)
            .set_dead_letter_policy(dead_letters))
    }
}

async fn make(declared: &Declared<'_>) -> anyhow::Result<()> {
    const DEAD: &str = "dead-letters";
    let url = declared.url();
    let topics = TopicAdmin::builder().with_endpoint(&url).with_credentials(nobody()).build().await?;
    for name in ["nudges", "compute-events", DEAD] {
        topics.create_topic().set_name(declared.topic(name)).send().await?;
    }
    let admin = SubscriptionAdmin::builder().with_endpoint(&url).with_credentials(nobody()).build().await?;
    // What nobody takes is kept, to be looked at.
    let kept = declared.subscription(DEAD, DEAD);
    for subscription in [kept, declared.push("nudges", DEAD)?, declared.push("compute-events", DEAD)?] {
        admin.create_subscription().with_request(subscription).send().await?;
    }
    Ok(())
}

/// The emulator asks for no credentials.
fn nobody() -> Credentials {
    anonymous::Builder::new().build()
}
