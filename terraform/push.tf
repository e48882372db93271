# What all subscriptions with push have in common: who signs, where messages end that nobody takes, and what Google's own
# account for Pub/Sub must be allowed for it.

# Signs the token that lifecycle checks. It may do nothing else.
resource "google_service_account" "push" {
  account_id   = "pilotlight-push"
  display_name = "Pilotlight: pushes of Pub/Sub"
  depends_on   = [google_project_service.api]
}

# One permission, iam.serviceAccounts.getOpenIdToken, on this one account.
resource "google_service_account_iam_member" "push_signer" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.agent.pubsub

  # A topic is the API's first use.
  depends_on = [google_pubsub_topic.dead]
}

locals {
  # The subscriptions with push, by their topics.
  pushed = {
    nudges         = google_pubsub_subscription.nudges
    compute-events = google_pubsub_subscription.compute_events
  }
}

# Where a message goes that was refused too often. Without a subscription nobody could look at it.
resource "google_pubsub_topic" "dead" {
  for_each = toset(["nudges", "compute-events"])

  name       = "pilotlight-${each.key}-dead"
  depends_on = [google_project_service.api]
}

resource "google_pubsub_subscription" "dead" {
  for_each = google_pubsub_topic.dead

  name  = each.value.name
  topic = each.value.id

  # A month, which is the most that there is.
  message_retention_duration = "2678400s"

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub moves the message with its own account: it publishes it there and takes it from here. The first role is one
# permission, pubsub.topics.publish; the second is what Google asks for.
resource "google_pubsub_topic_iam_member" "dead" {
  for_each = google_pubsub_topic.dead

  topic  = each.value.id
  role   = "roles/pubsub.publisher"
  member = local.agent.pubsub
}

resource "google_pubsub_subscription_iam_member" "dead" {
  for_each = local.pushed

  subscription = each.value.id
  role         = "roles/pubsub.subscriber"
  member       = local.agent.pubsub
}
