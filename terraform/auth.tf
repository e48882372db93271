# auth: signs people in and out, publishes keys, and serves the page where it has no domain of its own.

resource "google_service_account" "auth" {
  account_id   = "pilotlight-auth"
  display_name = "Pilotlight: auth"
  depends_on   = [google_project_service.api]
}

resource "google_cloud_run_v2_service" "auth" {
  name        = "pilotlight-auth"
  description = "Signs people in and out"
  location    = var.region

  # With a domain, everybody comes by its load balancer: who came past it could write any address into X-Forwarded-For.
  ingress = var.page_domain == null ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"

  # Everybody gets as far as our own check (ADR 11).
  invoker_iam_disabled = true
  custom_audiences     = [local.url.auth]

  # There is nothing in it to lose.
  deletion_protection = false

  template {
    service_account                  = google_service_account.auth.email
    timeout                          = "30s"
    max_instance_request_concurrency = 80

    # Another version of the secrets is another revision: no two instances sign with different keys.
    labels = { secrets = var.secrets_version }

    scaling {
      min_instance_count = 0
      max_instance_count = 4
    }

    containers {
      image   = var.image
      command = ["/auth"]

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
        for_each = merge({
          PROJECT         = var.project
          FRAME_SOURCES   = local.frame_sources
          PAGE_ORIGIN     = local.page_origin
          TRUSTED_PROXIES = var.page_domain == null ? "1" : "2"
        }, var.page_domain == null ? { LIFECYCLE_ORIGIN = local.url.lifecycle } : {})
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = { SIGNING_KEY = "signing-key", USERS = "users" }
        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.secret[env.value].secret_id
              version = "latest"
            }
          }
        }
      }
    }
  }

  # A revision does not start before it can read its secrets.
  depends_on = [google_secret_manager_secret_version.first, google_secret_manager_secret_iam_member.auth]
}

resource "google_secret_manager_secret_iam_member" "auth" {
  for_each = toset(["signing-key", "users"])

  secret_id = google_secret_manager_secret.secret[each.key].id
  role      = google_project_iam_custom_role.secret.id
  member    = google_service_account.auth.member
}

# Failed attempts are noted and forgiven, tokens revoked. Firestore knows no rights on less than a database.
resource "google_project_iam_custom_role" "auth" {
  role_id     = "pilotlightAuth"
  title       = "Pilotlight: auth"
  description = "Failed attempts to sign in, and revoked tokens."

  permissions = [
    "datastore.entities.create",
    "datastore.entities.delete",
    "datastore.entities.get",
    "datastore.entities.update",
  ]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "auth" {
  project = var.project
  role    = google_project_iam_custom_role.auth.id
  member  = google_service_account.auth.member
}
