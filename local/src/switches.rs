//! `POST /local/faults`: the switches of the panel, which make things go wrong.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use compute_emulator::{ApiFaults, FaultRefused};
use platform::queue::QueueFaults;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use service::{ApiError, Body, Result};

use crate::panel::Panel;

/// Switches outlive no restart; what is out of bounds is refused.
const REPEAT_MAX: u32 = 1000;
const DELAY_MS_MAX: u64 = 60_000;
/// A day: what takes longer is not seen by anybody who plays.
const ZONE_SECONDS_MAX: u64 = 86_400;

/// Each switch by the key that says what it is about.
const SHAPES: [(&str, &str); 4] = [
    ("zone", "{zone, stock_out, after_seconds?}, {zone, late_success_seconds} (0: no longer) or {zone, gone}"),
    ("instance", "{instance, preempt: true} or {instance, host_error: true}"),
    ("queue", "{queue: {repeat, lose}}"),
    ("compute", "{compute: {delay_ms, fail, quota_exceeded}}"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ZoneSwitch {
    zone: String,
    stock_out: Option<bool>,
    /// A stock-out is told so long after the start.
    after_seconds: Option<u64>,
    /// A start is told as a stock-out, and its instance is up so long after that was told. 0: no longer.
    late_success_seconds: Option<u64>,
    gone: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceSwitch {
    instance: String,
    preempt: Option<bool>,
    host_error: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueSwitch {
    queue: QueueFaultsBody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueFaultsBody {
    repeat: Option<u32>,
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
    delay_ms: Option<u64>,
    fail: Option<f64>,
    quota_exceeded: Option<bool>,
}

/// Turns one switch.
pub(crate) async fn switch(
    State(panel): State<Panel>,
    headers: HeaderMap,
    body: Result<Body<serde_json::Value>>,
) -> Result<StatusCode> {
    same_origin(&headers)?;
    let Body(body) = body?;
    let about = SHAPES.iter().find(|(key, _)| body.get(key).is_some());
    match about {
        Some((key @ "zone", shape)) => panel.switch_zone(&parse(key, shape, body)?)?,
        Some((key @ "instance", shape)) => panel.switch_instance(&parse(key, shape, body)?)?,
        Some((key @ "queue", shape)) => panel.switch_queue(&parse::<QueueSwitch>(key, shape, body)?.queue)?,
        Some((key, shape)) => panel.switch_compute(&parse::<ComputeSwitch>(key, shape, body)?.compute)?,
        None => {
            let shapes: Vec<&str> = SHAPES.iter().map(|(_, shape)| *shape).collect();
            let hint = format!("One of {}.", shapes.join(", "));
            return Err(ApiError::bad_request("invalid_body", "This is none of the switches.").hint(hint));
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

fn parse<T: DeserializeOwned>(key: &str, shape: &str, body: serde_json::Value) -> Result<T> {
    serde_json::from_value(body).map_err(|error| {
        let detail = format!("This is no switch of {key}: {error}.");
        ApiError::bad_request("invalid_body", detail).hint(format!("Send {shape}."))
    })
}

impl Panel {
    fn switch_zone(&self, body: &ZoneSwitch) -> Result<()> {
        let ZoneSwitch { zone, stock_out, after_seconds, late_success_seconds, gone } = body;
        if stock_out.is_none() && late_success_seconds.is_none() && gone.is_none() {
            let detail = format!("Nothing is said of {zone}; expected stock_out, late_success_seconds or gone.");
            return Err(ApiError::bad_request("invalid_body", detail));
        }
        if after_seconds.is_some() && *stock_out != Some(true) {
            let detail = "after_seconds says when a stock-out is told; expected it beside \"stock_out\": true.";
            return Err(ApiError::bad_request("invalid_body", detail));
        }
        let told_after = seconds("after_seconds", *after_seconds)?;
        let late = seconds("late_success_seconds", *late_success_seconds)?;
        let change = |faults: &mut compute_emulator::ZoneFaults| {
            if let Some(dry) = stock_out {
                (faults.stock_out, faults.told_after) = (*dry, told_after);
            }
            if let Some(late) = late {
                faults.late_success = Some(late).filter(|late| !late.is_zero());
            }
            faults.gone = gone.unwrap_or(faults.gone);
        };
        self.emulator.change_zone(zone, change).map_err(refused)
    }

    fn switch_instance(&self, body: &InstanceSwitch) -> Result<()> {
        let InstanceSwitch { instance, preempt, host_error } = body;
        match (preempt, host_error) {
            (Some(true), None) => self.emulator.preempt(instance).map_err(refused),
            (None, Some(true)) => self.emulator.host_error(instance).map_err(refused),
            (Some(false), None) | (None, Some(false)) => {
                Err(ApiError::bad_request("refused_fault", "What has happened to a machine cannot be taken back."))
            }
            _ => {
                let detail = format!("Expected either preempt or host_error of {instance}.");
                Err(ApiError::bad_request("invalid_body", detail))
            }
        }
    }

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

fn refused(error: FaultRefused) -> ApiError {
    ApiError::bad_request("refused_fault", error.to_string())
}

fn seconds(name: &str, value: Option<u64>) -> Result<Option<Duration>> {
    match value {
        Some(value) if value > ZONE_SECONDS_MAX => {
            let detail = format!("{name} is {value}; expected 0 to {ZONE_SECONDS_MAX}.");
            Err(ApiError::bad_request("invalid_body", detail))
        }
        value => Ok(value.map(Duration::from_secs)),
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
