use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::Timestamp;
use wire::Nudge;

use super::*;
use crate::clock::ManualClock;
use crate::contract::queue::{PushEndpoint, QUEUE_CONTRACT_ATTEMPTS, QueueHarness, queue_contract};

/// Longer than any test here takes.
const WAIT_MAX: Duration = Duration::from_secs(30);

struct Harness {
    topic: MemoryTopic,
    seen: usize,
}

#[async_trait]
impl QueueHarness for Harness {
    fn queue(&self) -> &dyn Queue {
        &self.topic
    }

    async fn next_dead_letter(&mut self) -> Nudge {
        self.topic.reached(|counts| counts.dead > self.seen as u64).await;
        self.seen += 1;
        serde_json::from_str(&self.topic.dead_letters()[self.seen - 1].data).unwrap()
    }
}

fn mint() -> TokenMint {
    Arc::new(|audience| Ok(format!("token-for-{audience}")))
}

fn subscription(endpoint: String) -> Subscription {
    Subscription {
        minimum_backoff: Duration::ZERO,
        max_delivery_attempts: QUEUE_CONTRACT_ATTEMPTS,
        ..Subscription::new("projects/local/subscriptions/nudges", endpoint, "https://lifecycle.local")
    }
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_seconds(1_772_323_200))
}

fn topic(endpoint: &PushEndpoint) -> MemoryTopic {
    MemoryTopic::new(subscription(endpoint.url()), mint(), Arc::new(clock()), 1).unwrap()
}

fn publish(topic: &MemoryTopic, data: &str) {
    topic.publish(data.as_bytes(), BTreeMap::new()).unwrap();
}

async fn reached(topic: &MemoryTopic, condition: impl FnMut(&TopicSnapshot) -> bool) -> TopicSnapshot {
    tokio::time::timeout(WAIT_MAX, topic.reached(condition)).await.unwrap()
}

async fn settled(topic: &MemoryTopic) -> TopicSnapshot {
    reached(topic, |counts| counts.waiting == 0).await
}

#[tokio::test]
async fn memory_keeps_the_contract_of_a_queue() {
    queue_contract(async |endpoint| {
        let topic = MemoryTopic::new(subscription(endpoint), mint(), Arc::new(clock()), 1).unwrap();
        Harness { topic, seen: 0 }
    })
    .await;
}

#[tokio::test]
async fn a_push_carries_a_token_for_its_audience_attributes_and_the_attempt() {
    let mut endpoint = PushEndpoint::answering(|_, nth| if nth == 1 { 500 } else { 200 }).await;
    let topic = topic(&endpoint);
    topic.publish(b"{}", BTreeMap::from([("kind".to_owned(), "event".to_owned())])).unwrap();
    let (first, second) = (endpoint.next().await, endpoint.next().await);
    assert_eq!(first.authorization.as_deref(), Some("Bearer token-for-https://lifecycle.local"));
    assert_eq!(first.envelope.message.attributes["kind"], "event");
    assert_eq!((first.envelope.delivery_attempt, second.envelope.delivery_attempt), (Some(1), Some(2)));
    let counts = settled(&topic).await;
    let expected = TopicSnapshot { published: 1, delivered: 1, refused: 1, ..TopicSnapshot::default() };
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn only_the_statuses_of_production_acknowledge() {
    for status in [200, 201, 202, 204] {
        let endpoint = PushEndpoint::answering(move |_, _| status).await;
        let topic = topic(&endpoint);
        publish(&topic, "{}");
        assert_eq!(settled(&topic).await.delivered, 1, "{status}");
    }
    for status in [203, 302, 400, 404, 429, 500] {
        let endpoint = PushEndpoint::answering(move |_, _| status).await;
        let topic = topic(&endpoint);
        publish(&topic, "{}");
        assert_eq!(settled(&topic).await.dead, 1, "{status}");
        assert_eq!(topic.dead_letters()[0].refusal, format!("answered {status}"));
    }
}

#[tokio::test]
async fn the_next_attempt_waits_for_its_back_off() {
    let clock = clock();
    let start = clock.now();
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let endpoint = PushEndpoint::answering({
        let (clock, arrivals) = (clock.clone(), Arc::clone(&arrivals));
        move |_, nth| {
            arrivals.lock().unwrap().push(clock.now().since(start).0);
            if nth < 3 { 500 } else { 204 }
        }
    })
    .await;
    let subscription = Subscription { minimum_backoff: Duration::from_secs(10), ..subscription(endpoint.url()) };
    let topic = MemoryTopic::new(subscription, mint(), Arc::new(clock.clone()), 1).unwrap();
    publish(&topic, "{}");
    for (refused, backoff) in [(1, 10), (2, 20)] {
        reached(&topic, |counts| counts.refused == refused).await;
        // An attempt that came too early would have arrived in the middle.
        clock.advance(Duration::from_secs(backoff - 1));
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(1));
    }
    settled(&topic).await;
    assert_eq!(*arrivals.lock().unwrap(), [0, 10, 30]);
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_none() {
    // Takes the connection and never answers.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}/push", listener.local_addr().unwrap());
    let subscription =
        Subscription { ack_deadline: Duration::from_millis(50), max_delivery_attempts: 2, ..subscription(endpoint) };
    let topic = MemoryTopic::new(subscription, mint(), Arc::new(clock()), 1).unwrap();
    publish(&topic, "{}");
    let counts = settled(&topic).await;
    assert_eq!((counts.refused, counts.dead), (2, 1));
    assert!(topic.dead_letters()[0].refusal.contains("timed out"), "{:?}", topic.dead_letters());
}

#[tokio::test]
async fn a_push_without_a_token_is_not_made() {
    let endpoint = PushEndpoint::answering(|_, _| 204).await;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let failing: TokenMint = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        anyhow::bail!("no key")
    });
    let topic = MemoryTopic::new(subscription(endpoint.url()), failing, Arc::new(clock()), 1).unwrap();
    publish(&topic, "{}");
    assert_eq!(settled(&topic).await.dead, 1);
    assert_eq!(calls.load(Ordering::Relaxed), QUEUE_CONTRACT_ATTEMPTS, "tried again each time");
    assert_eq!(topic.dead_letters()[0].refusal, "minting the token: no key");
}

