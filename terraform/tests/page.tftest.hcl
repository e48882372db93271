# The page at a domain of its own. Its parts name each other by ids, which a plan does not know.

override_resource {
  target          = google_compute_backend_bucket.page
  override_during = plan
  values          = { id = "bucket" }
}

override_resource {
  target          = google_compute_backend_service.page["auth"]
  override_during = plan
  values          = { id = "auth" }
}

override_resource {
  target          = google_compute_backend_service.page["lifecycle"]
  override_during = plan
  values          = { id = "lifecycle" }
}

override_resource {
  target          = google_compute_target_https_proxy.page
  override_during = plan
  values          = { id = "https" }
}

override_resource {
  target          = google_compute_target_http_proxy.page_redirect
  override_during = plan
  values          = { id = "http" }
}

run "without_a_domain_there_is_no_load_balancer" {
  command = plan

  assert {
    condition = 0 == sum([
      length(google_storage_bucket.page), length(google_storage_bucket_iam_member.page_public), length(google_storage_bucket_object.page),
      length(google_compute_backend_bucket.page), length(google_compute_backend_service.page), length(google_compute_global_address.page),
      length(google_compute_global_forwarding_rule.page), length(google_compute_url_map.page), length(google_dns_record_set.page),
    ])
    error_message = "nothing that costs"
  }
}

run "with_a_domain_all_is_one_origin" {
  command = plan

  variables {
    page_domain = "pilotlight.example.com"
    dns_zone    = "example"
    webhooks    = {}
    workspaces = {
      main = { domain = "comfy.example.com", placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] }
    }
  }

  assert {
    condition     = toset(keys(google_storage_bucket_object.page)) == fileset("${path.module}/../static", "**")
    error_message = "each file of static/"
  }

  assert {
    condition = alltrue([
      for name, object in google_storage_bucket_object.page : object.cache_control == "no-cache" && object.content_type != "application/octet-stream"
    ]) && google_storage_bucket_object.page["app.js"].content_type == "text/javascript; charset=utf-8"
    error_message = "with its kind, and asked for each time"
  }

  assert {
    condition     = google_storage_bucket.page[0].website[0].main_page_suffix == "index.html" && contains(keys(google_storage_bucket_object.page), "index.html")
    error_message = "/ is the page"
  }

  # As functions/auth/src/headers.rs has it for one origin and this gateway.
  assert {
    condition = toset(google_compute_backend_bucket.page[0].custom_response_headers) == toset([
      "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-src https://comfy.example.com; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
      "permissions-policy: clipboard-read=(self \"https://comfy.example.com\"), clipboard-write=(self \"https://comfy.example.com\"), fullscreen=(self \"https://comfy.example.com\"), camera=(), geolocation=(), microphone=(), payment=(), usb=()",
      "referrer-policy: no-referrer",
      "strict-transport-security: max-age=63072000",
      "x-content-type-options: nosniff",
    ])
    error_message = "the headers of a document: ${join("\n", google_compute_backend_bucket.page[0].custom_response_headers)}"
  }

  assert {
    condition = {
      for rule in google_compute_url_map.page[0].path_matcher[0].path_rule : rule.service => toset(rule.paths)
      } == {
      (google_compute_backend_service.page["auth"].id)      = toset(["/api/login", "/api/logout", "/api/session", "/api/session/*", "/.well-known/*", "/config.json", "/api/auth/*"])
      (google_compute_backend_service.page["lifecycle"].id) = toset(["/api/workspaces", "/api/workspaces/*", "/api/lifecycle/*"])
    }
    error_message = "who answers what"
  }

  assert {
    condition     = google_compute_url_map.page[0].path_matcher[0].default_service == google_compute_backend_bucket.page[0].id
    error_message = "everything else is a file"
  }

  assert {
    condition     = alltrue([for map in [google_compute_url_map.page[0], google_compute_url_map.page_redirect[0]] : map.default_url_redirect[0].https_redirect && map.default_url_redirect[0].host_redirect == "pilotlight.example.com"])
    error_message = "whoever comes by HTTP or another name is sent to the page's"
  }

  assert {
    condition = {
      for port, rule in google_compute_global_forwarding_rule.page : port => rule.target
      } == {
      443 = google_compute_target_https_proxy.page[0].id
      80  = google_compute_target_http_proxy.page_redirect[0].id
    }
    error_message = "HTTPS for the page, HTTP for the redirection"
  }

  assert {
    condition     = google_compute_managed_ssl_certificate.page[0].managed[0].domains == tolist(["pilotlight.example.com"]) && google_compute_ssl_policy.page[0].min_tls_version == "TLS_1_2"
    error_message = "the certificate's domain, and no old TLS"
  }

  assert {
    condition     = google_storage_bucket_iam_member.page_public[0].role == "roles/storage.legacyObjectReader" && google_storage_bucket_iam_member.page_public[0].bucket == google_storage_bucket.page[0].name
    error_message = "everybody reads the page's bucket, and lists nothing"
  }

  assert {
    condition     = google_dns_record_set.page[0].name == "pilotlight.example.com." && output.page_dns_record == ""
    error_message = "the record in the project's zone"
  }
}
