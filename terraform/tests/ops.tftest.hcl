# What the owner is told, and by what.

variables {
  billing_account = "012345-6789AB-CDEF01"
  monthly_budget  = 30
}

override_resource {
  target          = google_monitoring_notification_channel.owner
  override_during = plan
  values          = { id = "owner" }
}

run "the_owner_is_told" {
  command = plan

  assert {
    condition     = google_monitoring_notification_channel.owner.type == "email" && google_monitoring_notification_channel.owner.labels.email_address == "owner@example.com"
    error_message = "by e-mail"
  }

  assert {
    condition = alltrue([
      for policy in concat(values(google_monitoring_alert_policy.uptime), [
        google_monitoring_alert_policy.sweep, google_monitoring_alert_policy.dead_letters,
        google_monitoring_alert_policy.failed_runs, google_monitoring_alert_policy.errors,
      ]) : policy.notification_channels == tolist([google_monitoring_notification_channel.owner.id]) && length(policy.documentation[0].content) > 0
    ])
    error_message = "of every alert, with what to do"
  }

  assert {
    condition = {
      for id, policy in google_monitoring_alert_policy.uptime :
      id => policy.conditions[0].condition_threshold[0].threshold_value
    } == { main = 43800, small = 43800 }
    error_message = "of a machine that is up for ten minutes more than its hard limit"
  }

  assert {
    condition = toset(flatten([
      for policy in google_monitoring_alert_policy.uptime :
      regexall("\"(comfyui-[a-z0-9-]+)\"", policy.conditions[0].condition_threshold[0].filter)
    ])) == toset(keys(google_compute_instance.placement))
    error_message = "of every machine"
  }

  assert {
    condition     = toset(flatten(regexall("\"(pilotlight-[a-z-]+-dead)\"", google_monitoring_alert_policy.dead_letters.conditions[0].condition_threshold[0].filter))) == toset([for it in google_pubsub_subscription.dead : it.name])
    error_message = "of every dead letter"
  }

  assert {
    condition     = google_monitoring_alert_policy.dead_letters.conditions[0].condition_threshold[0].threshold_value == 0
    error_message = "of the first one"
  }

  assert {
    condition     = google_monitoring_alert_policy.sweep.conditions[0].condition_absent[0].duration == "600s" && strcontains(google_monitoring_alert_policy.sweep.conditions[0].condition_absent[0].filter, "resource.labels.service_name=\"${google_cloud_run_v2_service.reaper.name}\"")
    error_message = "of ten minutes without a sweep"
  }

  assert {
    condition     = google_monitoring_alert_policy.failed_runs.conditions[0].condition_matched_log[0].filter == "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(\"pilotlight-lifecycle\" OR \"pilotlight-reaper\") AND jsonPayload.message=\"workspace\" AND jsonPayload.phase=\"Failed\" AND jsonPayload.from!=\"Failed\""
    error_message = "of a run that turns failed, as log_turn writes it"
  }

  assert {
    condition     = length(google_monitoring_alert_policy.failed_runs.alert_strategy[0].notification_rate_limit) == 1
    error_message = "Google takes no alert on log entries without a limit of its rate"
  }

  assert {
    condition     = alltrue([for name in ["auth", "lifecycle", "reaper"] : strcontains(google_monitoring_alert_policy.errors.conditions[0].condition_threshold[0].filter, "\"pilotlight-${name}\"")])
    error_message = "of each function's errors"
  }

  assert {
    condition = (
      google_billing_budget.month[0].amount[0].specified_amount[0].units == "30" &&
      google_billing_budget.month[0].all_updates_rule[0].monitoring_notification_channels == tolist([google_monitoring_notification_channel.owner.id]) &&
      google_billing_budget.month[0].budget_filter[0].projects == toset(["projects/${data.google_project.this.number}"])
    )
    error_message = "of a month that costs more than was said, in this project"
  }

  # The bounds of the dashboard's grid, and no tile over another.
  assert {
    condition = alltrue([
      for tile in jsondecode(google_monitoring_dashboard.pilotlight.dashboard_json).mosaicLayout.tiles : tile.xPos + tile.width <= 48
      ]) && length(distinct([
        for tile in jsondecode(google_monitoring_dashboard.pilotlight.dashboard_json).mosaicLayout.tiles : [tile.xPos, tile.yPos]
    ])) == length(local.charts)
    error_message = "the dashboard's tiles beside each other"
  }
}
