//! One instance: what is known of it, and how Compute Engine shows it.
//!
//! ```text
//! TERMINATED ─start─► PROVISIONING ─► STAGING ─► RUNNING ─stop, poweroff, preemption, …─► STOPPING ─► TERMINATED
//!                          └─ the zone is dry ─► STOPPING ─► TERMINATED
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Timestamp;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::config::InstanceSpec;
use crate::links::{link, region_of};
use crate::moments::pacific;

/// The device name of every instance's boot disk, which is never detached here.
pub(crate) const BOOT_DEVICE: &str = "boot";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Provisioning,
    Staging,
    Running,
    Stopping,
    Terminated,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Staging => "STAGING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Terminated => "TERMINATED",
        }
    }

    /// A guest is there: booting, running, or shutting down.
    pub(crate) fn has_guest(self) -> bool {
        matches!(self, Self::Running | Self::Stopping)
    }
}

/// A regional disk as an instance has it. (The boot disk is always there and not among these.)
#[derive(Debug, Clone)]
pub(crate) struct AttachedDisk {
    pub(crate) disk: String,
    /// `regions/R/disks/D`
    pub(crate) rest: String,
    pub(crate) device: String,
    pub(crate) size_gb: u64,
    pub(crate) read_only: bool,
}

/// What `setScheduling` changes.
#[derive(Debug, Clone)]
pub(crate) struct Scheduling {
    pub(crate) spot: bool,
    pub(crate) automatic_restart: bool,
    pub(crate) max_run_duration: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) spec: InstanceSpec,
    pub(crate) id: u64,
    pub(crate) status: Status,
    /// Shown instead of the status, to see whether a client survives a word it does not know.
    pub(crate) shown_status: Option<String>,
    /// Counts intents (start, stop, …): a change that was due under an older one no longer happens.
    pub(crate) epoch: u64,
    /// Counts entries into RUNNING and resets.
    pub(crate) boot: u64,
    pub(crate) created: Timestamp,
    pub(crate) last_start: Option<Timestamp>,
    pub(crate) last_stop: Option<Timestamp>,
    pub(crate) ends: Option<Timestamp>,
    pub(crate) preempted: bool,
    /// It fell with its host and is to be started again, unless somebody stops it first.
    pub(crate) restart_due: bool,
    pub(crate) fingerprint: String,
    pub(crate) label_fingerprint: String,
    pub(crate) metadata_fingerprint: String,
    pub(crate) tags_fingerprint: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) scheduling: Scheduling,
    pub(crate) disks: Vec<AttachedDisk>,
    /// By namespace and key; lost at every stop.
    pub(crate) guest_attributes: BTreeMap<(String, String), String>,
}

impl Instance {
    pub(crate) fn declared(spec: InstanceSpec, id: u64, now: Timestamp, chance: &mut Chance) -> Self {
        Self {
            id,
            status: Status::Terminated,
            shown_status: None,
            epoch: 0,
            boot: 0,
            created: now,
            last_start: None,
            last_stop: None,
            ends: None,
            preempted: false,
            restart_due: false,
            fingerprint: chance.fingerprint(),
            label_fingerprint: chance.fingerprint(),
            metadata_fingerprint: chance.fingerprint(),
            tags_fingerprint: chance.fingerprint(),
            labels: spec.labels.clone(),
            metadata: spec.metadata.clone().into_iter().collect(),
            scheduling: Scheduling {
                spot: spec.spot,
                automatic_restart: spec.automatic_restart && !spec.spot,
                max_run_duration: spec.max_run_duration,
            },
            disks: Vec::new(),
            guest_attributes: BTreeMap::new(),
            spec,
        }
    }

    /// `zones/Z/instances/I`
    pub(crate) fn rest(&self) -> String {
        format!("zones/{}/instances/{}", self.spec.zone, self.spec.name)
    }

