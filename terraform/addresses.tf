# Where a workspace's machines are found.

# A placement keeps its address for good, also while it is off: its certificate, its record in DNS and the page's permission
# to frame it hang on that.
resource "google_compute_address" "placement" {
  for_each = local.declared

  name         = each.key
  description  = "Of the workspace ${each.value.workspace}"
  region       = var.region
  address_type = "EXTERNAL"
}
