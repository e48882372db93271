# What the tests here deploy: one workspace with two placements and a domain, one with a single one and neither.
project       = "pilotlight-test"
region        = "us-central1"
owner_email   = "owner@example.com"
image         = "us-central1-docker.pkg.dev/pilotlight-test/pilotlight/control-plane@sha256:0000000000000000000000000000000000000000000000000000000000000000"
bundle_sha256 = "1111111111111111111111111111111111111111111111111111111111111111"

workspaces = {
  main = {
    domain     = "comfy.example.com"
    spot       = "last"
    budget     = { monthly_usd = 50, per_user_usd = 20 }
    notify     = "slack"
    allowed_ip = ["203.0.113.0/24"]
    disk       = { size_gb = 200, regional = true }
    placements = [
      { zone = "us-central1-a", machine_type = "g2-standard-4" },
      { zone = "us-central1-b", machine_type = "g2-standard-4", spot = true },
    ]
  }
  small = {
    title      = "Small"
    members    = ["ada"]
    disk       = { size_gb = 100 }
    placements = [{ zone = "us-central1-a", machine_type = "n1-standard-4", accelerator = "nvidia-tesla-t4" }]
  }
}

# An apply of the tests asks for them; whatever they are, nothing keeps them.
signing_key    = "a key that is in no state"
users          = "users that are in no state"
first_password = "a password that is in no state"
webhooks       = { main = { url = "https://hooks.example.com/services/that-is-in-no-state", secret = "whsec_dGhhdCBpcyBpbiBubyBzdGF0ZSwgYW5kIGluIG5vIHBsYW4=" } }
