//! Google's Pub/Sub emulator pushing to the real worker, through the door that signs: what it was told, what comes again
//! after a refusal, what is repeated or late, and what nobody would take.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

/// Pushes are told in the log; sweeps come seldom enough not to be taken for redelivery.
const ARGS: [&str; 6] = ["--speed", "30", "--sweep-every", "90s", "--log-filter", "info,local::front=debug"];
/// Of the pocket cloud's subscriptions: the fewest that Pub/Sub knows.
const ATTEMPTS: usize = 5;
/// Without a push for so long, none is under way. A visit that finds all well takes a tenth of it.
const QUIET: std::time::Duration = std::time::Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_are_declared_as_they_are_in_the_cloud() {
    let Some(world) = World::start(&ARGS).await else { return };
    let google = Google::of(&world).await;
    for (name, path) in [("nudges", "/push/nudge"), ("compute-events", "/push/compute-events")] {
        let declared = google.ask(Method::GET, &format!("subscriptions/{name}"), json!(null)).await;
        let push = &declared["pushConfig"];
        assert!(push["pushEndpoint"].as_str().unwrap().ends_with(path), "{push}");
        let token = json!({"serviceAccountEmail": "push@local.iam.gserviceaccount.com", "audience": world.base()});
        assert_eq!(push["oidcToken"], token, "pushes carry an identity");
        assert_eq!(declared["ackDeadlineSeconds"], 600, "a visit of the worker fits in");
        let waits = &declared["retryPolicy"];
        assert!(waits["minimumBackoff"].is_string() && waits["maximumBackoff"].is_string(), "it does not hammer");
        let dead = &declared["deadLetterPolicy"];
        assert!(dead["deadLetterTopic"].as_str().unwrap().ends_with("/topics/dead-letters"), "{dead}");
        assert_eq!(dead["maxDeliveryAttempts"], ATTEMPTS);
        assert_eq!(declared["expirationPolicy"], json!({}), "no time to live: it never expires");
    }
    let kept = google.ask(Method::GET, "subscriptions/dead-letters", json!(null)).await;
    assert_eq!((&kept["expirationPolicy"], &kept["pushConfig"]), (&json!({}), &json!({})), "kept to be looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_comes_again_until_it_is_taken_or_becomes_a_dead_letter() {
    let Some(world) = World::start(&ARGS).await else { return };
    let google = Google::of(&world).await;

    // The worker cannot see the machines: it refuses the message, which comes again.
    world.fault(json!({"compute": {"fail": 1.0}})).await;
    let (status, view) = world.ask(Method::POST, "/api/workspaces/main/start", Some(json!({}))).await;
    assert_eq!((status, &view["phase"]), (StatusCode::ACCEPTED, &json!("Placing")), "{view}");
    let message = world.until("a push is refused", async || pushes(&world).into_iter().find(refused)).await.0;
    world.fault(json!({"compute": {"fail": 0.0}})).await;
    let statuses = world
        .until("the same message is taken", async || {
            pushes(&world).remove(&message).filter(|statuses| statuses.last() == Some(&204))
        })
        .await;
    assert!(statuses.len() >= 2 && statuses[..statuses.len() - 1].iter().all(|status| *status == 503), "{statuses:?}");
    world.until("it is ready", async || Some(world.view().await).filter(|view| view["phase"] == "Ready")).await;
    assert_eq!(world.operations("start").await, 1);

    // That it is ready is told of in a visit of its own; one more that came meanwhile would join it.
    world.until_logged("notice sent").await;
    let mut before = None;
    world
        .until("nothing is under way", async || {
            let now = pushes(&world);
            let is_quiet = before.replace(now.clone()) == Some(now.clone());
            tokio::time::sleep(QUIET).await;
            (is_quiet && now.values().all(|statuses| statuses.last() == Some(&204))).then_some(())
        })
        .await;

    // One that is refused for ever is put aside after its attempts, and holds up no other.
    world.fault(json!({"compute": {"fail": 1.0}})).await;
    let poison = google.publish("nudges", &json!({"workspace": "main"})).await;
    let statuses = world
        .until("all attempts are made", async || {
            pushes(&world).remove(&poison).filter(|statuses| statuses.len() == ATTEMPTS)
        })
        .await;
    assert_eq!(statuses, [503; ATTEMPTS]);
    assert_eq!(google.pull("subscriptions/dead-letters").await, [json!({"workspace": "main"})]);
    world.fault(json!({"compute": {"fail": 0.0}})).await;
    let next = google.publish("nudges", &json!({"workspace": "main"})).await;
    world.until("the next is taken", async || pushes(&world).remove(&next).filter(|all| all.contains(&204))).await;
    assert_eq!(pushes(&world)[&poison].len(), ATTEMPTS, "it was not pushed again");
    assert_eq!(world.view().await["phase"], "Ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_repeated_late_and_out_of_order_change_nothing() {
    let Some(world) = World::start(&ARGS).await else { return };
    let google = Google::of(&world).await;
    let kept = google.listen("compute-events").await;
    start(&world).await;
    world.ask(Method::POST, "/api/workspaces/main/stop", Some(json!({}))).await;
    world.until("it is stopped", async || Some(world.view().await).filter(|view| view["phase"] == "Stopped")).await;
    let events_of_the_first_run = google.pull(&kept).await;
    assert!(events_of_the_first_run.len() >= 4, "a start and a stop, each asked and done: {events_of_the_first_run:?}");
    start(&world).await;
    let before = world.view().await;

    // Everything that was ever told, again, backwards and interleaved; nudges by the dozen, and what nobody understands.
    let mut sent = Vec::new();
    for event in events_of_the_first_run.iter().rev().cycle().take(24) {
        sent.push(google.publish("compute-events", event).await);
        for nudge in [json!({"workspace": "main"}), json!({"workspace": "nowhere"}), json!(["?"])] {
            sent.push(google.publish("nudges", &nudge).await);
        }
    }
    world
        .until("all are taken", async || {
            let pushed = pushes(&world);
            let taken = |message: &String| pushed.get(message).is_some_and(|statuses| statuses.contains(&204));
            sent.iter().all(taken).then_some(())
        })
        .await;
    let after = world.view().await;
    for field in ["phase", "run", "wish", "placement", "hard_stop_at", "started_at", "failure", "ending"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!((world.operations("start").await, world.operations("stop").await), (2, 1), "one call each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_nobody_signed_is_refused_at_the_worker_itself() {
    let Some(world) = World::start(&ARGS).await else { return };
    let panel = world.panel().await;
    let functions = panel["functions"].as_array().unwrap();
    let lifecycle = functions.iter().find(|function| function["name"] == "lifecycle").unwrap();
    for path in ["/push/nudge", "/push/compute-events"] {
        let url = format!("{}{path}", lifecycle["address"].as_str().unwrap());
        let answer = world.send(world.request(Method::POST, &url).json(&json!({"message": {"data": ""}}))).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

async fn start(world: &World) {
    let (status, view) = world.ask(Method::POST, "/api/workspaces/main/start", Some(json!({}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{view}");
    world.until("it is ready", async || Some(world.view().await).filter(|view| view["phase"] == "Ready")).await;
}

fn refused((_, statuses): &(String, Vec<u16>)) -> bool {
    statuses.contains(&503)
}

/// Statuses by message, in their order, as the door has told them.
fn pushes(world: &World) -> BTreeMap<String, Vec<u16>> {
    let mut pushed: BTreeMap<String, Vec<u16>> = BTreeMap::new();
    for line in world.logged("pushed path=") {
        let field = |name: &str| {
            let value = line.split_once(&format!("{name}=")).map_or("", |(_, rest)| rest);
            value.split(' ').next().unwrap_or_default().trim_matches('"').to_owned()
        };
        pushed.entry(field("message_id")).or_default().push(field("status").parse().unwrap());
    }
    pushed
}

/// The emulator of Pub/Sub that the world stands on, by its REST API.
struct Google<'a> {
    world: &'a World,
    /// With a slash at its end.
    project: String,
}

impl<'a> Google<'a> {
    async fn of(world: &'a World) -> Self {
        let told = world.until_logged("Google's emulators").await;
        let after = |word: &str| told.split_once(word).unwrap().1.split_whitespace().next().unwrap().to_owned();
        let project = format!("http://{}/v1/projects/{}/", after("Pub/Sub "), after("project "));
        Self { world, project }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = self.world.request(method, &format!("{}{path}", self.project));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = self.world.send(request).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    /// The id of the message that was taken.
    async fn publish(&self, topic: &str, payload: &Value) -> String {
        let messages = json!({"messages": [{"data": STANDARD.encode(payload.to_string())}]});
        let taken = self.ask(Method::POST, &format!("topics/{topic}:publish"), messages).await;
        taken["messageIds"][0].as_str().unwrap().to_owned()
    }

    /// A subscription of our own, that keeps what is published from now on.
    async fn listen(&self, topic: &str) -> String {
        let topic_name = self.project.split_once("/v1/").unwrap().1.to_owned() + "topics/" + topic;
        let path = format!("subscriptions/listening-{topic}");
        self.ask(Method::PUT, &path, json!({"topic": topic_name})).await;
        path
    }

    /// What a subscription has kept, once there is something.
    async fn pull(&self, subscription: &str) -> Vec<Value> {
        let pull = async || {
            let pulled = self.ask(Method::POST, &format!("{subscription}:pull"), json!({"maxMessages": 100})).await;
            let messages = pulled["receivedMessages"].as_array().cloned().unwrap_or_default();
            let payload = |message: &Value| {
                let data = STANDARD.decode(message["message"]["data"].as_str().unwrap()).unwrap();
                serde_json::from_slice::<Value>(&data).unwrap()
            };
            Some(messages.iter().map(payload).collect::<Vec<_>>()).filter(|payloads| !payloads.is_empty())
        };
        self.world.until("there are messages", pull).await
    }
}
