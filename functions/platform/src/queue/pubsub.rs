//! Nudges through Google Pub/Sub. Only publishing: the subscription behind the topic pushes to lifecycle, and Terraform
//! makes both.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use domain::WorkspaceId;
use google_cloud_auth::credentials::{Credentials, anonymous};
use google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder;
use google_cloud_gax::retry_policy::RetryPolicyExt as _;
use google_cloud_pubsub::client::Publisher;
use google_cloud_pubsub::model::Message;
use google_cloud_pubsub::retry_policy::RetryableErrors;
use tokio::sync::OnceCell;

use super::Queue;

/// A publish is tried again for so long; the client's own ten minutes would outlast every request of ours.
const RETRY_TIME_MAX: Duration = Duration::from_secs(6);
/// A publish, its retries included, takes no longer.
const PUBLISH_TIME_MAX: Duration = Duration::from_secs(9);
/// Making the client, credentials included, takes no longer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The wait before the second try, and the longest between two. The client jitters them.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Where nudges are published.
#[derive(Clone, Debug)]
pub struct PubsubConfig {
    /// `projects/P/topics/T`
    pub topic: String,
    /// URL of an emulator such as `http://127.0.0.1:8085`, called without credentials. `None` for Google's own.
    pub endpoint: Option<String>,
    /// Shared with other clients, so that one token serves them all; `None` for the machine's own.
    pub credentials: Option<Credentials>,
}

impl PubsubConfig {
    /// Google's Pub/Sub, with the machine's own credentials.
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), endpoint: None, credentials: None }
    }

    /// With an emulator at `host`, as `PUBSUB_EMULATOR_HOST` names it: with or without a scheme.
    #[must_use]
    pub fn with_emulator(self, host: &str) -> Self {
        let endpoint = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
        Self { endpoint: Some(endpoint), ..self }
    }
}

/// Publishes nudges to a topic. The client is made when it is first used.
pub struct PubsubQueue {
    config: PubsubConfig,
    publisher: OnceCell<Publisher>,
}

impl fmt::Debug for PubsubQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubsubQueue").field("topic", &self.config.topic).finish_non_exhaustive()
    }
}

impl PubsubQueue {
    /// Publishes to the topic of `config`, which exists already.
    pub fn new(config: PubsubConfig) -> Self {
        Self { config, publisher: OnceCell::new() }
    }

    async fn publisher(&self) -> anyhow::Result<&Publisher> {
        let made = tokio::time::timeout(CONNECT_TIME_MAX, self.publisher.get_or_try_init(|| self.connect())).await;
        made.context("making the Pub/Sub client took too long")?
    }

    async fn connect(&self) -> anyhow::Result<Publisher> {
        let backoff = ExponentialBackoffBuilder::new()
            .with_initial_delay(FIRST_WAIT)
            .with_maximum_delay(LONGEST_WAIT)
            .build()
            .context("the waits between two tries")?;
        let mut builder = Publisher::builder(&self.config.topic)
            // One at a time, at once: a nudge is rare, and somebody waits for it.
            .set_message_count_threshold(1)
            .with_retry_policy(RetryableErrors.with_time_limit(RETRY_TIME_MAX))
            .with_backoff_policy(backoff)
            // Known, so that the client need not ask for it.
            .with_universe_domain("googleapis.com");
        let mut credentials = self.config.credentials.clone();
        if let Some(endpoint) = &self.config.endpoint {
            builder = builder.with_endpoint(endpoint);
            credentials = credentials.or_else(|| Some(anonymous::Builder::new().build()));
        }
        if let Some(credentials) = credentials {
            builder = builder.with_credentials(credentials);
        }
        builder.build().await.context("making the Pub/Sub client")
    }
}

#[async_trait]
impl Queue for PubsubQueue {
    async fn nudge(&self, workspace: &WorkspaceId) -> anyhow::Result<()> {
        let message = Message::new().set_data(super::nudge_data(workspace)?);
        let publish = async {
            // The client sends in the background: without waiting for the answer, the nudge could be lost unnoticed.
            self.publisher().await?.publish(message).await.context("Pub/Sub did not take it")
        };
        let published = tokio::time::timeout(PUBLISH_TIME_MAX, publish).await;
        let published = published.unwrap_or_else(|_| Err(anyhow::anyhow!("Pub/Sub did not answer in time")));
        published.map(drop).with_context(|| format!("nudging {workspace} through {}", self.config.topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_may_be_named_with_or_without_a_scheme() {
        let endpoint = |host| PubsubConfig::new("projects/p/topics/nudges").with_emulator(host).endpoint;
        assert_eq!(endpoint("127.0.0.1:8085").as_deref(), Some("http://127.0.0.1:8085"));
        assert_eq!(endpoint("http://[::1]:8085").as_deref(), Some("http://[::1]:8085"));
    }

    #[tokio::test]
    async fn a_queue_out_of_reach_fails_in_time_and_names_its_topic() {
        // Bound and dropped: nobody listens there.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        drop(listener);
        let queue = PubsubQueue::new(PubsubConfig::new("projects/p/topics/nudges").with_emulator(&host));
        let workspace = WorkspaceId::parse("main").unwrap();
        let nudged = tokio::time::timeout(2 * PUBLISH_TIME_MAX, queue.nudge(&workspace)).await.unwrap();
        let error = nudged.unwrap_err().to_string();
        assert_eq!(error, "nudging main through projects/p/topics/nudges");
    }
}
