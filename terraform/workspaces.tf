# What a workspace is, and what follows from it: the placements by their instance's name, and what the functions are told.

variable "workspaces" {
  description = "The workspaces by their ids. See terraform.tfvars.example."
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

    time_zone  = optional(string, "UTC")
    domain     = optional(string)
    allowed_ip = optional(list(string), [])

    boot = optional(object({
      image       = optional(string, "projects/ubuntu-os-accelerator-images/global/images/family/ubuntu-accelerator-2404-amd64-with-nvidia-580")
      size_gb     = optional(number, 50)
      secure_boot = optional(bool, false)
    }), {})

    comfyui = optional(map(string), {})
  }))
}

# Where a machine's price is looked up which the owner has not said: list prices, of the day in the file.
locals {
  prices  = jsondecode(file("${path.module}/prices.json"))
  letters = ["a", "b", "c", "d", "e", "f"]

  # What can be known beforehand, by the instance's name: comfyui-main-a, comfyui-main-b, …
  declared = merge([for id, workspace in var.workspaces : {
    for index, place in workspace.placements : "comfyui-${id}-${local.letters[index]}" => merge(place, {
      workspace = id
      index     = index

      # N1 carries whatever is plugged in; every other family has its GPU built in.
      accelerator       = try(coalesce(place.accelerator, local.prices.machine_types[place.machine_type].accelerator), "")
      accelerator_count = try(local.prices.machine_types[place.machine_type].accelerator_count, 1)
      usd_per_hour      = try(coalesce(place.usd_per_hour, local.prices.machine_types[place.machine_type].usd_per_hour[var.region][place.spot ? "spot" : "standard"]), 0)
      price_date        = place.usd_per_hour == null ? local.prices.date : place.price_date

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
  )])

  # FRAME_SOURCES: what the page may frame.
  frame_sources = join(",", [for place in local.placements : place.origin])
}
