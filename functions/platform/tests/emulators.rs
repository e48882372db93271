//! Firestore and Pub/Sub, through Google's emulators, held to the same contracts as what is in memory.
//!
//! Needs Java and the Google Cloud SDK with its components `cloud-firestore-emulator` and `pubsub-emulator`; says so
//! where they are missing, and fails there when `CI=true`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "emulators/contention.rs"]
mod contention;
#[path = "emulators/cut_wire.rs"]
mod cut_wire;
#[path = "emulators/usage.rs"]
mod usage;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Timestamp, WorkspaceId};
use google_cloud_auth::credentials::{Credentials, anonymous};
use google_cloud_pubsub::client::{SubscriptionAdmin, TopicAdmin};
use google_cloud_pubsub::model::{DeadLetterPolicy, PushConfig, RetryPolicy, Subscription};
use platform::contract::emulator::{Emulator, project};
use platform::contract::queue::{PushEndpoint, QUEUE_CONTRACT_ATTEMPTS, QueueHarness, queue_contract};
use platform::contract::records::{full_record, run_numbered};
use platform::contract::signin::signin_contract;
use platform::contract::store::store_contract;
use platform::firestore::{Firestore, FirestoreConfig};
use platform::queue::{PubsubConfig, PubsubQueue, Queue};
use platform::signin::{FirestoreSigninStore, SigninStore};
use platform::store::{FirestoreStore, Save, WorkspaceStore};
use wire::Nudge;

#[tokio::test]
async fn firestore_keeps_the_contract_of_a_store() {
    let Some(emulator) = Emulator::firestore().await else { return };
    store_contract(async || Arc::new(FirestoreStore::new(emulator.database())) as Arc<dyn WorkspaceStore>).await;
}

#[tokio::test]
async fn firestore_keeps_the_contract_of_a_signin_store() {
    let Some(emulator) = Emulator::firestore().await else { return };
    signin_contract(async || Arc::new(FirestoreSigninStore::new(emulator.database())) as Arc<dyn SigninStore>).await;
}

#[tokio::test]
async fn documents_look_as_they_are_documented() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let project = project();
    let config = FirestoreConfig { endpoint: Some(emulator.url()), ..FirestoreConfig::new(&project) };
    let database = Arc::new(Firestore::new(config));
    let documents = format!("{}/v1/projects/{project}/databases/(default)/documents", emulator.url());
    let read = async |path: &str| {
        let answer = reqwest::get(format!("{documents}/{path}")).await.unwrap();
        answer.json::<serde_json::Value>().await.unwrap()
    };

    let id = WorkspaceId::parse("main").unwrap();
    let (record, run) = (full_record(), run_numbered(2));
    let due_at = Some(Timestamp::from_millis(1_772_323_200_250));
    let save = Save { id: &id, record: &record, seen: None, due_at, ended: Some(&run) };
    FirestoreStore::new(Arc::clone(&database)).save(save).await.unwrap();
    let workspace = read("workspaces/main").await;
    let fields = &workspace["fields"];
    assert_eq!(fields["due_at"]["timestampValue"], "2026-03-01T00:00:00.250Z");
    assert!(fields["save"]["stringValue"].is_string());
    let record = &fields["record"]["mapValue"]["fields"];
    assert_eq!(record["phase"]["stringValue"], "Draining");
    assert_eq!(record["run"]["integerValue"], "3");
    assert_eq!(record["instance_id"]["stringValue"], "18446744073709551610");
    let action = &record["call"]["mapValue"]["fields"]["action"]["mapValue"]["fields"];
    assert_eq!(action["kind"]["stringValue"], "StopInstance");
    let run = &read("workspaces/main/runs/2").await["fields"];
    assert_eq!(run["number"]["integerValue"], "2");
    assert_eq!(run["started_at"]["timestampValue"], "2026-03-01T00:00:00.123Z");
    assert_eq!(run["failure"], serde_json::Value::Null, "what is none is absent");

    let signin = FirestoreSigninStore::new(database);
    signin.note_failure("user:admin@example.com", domain::THROTTLE, Timestamp::from_seconds(0)).await.unwrap();
    signin.revoke("token-1", Timestamp::from_seconds(60)).await.unwrap();
    for (collection, expires_at) in
        [("signin_attempts", "1970-01-01T00:15:00Z"), ("revoked_tokens", "1970-01-01T00:01:00Z")]
    {
        let listed = read(collection).await;
        let document = &listed["documents"][0];
        assert_eq!(document["fields"]["expires_at"]["timestampValue"], expires_at, "what its time to live goes by");
        let name = document["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        assert!(name.len() == 64 && !listed.to_string().contains("admin"), "{listed}");
    }
}

