# What is claimed of the machines, their disks, their network and their account.

run "what_may_be_said_otherwise" {
  command = plan

  override_resource {
    target          = google_compute_address.placement
    override_during = plan
    values          = { address = "203.0.113.10" }
  }

  variables {
    dns_zone        = "example"
    data_on_destroy = "delete"
    webhooks        = {}
    workspaces = {
      one = {
        domain     = "one.example.com"
        allowed_ip = ["2001:db8::/48", "198.51.100.7", "203.0.113.9/24", "203.0.113.0/24"]
        placements = [{ zone = "us-central1-c", machine_type = "g2-standard-16", usd_per_hour = 1.15, price_date = "2026-11-20" }]
        disk       = { type = "pd-ssd", snapshot = "projects/p/global/snapshots/s" }
        boot       = { secure_boot = true, image = "projects/p/global/images/family/pilotlight-vm" }
        comfyui    = { version = "v0.34.0", manifest = "gs://b/manifest.json", acme_server = "staging", arguments = null }
      }
      two = {
        disk = { regional = true }
        # The second zone first: the disk does not care.
        placements = [
          { zone = "us-central1-b", machine_type = "a2-highgpu-1g" },
          { zone = "us-central1-a", machine_type = "g2-standard-8" },
        ]
      }
    }
  }

  assert {
    condition = { for key, record in google_dns_record_set.placement : key => "${record.managed_zone} ${record.name} ${record.type} ${join(" ", record.rrdatas)}" } == {
      comfyui-one-a = "example one.example.com. A 203.0.113.10"
    }
    error_message = "one placement is found at the domain itself, by a record of ours"
  }
  assert {
    condition     = length(output.dns_records) == 0 && output.workspaces["comfyui-one-a"].origin == "https://one.example.com" && output.workspaces["comfyui-two-b"].origin == "https://203.0.113.10"
    error_message = "where the machines are found"
  }
  assert {
    condition     = google_compute_firewall.https["one"].source_ranges == toset(["198.51.100.7/32", "203.0.113.0/24"])
    error_message = "ranges as Compute Engine takes them: IPv4, and with their first address"
  }
  assert {
    condition = { for key, value in google_compute_instance.placement["comfyui-one-a"].metadata : key => value if contains(values(local.comfyui_keys), key) || key == "allowed_ip" } == {
      comfyui_version = "v0.34.0", manifest = "gs://b/manifest.json", acme_server = "staging"
      allowed_ip      = "2001:db8::/48,198.51.100.7,203.0.113.9/24,203.0.113.0/24"
    }
    error_message = "nginx has all of allowed_ip, and ComfyUI's settings have their keys"
  }
  assert {
    condition = (
      local.placements["comfyui-one-a"].usd_per_hour == 1.15 && local.placements["comfyui-one-a"].price_date == "2026-11-20"
      && local.placements["comfyui-one-a"].accelerator == "nvidia-l4" && local.placements["comfyui-two-a"].accelerator == "nvidia-tesla-a100"
    )
    error_message = "the owner's price is taken, and what is built in is known"
  }
  assert {
    condition     = google_compute_region_disk.data["two"].replica_zones == tolist(["us-central1-a", "us-central1-b"])
    error_message = "another order of preference makes no other disk"
  }
  assert {
    condition = alltrue([for disk in concat(values(google_compute_disk.data), values(google_compute_region_disk.data)) :
      disk.deletion_policy == "DELETE"
    ])
    error_message = "who says delete, means it"
  }
}

