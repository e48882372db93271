//! Zones, machine types and regional disks: read only.

use axum::Json;
use axum::extract::{Path, Query as QueryOf, State};
use serde_json::{Value, json};

use super::{Answer, App, check_project, list as list_of};
use crate::chance::number_of;
use crate::cloud::Cloud;
use crate::error::CallError;
use crate::links::{link, path, region_of};
use crate::page::{Query, page_of};

/// Mebibytes of memory that each vCPU of a family has.
const MEMORY_MB_PER_CPU: [(&str, u64); 4] =
    [("n1-standard", 3840), ("g2-standard", 4096), ("e2-standard", 4096), ("n2-standard", 4096)];

/// Types whose size does not follow from their name: vCPUs and mebibytes.
const MACHINE_TYPES: [(&str, u64, u64); 3] =
    [("a2-highgpu-1g", 12, 87_040), ("a2-ultragpu-1g", 12, 174_080), ("a3-highgpu-1g", 26, 239_616)];

pub(super) async fn list_zones(
    State(shared): App,
    Path(project): Path<String>,
    QueryOf(query): QueryOf<Query>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        let zones = cloud.config.zones.iter().map(|zone| (String::new(), zone_resource(cloud, zone))).collect();
        Ok(Json(list_of("compute#zoneList", &path(&project, "zones"), page_of(zones, &query)?)))
    })
}

pub(super) async fn get_zone(State(shared): App, Path((project, zone)): Path<(String, String)>) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        let unknown = || CallError::not_found(&path(&project, &format!("zones/{zone}")));
        cloud.check_zone(&zone).map_err(|_| unknown())?;
        Ok(Json(zone_resource(cloud, &zone)))
    })
}

fn zone_resource(cloud: &Cloud, zone: &str) -> Value {
    let project = &cloud.config.project;
    json!({
        "kind": "compute#zone",
        "id": (number_of(zone) % 10_000).to_string(),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": zone,
        "description": zone,
        "status": if cloud.is_gone(zone) { "DOWN" } else { "UP" },
        "region": link(project, &format!("regions/{}", region_of(zone))),
        "selfLink": link(project, &format!("zones/{zone}")),
    })
}

pub(super) async fn get_machine_type(
    State(shared): App,
    Path((project, zone, name)): Path<(String, String, String)>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        cloud.check_zone(&zone)?;
        let rest = format!("zones/{zone}/machineTypes/{name}");
        let (cpus, memory_mb) = size_of(&name).ok_or_else(|| CallError::not_found(&path(&project, &rest)))?;
        let mut found = json!({
            "kind": "compute#machineType",
            "id": number_of(&name).to_string(),
            "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
            "name": name,
            "guestCpus": cpus,
            "memoryMb": memory_mb,
            "zone": zone,
            "isSharedCpu": false,
            "selfLink": link(&project, &rest),
        });
        if let Some((accelerator, count)) = built_in_accelerator(&name, cpus) {
            found["accelerators"] = json!([{"guestAcceleratorType": accelerator, "guestAcceleratorCount": count}]);
        }
        Ok(Json(found))
    })
}

/// vCPUs and mebibytes, for the types that the emulator knows.
fn size_of(name: &str) -> Option<(u64, u64)> {
    if let Some((_, cpus, memory)) = MACHINE_TYPES.iter().find(|(known, ..)| *known == name) {
        return Some((*cpus, *memory));
    }
    let (family, cpus) = name.rsplit_once('-')?;
    let cpus: u64 = cpus.parse().ok().filter(|cpus| (1..=96).contains(cpus))?;
    let (_, each) = MEMORY_MB_PER_CPU.iter().find(|(known, _)| *known == family)?;
    Some((cpus, cpus * each))
}

/// GPUs that come with the machine type.
fn built_in_accelerator(name: &str, cpus: u64) -> Option<(&'static str, u64)> {
    match name.split_once('-')?.0 {
        "g2" => Some((
            "nvidia-l4",
            match cpus {
                96 => 8,
                48 => 4,
                24 => 2,
                _ => 1,
            },
        )),
        "a2" if name.contains("ultra") => Some(("nvidia-a100-80gb", 1)),
        "a2" => Some(("nvidia-tesla-a100", 1)),
        "a3" => Some(("nvidia-h100-80gb", 1)),
        _ => None,
    }
}

pub(super) async fn list_disks(
    State(shared): App,
    Path((project, region)): Path<(String, String)>,
    QueryOf(query): QueryOf<Query>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        let here = cloud.disks().filter(|disk| disk.spec.region == region);
        let disks = here.map(|disk| (String::new(), disk.render(&project, |name| cloud.zone_of(name)))).collect();
        let id = path(&project, &format!("regions/{region}/disks"));
        Ok(Json(list_of("compute#diskList", &id, page_of(disks, &query)?)))
    })
}

pub(super) async fn get_disk(
    State(shared): App,
    Path((project, region, name)): Path<(String, String, String)>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        let found = cloud.disks().find(|disk| disk.spec.region == region && disk.spec.name == name);
        let missing = || CallError::not_found(&path(&project, &format!("regions/{region}/disks/{name}")));
        Ok(Json(found.ok_or_else(missing)?.render(&project, |name| cloud.zone_of(name))))
    })
}
