# One page to look at: what is up, what was asked for, what is left lying.

locals {
  dashboard_services      = "resource.type=\"cloud_run_revision\" resource.labels.service_name=one_of(${join(", ", [for it in local.services : "\"${it}\""])})"
  dashboard_subscriptions = "resource.type=\"pubsub_subscription\" resource.labels.subscription_id=starts_with(\"pilotlight-\")"

  # Charts, two beside each other. `by` is what has a line of its own.
  charts = [
    {
      title  = "Machines that are up, seconds"
      filter = "metric.type=\"compute.googleapis.com/instance/uptime_total\" resource.type=\"gce_instance\" metric.labels.instance_name=starts_with(\"comfyui-\")"
      align  = "ALIGN_MAX", reduce = "REDUCE_MAX", by = ["metric.labels.instance_name"]
    },
    {
      title  = "Runs that failed"
      filter = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.failed_runs.name}\" resource.type=\"cloud_run_revision\""
      align  = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.labels.workspace"]
    },
    {
      title  = "Answers per second"
      filter = "metric.type=\"run.googleapis.com/request_count\" ${local.dashboard_services}"
      align  = "ALIGN_RATE", reduce = "REDUCE_SUM", by = ["resource.labels.service_name", "metric.labels.response_code_class"]
    },
    {
      title  = "Time of an answer: 95 of 100 within, ms"
      filter = "metric.type=\"run.googleapis.com/request_latencies\" ${local.dashboard_services}"
      align  = "ALIGN_DELTA", reduce = "REDUCE_PERCENTILE_95", by = ["resource.labels.service_name"]
    },
    {
      title  = "Instances of the functions"
      filter = "metric.type=\"run.googleapis.com/container/instance_count\" ${local.dashboard_services}"
      align  = "ALIGN_MAX", reduce = "REDUCE_SUM", by = ["resource.labels.service_name", "metric.labels.state"]
    },
    {
      title  = "Messages not taken yet, dead letters among them"
      filter = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" ${local.dashboard_subscriptions}"
      align  = "ALIGN_MAX", reduce = "REDUCE_MAX", by = ["resource.labels.subscription_id"]
    },
    {
      title  = "Age of the oldest of them, seconds"
      filter = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" ${local.dashboard_subscriptions}"
      align  = "ALIGN_MAX", reduce = "REDUCE_MAX", by = ["resource.labels.subscription_id"]
    },
    {
      title  = "Documents read per second"
      filter = "metric.type=\"firestore.googleapis.com/document/read_count\" resource.type=\"firestore_instance\""
      align  = "ALIGN_RATE", reduce = "REDUCE_SUM", by = ["metric.labels.type"]
    },
  ]
}

# For the chart. The alert takes the entries themselves.
resource "google_logging_metric" "failed_runs" {
  name        = "pilotlight-failed-runs"
  description = "Runs that failed, by workspace and why"
  filter      = local.failed_run_filter

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    dynamic "labels" {
      for_each = ["workspace", "because"]
      content {
        key = labels.value
      }
    }
  }

  label_extractors = { for it in ["workspace", "because"] : it => "EXTRACT(jsonPayload.${it})" }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_dashboard" "pilotlight" {
  dashboard_json = jsonencode({
    displayName = "Pilotlight"
    mosaicLayout = {
      columns = 48
      tiles = [for index, chart in local.charts : {
        xPos   = index % 2 * 24
        yPos   = floor(index / 2) * 16
        width  = 24
        height = 16
        widget = {
          title = chart.title
          xyChart = {
            dataSets = [{
              plotType = "LINE"
              timeSeriesQuery = {
                timeSeriesFilter = {
                  filter = chart.filter
                  aggregation = {
                    alignmentPeriod    = "60s"
                    perSeriesAligner   = chart.align
                    crossSeriesReducer = chart.reduce
                    groupByFields      = chart.by
                  }
                }
              }
            }]
          }
        }
      }]
    }
  })

  depends_on = [google_project_service.api]
}
