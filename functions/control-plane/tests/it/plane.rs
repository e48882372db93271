//! auth and lifecycle on ports of their own, and a gateway's check of tickets. Each can be started anew with other keys;
//! people, records and the time go on.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use domain::{Calendar, MicroUsd, Phase, Placement, Policy, Record, Timestamp, Wish, Workspace, WorkspaceId};
use platform::clock::{Clock, ManualClock};
use platform::compute::fake::FakeCompute;
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::identity::{Expected, Identity, TokenRefused};
use platform::queue::Queue;
use platform::signin::MemorySigninStore;
use platform::store::{MemoryStore, Save, WorkspaceStore};
use serde_json::{Value, json};
use service::config::{Asked, SigningKeys, Told, read};
use service::{Gate, Limits, OidcGate};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const ISSUER: &str = "pilotlight";
const GATEWAY: &str = "https://comfy.example.com";
const PASSWORD: &str = "correct horse";
/// Of [`PASSWORD`].
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$6mqEEOstjbb4ONPT00FkVg$2NRbo7Td0vy0jKK6H+FzlrUBLgvY9Spohbp6xsQ/1hA";
/// Nothing here takes longer, but for a machine that is stuck.
const WITHIN: Duration = Duration::from_secs(60);

/// The keys that a function is started with.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// Private keys in PEM, the one that signs first.
    pub(crate) signing: String,
    /// A JWK set, or nothing.
    pub(crate) verifying: String,
}

pub(crate) struct Plane {
    pub(crate) clock: ManualClock,
    signin: Arc<MemorySigninStore>,
    store: Arc<MemoryStore>,
    workspace: Workspace,
    auth: Served,
    lifecycle: Served,
    /// Of a machine that runs all the while.
    gateway: JwksVerifier,
    http: reqwest::Client,
}

