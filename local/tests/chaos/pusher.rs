//! Google's Pub/Sub, as far as its emulator is not it: the emulator pushes one message of a subscription after the other,
//! and a nudge is answered when its workspace is at rest, so that a hundred workspaces would wait for each other. Here
//! messages are pulled from the emulator and pushed side by side, with Pub/Sub's own patience and dead letters.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Clock;
use platform::queue::Subscription;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wire::{PushEnvelope, PushMessage};

/// Messages that one look takes.
const PULLED_AT_ONCE: u32 = 500;
/// Real time between two looks, and until the emulator has answered one.
const PULL_EVERY: Duration = Duration::from_millis(40);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Real time that a push may take, as long as Pub/Sub's longest ack deadline.
const PUSH_WITHIN: Duration = Duration::from_secs(600);
/// Messages that nobody would take lie in this topic, and under this subscription.
const DEAD: &str = "dead-letters";

/// One subscription of the emulator, made to be pulled from.
#[derive(Clone)]
pub(crate) struct Pusher {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// `http://HOST:PORT/v1/projects/P`
    project: String,
    subscription: &'static str,
    /// Where its messages are pushed.
    endpoint: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pulled {
    #[serde(default)]
    received_messages: Vec<Received>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    ack_id: String,
    message: PushMessage,
}

impl Pusher {
    /// Takes the pushing of `subscription` over from the emulator at `host`.
    pub(crate) async fn take_over(
        (http, clock): (reqwest::Client, Arc<dyn Clock>),
        (host, project): (&str, &str),
        subscription: &'static str,
        endpoint: String,
    ) -> anyhow::Result<Self> {
        let project = format!("http://{host}/v1/projects/{project}");
        let pusher = Self { http, clock, project, subscription, endpoint };
        pusher.call(&format!("subscriptions/{subscription}:modifyPushConfig"), json!({"pushConfig": {}})).await?;
        Ok(pusher)
    }

    /// Pushes what comes, for as long as it is polled.
    pub(crate) async fn run(self) {
        let mut pushes = JoinSet::new();
        // Ends with the world.
        loop {
            let pulled = pull(&self.http, &self.project, self.subscription).await.unwrap_or_default();
            for received in pulled {
                pushes.spawn(self.clone().deliver(received));
            }
            while let Some(ended) = pushes.try_join_next() {
                ended.unwrap();
            }
            tokio::time::sleep(PULL_EVERY).await;
        }
    }

    /// Pushes one message until it is taken, or is given up.
    async fn deliver(self, received: Received) {
        let patience = Subscription::new("", "", "");
        let mut pause = patience.minimum_backoff;
        for _ in 0..patience.max_delivery_attempts {
            if self.push(&received).await {
                return self.acknowledge(&received).await;
            }
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(patience.maximum_backoff);
        }
        let attributes = json!({"CloudPubSubDeadLetterSourceMessageId": received.message.message_id});
        let letter = json!({"messages": [{"data": received.message.data, "attributes": attributes}]});
        if self.call(&format!("topics/{DEAD}:publish"), letter).await.is_ok() {
            self.acknowledge(&received).await;
        }
    }

    async fn push(&self, received: &Received) -> bool {
        let envelope = PushEnvelope {
            message: received.message.clone(),
            subscription: self.subscription.to_owned(),
            delivery_attempt: None,
        };
        let push = self.http.post(&self.endpoint).timeout(PUSH_WITHIN).json(&envelope).send().await;
        push.is_ok_and(|answer| answer.status().is_success())
    }

    async fn acknowledge(&self, received: &Received) {
        let body = json!({"ackIds": [received.ack_id]});
        // What is not acknowledged comes again, as it does at Google's.
        let _ = self.call(&format!("subscriptions/{}:acknowledge", self.subscription), body).await;
    }

    async fn call(&self, path: &str, body: Value) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/{path}", self.project)).timeout(ANSWER_WITHIN).json(&body);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}

async fn pull(http: &reqwest::Client, project: &str, subscription: &str) -> anyhow::Result<Vec<Received>> {
    let body = json!({"maxMessages": PULLED_AT_ONCE, "returnImmediately": true});
    let request = http.post(format!("{project}/subscriptions/{subscription}:pull")).timeout(ANSWER_WITHIN);
    Ok(request.json(&body).send().await?.error_for_status()?.json::<Pulled>().await?.received_messages)
}

/// The dead letters that are there, as many as one look gives: the message's own number, and the workspace it names.
pub(crate) async fn dead_letters(http: &reqwest::Client, host: &str, project: &str) -> Vec<(String, String)> {
    use base64::Engine as _;
    let pulled = pull(http, &format!("http://{host}/v1/projects/{project}"), DEAD).await.unwrap();
    let letter = |Received { message, .. }: Received| {
        let data = base64::engine::general_purpose::STANDARD.decode(&message.data).unwrap_or_default();
        let nudge = serde_json::from_slice::<wire::Nudge>(&data);
        let workspace = nudge.map(|nudge| nudge.workspace).unwrap_or_default();
        (message.attributes["CloudPubSubDeadLetterSourceMessageId"].clone(), workspace)
    };
    pulled.into_iter().map(letter).collect()
}
