# Who the machines are, and what they may: read their bucket. Their logs go by the serial port, which takes no right, and
# lifecycle knows them by the account's identity token.

resource "google_service_account" "vm" {
  account_id   = "pilotlight-vm"
  display_name = "The machines that carry ComfyUI"

  depends_on = [google_project_service.api]
}

# The bundle under vm/, and what the owner puts there: a certificate of his own, a manifest, models.
resource "google_storage_bucket" "vm" {
  name     = "${var.project}-pilotlight-vm"
  location = var.region

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  # What was overwritten or removed by mistake can be had back for a month.
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 30
    }
    action {
      type = "Delete"
    }
  }

  depends_on = [google_project_service.api]
}

# objectViewer would let them list it too.
resource "google_project_iam_custom_role" "vm" {
  role_id     = "pilotlightVm"
  title       = "Pilotlight: VM"
  description = "Reads what it knows the name of in the machines' bucket."
  permissions = ["storage.objects.get"]

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket_iam_member" "vm" {
  bucket = google_storage_bucket.vm.name
  role   = google_project_iam_custom_role.vm.id
  member = google_service_account.vm.member
}
