//! What each of the three functions is told when it is a process: its whole environment, as Terraform writes it for
//! Cloud Run. Where an address of Google's is expected, it is the pocket cloud's, or that of Google's emulator.

use std::collections::BTreeSet;

use compute_emulator::Emulator;
use domain::{Budget, MicroUsd, Placement, Policy, Seconds, SpotOrder, WhenUsedUp, Workspace};
use platform::identity::keys::SigningKey;
use wire::{BudgetConfig, LimitsConfig, PlacementConfig, SpotConfig, WhenUsedUpConfig, WorkspaceConfig};

use crate::emulators::Google;
use crate::names;
use crate::processes::Function;

/// Names and values of an environment.
pub type Variables = Vec<(&'static str, String)>;

/// What the three have in common with each other and with their surroundings.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    pub project: &'a str,
    pub workspaces: &'a [Workspace],
    /// `http://localhost:PORT`, the page's origin and the audience of everybody who calls.
    pub base: &'a str,
    /// What makes a process agree with this one on the time.
    pub clock_setting: &'a str,
    pub log_filter: &'a str,
    /// Who may sign in, as JSON (`users::declared`).
    pub users: &'a str,
    /// Where notices go, as JSON by workspace; `{}` where no workspace has any.
    pub webhooks: &'a str,
    pub compute: &'a Emulator,
    pub google: &'a Google,
    pub nudge_topic: &'a str,
}

/// What the three are told, secrets included.
pub struct Environment {
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
    pub fn of(around: &Surroundings<'_>) -> anyhow::Result<Self> {
        let (_, signing_key) = SigningKey::generate()?;
        let placements = around.workspaces.iter().flat_map(|workspace| &workspace.placements);
        // Each once, although workspaces may share one.
        let origins: BTreeSet<&str> = placements.map(|placement| placement.origin.as_str()).collect();
        let base = around.base;
        let everybody = vec![
            ("PROJECT", around.project.to_owned()),
            ("FIRESTORE_EMULATOR_HOST", around.google.firestore.clone()),
            ("PILOTLIGHT_CLOCK", around.clock_setting.to_owned()),
            ("LOG_FORMAT", "human".to_owned()),
            ("RUST_LOG", around.log_filter.to_owned()),
        ];
        let auth = vec![
            ("SIGNING_KEY", signing_key.clone()),
            ("USERS", around.users.to_owned()),
            ("ISSUER", names::ISSUER.to_owned()),
            ("SIGNIN_STORE", "firestore".to_owned()),
            ("FRAME_SOURCES", origins.into_iter().collect::<Vec<_>>().join(",")),
            // The front, which tells whom it asks for.
            ("TRUSTED_PROXIES", "1".to_owned()),
        ];
        let control = vec![
            ("WORKSPACES", declared(around.workspaces)?),
            ("GOOGLE_JWKS_URL", around.compute.jwks_url()),
            ("COMPUTE_ENDPOINT", around.compute.endpoint()),
            ("NUDGE_TOPIC", around.nudge_topic.to_owned()),
            ("PUBSUB_EMULATOR_HOST", around.google.pubsub.clone()),
        ];
        let lifecycle = vec![
            ("SIGNING_KEY", signing_key),
            ("WEBHOOKS", around.webhooks.to_owned()),
            ("PAGE_ORIGIN", base.to_owned()),
            ("ISSUER", names::ISSUER.to_owned()),
            ("JWKS_URL", format!("{base}/.well-known/jwks.json")),
            ("VM_AUDIENCE", base.to_owned()),
            ("VM_EMAILS", names::VM_ACCOUNT.to_owned()),
            ("PUSH_AUDIENCE", base.to_owned()),
            ("PUSH_EMAILS", names::PUSH_ACCOUNT.to_owned()),
        ];
        let reaper = vec![("SWEEP_AUDIENCE", base.to_owned()), ("SWEEP_EMAILS", names::SCHEDULER_ACCOUNT.to_owned())];
        Ok(Self { everybody, auth, control, lifecycle, reaper })
    }

    /// The environment of one function; its port comes on top.
    pub fn for_function(&self, function: Function) -> Variables {
        let own = match function {
            Function::Auth => vec![&self.auth],
            Function::Lifecycle => vec![&self.control, &self.lifecycle],
            Function::Reaper => vec![&self.control, &self.reaper],
        };
        own.into_iter().chain([&self.everybody]).flatten().cloned().collect()
    }
}

