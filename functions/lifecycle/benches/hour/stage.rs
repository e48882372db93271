//! The functions, and everybody who asks them something, under a clock that leaps from one turn to the next.
//!
//! The worker waits by sleeping on this clock; while it sleeps the others have their turns, as they would beside it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine as _;
use domain::{Action, Record, Seconds, Timestamp};
use http_body_util::BodyExt as _;
use platform::clock::Clock;
use platform::compute::Compute as _;
use platform::compute::fake::FakeCompute;
use platform::contract::emulator::{Emulator, project};
use platform::firestore::{Firestore, FirestoreConfig};
use platform::store::{FirestoreStore, WorkspaceStore as _};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::cast::{Cast, Topic, Turn};
use super::functions::{FunctionParts, Functions, INSTANCE, PASSWORD, WORKSPACE, ZONE, workspace};
use super::identity::{google, of_vm};
use super::page::Question;
use super::tally::Tally;

const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// Turns in one stretch of time; more is a time that stands still.
const TURNS_MAX: usize = 100_000;

/// See the module.
pub(crate) struct Stage {
    clock: Arc<StageClock>,
    functions: Functions,
    machines: Arc<FakeCompute>,
    topic: Arc<Topic>,
    database: Arc<Firestore>,
    /// Looks without being counted.
    spectator: FirestoreStore,
    cast: Mutex<Cast>,
    tally: Mutex<Tally>,
    calls_seen: Mutex<usize>,
}

/// Whoever sleeps on it lets the others have their turns.
#[derive(Debug)]
struct StageClock {
    now: Mutex<Timestamp>,
    stage: OnceLock<Weak<Stage>>,
}

#[async_trait]
impl Clock for StageClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, length: Duration) {
        let stage = self.stage.get().and_then(Weak::upgrade).unwrap();
        stage.pass_for(length.max(Duration::from_millis(1))).await;
    }

    fn rate(&self) -> f64 {
        1.0
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stage")
    }
}

impl Stage {
    /// The functions on a database of the emulator's.
    pub(crate) fn on(emulator: &Emulator) -> Arc<Self> {
        let config = FirestoreConfig { endpoint: Some(emulator.url()), ..FirestoreConfig::new(project()) };
        let spectator = FirestoreStore::new(Arc::new(Firestore::new(config.clone())));
        let clock = Arc::new(StageClock { now: Mutex::new(BEGIN), stage: OnceLock::new() });
        let machines = Arc::new(FakeCompute::holding(&[workspace()]));
        let topic = Arc::new(Topic::default());
        let database = Arc::new(Firestore::new(config));
        let parts = FunctionParts {
            workspace: workspace(),
            database: Arc::clone(&database),
            queue: topic.clone(),
            compute: machines.clone(),
            clock: clock.clone(),
        };
        let functions = Functions::of(&parts);
        let (cast, tally, calls_seen) = (Mutex::new(Cast::at(BEGIN)), Mutex::default(), Mutex::default());
        let stage = Arc::new(Self {
            clock: Arc::clone(&clock),
            functions,
            machines,
            topic,
            database,
            spectator,
            cast,
            tally,
            calls_seen,
        });
        clock.stage.set(Arc::downgrade(&stage)).unwrap();
        stage
    }

    /// What was used so far.
    pub(crate) fn tally(&self) -> Tally {
        let minutes = self.clock.now().since(BEGIN).0 / 60;
        Tally { minutes, firestore: self.database.usage(), ..*self.tally.lock().unwrap() }
    }

    pub(crate) async fn record(&self) -> Record {
        self.spectator.load(&workspace().id).await.unwrap().record
    }

    pub(crate) fn page_shows(&self, phase: &str) -> bool {
        self.cast().page.view["phase"] == phase
    }

    pub(crate) fn set_person(&self, visible: bool, person: bool) {
        let now = self.clock.now();
        self.cast().page.set_person(visible, person, now);
    }

    /// The VM tells at once when a job begins.
    pub(crate) fn set_job(&self, job: bool) {
        let now = self.clock.now();
        let mut cast = self.cast();
        cast.vm.job = job;
        if job {
            cast.vm.beats_at = Some(now);
        }
    }

