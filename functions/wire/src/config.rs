//! What workspaces there are: the JSON that Terraform writes into the functions' configuration.

use std::fmt;

use domain::{MicroUsd, Placement, Policy, Seconds, Workspace, WorkspaceId};
use serde::{Deserialize, Serialize};

/// A declared workspace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceConfig {
    pub id: String,
    pub title: String,
    pub placements: Vec<PlacementConfig>,
    /// Name of the regional data disk; absent where the only placement keeps its own.
    #[serde(default)]
    pub disk: Option<String>,
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// A declared placement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacementConfig {
    pub instance: String,
    pub zone: String,
    #[serde(default)]
    pub spot: bool,
    pub machine_type: String,
    #[serde(default)]
    pub accelerator: String,
    pub usd_per_hour: f64,
    pub origin: String,
}

/// Limits in seconds; what is absent is as `domain::Policy` has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    pub idle_seconds: Option<u64>,
    pub arrival_seconds: Option<u64>,
    pub hard_seconds: Option<u64>,
    pub drain_seconds: Option<u64>,
    pub silence_seconds: Option<u64>,
    pub heartbeat_seconds: Option<u64>,
    pub placing_seconds: Option<u64>,
    pub booting_seconds: Option<u64>,
    pub stopping_seconds: Option<u64>,
}

/// What is wrong with the list of workspaces, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The dearest machine Google lists is below this; more is a slip of the keyboard.
const USD_PER_HOUR_MAX: f64 = 1000.0;

/// Reads a list of workspaces.
///
/// # Errors
/// Says which workspace and which field is wrong, what was found and what was expected.
pub fn workspaces_from_json(json: &str) -> Result<Vec<Workspace>, ConfigError> {
    let configs: Vec<WorkspaceConfig> = serde_json::from_str(json)
        .map_err(|error| ConfigError(format!("expected a JSON list of workspaces: {error}")))?;
    if configs.is_empty() {
        return Err(ConfigError("the list of workspaces is empty; expected at least one".into()));
    }
    let workspaces = configs.into_iter().map(WorkspaceConfig::workspace).collect::<Result<Vec<_>, _>>()?;
    let mut names: Vec<&str> = workspaces.iter().map(|workspace| workspace.id.as_str()).collect();
    let mut instances: Vec<&str> =
        workspaces.iter().flat_map(|workspace| &workspace.placements).map(|place| place.instance.as_str()).collect();
    for (what, list) in [("workspace", &mut names), ("instance", &mut instances)] {
        list.sort_unstable();
        if let Some(twice) = list.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ConfigError(format!("the {what} {:?} is declared twice", twice[0])));
        }
    }
    Ok(workspaces)
}

impl WorkspaceConfig {
    fn workspace(self) -> Result<Workspace, ConfigError> {
        let id = WorkspaceId::parse(&self.id).map_err(|error| ConfigError(error.to_string()))?;
        let wrong = |what: String| ConfigError(format!("workspace {id}: {what}"));
        if self.placements.is_empty() {
            return Err(wrong("no placements; expected at least one".into()));
        }
        if self.placements.len() > 1 && self.disk.is_none() {
            return Err(wrong("several placements need one regional data disk: set `disk`".into()));
        }
        let placements =
            self.placements.into_iter().map(|place| place.placement().map_err(wrong)).collect::<Result<Vec<_>, _>>()?;
        let policy = self.limits.policy();
        policy.check().map_err(|error| wrong(error.to_string()))?;
        Ok(Workspace { id: id.clone(), title: self.title, placements, disk: self.disk, policy })
    }
}

impl PlacementConfig {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just above")]
    fn placement(self) -> Result<Placement, String> {
        if !(0.0..=USD_PER_HOUR_MAX).contains(&self.usd_per_hour) {
            return Err(format!("usd_per_hour is {}; expected 0 to {USD_PER_HOUR_MAX}", self.usd_per_hour));
        }
        let host = self.origin.strip_prefix("https://").or_else(|| self.origin.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains('/')) {
            return Err(format!(
                "origin is {:?}; expected scheme and host such as https://comfy.example.com",
                self.origin
            ));
        }
        Ok(Placement {
            instance: self.instance,
            zone: self.zone,
            spot: self.spot,
            machine_type: self.machine_type,
            accelerator: self.accelerator,
            usd_per_hour: MicroUsd((self.usd_per_hour * 1e6).round() as u64),
            origin: self.origin,
        })
    }
}

impl LimitsConfig {
    fn policy(&self) -> Policy {
        let usual = Policy::default();
        let or = |set: Option<u64>, usual: Seconds| set.map_or(usual, Seconds);
        Policy {
            idle_limit: or(self.idle_seconds, usual.idle_limit),
            arrival_limit: or(self.arrival_seconds, usual.arrival_limit),
            hard_limit: or(self.hard_seconds, usual.hard_limit),
            drain: or(self.drain_seconds, usual.drain),
            silence_limit: or(self.silence_seconds, usual.silence_limit),
            heartbeat_every: or(self.heartbeat_seconds, usual.heartbeat_every),
            placing_limit: or(self.placing_seconds, usual.placing_limit),
            booting_limit: or(self.booting_seconds, usual.booting_limit),
            stopping_limit: or(self.stopping_seconds, usual.stopping_limit),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(change: impl Fn(&mut serde_json::Value)) -> Result<Vec<Workspace>, ConfigError> {
        let mut list = serde_json::json!([{"id":"main","title":"ComfyUI","placements":[{"instance":"a","zone":"us-central1-a",
            "machine_type":"g2-standard-4","accelerator":"nvidia-l4","usd_per_hour":0.7068,"origin":"https://comfy.example.com"}]}]);
        change(&mut list[0]);
        workspaces_from_json(&list.to_string())
    }

    #[test]
    fn a_plain_workspace_is_read_with_the_usual_limits() {
        let workspaces = one(|_| ()).unwrap();
        assert_eq!(workspaces[0].placements[0].usd_per_hour, MicroUsd(706_800));
        assert_eq!(workspaces[0].policy, Policy::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrongs: [(&str, serde_json::Value, &str); 6] = [
            ("/id", "Main".into(), "Main"),
            ("/placements/0/usd_per_hour", (-1).into(), "usd_per_hour"),
            ("/placements/0/origin", "comfy.example.com".into(), "origin"),
            ("/placements/0/zone", 5.into(), "expected a JSON list"),
            ("/placements", serde_json::json!([]), "no placements"),
            ("/limits", serde_json::json!({"idle_seconds": 1}), "idle_limit is 1 s; expected 60 s"),
        ];
        for (pointer, value, told) in wrongs {
            let error = one(|workspace| match workspace.pointer_mut(pointer) {
                Some(place) => *place = value.clone(),
                None => workspace["limits"] = value.clone(),
            });
            let message = error.unwrap_err().to_string();
            assert!(message.contains(told), "{pointer}: {message}");
        }
    }
}
