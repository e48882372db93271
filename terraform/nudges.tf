# Nudges: a message names a workspace, and lifecycle's worker looks at it. Who publishes is told where the functions are.

resource "google_pubsub_topic" "nudges" {
  name       = "pilotlight-nudges"
  depends_on = [google_project_service.api]
}

resource "google_pubsub_subscription" "nudges" {
  name  = google_pubsub_topic.nudges.name
  topic = google_pubsub_topic.nudges.id

  # The worker answers when the workspace is as it should be, or its time is up: ten minutes, the most that there is.
  ack_deadline_seconds = 600

  # A nudge of yesterday tells nothing that the sweep does not know.
  message_retention_duration = "86400s"

  push_config {
    push_endpoint = "${local.url.lifecycle}/push/nudge"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.url.lifecycle
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead["nudges"].id
    max_delivery_attempts = 10
  }

  # Left alone, a subscription would be deleted after a month without a run.
  expiration_policy {
    ttl = ""
  }

  depends_on = [google_cloud_run_v2_service.lifecycle, google_service_account_iam_member.push_signer]
}

resource "google_project_iam_custom_role" "nudge" {
  role_id     = "pilotlightNudge"
  title       = "Pilotlight: nudger"
  description = "Publishes on the topic that it is bound on."
  permissions = ["pubsub.topics.publish"]

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic_iam_member" "nudge" {
  for_each = {
    lifecycle = google_service_account.lifecycle.member
    reaper    = google_service_account.reaper.member
  }

  topic  = google_pubsub_topic.nudges.id
  role   = google_project_iam_custom_role.nudge.id
  member = each.value
}
