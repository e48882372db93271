# What must not be known: the key that signs, who may sign in, and the first user's password, which no function reads.
# Terraform passes the values through and keeps none of them: neither plan nor state has them (ADR 11).

locals {
  # Whose values are made or said here; where people are told, webhooks.tf says.
  own_secrets = ["signing-key", "users", "first-password"]

  secrets = {
    signing-key    = var.signing_key
    users          = var.users
    first-password = var.first_password
  }
}

resource "google_secret_manager_secret" "secret" {
  for_each = toset(concat(local.own_secrets, local.notifies))

  secret_id = "pilotlight-${each.key}"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_version" "first" {
  for_each = toset(local.own_secrets)

  secret = google_secret_manager_secret.secret[each.key].id

  # Terraform cannot see that a value has changed; the number says so.
  secret_data_wo         = coalesce(local.secrets[each.key], local.unsaid)
  secret_data_wo_version = var.secrets_version

  # `latest` names one at any time.
  lifecycle {
    create_before_destroy = true
  }
}

# roles/secretmanager.secretAccessor would do, and may read the project and list its versions too.
resource "google_project_iam_custom_role" "secret" {
  role_id     = "pilotlightSecret"
  title       = "Pilotlight: reader of a secret"
  description = "Reads the value of the secret that it is bound on."
  permissions = ["secretmanager.versions.access"]

  depends_on = [google_project_service.api]
}
