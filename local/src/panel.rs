//! `/local`: the pocket cloud's own panel. What runs, and switches to make things go wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use compute_emulator::{ApiFaults, Emulator};
use platform::queue::{MemoryTopic, QueueFaults};
use serde::{Deserialize, Serialize};
use service::{ApiError, Body, Result};

use crate::machines::LocalMachines;
use crate::processes::{FunctionView, Functions};

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
    /// The functions, where they are processes.
    pub(crate) functions: Option<Arc<Functions>>,
    pub(crate) project: String,
    pub(crate) zones: Vec<String>,
    pub(crate) speed: f64,
}

/// The panel's routes.
pub(crate) fn routes(panel: Panel) -> Router {
    Router::new()
        .route("/local", get(show))
        .route("/local/panel.js", get(|| asset("text/javascript", include_str!("../panel/panel.js"))))
        .route("/local/panel.css", get(|| asset("text/css", include_str!("../panel/panel.css"))))
        .route("/local/faults", post(switch))
        .with_state(panel)
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
    vms: Vec<VmView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<Vec<FunctionView>>,
    speed: f64,
    queue: serde_json::Value,
    faults: FaultsView,
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

/// One switch; exactly one of the shapes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Switch {
    Zone(ZoneSwitch),
    Preempt(PreemptSwitch),
    HostError(HostErrorSwitch),
    Queue(QueueSwitch),
    Compute(ComputeSwitch),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneSwitch {
    zone: String,
    stock_out: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreemptSwitch {
    instance: String,
    preempt: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostErrorSwitch {
    instance: String,
    host_error: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueSwitch {
    queue: QueueFaultsBody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueFaultsBody {
    #[serde(default)]
    repeat: Option<u32>,
    #[serde(default)]
    lose: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComputeSwitch {
    compute: ComputeFaultsBody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComputeFaultsBody {
    #[serde(default)]
    delay_ms: Option<u64>,
    #[serde(default)]
    fail: Option<f64>,
    #[serde(default)]
    quota_exceeded: Option<bool>,
}

/// Switches outlive no restart; what is out of bounds is refused.
const REPEAT_MAX: u32 = 1000;
const DELAY_MS_MAX: u64 = 60_000;

async fn switch(
    State(panel): State<Panel>,
    headers: HeaderMap,
    body: Result<Body<serde_json::Value>>,
) -> Result<StatusCode> {
    same_origin(&headers)?;
    let Body(body) = body?;
    let switch: Switch = serde_json::from_value(body).map_err(|_| {
        ApiError::bad_request("invalid_body", "This is none of the switches.").hint(
            "One of {zone, stock_out}, {instance, preempt}, {instance, host_error}, {queue: {repeat, lose}}, {compute: {delay_ms, fail, quota_exceeded}}.",
        )
    })?;
    let refused = |error: compute_emulator::FaultRefused| ApiError::bad_request("refused_fault", error.to_string());
    match switch {
        Switch::Zone(zone) => panel.emulator.set_stock_out(&zone.zone, zone.stock_out).map_err(refused)?,
        Switch::Preempt(one) if one.preempt => panel.emulator.preempt(&one.instance).map_err(refused)?,
        Switch::HostError(one) if one.host_error => panel.emulator.host_error(&one.instance).map_err(refused)?,
        Switch::Preempt(_) | Switch::HostError(_) => {
            return Err(ApiError::bad_request("refused_fault", "What has happened to a machine cannot be taken back."));
        }
        Switch::Queue(QueueSwitch { queue }) => panel.switch_queue(&queue)?,
        Switch::Compute(ComputeSwitch { compute }) => panel.switch_compute(&compute)?,
    }
    Ok(StatusCode::NO_CONTENT)
}

impl Panel {
    fn switch_queue(&self, body: &QueueFaultsBody) -> Result<()> {
        let Some(topics) = &self.topics else {
            return Err(ApiError::bad_request("refused_fault", "Google's Pub/Sub emulator has no such switch."));
        };
        let now = topics.nudges.faults();
        let repeat = body.repeat.unwrap_or(now.repeat);
        let lose = fraction("lose", body.lose.unwrap_or(now.lose))?;
        if repeat > REPEAT_MAX {
            let detail = format!("repeat is {repeat}; expected 0 to {REPEAT_MAX}.");
            return Err(ApiError::bad_request("invalid_body", detail));
        }
        for topic in [&topics.nudges, &topics.events] {
            topic.set_faults(QueueFaults { repeat, lose, ..now });
        }
        Ok(())
    }

    fn switch_compute(&self, body: &ComputeFaultsBody) -> Result<()> {
        let now = self.emulator.api_faults();
        let delay_ms = body.delay_ms.map_or(now.delay, Duration::from_millis);
        if delay_ms > Duration::from_millis(DELAY_MS_MAX) {
            let detail = format!("delay_ms is {}; expected 0 to {DELAY_MS_MAX}.", delay_ms.as_millis());
            return Err(ApiError::bad_request("invalid_body", detail));
        }
        let fail = fraction("fail", body.fail.unwrap_or(now.fail))?;
        let quota_exceeded = body.quota_exceeded.unwrap_or(now.quota_exceeded);
        self.emulator.set_api_faults(ApiFaults { delay: delay_ms, fail, quota_exceeded, ..now });
        Ok(())
    }
}

fn fraction(name: &str, value: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(ApiError::bad_request("invalid_body", format!("{name} is {value}; expected a part of all, 0 to 1.")))
}

/// Other sites' pages must not switch anything here.
fn same_origin(headers: &HeaderMap) -> Result<()> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let same = match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.strip_prefix("http://") == Some(host),
        (Some(_), None) => false,
    };
    if same { Ok(()) } else { Err(ApiError::forbidden("cross_site", "Only the panel's own page may switch.")) }
}