#[tokio::test]
async fn a_repeated_message_is_the_same_message() {
    let mut endpoint = PushEndpoint::answering(|_, _| 204).await;
    let topic = topic(&endpoint);
    topic.set_faults(QueueFaults { repeat: 100, ..QueueFaults::default() });
    publish(&topic, "{}");
    let counts = settled(&topic).await;
    assert_eq!((counts.delivered, counts.repeated), (1, 100));
    let mut ids = BTreeSet::new();
    for _ in 0..101 {
        ids.insert(endpoint.next().await.envelope.message.message_id);
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn lost_messages_are_taken_and_never_pushed() {
    let endpoint = PushEndpoint::answering(|_, _| 204).await;
    let topic = topic(&endpoint);
    topic.set_faults(QueueFaults { lose: 0.5, ..QueueFaults::default() });
    for _ in 0..100 {
        publish(&topic, "{}");
    }
    let counts = settled(&topic).await;
    assert!((25..75).contains(&counts.lost), "{counts:?}");
    assert_eq!(counts.lost + counts.delivered, 100);
}

#[tokio::test]
async fn messages_overtake_each_other_when_told_to() {
    const STEPS: u32 = 100;
    let mut endpoint = PushEndpoint::answering(|_, _| 204).await;
    let clock = clock();
    let topic = MemoryTopic::new(subscription(endpoint.url()), mint(), Arc::new(clock.clone()), 1).unwrap();
    topic.set_faults(QueueFaults { reorder: true, ..QueueFaults::default() });
    for number in 0..20 {
        publish(&topic, &format!(r#"{{"workspace":"w-{number:02}"}}"#));
    }
    // On the test's one thread, so that all twenty wait before the clock moves.
    tokio::task::yield_now().await;
    for _ in 0..STEPS {
        clock.advance(REORDER_SPREAD / STEPS);
        tokio::task::yield_now().await;
    }
    let mut arrived = Vec::new();
    while arrived.len() < 20 {
        arrived.push(endpoint.next().await.nudge().workspace);
    }
    let sorted: BTreeSet<_> = arrived.iter().cloned().collect();
    assert_eq!(sorted.len(), 20, "none is missing");
    assert_ne!(arrived, sorted.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_delayed_push_waits_for_the_clock() {
    let endpoint = PushEndpoint::answering(|_, _| 204).await;
    let clock = clock();
    let topic = MemoryTopic::new(subscription(endpoint.url()), mint(), Arc::new(clock.clone()), 1).unwrap();
    topic.set_faults(QueueFaults { delay_ms: 60_000, ..QueueFaults::default() });
    publish(&topic, "{}");
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(59));
    tokio::task::yield_now().await;
    assert_eq!(topic.snapshot().delivered, 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(settled(&topic).await.delivered, 1);
}

#[tokio::test]
async fn a_full_topic_says_so_to_the_publisher() {
    let endpoint = PushEndpoint::answering(|_, _| 204).await;
    let topic = topic(&endpoint);
    topic.set_faults(QueueFaults { delay_ms: 60_000, ..QueueFaults::default() });
    for _ in 0..WAITING_MAX {
        publish(&topic, "{}");
    }
    assert_eq!(topic.publish(b"{}", BTreeMap::new()), Err(PublishError::Full));
    let error = topic.nudge(&WorkspaceId::parse("main").unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(topic.publish(&vec![0; DATA_BYTES_MAX + 1], BTreeMap::new()), Err(PublishError::TooLarge));
    assert_eq!(topic.snapshot().waiting, WAITING_MAX);
}

#[tokio::test]
async fn closing_ends_in_time_and_takes_no_more() {
    let endpoint = PushEndpoint::answering(|_, _| 500).await;
    let subscription = Subscription { minimum_backoff: Duration::from_secs(60), ..subscription(endpoint.url()) };
    let topic = MemoryTopic::new(subscription, mint(), Arc::new(clock()), 1).unwrap();
    publish(&topic, "{}");
    reached(&topic, |counts| counts.refused == 1).await;
    let counts = tokio::time::timeout(WAIT_MAX, topic.close()).await.unwrap();
    assert_eq!((counts.waiting, counts.delivered, counts.dead), (1, 0, 0), "what waited is told of");
    assert_eq!(topic.publish(b"{}", BTreeMap::new()), Err(PublishError::Closed));
}
