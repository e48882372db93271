//! A lifecycle on parts in memory, and a clock that leaps instead of waiting.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use domain::{
    Calendar, MicroUsd, Placement, Policy, Record, Role, SESSION_LIFE, Seconds, Session, Timestamp, Workspace,
    WorkspaceId,
};
use http_body_util::BodyExt;
use lifecycle::{App, Parts};
use platform::clock::Clock;
use platform::compute::fake::FakeCompute;
use platform::identity::keys::SigningKey;
use platform::identity::{Expected, GOOGLE_ISSUERS, Identity, TokenRefused};
use platform::notify::{MemoryNotifier, Notifier};
use platform::queue::Queue;
use platform::signin::MemorySigninStore;
use platform::store::{MemoryStore, Save, WorkspaceStore};
use serde_json::{Value, json};
use service::{Gate, Limits, OidcGate};
use tower::ServiceExt;
use wire::{SessionClaims, WebhookConfig, WebhookShape};

pub(crate) const VM_EMAIL: &str = "vm@p.iam.gserviceaccount.com";
pub(crate) const PUSH_EMAIL: &str = "push@p.iam.gserviceaccount.com";
pub(crate) const AUDIENCE: &str = "https://lifecycle.example.com";
pub(crate) const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Signs notices; of nobody.
const WEBHOOK_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";

/// Who sleeps on this clock has slept: it leaps, and lets the machines get on meanwhile.
#[derive(Debug)]
pub(crate) struct LeapClock {
    now: Mutex<Timestamp>,
    machines: Arc<FakeCompute>,
}

impl LeapClock {
    pub(crate) fn leap(&self, length: Seconds) {
        let mut now = self.now.lock().unwrap();
        *now = *now + length;
    }
}

#[async_trait]
impl Clock for LeapClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }
    async fn sleep(&self, length: Duration) {
        self.leap(Seconds(length.as_secs().max(1)));
        self.machines.settle();
        tokio::task::yield_now().await;
    }
    fn rate(&self) -> f64 {
        1.0
    }
}

/// Takes a token for what it says, as long as it is meant for whoever asks: signatures have tests of their own.
#[derive(Debug)]
struct Trusting;

#[async_trait]
impl Identity for Trusting {
    async fn verify(&self, token: &str, expected: Expected<'_>) -> Result<Value, TokenRefused> {
        let claims: Value = serde_json::from_str(token).map_err(|_| TokenRefused::BadSignature)?;
        let says = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
        if !expected.issuers.contains(&says("iss").as_str()) || says("aud") != expected.audience {
            return Err(TokenRefused::WrongParty);
        }
        if claims["exp"].as_i64().unwrap_or(0) <= expected.now.seconds() {
            return Err(TokenRefused::Expired);
        }
        Ok(claims)
    }
}

/// Writes down who was nudged.
#[derive(Debug, Default)]
pub(crate) struct Nudges(pub(crate) Mutex<Vec<String>>);

#[async_trait]
impl Queue for Nudges {
    async fn nudge(&self, workspace: &WorkspaceId) -> anyhow::Result<()> {
        self.0.lock().unwrap().push(workspace.to_string());
        Ok(())
    }
}

pub(crate) struct Setting {
    pub(crate) app: App,
    pub(crate) router: Router,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) machines: Arc<FakeCompute>,
    pub(crate) clock: Arc<LeapClock>,
    pub(crate) nudges: Arc<Nudges>,
    pub(crate) notifier: Arc<MemoryNotifier>,
    pub(crate) workspace: Workspace,
}

pub(crate) fn workspace() -> Workspace {
    let placement = |letter: &str| Placement {
        instance: format!("comfy-{letter}"),
        zone: format!("us-central1-{letter}"),
        spot: false,
        machine_type: "g2-standard-4".into(),
        accelerator: "nvidia-l4".into(),
        usd_per_hour: MicroUsd(706_800),
        price_date: Some("2026-07-30".into()),
        origin: format!("https://{letter}.example.com"),
    };
    Workspace {
        id: WorkspaceId::parse("main").unwrap(),
        title: "ComfyUI".into(),
        members: None,
        placements: vec![placement("a"), placement("b")],
        disk: Some("data".into()),
        calendar: Calendar::default(),
        policy: Policy::default(),
    }
}

impl Setting {
    pub(crate) fn new() -> Self {
        Self::of(workspace())
    }

    pub(crate) fn of(workspace: Workspace) -> Self {
        let machines = Arc::new(FakeCompute::holding(std::slice::from_ref(&workspace)));
        let clock = Arc::new(LeapClock { now: Mutex::new(BEGIN), machines: Arc::clone(&machines) });
        let store = Arc::new(MemoryStore::new());
        Self::on(workspace, store.clone(), store, machines, clock)
    }

    /// A lifecycle that is told something else of its workspace, on the same store and the same machines.
    pub(crate) fn again_as(&self, workspace: Workspace) -> Self {
        let (machines, clock) = (Arc::clone(&self.machines), Arc::clone(&self.clock));
        Self::on(workspace, self.store.clone(), self.store.clone(), machines, clock)
    }

    /// A lifecycle that reaches the same store through `reached`.
    pub(crate) fn again_on(&self, reached: Arc<dyn WorkspaceStore>) -> Self {
        let (machines, clock) = (Arc::clone(&self.machines), Arc::clone(&self.clock));
        Self::on(self.workspace.clone(), self.store.clone(), reached, machines, clock)
    }

