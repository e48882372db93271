# What a workspace is, and what follows from it: the placements by their instance's name, and what the functions are told.

variable "workspaces" {
  description = "The workspaces by their ids; terraform.tfvars.example explains them. An attribute that is not listed here is dropped by Terraform without a word."
  type = map(object({
    title   = optional(string, "ComfyUI")
    members = optional(list(string))

    # In order of preference; several need a regional disk.
    placements = list(object({
      zone         = string
      machine_type = string
      accelerator  = optional(string)
      spot         = optional(bool, false)
      usd_per_hour = optional(number)
      price_date   = optional(string)
    }))

    # Which of them first: "first" the Spot ones, "last" the others; without it, as they are listed.
    spot = optional(string)

    disk = optional(object({
      size_gb  = optional(number, 200)
      type     = optional(string, "pd-balanced")
      regional = optional(bool, false)
      snapshot = optional(string)
    }), {})

    limits = optional(object({
      idle_seconds     = optional(number, 1800)
      arrival_seconds  = optional(number, 900)
      hard_seconds     = optional(number, 43200)
      drain_seconds    = optional(number, 180)
      silence_seconds  = optional(number, 600)
      booting_seconds  = optional(number, 1200)
      placing_seconds  = optional(number, 600)
      stopping_seconds = optional(number, 600)
    }), {})

    # At list price, of the machines alone; a month is one of time_zone.
    budget = optional(object({
      monthly_usd  = optional(number)
      per_user_usd = optional(number)
      when_used_up = optional(string, "next_idle")
    }))

    # slack, discord or json: the shape of what is sent to the workspace's entry of `webhooks`.
    notify = optional(string)

    time_zone  = optional(string, "UTC")
    domain     = optional(string)
    allowed_ip = optional(list(string), [])

    boot = optional(object({
      image       = optional(string, "projects/ubuntu-os-accelerator-images/global/images/family/ubuntu-accelerator-2404-amd64-with-nvidia-580")
      size_gb     = optional(number, 50)
      secure_boot = optional(bool, false)
    }), {})

    # version, source, sha256, constraints, arguments, memory_max; certificate, manifest, acme_server: see docs/vm.md.
    comfyui = optional(map(string), {})
  }))
  nullable = false

  validation {
    condition     = length(var.workspaces) > 0
    error_message = "workspaces is empty. Declare at least one: terraform.tfvars.example shows the smallest."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", id))])
    error_message = "These are no ids of workspaces: ${join(", ", [for id, it in var.workspaces : id if !can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", id))])}. An id has 1 to 30 of a-z, 0-9 and hyphens, a letter first and no hyphen last; what people read is its title."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : trimspace(it.title) != ""])
    error_message = "The title is empty of: ${join(", ", [for id, it in var.workspaces : id if trimspace(it.title) == ""])}. Leave it out, or say what people shall read."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : length(it.placements) >= 1 && length(it.placements) <= 6])
    error_message = "A workspace has one to six placements. Others have: ${join(", ", [for id, it in var.workspaces : "${id} (${length(it.placements)})" if length(it.placements) < 1 || length(it.placements) > 6])}."
  }

  validation {
    condition     = sum(concat([0], [for id, it in var.workspaces : length(it.placements)])) <= 50
    error_message = "There are more than 50 placements in all, which is as many as the page may frame. Leave some out."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : !(it.disk.regional ? length(distinct(it.placements[*].zone)) != 2 : length(it.placements) > 1)])
    error_message = "Disk and placements do not go together of: ${join(", ", [for id, it in var.workspaces : "${id} (${it.disk.regional ? "regional" : "zonal"} disk, ${join(" ", distinct(it.placements[*].zone))})" if it.disk.regional ? length(distinct(it.placements[*].zone)) != 2 : length(it.placements) > 1])}. Several placements share one disk, so it must be regional (disk = { regional = true }), and a regional disk is in exactly two zones, so its placements must be in these two. A single placement has a zonal disk."
  }

  validation {
    condition     = alltrue(flatten([for id, it in var.workspaces : [for place in it.placements : can(regex("^${var.region}-[a-z]$", place.zone))]]))
    error_message = "These zones are not in region ${var.region}: ${join(", ", flatten([for id, it in var.workspaces : [for place in it.placements : "${id}: ${place.zone}" if !can(regex("^${var.region}-[a-z]$", place.zone))]]))}. A zone is the region with a letter, such as ${var.region}-a."
  }

  validation {
    condition     = alltrue(flatten([for id, it in var.workspaces : [for place in it.placements : !(length([for prefix, _ in local.families : prefix if startswith(place.machine_type, prefix)]) == 0)]]))
    error_message = "These machine types cannot carry a workspace: ${join(", ", flatten([for id, it in var.workspaces : [for place in it.placements : "${id}: ${place.machine_type}" if length([for prefix, _ in local.families : prefix if startswith(place.machine_type, prefix)]) == 0]]))}. N1, G2 and A2 can. A3, A4 and G4 take no Persistent Disk, which the data disk is; the others have no GPU."
  }

  validation {
    condition     = alltrue(flatten([for id, it in var.workspaces : [for place in it.placements : alltrue([for prefix, family in local.families : contains(family.accelerators, coalesce(place.accelerator, family.built_in ? family.accelerators[0] : "none")) if startswith(place.machine_type, prefix)])]]))
    error_message = "These machine types cannot have that accelerator: ${join(", ", flatten([for id, it in var.workspaces : [for place in it.placements : "${id}: ${place.machine_type} with ${coalesce(place.accelerator, "none")}" if !alltrue([for prefix, family in local.families : contains(family.accelerators, coalesce(place.accelerator, family.built_in ? family.accelerators[0] : "none")) if startswith(place.machine_type, prefix)])]]))}. N1 needs one, such as nvidia-tesla-t4. G2 has nvidia-l4 built in, A2 nvidia-tesla-a100 or (ultragpu) nvidia-a100-80gb: leave accelerator out there."
  }

  validation {
    condition     = alltrue(flatten([for id, it in var.workspaces : [for place in it.placements : !(place.usd_per_hour == null && (try(local.prices.machine_types[place.machine_type].usd_per_hour[var.region][place.spot ? "spot" : "standard"], null) == null || coalesce(place.accelerator, try(local.prices.machine_types[place.machine_type].accelerator, "none")) != try(local.prices.machine_types[place.machine_type].accelerator, "")))]]))
    error_message = "prices.json has no price in ${var.region} for: ${join(", ", flatten([for id, it in var.workspaces : [for place in it.placements : "${id}: ${place.spot ? "spot " : ""}${place.machine_type}${place.accelerator == null ? "" : " with ${place.accelerator}"}" if place.usd_per_hour == null && (try(local.prices.machine_types[place.machine_type].usd_per_hour[var.region][place.spot ? "spot" : "standard"], null) == null || coalesce(place.accelerator, try(local.prices.machine_types[place.machine_type].accelerator, "none")) != try(local.prices.machine_types[place.machine_type].accelerator, ""))]]))}. Is it a slip? If not, look it up and set usd_per_hour, machine and GPU together, and price_date, the day you looked."
  }

  validation {
    condition     = alltrue(flatten([for id, it in var.workspaces : [for place in it.placements : !(place.usd_per_hour == null ? false : place.usd_per_hour < 0 || place.usd_per_hour > 1000)]]))
    error_message = "usd_per_hour is not between 0 and 1000: ${join(", ", flatten([for id, it in var.workspaces : [for place in it.placements : "${id}: ${coalesce(place.usd_per_hour, 0)}" if place.usd_per_hour == null ? false : place.usd_per_hour < 0 || place.usd_per_hour > 1000]]))}."
  }

  validation {
    condition     = alltrue(flatten([for id, it in var.workspaces : [for place in it.placements : !(place.price_date == null ? false : place.usd_per_hour == null || !can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", place.price_date)) || !can(formatdate("YYYY", "${place.price_date}T00:00:00Z")))]]))
    error_message = "These cannot be price_date: ${join(", ", flatten([for id, it in var.workspaces : [for place in it.placements : "${id}: ${coalesce(place.price_date, "none")}" if place.price_date == null ? false : place.usd_per_hour == null || !can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", place.price_date)) || !can(formatdate("YYYY", "${place.price_date}T00:00:00Z"))]]))}. It is a day such as 2026-07-30, and goes with a usd_per_hour of yours."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : !(it.disk.size_gb < 20 || it.disk.size_gb > 65536 || floor(it.disk.size_gb) != it.disk.size_gb)])
    error_message = "disk.size_gb is not a whole number from 20 to 65536: ${join(", ", [for id, it in var.workspaces : "${id} (${it.disk.size_gb})" if it.disk.size_gb < 20 || it.disk.size_gb > 65536 || floor(it.disk.size_gb) != it.disk.size_gb])}. ComfyUI alone needs 12 GiB while it is installed."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : contains(["pd-balanced", "pd-ssd"], it.disk.type)])
    error_message = "disk.type is neither pd-balanced nor pd-ssd: ${join(", ", [for id, it in var.workspaces : "${id} (${it.disk.type})" if !contains(["pd-balanced", "pd-ssd"], it.disk.type)])}. G2 has no other that a placement could share."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : !(it.boot.size_gb < 20 || it.boot.size_gb > 2048 || floor(it.boot.size_gb) != it.boot.size_gb)])
    error_message = "boot.size_gb is not a whole number from 20 to 2048: ${join(", ", [for id, it in var.workspaces : "${id} (${it.boot.size_gb})" if it.boot.size_gb < 20 || it.boot.size_gb > 2048 || floor(it.boot.size_gb) != it.boot.size_gb])}."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : can(regex("^(https://[^ ]+/)?projects/[a-z0-9:.-]+/global/images/(family/)?[a-z0-9-]+$", it.boot.image))])
    error_message = "boot.image is neither an image nor a family: ${join(", ", [for id, it in var.workspaces : "${id} (${it.boot.image})" if !can(regex("^(https://[^ ]+/)?projects/[a-z0-9:.-]+/global/images/(family/)?[a-z0-9-]+$", it.boot.image))])}. It is projects/PROJECT/global/images/IMAGE or projects/PROJECT/global/images/family/FAMILY."
  }

  validation {
    condition     = alltrue(flatten([for id, it in var.workspaces : [for name, bound in local.limits : it.limits[name] >= bound.least && it.limits[name] <= bound.most && floor(it.limits[name]) == it.limits[name]]]))
    error_message = "These limits are out of bounds: ${join(", ", flatten([for id, it in var.workspaces : [for name, bound in local.limits : "${id}: ${name} is ${it.limits[name]}, expected ${bound.least} to ${bound.most}" if it.limits[name] < bound.least || it.limits[name] > bound.most || floor(it.limits[name]) != it.limits[name]]]))}. They are whole seconds."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : it.limits.hard_seconds >= it.limits.drain_seconds + 60])
    error_message = "limits.hard_seconds leaves no minute before the announcement of the end begins: ${join(", ", [for id, it in var.workspaces : "${id} (hard ${it.limits.hard_seconds}, drain ${it.limits.drain_seconds})" if it.limits.hard_seconds < it.limits.drain_seconds + 60])}. It must be drain_seconds and 60 at least."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : contains(["first", "last"], coalesce(it.spot, "first"))])
    error_message = "spot is neither first nor last of: ${join(", ", [for id, it in var.workspaces : "${id} (${it.spot})" if !contains(["first", "last"], coalesce(it.spot, "first"))])}. It says which placements are tried first; leave it out, and they are tried as listed. Whether a placement is Spot, it says itself (spot = true)."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : it.spot == null || length(distinct(it.placements[*].spot)) == 2])
    error_message = "spot orders Spot and standard placements, and there is only one of the two kinds in: ${join(", ", [for id, it in var.workspaces : id if it.spot != null && length(distinct(it.placements[*].spot)) != 2])}. Leave it out, or add a placement of the other kind."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : it.budget == null ? true : it.budget.monthly_usd != null || it.budget.per_user_usd != null])
    error_message = "budget has no amount of: ${join(", ", [for id, it in var.workspaces : id if it.budget == null ? false : it.budget.monthly_usd == null && it.budget.per_user_usd == null])}. Set monthly_usd, per_user_usd or both; leave budget out where there is no limit."
  }

  validation {
    condition     = alltrue(flatten([for id, it in var.workspaces : [for name in ["monthly_usd", "per_user_usd"] : try(it.budget[name], null) == null ? true : it.budget[name] >= 1 && it.budget[name] <= 1000000]]))
    error_message = "A budget is from 1 to 1000000 dollars a month: ${join(", ", flatten([for id, it in var.workspaces : [for name in ["monthly_usd", "per_user_usd"] : "${id}: ${name} is ${it.budget[name]}" if try(it.budget[name], null) == null ? false : it.budget[name] < 1 || it.budget[name] > 1000000]]))}. To let nobody start a workspace, name no members but admins."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : it.budget == null ? true : contains(["next_idle", "hard_limit"], it.budget.when_used_up)])
    error_message = "budget.when_used_up is neither next_idle nor hard_limit of: ${join(", ", [for id, it in var.workspaces : "${id} (${it.budget.when_used_up})" if it.budget == null ? false : !contains(["next_idle", "hard_limit"], it.budget.when_used_up)])}. It says when a run ends that is up as the budget is used up: as soon as it is idle, or at its hard limit."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : contains(["slack", "discord", "json"], coalesce(it.notify, "json"))])
    error_message = "notify is none of slack, discord, json of: ${join(", ", [for id, it in var.workspaces : "${id} (${it.notify})" if !contains(["slack", "discord", "json"], coalesce(it.notify, "json"))])}. It is the shape of what is sent; the address goes into webhooks, which is secret."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : can(regex("^[A-Z][A-Za-z]*(/[A-Za-z0-9_+-]+)*$", it.time_zone))])
    error_message = "time_zone is not a name of the IANA database such as Europe/Berlin or UTC: ${join(", ", [for id, it in var.workspaces : "${id} (${it.time_zone})" if !can(regex("^[A-Z][A-Za-z]*(/[A-Za-z0-9_+-]+)*$", it.time_zone))])}."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : !(it.domain == null ? false : length(it.domain) > 250 || !can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", it.domain)))])
    error_message = "domain is not a name such as comfy.example.com: ${join(", ", [for id, it in var.workspaces : "${id} (${coalesce(it.domain, "none")})" if it.domain == null ? false : length(it.domain) > 250 || !can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", it.domain))])}. No https://, no slash, lower case."
  }

  validation {
    condition     = length(distinct(concat(var.page_domain == null ? [] : [var.page_domain], flatten([for it in values(var.workspaces) : it.domain == null ? [] : length(it.placements) == 1 ? [it.domain] : [for index, _ in it.placements : "${substr("abcdef", index, 1)}.${it.domain}"]])))) == length(concat(var.page_domain == null ? [] : [var.page_domain], flatten([for it in values(var.workspaces) : it.domain == null ? [] : length(it.placements) == 1 ? [it.domain] : [for index, _ in it.placements : "${substr("abcdef", index, 1)}.${it.domain}"]])))
    error_message = "Two machines, or a machine and the page, would have the same name: ${join(", ", sort(concat(var.page_domain == null ? [] : [var.page_domain], flatten([for it in values(var.workspaces) : it.domain == null ? [] : length(it.placements) == 1 ? [it.domain] : [for index, _ in it.placements : "${substr("abcdef", index, 1)}.${it.domain}"]]))))}. A workspace with one placement is found at its domain, one with several at a.DOMAIN, b.DOMAIN, …: give each a domain of its own."
  }

  validation {
    condition     = alltrue(flatten([for id, it in var.workspaces : [for ip in it.allowed_ip : can(cidrhost(strcontains(ip, "/") ? ip : strcontains(ip, ":") ? "${ip}/128" : "${ip}/32", 0))]]))
    error_message = "allowed_ip has what is neither an address nor a range such as 203.0.113.0/24: ${join(", ", flatten([for id, it in var.workspaces : [for ip in it.allowed_ip : "${id}: ${ip}" if !can(cidrhost(strcontains(ip, "/") ? ip : strcontains(ip, ":") ? "${ip}/128" : "${ip}/32", 0))]]))}."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : length(it.allowed_ip) <= 1000])
    error_message = "allowed_ip has more than 1000 entries: ${join(", ", [for id, it in var.workspaces : "${id} (${length(it.allowed_ip)})" if length(it.allowed_ip) > 1000])}. Join neighbours to ranges."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : !(length(it.allowed_ip) > 0 && alltrue([for ip in it.allowed_ip : strcontains(ip, ":")]))])
    error_message = "allowed_ip has IPv6 only, and the machines have IPv4 only, so nobody could reach: ${join(", ", [for id, it in var.workspaces : id if length(it.allowed_ip) > 0 && alltrue([for ip in it.allowed_ip : strcontains(ip, ":")])])}. Add the IPv4 addresses of the same people."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : !(it.members == null ? false : length(it.members) == 0 || anytrue([for name in it.members : trimspace(name) == ""]) || length(distinct(it.members)) != length(it.members))])
    error_message = "members is empty, has an empty name, or has one twice, of: ${join(", ", [for id, it in var.workspaces : id if it.members == null ? false : length(it.members) == 0 || anytrue([for name in it.members : trimspace(name) == ""]) || length(distinct(it.members)) != length(it.members)])}. Leave it out for everybody who may sign in; to let nobody in, remove the workspace."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : !(length(setsubtract(keys(it.comfyui), keys(local.comfyui_keys))) > 0)])
    error_message = "comfyui has keys that no VM knows: ${join(", ", [for id, it in var.workspaces : "${id} (${join(" ", setsubtract(keys(it.comfyui), keys(local.comfyui_keys)))})" if length(setsubtract(keys(it.comfyui), keys(local.comfyui_keys))) > 0])}. There are ${join(", ", keys(local.comfyui_keys))}; docs/vm.md says what they mean."
  }

  validation {
    condition     = alltrue([for id, it in var.workspaces : !(try(it.comfyui.sha256, null) == null ? false : !can(regex("^[0-9a-f]{64}$", it.comfyui.sha256)))])
    error_message = "comfyui.sha256 is not 64 hexadecimal digits of: ${join(", ", [for id, it in var.workspaces : id if try(it.comfyui.sha256, null) == null ? false : !can(regex("^[0-9a-f]{64}$", it.comfyui.sha256))])}."
  }
}

