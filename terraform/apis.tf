# The APIs in use. Whatever is made by one waits for all of them (depends_on), so that a first apply needs no second.
#
# Two must be on before Terraform can ask for anything: cloudresourcemanager and serviceusage. `deploy` sees to it.

resource "google_project_service" "api" {
  for_each = toset([
    "artifactregistry", "billingbudgets", "cloudbuild", "cloudresourcemanager", "cloudscheduler", "compute", "dns",
    "firebaserules", "firestore", "iam", "logging", "monitoring", "pubsub", "run", "secretmanager", "serviceusage",
    "storage",
  ])

  service = "${each.key}.googleapis.com"

  # Others in the project may use it too.
  disable_on_destroy = false
}
