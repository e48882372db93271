# What is refused before anything is planned. Each of these is wrong in one thing, so that nothing else refuses it: what is
# right but for that is in vm.tftest.hcl. What the owner reads is in workspaces.tf. One kind of resource is planned, which
# hangs on the workspaces and on little else, since each plan takes its time.

run "no_workspace" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = {}
  }
  expect_failures = [var.workspaces]
}

run "an_id_in_capitals" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { Main = { placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "an_empty_title" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { title = " ", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "no_placement" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [] } }
  }
  expect_failures = [var.workspaces]
}

run "seven_placements" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { disk = { regional = true }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4" }, { zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4" }, { zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4" }, { zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "more_placements_than_the_page_may_frame" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { for n in range(9) : "w${n}" => { disk = { regional = true }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4" }, { zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4" }, { zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "several_placements_without_a_regional_disk" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_placement_in_a_third_zone" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { disk = { regional = true }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4" }, { zone = "us-central1-c", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_regional_disk_for_one_placement" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { disk = { regional = true }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_zone_of_another_region" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-east1-b", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_machine_that_takes_no_persistent_disk" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-central1-a", machine_type = "a3-highgpu-1g" }] } }
  }
  expect_failures = [var.workspaces]
}

run "n1_without_a_gpu" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-central1-a", machine_type = "n1-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "g2_with_another_gpu" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4", usd_per_hour = 1, accelerator = "nvidia-tesla-t4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_machine_without_a_price" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-central1-a", machine_type = "g2-standard-16" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_gpu_that_the_price_is_not_of" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-central1-a", machine_type = "n1-standard-4", accelerator = "nvidia-tesla-v100" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_negative_price" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4", usd_per_hour = -1 }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_day_that_there_is_not" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4", usd_per_hour = 1, price_date = "2026-02-29" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_disk_that_is_too_small" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { disk = { size_gb = 19 }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_disk_of_another_kind" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { disk = { type = "hyperdisk-balanced" }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_boot_disk_that_is_too_small" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { boot = { size_gb = 10 }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "an_image_that_is_none" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { boot = { image = "ubuntu" }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_limit_out_of_bounds" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { limits = { silence_seconds = 89 }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_hard_limit_within_the_announcement" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { limits = { hard_seconds = 239 }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_time_zone_that_is_none" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { time_zone = "+02:00", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "an_address_for_a_domain" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { domain = "https://comfy.example.com", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_domain_of_two" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { one = { domain = "comfy.example.com", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] }, two = { domain = "comfy.example.com", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "an_allowed_ip_that_is_none" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { allowed_ip = ["203.0.113.0/33"], placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "too_many_of_allowed_ip" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { allowed_ip = [for n in range(1001) : "10.0.${floor(n / 256)}.${n % 256}"], placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "an_allowed_ip_that_nobody_has" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { allowed_ip = ["2001:db8::/48"], placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "nobody_as_members" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { members = [], placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_setting_that_no_vm_knows" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { comfyui = { versoin = "v0.34.0" }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "half_a_digest" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { comfyui = { sha256 = "abc" }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "spot_in_between" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { spot = "true", disk = { regional = true }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4", spot = true }] } }
  }
  expect_failures = [var.workspaces]
}

run "an_order_of_one_kind" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { spot = "first", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_budget_without_an_amount" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { budget = { when_used_up = "hard_limit" }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_budget_of_nothing" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { budget = { monthly_usd = 50, per_user_usd = 0 }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_budget_that_ends_otherwise" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { budget = { monthly_usd = 50, when_used_up = "now" }, placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

run "a_shape_that_is_none" {
  command = plan
  plan_options { target = [google_compute_firewall.https] }
  variables {
    workspaces = { main = { notify = "teams", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
  }
  expect_failures = [var.workspaces]
}

# What is wrong with a webhook, resources say (webhooks.tf).
run "a_workspace_without_its_webhook" {
  command = plan
  plan_options { target = [google_cloud_run_v2_service.lifecycle] }
  variables {
    workspaces = { main = { notify = "json", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
    webhooks   = {}
  }
  expect_failures = [google_cloud_run_v2_service.lifecycle]
}

run "a_webhook_of_a_workspace_that_does_not_tell" {
  command = plan
  plan_options { target = [google_cloud_run_v2_service.lifecycle] }
  variables {
    workspaces = { main = { placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
    webhooks   = { main = { url = "https://hooks.example.com/a", secret = "whsec_bm9ib2R5IG1heSBzZWUgdGhpcyB3aGljaCBpcyBub3QgaGVyZQ==" } }
  }
  expect_failures = [google_cloud_run_v2_service.lifecycle]
}

run "a_webhook_without_encryption" {
  command = plan
  plan_options { target = [google_secret_manager_secret_version.webhooks] }
  variables {
    workspaces = { main = { notify = "json", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
    webhooks   = { main = { url = "http://hooks.example.com/a", secret = "whsec_bm9ib2R5IG1heSBzZWUgdGhpcyB3aGljaCBpcyBub3QgaGVyZQ==" } }
  }
  expect_failures = [google_secret_manager_secret_version.webhooks]
}

run "a_webhook_at_an_address_of_digits" {
  command = plan
  plan_options { target = [google_secret_manager_secret_version.webhooks] }
  variables {
    workspaces = { main = { notify = "json", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
    webhooks   = { main = { url = "https://169.254.169.254/a", secret = "whsec_bm9ib2R5IG1heSBzZWUgdGhpcyB3aGljaCBpcyBub3QgaGVyZQ==" } }
  }
  expect_failures = [google_secret_manager_secret_version.webhooks]
}

run "a_webhook_with_a_user" {
  command = plan
  plan_options { target = [google_secret_manager_secret_version.webhooks] }
  variables {
    workspaces = { main = { notify = "json", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
    webhooks   = { main = { url = "https://ada:pw@hooks.example.com/a", secret = "whsec_bm9ib2R5IG1heSBzZWUgdGhpcyB3aGljaCBpcyBub3QgaGVyZQ==" } }
  }
  expect_failures = [google_secret_manager_secret_version.webhooks]
}

run "a_webhook_without_a_secret" {
  command = plan
  plan_options { target = [google_secret_manager_secret_version.webhooks] }
  variables {
    workspaces = { main = { notify = "json", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] } }
    webhooks   = { main = { url = "https://hooks.example.com/a", secret = "" } }
  }
  expect_failures = [google_secret_manager_secret_version.webhooks]
}
