# The machines. Terraform makes them and leaves them off; from then on lifecycle starts and stops them and moves the data
# disk, and nothing of that is taken back by a later apply.
#
# What a later apply changes of a machine that is up: its metadata, which it reads at its next boot, its labels and tags.
# What can only be changed of a machine that is off (machine_type, secure_boot) it refuses while it is up. What makes another
# machine (zone, spot, accelerator) is told by the plan as a replacement, and ends one that is up. The boot disk and Google's
# own limit stay as they were made; terraform apply -replace='google_compute_instance.placement["NAME"]' makes them anew.

locals {
  # Google's own limit comes after all the others have failed: the control plane ends a run at its hard limit, and needs as
  # long as a stop may take; a boot counts here and not there.
  max_run_seconds = { for id, workspace in var.workspaces : id =>
    workspace.limits.hard_seconds + workspace.limits.placing_seconds + workspace.limits.booting_seconds + workspace.limits.stopping_seconds
  }

  # What a machine is told (docs/vm.md). An absent key and an empty one are the same.
  metadata = { for name, place in local.placements : name => {
    for key, value in merge(
      {
        workspace        = place.workspace
        control_url      = local.url["lifecycle"]
        control_audience = local.url["lifecycle"]
        jwks_url         = local.jwks_url
        page_origin      = local.page_origin
        bundle_url       = "gs://${google_storage_bucket.vm.name}/vm/${var.bundle_sha256}.tar.gz"
        bundle_sha256    = var.bundle_sha256
        data_disk        = "pilotlight-data"
        domain_name      = place.domain
        ssl_email        = var.owner_email
        allowed_ip       = join(",", var.workspaces[place.workspace].allowed_ip)
        silence_seconds  = tostring(var.workspaces[place.workspace].limits.silence_seconds)
        hard_seconds     = tostring(var.workspaces[place.workspace].limits.hard_seconds)
        startup-script   = file("${path.module}/../vm/startup.sh")

        # People come by OS Login, with their own accounts and rights, and by no key of the project's.
        enable-oslogin         = "TRUE"
        block-project-ssh-keys = "TRUE"
        # What it says, goes to Cloud Logging, and nobody types at its console.
        serial-port-logging-enable = "TRUE"
        serial-port-enable         = "FALSE"
      },
      { for key, value in var.workspaces[place.workspace].comfyui : local.comfyui_keys[key] => value },
    ) : key => value if try(length(value) > 0, false)
  } }
}

resource "google_compute_instance" "placement" {
  for_each = local.placements

  name           = each.key
  description    = "Carries the workspace ${each.value.workspace}"
  zone           = each.value.zone
  machine_type   = each.value.machine_type
  labels         = { pilotlight-workspace = each.value.workspace }
  tags           = ["pilotlight", "pilotlight-${each.value.workspace}"]
  metadata       = local.metadata[each.key]
  desired_status = "TERMINATED"

  allow_stopping_for_update = false

  # Holds nothing that is missed.
  boot_disk {
    auto_delete = true
    initialize_params {
      image  = var.workspaces[each.value.workspace].boot.image
      size   = var.workspaces[each.value.workspace].boot.size_gb
      type   = "pd-balanced"
      labels = { pilotlight-workspace = each.value.workspace }
    }
  }

  # Only at the beginning, and only the first placement; where it is afterwards, lifecycle knows.
  dynamic "attached_disk" {
    for_each = each.value.index > 0 ? [] : [
      var.workspaces[each.value.workspace].disk.regional
      ? google_compute_region_disk.data[each.value.workspace].id
      : google_compute_disk.data[each.value.workspace].id
    ]
    content {
      source      = attached_disk.value
      device_name = "pilotlight-data"
    }
  }

  dynamic "guest_accelerator" {
    for_each = each.value.plugged_in ? [each.value.accelerator] : []
    content {
      type  = guest_accelerator.value
      count = 1
    }
  }

  network_interface {
    subnetwork = google_compute_subnetwork.pilotlight.id
    access_config {
      nat_ip = google_compute_address.placement[each.key].address
    }
  }

  scheduling {
    provisioning_model          = each.value.spot ? "SPOT" : "STANDARD"
    preemptible                 = each.value.spot
    instance_termination_action = "STOP"
    # A machine with a GPU cannot be moved; and nobody but lifecycle starts one.
    on_host_maintenance = "TERMINATE"
    automatic_restart   = false
    max_run_duration {
      seconds = local.max_run_seconds[each.value.workspace]
    }
  }

  shielded_instance_config {
    enable_vtpm                 = true
    enable_integrity_monitoring = true
    enable_secure_boot          = var.workspaces[each.value.workspace].boot.secure_boot
  }

  # The scope bounds what its role gives; the identity tokens by which lifecycle knows it need none.
  service_account {
    email  = google_service_account.vm.email
    scopes = ["https://www.googleapis.com/auth/devstorage.read_only"]
  }

  lifecycle {
    ignore_changes = [
      desired_status,
      attached_disk,
      boot_disk,
      # Cannot be changed in place: without this, another hard_seconds would make other machines.
      scheduling[0].max_run_duration,
      # Written by whoever came by SSH without OS Login.
      metadata["ssh-keys"],
    ]

    postcondition {
      condition     = self.scheduling[0].max_run_duration[0].seconds >= var.workspaces[each.value.workspace].limits.hard_seconds
      error_message = "Google would end ${each.key} after ${self.scheduling[0].max_run_duration[0].seconds} s, before its hard_seconds of ${var.workspaces[each.value.workspace].limits.hard_seconds}. That cannot be changed of a machine that exists: stop the workspace, then terraform apply -replace='google_compute_instance.placement[\"${each.key}\"]'. The data disk stays."
    }
  }
}

output "workspaces" {
  description = "By instance: where it is found, and how the owner gets in and looks whether all is well."
  value = { for name, place in local.placements : name => {
    origin = place.origin
    ssh    = "gcloud compute ssh ${name} --project ${var.project} --zone ${place.zone} --tunnel-through-iap"
    doctor = "gcloud compute ssh ${name} --project ${var.project} --zone ${place.zone} --tunnel-through-iap --command 'sudo pilotlight doctor'"
  } }
}

output "instance_ids" {
  description = "By instance: the number by which Google's logs know it."
  value       = { for name, it in google_compute_instance.placement : name => it.instance_id }
}
