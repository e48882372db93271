//! The log entries that Compute Engine's audit log would hold, for whoever stands in for the log sink.

use domain::Timestamp;
use serde_json::{Value, json};

use crate::links::path;
use crate::moments::utc;
use crate::operation::Operation;

/// Google's own name in the system's entries.
const SYSTEM_PRINCIPAL: &str = "system@google.com";

/// Which of a call's two entries it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    First,
    Last,
}

/// Something Compute Engine did by itself: `compute.instances.preempted` and its like.
pub(crate) fn system_event(project: &str, operation: &Operation, status: Option<&str>, at: Timestamp) -> Value {
    let mut entry = entry(project, operation, at, "system_event", "INFO", operation.kind);
    entry["protoPayload"]["authenticationInfo"] = json!({"principalEmail": SYSTEM_PRINCIPAL});
    entry["operation"]["first"] = json!(true);
    entry["operation"]["last"] = json!(true);
    if let Some(message) = status {
        entry["protoPayload"]["status"] = json!({"message": message});
    }
    entry
}

/// Somebody's call: `v1.compute.instances.start` and its like.
pub(crate) fn activity(project: &str, operation: &Operation, part: Part, at: Timestamp) -> Value {
    let method = format!("v1.compute.instances.{}", operation.kind);
    let error = operation.error().filter(|_| part == Part::Last);
    let severity = if error.is_some() { "ERROR" } else { "NOTICE" };
    let mut entry = entry(project, operation, at, "activity", severity, &method);
    entry["protoPayload"]["authenticationInfo"] = json!({"principalEmail": operation.user});
    entry["protoPayload"]["request"] = json!({"@type": format!("type.googleapis.com/{}", method_type(operation.kind))});
    match part {
        Part::First => {
            entry["protoPayload"]["response"] = operation.render(project);
            entry["operation"]["first"] = json!(true);
        }
        Part::Last => entry["operation"]["last"] = json!(true),
    }
    if let Some(error) = error {
        entry["protoPayload"]["status"] = json!({"code": 8, "message": format!("{}: {}", error.code, error.message)});
    }
    entry
}

fn method_type(kind: &str) -> String {
    format!("compute.instances.{kind}")
}

fn entry(project: &str, operation: &Operation, at: Timestamp, log: &str, severity: &str, method: &str) -> Value {
    let resource = path(project, &format!("zones/{}/instances/{}", operation.zone, operation.instance));
    json!({
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": "compute.googleapis.com",
            "methodName": method,
            "resourceName": resource,
        },
        "resource": {
            "type": "gce_instance",
            "labels": {
                "instance_id": operation.instance_id.to_string(),
                "project_id": project,
                "zone": operation.zone,
            },
        },
        "timestamp": utc(at),
        "receiveTimestamp": utc(at),
        "insertId": format!("{:x}-{log}-{}", operation.id, at.millis()),
        "severity": severity,
        "logName": format!("projects/{project}/logs/cloudaudit.googleapis.com%2F{log}"),
        "operation": {"id": operation.name, "producer": if log == "activity" { "compute.googleapis.com" } else { method }},
    })
}
