terraform {
  # 1.11 has write-only arguments: secrets that are in no state.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
  }

  # Where the state is, `deploy` says: -backend-config=bucket=PROJECT-pilotlight-state.
  backend "gcs" {
    prefix = "pilotlight"
  }
}

provider "google" {
  project = var.project
  region  = var.region

  # The budget's API bills its calls to a project: to ours, whoever is signed in.
  billing_project       = var.project
  user_project_override = true

  default_labels = { app = "pilotlight" }
}
