# The database, and what it must be told of its fields: which documents expire, what no query needs an index of, and which
# indexes span several fields. The list is in firestore.json, which a test holds against the queries in the code
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

  # It remembers who pays for what. Neither Terraform nor the console takes it away.
  delete_protection_state = "DELETE_PROTECTION_ENABLED"
  deletion_policy         = "ABANDON"

  # Billed apart, and what it would bring back is one short document for each workspace.
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_DISABLED"
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