# Applied, so that a later apply can be looked at: the machines, disks, network and account as they were said.
run "made" {
  command = apply

  override_resource {
    target = google_compute_address.placement
    values = { address = "203.0.113.10" }
  }

  # An ephemeral variable cannot be left out of a test that applies.
  variables {
    signing_key    = "unsaid"
    users          = "unsaid"
    first_password = "unsaid"
  }

  assert {
    condition     = toset(keys(google_compute_instance.placement)) == toset(["comfyui-main-a", "comfyui-main-b", "comfyui-small-a"])
    error_message = "one machine for each placement"
  }
  assert {
    condition = alltrue([for it in google_compute_instance.placement :
      it.desired_status == "TERMINATED" && it.allow_stopping_for_update == false
    ])
    error_message = "made off, and never stopped for an update"
  }
  assert {
    condition = alltrue([for name, it in google_compute_instance.placement :
      it.scheduling[0].instance_termination_action == "STOP"
      && it.scheduling[0].max_run_duration[0].seconds >= tonumber(it.metadata.hard_seconds)
      && it.scheduling[0].max_run_duration[0].seconds <= 120 * 86400
    ])
    error_message = "Google stops a machine some time after its hard limit, and deletes none"
  }
  assert {
    condition = alltrue([for it in google_compute_instance.placement :
      it.scheduling[0].on_host_maintenance == "TERMINATE" && it.scheduling[0].automatic_restart == false
    ])
    error_message = "a machine with a GPU is not moved, and nobody but lifecycle starts one"
  }
  assert {
    condition = { for name, it in google_compute_instance.placement : name => "${it.scheduling[0].provisioning_model} ${it.scheduling[0].preemptible}" } == {
      comfyui-main-a = "STANDARD false", comfyui-main-b = "SPOT true", comfyui-small-a = "STANDARD false"
    }
    error_message = "spot or standard, as was said"
  }
  assert {
    condition = (
      { for name, place in local.placements : name => place.accelerator if place.plugged_in } == { comfyui-small-a = "nvidia-tesla-t4" }
      && google_compute_instance.placement["comfyui-small-a"].guest_accelerator[0].type == "nvidia-tesla-t4"
      && google_compute_instance.placement["comfyui-small-a"].guest_accelerator[0].count == 1
    )
    error_message = "a GPU is plugged into N1, and is built into the others"
  }
  assert {
    condition = alltrue([for it in google_compute_instance.placement :
      it.service_account[0].email == google_service_account.vm.email
      && it.service_account[0].scopes == toset(["https://www.googleapis.com/auth/devstorage.read_only"])
    ])
    error_message = "its own account, never the default one, and a scope for reading buckets alone"
  }
  assert {
    condition = alltrue([for it in google_compute_instance.placement :
      it.shielded_instance_config[0].enable_vtpm && it.shielded_instance_config[0].enable_integrity_monitoring
      && it.metadata.enable-oslogin == "TRUE" && it.metadata.block-project-ssh-keys == "TRUE"
      && it.metadata.serial-port-enable == "FALSE" && it.metadata.serial-port-logging-enable == "TRUE"
    ])
    error_message = "shielded, OS Login only, nobody at the serial port, whose output is logged"
  }
  assert {
    condition = alltrue([for it in google_compute_instance.placement :
      length(it.network_interface) == 1 && it.network_interface[0].access_config[0].nat_ip == "203.0.113.10"
    ])
    error_message = "a reserved address each"
  }
  assert {
    condition = alltrue([for name, it in google_compute_instance.placement :
      it.labels.pilotlight-workspace == local.placements[name].workspace
      && it.boot_disk[0].initialize_params[0].labels.pilotlight-workspace == local.placements[name].workspace
      && it.boot_disk[0].auto_delete
      && it.tags == toset(["pilotlight", "pilotlight-${local.placements[name].workspace}"])
    ])
    error_message = "the sweep finds machines by their label, the firewall by their tags"
  }

  assert {
    condition = google_compute_instance.placement["comfyui-main-b"].metadata == tomap({
      workspace                  = "main"
      control_url                = local.url["lifecycle"]
      control_audience           = local.url["lifecycle"]
      jwks_url                   = "${local.page_origin}/.well-known/jwks.json"
      page_origin                = local.page_origin
      bundle_url                 = "gs://pilotlight-test-pilotlight-vm/vm/${var.bundle_sha256}.tar.gz"
      bundle_sha256              = var.bundle_sha256
      data_disk                  = "pilotlight-data"
      domain_name                = "b.comfy.example.com"
      ssl_email                  = "owner@example.com"
      allowed_ip                 = "203.0.113.0/24"
      silence_seconds            = "600"
      hard_seconds               = "43200"
      startup-script             = file("../vm/startup.sh")
      enable-oslogin             = "TRUE"
      block-project-ssh-keys     = "TRUE"
      serial-port-enable         = "FALSE"
      serial-port-logging-enable = "TRUE"
    })
    error_message = "what a machine with a name is told"
  }
  assert {
    condition     = length(setintersection(keys(google_compute_instance.placement["comfyui-small-a"].metadata), ["domain_name", "allowed_ip"])) == 0
    error_message = "nothing of what was not said"
  }
  # Whatever vm/startup.sh needs is told, and no key but its own is.
  assert {
    condition = alltrue([for name in split(" ", regex("NEEDED=\\(([A-Z0-9_ ]+)\\)", file("../vm/startup.sh"))[0]) :
      alltrue([for it in google_compute_instance.placement : contains(keys(it.metadata), lower(name))])
    ])
    error_message = "what vm/startup.sh cannot do without"
  }
  assert {
    condition = length(setsubtract(
      concat(keys(google_compute_instance.placement["comfyui-main-a"].metadata), values(local.comfyui_keys)),
      concat(
        [for name in split(" ", replace(regex("SETTINGS=\\(([A-Z0-9_\\s]+)\\)", file("../vm/startup.sh"))[0], "/\\s+/", " ")) : lower(name)],
        ["startup-script", "enable-oslogin", "block-project-ssh-keys", "serial-port-enable", "serial-port-logging-enable"]
      )
    )) == 0
    error_message = "a key that vm/startup.sh does not read"
  }

  # What the functions are told of them.
  assert {
    condition = jsondecode(local.workspaces_json) == [
      {
        id     = "main", title = "ComfyUI", time_zone = "UTC", disk = "comfyui-main-data"
        spot   = "last", notify = true
        budget = { monthly_usd = 50, per_user_usd = 20, when_used_up = "next_idle" }
        limits = {
          idle_seconds    = 1800, arrival_seconds = 900, hard_seconds = 43200, drain_seconds = 180, silence_seconds = 600
          booting_seconds = 1200, placing_seconds = 600, stopping_seconds = 600
        }
        placements = [
          {
            instance    = "comfyui-main-a", zone = "us-central1-a", spot = false, machine_type = "g2-standard-4"
            accelerator = "nvidia-l4", usd_per_hour = 0.70683, price_date = "2026-07-30", origin = "https://a.comfy.example.com"
          },
          {
            instance    = "comfyui-main-b", zone = "us-central1-b", spot = true, machine_type = "g2-standard-4"
            accelerator = "nvidia-l4", usd_per_hour = 0.39734, price_date = "2026-07-30", origin = "https://b.comfy.example.com"
          },
        ]
      },
      {
        id = "small", title = "Small", time_zone = "UTC", members = ["ada"]
        limits = {
          idle_seconds    = 1800, arrival_seconds = 900, hard_seconds = 43200, drain_seconds = 180, silence_seconds = 600
          booting_seconds = 1200, placing_seconds = 600, stopping_seconds = 600
        }
        placements = [{
          instance    = "comfyui-small-a", zone = "us-central1-a", spot = false, machine_type = "n1-standard-4"
          accelerator = "nvidia-tesla-t4", usd_per_hour = 0.54, price_date = "2026-07-30", origin = "https://203.0.113.10"
        }]
      },
    ]
    error_message = "WORKSPACES, as functions/wire/src/config.rs reads it"
  }
  assert {
    condition     = local.frame_sources == "https://a.comfy.example.com,https://b.comfy.example.com,https://203.0.113.10"
    error_message = "what the page may frame"
  }

  assert {
    condition = (
      keys(google_compute_disk.data) == ["small"] && google_compute_disk.data["small"].name == "comfyui-small-data"
      && google_compute_disk.data["small"].size == 100 && google_compute_disk.data["small"].zone == "us-central1-a"
      && keys(google_compute_region_disk.data) == ["main"] && google_compute_region_disk.data["main"].name == "comfyui-main-data"
      && google_compute_region_disk.data["main"].replica_zones == tolist(["us-central1-a", "us-central1-b"])
    )
    error_message = "one data disk for each workspace, in the zones of its placements"
  }
  assert {
    condition = alltrue([for disk in concat(values(google_compute_disk.data), values(google_compute_region_disk.data)) :
      disk.deletion_policy == "PREVENT" && contains(keys(disk.labels), "pilotlight-workspace")
    ])
    error_message = "a data disk is not deleted unless its owner says so"
  }
  assert {
    condition = { for name, it in google_compute_instance.placement : name => join(" ", it.attached_disk[*].device_name) } == {
      comfyui-main-a = "pilotlight-data", comfyui-main-b = "", comfyui-small-a = "pilotlight-data"
    }
    error_message = "the disk begins at the first placement"
  }
  assert {
    condition = (
      google_compute_resource_policy.snapshots.snapshot_schedule_policy[0].schedule[0].daily_schedule[0].days_in_cycle == 1
      && google_compute_resource_policy.snapshots.snapshot_schedule_policy[0].retention_policy[0].max_retention_days == 7
      && google_compute_resource_policy.snapshots.snapshot_schedule_policy[0].retention_policy[0].on_source_disk_delete == "KEEP_AUTO_SNAPSHOTS"
      && [for it in google_compute_disk_resource_policy_attachment.snapshots : it.disk] == ["comfyui-small-data"]
      && [for it in google_compute_region_disk_resource_policy_attachment.snapshots : it.disk] == ["comfyui-main-data"]
    )
    error_message = "a snapshot of each disk every night, kept for a week"
  }

  # All rules there are; one that is added elsewhere is counted.
  assert {
    condition = sort(concat(
      [for it in concat([google_compute_firewall.http, google_compute_firewall.ssh], values(google_compute_firewall.https)) :
      "${it.name}: ${join(" ", sort(it.source_ranges))} to ${join(" ", sort(it.target_tags))}, ${join(" ", flatten([for allow in it.allow : [allow.protocol, allow.ports]]))}"]
      )) == sort([
      "pilotlight-http: 0.0.0.0/0 to pilotlight, tcp 80",
      "pilotlight-https-main: 203.0.113.0/24 to pilotlight-main, tcp 443",
      "pilotlight-https-small: 0.0.0.0/0 to pilotlight-small, tcp 443",
      "pilotlight-ssh: 35.235.240.0/20 to pilotlight, tcp 22",
    ])
    error_message = "80 and 443 from outside, SSH by IAP, and nothing else"
  }
  assert {
    condition     = length(flatten([for path in fileset(".", "*.tf") : regexall("resource \"google_compute_(?:region_)?(?:network_)?firewall", file(path))])) == length(distinct([google_compute_firewall.http.name, google_compute_firewall.ssh.name, "pilotlight-https"]))
    error_message = "a rule that the test above does not know"
  }
  assert {
    condition     = !google_compute_network.pilotlight.auto_create_subnetworks && google_compute_subnetwork.pilotlight.private_ip_google_access
    error_message = "a network with one subnet, and Google's services by Google's network"
  }

  assert {
    condition = (
      google_storage_bucket.vm.public_access_prevention == "enforced" && google_storage_bucket.vm.uniform_bucket_level_access
      && google_storage_bucket.vm.versioning[0].enabled && google_storage_bucket.vm.force_destroy != true
    )
    error_message = "the bucket is private, and what was overwritten is kept"
  }
  assert {
    condition     = google_project_iam_custom_role.vm.permissions == toset(["storage.objects.get"]) && google_storage_bucket_iam_member.vm.member == google_service_account.vm.member
    error_message = "the machines read their bucket, and may nothing else"
  }
  assert {
    condition     = toset(output.dns_records) == toset(["a.comfy.example.com. 300 IN A 203.0.113.10", "b.comfy.example.com. 300 IN A 203.0.113.10"]) && length(google_dns_record_set.placement) == 0
    error_message = "without a zone, the owner is told which records to make"
  }
}