/// A port, and whatever answers behind it at the moment.
struct Served {
    base: String,
    router: Arc<RwLock<Router>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Queue for Nobody {
    async fn nudge(&self, _workspace: &WorkspaceId) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Plane {
    /// A workspace that is ready, and functions with these keys.
    pub(crate) async fn start(secrets: &Secrets) -> Self {
        let clock = ManualClock::at(NOW);
        let auth = Served::start().await;
        let plane = Self {
            signin: Arc::new(MemorySigninStore::new(Arc::new(clock.clone()))),
            store: Arc::new(MemoryStore::new()),
            workspace: workspace(),
            gateway: verifier(&auth.base),
            lifecycle: Served::start().await,
            http: reqwest::Client::builder().no_proxy().timeout(WITHIN).build().unwrap(),
            clock,
            auth,
        };
        let record = Record {
            wish: Wish::Running,
            phase: Phase::Ready,
            run: 1,
            placement: Some("comfy-a".into()),
            ..Record::default()
        };
        let save = Save { id: &plane.workspace.id, record: &record, seen: None, due_at: None, ended: None };
        plane.store.save(save).await.unwrap();
        plane.restart_auth(secrets);
        plane.restart_lifecycle(secrets);
        plane
    }

    pub(crate) fn restart_auth(&self, secrets: &Secrets) {
        let users = json!([{"name": "ada", "role": "user", "hash": HASH}]).to_string();
        let variables = [
            ("SIGNING_KEY", secrets.signing.as_str()),
            ("VERIFYING_KEYS", &secrets.verifying),
            ("USERS", &users),
            ("SIGNIN_STORE", "memory"),
        ];
        let told = Told::new(["auth".into()], variables.map(|(name, value)| (name.into(), value.into())));
        let Ok(Asked::Serve(config)) = read::<auth::Config>(&told) else { panic!("auth takes its configuration") };
        let app = config.app(Arc::new(self.clock.clone()), self.signin.clone()).unwrap();
        self.auth.answers(auth::router(app, Limits::default()).unwrap());
    }

    pub(crate) fn restart_lifecycle(&self, secrets: &Secrets) {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let identity: Arc<dyn Identity> = Arc::new(verifier(&self.auth.base));
        let oidc = || OidcGate {
            identity: Arc::clone(&identity),
            clock: Arc::clone(&clock),
            audience: String::new(),
            emails: Vec::new(),
        };
        let app = lifecycle::App::new(lifecycle::Parts {
            notifier: Arc::new(platform::notify::MemoryNotifier::default()),
            webhooks: Default::default(),
            page: None,
            workspaces: vec![self.workspace.clone()],
            store: self.store.clone(),
            queue: Arc::new(Nobody),
            compute: Arc::new(FakeCompute::holding(std::slice::from_ref(&self.workspace))),
            gate: Gate {
                identity: Arc::clone(&identity),
                signin: self.signin.clone(),
                clock: Arc::clone(&clock),
                issuer: ISSUER.into(),
                page_origin: None,
            },
            vms: oidc(),
            push: oidc(),
            key: Arc::new(SigningKeys::from_pem(&secrets.signing).unwrap().signing().clone()),
            project: "p".into(),
            clock,
        });
        self.lifecycle.answers(lifecycle::router(app, Limits::default()));
    }

    /// A token for somebody who types the password.
    pub(crate) async fn sign_in(&self) -> String {
        let asked = self.http.post(format!("{}/api/login", self.auth.base));
        let answer = asked.json(&json!({"user": "ada", "password": PASSWORD})).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        token(answer).await
    }

    /// A token in the place of another, as the page asks for it.
    pub(crate) async fn refresh(&self, old: &str) -> String {
        let asked = self.http.post(format!("{}/api/session/refresh", self.auth.base));
        let answer = asked.header("x-auth-token", old).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        token(answer).await
    }

    /// What auth and lifecycle say to a token.
    pub(crate) async fn admits(&self, token: &str) -> [StatusCode; 2] {
        let ask = async |url: String| self.http.get(url).header("x-auth-token", token).send().await.unwrap().status();
        let session = ask(format!("{}/api/session", self.auth.base)).await;
        [session, ask(format!("{}/api/workspaces/main", self.lifecycle.base)).await]
    }

    /// A ticket of lifecycle's.
    pub(crate) async fn ticket(&self, token: &str) -> String {
        let asked = self.http.post(format!("{}/api/workspaces/main/ticket", self.lifecycle.base));
        let answer = asked.header("x-auth-token", token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let body: Value = answer.json().await.unwrap();
        body["url"].as_str().unwrap().split_once("ticket=").unwrap().1.to_owned()
    }

    /// What the gateway that runs all the while says to a ticket, and one that has only just been started.
    pub(crate) async fn opens(&self, ticket: &str) -> [Result<Value, TokenRefused>; 2] {
        let expected = || Expected { issuers: &[ISSUER], audience: GATEWAY, now: self.clock.now() };
        let new = verifier(&self.auth.base);
        [self.gateway.verify(ticket, expected()).await, new.verify(ticket, expected()).await]
    }

    /// The names of the keys that auth publishes.
    pub(crate) async fn published(&self) -> Vec<String> {
        let answer = self.http.get(jwks_url(&self.auth.base)).send().await.unwrap();
        let set: Value = answer.json().await.unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }
}

impl Served {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Arc::new(RwLock::new(Router::new()));
        let current = Arc::clone(&router);
        let front = Router::new().fallback(move |request: Request| {
            let router = current.read().unwrap().clone();
            async move { router.oneshot(request).await }
        });
        let serving = service::serve(listener, front, std::future::pending());
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self { base, router, task }
    }

    fn answers(&self, router: Router) {
        *self.router.write().unwrap() = router;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn verifier(auth: &str) -> JwksVerifier {
    JwksVerifier::new(JwksSources::none().with_ours_at(ISSUER, &jwks_url(auth)))
}

fn jwks_url(auth: &str) -> String {
    format!("{auth}/.well-known/jwks.json")
}

async fn token(answer: reqwest::Response) -> String {
    let body: Value = answer.json().await.unwrap();
    body["token"].as_str().unwrap().to_owned()
}

fn workspace() -> Workspace {
    let placement = Placement {
        instance: "comfy-a".into(),
        zone: "us-central1-a".into(),
        spot: false,
        machine_type: "g2-standard-4".into(),
        accelerator: "nvidia-l4".into(),
        usd_per_hour: MicroUsd(706_800),
        price_date: None,
        origin: GATEWAY.into(),
    };
    Workspace {
        id: WorkspaceId::parse("main").unwrap(),
        title: "ComfyUI".into(),
        members: None,
        placements: vec![placement],
        disk: None,
        calendar: Calendar::default(),
        policy: Policy::default(),
    }
}
