//! `instances`: wire to [`Cloud`] and back.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query as QueryOf, State};
use serde_json::{Value, json};

use super::{Answer, App, aggregated, caller, check_project, list as list_of, parse, scopes};
use crate::cloud::{AttachRequest, Caller, Cloud, SchedulingChange};
use crate::error::CallError;
use crate::links::{link, path};
use crate::operation::Operation;
use crate::page::{Query, page_of};

type InstancePath = Path<(String, String, String)>;

pub(super) async fn get(State(shared): App, Path((project, zone, name)): InstancePath) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        Ok(Json(cloud.instance_in(&zone, &name)?.render(&project)))
    })
}

pub(super) async fn list(
    State(shared): App,
    Path((project, zone)): Path<(String, String)>,
    QueryOf(query): QueryOf<Query>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        cloud.check_zone(&zone)?;
        let mut instances = all(cloud, &project);
        instances.retain(|(scope, _)| *scope == format!("zones/{zone}"));
        let page = page_of(instances, &query)?;
        Ok(Json(list_of("compute#instanceList", &path(&project, &format!("zones/{zone}/instances")), page)))
    })
}

pub(super) async fn aggregated_list(
    State(shared): App,
    Path(project): Path<String>,
    QueryOf(query): QueryOf<Query>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        let page = page_of(all(cloud, &project), &query)?;
        let id = path(&project, "aggregated/instances");
        let scopes = scopes(cloud, &query);
        Ok(Json(aggregated("compute#instanceAggregatedList", &id, "instances", scopes, page)))
    })
}

fn all(cloud: &Cloud, project: &str) -> Vec<(String, Value)> {
    let reached = cloud.instances().filter(|instance| !cloud.is_gone(&instance.spec.zone));
    reached.map(|instance| (format!("zones/{}", instance.spec.zone), instance.render(project))).collect()
}

/// Instances are declared; the only thing an insert can find out here is that a name is taken.
pub(super) async fn insert(State(shared): App, Path((project, zone)): Path<(String, String)>, body: Bytes) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        let body = parse(&body)?;
        let name = body["name"].as_str().unwrap_or_default();
        match cloud.instance_in(&zone, name) {
            Ok(instance) => {
                let taken = path(&project, &instance.rest());
                Err(CallError::already_exists(format!("The resource '{taken}' already exists")))
            }
            Err(_) => Err(CallError::invalid("The emulator's instances are declared when it starts, not inserted.")),
        }
    })
}

/// What every verb on an instance does around its own deed.
fn verb(
    State(shared): App,
    Path((project, zone, name)): InstancePath,
    query: &Query,
    act: impl FnOnce(&mut Cloud, (&str, &str), &Caller, domain::Timestamp) -> Result<Operation, CallError>,
) -> Answer {
    shared.with(|cloud, now| {
        check_project(cloud, &project)?;
        let operation = act(cloud, (&zone, &name), &caller(query), now)?;
        Ok(Json(operation.render(&cloud.config.project)))
    })
}

pub(super) async fn start(app: App, path: InstancePath, QueryOf(query): QueryOf<Query>) -> Answer {
    verb(app, path, &query, |cloud, (zone, name), caller, now| cloud.start(zone, name, caller, now))
}

pub(super) async fn stop(app: App, path: InstancePath, QueryOf(query): QueryOf<Query>) -> Answer {
    verb(app, path, &query, |cloud, (zone, name), caller, now| cloud.stop(zone, name, caller, now))
}

pub(super) async fn reset(app: App, path: InstancePath, QueryOf(query): QueryOf<Query>) -> Answer {
    verb(app, path, &query, |cloud, (zone, name), caller, now| cloud.reset(zone, name, caller, now))
}

pub(super) async fn set_metadata(app: App, path: InstancePath, QueryOf(query): QueryOf<Query>, body: Bytes) -> Answer {
    let body = parse(&body)?;
    let mut items = Vec::new();
    for item in body["items"].as_array().into_iter().flatten() {
        let key = item["key"].as_str().unwrap_or_default();
        items.push((key.to_owned(), item["value"].as_str().unwrap_or_default().to_owned()));
    }
    let fingerprint = body["fingerprint"].as_str();
    verb(app, path, &query, |cloud, at, caller, now| cloud.set_metadata(at, fingerprint, items, caller, now))
}

