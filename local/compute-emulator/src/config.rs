//! What the pocket cloud holds, how long things take in it, and what goes wrong on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::links::region_of;

/// The project, what is declared in it, and the pace of things.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub project: String,
    pub project_number: u64,
    /// Names such as `us-central1-a`; a zone's region is what stands before the last dash.
    pub zones: Vec<String>,
    pub instances: Vec<InstanceSpec>,
    pub disks: Vec<RegionalDiskSpec>,
    pub timings: Timings,
    /// The service account of whoever asks the cloud-wide metadata server, as a function on Cloud Run would.
    pub service_account: String,
    /// Ids, fingerprints and failures follow from it.
    pub seed: u64,
}

/// One declared instance. It begins TERMINATED.
#[derive(Debug, Clone)]
pub struct InstanceSpec {
    /// Unique over all zones here, though Compute Engine asks only for unique within one.
    pub name: String,
    pub zone: String,
    pub machine_type: String,
    /// `nvidia-l4`; one of it.
    pub accelerator: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub metadata: BTreeMap<String, String>,
    pub spot: bool,
    /// Counted from each entry into RUNNING; then Compute Engine stops the instance.
    pub max_run_duration: Option<Duration>,
    /// Whether Compute Engine starts it again after a host error. Never for Spot.
    pub automatic_restart: bool,
    /// The e-mail of the account the instance runs as.
    pub service_account: String,
    /// Its external address (`natIP`), shown only while it is up.
    pub address: String,
}

impl Default for InstanceSpec {
    fn default() -> Self {
        Self {
            name: "instance".into(),
            zone: "us-central1-a".into(),
            machine_type: "g2-standard-4".into(),
            accelerator: Some("nvidia-l4".into()),
            labels: BTreeMap::new(),
            metadata: BTreeMap::new(),
            spot: false,
            max_run_duration: None,
            automatic_restart: true,
            service_account: "vm@local.iam.gserviceaccount.com".into(),
            address: "127.0.0.1".into(),
        }
    }
}

/// One declared regional disk.
#[derive(Debug, Clone, Default)]
pub struct RegionalDiskSpec {
    pub name: String,
    pub region: String,
    /// The two zones that hold a copy; only their instances can attach it.
    pub zones: [String; 2],
    pub size_gb: u64,
    /// The instance it is attached to in the beginning.
    pub attached_to: Option<String>,
}

/// How long things take. Lengths of the emulator's clock.
#[derive(Debug, Clone)]
pub struct Timings {
    /// PROVISIONING: resources are being allocated.
    pub provisioning: Duration,
    /// STAGING: resources are held, boot is prepared.
    pub staging: Duration,
    /// STOPPING until TERMINATED.
    pub stopping: Duration,
    /// A stop's operation says DONE this much before the instance is TERMINATED, as it was seen to.
    pub stop_told_early: Duration,
    /// From a start in a dry zone to the operation that says so.
    pub stockout_told_after: Duration,
    /// The part of it, at its end, that the instance reads STOPPING.
    pub stockout_teardown: Duration,
    /// From `preempted` turning TRUE in the metadata to STOPPING.
    pub preempt_window: Duration,
    /// What the guest of a standard instance gets between the power button and the plug.
    pub shutdown_grace: Duration,
    /// The same for Spot.
    pub shutdown_grace_spot: Duration,
    /// After a host error, until Compute Engine starts the instance again.
    pub automatic_restart_after: Duration,
    /// PENDING before RUNNING, for operations that begin so.
    pub operation_pending: Duration,
    /// What a change of settings takes.
    pub settings_change: Duration,
    /// What attaching or detaching a disk takes.
    pub disk_change: Duration,
    /// `wait` answers after this at the latest.
    pub operation_wait: Duration,
    /// A finished operation is forgotten after this.
    pub operations_kept: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            provisioning: seconds(8),
            staging: seconds(4),
            stopping: seconds(40),
            stop_told_early: seconds(2),
            stockout_told_after: seconds(100),
            stockout_teardown: seconds(5),
            preempt_window: seconds(30),
            shutdown_grace: seconds(120),
            shutdown_grace_spot: seconds(30),
            automatic_restart_after: seconds(60),
            operation_pending: Duration::from_millis(500),
            settings_change: seconds(2),
            disk_change: seconds(4),
            operation_wait: seconds(120),
            operations_kept: seconds(14 * 24 * 3600),
        }
    }
}

/// What goes wrong with calls while it is switched on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiFaults {
    /// Every answer waits this long, in the machine's own time: it slows the caller's socket, not the cloud.
    pub delay: Duration,
    /// The part of calls that fail: 503, a proxy's 502, a connection cut before the deed, one cut after it.
    pub fail: f64,
    /// Every call is refused with 403 `rateLimitExceeded`.
    pub rate_limited: bool,
    /// Every call is refused with 401, as with an expired access token.
    pub unauthorized: bool,
    /// A start ends with QUOTA_EXCEEDED inside its operation.
    pub quota_exceeded: bool,
    /// Added to every operation's end; what it does happens in its own time.
    pub operation_delay: Duration,
    /// `wait` answers at once with the operation as it is.
    pub wait_returns_early: bool,
}

impl Config {
    /// Refuses a cloud that contradicts itself.
    ///
    /// # Errors
    /// Says what was found and what was expected.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let zones: BTreeSet<&str> = self.zones.iter().map(String::as_str).collect();
        let mut names = BTreeSet::new();
        for spec in &self.instances {
            let (name, zone) = (&spec.name, &spec.zone);
            anyhow::ensure!(
                zones.contains(zone.as_str()),
                "instance {name} is in {zone}, which is not among the zones"
            );
            anyhow::ensure!(names.insert(name.as_str()), "two instances are called {name}; names must differ here");
        }
        for disk in &self.disks {
            let RegionalDiskSpec { name, region, zones: copies, attached_to, .. } = disk;
            for zone in copies {
                anyhow::ensure!(region_of(zone) == region, "disk {name} of {region} cannot have a copy in {zone}");
            }
            let Some(user) = attached_to else { continue };
            let instance = self.instances.iter().find(|spec| spec.name == *user);
            let Some(instance) = instance else {
                anyhow::bail!("disk {name} is attached to {user}, which is not there")
            };
            let zone = &instance.zone;
            anyhow::ensure!(copies.contains(zone), "disk {name} has no copy in {zone}, where {user} is");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_that_contradicts_itself_is_refused_with_the_name() {
        let mut config = Config {
            zones: vec!["us-central1-a".into()],
            instances: vec![InstanceSpec { name: "one".into(), zone: "mars1-a".into(), ..InstanceSpec::default() }],
            ..Config::default()
        };
        let said = config.check().unwrap_err().to_string();
        assert!(said.contains("one") && said.contains("mars1-a"), "{said}");

        config.instances[0].zone = "us-central1-a".into();
        config.disks = vec![RegionalDiskSpec {
            name: "data".into(),
            region: "us-central1".into(),
            zones: ["us-central1-b".into(), "us-central1-c".into()],
            size_gb: 10,
            attached_to: Some("one".into()),
        }];
        let said = config.check().unwrap_err().to_string();
        assert!(said.contains("no copy in us-central1-a"), "{said}");
    }
}
