//! Writes down which calls of Compute Engine's API each method of `Compute` makes, as they go over the wire.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use domain::{InstanceSeen, UpInstance, Workspace};
use platform::compute::google::GoogleCompute;
use platform::compute::{CallError, CallRequest, Compute, OperationState};
use platform::contract::permissions::Names;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use uuid::Uuid;

/// Largest body that is passed on.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What was called, by method; shared by all that is recorded.
pub(crate) type Record = Arc<Mutex<Names>>;

/// Stands between the client and Compute Engine, and notes what is asked for.
pub(crate) struct Wire {
    seen: Seen,
    url: String,
    server: AbortHandle,
}

/// The calls since it was last asked.
type Seen = Arc<Mutex<BTreeSet<String>>>;

impl Wire {
    pub(crate) async fn to(target: String) -> Self {
        let seen = Seen::default();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let passing = (Arc::clone(&seen), target, reqwest::Client::new());
        let router = Router::new().fallback(pass).with_state(passing);
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Self { seen, url, server: server.abort_handle() }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(State((seen, target, client)): State<(Seen, String, reqwest::Client)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    seen.lock().unwrap_or_else(PoisonError::into_inner).insert(name_of(parts.method.as_str(), &parts.uri));
    let body = to_bytes(body, BODY_BYTES_MAX).await.expect("a body");
    let sent = client.request(parts.method, format!("{target}{}", parts.uri)).headers(parts.headers).body(body);
    let answer = sent.send().await.expect("an answer of the emulator");
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.bytes().await.expect("a body"))).expect("an answer")
}

/// The call's name in Google's documentation, by its method and path; both as they are, where they are not known here.
fn name_of(method: &str, uri: &Uri) -> String {
    let path: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    match (method, path.as_slice()) {
        ("GET", ["compute", "v1", "projects", _, "aggregated", what]) => format!("compute.{what}.aggregatedList"),
        ("GET", ["compute", "v1", "projects", _, "zones", _, "instances", _]) => "compute.instances.get".to_owned(),
        ("POST", ["compute", "v1", "projects", _, "zones", _, "instances", _, verb]) => {
            format!("compute.instances.{verb}")
        }
        ("GET", ["compute", "v1", "projects", _, "zones", _, "operations", _]) => {
            "compute.zoneOperations.get".to_owned()
        }
        _ => format!("{method} {}", uri.path()),
    }
}

/// The client that runs in production, and what it sends.
#[derive(Debug)]
pub(crate) struct Recorded {
    inner: GoogleCompute,
    wire: Wire,
    record: Record,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Recorded {
    pub(crate) fn new(inner: GoogleCompute, wire: Wire, record: Record) -> Self {
        Self { inner, wire, record }
    }

    /// What was sent since the last method belongs to this one.
    fn note<T>(&self, method: &str, answer: T) -> T {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.entry(format!("Compute::{method}")).or_default().extend(self.wire.take());
        answer
    }
}

#[async_trait]
impl Compute for Recorded {
    async fn see(&self, workspace: &Workspace) -> anyhow::Result<Vec<InstanceSeen>> {
        let answer = self.inner.see(workspace).await;
        self.note("see", answer)
    }

    async fn list_up(&self) -> anyhow::Result<Vec<UpInstance>> {
        let answer = self.inner.list_up().await;
        self.note("list_up", answer)
    }

    async fn call(&self, request: CallRequest<'_>) -> Result<String, CallError> {
        let answer = self.inner.call(request).await;
        self.note("call", answer)
    }

    async fn operation(&self, zone: &str, operation: &str) -> anyhow::Result<OperationState> {
        let answer = self.inner.operation(zone, operation).await;
        self.note("operation", answer)
    }

    async fn stop_unknown(&self, instance: &UpInstance, request_id: Uuid) -> Result<String, CallError> {
        let answer = self.inner.stop_unknown(instance, request_id).await;
        self.note("stop_unknown", answer)
    }
}