run "a_later_apply_makes_no_machine_anew" {
  command = plan
  variables {
    bundle_sha256 = "2222222222222222222222222222222222222222222222222222222222222222"
    webhooks      = {}
    workspaces = {
      main = {
        domain = "comfy.example.com"
        disk   = { size_gb = 300, regional = true }
        boot   = { image = "projects/p/global/images/family/pilotlight-vm", size_gb = 80 }
        limits = { hard_seconds = 7200 }
        placements = [
          { zone = "us-central1-a", machine_type = "g2-standard-4" },
          { zone = "us-central1-b", machine_type = "g2-standard-4", spot = true },
        ]
      }
      small = {
        title      = "Smaller"
        disk       = { size_gb = 100 }
        placements = [{ zone = "us-central1-a", machine_type = "n1-standard-4", accelerator = "nvidia-tesla-t4" }]
      }
    }
  }

  # Of a machine that is made anew, it would not be known yet.
  assert {
    condition     = { for name, it in google_compute_instance.placement : name => it.instance_id } == run.made.instance_ids
    error_message = "a machine is made anew"
  }
  assert {
    condition = alltrue([for it in google_compute_instance.placement :
      it.metadata.bundle_sha256 == var.bundle_sha256 && it.boot_disk[0].initialize_params[0].size == 50
    ])
    error_message = "what a machine is told changes in place, what it was made of does not"
  }
}

run "a_hard_limit_that_google_would_cut_short_is_refused" {
  command = plan
  variables {
    webhooks = {}
    workspaces = {
      small = {
        limits     = { hard_seconds = 86400 }
        disk       = { size_gb = 100 }
        placements = [{ zone = "us-central1-a", machine_type = "n1-standard-4", accelerator = "nvidia-tesla-t4" }]
      }
    }
  }
  expect_failures = [google_compute_instance.placement]
}
