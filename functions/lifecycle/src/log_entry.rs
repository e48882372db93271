//! An entry of Compute Engine's audit log: which instance it is about, what befell it, and when.
//!
//! Two logs, one shape. `system_event` tells what Google did by itself; `activity` tells of calls, with two entries for
//! each: one when it is taken (`operation.first`) and one when it is over (`operation.last`).

use domain::Timestamp;
use serde::Deserialize;
use wire::Rfc3339;

/// The parts of an entry that are read here. Nothing of it is certain to be there.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LogEntry {
    proto_payload: ProtoPayload,
    resource: Resource,
    operation: Operation,
    severity: String,
    timestamp: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProtoPayload {
    method_name: String,
    resource_name: String,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    labels: ResourceLabels,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResourceLabels {
    instance_id: String,
    project_id: String,
    zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Operation {
    first: bool,
    last: bool,
}

/// Where an instance is, by name. The name may be used again by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) zone: &'a str,
    pub(crate) instance: &'a str,
}

impl LogEntry {
    /// Name and zone, from `projects/P/zones/Z/instances/I`; P may be the project's name or its number.
    pub(crate) fn place(&self) -> Option<Place<'_>> {
        let (_, path) = self.proto_payload.resource_name.split_once("/zones/")?;
        let (zone, instance) = path.split_once("/instances/")?;
        Some(Place { zone, instance })
    }

    /// Compute Engine's own number of the instance, which is never used again.
    pub(crate) fn instance_id(&self) -> Option<u64> {
        self.resource.labels.instance_id.parse().ok()
    }

    /// The zone that the entry is filed under.
    pub(crate) fn zone(&self) -> Option<&str> {
        Some(self.resource.labels.zone.as_str()).filter(|zone| !zone.is_empty())
    }

    /// The entry is filed under another project. By its name: a number cannot be compared.
    pub(crate) fn is_of_another_project(&self, ours: &str) -> bool {
        let project = self.resource.labels.project_id.as_str();
        !project.bytes().all(|byte| byte.is_ascii_digit()) && project != ours
    }

    /// What befell the instance.
    pub(crate) fn tells(&self) -> Tells {
        Tells::of(&self.proto_payload.method_name)
    }

    /// When, by Google's clock.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        let quoted = serde_json::Value::from(self.timestamp.as_str());
        serde_json::from_value(quoted).ok().map(|Rfc3339(at)| at)
    }

    /// One line for the log.
    pub(crate) fn log(&self, workspace: &str, what: &str) {
        let payload = &self.proto_payload;
        tracing::info!(
            workspace,
            resource = payload.resource_name,
            instance_id = self.resource.labels.instance_id,
            method = payload.method_name,
            tells = ?self.tells(),
            begun = self.operation.first,
            over = self.operation.last,
            failed = self.severity == "ERROR",
            status = payload.status.message,
            "{what}"
        );
    }
}

/// What a method says of its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// Google takes the Spot machine back.
    Preempted,
    /// The host under it has broken, or goes into maintenance, and Google has stopped it.
    HostError,
    /// It goes down: by itself, by Google or by somebody's hand.
    Down,
    /// It comes up, in the same three ways.
    Up,
    /// Another instance of this name is there now.
    Replaced,
    /// It goes on, and is changed.
    Changed,
    /// A method that nobody has described yet. A look never harms.
    Unknown,
}

/// What Google does by itself: `compute.instances.…`.
const DOINGS: [(&str, Tells); 12] = [
    ("preempted", Tells::Preempted),
    // The guest has powered off.
    ("guestTerminate", Tells::Down),
    ("hostError", Tells::HostError),
    // A machine with a GPU cannot be moved away from maintenance.
    ("terminateOnHostMaintenance", Tells::HostError),
    // maxRunDuration or terminationTime is over.
    ("deferredStop", Tells::Down),
    ("deferredDelete", Tells::Down),
    ("instanceManagerHaltForRestart", Tells::Down),
    // A disk was seen at two machines, or its key is not to be had.
    ("stoppedDueToPdDoubleServe", Tells::Down),
    ("kmsKeyError", Tells::Down),
    ("automaticRestart", Tells::Up),
    ("repair.recreateInstance", Tells::Replaced),
    ("migrateOnHostMaintenance", Tells::Changed),
];

