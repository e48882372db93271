# Where the image of the control plane lies. What runs is named by its digest (var.image).

resource "google_artifact_registry_repository" "pilotlight" {
  repository_id = "pilotlight"
  description   = "The control plane"
  location      = var.region
  format        = "DOCKER"

  docker_config {
    immutable_tags = true
  }

  # Half a GiB is free, and an image has some 12 MB. What is kept wins over what is deleted: the last ten are there to go
  # back to, however old they are.
  cleanup_policies {
    id     = "old"
    action = "DELETE"

    condition {
      older_than = "30d"
    }
  }

  cleanup_policies {
    id     = "last"
    action = "KEEP"

    most_recent_versions {
      keep_count = 10
    }
  }

  depends_on = [google_project_service.api]
}
