//! A regional disk: one copy in each of two zones, attached to at most one instance for writing.

use std::collections::BTreeMap;

use domain::Timestamp;
use serde_json::{Value, json};

use crate::config::RegionalDiskSpec;
use crate::links::link;
use crate::moments::pacific;

#[derive(Debug, Clone)]
pub(crate) struct RegionalDisk {
    pub(crate) spec: RegionalDiskSpec,
    pub(crate) id: u64,
    pub(crate) created: Timestamp,
    pub(crate) attached: Option<Timestamp>,
    pub(crate) detached: Option<Timestamp>,
    pub(crate) label_fingerprint: String,
    /// Instances that have it, by name, with whether only for reading.
    pub(crate) users: BTreeMap<String, bool>,
}

impl RegionalDisk {
    /// `regions/R/disks/D`
    pub(crate) fn rest(&self) -> String {
        format!("regions/{}/disks/{}", self.spec.region, self.spec.name)
    }

    /// `zone_of` finds the zone of an instance.
    pub(crate) fn render(&self, project: &str, zone_of: impl Fn(&str) -> String) -> Value {
        let region = &self.spec.region;
        let mut disk = json!({
            "kind": "compute#disk",
            "id": self.id.to_string(),
            "name": self.spec.name,
            "creationTimestamp": pacific(self.created),
            "region": link(project, &format!("regions/{region}")),
            "replicaZones": self.spec.zones.iter().map(|z| link(project, &format!("zones/{z}"))).collect::<Vec<_>>(),
            "sizeGb": self.spec.size_gb.to_string(),
            "status": "READY",
            "type": link(project, &format!("regions/{region}/diskTypes/pd-balanced")),
            "physicalBlockSizeBytes": "4096",
            "labelFingerprint": self.label_fingerprint,
            "selfLink": link(project, &self.rest()),
        });
        if !self.users.is_empty() {
            let user = |name: &String| link(project, &format!("zones/{}/instances/{name}", zone_of(name)));
            disk["users"] = json!(self.users.keys().map(user).collect::<Vec<_>>());
        }
        if let Some(at) = self.attached {
            disk["lastAttachTimestamp"] = json!(pacific(at));
        }
        if let Some(at) = self.detached {
            disk["lastDetachTimestamp"] = json!(pacific(at));
        }
        disk
    }
}
