# What the owner says of a deployment; everything else follows from it. What a workspace is stands in workspaces.tf.

variable "project" {
  description = "Id of the Google Cloud project that everything is in."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project is not the id of a project: 6 to 30 lower-case letters, digits and hyphens, a letter first. `gcloud projects list` shows it (PROJECT_ID, not NAME)."
  }
}

variable "region" {
  description = "Where everything is, such as us-central1. The database cannot be moved afterwards."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is not the name of a region such as us-central1 (a zone, us-central1-a, has a letter more)."
  }
}

variable "owner_email" {
  description = "Whom alerts are sent to, and whom the certificate authority writes to."
  type        = string

  validation {
    condition     = can(regex("^[^@\\s,;<>\"]+@[^@\\s,;<>\"]+\\.[a-zA-Z]{2,}$", var.owner_email))
    error_message = "owner_email is not an e-mail address such as owner@example.com."
  }
}

variable "image" {
  description = "Image of the control plane by its digest: REGION-docker.pkg.dev/PROJECT/pilotlight/control-plane@sha256:…. `deploy` builds it and says it here."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9.-]+/[a-z0-9._:/-]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image does not name an image by its digest (HOST/PATH@sha256: and 64 hexadecimal digits). A tag would let the same plan run other code."
  }
}

variable "bundle_sha256" {
  description = "Digest of the bundle that VMs fetch. `vm/bundle.sh OUT_DIR --upload gs://PROJECT-pilotlight-vm/vm` makes it, and `deploy` says it here."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.bundle_sha256))
    error_message = "bundle_sha256 is not a SHA-256: 64 hexadecimal digits, as vm/bundle.sh prints them."
  }
}

variable "page_domain" {
  description = "Domain of the page, such as pilotlight.example.com. With it the page comes from a bucket, by a CDN, behind a load balancer that costs some $18 a month; without it, from auth at its own address, for nothing."
  type        = string
  default     = null

  validation {
    condition     = var.page_domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.page_domain))
    error_message = "page_domain is not a name such as pilotlight.example.com: no https://, no slash, lower case."
  }
}

variable "dns_zone" {
  description = "Name of the project's Cloud DNS zone in which the records of page_domain and of the workspaces' domains are made. Without it, they are made by hand: the outputs say which."
  type        = string
  default     = null
}

variable "billing_account" {
  description = "Billing account that the budget watches, such as 012345-6789AB-CDEF01. Without it there is no budget alert."
  type        = string
  default     = null

  validation {
    condition     = var.billing_account == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account is not the id of a billing account such as 012345-6789AB-CDEF01. `gcloud billing accounts list` shows it."
  }
}

variable "monthly_budget" {
  description = "What a month may cost before owner_email is told, in whole units of the billing account's currency."
  type        = number
  default     = 50

  validation {
    condition     = var.monthly_budget >= 1 && floor(var.monthly_budget) == var.monthly_budget
    error_message = "monthly_budget is not a whole number of 1 or more."
  }
}

variable "data_on_destroy" {
  description = "What `terraform destroy` does to data disks and database: `refuse` to go on, `keep` them, or `delete` them. `deploy --destroy` says it here."
  type        = string
  default     = "refuse"

  validation {
    condition     = contains(["refuse", "keep", "delete"], var.data_on_destroy)
    error_message = "data_on_destroy is not one of refuse, keep, delete."
  }
}

# Secrets pass through Terraform without being kept: neither plan nor state has them (ADR 11). They are written when
# secrets_version changes; `deploy` says them at the first time, and whoever rotates one adds a version of the secret by hand.

variable "signing_key" {
  description = "Ed25519 keys in PEM, as `control-plane new-key` makes one; written when secrets_version changes."
  type        = string
  default     = null
  sensitive   = true
  ephemeral   = true
}

variable "users" {
  description = "Who may sign in, in JSON: [{\"name\":\"admin\",\"role\":\"admin\",\"hash\":\"$argon2id$…\"}]; written when secrets_version changes."
  type        = string
  default     = null
  sensitive   = true
  ephemeral   = true
}

variable "first_password" {
  description = "The first user's password, kept where the owner can read it; written when secrets_version changes."
  type        = string
  default     = null
  sensitive   = true
  ephemeral   = true
}

variable "secrets_version" {
  description = "Another number writes signing_key, users and first_password anew."
  type        = number
  default     = 1
}
