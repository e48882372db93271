variable "project" {
  description = "Google Cloud project that everything is in."
  type        = string
}

variable "location" {
  description = "Where the database is: a region such as us-central1. It cannot be moved."
  type        = string
}
