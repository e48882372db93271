# Who builds in the cloud: pushes, puts in and tells, and can neither take away nor reach anything else.

run "build" {
  command = plan

  assert {
    condition = alltrue([for role in google_project_iam_custom_role.build : alltrue([
      for permission in role.permissions : !can(regex("\\.(delete|update|setIamPolicy|actAs)$", permission))
    ])])
    error_message = "The builder may replace, delete, or give rights."
  }

  assert {
    condition     = google_artifact_registry_repository_iam_member.build.repository == "pilotlight"
    error_message = "The builder may push elsewhere than to pilotlight."
  }

  assert {
    condition     = google_storage_bucket_iam_member.build.bucket == "${var.project}-pilotlight-vm"
    error_message = "The builder may write into another bucket than the machines'."
  }

  # What it has of the project as a whole.
  assert {
    condition     = google_project_iam_custom_role.build["logs"].permissions == toset(["logging.logEntries.create"])
    error_message = "The builder may do more to the project than write into its log."
  }
}
