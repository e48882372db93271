# reaper: the sweep, the schedule that asks for it, and exactly its rights.

resource "google_service_account" "reaper" {
  account_id   = "pilotlight-reaper"
  display_name = "Pilotlight: reaper"
  depends_on   = [google_project_service.api]
}

resource "google_cloud_run_v2_service" "reaper" {
  name        = "pilotlight-reaper"
  description = "Stops what is idle and repairs what is not as it should be"
  location    = var.region

  # Cloud Scheduler of the same project counts as inside.
  ingress = "INGRESS_TRAFFIC_INTERNAL_ONLY"

  # And must still pass our own check (ADR 11).
  invoker_iam_disabled = true
  custom_audiences     = [local.url.reaper]

  deletion_protection = false

  template {
    service_account = google_service_account.reaper.email
    timeout         = "300s"

    # Cloud Scheduler never has two under way; the second is for one that it gave up.
    max_instance_request_concurrency = 10

    scaling {
      min_instance_count = 0
      max_instance_count = 2
    }

    containers {
      image   = var.image
      command = ["/reaper"]

      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = "1", memory = "512Mi" }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 1
        failure_threshold = 15

        http_get {
          path = "/healthz"
        }
      }

      dynamic "env" {
        for_each = {
          PROJECT        = var.project
          WORKSPACES     = local.workspaces_json
          NUDGE_TOPIC    = google_pubsub_topic.nudges.id
          SWEEP_AUDIENCE = local.url.reaper
          SWEEP_EMAILS   = google_service_account.sweep.email
        }
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  depends_on = [google_project_service.api]
}

# Records and runs, and the list of machines, which knows no condition on names.
resource "google_project_iam_custom_role" "reaper" {
  role_id     = "pilotlightReaper"
  title       = "Pilotlight: reaper"
  description = "Workspaces' records, and the list of instances."

  permissions = [
    "compute.instances.list",
    "datastore.entities.create",
    "datastore.entities.get",
    "datastore.entities.list",
    "datastore.entities.update",
  ]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "reaper" {
  project = var.project
  role    = google_project_iam_custom_role.reaper.id
  member  = google_service_account.reaper.member
}

# It stops what no record knows; everything else it leaves to lifecycle, by a nudge.
resource "google_project_iam_custom_role" "reaper_machines" {
  role_id     = "pilotlightReaperMachines"
  title       = "Pilotlight: reaper, on its machines"
  description = "Stops instances."
  permissions = ["compute.instances.stop"]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "reaper_machines" {
  project = var.project
  role    = google_project_iam_custom_role.reaper_machines.id
  member  = google_service_account.reaper.member

  condition {
    title       = "machines"
    description = "Instances and disks of workspaces"
    expression  = local.is_machine
  }
}

# Signs the token that reaper checks. It may do nothing else.
resource "google_service_account" "sweep" {
  account_id   = "pilotlight-sweep"
  display_name = "Pilotlight: Cloud Scheduler"
  depends_on   = [google_project_service.api]
}

resource "google_service_account_iam_member" "sweep_signer" {
  service_account_id = google_service_account.sweep.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.agent.scheduler
}

resource "google_cloud_scheduler_job" "sweep" {
  name        = "pilotlight-sweep"
  description = "One sweep of the reaper"
  region      = var.region
  schedule    = "* * * * *"
  time_zone   = "Etc/UTC"

  # reaper answers within 150 s (SWEEP_TIME_MAX, functions/reaper/src/process.rs). A late sweep delays the next.
  attempt_deadline = "180s"

  # The next one is due in a minute anyway.
  retry_config {
    retry_count          = 2
    min_backoff_duration = "5s"
    max_backoff_duration = "20s"
  }

  http_target {
    http_method = "POST"
    uri         = "${local.url.reaper}/sweep"

    oidc_token {
      service_account_email = google_service_account.sweep.email
      audience              = local.url.reaper
    }
  }

  depends_on = [google_cloud_run_v2_service.reaper, google_service_account_iam_member.sweep_signer]
}
