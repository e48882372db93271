# Where a workspace's machines are found.

# A placement keeps its address for good, also while it is off: its certificate, its record in DNS and the page's
# permission to frame it hang on that.
resource "google_compute_address" "placement" {
  for_each = local.declared

  name         = each.key
  description  = "Of the workspace ${each.value.workspace}"
  region       = var.region
  address_type = "EXTERNAL"

  depends_on = [google_project_service.api]
}

locals {
  # What DNS must say, by instance.
  records = { for name, place in local.declared : name => place.domain if place.domain != null }
}

resource "google_dns_record_set" "placement" {
  for_each = var.dns_zone == null ? {} : local.records

  managed_zone = var.dns_zone
  name         = "${each.value}."
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_address.placement[each.key].address]
}

output "dns_records" {
  description = "Records that are still to be made where the workspaces' domains are kept. Empty where dns_zone has them, or where there is no domain."
  value = var.dns_zone != null ? [] : [
    for name, domain in local.records : "${domain}. 300 IN A ${google_compute_address.placement[name].address}"
  ]
}