    /// Loads the page with all its files, signs in, and looks.
    pub(crate) async fn open_page(&self) {
        let (_, _, page) = self.ask_auth(Request::get("/").body(Body::empty()).unwrap()).await;
        let page = String::from_utf8(page).unwrap();
        let links =
            page.split_whitespace().filter_map(|word| word.strip_prefix("href=\"").or(word.strip_prefix("src=\"")));
        let files: Vec<_> = links.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect();
        assert!(files.len() > 10, "the page's files: {files:?}");
        for file in files.iter().map(String::as_str).chain(["config.json"]) {
            let (status, ..) = self.ask_auth(Request::get(format!("/{file}")).body(Body::empty()).unwrap()).await;
            assert_eq!(status, StatusCode::OK, "{file}");
        }
        let body = json!({"user": "ada", "password": PASSWORD}).to_string();
        let request = Request::post("/api/login").header("content-type", "application/json").body(Body::from(body));
        let (status, _, body) = self.ask_auth(request.unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        let token = token_of(&body);
        let now = self.clock.now();
        self.cast().page.sign_in(token, now);
        let (_, list) = self.ask("GET", "/api/workspaces", None, None).await;
        let view = list["workspaces"][0].clone();
        let now = self.clock.now();
        let mut cast = self.cast();
        cast.page.take(Some(view), None, now);
        cast.page.set_person(true, true, now);
    }

    pub(crate) async fn press_start(&self) {
        let (_, view) = self.ask("POST", &format!("/api/workspaces/{WORKSPACE}/start"), None, None).await;
        let now = self.clock.now();
        self.cast().page.take(Some(view), None, now);
    }

    /// Lets policy time pass.
    pub(crate) async fn pass(&self, length: Seconds) {
        self.pass_for(length.duration()).await;
    }

    async fn pass_for(&self, length: Duration) {
        let end = Timestamp::from_millis(self.clock.now().millis() + i64::try_from(length.as_millis()).unwrap());
        for turn in 0.. {
            assert!(turn < TURNS_MAX, "time stands still");
            let Some((at, turn)) = self.next_turn(end) else { break };
            self.move_to(at);
            self.take(turn).await;
        }
        self.move_to(end);
    }

    /// Time only moves forward, also when a turn has taken it further than others saw.
    fn move_to(&self, at: Timestamp) {
        let mut now = self.clock.now.lock().unwrap();
        *now = at.max(*now);
    }

    /// The next turn, if there is one before `end`; it is then taken, and nobody else's.
    fn next_turn(&self, end: Timestamp) -> Option<(Timestamp, Turn)> {
        let mut cast = self.cast();
        let (at, turn) = cast.next(&self.topic, self.clock.now()).filter(|(at, _)| *at <= end)?;
        match turn {
            Turn::Settle => cast.settles_at = None,
            Turn::Beat => cast.vm.beats_at = None,
            Turn::Sweep => cast.sweeps_at = None,
            Turn::Ask | Turn::Push => {}
        }
        Some((at, turn))
    }

    async fn take(&self, turn: Turn) {
        match turn {
            Turn::Settle => self.settle().await,
            Turn::Push => self.push().await,
            Turn::Beat => self.beat().await,
            Turn::Ask => self.ask_as_page().await,
            Turn::Sweep => self.sweep().await,
        }
        self.note_calls();
    }

    /// What Compute Engine was asked for takes its time.
    fn note_calls(&self) {
        let actions = self.machines.actions();
        let mut seen = self.calls_seen.lock().unwrap();
        for action in &actions[*seen..] {
            let starts = matches!(action, Action::StartInstance { .. });
            self.cast().called(starts, self.clock.now());
        }
        *seen = actions.len();
    }

    async fn settle(&self) {
        self.machines.settle();
        if !self.machines.list_up().await.unwrap().is_empty() {
            let now = self.clock.now();
            self.cast().came_up(now);
        }
    }

    async fn push(&self) {
        let Some(workspace) = self.topic.take() else { return };
        let nudge = json!({"workspace": workspace.as_str()}).to_string();
        let data = base64::engine::general_purpose::STANDARD.encode(nudge);
        let body =
            json!({"subscription": "projects/p/subscriptions/nudges", "message": {"data": data, "messageId": "1"}});
        let begun = self.clock.now();
        self.tally.lock().unwrap().messages += 1;
        self.ask_lifecycle(bearing(google(begun), "/push/nudge", &body)).await;
        let took = self.clock.now().since(begun);
        let mut tally = self.tally.lock().unwrap();
        tally.worker += took;
    }

    async fn beat(&self) {
        let now = self.clock.now();
        let body = self.cast().heartbeat(WORKSPACE, now);
        let Some(body) = body else { return };
        let token = of_vm(now, INSTANCE, ZONE, self.machines.instance_id(INSTANCE));
        let (_, _, reply) = self.ask_lifecycle(bearing(token, "/vm/heartbeat", &body)).await;
        let now = self.clock.now();
        self.cast().take_reply(&reply, now);
    }

    async fn sweep(&self) {
        let begun = self.clock.now();
        self.tally.lock().unwrap().reaper += 1;
        let (status, _, body) = ask(&self.functions.reaper, bearing(google(begun), "/sweep", &json!({}))).await;
        let report: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &report["failed"]), (StatusCode::OK, &json!([])));
        self.cast().swept(begun);
    }

    async fn ask_as_page(&self) {
        let now = self.clock.now();
        let (question, etag) = {
            let mut cast = self.cast();
            (cast.page.ask(now), cast.page.etag.clone())
        };
        let path = format!("/api/workspaces/{WORKSPACE}");
        let (headers, view) = match question {
            Question::Look => self.ask("GET", &path, None, etag).await,
            Question::KeepAlive => {
                let body = json!({"visible": true, "interacted_seconds_ago": 0});
                self.ask("POST", &format!("{path}/keep-alive"), Some(body), None).await
            }
        };
        let etag = headers.get("etag").map(|etag| etag.to_str().unwrap().to_owned());
        let now = self.clock.now();
        let (ticket, refresh) = {
            let mut cast = self.cast();
            cast.page.take((!view.is_null()).then_some(view), etag, now);
            (cast.page.wants_ticket(), cast.page.wants_refresh(now))
        };
        if refresh {
            let token = self.cast().page.token.clone();
            let request = Request::post("/api/session/refresh").header("x-auth-token", token).body(Body::empty());
            let (_, _, body) = self.ask_auth(request.unwrap()).await;
            self.cast().page.sign_in(token_of(&body), now);
        }
        if let Some(run) = ticket {
            self.ask("POST", &format!("{path}/ticket"), None, None).await;
            self.cast().page.opened = Some(run);
        }
    }

    /// A request of the page to lifecycle.
    async fn ask(&self, method: &str, path: &str, body: Option<Value>, etag: Option<String>) -> (HeaderMap, Value) {
        let token = self.cast().page.token.clone();
        let mut request = Request::builder().method(method).uri(path).header("x-auth-token", token);
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let (_, headers, view) = self.ask_lifecycle(request.body(body).unwrap()).await;
        (headers, view)
    }

    async fn ask_lifecycle(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        self.tally.lock().unwrap().lifecycle += 1;
        let path = request.uri().path().to_owned();
        let (status, headers, body) = ask(&self.functions.lifecycle, request).await;
        assert!(status.is_success() || status == StatusCode::NOT_MODIFIED, "{path}: {status}");
        (status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn ask_auth(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        self.tally.lock().unwrap().auth += 1;
        ask(&self.functions.auth, request).await
    }

    fn cast(&self) -> MutexGuard<'_, Cast> {
        self.cast.lock().unwrap()
    }
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

/// A request of somebody of Google's.
fn bearing(token: Value, path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("authorization", format!("Bearer {token}"));
    request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
}

fn token_of(body: &[u8]) -> String {
    let reply: Value = serde_json::from_slice(body).unwrap();
    reply["token"].as_str().unwrap().to_owned()
}
