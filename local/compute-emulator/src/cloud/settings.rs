//! Changes of an instance's settings: metadata, labels, scheduling.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::Timestamp;

use super::operations::Begin;
use super::{Caller, Cloud};
use crate::error::CallError;
use crate::instance::{Scheduling, Status};
use crate::operation::{Operation, Outcome};

/// All of an instance's metadata, keys and values, stays below this.
const METADATA_TOTAL_BYTES_MAX: usize = 512 * 1024;
/// A metadata value is at most this long.
const METADATA_VALUE_BYTES_MAX: usize = 256 * 1024;
/// A metadata key is shorter than this.
const METADATA_KEY_BYTES_MAX: usize = 128;
/// Compute Engine's bounds of `maxRunDuration`.
const MAX_RUN_DURATION_MIN: Duration = Duration::from_secs(30);
const MAX_RUN_DURATION_MAX: Duration = Duration::from_secs(120 * 24 * 3600);
const LABELS_MAX: usize = 64;

/// What `setScheduling` was given; what is absent takes its default.
#[derive(Debug, Clone, Default)]
pub(crate) struct SchedulingChange {
    pub(crate) spot: bool,
    pub(crate) automatic_restart: Option<bool>,
    pub(crate) max_run_duration: Option<Duration>,
}

impl Cloud {
    /// Replaces all items, if `fingerprint` is that of the present ones.
    pub(crate) fn set_metadata(
        &mut self,
        (zone, name): (&str, &str),
        fingerprint: Option<&str>,
        items: Vec<(String, String)>,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Operation, CallError> {
        let instance = self.instance_in(zone, name)?;
        if let Some(operation) = self.replayed("setMetadata", name, caller)? {
            return Ok(operation);
        }
        if fingerprint != Some(instance.metadata_fingerprint.as_str()) {
            return Err(CallError::stale_fingerprint("metadata"));
        }
        check_metadata(&items)?;
        let (new, whole) = (self.chance.fingerprint(), self.chance.fingerprint());
        let instance = self.instance_mut(zone, name)?;
        instance.metadata = items;
        instance.metadata_fingerprint = new;
        instance.fingerprint = whole;
        Ok(self.settings_operation("setMetadata", name, caller, now))
    }

    /// Replaces all labels, if `fingerprint` is that of the present ones.
    pub(crate) fn set_labels(
        &mut self,
        (zone, name): (&str, &str),
        fingerprint: Option<&str>,
        labels: BTreeMap<String, String>,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Operation, CallError> {
        let instance = self.instance_in(zone, name)?;
        if let Some(operation) = self.replayed("setLabels", name, caller)? {
            return Ok(operation);
        }
        if fingerprint != Some(instance.label_fingerprint.as_str()) {
            return Err(CallError::stale_fingerprint("label"));
        }
        if labels.len() > LABELS_MAX {
            return Err(CallError::invalid(format!("Too many labels: {}, at most {LABELS_MAX}", labels.len())));
        }
        let (new, whole) = (self.chance.fingerprint(), self.chance.fingerprint());
        let instance = self.instance_mut(zone, name)?;
        instance.labels = labels;
        instance.label_fingerprint = new;
        instance.fingerprint = whole;
        Ok(self.settings_operation("setLabels", name, caller, now))
    }

    /// Replaces the scheduling of a TERMINATED instance.
    pub(crate) fn set_scheduling(
        &mut self,
        (zone, name): (&str, &str),
        change: SchedulingChange,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Operation, CallError> {
        let instance = self.instance_in(zone, name)?;
        if let Some(operation) = self.replayed("setScheduling", name, caller)? {
            return Ok(operation);
        }
        if instance.status != Status::Terminated {
            return Err(CallError::invalid("Scheduling can only be changed while the instance is stopped."));
        }
        if let Some(length) = change.max_run_duration
            && !(MAX_RUN_DURATION_MIN..=MAX_RUN_DURATION_MAX).contains(&length)
        {
            let found = length.as_secs().to_string();
            let why = "Must be between 30 seconds and 120 days.";
            return Err(CallError::invalid_field("scheduling.maxRunDuration.seconds", &found, why));
        }
        let whole = self.chance.fingerprint();
        let instance = self.instance_mut(zone, name)?;
        instance.fingerprint = whole;
        instance.scheduling = Scheduling {
            spot: change.spot,
            automatic_restart: change.automatic_restart.unwrap_or(true) && !change.spot,
            max_run_duration: change.max_run_duration,
        };
        Ok(self.settings_operation("setScheduling", name, caller, now))
    }

    fn settings_operation(&mut self, kind: &'static str, name: &str, caller: &Caller, now: Timestamp) -> Operation {
        let (takes, outcome) = (self.config.timings.settings_change, Outcome::Succeeds);
        self.begin(Begin { kind, instance: name, caller, pending: false, takes, outcome }, now)
    }
}

fn check_metadata(items: &[(String, String)]) -> Result<(), CallError> {
    let mut keys = BTreeSet::new();
    let mut total = 0;
    for (position, (key, value)) in items.iter().enumerate() {
        let field = format!("resource.items[{position}]");
        let well_formed = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if key.is_empty() || key.len() >= METADATA_KEY_BYTES_MAX || !well_formed {
            let why = "Must be a match of regex '[a-zA-Z0-9-_]+' shorter than 128 bytes.";
            return Err(CallError::invalid_field(&format!("{field}.key"), key, why));
        }
        if !keys.insert(key) {
            return Err(CallError::invalid_field(&format!("{field}.key"), key, "Duplicate metadata key."));
        }
        if value.len() > METADATA_VALUE_BYTES_MAX {
            let why = format!("Value for metadata key '{key}' is larger than 256 KiB.");
            return Err(CallError::invalid_field(&format!("{field}.value"), "…", &why));
        }
        total += key.len() + value.len();
    }
    if total >= METADATA_TOTAL_BYTES_MAX {
        return Err(CallError::invalid(format!("Metadata is {total} bytes; the total must be below 512 KB.")));
    }
    Ok(())
}
