# The page at a domain of its own: static/ in a bucket, by a CDN, and the functions behind the same name, so that everything
# is one origin. Only with page_domain; without it there is nothing here, and auth serves the page.

locals {
  # Zero or one.
  page = var.page_domain == null ? 0 : 1

  # What auth answers with a document (functions/auth/src/headers.rs); a test holds them against each other.
  page_frames     = compact(split(",", local.frame_sources))
  page_permission = "(${join(" ", concat(["self"], [for it in local.page_frames : "\"${it}\""]))})"
  page_headers = {
    content-security-policy = join("; ", [
      "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'",
      "connect-src 'self'",
      "frame-src ${length(local.page_frames) == 0 ? "'none'" : join(" ", local.page_frames)}",
      "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
    ])
    permissions-policy = join(", ", concat(
      [for feature in ["clipboard-read", "clipboard-write", "fullscreen"] : "${feature}=${local.page_permission}"],
      ["camera=()", "geolocation=()", "microphone=()", "payment=()", "usb=()"],
    ))
    referrer-policy           = "no-referrer"
    strict-transport-security = "max-age=63072000"
    x-content-type-options    = "nosniff"
  }

  # As functions/auth/src/page.rs has them.
  page_content_types = {
    html        = "text/html; charset=utf-8"
    css         = "text/css; charset=utf-8"
    js          = "text/javascript; charset=utf-8"
    mjs         = "text/javascript; charset=utf-8"
    json        = "application/json"
    webmanifest = "application/manifest+json"
    svg         = "image/svg+xml"
    png         = "image/png"
    ico         = "image/x-icon"
    webp        = "image/webp"
    woff2       = "font/woff2"
    txt         = "text/plain; charset=utf-8"
  }
  page_files = toset([
    for name in fileset("${path.module}/../static", "**") : name if !anytrue([for part in split("/", name) : startswith(part, ".")])
  ])

  # Who answers what; everything else is a file.
  page_routes = {
    auth      = ["/api/login", "/api/logout", "/api/session", "/api/session/*", "/.well-known/*", "/config.json", "/api/auth/*"]
    lifecycle = ["/api/workspaces", "/api/workspaces/*", "/api/lifecycle/*"]
  }
  page_services = {
    auth      = google_cloud_run_v2_service.auth.name
    lifecycle = google_cloud_run_v2_service.lifecycle.name
  }
}

resource "google_storage_bucket" "page" {
  # checkov:skip=CKV_GCP_114: it is a public page
  # checkov:skip=CKV_GCP_78: all versions of it are in the repository
  count = local.page

  name                        = "${var.project}-pilotlight-page"
  location                    = var.region
  uniform_bucket_level_access = true

  # All of it is in the repository.
  force_destroy = true

  # What `/` is.
  website {
    main_page_suffix = "index.html"
  }

  depends_on = [google_project_service.api]
}

# The one thing that is public: the page, which says nothing before somebody signs in. objectViewer would let everybody
# list it too.
resource "google_storage_bucket_iam_member" "page_public" {
  # checkov:skip=CKV_GCP_28: it is a public page
  count = local.page

  bucket = google_storage_bucket.page[0].name
  role   = "roles/storage.legacyObjectReader"
  member = "allUsers"
}

resource "google_storage_bucket_object" "page" {
  for_each = local.page == 0 ? toset([]) : local.page_files

  bucket       = google_storage_bucket.page[0].name
  name         = each.key
  source       = "${path.module}/../static/${each.key}"
  content_type = lookup(local.page_content_types, reverse(split(".", each.key))[0], "application/octet-stream")

  # The names stay when the contents change: ask each time, and be told 304.
  cache_control = "no-cache"
}

# Every answer has the headers of a document: a bucket cannot tell which is one.
resource "google_compute_backend_bucket" "page" {
  count = local.page

  name                    = "pilotlight-page"
  bucket_name             = google_storage_bucket.page[0].name
  enable_cdn              = true
  compression_mode        = "AUTOMATIC"
  custom_response_headers = [for name, value in local.page_headers : "${name}: ${value}"]

  cdn_policy {
    cache_mode = "USE_ORIGIN_HEADERS"
  }
}

resource "google_compute_region_network_endpoint_group" "page" {
  for_each = local.page == 0 ? {} : local.page_services

  name                  = "pilotlight-${each.key}"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = each.value
  }

  depends_on = [google_project_service.api]
}

resource "google_compute_backend_service" "page" {
  for_each = google_compute_region_network_endpoint_group.page

  name                  = each.value.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"

  backend {
    group = each.value.id
  }
}

resource "google_compute_url_map" "page" {
  count = local.page

  name = "pilotlight-page"

  # Whoever comes by the address, or by another name.
  default_url_redirect {
    host_redirect          = var.page_domain
    https_redirect         = true
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
    strip_query            = false
  }

  host_rule {
    hosts        = [var.page_domain]
    path_matcher = "page"
  }

  path_matcher {
    name            = "page"
    default_service = google_compute_backend_bucket.page[0].id

    dynamic "path_rule" {
      for_each = local.page_routes
      content {
        paths   = path_rule.value
        service = google_compute_backend_service.page[path_rule.key].id
      }
    }
  }
}

# Google renews it. It is made once the domain points here, which may take an hour. Another domain is another certificate,
# beside this one until it serves.
resource "google_compute_managed_ssl_certificate" "page" {
  count = local.page

  name = "pilotlight-${substr(sha256(var.page_domain), 0, 8)}"

  managed {
    domains = [var.page_domain]
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_project_service.api]
}

resource "google_compute_ssl_policy" "page" {
  count = local.page

  name            = "pilotlight-page"
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"

  depends_on = [google_project_service.api]
}

resource "google_compute_global_address" "page" {
  count = local.page

  name       = "pilotlight-page"
  depends_on = [google_project_service.api]
}

resource "google_compute_target_https_proxy" "page" {
  count = local.page

  name             = "pilotlight-page"
  url_map          = google_compute_url_map.page[0].id
  ssl_certificates = [google_compute_managed_ssl_certificate.page[0].id]
  ssl_policy       = google_compute_ssl_policy.page[0].id
}

# Of plain HTTP there is only the way out.
resource "google_compute_url_map" "page_redirect" {
  count = local.page

  name = "pilotlight-page-redirect"

  default_url_redirect {
    host_redirect          = var.page_domain
    https_redirect         = true
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
    strip_query            = false
  }

  depends_on = [google_project_service.api]
}

resource "google_compute_target_http_proxy" "page_redirect" {
  count = local.page

  name    = "pilotlight-page-redirect"
  url_map = google_compute_url_map.page_redirect[0].id
}

resource "google_compute_global_forwarding_rule" "page" {
  for_each = local.page == 0 ? {} : {
    443 = google_compute_target_https_proxy.page[0].id
    80  = google_compute_target_http_proxy.page_redirect[0].id
  }

  name                  = "pilotlight-page-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.page[0].id
  port_range            = each.key
  target                = each.value
}

resource "google_dns_record_set" "page" {
  count = var.dns_zone == null ? 0 : local.page

  managed_zone = var.dns_zone
  name         = "${var.page_domain}."
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_global_address.page[0].address]

  depends_on = [google_project_service.api]
}

output "page_headers" {
  description = "Headers of the page where it comes from the bucket."
  value       = local.page_headers
}

output "page_dns_record" {
  description = "Record that is still to be made where page_domain is kept. Empty where dns_zone has it, or where there is no domain."
  value       = var.dns_zone == null && local.page == 1 ? "${var.page_domain}. 300 IN A ${google_compute_global_address.page[0].address}" : ""
}
