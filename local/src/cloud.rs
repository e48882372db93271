//! What the pocket cloud holds: one workspace, its placements, and the disk they share.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use compute_emulator::{Config, InstanceSpec, RegionalDiskSpec};
use domain::{Budget, Calendar, MicroUsd, Placement, Policy, Workspace, WorkspaceId};
use platform::compute::WORKSPACE_LABEL;

use crate::args::Args;
use crate::names;

/// List prices of a g2-standard-4 with one L4 in us-central1, standard and Spot, and the day of that list.
const USD_PER_HOUR: MicroUsd = MicroUsd(706_800);
const USD_PER_HOUR_SPOT: MicroUsd = MicroUsd(397_300);
const PRICE_DATE: &str = "2026-07-30";
const MACHINE_TYPE: &str = "g2-standard-4";
const ACCELERATOR: &str = "nvidia-l4";
const DISK_GB: u64 = 200;

/// The workspace, as Terraform would have declared it.
///
/// # Errors
/// When the limits asked for cannot be kept.
pub(crate) fn workspace(args: &Args, gateway_ports: &HashMap<String, u16>) -> anyhow::Result<Workspace> {
    let usual = Policy::default();
    let policy = Policy {
        idle_limit: args.idle_limit,
        hard_limit: args.hard_limit,
        spot: args.spot.unwrap_or_default(),
        budget: Budget { monthly: args.budget, ..usual.budget },
        // The panel has a receiver.
        notify: true,
        arrival_limit: usual.arrival_limit.min(args.idle_limit),
        ..usual
    };
    policy.check().context("these limits do not fit each other")?;
    // Further apart, an idle run could outlast its announcement by more than a sweep.
    let most = policy.drain.0 / 2;
    anyhow::ensure!(args.sweep_every.0 <= most, "--sweep-every is {}; expected at most {most} s", args.sweep_every);
    let placements = placement_names(args.placements)
        .map(|(instance, zone, spot)| Placement {
            origin: args.vm_origin.clone().unwrap_or_else(|| {
                format!("http://127.0.0.1:{}", gateway_ports.get(&instance).copied().unwrap_or_default())
            }),
            instance,
            zone,
            spot,
            machine_type: MACHINE_TYPE.to_owned(),
            accelerator: ACCELERATOR.to_owned(),
            usd_per_hour: if spot { USD_PER_HOUR_SPOT } else { USD_PER_HOUR },
            price_date: Some(PRICE_DATE.to_owned()),
        })
        .collect();
    Ok(Workspace {
        id: WorkspaceId::parse(names::WORKSPACE)?,
        title: "ComfyUI".to_owned(),
        members: None,
        placements,
        disk: Some(names::DISK.to_owned()),
        calendar: Calendar::default(),
        policy,
    })
}

/// Instance, zone and model of each placement: the two zones that hold the disk, standard first, then Spot.
pub(crate) fn placement_names(count: u8) -> impl Iterator<Item = (String, String, bool)> {
    (0..usize::from(count)).map(|at| {
        let letter = names::ZONE_LETTERS[at % names::ZONE_LETTERS.len()];
        let spot = at >= names::ZONE_LETTERS.len();
        let suffix = if spot { "-spot" } else { "" };
        (format!("comfyui-{}-{letter}{suffix}", names::WORKSPACE), format!("{}-{letter}", names::REGION), spot)
    })
}

/// What the VMs are told of themselves and of the control plane.
#[derive(Debug)]
pub(crate) struct Guests {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) address: IpAddr,
}

/// The same for Compute Engine.
pub(crate) fn compute(workspace: &Workspace, guests: &Guests, project: &str, seed: u64) -> Config {
    let zones: Vec<String> = names::ZONE_LETTERS.iter().map(|letter| format!("{}-{letter}", names::REGION)).collect();
    let instances = workspace.placements.iter().map(|placement| InstanceSpec {
        name: placement.instance.clone(),
        zone: placement.zone.clone(),
        machine_type: placement.machine_type.clone(),
        accelerator: Some(placement.accelerator.clone()),
        labels: BTreeMap::from([(WORKSPACE_LABEL.to_owned(), workspace.id.to_string())]),
        metadata: guests.metadata.clone(),
        spot: placement.spot,
        // Google's own end, should everything else be lost: a little after ours.
        max_run_duration: Some(workspace.policy.hard_limit.duration() + MAX_RUN_MARGIN),
        automatic_restart: false,
        service_account: names::VM_ACCOUNT.to_owned(),
        address: guests.address.to_string(),
    });
    Config {
        project: project.to_owned(),
        project_number: names::PROJECT_NUMBER,
        instances: instances.collect(),
        disks: vec![RegionalDiskSpec {
            name: names::DISK.to_owned(),
            region: names::REGION.to_owned(),
            zones: [zones[0].clone(), zones[1].clone()],
            size_gb: DISK_GB,
            attached_to: workspace.placements.first().map(|placement| placement.instance.clone()),
        }],
        zones,
        service_account: "functions@local.iam.gserviceaccount.com".to_owned(),
        seed,
        ..Config::default()
    }
}

/// So much later than our hard limit does Google's come.
const MAX_RUN_MARGIN: Duration = Duration::from_secs(600);
