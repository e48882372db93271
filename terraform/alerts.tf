# What the owner is told by e-mail, before the bill says it.
#
# All of it is watched from outside: by Cloud Run, Pub/Sub and Compute Engine, and by what the functions log in passing. Cloud
# Scheduler has no metrics; that it does its part is seen by reaper's answers.

resource "google_monitoring_notification_channel" "owner" {
  display_name = "Pilotlight's owner"
  type         = "email"
  labels       = { email_address = var.owner_email }

  depends_on = [google_project_service.api]
}

locals {
  # How long a machine may be up: its hard limit, which begins with the start, and what a sweep and a stop may take.
  uptime_seconds = { for id, workspace in var.workspaces : id => workspace.limits.hard_seconds + 600 }

  # A run that has failed, as log_turn writes it (functions/service/src/logs.rs). `from`, because a record that has failed
  # may still turn.
  failed_run = {
    services = [google_cloud_run_v2_service.lifecycle.name, google_cloud_run_v2_service.reaper.name]
    fields   = { message = "workspace", phase = "Failed" }
    not      = { from = "Failed" }
  }
  failed_run_filter = join(" AND ", concat(
    ["resource.type=\"cloud_run_revision\""],
    ["resource.labels.service_name=(${join(" OR ", [for it in local.failed_run.services : "\"${it}\""])})"],
    [for name, value in local.failed_run.fields : "jsonPayload.${name}=\"${value}\""],
    [for name, value in local.failed_run.not : "jsonPayload.${name}!=\"${value}\""],
  ))
}

# Control plane and machine have both failed to stop it. Compute Engine is next (max_run_duration), and costs until then.
resource "google_monitoring_alert_policy" "uptime" {
  for_each = var.workspaces

  display_name          = "Pilotlight: a machine of ${each.key} is up for too long"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [google_monitoring_notification_channel.owner.id]

  conditions {
    display_name = "Up for longer than ${local.uptime_seconds[each.key]} s, its hard limit and ten minutes"

    condition_threshold {
      filter = join(" AND ", [
        "metric.type=\"compute.googleapis.com/instance/uptime_total\"",
        "resource.type=\"gce_instance\"",
        "metric.labels.instance_name=one_of(${join(", ", [for name, place in local.declared : "\"${name}\"" if place.workspace == each.key])})",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = local.uptime_seconds[each.key]
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content = <<-EOT
      Neither the control plane nor the machine itself has stopped it. Stop it by hand:
      `gcloud compute instances list --project=${var.project} --filter=labels.pilotlight-workspace=${each.key}`, then
      `gcloud compute instances stop INSTANCE --zone=ZONE --project=${var.project}`. Its data disk stays as it is.
    EOT
  }
}

# The reaper stops what is idle; without its sweeps only the machines do.
resource "google_monitoring_alert_policy" "sweep" {
  display_name          = "Pilotlight: no sweep for 10 minutes"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [google_monitoring_notification_channel.owner.id]

  conditions {
    display_name = "reaper has answered no sweep"

    condition_absent {
      filter = join(" AND ", [
        "metric.type=\"run.googleapis.com/request_count\"",
        "resource.type=\"cloud_run_revision\"",
        "resource.labels.service_name=\"${google_cloud_run_v2_service.reaper.name}\"",
        "metric.labels.response_code_class=\"2xx\"",
      ])
      duration = "600s"

      # Of all revisions together: an old one falls silent when a new one takes over.
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.labels.service_name"]
      }
    }
  }

  documentation {
    content = <<-EOT
      Machines still end themselves, later. Is the job there and not paused?
      `gcloud scheduler jobs describe pilotlight-sweep --location=${var.region} --project=${var.project}`. What does reaper say?
      `gcloud logging read 'resource.labels.service_name=pilotlight-reaper' --project=${var.project} --limit=20`
    EOT
  }
}

# What could not be delivered for as long as it was tried.
resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "Pilotlight: messages that nobody takes"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = [google_monitoring_notification_channel.owner.id]

  conditions {
    display_name = "There are dead letters"

    condition_threshold {
      filter = join(" AND ", [
        "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"",
        "resource.type=\"pubsub_subscription\"",
        "resource.labels.subscription_id=one_of(${join(", ", [for it in google_pubsub_subscription.dead : "\"${it.name}\""])})",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content = <<-EOT
      lifecycle has refused them, or was not there. The sweep has made up for it meanwhile; what is left to find out is why:
      `gcloud logging read 'resource.labels.service_name=pilotlight-lifecycle severity>=WARNING' --project=${var.project} --limit=20`.
      Taken out once looked at: `gcloud pubsub subscriptions pull SUBSCRIPTION --auto-ack --limit=100 --project=${var.project}`
    EOT
  }
}

# By the entry itself and not by a metric of it: a policy is refused until its metric is known, and the e-mail says more.
resource "google_monitoring_alert_policy" "failed_runs" {
  display_name          = "Pilotlight: a workspace could not be started or stopped"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = [google_monitoring_notification_channel.owner.id]

  conditions {
    display_name = "A run has failed"

    condition_matched_log {
      filter = local.failed_run_filter

      label_extractors = {
        workspace = "EXTRACT(jsonPayload.workspace)"
        because   = "EXTRACT(jsonPayload.because)"
      }
    }
  }

  alert_strategy {
    auto_close = "1800s"

    # Somebody who keeps pressing Start is told once.
    notification_rate_limit {
      period = "900s"
    }
  }

  documentation {
    content = <<-EOT
      Workspace $${log.extracted_label.workspace}: $${log.extracted_label.because}. The page says what to do, at ${local.page_origin}.
    EOT
  }
}

resource "google_monitoring_alert_policy" "errors" {
  display_name          = "Pilotlight: a function answers with errors"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = [google_monitoring_notification_channel.owner.id]

  conditions {
    display_name = "More than 5 answers of 5xx in 5 minutes"

    # One now and then is Google's, or a push that is tried again.
    condition_threshold {
      filter = join(" AND ", [
        "metric.type=\"run.googleapis.com/request_count\"",
        "resource.type=\"cloud_run_revision\"",
        "resource.labels.service_name=one_of(${join(", ", [for it in local.services : "\"${it}\""])})",
        "metric.labels.response_code_class=\"5xx\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 5
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.labels.service_name"]
      }
    }
  }

  documentation {
    content = "`gcloud logging read 'resource.labels.service_name:pilotlight severity>=ERROR' --project=${var.project} --limit=20`"
  }
}

locals {
  services = [
    google_cloud_run_v2_service.auth.name, google_cloud_run_v2_service.lifecycle.name, google_cloud_run_v2_service.reaper.name,
  ]
}
