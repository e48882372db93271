# What we claim of the control plane. What Google makes up (accounts, addresses) is known after an apply only, so the first
# run is one, against a stand-in.
#
# A test can name resources, and cannot ask for all of a type. So the sources are counted as well: a service, a subscription
# or a role that is added is either on the list here, or is noticed.

run "as_most_people_have_it" {
  command = apply

  variables {
    signing_key    = "the-key-that-nobody-may-see"
    users          = "the-users-that-nobody-may-see"
    first_password = "the-password-that-nobody-may-see"
    webhooks       = { main = { url = "https://hooks.example.com/nobody-may-see", secret = "whsec_bm9ib2R5IG1heSBzZWUgdGhpcyB3aGljaCBpcyBub3QgaGVyZQ==" } }
  }

  # --- services

  assert {
    condition     = length(flatten([for it in fileset(".", "*.tf") : regexall("resource \"google_cloud_run[a-z0-9_]*_(?:service|job|worker_pool)\"", file(it))])) == length([google_cloud_run_v2_service.auth, google_cloud_run_v2_service.lifecycle, google_cloud_run_v2_service.reaper])
    error_message = "There are three services. Put another one on the lists below."
  }

  assert {
    condition = { for it in [google_cloud_run_v2_service.auth, google_cloud_run_v2_service.lifecycle, google_cloud_run_v2_service.reaper] : it.name => it.ingress } == {
      pilotlight-auth      = "INGRESS_TRAFFIC_ALL"
      pilotlight-lifecycle = "INGRESS_TRAFFIC_ALL"
      pilotlight-reaper    = "INGRESS_TRAFFIC_INTERNAL_ONLY"
    }
    error_message = "Only auth and lifecycle can be reached from everywhere."
  }

  assert {
    condition = alltrue([for it in [google_cloud_run_v2_service.auth, google_cloud_run_v2_service.lifecycle, google_cloud_run_v2_service.reaper] :
    it.template[0].scaling[0].min_instance_count == 0 && it.template[0].scaling[0].max_instance_count <= 10 && try(it.scaling[0].min_instance_count, 0) == 0])
    error_message = "Every service goes down to zero, and not up without end."
  }

  assert {
    condition = alltrue([for it in [google_cloud_run_v2_service.auth, google_cloud_run_v2_service.lifecycle, google_cloud_run_v2_service.reaper] :
    it.template[0].containers[0].resources[0].cpu_idle])
    error_message = "CPU is paid while a request is served."
  }

  # Cloud Run takes no probe that may last as long as its period.
  assert {
    condition = alltrue([for it in [google_cloud_run_v2_service.auth, google_cloud_run_v2_service.lifecycle, google_cloud_run_v2_service.reaper] : alltrue([
      it.template[0].containers[0].resources[0].startup_cpu_boost,
      it.template[0].containers[0].startup_probe[0].http_get[0].path == "/healthz",
      it.template[0].containers[0].startup_probe[0].timeout_seconds < it.template[0].containers[0].startup_probe[0].period_seconds,
    ])])
    error_message = "Every service is asked whether it has started, in a way that Cloud Run takes."
  }

  assert {
    condition = { for it in [google_cloud_run_v2_service.auth, google_cloud_run_v2_service.lifecycle, google_cloud_run_v2_service.reaper] : it.name => [it.template[0].service_account, it.template[0].containers[0].image, join(" ", it.template[0].containers[0].command)] } == {
      pilotlight-auth      = [google_service_account.auth.email, var.image, "/auth"]
      pilotlight-lifecycle = [google_service_account.lifecycle.email, var.image, "/lifecycle"]
      pilotlight-reaper    = [google_service_account.reaper.email, var.image, "/reaper"]
    }
    error_message = "Each service is one role of the image, by its digest, under an account of its own."
  }

  assert {
    condition = alltrue([for it in [google_cloud_run_v2_service.auth, google_cloud_run_v2_service.lifecycle, google_cloud_run_v2_service.reaper] :
    it.invoker_iam_disabled && it.custom_audiences == tolist([local.url[trimprefix(it.name, "pilotlight-")]])])
    error_message = "Cloud Run checks nobody, because it would take the signature that the function checks (ADR 11)."
  }

  assert {
    condition     = google_cloud_run_v2_service.lifecycle.template[0].timeout == "600s" && google_pubsub_subscription.nudges.ack_deadline_seconds == 600
    error_message = "lifecycle has as long for a push as Pub/Sub waits."
  }

  # --- who calls whom

  assert {
    condition     = length(flatten([for it in fileset(".", "*.tf") : regexall("resource \"google_pubsub_subscription\"", file(it))])) == length(local.pushed) + length([google_pubsub_subscription.dead])
    error_message = "There are the subscriptions nudges, compute_events and dead. Put another one on the lists below (and into local.pushed, if it pushes)."
  }

  assert {
    condition = alltrue([for it in local.pushed :
    try(it.push_config[0].oidc_token[0].audience == local.url.lifecycle && it.push_config[0].oidc_token[0].service_account_email == google_service_account.push.email, false)])
    error_message = "Every push is signed, by pilotlight-push, for lifecycle."
  }

  assert {
    condition = { for name, it in local.pushed : name => it.push_config[0].push_endpoint } == {
      nudges         = "${local.url.lifecycle}/push/nudge"
      compute-events = "${local.url.lifecycle}/push/compute-events"
    }
    error_message = "Each push has its route."
  }

  assert {
    condition     = { for it in google_cloud_run_v2_service.lifecycle.template[0].containers[0].env : it.name => it.value if startswith(it.name, "PUSH_") } == { PUSH_AUDIENCE = local.url.lifecycle, PUSH_EMAILS = google_service_account.push.email }
    error_message = "lifecycle expects the pushes that come."
  }

  assert {
    condition     = alltrue([for name, it in local.pushed : try(it.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.dead[name].id && it.dead_letter_policy[0].max_delivery_attempts >= 5, false)])
    error_message = "Every subscription with push has its dead letters."
  }

  assert {
    condition     = alltrue([for name in keys(local.pushed) : google_pubsub_subscription.dead[name].topic == google_pubsub_topic.dead[name].id])
    error_message = "Dead letters lie where somebody can look at them."
  }

  assert {
    condition = alltrue([for name in keys(local.pushed) :
    google_pubsub_topic_iam_member.dead[name].member == local.agent.pubsub && google_pubsub_subscription_iam_member.dead[name].member == local.agent.pubsub])
    error_message = "Pub/Sub may move a dead letter: take it from here, and put it there."
  }

  assert {
    condition = alltrue([for it in concat(values(local.pushed), values(google_pubsub_subscription.dead)) :
    try(it.expiration_policy[0].ttl == "", false)])
    error_message = "No subscription is deleted for want of use."
  }

  assert {
    condition = try(google_cloud_scheduler_job.sweep.http_target[0].oidc_token[0], null) == null ? false : [google_cloud_scheduler_job.sweep.http_target[0].uri, google_cloud_scheduler_job.sweep.http_target[0].oidc_token[0].audience, google_cloud_scheduler_job.sweep.http_target[0].oidc_token[0].service_account_email] == [
      "${local.url.reaper}/sweep", local.url.reaper, google_service_account.sweep.email
    ]
    error_message = "The sweep is asked for with a token, by pilotlight-sweep, for reaper."
  }

  assert {
    condition     = { for it in google_cloud_run_v2_service.reaper.template[0].containers[0].env : it.name => it.value if startswith(it.name, "SWEEP_") } == { SWEEP_AUDIENCE = local.url.reaper, SWEEP_EMAILS = google_service_account.sweep.email }
    error_message = "reaper expects the schedule that comes."
  }

  assert {
    condition     = google_cloud_scheduler_job.sweep.schedule == "* * * * *"
    error_message = "There is a sweep every minute."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.compute_events.member == google_logging_project_sink.compute_events.writer_identity
    error_message = "The log may publish what it is to tell."
  }

  # Two entries as Compute Engine writes them, by the parts of the filter that could be misspelt.
  assert {
    condition     = can(regex(regex("methodName=~\"([^\"]+)\"", google_logging_project_sink.compute_events.filter)[0], "v1.compute.instances.stop")) && !can(regex(regex("methodName=~\"([^\"]+)\"", google_logging_project_sink.compute_events.filter)[0], "v1.compute.instances.setLabels"))
    error_message = "The log tells of calls that move a machine, and of no others."
  }

  assert {
    condition     = alltrue([for it in local.machine_doings : strcontains(file("../functions/lifecycle/src/log_entry.rs"), "(\"${it}\", Tells::")]) && strcontains(google_logging_project_sink.compute_events.filter, "\"compute.instances.preempted\"")
    error_message = "lifecycle knows what Google does by itself."
  }

  # --- rights

  assert {
    condition = { for it in [
      google_project_iam_custom_role.auth, google_project_iam_custom_role.lifecycle, google_project_iam_custom_role.lifecycle_machines,
      google_project_iam_custom_role.act_as_vm, google_project_iam_custom_role.reaper, google_project_iam_custom_role.reaper_machines,
      google_project_iam_custom_role.nudge, google_project_iam_custom_role.secret, google_project_iam_custom_role.vm,
      ] : it.role_id => join(" ", it.permissions) } == {
      pilotlightAuth              = "datastore.entities.create datastore.entities.delete datastore.entities.get datastore.entities.update"
      pilotlightLifecycle         = "compute.zoneOperations.get datastore.entities.create datastore.entities.get datastore.entities.list datastore.entities.update"
      pilotlightLifecycleMachines = "compute.disks.use compute.instances.attachDisk compute.instances.detachDisk compute.instances.get compute.instances.start compute.instances.stop"
      pilotlightActAsVm           = "iam.serviceAccounts.actAs"
      pilotlightReaper            = "compute.instances.list datastore.entities.create datastore.entities.get datastore.entities.list datastore.entities.update"
      pilotlightReaperMachines    = "compute.instances.stop"
      pilotlightNudge             = "pubsub.topics.publish"
      pilotlightSecret            = "secretmanager.versions.access"
      pilotlightVm                = "storage.objects.get"
    } && length(flatten([for it in fileset(".", "*.tf") : regexall("resource \"google_project_iam_custom_role\"", file(it)) if it != "build.tf"])) == 9
    error_message = "There are these nine roles with these permissions (and what builds in the cloud has its own, in build.tf)."
  }

  assert {
    condition     = google_project_iam_custom_role.auth.stage == "GA" && !anytrue([for it in fileset(".", "*.tf") : can(regex("\"[a-z]+[.][a-zA-Z.]*[*]\"", file(it)))])
    error_message = "No permission anywhere is a wildcard."
  }

  # Predefined roles: those of one permission, what Pub/Sub asks for itself, and who may look at the page's bucket.
  assert {
    condition = length(setsubtract(flatten([for it in fileset(".", "*.tf") : regexall("\"(roles/[^\"]+)\"", file(it))]), [
      "roles/iam.serviceAccountOpenIdTokenCreator", "roles/pubsub.publisher", "roles/pubsub.subscriber", "roles/storage.legacyObjectReader",
    ])) == 0 && google_service_account_iam_member.push_signer.role == google_service_account_iam_member.sweep_signer.role
    error_message = "No predefined role but those four, and no basic one (owner, editor, viewer)."
  }

  assert {
    condition     = google_service_account.auth.member != "allUsers" && alltrue([for it in fileset(".", "*.tf") : it == "page.tf" || !can(regex("\"all(Users|AuthenticatedUsers)\"", file(it)))])
    error_message = "Nothing is everybody's but the page's bucket."
  }

  # On a whole project there are only roles of ours; the two that change machines, on those of workspaces only.
  assert {
    condition = { for it in [google_project_iam_member.auth, google_project_iam_member.lifecycle, google_project_iam_member.lifecycle_machines, google_project_iam_member.reaper, google_project_iam_member.reaper_machines] : it.role => [it.member, try(it.condition[0].expression, "")] } == {
      (google_project_iam_custom_role.auth.id)               = [google_service_account.auth.member, ""]
      (google_project_iam_custom_role.lifecycle.id)          = [google_service_account.lifecycle.member, ""]
      (google_project_iam_custom_role.lifecycle_machines.id) = [google_service_account.lifecycle.member, "resource.name.extract(\"/instances/{name}\").startsWith(\"comfyui-\") || resource.name.extract(\"/disks/{name}\").startsWith(\"comfyui-\")"]
      (google_project_iam_custom_role.reaper.id)             = [google_service_account.reaper.member, ""]
      (google_project_iam_custom_role.reaper_machines.id)    = [google_service_account.reaper.member, "resource.name.extract(\"/instances/{name}\").startsWith(\"comfyui-\") || resource.name.extract(\"/disks/{name}\").startsWith(\"comfyui-\")"]
    } && length(flatten([for it in fileset(".", "*.tf") : regexall("resource \"google_project_iam_(?:member|binding|policy)\"", file(it)) if it != "build.tf"])) == 5
    error_message = "Rights on the project: these five, the two on machines with a condition."
  }

  assert {
    condition     = one(google_service_account_iam_member.lifecycle_acts_as_vm[*].service_account_id) == google_service_account.vm.name
    error_message = "Where a disk moves, lifecycle may act as the machines' account, and as no other."
  }

  # --- secrets

  assert {
    condition = alltrue([for it in concat(values(google_secret_manager_secret_version.first), values(google_secret_manager_secret_version.webhooks)) : it.secret_data == null && it.secret_data_wo == null]) && concat(keys(google_secret_manager_secret_version.first), keys(google_secret_manager_secret_version.webhooks)) == [
      "first-password", "signing-key", "users", "webhooks"
    ] && length(flatten([for it in fileset(".", "*.tf") : regexall("resource \"google_secret_manager_secret_version\"", file(it))])) == 2
    error_message = "No secret is in the state."
  }

  assert {
    condition = { for it in flatten([for service in [google_cloud_run_v2_service.auth, google_cloud_run_v2_service.lifecycle, google_cloud_run_v2_service.reaper] : [for it in service.template[0].containers[0].env : { key = "${service.name} ${it.name}", it = it } if length(it.value_source) > 0]]) : it.key => it.it.value_source[0].secret_key_ref[0].secret } == {
      "pilotlight-auth SIGNING_KEY"      = "pilotlight-signing-key"
      "pilotlight-auth USERS"            = "pilotlight-users"
      "pilotlight-lifecycle SIGNING_KEY" = "pilotlight-signing-key"
      "pilotlight-lifecycle WEBHOOKS"    = "pilotlight-webhooks"
    }
    error_message = "Secrets reach a service by reference, and only who needs them."
  }

  assert {
    condition     = !strcontains(jsonencode([google_cloud_run_v2_service.auth, google_cloud_run_v2_service.lifecycle, google_cloud_run_v2_service.reaper, output.next_steps, output.first_password_command, output.audiences]), "nobody-may-see")
    error_message = "No secret is told in clear."
  }

  assert {
    condition = concat([for key, it in google_secret_manager_secret_iam_member.auth : "${key} ${it.member}"], ["signing-key ${google_secret_manager_secret_iam_member.lifecycle.member}"]) == [
      "signing-key ${google_service_account.auth.member}", "users ${google_service_account.auth.member}", "signing-key ${google_service_account.lifecycle.member}",
    ] && google_secret_manager_secret_iam_member.lifecycle.secret_id == google_secret_manager_secret.secret["signing-key"].id
    error_message = "The first password is nobody's but the owner's."
  }

  assert {
    condition = [for it in google_secret_manager_secret_iam_member.webhooks : "${it.secret_id} ${it.member}"] == [
      "${google_secret_manager_secret.secret["webhooks"].id} ${google_service_account.lifecycle.member}"
    ] && length(flatten([for it in fileset(".", "*.tf") : regexall("resource \"google_secret_manager_secret_iam_(?:member|binding|policy)\"", file(it))])) == 3
    error_message = "lifecycle alone reads the webhooks."
  }

  assert {
    condition     = google_secret_manager_secret_version.webhooks["webhooks"].secret_data_wo_version == "1-${substr(sha256(jsonencode({ main = "slack" })), 0, 12)}" && google_cloud_run_v2_service.lifecycle.template[0].labels.webhooks == local.webhooks_version
    error_message = "Webhooks that are written anew are another revision, which reads them."
  }

  # --- the database, the images, the APIs

  assert {
    condition     = google_firestore_database.default.delete_protection_state == "DELETE_PROTECTION_ENABLED" && google_firestore_database.default.deletion_policy == "PREVENT"
    error_message = "The database is not deleted unless that is said."
  }

  assert {
    condition = google_firebaserules_release.nobody.name == "cloud.firestore" && google_firebaserules_release.nobody.ruleset_name == "projects/${var.project}/rulesets/${google_firebaserules_ruleset.nobody.name}" && flatten(regexall("allow ([^;]+);", google_firebaserules_ruleset.nobody.source[0].files[0].content)) == [
      "read, write: if false"
    ]
    error_message = "The rules in force deny everything."
  }

  assert {
    condition     = google_artifact_registry_repository.pilotlight.docker_config[0].immutable_tags && output.image_repository == "us-central1-docker.pkg.dev/pilotlight-test/pilotlight"
    error_message = "A tag stays with its image."
  }

  assert {
    condition     = alltrue([for it in google_project_service.api : !it.disable_on_destroy])
    error_message = "Destroying turns no API off for others."
  }

  assert {
    condition     = output.page_url == "https://pilotlight-auth-${data.google_project.this.number}.us-central1.run.app" && strcontains(output.next_steps, output.page_url) && strcontains(output.next_steps, output.first_password_command)
    error_message = "The owner is told where to go, and how to get in."
  }
}

