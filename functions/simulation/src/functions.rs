//! The processes: two of lifecycle and one of reaper, each with its own clock and its own way to the one store, and the
//! requests that reach them, or do not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use platform::compute::Compute;
use platform::queue::Queue;
use platform::signin::MemorySigninStore;
use platform::store::WorkspaceStore;
use serde::Deserialize;
use serde_json::Value;
use service::{Gate, OidcGate};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use crate::compute::Reachable;
use crate::history::What;
use crate::identity::{AUDIENCE, ISSUER, PROJECT, PUSH_EMAIL, SCHEDULER_EMAIL, VM_EMAIL};
use crate::notices::{Told, webhooks};
use crate::queue::Nudges;
use crate::stage::locked;
use crate::store::Reached;
use crate::world::World;

/// The processes, by their sides.
pub(crate) const NAMES: [&str; 3] = ["lifecycle-1", "lifecycle-2", "reaper"];
pub(crate) const REAPER: usize = 2;

/// A request is answered within this time, or not at all (`Limits` of `service`); a push has its own.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const PUSH_WITHIN: Duration = Duration::from_secs(600);

/// What the processes serve.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    routers: Mutex<Vec<Router>>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Read,
}

/// What is read of an answer's body, whichever it is: of a view, of the answer to a heartbeat, of a sweep's report.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Read {
    pub(crate) phase: String,
    pub(crate) run: u64,
    pub(crate) wish: String,
    pub(crate) next_in_seconds: Option<u64>,
    pub(crate) failed: Vec<Value>,
    pub(crate) items: Value,
}

impl World {
    /// What was heard of the question of this number; nothing, where it or its answer was lost.
    pub(crate) fn note_answer(&self, number: u64, answer: Option<&Answer>) {
        self.note(What::Answered {
            number,
            status: answer.map(|answer| answer.status),
            phase: answer.map_or(String::new(), |answer| answer.phase().to_owned()),
            run: answer.map_or(0, Answer::run),
        });
    }
}

impl Answer {
    pub(crate) fn phase(&self) -> &str {
        &self.body.phase
    }

    pub(crate) fn run(&self) -> u64 {
        self.body.run
    }
}

/// A request, before it is sent.
pub(crate) struct Asking {
    pub(crate) path: String,
    pub(crate) header: &'static str,
    pub(crate) token: String,
    pub(crate) body: Option<Value>,
}

impl Asking {
    pub(crate) fn bearer(path: &str, token: &str, body: Option<Value>) -> Self {
        Self { path: path.to_owned(), header: "authorization", token: format!("Bearer {token}"), body }
    }

    fn request(self) -> Request<Body> {
        let method = if self.path.contains("/api/") && self.body.is_none() { "GET" } else { "POST" };
        let request = Request::builder().method(method).uri(self.path).header(self.header, self.token);
        let request = match self.body {
            // A post without a body, as the page sends it.
            Some(Value::Null) | None => request.body(Body::empty()),
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
        };
        request.unwrap_or_default()
    }
}

impl World {
    /// Starts a process, anew if it has run before: what it remembered is gone.
    pub(crate) fn boot(self: &Arc<Self>, side: usize) {
        let router = if side == REAPER { reaper_of(self) } else { lifecycle_of(self, side) };
        let mut routers = locked(&self.functions.routers);
        if side < routers.len() { routers[side] = router } else { routers.push(router) }
    }

    /// Ends all processes.
    pub(crate) fn shut_down(&self) {
        locked(&self.functions.routers).clear();
        self.stage.clear();
    }

    /// Asks a process; `None` when there was no answer.
    pub(crate) async fn ask(self: &Arc<Self>, side: usize, asking: Asking) -> Option<Answer> {
        let within = if asking.path.starts_with("/push/") || side == REAPER { PUSH_WITHIN } else { ANSWER_WITHIN };
        let router = locked(&self.functions.routers).get(side)?.clone();
        let (answer, answered) = oneshot::channel();
        let world = Arc::clone(self);
        self.spawn_mortal(Some(side), async move {
            let handled = async {
                let response = router.oneshot(asking.request()).await.ok()?;
                let status = response.status().as_u16();
                let bytes = response.into_body().collect().await.ok()?.to_bytes();
                Some(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
            };
            let timed = world.sleep(within);
            let answered = tokio::select! {
                biased;
                answered = handled => answered,
                () = timed => Some(Answer { status: 504, ..Answer::default() }),
            };
            if let Some(answered) = answered {
                drop(answer.send(answered));
            }
        });
        answered.await.ok()
    }
}

fn parts(world: &Arc<World>, side: usize) -> (Arc<dyn WorkspaceStore>, Arc<dyn Queue>, Arc<dyn Compute>) {
    (
        Arc::new(Reached { world: Arc::clone(world), side }),
        Arc::new(Nudges { world: Arc::clone(world), side }),
        Arc::new(Reachable { world: Arc::clone(world), side }),
    )
}

fn gate(world: &Arc<World>, side: usize, email: &str) -> OidcGate {
    OidcGate {
        identity: Arc::clone(&world.keys.verifier) as _,
        clock: world.clock(side),
        audience: AUDIENCE.into(),
        emails: vec![email.into()],
    }
}

fn lifecycle_of(world: &Arc<World>, side: usize) -> Router {
    let (store, queue, compute) = parts(world, side);
    lifecycle::routes(lifecycle::App::new(lifecycle::Parts {
        workspaces: world.setting.workspaces.clone(),
        store,
        queue,
        compute,
        clock: world.clock(side),
        gate: Gate {
            identity: Arc::clone(&world.keys.verifier) as _,
            signin: Arc::new(MemorySigninStore::new(world.clock(side))),
            clock: world.clock(side),
            issuer: ISSUER.into(),
            page_origin: None,
        },
        vms: gate(world, side, VM_EMAIL),
        push: gate(world, side, PUSH_EMAIL),
        key: Arc::clone(&world.keys.ours),
        notifier: Arc::new(Told { world: Arc::clone(world) }),
        webhooks: webhooks(world),
        page: None,
        project: PROJECT.into(),
    }))
}

fn reaper_of(world: &Arc<World>) -> Router {
    let (store, queue, compute) = parts(world, REAPER);
    reaper::routes(reaper::App::new(reaper::Parts {
        workspaces: world.setting.workspaces.clone(),
        store,
        queue,
        compute,
        clock: world.clock(REAPER),
        scheduler: gate(world, REAPER, SCHEDULER_EMAIL),
    }))
}
