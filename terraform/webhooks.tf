# Where people are told of their workspaces. That a workspace tells, and in which shape, stands in the workspace; the address,
# which lets whoever knows it write there, is a secret of lifecycle's alone. Without a workspace that tells there is none.

# What is wrong with it, resources say: with a variable's own validation Terraform would print the line that it stands in.
variable "webhooks" {
  description = "By workspace that says notify: {url, secret}. The url as the other side gives it; the secret, whsec_ and 32 random bytes in base64, signs what is sent. Must be said in every run; written when webhooks_version or a workspace's notify changes."
  type = map(object({
    url    = optional(string, "")
    secret = optional(string, "")
  }))
  default   = {}
  nullable  = false
  sensitive = true
  ephemeral = true
}

variable "webhooks_version" {
  description = "Another number writes webhooks anew: say one after a url or a secret has changed."
  type        = number
  default     = 1
}

locals {
  notifying = tomap({ for id, workspace in var.workspaces : id => workspace.notify if workspace.notify != null })
  notifies  = length(local.notifying) > 0 ? ["webhooks"] : []

  # WEBHOOKS, as functions/wire/src/webhook/config.rs reads it.
  webhooks_json = jsonencode({ for id, shape in local.notifying : id => merge(try(var.webhooks[id], {}), { shape = shape }) })

  # Terraform cannot see that a secret has changed. Which workspaces tell, and how, it can.
  webhooks_version = "${var.webhooks_version}-${substr(sha256(jsonencode(local.notifying)), 0, 12)}"
}

resource "google_secret_manager_secret_version" "webhooks" {
  for_each = toset(local.notifies)

  secret                 = google_secret_manager_secret.secret[each.key].id
  secret_data_wo         = local.webhooks_json
  secret_data_wo_version = local.webhooks_version

  lifecycle {
    # `latest` names one at any time.
    create_before_destroy = true

    precondition {
      condition     = alltrue([for it in values(var.webhooks) : length(it.url) <= 2000 && can(regex("^https://([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}(:[0-9]{1,5})?(/[!-~]*)?$", it.url))])
      error_message = "The url of a webhook is not one such as https://hooks.slack.com/services/…: https, the name of a host in lower case, no user, no address of digits, no blank, 2000 characters at most."
    }

    precondition {
      condition     = alltrue([for it in values(var.webhooks) : can(regex("^whsec_(?:[A-Za-z0-9+/]{4}){8,21}$|^whsec_(?:[A-Za-z0-9+/]{4}){8,20}[A-Za-z0-9+/]{3}=$|^whsec_(?:[A-Za-z0-9+/]{4}){8,21}[A-Za-z0-9+/]{2}==$", it.secret))])
      error_message = "The secret of a webhook is not whsec_ and 24 to 64 bytes in base64. Make one: echo \"whsec_$(openssl rand -base64 32)\"."
    }
  }
}

resource "google_secret_manager_secret_iam_member" "webhooks" {
  for_each = toset(local.notifies)

  secret_id = google_secret_manager_secret.secret[each.key].id
  role      = google_project_iam_custom_role.secret.id
  member    = google_service_account.lifecycle.member
}
