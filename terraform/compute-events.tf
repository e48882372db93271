# Compute Engine's own events: what befell an instance of ours, from the audit log to lifecycle. They are hints, late or
# never; the sweep is what the machines are held by.

locals {
  # What Google does by itself, and what somebody asks for, ours included: what functions/lifecycle/src/log_entry.rs knows
  # and that moves a machine.
  machine_doings = [
    "preempted", "guestTerminate", "hostError", "terminateOnHostMaintenance", "deferredStop", "deferredDelete",
    "instanceManagerHaltForRestart", "stoppedDueToPdDoubleServe", "kmsKeyError", "automaticRestart",
    "repair.recreateInstance",
  ]
  machine_calls = ["start", "resume", "stop", "suspend", "delete", "insert", "reset"]
}

resource "google_pubsub_topic" "compute_events" {
  name       = "pilotlight-compute-events"
  depends_on = [google_project_service.api]
}

# Both logs are always on, and free. Of a call the entry is taken that tells its end.
resource "google_logging_project_sink" "compute_events" {
  name        = "pilotlight-compute-events"
  description = "What befell an instance that carries a workspace"
  destination = "pubsub.googleapis.com/${google_pubsub_topic.compute_events.id}"

  filter = <<-EOT
    resource.type="gce_instance"
    AND protoPayload.resourceName=~"/instances/comfyui-"
    AND (
      (log_id("cloudaudit.googleapis.com/system_event")
       AND protoPayload.methodName=(${join(" OR ", [for it in local.machine_doings : "\"compute.instances.${it}\""])}))
      OR
      (log_id("cloudaudit.googleapis.com/activity")
       AND protoPayload.methodName=~"^(v1|beta|alpha)\.compute\.instances\.(${join("|", local.machine_calls)})$"
       AND operation.last=true)
    )
  EOT

  unique_writer_identity = true
}

# The log's own account. One permission, pubsub.topics.publish, on this one topic.
resource "google_pubsub_topic_iam_member" "compute_events" {
  topic  = google_pubsub_topic.compute_events.id
  role   = "roles/pubsub.publisher"
  member = google_logging_project_sink.compute_events.writer_identity
}

resource "google_pubsub_subscription" "compute_events" {
  name  = google_pubsub_topic.compute_events.name
  topic = google_pubsub_topic.compute_events.id

  # As of a nudge: the worker looks before it is answered.
  ack_deadline_seconds       = 600
  message_retention_duration = "86400s"

  push_config {
    push_endpoint = "${local.url.lifecycle}/push/compute-events"

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
    dead_letter_topic     = google_pubsub_topic.dead["compute-events"].id
    max_delivery_attempts = 10
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [google_cloud_run_v2_service.lifecycle, google_service_account_iam_member.push_signer]
}