/// What somebody asks for, in the console or by a client, ours included: `v1.compute.instances.…`, `beta.…`, `alpha.…`.
const CALLS: [(&str, Tells); 8] = [
    ("start", Tells::Up),
    ("resume", Tells::Up),
    ("stop", Tells::Down),
    ("suspend", Tells::Down),
    ("delete", Tells::Down),
    ("insert", Tells::Replaced),
    ("reset", Tells::Changed),
    ("setMetadata", Tells::Changed),
];

impl Tells {
    fn of(method: &str) -> Self {
        let Some((version, name)) = method.split_once("compute.instances.") else { return Self::Unknown };
        let known: &[(&str, Self)] = if version.is_empty() { &DOINGS } else { &CALLS };
        known.iter().find(|(known, _)| *known == name).map_or(Self::Unknown, |(_, tells)| *tells)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(value: serde_json::Value) -> LogEntry {
        serde_json::from_value(value).unwrap()
    }

    fn named(resource: &str) -> LogEntry {
        entry(json!({"protoPayload": {"resourceName": resource}}))
    }

    #[test]
    fn a_method_is_told_by_whose_it_is_and_its_name_whatever_the_version() {
        for (method, tells) in [
            ("compute.instances.preempted", Tells::Preempted),
            ("compute.instances.guestTerminate", Tells::Down),
            ("compute.instances.repair.recreateInstance", Tells::Replaced),
            ("v1.compute.instances.stop", Tells::Down),
            ("beta.compute.instances.stop", Tells::Down),
            ("alpha.compute.instances.insert", Tells::Replaced),
            // A call of that name would not be Google's doing.
            ("v1.compute.instances.preempted", Tells::Unknown),
            ("compute.instances.stop", Tells::Unknown),
            ("v1.compute.instances.setLabels", Tells::Unknown),
            ("v1.compute.disks.insert", Tells::Unknown),
            ("", Tells::Unknown),
        ] {
            assert_eq!(Tells::of(method), tells, "{method}");
        }
    }

    #[test]
    fn a_place_is_read_whether_the_project_has_a_name_or_a_number() {
        let place = Some(Place { zone: "us-central1-a", instance: "comfy-a" });
        assert_eq!(named("projects/p/zones/us-central1-a/instances/comfy-a").place(), place);
        assert_eq!(named("projects/123456789/zones/us-central1-a/instances/comfy-a").place(), place);
        for nowhere in ["", "comfy-a", "projects/p/global/networks/default", "projects/p/zones/us-central1-a/disks/d"] {
            assert_eq!(named(nowhere).place(), None, "{nowhere}");
        }
    }

    #[test]
    fn an_empty_entry_is_one_of_which_nothing_is_known() {
        let empty = entry(json!({}));
        assert_eq!((empty.place(), empty.instance_id(), empty.zone(), empty.at()), (None, None, None, None));
        assert_eq!(empty.tells(), Tells::Unknown);
        assert!(!empty.is_of_another_project("p"));
    }

    #[test]
    fn a_project_is_another_by_its_name_alone() {
        let filed = |project: &str| entry(json!({"resource": {"labels": {"project_id": project}}}));
        assert!(filed("q").is_of_another_project("p"));
        assert!(!filed("p").is_of_another_project("p"));
        assert!(!filed("123456789").is_of_another_project("p"));
    }

    #[test]
    fn a_moment_is_read_to_the_millisecond() {
        let told = entry(json!({"timestamp": "2027-01-15T08:10:00.123456Z"}));
        assert_eq!(told.at(), Some(Timestamp::from_millis(1_800_000_600_123)));
    }
}