# What a machine can be, and what may be said of it. Nothing of this hangs on what the owner says, so validations may use it.
locals {
  # List prices with their day; what is not in there, a placement says itself.
  prices  = jsondecode(file("${path.module}/prices.json"))
  letters = ["a", "b", "c", "d", "e", "f"]

  # Families by the beginning of their machine types. Built in or plugged in: only the latter is said to Compute Engine.
  families = {
    "n1-"          = { built_in = false, accelerators = ["nvidia-tesla-t4", "nvidia-tesla-v100", "nvidia-tesla-p100", "nvidia-tesla-p4"] }
    "g2-"          = { built_in = true, accelerators = ["nvidia-l4"] }
    "a2-highgpu-"  = { built_in = true, accelerators = ["nvidia-tesla-a100"] }
    "a2-megagpu-"  = { built_in = true, accelerators = ["nvidia-tesla-a100"] }
    "a2-ultragpu-" = { built_in = true, accelerators = ["nvidia-a100-80gb"] }
  }

  # As Policy::check has it (functions/domain/src/workspace.rs). silence_seconds: three heartbeats of 30 s.
  limits = {
    idle_seconds     = { least = 60, most = 86400 }
    arrival_seconds  = { least = 60, most = 86400 }
    hard_seconds     = { least = 70, most = 604800 }
    drain_seconds    = { least = 10, most = 3600 }
    silence_seconds  = { least = 90, most = 86400 }
    booting_seconds  = { least = 60, most = 21600 }
    placing_seconds  = { least = 60, most = 21600 }
    stopping_seconds = { least = 60, most = 21600 }
  }

  # What `comfyui` may say, and the metadata key by which the VM reads it (SETTINGS in vm/startup.sh).
  comfyui_keys = {
    version     = "comfyui_version"
    source      = "comfyui_source"
    sha256      = "comfyui_sha256"
    constraints = "comfyui_constraints"
    arguments   = "comfyui_arguments"
    memory_max  = "comfyui_memory_max"
    certificate = "certificate"
    manifest    = "manifest"
    acme_server = "acme_server"
  }
}

