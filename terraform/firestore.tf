# The database, its daily backup, its closed door, and what it must be told of its fields: which documents expire, what no
# query needs an index of, and which indexes span several fields. The list is in firestore.json, which a test holds against the queries in the code
# (functions/platform/src/firestore/schema.rs).

locals {
  firestore = jsondecode(file("${path.module}/firestore.json"))
  ttl       = toset([for it in local.firestore.ttl : "${it.collection}/${it.field}"])
  exempt    = toset([for it in local.firestore.exempt : "${it.collection}/${it.field}"])
}

resource "google_firestore_database" "default" {
  project     = var.project
  name        = "(default)"
  location_id = var.region
  type        = "FIRESTORE_NATIVE"

  # It remembers who pays for what. Neither Terraform nor the console takes it away, unless that is said.
  delete_protection_state = var.data_on_destroy == "delete" ? "DELETE_PROTECTION_DISABLED" : "DELETE_PROTECTION_ENABLED"
  deletion_policy         = { refuse = "PREVENT", keep = "ABANDON", delete = "DELETE" }[var.data_on_destroy]

  # Billed apart, and what it would bring back is one short document for each workspace.
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_DISABLED"

  depends_on = [google_project_service.api]
}

# Against what the code could do to it. A week is long enough to notice.
resource "google_firestore_backup_schedule" "daily" {
  project   = var.project
  database  = google_firestore_database.default.name
  retention = "604800s"

  daily_recurrence {}
}

# No client reads the database by itself.
resource "google_firebaserules_ruleset" "nobody" {
  project = var.project

  source {
    files {
      name    = "firestore.rules"
      content = file("${path.module}/firestore.rules")
    }
  }

  # A ruleset in force cannot be deleted.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_project_service.api]
}

resource "google_firebaserules_release" "nobody" {
  project      = var.project
  name         = "cloud.firestore"
  ruleset_name = "projects/${var.project}/rulesets/${google_firebaserules_ruleset.nobody.name}"

  depends_on = [google_firestore_database.default]
}

# A field may expire its document, go without indexes, or both: there is one resource for each.
resource "google_firestore_field" "field" {
  for_each = setunion(local.ttl, local.exempt)

  project    = var.project
  database   = google_firestore_database.default.name
  collection = split("/", each.key)[0]
  field      = split("/", each.key)[1]

  dynamic "ttl_config" {
    for_each = contains(local.ttl, each.key) ? [true] : []
    content {}
  }

  # Empty: no index of its own. Of a map, neither have the fields below it.
  dynamic "index_config" {
    for_each = contains(local.exempt, each.key) ? [true] : []
    content {}
  }
}

resource "google_firestore_index" "composite" {
  for_each = {
    for it in local.firestore.composite :
    join("/", concat([it.collection], [for field in it.fields : "${field.field}:${field.order}"])) => it
  }

  project    = var.project
  database   = google_firestore_database.default.name
  collection = each.value.collection

  dynamic "fields" {
    for_each = each.value.fields
    content {
      field_path = fields.value.field
      order      = fields.value.order
    }
  }
}