    pub(crate) fn metadata_value(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn render(&self, project: &str) -> Value {
        let zone = &self.spec.zone;
        let zone_link = link(project, &format!("zones/{zone}"));
        let up = self.status == Status::Running;
        let mut instance = json!({
            "kind": "compute#instance",
            "id": self.id.to_string(),
            "name": self.spec.name,
            "zone": zone_link,
            "machineType": format!("{zone_link}/machineTypes/{}", self.spec.machine_type),
            "status": self.shown_status.as_deref().unwrap_or(self.status.name()),
            "creationTimestamp": pacific(self.created),
            "cpuPlatform": if up { "Intel Cascade Lake" } else { "Unknown CPU Platform" },
            "fingerprint": self.fingerprint,
            "labelFingerprint": self.label_fingerprint,
            "metadata": self.render_metadata(),
            "tags": {"fingerprint": self.tags_fingerprint},
            "scheduling": self.render_scheduling(),
            "serviceAccounts": [{"email": self.spec.service_account,
                "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}],
            "networkInterfaces": [self.render_network(project)],
            "disks": self.render_disks(project),
            "canIpForward": false,
            "startRestricted": false,
            "deletionProtection": false,
            "shieldedInstanceConfig": {"enableSecureBoot": false, "enableVtpm": true, "enableIntegrityMonitoring": true},
            "resourceStatus": {"scheduling": {}},
            "satisfiesPzi": true,
            "selfLink": link(project, &self.rest()),
        });
        if !self.labels.is_empty() {
            instance["labels"] = json!(self.labels);
        }
        if let Some(name) = &self.spec.accelerator {
            let kind = format!("{zone_link}/acceleratorTypes/{name}");
            instance["guestAccelerators"] = json!([{"acceleratorType": kind, "acceleratorCount": 1}]);
        }
        if let Some(at) = self.last_start {
            instance["lastStartTimestamp"] = json!(pacific(at));
        }
        if let Some(at) = self.last_stop {
            instance["lastStopTimestamp"] = json!(pacific(at));
        }
        if let Some(at) = self.ends {
            instance["resourceStatus"]["scheduling"]["terminationTimestamp"] = json!(pacific(at));
        }
        instance
    }

    fn render_metadata(&self) -> Value {
        let mut metadata = json!({"kind": "compute#metadata", "fingerprint": self.metadata_fingerprint});
        if !self.metadata.is_empty() {
            let item = |(key, value): &(String, String)| json!({"key": key, "value": value});
            metadata["items"] = json!(self.metadata.iter().map(item).collect::<Vec<_>>());
        }
        metadata
    }

    fn render_scheduling(&self) -> Value {
        let Scheduling { spot, automatic_restart, max_run_duration } = &self.scheduling;
        let mut scheduling = json!({
            "onHostMaintenance": if *spot || self.spec.accelerator.is_some() { "TERMINATE" } else { "MIGRATE" },
            "automaticRestart": automatic_restart,
            "preemptible": spot,
            "provisioningModel": if *spot { "SPOT" } else { "STANDARD" },
        });
        if *spot || max_run_duration.is_some() {
            scheduling["instanceTerminationAction"] = json!("STOP");
        }
        if let Some(length) = max_run_duration {
            scheduling["maxRunDuration"] = json!({"seconds": length.as_secs().to_string()});
        }
        scheduling
    }

    fn render_network(&self, project: &str) -> Value {
        let region = region_of(&self.spec.zone);
        let mut access = json!({"kind": "compute#accessConfig", "type": "ONE_TO_ONE_NAT", "name": "External NAT",
            "networkTier": "PREMIUM"});
        if self.status.has_guest() {
            access["natIP"] = json!(self.spec.address);
        }
        json!({
            "kind": "compute#networkInterface",
            "name": "nic0",
            "network": link(project, "global/networks/default"),
            "subnetwork": link(project, &format!("regions/{region}/subnetworks/default")),
            "networkIP": self.internal_address(),
            "fingerprint": self.tags_fingerprint,
            "stackType": "IPV4_ONLY",
            "accessConfigs": [access],
        })
    }

    /// An address of the instance's own in `10.128.0.0/16`; nobody can reach it, as from outside.
    pub(crate) fn internal_address(&self) -> String {
        format!("10.128.{}.{}", self.id >> 8 & 0xff, self.id & 0xff)
    }

    fn render_disks(&self, project: &str) -> Value {
        let (zone, name) = (&self.spec.zone, &self.spec.name);
        let mut disks = vec![json!({
            "kind": "compute#attachedDisk", "type": "PERSISTENT", "mode": "READ_WRITE", "boot": true, "index": 0,
            "autoDelete": true, "deviceName": BOOT_DEVICE, "interface": "SCSI", "diskSizeGb": "50",
            "source": link(project, &format!("zones/{zone}/disks/{name}")),
        })];
        for (index, disk) in self.disks.iter().enumerate() {
            disks.push(json!({
                "kind": "compute#attachedDisk", "type": "PERSISTENT", "boot": false, "index": index + 1,
                "mode": if disk.read_only { "READ_ONLY" } else { "READ_WRITE" },
                "autoDelete": false, "deviceName": disk.device, "interface": "SCSI",
                "diskSizeGb": disk.size_gb.to_string(), "source": link(project, &disk.rest),
            }));
        }
        json!(disks)
    }
}
