# shellcheck shell=bash
# What Terraform itself needs: the first APIs, and the bucket of its state. What the state knows.

# What Terraform, and this program before it, cannot do without. All others are Terraform's to enable.
FIRST_APIS=(serviceusage cloudresourcemanager storage compute firestore secretmanager)

# Enabled is enabled: again changes nothing.
enable_first_apis() {
  local apis=("${FIRST_APIS[@]/%/.googleapis.com}")
  [[ "$ENGINE" != cloud ]] || apis+=(cloudbuild.googleapis.com)
  change cloud services enable "${apis[@]}" ||
    fail "the APIs could not be enabled: ${apis[*]}. It takes an owner or an editor of $PROJECT"
}

state_bucket() {
  echo "$PROJECT-pilotlight-state"
}

vm_bucket() {
  echo "$PROJECT-pilotlight-vm"
}

# Terraform cannot make the place of its own state. Earlier states are kept, as versions.
make_state_bucket() {
  local bucket found
  bucket="$(state_bucket)"
  found="$(ask "" cloud storage buckets list --filter "name=$bucket" --format 'value(name,versioning_enabled)')" ||
    fail "the buckets of $PROJECT could not be listed"
  [[ -n "$found" ]] || change cloud storage buckets create "gs://$bucket" --location "$REGION" --uniform-bucket-level-access \
    --public-access-prevention || fail "the bucket $bucket for Terraform's state could not be made"
  [[ "${found,,}" == *true ]] || change cloud storage buckets update "gs://$bucket" --versioning ||
    fail "the bucket $bucket could not be told to keep versions"
}

# Another project's state is not carried over: the settings say which project, and so which state.
initialise() {
  change tf init -input=false -reconfigure "-backend-config=bucket=$(state_bucket)" ||
    fail "terraform init has failed: it fetches the provider from registry.terraform.io, and reads gs://$(state_bucket)"
  read_state
}

# What Terraform knows of, an address a line.
read_state() {
  if ! STATE="$(ask "" tf state list 2>"$SCRATCH/errors")"; then
    grep --quiet "No state file was found" "$SCRATCH/errors" || {
      cat "$SCRATCH/errors" >&2
      fail "Terraform's state could not be read"
    }
    STATE=""
  fi
}

knows() {
  grep --quiet --line-regexp --fixed-strings -- "$1" <<<"$STATE"
}
