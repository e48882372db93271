//! An auth of its own for each test: a clock set by hand, a store in memory, three users.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auth::{App, Keys, PageSettings, Passwords, Users};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use domain::Timestamp;
use http_body_util::BodyExt as _;
use jsonwebtoken::jwk::JwkSet;
use platform::clock::{Clock, ManualClock};
use platform::identity::keys::SigningKey;
use platform::signin::{MemorySigninStore, SigninStore};
use serde_json::{Value, json};
use service::{Gate, Limits};
use tower::ServiceExt as _;

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_763_800_000);
pub(crate) const ISSUER: &str = "pilotlight";
pub(crate) const PASSWORD: &str = "correct horse";
/// Of [`PASSWORD`], as `auth hash-password` prints it.
pub(crate) const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$6mqEEOstjbb4ONPT00FkVg$2NRbo7Td0vy0jKK6H+FzlrUBLgvY9Spohbp6xsQ/1hA";
/// Where requests come from when a test does not say.
pub(crate) const HOME: &str = "192.0.2.1";
/// Largest answer that a test reads; the page's largest file is far smaller.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Nothing here takes longer, but for a machine that is stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

pub(crate) fn users() -> Value {
    json!([
        {"name": "admin", "role": "admin", "hash": HASH},
        {"name": "ada", "role": "user", "hash": HASH},
        {"name": "guest", "role": "viewer", "hash": HASH},
    ])
}

pub(crate) struct House {
    pub(crate) app: App,
    pub(crate) clock: ManualClock,
    pub(crate) key: SigningKey,
    pub(crate) router: Router,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut App)) -> Self {
        let clock = ManualClock::at(NOW);
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let (key, _) = SigningKey::generate().unwrap();
        let keys = Keys::new(std::slice::from_ref(&key), JwkSet { keys: Vec::new() }).unwrap();
        let mut app = App {
            gate: Gate {
                identity: Arc::new(keys.verifier(ISSUER)),
                signin: Arc::new(MemorySigninStore::new(Arc::clone(&shared))),
                clock: shared,
                issuer: ISSUER.into(),
                page_origin: None,
            },
            users: Arc::new(Users::from_json(&users().to_string()).unwrap()),
            keys: Arc::new(keys),
            passwords: Passwords::default(),
            page: Arc::new(PageSettings::default()),
            trusted_proxies: 0,
        };
        change(&mut app);
        let router = auth::router(app.clone(), Limits::default()).unwrap();
        Self { app, clock, key, router }
    }

    pub(crate) async fn ask(&self, ask: Ask) -> Answer {
        ask_router(&self.router, ask).await
    }

    pub(crate) async fn sign_in(&self, user: &str) -> String {
        let answer = self.ask(login(&json!({"user": user, "password": PASSWORD}))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// Whether the session route takes this token.
    pub(crate) async fn session(&self, token: &str) -> Answer {
        self.ask(Ask::get("/api/session").header("x-auth-token", token)).await
    }
}

pub(crate) async fn ask_router(router: &Router, ask: Ask) -> Answer {
    let mut request = Request::new(Body::from(ask.body));
    *request.method_mut() = ask.method;
    *request.uri_mut() = ask.path.parse().unwrap();
    *request.headers_mut() = ask.headers;
    let peer = SocketAddr::new(ask.from.parse().unwrap(), 50_000);
    request.extensions_mut().insert(ConnectInfo(peer));
    let asked = tokio::time::timeout(ANSWER_WITHIN, router.clone().oneshot(request));
    let (parts, body) = asked.await.unwrap().unwrap().into_parts();
    let body = http_body_util::Limited::new(body, ANSWER_BYTES_MAX).collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body: body.to_vec() }
}

/// A request to be.
#[derive(Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
    from: String,
}

impl Ask {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Vec::new(), from: HOME.into() }
            .header("host", "pilotlight.example.com")
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn from(mut self, address: &str) -> Self {
        self.from = address.into();
        self
    }
}

pub(crate) fn login(body: &Value) -> Ask {
    Ask::post("/api/login").header("content-type", "application/json").body(body.to_string())
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a whole problem document with this status and code.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json", "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], "about:blank", "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert!(!self.header("x-request-id").is_empty(), "an id on {problem}");
        assert_eq!(self.header("cache-control"), "no-store", "{problem}");
    }
}

/// A store whose every word is a failure.
#[derive(Debug)]
pub(crate) struct BrokenStore;

#[async_trait::async_trait]
impl SigninStore for BrokenStore {
    async fn attempts(&self, _key: &str) -> anyhow::Result<domain::Attempts> {
        anyhow::bail!("the database at secret-host is away")
    }
    async fn note_failure(&self, _key: &str, _throttle: domain::Throttle, _now: Timestamp) -> anyhow::Result<()> {
        anyhow::bail!("the database at secret-host is away")
    }
    async fn forgive(&self, _key: &str) -> anyhow::Result<()> {
        anyhow::bail!("the database at secret-host is away")
    }
    async fn revoke(&self, _token_id: &str, _expires_at: Timestamp) -> anyhow::Result<()> {
        anyhow::bail!("the database at secret-host is away")
    }
    async fn is_revoked(&self, _token_id: &str) -> anyhow::Result<bool> {
        anyhow::bail!("the database at secret-host is away")
    }
}