pub(super) async fn set_labels(app: App, path: InstancePath, QueryOf(query): QueryOf<Query>, body: Bytes) -> Answer {
    let body = parse(&body)?;
    let mut labels = BTreeMap::new();
    for (key, value) in body["labels"].as_object().into_iter().flatten() {
        labels.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
    }
    let fingerprint = body["labelFingerprint"].as_str();
    verb(app, path, &query, |cloud, at, caller, now| cloud.set_labels(at, fingerprint, labels, caller, now))
}

pub(super) async fn set_scheduling(
    app: App,
    path: InstancePath,
    QueryOf(query): QueryOf<Query>,
    body: Bytes,
) -> Answer {
    let body = parse(&body)?;
    let max_run_duration = match body.get("maxRunDuration").filter(|given| !given.is_null()) {
        None => None,
        Some(given) => Some(Duration::from_secs(whole_number(&given["seconds"]).ok_or_else(|| {
            CallError::invalid_field("scheduling.maxRunDuration", &given.to_string(), "Not a duration.")
        })?)),
    };
    if body["instanceTerminationAction"].as_str().is_some_and(|action| action != "STOP") {
        return Err(CallError::invalid("The emulator stops instances; it never deletes one."));
    }
    let change = SchedulingChange {
        spot: body["provisioningModel"] == "SPOT" || body["preemptible"] == true,
        automatic_restart: body["automaticRestart"].as_bool(),
        max_run_duration,
    };
    verb(app, path, &query, |cloud, at, caller, now| cloud.set_scheduling(at, change, caller, now))
}

/// int64 is text on Google's wire, but a number is understood.
fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

pub(super) async fn attach_disk(app: App, path: InstancePath, QueryOf(query): QueryOf<Query>, body: Bytes) -> Answer {
    let body = parse(&body)?;
    let read_only = match body["mode"].as_str() {
        None | Some("READ_WRITE") => false,
        Some("READ_ONLY") => true,
        Some(other) => return Err(CallError::invalid_field("resource.mode", other, "Unknown mode.")),
    };
    let forced = |given: Option<&str>| given.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let request = AttachRequest {
        source: body["source"].as_str().unwrap_or_default().to_owned(),
        device: body["deviceName"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
        read_only,
        force: forced(query.get("forceAttach").map(String::as_str)) || body["forceAttach"] == true,
    };
    verb(app, path, &query, |cloud, at, caller, now| cloud.attach_disk(at, request, caller, now))
}

pub(super) async fn detach_disk(app: App, path: InstancePath, QueryOf(query): QueryOf<Query>) -> Answer {
    let device = query.get("deviceName").cloned().unwrap_or_default();
    verb(app, path, &query, |cloud, at, caller, now| cloud.detach_disk(at, &device, caller, now))
}

pub(super) async fn get_guest_attributes(
    State(shared): App,
    Path((project, zone, name)): InstancePath,
    QueryOf(query): QueryOf<Query>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        let instance = cloud.instance_in(&zone, &name)?;
        let base = format!("{}/guestAttributes", instance.rest());
        let missing = |what: &str| CallError::not_found(&path(&project, &format!("{base}/{what}")));
        let mut answer = json!({"kind": "compute#guestAttributes"});
        if let Some(variable) = query.get("variableKey") {
            let (namespace, key) = variable.split_once('/').ok_or_else(|| missing(variable))?;
            let name = (namespace.to_owned(), key.to_owned());
            let value = instance.guest_attributes.get(&name).ok_or_else(|| missing(variable))?;
            answer["variableKey"] = json!(variable);
            answer["variableValue"] = json!(value);
            answer["selfLink"] = json!(link(&project, &format!("{base}/{variable}")));
            return Ok(Json(answer));
        }
        let asked = query.get("queryPath").map_or("", String::as_str);
        let within = |namespace: &str, key: &str| {
            let asked = asked.trim_end_matches('/');
            asked.is_empty() || asked == namespace || asked == format!("{namespace}/{key}")
        };
        let found: Vec<Value> = instance
            .guest_attributes
            .iter()
            .filter(|((namespace, key), _)| within(namespace, key))
            .map(|((namespace, key), value)| json!({"namespace": namespace, "key": key, "value": value}))
            .collect();
        if found.is_empty() {
            return Err(missing(asked));
        }
        answer["queryPath"] = json!(asked);
        answer["queryValue"] = json!({"items": found});
        answer["selfLink"] = json!(link(&project, &format!("{base}/{asked}")));
        Ok(Json(answer))
    })
}
