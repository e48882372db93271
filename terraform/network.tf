# The machines' own network, and who gets in: what no rule here lets in, stays out.

resource "google_compute_network" "pilotlight" {
  name                    = "pilotlight"
  auto_create_subnetworks = false

  depends_on = [google_project_service.api]
}

resource "google_compute_subnetwork" "pilotlight" {
  name          = "pilotlight"
  region        = var.region
  network       = google_compute_network.pilotlight.id
  ip_cidr_range = "10.0.0.0/24"

  # To Google's own services, the bucket and Cloud Run among them, it goes by Google's network.
  private_ip_google_access = true
}

# For everybody, whatever allowed_ip says: the certificate authority says beforehand neither where it asks from nor when.
# nginx answers its challenges, and sends all others on to HTTPS.
resource "google_compute_firewall" "http" {
  name          = "pilotlight-http"
  network       = google_compute_network.pilotlight.id
  source_ranges = ["0.0.0.0/0"]
  target_tags   = ["pilotlight"]

  allow {
    protocol = "tcp"
    ports    = ["80"]
  }
}

# nginx has the same list, and shows whom it refuses his address; here it costs the machine nothing to refuse.
# IPv6 is for nginx alone: a rule has one kind of addresses, and the machines have no IPv6.
resource "google_compute_firewall" "https" {
  for_each = var.workspaces

  name        = "pilotlight-https-${each.key}"
  network     = google_compute_network.pilotlight.id
  target_tags = ["pilotlight-${each.key}"]
  source_ranges = length(each.value.allowed_ip) == 0 ? ["0.0.0.0/0"] : distinct([
    for ip in each.value.allowed_ip : strcontains(ip, "/") ? "${cidrhost(ip, 0)}/${split("/", ip)[1]}" : "${ip}/32"
    if !strcontains(ip, ":")
  ])

  allow {
    protocol = "tcp"
    ports    = ["443"]
  }
}

# From nowhere but Identity-Aware Proxy, which asks who somebody is (--tunnel-through-iap).
resource "google_compute_firewall" "ssh" {
  name          = "pilotlight-ssh"
  network       = google_compute_network.pilotlight.id
  source_ranges = ["35.235.240.0/20"]
  target_tags   = ["pilotlight"]

  allow {
    protocol = "tcp"
    ports    = ["22"]
  }

  # Who came by SSH can be asked afterwards. What is refused is not logged: that is the Internet's noise, and every line
  # of it is billed.
  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}
