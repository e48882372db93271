# Names and addresses that several files need before the things exist which bear them.

data "google_project" "this" {
  project_id = var.project
}

locals {
  # Cloud Run gives each service this address beside the one with chance in it. It is known beforehand, so that the services
  # can be told of each other in one go.
  url = { for name in ["auth", "lifecycle", "reaper"] : name => "https://pilotlight-${name}-${data.google_project.this.number}.${var.region}.run.app" }

  # Where people find the page.
  page_origin = var.page_domain == null ? local.url.auth : "https://${var.page_domain}"

  # The keys that sign-ins and tickets are checked by. auth publishes them, and with a domain can be reached by it only.
  jwks_url = "${local.page_origin}/.well-known/jwks.json"

  # A resource of Compute Engine that belongs to a workspace. Conditions know no labels, but names.
  is_machine = join(" || ", [for kind in ["instances", "disks"] : "resource.name.extract(\"/${kind}/{name}\").startsWith(\"comfyui-\")"])

  # Google's own accounts, which act for the project. Each is made when its API is first used, and in a new project that may
  # be later than the first binding that names it: `gcloud beta services identity create --service pubsub.googleapis.com`
  # makes it at once. The resource for that, google_project_service_identity, is in no provider but google-beta.
  agent = {
    pubsub    = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    scheduler = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-cloudscheduler.iam.gserviceaccount.com"
  }

  # Written into a secret where nobody has said one, which happens only while its version stays as it is (ADR 11).
  unsaid = "unsaid"
}
