run "what_expires_is_deleted_and_what_is_not_asked_for_is_not_indexed" {
  command = plan

  assert {
    condition = toset([for key, field in google_firestore_field.field : key if length(field.ttl_config) == 1]) == toset([
      "signin_attempts/expires_at", "revoked_tokens/expires_at",
    ])
    error_message = "what expires"
  }

  assert {
    condition = toset([for key, field in google_firestore_field.field : key if length(field.index_config) == 1]) == toset([
      "workspaces/record", "workspaces/save", "signin_attempts/failed_at", "signin_attempts/expires_at",
      "revoked_tokens/expires_at",
    ])
    error_message = "what has no index of its own"
  }

  assert {
    condition     = length(google_firestore_index.composite) == length(local.firestore.composite)
    error_message = "each composite index once"
  }

  assert {
    condition     = google_firestore_database.default.delete_protection_state == "DELETE_PROTECTION_ENABLED"
    error_message = "delete protection"
  }

  assert {
    condition     = google_firestore_database.default.deletion_policy == "PREVENT"
    error_message = "terraform destroy refuses"
  }

  assert {
    condition     = google_firestore_backup_schedule.daily.retention == "604800s" && length(google_firestore_backup_schedule.daily.daily_recurrence) == 1
    error_message = "a backup each day, kept for a week"
  }
}