/// What a Pub/Sub emulator needs to push: topics and subscriptions, as Terraform makes them in the cloud.
struct PubsubHarness {
    queue: PubsubQueue,
    dead_letters: PushEndpoint,
}

#[async_trait]
impl QueueHarness for PubsubHarness {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    async fn next_dead_letter(&mut self) -> Nudge {
        self.dead_letters.next().await.nudge()
    }
}

impl PubsubHarness {
    async fn open(emulator: &Emulator, endpoint: String) -> Self {
        let nobody: Credentials = anonymous::Builder::new().build();
        let url = emulator.url();
        let topics = TopicAdmin::builder().with_endpoint(&url).with_credentials(nobody.clone()).build().await.unwrap();
        let admin = SubscriptionAdmin::builder().with_endpoint(&url).with_credentials(nobody).build().await.unwrap();
        let name = |kind: &str, project: &str, name: &str| format!("projects/{project}/{kind}/{name}");
        let project = project();
        let (topic, dead_topic) = (name("topics", &project, "nudges"), name("topics", &project, "nudges-dead"));
        for topic in [&topic, &dead_topic] {
            topics.create_topic().set_name(topic).send().await.unwrap();
        }
        let dead_letters = PushEndpoint::answering(|_, _| 204).await;
        let subscription = |kind: &str, topic: &str, endpoint: String| {
            Subscription::new()
                .set_name(name("subscriptions", &project, kind))
                .set_topic(topic)
                .set_ack_deadline_seconds(10)
                .set_push_config(PushConfig::new().set_push_endpoint(endpoint))
        };
        let mut patience = RetryPolicy::new();
        patience.minimum_backoff = Some(Duration::from_millis(100).try_into().unwrap());
        patience.maximum_backoff = Some(Duration::from_millis(500).try_into().unwrap());
        let giving_up = DeadLetterPolicy::new()
            .set_dead_letter_topic(&dead_topic)
            .set_max_delivery_attempts(i32::try_from(QUEUE_CONTRACT_ATTEMPTS).unwrap());
        let nudges =
            subscription("nudges", &topic, endpoint).set_retry_policy(patience).set_dead_letter_policy(giving_up);
        for request in [subscription("nudges-dead", &dead_topic, dead_letters.url()), nudges] {
            admin.create_subscription().with_request(request).send().await.unwrap();
        }
        Self { queue: PubsubQueue::new(PubsubConfig::new(topic).with_emulator(&url)), dead_letters }
    }
}

#[tokio::test]
async fn pubsub_keeps_the_contract_of_a_queue() {
    let Some(emulator) = Emulator::pubsub().await else { return };
    queue_contract(async |endpoint| PubsubHarness::open(&emulator, endpoint).await).await;
}

#[tokio::test]
async fn a_nudge_to_no_topic_is_told_to_the_caller() {
    let Some(emulator) = Emulator::pubsub().await else { return };
    let topic = format!("projects/{}/topics/nowhere", project());
    let queue = PubsubQueue::new(PubsubConfig::new(topic).with_emulator(&emulator.url()));
    let error = queue.nudge(&WorkspaceId::parse("main").unwrap()).await.unwrap_err();
    assert!(format!("{error:?}").to_lowercase().contains("not"), "{error:?}");
}
