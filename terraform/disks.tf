# What the person owns: one data disk for each workspace, in one zone or, where it has several placements, in two.

locals {
  deletion_policy = { refuse = "PREVENT", keep = "ABANDON", delete = "DELETE" }[var.data_on_destroy]

  disks = { for id, workspace in var.workspaces : id => merge(workspace.disk, {
    name = "comfyui-${id}-data"
    # In their own order: another order of preference makes no other disk.
    zones  = sort(distinct(workspace.placements[*].zone))
    labels = { pilotlight-workspace = id }
  }) }
  zonal_disks    = { for id, disk in local.disks : id => disk if !disk.regional }
  regional_disks = { for id, disk in local.disks : id => disk if disk.regional }
}

# Neither is replaced by accident: whatever would take a new disk (another zone, another type, a smaller size) fails as
# long as data_on_destroy is `refuse`. A snapshot is what a disk was made from; that it is no longer named changes nothing.
resource "google_compute_disk" "data" {
  for_each = local.zonal_disks

  name            = each.value.name
  zone            = each.value.zones[0]
  type            = each.value.type
  size            = each.value.size_gb
  snapshot        = each.value.snapshot
  labels          = each.value.labels
  deletion_policy = local.deletion_policy

  depends_on = [google_project_service.api]

  lifecycle {
    ignore_changes = [snapshot]
  }
}

resource "google_compute_region_disk" "data" {
  for_each = local.regional_disks

  name            = each.value.name
  region          = var.region
  replica_zones   = each.value.zones
  type            = each.value.type
  size            = each.value.size_gb
  snapshot        = each.value.snapshot
  labels          = each.value.labels
  deletion_policy = local.deletion_policy

  depends_on = [google_project_service.api]

  lifecycle {
    ignore_changes = [snapshot]
  }
}

# A snapshot each night for a week, which outlives the disk. Only what has changed takes room.
resource "google_compute_resource_policy" "snapshots" {
  name   = "pilotlight-snapshots"
  region = var.region

  snapshot_schedule_policy {
    schedule {
      daily_schedule {
        days_in_cycle = 1
        start_time    = "04:00"
      }
    }
    retention_policy {
      max_retention_days    = 7
      on_source_disk_delete = "KEEP_AUTO_SNAPSHOTS"
    }
    snapshot_properties {
      labels = { app = "pilotlight" }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_compute_disk_resource_policy_attachment" "snapshots" {
  for_each = google_compute_disk.data

  name = google_compute_resource_policy.snapshots.name
  disk = each.value.name
  zone = each.value.zone
}

resource "google_compute_region_disk_resource_policy_attachment" "snapshots" {
  for_each = google_compute_region_disk.data

  name   = google_compute_resource_policy.snapshots.name
  disk   = each.value.name
  region = each.value.region
}