# Against the state of the run before.
run "another_workspace_tells" {
  command = plan

  variables {
    webhooks = {
      main  = { url = "https://hooks.example.com/main", secret = "whsec_bm9ib2R5IG1heSBzZWUgdGhpcyB3aGljaCBpcyBub3QgaGVyZQ==" }
      small = { url = "https://discord.com/api/webhooks/1/small", secret = "whsec_bm9ib2R5IG1heSBzZWUgdGhpcyB3aGljaCBpcyBub3QgaGVyZQ==" }
    }
    workspaces = {
      main = {
        notify     = "slack"
        disk       = { size_gb = 200, regional = true }
        placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }, { zone = "us-central1-b", machine_type = "g2-standard-4", spot = true }]
      }
      small = {
        notify     = "discord"
        disk       = { size_gb = 100 }
        placements = [{ zone = "us-central1-a", machine_type = "n1-standard-4", accelerator = "nvidia-tesla-t4" }]
      }
    }
  }

  assert {
    condition     = google_secret_manager_secret_version.webhooks["webhooks"].secret_data_wo_version != "1-${substr(sha256(jsonencode({ main = "slack" })), 0, 12)}"
    error_message = "The webhooks are written anew when another workspace tells."
  }
}

run "with_a_domain_and_without_a_disk_that_moves" {
  command = plan

  variables {
    page_domain     = "pilotlight.example.com"
    data_on_destroy = "delete"
    webhooks        = {}
    workspaces = {
      only = { placements = [{ zone = "us-central1-a", machine_type = "g2-standard-4" }] }
    }
  }

  assert {
    condition     = google_cloud_run_v2_service.auth.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    error_message = "auth is behind the load balancer, and nowhere else: X-Forwarded-For is trusted."
  }

  assert {
    condition = { for it in google_cloud_run_v2_service.auth.template[0].containers[0].env : it.name => it.value if contains(["PAGE_ORIGIN", "TRUSTED_PROXIES", "LIFECYCLE_ORIGIN"], it.name) } == {
      PAGE_ORIGIN = "https://pilotlight.example.com", TRUSTED_PROXIES = "2"
    }
    error_message = "lifecycle is at the page's own origin, and there is one proxy more."
  }

  assert {
    condition     = [for it in google_cloud_run_v2_service.lifecycle.template[0].containers[0].env : it.value if it.name == "JWKS_URL"] == ["https://pilotlight.example.com/.well-known/jwks.json"]
    error_message = "Nobody is sent to auth's own address, which is closed."
  }

  assert {
    condition     = length(google_service_account_iam_member.lifecycle_acts_as_vm) == 0
    error_message = "Nobody acts as anybody."
  }

  assert {
    condition     = !contains(keys(google_secret_manager_secret.secret), "webhooks") && [for it in google_cloud_run_v2_service.lifecycle.template[0].containers[0].env : it.name if length(it.value_source) > 0] == ["SIGNING_KEY"]
    error_message = "Without a workspace that tells there is no secret of webhooks."
  }

  assert {
    condition     = google_firestore_database.default.delete_protection_state == "DELETE_PROTECTION_DISABLED" && google_firestore_database.default.deletion_policy == "DELETE"
    error_message = "All data goes, when that is said."
  }
}
