//! How large the world is, how fast, and what its workspaces are promised.

use std::collections::BTreeMap;
use std::time::Duration;

use compute_emulator::{Config, InstanceSpec, RegionalDiskSpec, Timings};
use domain::{Calendar, MicroUsd, Placement, Policy, Seconds, Workspace, WorkspaceId};
use local::names;
use platform::compute::WORKSPACE_LABEL;

/// Regions with a pair of zones each, so that a dry zone is not everybody's.
const REGIONS: [&str; 3] = ["us-central1", "us-east1", "europe-west4"];
const USD_PER_HOUR: MicroUsd = MicroUsd(706_800);
const USD_PER_HOUR_SPOT: MicroUsd = MicroUsd(397_300);
/// Between two sweeps: half the shortest announcement, as the design asks for.
pub(crate) const SWEEP_EVERY: Seconds = Seconds(15);
/// So much later than our hard limit does Google's come.
const MAX_RUN_MARGIN: Duration = Duration::from_secs(300);

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// Real time in which things go wrong.
    pub(crate) turbulence: Duration,
    /// Policy seconds in one second of the machine's.
    pub(crate) speed: f64,
    pub(crate) workspaces: usize,
}

impl Settings {
    /// From `CHAOS_SEED`, `CHAOS_SECONDS`, `CHAOS_SPEED` and `CHAOS_WORKSPACES`; a new seed where none is given.
    pub(crate) fn from_environment() -> Self {
        fn given<T: std::str::FromStr>(name: &str, usual: T) -> T {
            let text = std::env::var(name).ok();
            text.map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; expected a number")))
        }
        Self {
            seed: given("CHAOS_SEED", getrandom::u64().unwrap()),
            turbulence: Duration::from_secs(given("CHAOS_SECONDS", 60)),
            speed: given("CHAOS_SPEED", 10.0),
            workspaces: given("CHAOS_WORKSPACES", 100),
        }
    }

    /// The workspaces; no two neighbours have the same limits.
    pub(crate) fn declare(&self) -> Vec<Workspace> {
        (0..self.workspaces).map(workspace).collect()
    }
}

fn workspace(number: usize) -> Workspace {
    let region = REGIONS[number % REGIONS.len()];
    let letters = if number.is_multiple_of(2) { ["a", "b"] } else { ["b", "a"] };
    let placements = letters.iter().enumerate().map(|(rank, letter)| Placement {
        instance: format!("vm-{number:03}-{letter}"),
        zone: format!("{region}-{letter}"),
        spot: rank == 1,
        machine_type: "g2-standard-4".to_owned(),
        accelerator: "nvidia-l4".to_owned(),
        usd_per_hour: if rank == 1 { USD_PER_HOUR_SPOT } else { USD_PER_HOUR },
        price_date: None,
        origin: "http://127.0.0.1:9".to_owned(),
    });
    Workspace {
        id: WorkspaceId::parse(&format!("w{number:03}")).unwrap(),
        title: format!("Workspace {number}"),
        members: None,
        placements: placements.collect(),
        disk: Some(format!("disk-{number:03}")),
        calendar: Calendar::default(),
        policy: policy(number),
    }
}

/// Short limits, so that many whole lives fit into the time.
fn policy(number: usize) -> Policy {
    let turn = |limits: [u64; 3]| Seconds(limits[number % 3]);
    Policy {
        idle_limit: turn([60, 90, 120]),
        arrival_limit: turn([90, 60, 75]),
        hard_limit: turn([900, 300, 600]),
        drain: turn([30, 40, 30]),
        silence_limit: turn([90, 60, 75]),
        heartbeat_every: Seconds(20),
        placing_limit: Seconds(240),
        booting_limit: Seconds(180),
        stopping_limit: Seconds(240),
        ..Policy::default()
    }
}

/// The same for Compute Engine: quicker than Google's, as the limits are.
pub(crate) fn cloud(workspaces: &[Workspace], project: &str, seed: u64) -> Config {
    let zones = REGIONS.iter().flat_map(|region| names::ZONE_LETTERS.map(|letter| format!("{region}-{letter}")));
    let seconds = Duration::from_secs;
    Config {
        project: project.to_owned(),
        project_number: names::PROJECT_NUMBER,
        zones: zones.collect(),
        instances: workspaces.iter().flat_map(instances).collect(),
        disks: workspaces.iter().map(disk).collect(),
        timings: Timings {
            provisioning: seconds(6),
            staging: seconds(3),
            stopping: seconds(12),
            stockout_told_after: seconds(25),
            preempt_window: seconds(15),
            ..Timings::default()
        },
        service_account: "functions@local.iam.gserviceaccount.com".to_owned(),
        seed,
    }
}

fn instances(workspace: &Workspace) -> impl Iterator<Item = InstanceSpec> {
    workspace.placements.iter().map(|placement| InstanceSpec {
        name: placement.instance.clone(),
        zone: placement.zone.clone(),
        labels: BTreeMap::from([(WORKSPACE_LABEL.to_owned(), workspace.id.to_string())]),
        spot: placement.spot,
        max_run_duration: Some(workspace.policy.hard_limit.duration() + MAX_RUN_MARGIN),
        automatic_restart: false,
        service_account: names::VM_ACCOUNT.to_owned(),
        ..InstanceSpec::default()
    })
}

fn disk(workspace: &Workspace) -> RegionalDiskSpec {
    let zone = |at: usize| workspace.placements[at].zone.clone();
    RegionalDiskSpec {
        name: workspace.disk.clone().unwrap(),
        region: zone(0).rsplit_once('-').unwrap().0.to_owned(),
        zones: [zone(0), zone(1)],
        size_gb: 200,
        attached_to: Some(disk_at(workspace)),
    }
}

/// Every third disk begins at the second placement, so that it has to be moved.
pub(crate) fn disk_at(workspace: &Workspace) -> String {
    let second = workspace.id.as_str().bytes().last().is_some_and(|digit| digit.is_multiple_of(3));
    workspace.placements[usize::from(second)].instance.clone()
}
