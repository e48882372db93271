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

locals {
  letters = ["a", "b", "c", "d", "e", "f"]

  # By the instance's name: comfyui-main-a, comfyui-main-b, …
  placements = merge([for id, workspace in var.workspaces : {
    for index, place in workspace.placements : "comfyui-${id}-${local.letters[index]}" => merge(place, {
      workspace = id
      index     = index
    })
  }]...)
}