# What follows.
locals {
  # What can be known beforehand, by the instance's name: comfyui-main-a, comfyui-main-b, …
  declared = merge([for id, workspace in var.workspaces : {
    for index, place in workspace.placements : "comfyui-${id}-${local.letters[index]}" => merge(place, {
      workspace = id
      index     = index

      accelerator = coalesce(place.accelerator, local.families[
        one([for prefix, _ in local.families : prefix if startswith(place.machine_type, prefix)])
      ].accelerators[0])
      plugged_in = startswith(place.machine_type, "n1-")

      usd_per_hour = place.usd_per_hour != null ? place.usd_per_hour : (
        local.prices.machine_types[place.machine_type].usd_per_hour[var.region][place.spot ? "spot" : "standard"]
      )
      price_date = place.usd_per_hour != null ? place.price_date : local.prices.date

      domain = workspace.domain == null ? null : (
        length(workspace.placements) == 1 ? workspace.domain : "${local.letters[index]}.${workspace.domain}"
      )
    })
  }]...)

  # And where each is found, which is known once its address is reserved.
  placements = { for name, place in local.declared : name => merge(place, {
    host   = coalesce(place.domain, google_compute_address.placement[name].address)
    origin = "https://${coalesce(place.domain, google_compute_address.placement[name].address)}"
  }) }

  # WORKSPACES, as functions/wire/src/config.rs reads it, which refuses what it does not know.
  workspaces_json = jsonencode([for id, workspace in var.workspaces : merge(
    {
      id        = id
      title     = workspace.title
      time_zone = workspace.time_zone
      limits    = workspace.limits
      placements = [for index, _ in workspace.placements : merge({
        instance = "comfyui-${id}-${local.letters[index]}"
        }, {
        for key, value in local.placements["comfyui-${id}-${local.letters[index]}"] : key => value
        if contains(["zone", "spot", "machine_type", "accelerator", "usd_per_hour", "price_date", "origin"], key)
      })]
    },
    # Said only where the disk moves: the only placement keeps its own.
    length(workspace.placements) > 1 ? { disk = "comfyui-${id}-data" } : {},
    workspace.members == null ? {} : { members = workspace.members },
    workspace.spot == null ? {} : { spot = workspace.spot },
    workspace.budget == null ? {} : { budget = workspace.budget },
    workspace.notify == null ? {} : { notify = true },
  )])

  # FRAME_SOURCES: what the page may frame.
  frame_sources = join(",", [for place in local.placements : place.origin])
}