/// The workspaces as Terraform declares them.
fn declared(workspaces: &[Workspace]) -> anyhow::Result<String> {
    let configs: Vec<WorkspaceConfig> = workspaces.iter().map(declared_workspace).collect();
    Ok(serde_json::to_string(&configs)?)
}

fn declared_workspace(workspace: &Workspace) -> WorkspaceConfig {
    WorkspaceConfig {
        id: workspace.id.to_string(),
        title: workspace.title.clone(),
        members: workspace.members.clone(),
        placements: workspace.placements.iter().map(declared_placement).collect(),
        disk: workspace.disk.clone(),
        time_zone: Some(workspace.calendar.zone().to_owned()),
        limits: declared_limits(&workspace.policy),
        spot: match workspace.policy.spot {
            SpotOrder::AsDeclared => None,
            SpotOrder::First => Some(SpotConfig::First),
            SpotOrder::Last => Some(SpotConfig::Last),
        },
        budget: declared_budget(workspace.policy.budget),
        notify: workspace.policy.notify,
    }
}

fn declared_budget(budget: Budget) -> Option<BudgetConfig> {
    let limits_something = budget.monthly.is_some() || budget.per_user.is_some();
    limits_something.then(|| BudgetConfig {
        monthly_usd: budget.monthly.map(MicroUsd::dollars),
        per_user_usd: budget.per_user.map(MicroUsd::dollars),
        when_used_up: Some(match budget.when_used_up {
            WhenUsedUp::NextIdle => WhenUsedUpConfig::NextIdle,
            WhenUsedUp::HardLimit => WhenUsedUpConfig::HardLimit,
        }),
    })
}

fn declared_limits(policy: &Policy) -> LimitsConfig {
    let seconds = |limit: Seconds| Some(limit.0);
    LimitsConfig {
        idle_seconds: seconds(policy.idle_limit),
        arrival_seconds: seconds(policy.arrival_limit),
        hard_seconds: seconds(policy.hard_limit),
        drain_seconds: seconds(policy.drain),
        silence_seconds: seconds(policy.silence_limit),
        heartbeat_seconds: seconds(policy.heartbeat_every),
        placing_seconds: seconds(policy.placing_limit),
        booting_seconds: seconds(policy.booting_limit),
        stopping_seconds: seconds(policy.stopping_limit),
        attempt_seconds: seconds(policy.attempt_limit),
        dry_seconds: seconds(policy.dry_for),
        stock_out_retry_seconds: seconds(policy.stock_out_retry),
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
        price_date: placement.price_date.clone(),
        origin: placement.origin.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use clap::Parser as _;
    use domain::WorkspaceId;

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
        let renamed = |place: &Placement| Placement { instance: format!("{}-2", place.instance), ..place.clone() };
        let second = Workspace {
            id: WorkspaceId::parse("second").unwrap(),
            members: Some(vec!["ada".to_owned()]),
            placements: workspace.placements.iter().map(renamed).collect(),
            ..workspace.clone()
        };
        let both = [workspace, second];
        assert_eq!(wire::workspaces_from_json(&declared(&both).unwrap()).unwrap(), both);
    }

    #[test]
    fn every_limit_that_can_be_declared_is() {
        let policy = Policy {
            idle_limit: Seconds(61),
            arrival_limit: Seconds(62),
            hard_limit: Seconds(600),
            drain: Seconds(11),
            silence_limit: Seconds(63),
            heartbeat_every: Seconds(6),
            placing_limit: Seconds(64),
            booting_limit: Seconds(65),
            stopping_limit: Seconds(66),
            stock_out_retry: Seconds(67),
            attempt_limit: Seconds(68),
            dry_for: Seconds(69),
            spot: SpotOrder::Last,
            budget: Budget {
                monthly: Some(MicroUsd(50_000_000)),
                per_user: Some(MicroUsd(20_500_000)),
                when_used_up: WhenUsedUp::HardLimit,
            },
            notify: true,
            ..Policy::default()
        };
        let args = Cli::try_parse_from(["pilotlight"]).map(|cli| cli.args).unwrap();
        let workspace = Workspace { policy, ..crate::cloud::workspace(&args, &HashMap::new()).unwrap() };
        let placements = workspace
            .placements
            .iter()
            .cloned()
            .map(|placement| Placement { origin: "http://127.0.0.1:4001".to_owned(), ..placement });
        let workspace = Workspace { placements: placements.collect(), ..workspace };
        let declared = declared(std::slice::from_ref(&workspace)).unwrap();
        assert_eq!(wire::workspaces_from_json(&declared).unwrap(), [workspace]);
    }
}
