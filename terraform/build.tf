# Who builds in the cloud where `deploy` cannot build on the owner's machine (image/cloudbuild.yaml): pushes an image, puts a
# bundle and its digest into the machines' bucket, and says in the log how it went. It replaces and deletes nothing.

locals {
  build_roles = {
    images = {
      role_id = "pilotlightBuildImages"
      title   = "Pilotlight: builder of images"
      permissions = [
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.get",
        "artifactregistry.repositories.uploadArtifacts",
        "artifactregistry.tags.create",
        "artifactregistry.tags.get",
        "artifactregistry.tags.list",
        "artifactregistry.versions.get",
        "artifactregistry.versions.list",
      ]
    }
    # Its source lies there, too.
    bundles = {
      role_id     = "pilotlightBuildBundles"
      title       = "Pilotlight: builder of bundles"
      permissions = ["storage.objects.create", "storage.objects.get", "storage.objects.list"]
    }
    logs = {
      role_id     = "pilotlightBuildLogs"
      title       = "Pilotlight: teller of builds"
      permissions = ["logging.logEntries.create"]
    }
  }
}

resource "google_service_account" "build" {
  account_id   = "pilotlight-build"
  display_name = "Builds the image and the bundle in Cloud Build"

  depends_on = [google_project_service.api]
}

resource "google_project_iam_custom_role" "build" {
  for_each = local.build_roles

  role_id     = each.value.role_id
  title       = each.value.title
  permissions = each.value.permissions

  depends_on = [google_project_service.api]
}

resource "google_artifact_registry_repository_iam_member" "build" {
  location   = google_artifact_registry_repository.pilotlight.location
  repository = google_artifact_registry_repository.pilotlight.repository_id
  role       = google_project_iam_custom_role.build["images"].id
  member     = google_service_account.build.member
}

resource "google_storage_bucket_iam_member" "build" {
  bucket = google_storage_bucket.vm.name
  role   = google_project_iam_custom_role.build["bundles"].id
  member = google_service_account.build.member
}

resource "google_project_iam_member" "build" {
  project = var.project
  role    = google_project_iam_custom_role.build["logs"].id
  member  = google_service_account.build.member
}
