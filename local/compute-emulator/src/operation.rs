//! A zonal operation: PENDING, RUNNING, DONE, and how a failure looks inside a DONE one.

use domain::Timestamp;
use serde_json::{Value, json};

use crate::links::link;
use crate::moments::pacific;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperationStatus {
    Pending,
    Running,
    Done,
}

/// A failure that an operation ends with. `code` is in `UPPER_SNAKE`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OperationError {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) details: Vec<Value>,
    pub(crate) http: (u16, &'static str),
}

/// What happens when an operation ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Succeeds,
    Fails(OperationError),
    AttachesDisk { disk: String, device: String, read_only: bool, force: bool },
    DetachesDisk { device: String },
}

#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) id: u64,
    /// `start`, `setMetadata`, or for the system's own `compute.instances.preempted`.
    pub(crate) kind: &'static str,
    pub(crate) zone: String,
    pub(crate) instance: String,
    pub(crate) instance_id: u64,
    pub(crate) client_operation_id: Option<String>,
    pub(crate) user: String,
    pub(crate) status: OperationStatus,
    pub(crate) inserted: Timestamp,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) outcome: Outcome,
}

impl Operation {
    pub(crate) fn render(&self, project: &str) -> Value {
        let zone = &self.zone;
        let mut operation = json!({
            "kind": "compute#operation",
            "id": self.id.to_string(),
            "name": self.name,
            "zone": link(project, &format!("zones/{zone}")),
            "operationType": self.kind,
            "targetLink": link(project, &format!("zones/{zone}/instances/{}", self.instance)),
            "targetId": self.instance_id.to_string(),
            "status": match self.status {
                OperationStatus::Pending => "PENDING",
                OperationStatus::Running => "RUNNING",
                OperationStatus::Done => "DONE",
            },
            "user": self.user,
            "progress": if self.status == OperationStatus::Done { 100 } else { 0 },
            "insertTime": pacific(self.inserted),
            "selfLink": link(project, &format!("zones/{zone}/operations/{}", self.name)),
        });
        if let Some(id) = &self.client_operation_id {
            operation["clientOperationId"] = json!(id);
        }
        if let Some(started) = self.started {
            operation["startTime"] = json!(pacific(started));
        }
        if let Some(ended) = self.ended {
            operation["endTime"] = json!(pacific(ended));
        }
        if let Some(error) = self.error() {
            let mut entry = json!({"code": error.code, "message": error.message});
            if !error.details.is_empty() {
                entry["errorDetails"] = json!(error.details);
            }
            operation["error"] = json!({"errors": [entry]});
            operation["httpErrorStatusCode"] = json!(error.http.0);
            operation["httpErrorMessage"] = json!(error.http.1);
        }
        operation
    }

    /// The failure, once it is told.
    pub(crate) fn error(&self) -> Option<&OperationError> {
        match &self.outcome {
            Outcome::Fails(error) if self.status == OperationStatus::Done => Some(error),
            _ => None,
        }
    }
}

impl OperationError {
    /// A zone that has none left; `elsewhere` is Google's hint of zones that have.
    pub(crate) fn stock_out(
        project: &str,
        zone: &str,
        machine: &str,
        accelerator: Option<&str>,
        elsewhere: &[String],
    ) -> Self {
        let with = accelerator.map_or(String::new(), |name| format!(" with 1 {name} accelerator(s)"));
        let hint = match elsewhere {
            [] => String::new(),
            zones => format!(
                "Consider trying your request in the {} zone(s), which currently has capacity to accommodate your \
                 request. ",
                zones.join(", ")
            ),
        };
        let told = format!(
            "A {machine} VM instance{with} is currently unavailable in the {zone} zone. {hint}Alternatively, you can \
             try your request again with a different VM hardware configuration or at a later time. For more \
             information, see the troubleshooting documentation."
        );
        let mut metadatas = json!({"vmType": machine, "zone": zone, "zonesAvailable": elsewhere.join(",")});
        if let Some(name) = accelerator {
            metadatas["attachment"] = json!(format!("{name}:1"));
        }
        Self {
            code: "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
            message: format!(
                "The zone 'projects/{project}/zones/{zone}' does not have enough resources available to fulfill the \
                 request.  '(resource type:compute)'."
            ),
            details: vec![
                json!({"help": {"links": [{"description": "Troubleshooting documentation",
                    "url": "https://cloud.google.com/compute/docs/resource-error"}]}}),
                json!({"localizedMessage": {"locale": "en-US", "message": told}}),
                json!({"errorInfo": {"reason": "resource_availability", "domain": "compute.googleapis.com",
                    "metadatas": metadatas}}),
            ],
            http: (503, "SERVICE UNAVAILABLE"),
        }
    }

    /// A project that may have no (more) GPUs.
    pub(crate) fn quota_exceeded() -> Self {
        Self {
            code: "QUOTA_EXCEEDED",
            message: "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.".into(),
            details: vec![json!({"quotaInfo": {"metricName": "compute.googleapis.com/gpus_all_regions",
                "limitName": "GPUS-ALL-REGIONS-per-project", "dimensions": {"global": "global"}, "limit": 0.0}})],
            http: (403, "FORBIDDEN"),
        }
    }

    pub(crate) fn disk_in_use(disk: &str, user: &str) -> Self {
        Self {
            code: "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
            message: format!("The disk resource '{disk}' is already being used by '{user}'"),
            details: Vec::new(),
            http: (400, "BAD REQUEST"),
        }
    }

    pub(crate) fn device_not_found(device: &str) -> Self {
        Self {
            code: "INVALID_USAGE",
            message: format!("No attached disk found with device name '{device}'"),
            details: Vec::new(),
            http: (400, "BAD REQUEST"),
        }
    }
}
