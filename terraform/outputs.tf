# What the owner needs next, and what a script asks for. Nothing here is secret.

locals {
  first_password_command = "gcloud secrets versions access latest --secret=${google_secret_manager_secret.secret["first-password"].secret_id} --project=${var.project}"
}

output "page_url" {
  description = "Where people find the page."
  value       = local.page_origin
}

output "first_password_command" {
  description = "Shows the first user's password."
  value       = local.first_password_command
}

output "image_repository" {
  description = "Where `deploy` pushes the control plane."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.pilotlight.repository_id}"
}

output "audiences" {
  description = "Address of each function, which is also whom a token must be for."
  value       = local.url
}

output "next_steps" {
  description = "What to do now."

  value = <<-EOT
    1. Open ${local.page_origin}
    2. Sign in as admin. The password:
         ${local.first_password_command}
    3. Press Start. The first start of a workspace installs ComfyUI, which takes some minutes.

    Alerts go to ${var.owner_email}.
    What is running:   gcloud compute instances list --project=${var.project} --filter=labels.pilotlight-workspace:*
    What was told:     gcloud logging read 'resource.labels.service_name:pilotlight' --project=${var.project} --limit=20
  EOT
}
