//! `/local`: the pocket cloud's own panel, and what runs. Its switches are in `switches`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use compute_emulator::{Emulator, Timings};
use platform::queue::MemoryTopic;
use serde::Serialize;

use crate::inbox::{self, Arrived, Inbox};
use crate::machines::LocalMachines;
use crate::processes::{FunctionView, Functions};
use crate::switches;

/// The topics in memory, where those are used.
#[derive(Clone)]
pub(crate) struct Topics {
    pub(crate) nudges: MemoryTopic,
    pub(crate) events: MemoryTopic,
}

/// What the panel shows and switches.
#[derive(Clone)]
pub(crate) struct Panel {
    pub(crate) emulator: Arc<Emulator>,
    pub(crate) machines: Arc<LocalMachines>,
    pub(crate) topics: Option<Topics>,
    pub(crate) inbox: Arc<Inbox>,
    /// The functions, where they are processes.
    pub(crate) functions: Option<Arc<Functions>>,
    pub(crate) project: String,
    pub(crate) zones: Vec<String>,
    pub(crate) speed: f64,
}

/// The panel's routes.
pub(crate) fn routes(panel: Panel) -> Router {
    let inbox = inbox::routes(Arc::clone(&panel.inbox));
    Router::new()
        .route("/local", get(show))
        .route("/local/panel.js", get(|| asset("text/javascript", include_str!("../panel/panel.js"))))
        .route("/local/panel.css", get(|| asset("text/css", include_str!("../panel/panel.css"))))
        .route("/local/faults", post(switches::switch))
        .with_state(panel)
        .merge(inbox)
}

async fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text)
}

/// What runs.
#[derive(Serialize)]
struct PanelView {
    compute: String,
    metadata: String,
    project: String,
    zones: Vec<String>,
    dry_zones: Vec<String>,
    late_zones: Vec<String>,
    gone_zones: Vec<String>,
    zone_faults: Vec<ZoneView>,
    vms: Vec<VmView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<Vec<FunctionView>>,
    speed: f64,
    queue: serde_json::Value,
    faults: FaultsView,
    /// The last that arrived, oldest first.
    notices: Vec<Arrived>,
}

/// What a call about a zone meets.
#[derive(Serialize)]
struct ZoneView {
    zone: String,
    stock_out: bool,
    /// A stock-out is told so long after the start.
    after_seconds: u64,
    /// Absent where an instance that was told of as dry stays down.
    late_success_seconds: Option<u64>,
    gone: bool,
}

#[derive(Serialize)]
struct VmView {
    instance: String,
    zone: String,
    status: &'static str,
    spot: bool,
    disks: Vec<String>,
    /// Where its gateway listens, while it runs.
    gateway: Option<String>,
    pid: Option<u32>,
}

#[derive(Serialize)]
struct FaultsView {
    repeat: u32,
    lose: f64,
    delay_ms: u128,
    fail: f64,
    quota_exceeded: bool,
}

async fn show(State(panel): State<Panel>, headers: HeaderMap) -> Response {
    let json = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if json.is_some_and(|accept| accept.contains("application/json")) {
        return Json(panel.view()).into_response();
    }
    let mut page = Html(include_str!("../panel/panel.html")).into_response();
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'";
    page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    page
}

impl Panel {
    fn zone_view(&self, zone: &str) -> ZoneView {
        let faults = self.emulator.zone_faults(zone);
        let usual = Timings::default().stockout_told_after;
        ZoneView {
            zone: zone.to_owned(),
            stock_out: faults.stock_out,
            after_seconds: faults.told_after.unwrap_or(usual).as_secs(),
            late_success_seconds: faults.late_success.map(|late| late.as_secs()),
            gone: faults.gone,
        }
    }

    fn view(&self) -> PanelView {
        let vm = |instance: compute_emulator::InstanceSnapshot| {
            let pid = self.machines.gateway_pid(&instance.instance);
            VmView {
                gateway: pid.and_then(|_| self.machines.origin(&instance.instance)),
                pid,
                instance: instance.instance,
                zone: instance.zone,
                status: instance.status,
                spot: instance.spot,
                disks: instance.disks,
            }
        };
        let queue = self.topics.as_ref().map(|topics| topics.nudges.faults()).unwrap_or_default();
        let counts = self.topics.as_ref().map(|topics| topics.nudges.snapshot());
        let api = self.emulator.api_faults();
        PanelView {
            compute: self.emulator.compute_base(),
            metadata: self.emulator.metadata_base(),
            project: self.project.clone(),
            zones: self.zones.clone(),
            dry_zones: self.emulator.dry_zones(),
            late_zones: self.emulator.late_zones(),
            gone_zones: self.emulator.gone_zones(),
            zone_faults: self.zones.iter().map(|zone| self.zone_view(zone)).collect(),
            notices: self.inbox.arrived(),
            vms: self.emulator.snapshot().into_iter().map(vm).collect(),
            speed: self.speed,
            functions: self.functions.as_ref().map(|functions| functions.views()),
            queue: counts.and_then(|counts| serde_json::to_value(counts).ok()).unwrap_or_else(|| serde_json::json!({})),
            faults: FaultsView {
                repeat: queue.repeat,
                lose: queue.lose,
                delay_ms: api.delay.as_millis(),
                fail: api.fail,
                quota_exceeded: api.quota_exceeded,
            },
        }
    }
}
