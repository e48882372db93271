# lifecycle: starts, stops and opens workspaces. Browsers, VMs and Pub/Sub call it.

resource "google_service_account" "lifecycle" {
  account_id   = "pilotlight-lifecycle"
  display_name = "Pilotlight: lifecycle"
  depends_on   = [google_project_service.api]
}

resource "google_cloud_run_v2_service" "lifecycle" {
  name        = "pilotlight-lifecycle"
  description = "Starts, stops and opens workspaces"
  location    = var.region

  # VMs call it at its own address, with or without a domain.
  ingress = "INGRESS_TRAFFIC_ALL"

  # Everybody gets as far as our own check (ADR 11).
  invoker_iam_disabled = true
  custom_audiences     = [local.url.lifecycle]

  deletion_protection = false

  template {
    service_account = google_service_account.lifecycle.email

    # A push waits for the worker, for as long as Pub/Sub does; each keeps a place meanwhile.
    timeout                          = "600s"
    max_instance_request_concurrency = 250

    # Secrets are read when an instance starts: others are another revision.
    labels = merge(
      { secrets = var.secrets_version },
      { for name in local.notifies : name => local.webhooks_version },
    )

    scaling {
      min_instance_count = 0
      max_instance_count = 10
    }

    containers {
      image   = var.image
      command = ["/lifecycle"]

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
          PROJECT       = var.project
          WORKSPACES    = local.workspaces_json
          NUDGE_TOPIC   = google_pubsub_topic.nudges.id
          JWKS_URL      = local.jwks_url
          VM_AUDIENCE   = local.url.lifecycle
          VM_EMAILS     = google_service_account.vm.email
          PUSH_AUDIENCE = local.url.lifecycle
          PUSH_EMAILS   = google_service_account.push.email
          PAGE_ORIGIN   = local.page_origin
        }
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = merge(
          { SIGNING_KEY = google_secret_manager_secret.secret["signing-key"].secret_id },
          { for name in local.notifies : "WEBHOOKS" => google_secret_manager_secret.secret[name].secret_id },
        )
        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }
    }
  }

  # A revision does not start before it can read its secrets.
  depends_on = [
    google_secret_manager_secret_version.first, google_secret_manager_secret_version.webhooks,
    google_secret_manager_secret_iam_member.lifecycle, google_secret_manager_secret_iam_member.webhooks,
  ]

  lifecycle {
    precondition {
      condition     = keys(var.webhooks) == keys(local.notifying)
      error_message = "webhooks must have an entry for each workspace that says notify, and for no other. Those that say it: ${length(local.notifying) == 0 ? "none" : join(", ", keys(local.notifying))}. Say webhooks in every run, in terraform.tfvars or as TF_VAR_webhooks."
    }
  }
}

resource "google_secret_manager_secret_iam_member" "lifecycle" {
  secret_id = google_secret_manager_secret.secret["signing-key"].id
  role      = google_project_iam_custom_role.secret.id
  member    = google_service_account.lifecycle.member
}

# Records and runs, which it never deletes; and how a call to Compute Engine is doing: an operation's name has chance in
# it, so that a condition on names would shut it out.
resource "google_project_iam_custom_role" "lifecycle" {
  role_id     = "pilotlightLifecycle"
  title       = "Pilotlight: lifecycle"
  description = "Workspaces' records, and the operations of Compute Engine."

  permissions = [
    "compute.zoneOperations.get",
    "datastore.entities.create",
    "datastore.entities.get",
    "datastore.entities.list",
    "datastore.entities.update",
  ]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "lifecycle" {
  project = var.project
  role    = google_project_iam_custom_role.lifecycle.id
  member  = google_service_account.lifecycle.member
}

# Not among them: to create, to delete, to set metadata (which is code that a machine runs). To attach a disk by force, off
# an instance whose zone is gone, takes no other right than to attach it.
resource "google_project_iam_custom_role" "lifecycle_machines" {
  role_id     = "pilotlightLifecycleMachines"
  title       = "Pilotlight: lifecycle, on its machines"
  description = "Looks at, starts and stops instances, and moves a data disk from one to another."

  permissions = [
    "compute.disks.use",
    "compute.instances.attachDisk",
    "compute.instances.detachDisk",
    "compute.instances.get",
    "compute.instances.start",
    "compute.instances.stop",
  ]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "lifecycle_machines" {
  project = var.project
  role    = google_project_iam_custom_role.lifecycle_machines.id
  member  = google_service_account.lifecycle.member

  condition {
    title       = "machines"
    description = "Instances and disks of workspaces"
    expression  = local.is_machine
  }
}

# Whoever attaches a disk to a machine could have it run what is on the disk, so Compute Engine asks for the right to act
# as the machine's account. Only where a disk moves, and only as this one.
resource "google_project_iam_custom_role" "act_as_vm" {
  role_id     = "pilotlightActAsVm"
  title       = "Pilotlight: mover of disks"
  description = "Attaches a disk to a machine that runs as the account that this is bound on."
  permissions = ["iam.serviceAccounts.actAs"]

  depends_on = [google_project_service.api]
}

resource "google_service_account_iam_member" "lifecycle_acts_as_vm" {
  count = anytrue([for it in var.workspaces : length(it.placements) > 1]) ? 1 : 0

  service_account_id = google_service_account.vm.name
  role               = google_project_iam_custom_role.act_as_vm.id
  member             = google_service_account.lifecycle.member
}
