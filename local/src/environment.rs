//! What each of the three functions is told when it is a process: its whole environment, as Terraform writes it for
//! Cloud Run. Where an address of Google's is expected, it is the pocket cloud's, or that of Google's emulator.

use domain::{Placement, Policy, Workspace};
use platform::identity::keys::SigningKey;
use wire::{LimitsConfig, PlacementConfig, WorkspaceConfig};

use crate::emulators::Google;
use crate::names;
use crate::pocket::Pocket;
use crate::processes::Function;

/// Names and values of an environment.
pub(crate) type Variables = Vec<(&'static str, String)>;

/// What the three are told, secrets included.
pub(crate) struct Environment {
    everybody: Variables,
    auth: Variables,
    /// lifecycle and reaper.
    control: Variables,
    lifecycle: Variables,
    reaper: Variables,
}

impl Environment {
    /// Makes the secrets, which outlive each process: a function that is started again signs with the same key.
    ///
    /// # Errors
    /// When a secret cannot be made.
    pub(crate) fn of(pocket: &Pocket, google: &Google, nudge_topic: &str) -> anyhow::Result<Self> {
        let (_, signing_key) = SigningKey::generate()?;
        let hash = auth::hash_password(&pocket.password)?;
        let users = serde_json::json!([{ "name": "admin", "role": "admin", "hash": hash }]).to_string();
        let origins = pocket.workspace.placements.iter().map(|placement| placement.origin.as_str());
        let base = &pocket.base;
        let everybody = vec![
            ("PROJECT", pocket.project.clone()),
            ("FIRESTORE_EMULATOR_HOST", google.firestore.clone()),
            ("PILOTLIGHT_CLOCK", pocket.clock_setting.clone()),
            ("LOG_FORMAT", "human".to_owned()),
            ("RUST_LOG", pocket.log_filter.clone()),
        ];
        let auth = vec![
            ("SIGNING_KEY", signing_key.clone()),
            ("USERS", users),
            ("ISSUER", names::ISSUER.to_owned()),
            ("SIGNIN_STORE", "firestore".to_owned()),
            ("FRAME_SOURCES", origins.collect::<Vec<_>>().join(",")),
            // The front, which tells whom it asks for.
            ("TRUSTED_PROXIES", "1".to_owned()),
        ];
        let control = vec![
            ("WORKSPACES", serde_json::to_string(&[declared(&pocket.workspace)])?),
            ("GOOGLE_JWKS_URL", pocket.emulator.jwks_url()),
            ("COMPUTE_ENDPOINT", pocket.emulator.endpoint()),
            ("NUDGE_TOPIC", nudge_topic.to_owned()),
            ("PUBSUB_EMULATOR_HOST", google.pubsub.clone()),
        ];
        let lifecycle = vec![
            ("SIGNING_KEY", signing_key),
            ("ISSUER", names::ISSUER.to_owned()),
            ("JWKS_URL", format!("{base}/.well-known/jwks.json")),
            ("VM_AUDIENCE", base.clone()),
            ("VM_EMAILS", names::VM_ACCOUNT.to_owned()),
            ("PUSH_AUDIENCE", base.clone()),
            ("PUSH_EMAILS", names::PUSH_ACCOUNT.to_owned()),
        ];
        let reaper = vec![("SWEEP_AUDIENCE", base.clone()), ("SWEEP_EMAILS", names::SCHEDULER_ACCOUNT.to_owned())];
        Ok(Self { everybody, auth, control, lifecycle, reaper })
    }

    /// The environment of one function; its port comes on top.
    pub(crate) fn for_function(&self, function: Function) -> Variables {
        let own = match function {
            Function::Auth => vec![&self.auth],
            Function::Lifecycle => vec![&self.control, &self.lifecycle],
            Function::Reaper => vec![&self.control, &self.reaper],
        };
        own.into_iter().chain([&self.everybody]).flatten().cloned().collect()
    }
}

/// A workspace as Terraform declares it.
fn declared(workspace: &Workspace) -> WorkspaceConfig {
    let Policy { idle_limit, arrival_limit, hard_limit, .. } = workspace.policy;
    WorkspaceConfig {
        id: workspace.id.to_string(),
        title: workspace.title.clone(),
        placements: workspace.placements.iter().map(declared_placement).collect(),
        disk: workspace.disk.clone(),
        limits: LimitsConfig {
            idle_seconds: Some(idle_limit.0),
            arrival_seconds: Some(arrival_limit.0),
            hard_seconds: Some(hard_limit.0),
            ..LimitsConfig::default()
        },
    }
}

fn declared_placement(placement: &Placement) -> PlacementConfig {
    PlacementConfig {
        instance: placement.instance.clone(),
        zone: placement.zone.clone(),
        spot: placement.spot,
        machine_type: placement.machine_type.clone(),
        accelerator: placement.accelerator.clone(),
        usd_per_hour: placement.usd_per_hour.dollars(),
        origin: placement.origin.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: crate::args::Args,
    }

    #[test]
    fn what_is_declared_is_read_back_as_it_was() {
        let line = ["pilotlight", "--idle-limit", "2m", "--hard-limit", "3h", "--placements", "3"];
        let args = Cli::try_parse_from(line).map(|cli| cli.args).unwrap();
        let ports = HashMap::from([("comfyui-main-a".to_owned(), 4001)]);
        let workspace = crate::cloud::workspace(&args, &ports).unwrap();
        let json = serde_json::to_string(&[declared(&workspace)]).unwrap();
        assert_eq!(wire::workspaces_from_json(&json).unwrap(), [workspace]);
    }
}