    /// A lifecycle that tells through `notifier`.
    pub(crate) fn telling(&self, through: Arc<dyn Notifier>) -> Self {
        let (machines, clock) = (Arc::clone(&self.machines), Arc::clone(&self.clock));
        let store = self.store.clone();
        Self::through(through, self.workspace.clone(), store.clone(), store, machines, clock)
    }

    fn on(
        workspace: Workspace,
        store: Arc<MemoryStore>,
        reached: Arc<dyn WorkspaceStore>,
        machines: Arc<FakeCompute>,
        clock: Arc<LeapClock>,
    ) -> Self {
        let notifier = Arc::new(MemoryNotifier::default());
        let setting = Self::through(notifier.clone(), workspace, store, reached, machines, clock);
        Self { notifier, ..setting }
    }

    fn through(
        through: Arc<dyn Notifier>,
        workspace: Workspace,
        store: Arc<MemoryStore>,
        reached: Arc<dyn WorkspaceStore>,
        machines: Arc<FakeCompute>,
        clock: Arc<LeapClock>,
    ) -> Self {
        let identity: Arc<dyn Identity> = Arc::new(Trusting);
        let nudges = Arc::new(Nudges::default());
        let oidc = |email: &str| OidcGate {
            identity: Arc::clone(&identity),
            clock: clock.clone(),
            audience: AUDIENCE.into(),
            emails: vec![email.into()],
        };
        let webhook = || WebhookConfig::new("https://hooks.example.com/x", WebhookShape::Json, WEBHOOK_SECRET).unwrap();
        let webhooks = workspace.policy.notify.then(|| (workspace.id.clone(), webhook())).into_iter().collect();
        let app = App::new(Parts {
            notifier: through,
            webhooks,
            page: Some("https://page.example.com".into()),
            workspaces: vec![workspace.clone()],
            store: reached,
            queue: nudges.clone(),
            compute: machines.clone(),
            clock: clock.clone(),
            gate: Gate {
                identity: Arc::clone(&identity),
                signin: Arc::new(MemorySigninStore::new(clock.clone())),
                clock: clock.clone(),
                issuer: "pilotlight".into(),
                page_origin: Some("https://page.example.com".into()),
            },
            vms: oidc(VM_EMAIL),
            push: oidc(PUSH_EMAIL),
            key: Arc::new(SigningKey::generate().unwrap().0),
            project: "p".into(),
        });
        let router = lifecycle::router(app.clone(), Limits::default());
        Self { app, router, store, machines, clock, nudges, notifier: Arc::default(), workspace }
    }

    pub(crate) async fn record(&self) -> Record {
        self.store.load(&self.workspace.id).await.unwrap().record
    }

    /// Puts `record` in the place of what is stored.
    pub(crate) async fn put(&self, record: &Record) {
        let seen = self.store.load(&self.workspace.id).await.unwrap().version;
        let due_at = domain::due_at(record, &self.workspace.policy);
        let save = Save { id: &self.workspace.id, record, seen: seen.as_ref(), due_at, ended: None };
        self.store.save(save).await.unwrap();
    }

    /// A visit of the worker, as a nudge causes it.
    pub(crate) async fn attend(&self) -> lifecycle::Attended {
        self.app.worker().attend(&self.workspace.id).await.unwrap()
    }

    pub(crate) fn person(&self, role: Role) -> String {
        let issued_at = self.clock.now();
        let session = Session {
            id: format!("{role:?}"),
            user: "ada".into(),
            role,
            issued_at,
            expires_at: issued_at + SESSION_LIFE,
        };
        serde_json::to_string(&SessionClaims::of(&session, "pilotlight")).unwrap()
    }

    pub(crate) fn google(&self, email: &str, audience: &str, google: Value) -> String {
        let exp = (self.clock.now() + Seconds::hours(1)).seconds();
        json!({"iss": GOOGLE_ISSUERS[0], "aud": audience, "sub": "1", "email": email, "email_verified": true, "exp": exp, "google": google})
            .to_string()
    }

    /// The identity token of an instance of the workspace.
    pub(crate) fn vm(&self, instance: &str, zone: &str) -> String {
        let id = self.machines.instance_id(instance).to_string();
        let claim =
            json!({"compute_engine": {"project_id": "p", "zone": zone, "instance_id": id, "instance_name": instance}});
        self.google(VM_EMAIL, AUDIENCE, claim)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, role: Role, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("x-auth-token", self.person(role));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        self.send(request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).unwrap()).await
    }

    pub(crate) async fn bear(&self, path: &str, token: &str, body: Value) -> Answer {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn beat(&self, instance: &str, run: Option<u64>, reading: Value, up: bool) -> Answer {
        let zone = self.workspace.placement(instance).unwrap().zone.clone();
        let body = json!({"workspace": "main", "run": run, "comfyui_up": up, "reading": reading});
        self.bear("/vm/heartbeat", &self.vm(instance, &zone), body).await
    }

    /// A run that is ready.
    pub(crate) async fn ready(&self) {
        assert_eq!(self.ask("POST", "/api/workspaces/main/start", Role::User, None).await.status, StatusCode::ACCEPTED);
        self.attend().await;
        let run = self.record().await.run;
        let reply = self.beat("comfy-a", Some(run), json!({"state": "idle"}), true).await;
        assert_eq!(reply.body["phase"], "Ready", "{reply:?}");
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        assert!(parts.headers.contains_key("x-request-id"), "every answer has a request id");
        Self { status: parts.status, headers: parts.headers, body }
    }

    /// It is a problem document with this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), &self.body["code"]), (status, &json!(code)), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(!self.body["title"].as_str().unwrap().is_empty());
    }
}
