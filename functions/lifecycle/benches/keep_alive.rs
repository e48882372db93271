//! Keep-alives through the whole handler: token checked by its signature, record loaded, decided, saved, view written.
//!
//! `cargo bench -p lifecycle --bench keep_alive`. One thread. With the store in memory it prints requests a second at full
//! load, and the latency at half of that; with the store in Google's Firestore emulator, requests a second, one after the
//! other and many at once, and the documents that one reads and writes. The emulator needs Java and the Google Cloud SDK
//! with its component `cloud-firestore-emulator`; where they are missing the bench says so.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may panic")]

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::{
    Calendar, MicroUsd, Phase, Placement, Policy, Record, Role, SESSION_LIFE, Seconds, Session, Wish, Workspace,
    WorkspaceId, due_at,
};
use futures_util::{StreamExt as _, stream};
use lifecycle::{App, Parts};
use platform::clock::{Clock, SystemClock};
use platform::compute::fake::FakeCompute;
use platform::contract::emulator::Emulator;
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::identity::keys::{SigningKey, jwks};
use platform::queue::Queue;
use platform::signin::{FirestoreSigninStore, MemorySigninStore, SigninStore};
use platform::store::{FirestoreStore, MemoryStore, Save, WorkspaceStore};
use service::{Gate, Limits, OidcGate};
use tower::ServiceExt;
use wire::SessionClaims;

const MEASURED_FOR: Duration = Duration::from_secs(5);
const WARM_UP: usize = 2_000;
/// Requests under way at once at the emulator.
const AT_ONCE: usize = 32;

#[derive(Debug)]
struct NoQueue;

#[async_trait::async_trait]
impl Queue for NoQueue {
    async fn nudge(&self, _: &WorkspaceId) -> anyhow::Result<()> {
        Ok(())
    }
}

fn workspace() -> Workspace {
    Workspace {
        id: WorkspaceId::parse("main").unwrap(),
        title: "ComfyUI".into(),
        members: None,
        placements: vec![Placement {
            instance: "comfy-a".into(),
            zone: "us-central1-a".into(),
            spot: false,
            machine_type: "g2-standard-4".into(),
            accelerator: "nvidia-l4".into(),
            usd_per_hour: MicroUsd(706_800),
            price_date: None,
            origin: "https://a.example.com".into(),
        }],
        disk: None,
        calendar: Calendar::default(),
        policy: Policy::default(),
    }
}

async fn router(store: Arc<dyn WorkspaceStore>, signin: Arc<dyn SigninStore>) -> (Router, String) {
    let workspace = workspace();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let now = clock.now();
    let (key, _) = SigningKey::generate().unwrap();
    let session = Session {
        id: "s".into(),
        user: "ada".into(),
        role: Role::User,
        issued_at: now,
        expires_at: now + SESSION_LIFE,
    };
    let token = key.sign(&SessionClaims::of(&session, "pilotlight")).unwrap();
    let identity =
        Arc::new(JwksVerifier::new(JwksSources::none().with_ours("pilotlight", &jwks(std::slice::from_ref(&key)))));
    let record = Record {
        wish: Wish::Running,
        phase: Phase::Ready,
        run: 1,
        placement: Some("comfy-a".into()),
        started_at: Some(now),
        ready_at: Some(now),
        stop_at: Some(now + Seconds::minutes(15)),
        hard_stop_at: Some(now + Seconds::hours(12)),
        ..Record::default()
    };
    let due_at = due_at(&record, &workspace.policy);
    store.save(Save { id: &workspace.id, record: &record, seen: None, due_at, ended: None }).await.unwrap();
    let gate = Gate {
        identity: identity.clone(),
        signin,
        clock: clock.clone(),
        issuer: "pilotlight".into(),
        page_origin: None,
    };
    let oidc =
        || OidcGate { identity: identity.clone(), clock: clock.clone(), audience: String::new(), emails: Vec::new() };
    let app = App::new(Parts {
        notifier: Arc::new(platform::notify::MemoryNotifier::default()),
        webhooks: Default::default(),
        page: None,
        compute: Arc::new(FakeCompute::holding(std::slice::from_ref(&workspace))),
        workspaces: vec![workspace],
        store,
        queue: Arc::new(NoQueue),
        clock: clock.clone(),
        gate,
        vms: oidc(),
        push: oidc(),
        key: Arc::new(key),
        project: "p".into(),
    });
    (lifecycle::router(app, Limits::default()), token)
}

async fn keep_alive(router: &Router, token: &str) {
    let request = Request::post("/api/workspaces/main/keep-alive")
        .header("x-auth-token", token)
        .header("content-type", "application/json")
        .body(Body::from(r#"{"visible":true,"interacted_seconds_ago":12}"#))
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

/// Requests a second, so many under way at once.
async fn full_load(router: &Router, token: &str, at_once: usize) -> f64 {
    let begin = Instant::now();
    let under_way = stream::repeat(()).take_while(|()| ready(begin.elapsed() < MEASURED_FOR));
    let answers = under_way.map(|()| keep_alive(router, token)).buffer_unordered(at_once);
    let count = answers.fold(0_u32, |count, ()| ready(count + 1));
    f64::from(count.await) / begin.elapsed().as_secs_f64()
}

/// Latencies when requests arrive evenly, at `rate` a second; counted from the moment each was due.
async fn paced(router: &Router, token: &str, rate: f64) -> Vec<Duration> {
    let begin = Instant::now();
    let mut latencies = Vec::new();
    loop {
        let due = Duration::from_secs_f64(f64::from(u32::try_from(latencies.len()).unwrap()) / rate);
        if due >= MEASURED_FOR {
            return latencies;
        }
        while begin.elapsed() < due {
            std::hint::spin_loop();
        }
        keep_alive(router, token).await;
        latencies.push(begin.elapsed() - due);
    }
}

async fn in_memory() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (router, token) = router(Arc::new(MemoryStore::new()), Arc::new(MemorySigninStore::new(clock))).await;
    for _ in 0..WARM_UP {
        keep_alive(&router, &token).await;
    }
    let rate = full_load(&router, &token, 1).await;
    println!("keep-alive, one thread, full load: {rate:.0} requests/s");
    let mut latencies = paced(&router, &token, rate / 2.0).await;
    latencies.sort_unstable();
    let at = |part: usize| latencies[(latencies.len() * part / 100).min(latencies.len() - 1)];
    println!("keep-alive, half load: p50 {:?}, p99 {:?}, most {:?}", at(50), at(99), latencies[latencies.len() - 1]);
}

async fn on_firestore() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let database = emulator.database();
    let store = Arc::new(FirestoreStore::new(Arc::clone(&database)));
    let (router, token) = router(store, Arc::new(FirestoreSigninStore::new(Arc::clone(&database)))).await;
    for _ in 0..WARM_UP {
        keep_alive(&router, &token).await;
    }
    let before = database.usage();
    keep_alive(&router, &token).await;
    let used = database.usage() - before;
    let alone = full_load(&router, &token, 1).await;
    let together = full_load(&router, &token, AT_ONCE).await;
    println!(
        "keep-alive on Firestore's emulator: {alone:.0} requests/s one after the other, {together:.0} with {AT_ONCE} at \
         once; {} documents read and {} written by each",
        used.reads, used.writes
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        in_memory().await;
        on_firestore().await;
    });
}
