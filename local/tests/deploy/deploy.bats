#!/usr/bin/env bats
# `deploy`: what it runs, in which order, and what it leaves alone. The cloud, Terraform and the engines are stand-ins that
# note their commands; the real gcloud, where it is installed, says whether it takes them.

bats_require_minimum_version 1.5.0

setup_file() {
  load world
  make_repository
}

setup() {
  load world
  make_world
}

teardown() {
  sed --expression "s#$BATS_TEST_TMPDIR#/tmp#g" --expression 's#/tmp/tmp\.[^/ ]*#/tmp/scratch#g' "$CALLS" >>"$BATS_FILE_TMPDIR/all-calls"
}

deploy() {
  run --separate-stderr "$REPO/deploy" "$@"
}

goes_well() {
  deploy "$@"
  [[ "$status" == 0 ]] || {
    echo "ended with $status: $stderr" >&2
    return 1
  }
}

# fails WORDS ARGUMENT...
fails() {
  deploy "${@:2}"
  [[ "$status" == 1 && "$stderr" == *"$1"* ]] || {
    echo "ended with $status: $stderr" >&2
    return 1
  }
}

# Without what most have in common, and without what differs from run to run.
commands() {
  sed --expression 's/^gcloud --quiet --project some-project /gcloud /' --expression 's/^gcloud --quiet /gcloud /' \
    --expression 's/\(terraform\) -chdir=terraform/\1/' --expression "s#'\?-var-file=$REPO/terraform/terraform.tfvars'\?#TFVARS#" \
    --expression "s#$PLACE#PLACE#g" --expression "s/sha256:$NO_DIGEST/NONE/g" --expression "s/=$NO_DIGEST/=NONE/" \
    --expression "s/$DIGEST/DIGEST/g" --expression "s/$BUNDLE/BUNDLE/g" --expression "s/$(version)/VERSION/g" \
    --expression 's#/tmp/tmp\.[^/ ]*#SCRATCH#g' "$CALLS"
}

PLACE=us-central1-docker.pkg.dev/some-project/pilotlight/control-plane

version() {
  git -C "$REPO" rev-parse HEAD
}

count() {
  commands | grep --count -- "$1" || true
}

# Commands that change something somewhere else than on this machine.
changes() {
  commands | grep --extended-regexp ' (services enable|buckets (create|update)|storage (cp|rm)|builds submit)|terraform (init|import|apply|destroy|state rm)|(docker|podman|buildah) (build|push|login)|bundle\.sh' || true
}

# What a deployment leaves behind, so that the next is an upgrade.
is_deployed() {
  has buckets $'some-project-pilotlight-state\tTrue\nsome-project-pilotlight-vm\tTrue'
  has secrets $'pilotlight-first-password\npilotlight-signing-key\npilotlight-users'
  has password the-first-password
  has image "$DIGEST"
  has note "$BUNDLE"
  has state "google_compute_disk.data[\"main\"]
google_compute_instance.placement[\"comfyui-main-a\"]
google_firestore_database.default
google_storage_bucket.vm"
}

READS="gcloud auth list --filter status:ACTIVE --format 'value(account)'
gcloud auth application-default print-access-token
gcloud projects describe some-project --format 'value(lifecycleState)'
gcloud billing projects describe some-project --format 'value(billingEnabled)'"

@test "a first deployment: every command, in its order" {
  goes_well --yes
  diff <(commands) - <<EXPECTED
$READS
gcloud services enable serviceusage.googleapis.com cloudresourcemanager.googleapis.com storage.googleapis.com compute.googleapis.com firestore.googleapis.com secretmanager.googleapis.com
gcloud storage buckets list --filter name=some-project-pilotlight-state --format 'value(name,versioning_enabled)'
gcloud storage buckets create gs://some-project-pilotlight-state --location us-central1 --uniform-bucket-level-access --public-access-prevention
gcloud storage buckets update gs://some-project-pilotlight-state --versioning
terraform init -input=false -reconfigure -backend-config=bucket=some-project-pilotlight-state
terraform state list
gcloud compute project-info describe --flatten 'quotas[]' --format 'value(quotas.metric,quotas.limit)'
gcloud compute regions describe us-central1 --flatten 'quotas[]' --format 'value(quotas.metric,quotas.limit)'
gcloud storage buckets list --filter name=some-project-pilotlight-vm --format 'value(name)'
gcloud firestore databases list --format 'csv[no-heading](name.basename(),type,locationId)'
gcloud compute disks list --filter 'name~^comfyui-.*-data$' --format 'csv[no-heading](name,zone.basename(),region.basename())'
gcloud secrets list --filter name:pilotlight- --format 'value(name.basename())'
TF_VAR_first_password terraform apply TFVARS -var=image=PLACE@NONE -var=bundle_sha256=NONE -target=google_project_service.api -target=google_artifact_registry_repository.pilotlight -target=google_storage_bucket.vm '-target=google_secret_manager_secret_version.first["first-password"]' -auto-approve
gcloud beta services identity create --service pubsub.googleapis.com
gcloud beta services identity create --service cloudscheduler.googleapis.com
gcloud artifacts docker images describe PLACE:VERSION --format 'value(image_summary.digest)'
docker build --platform linux/amd64 --tag PLACE:VERSION .
gcloud auth print-access-token
docker login --username oauth2accesstoken --password-stdin us-central1-docker.pkg.dev
docker push PLACE:VERSION
gcloud artifacts docker images describe PLACE:VERSION --format 'value(image_summary.digest)'
gcloud storage cat gs://some-project-pilotlight-vm/vm/VERSION.sha256
docker run --rm --interactive --platform linux/amd64 docker.io/library/rust:1.95.0-bookworm bash -euc 'mkdir /src && cd /src && tar --extract && vm/bundle.sh /bundle >&2 && cat /bundle/*.tar.gz'
gcloud storage cp --no-clobber SCRATCH/bundle.tar.gz gs://some-project-pilotlight-vm/vm/$(echo "a bundle" | sha256sum | cut -c 1-64).tar.gz
gcloud storage cp - gs://some-project-pilotlight-vm/vm/VERSION.sha256
docker run --rm --interactive --platform linux/amd64 PLACE@DIGEST new-key
docker run --rm --interactive --platform linux/amd64 PLACE@DIGEST hash-password
TF_VAR_first_password TF_VAR_signing_key TF_VAR_users terraform apply TFVARS -var=image=PLACE@DIGEST -var=bundle_sha256=$(echo "a bundle" | sha256sum | cut -c 1-64) -auto-approve
terraform output -json
curl --silent --output /dev/null --max-time 10 --write-out '%{http_code}' https://page.example.com/
docker logout us-central1-docker.pkg.dev
EXPECTED
  [[ "$output" == *"Pilotlight is at https://page.example.com"*"admin"* ]]
  [[ "$(cat "$WORLD/uploaded")" == "a bundle" && "$(cat "$WORLD/note")" == "$(sha256sum <"$WORLD/uploaded" | cut -c 1-64)" ]]
}

@test "secrets reach Terraform, and neither a command line, nor what is said, nor a file" {
  goes_well --yes
  local password secret
  password="$(cat "$WORLD/TF_VAR_first_password")"
  [[ "$password" =~ ^[A-Za-z0-9_-]{24}$ && "$(cat "$WORLD/hashed")" == "$password" ]]
  [[ "$(cat "$WORLD/TF_VAR_signing_key")" == *SECRET-KEY* ]]
  [[ "$(jq --raw-output '.[] | "\(.name) \(.role) \(.hash)"' "$WORLD/TF_VAR_users")" == "admin admin \$argon2id\$"*SECRET+HASH/1 ]]
  for secret in "$password" SECRET-KEY SECRET+HASH TOKEN-OF; do
    [[ "$(cat "$CALLS")$output$stderr" != *"$secret"* ]]
    ! grep --recursive --quiet --regexp "$secret" "$REPO"
  done
  [[ "$(cat "$WORLD/registry-token")" == TOKEN-OF-REGISTRY ]]
  # Another deployment has another password.
  goes_well --yes
  [[ "$(cat "$WORLD/TF_VAR_first_password")" =~ ^[A-Za-z0-9_-]{24}$ && "$(cat "$WORLD/TF_VAR_first_password")" != "$password" ]]
}

@test "a person at a terminal is shown the first password" {
  run script --quiet --return --command "$REPO/deploy --yes" /dev/null
  [[ "$status" == 0 && "$output" == *"Password:    $(cat "$WORLD/TF_VAR_first_password")"* ]]
}

@test "again is an upgrade: nothing that is there is made, and no secret is said" {
  is_deployed
  goes_well --yes
  diff <(changes) - <<EXPECTED
gcloud services enable serviceusage.googleapis.com cloudresourcemanager.googleapis.com storage.googleapis.com compute.googleapis.com firestore.googleapis.com secretmanager.googleapis.com
terraform init -input=false -reconfigure -backend-config=bucket=some-project-pilotlight-state
terraform apply TFVARS -var=image=PLACE@NONE -var=bundle_sha256=NONE -target=google_project_service.api -target=google_artifact_registry_repository.pilotlight -target=google_storage_bucket.vm -auto-approve
terraform apply TFVARS -var=image=PLACE@DIGEST -var=bundle_sha256=BUNDLE -auto-approve
EXPECTED
  [[ "$(count TF_VAR_)" == 0 && "$(count 'docker run')" == 0 && "$output$stderr" != *the-first-password* ]]
}

@test "without --yes Terraform asks" {
  is_deployed
  goes_well
  [[ "$(count 'terraform apply')" == 2 && "$(count auto-approve)" == 0 ]]
}

@test "whatever is built from, when it changes, is built; what is not, is not" {
  is_deployed
  echo changed >>"$REPO/README.md"
  echo changed >"$REPO/functions/target/built"
  echo changed >"$REPO/local/tests/left.rs"
  echo 'region = "x"' >>"$REPO/terraform/terraform.tfvars"
  goes_well --yes
  [[ "$(count "describe PLACE:VERSION")" == 1 && "$(count "describe PLACE:tree-")" == 0 ]]
  : >"$CALLS"
  echo changed >"$REPO/functions/code.rs"
  goes_well --yes
  local one two
  one="$(commands | grep --only-matching 'PLACE:tree-[0-9a-f]\{40\} ')"
  : >"$CALLS"
  echo new >"$REPO/functions/new.rs"
  goes_well --yes
  two="$(commands | grep --only-matching 'PLACE:tree-[0-9a-f]\{40\} ')"
  [[ -n "$one" && -n "$two" && "$one" != "$two" ]]
}

@test "outside of git the version is that of the files" {
  rm -rf "$REPO/.git"
  goes_well --yes
  local one
  one="$(grep --only-matching --max-count 1 'tree-[0-9a-f]\{40\}' "$CALLS" | head --lines 1)"
  [[ -n "$one" && "$(awk '{print $6}' "$WORLD/sources" | grep --count --extended-regexp 'left|target|README')" == 0 ]]
  : >"$CALLS"
  touch "$REPO/Cargo.toml"
  goes_well --yes
  [[ "$(grep --count "control-plane:$one" "$CALLS")" -gt 0 ]]
}

@test "a container is given all that a bundle is built from, and none of the tests" {
  goes_well --yes
  [[ "$(awk '{print $6}' "$WORLD/sources" | tr '\n' ' ')" == ".dockerignore Cargo.lock Cargo.toml Dockerfile functions/code.rs image/cloudbuild.yaml vm/bundle.sh " ]]
}

@test "cargo builds the bundle where what it builds runs on every VM" {
  has glibc "glibc 2.36"
  goes_well --yes
  [[ "$(count 'bundle.sh SCRATCH/bundle --upload gs://some-project-pilotlight-vm/vm$')" == 1 && "$(count rust:1.95)" == 0 ]]
  [[ "$(count "bundle_sha256=BUNDLE -auto-approve")" == 1 && "$(cat "$WORLD/note")" == "$BUNDLE" ]]
}

@test "podman and buildah build as well" {
  has engine-podman ""
  goes_well --yes --build podman
  [[ "$(count '^podman build')$(count '^podman push')$(count '^podman run')$(count '^docker')" == 1130 ]]
  : >"$CALLS"
  has_not engine-docker
  has_not engine-podman
  has_not image
  has engine-buildah ""
  has glibc "glibc 2.36"
  goes_well --yes --build local
  [[ "$(count '^buildah build')$(count '^buildah push')$(count '^buildah run')" == 110 && "$(count '^cargo run .* hash-password')" == 1 ]]
}

@test "the cloud builds where nothing here can: image, bundle and account" {
  has system-s Darwin
  has_not engine-docker
  goes_well --yes
  local submitted
  submitted="$(commands | grep 'builds submit')"
  [[ "$submitted" == "gcloud builds submit SCRATCH/source.tar.gz --config image/cloudbuild.yaml --region us-central1 \
--gcs-source-staging-dir gs://some-project-pilotlight-vm/source \
--service-account projects/some-project/serviceAccounts/pilotlight-build@some-project.iam.gserviceaccount.com \
--substitutions _IMAGE=PLACE:VERSION,_BUNDLES=gs://some-project-pilotlight-vm/vm,_VERSION=VERSION" ]]
  [[ "$(count 'services enable .*cloudbuild.googleapis.com')" == 1 && "$(count 'target=google_service_account.build')" == 1 ]]
  [[ "$(count "image=PLACE@DIGEST -var=bundle_sha256=BUNDLE")" == 1 && "$(count '^cargo run .* new-key')" == 1 ]]
  grep --quiet --line-regexp vm/bundle.sh "$WORLD/sources"
}

@test "an image that is there is not pushed again by the cloud that builds its bundle" {
  is_deployed
  has_not note
  goes_well --yes --build cloud
  [[ "$(count "substitutions _IMAGE=,_BUNDLES=")" == 1 && "$(count "bundle_sha256=BUNDLE -auto")" == 1 ]]
}

@test "a first deployment that was interrupted keeps the password that is in the secret" {
  has secrets "pilotlight-first-password"
  has password the-first-password
  goes_well --yes
  [[ "$(cat "$WORLD/hashed")" == the-first-password && "$(cat "$WORLD/TF_VAR_users")" == *SECRET+HASH* ]]
  [[ "$(count 'target=google_secret_manager_secret_version')" == 0 && "$output$stderr" != *the-first-password* ]]
  # A secret that Terraform has made, and that nothing was written into.
  : >"$CALLS"
  has no-version-of-pilotlight-first-password ""
  goes_well --yes
  [[ "$(count 'target=google_secret_manager_secret_version')" == 1 && "$(cat "$WORLD/hashed")" == "$(cat "$WORLD/TF_VAR_first_password")" ]]
}

@test "whose users are there keeps them, also without the first password" {
  is_deployed
  has secrets $'pilotlight-signing-key\npilotlight-users'
  goes_well --yes
  [[ "$(count TF_VAR_)" == 0 ]]
}

@test "what an earlier deployment has left is taken in before anything is made" {
  has buckets $'some-project-pilotlight-state\tTrue\nsome-project-pilotlight-vm\tTrue'
  has databases $'other,DATASTORE_MODE,eur3\n(default),FIRESTORE_NATIVE,us-central1'
  has disks $'comfyui-main-data,us-central1-a,\ncomfyui-big-data,,us-central1\ncomfyui-others-data,us-central1-a,'
  has_workspaces '{"main": {"placements": [{"zone": "us-central1-a", "machine_type": "g2-standard-4"}]},
    "big": {"disk": {"regional": true}, "placements": [{"zone": "us-central1-b", "machine_type": "g2-standard-4"}]}}'
  goes_well --yes
  diff <(commands | grep 'terraform import' | cut --delimiter ' ' --fields 4 --complement) - <<'EXPECTED'
terraform import -input=false -var=image=PLACE@NONE -var=bundle_sha256=NONE google_storage_bucket.vm some-project/some-project-pilotlight-vm
terraform import -input=false -var=image=PLACE@NONE -var=bundle_sha256=NONE google_firestore_database.default 'projects/some-project/databases/(default)'
terraform import -input=false -var=image=PLACE@NONE -var=bundle_sha256=NONE 'google_compute_disk.data["main"]' projects/some-project/zones/us-central1-a/disks/comfyui-main-data
terraform import -input=false -var=image=PLACE@NONE -var=bundle_sha256=NONE 'google_compute_region_disk.data["big"]' projects/some-project/regions/us-central1/disks/comfyui-big-data
EXPECTED
  [[ "$(commands | grep --extended-regexp --max-count 1 'terraform (import|apply)')" == *import* && "$stderr" == *"the database (default) is there already"* ]]
}

@test "a disk that is moved by a snapshot is left as it is, and the one that is in its place is taken in" {
  has disks $'comfyui-main-data,us-central1-b,\ncomfyui-big-data,us-central1-b,\ncomfyui-big-data,,us-central1'
  has_workspaces '{"main": {"disk": {"snapshot": "main-moves"}, "placements": [{"zone": "us-central1-a", "machine_type": "g2-standard-4"}]},
    "big": {"disk": {"regional": true, "snapshot": "big-moves"}, "placements": [{"zone": "us-central1-b", "machine_type": "g2-standard-4"}]}}'
  goes_well --yes
  [[ "$stderr" == *"the data disk comfyui-main-data in zones/us-central1-b stays as it is; Terraform makes another in zones/us-central1-a of the snapshot main-moves"* ]]
  diff <(commands | grep 'terraform import' | cut --delimiter ' ' --fields 7-) - <<'EXPECTED'
'google_compute_region_disk.data["big"]' projects/some-project/regions/us-central1/disks/comfyui-big-data
EXPECTED
}

@test "what is in the state is not taken in" {
  is_deployed
  has databases "(default),DATASTORE_MODE,eur3"
  has disks "comfyui-main-data,,us-central1"
  goes_well --yes
  [[ "$(count 'terraform import')" == 0 ]]
}

@test "a database or a disk that cannot be taken in is named, and nothing is made" {
  has databases "(default),DATASTORE_MODE,eur3"
  fails "a default database already, DATASTORE_MODE in eur3; expected none, or FIRESTORE_NATIVE in us-central1"
  has databases "other,DATASTORE_MODE,eur3"
  has disks "comfyui-main-data,,us-central1"
  fails "the data disk comfyui-main-data is there already, in regions/us-central1; the workspace main would have it in zones/us-central1-a"
  has disks "comfyui-main-data,us-central1-b,"
  fails "the data disk comfyui-main-data is there already, in zones/us-central1-b; the workspace main would have it in zones/us-central1-a"
  [[ "$(count 'terraform \(import\|apply\)')" == 0 ]]
}

@test "each check says what is wrong and what to do, before anything is changed" {
  has account ""
  fails "nobody is signed in. gcloud auth login"
  has account owner@example.com
  has_not credentials
  fails "Terraform has no credentials (ERROR: no credentials). gcloud auth application-default login"
  has credentials ""
  has project DELETE_REQUESTED
  fails "the project some-project is DELETE_REQUESTED; expected ACTIVE. gcloud projects undelete"
  has project ACTIVE
  has fails-at "projects describe some-project --format 'value(life"
  fails "owner@example.com does not see the project some-project (ERROR: refused). gcloud projects create some-project"
  has fails-at "billing projects describe"
  fails "owner@example.com may not see whether some-project has billing"
  has fails-at "nothing of this"
  has billing False
  fails "no billing account. Link one: https://console.cloud.google.com/billing/linkedaccount?project=some-project"
  has billing True
  has terraform 1.9.8
  fails "terraform is 1.9.8; expected 1.11 or newer"
  has terraform 1.11.4
  fails "there is no terraform/other.tfvars. cp terraform/terraform.tfvars.example" --var-file terraform/other.tfvars
  has settings '{"project": null, "region": "us-central1"}'
  fails "project: found nothing in terraform/terraform.tfvars; expected the id of a project"
  has settings '{"project": "some-project", "region": "us-central1-a"}'
  fails "region: found us-central1-a in terraform/terraform.tfvars; expected a region such as us-central1"
  has_workspaces '{}'
  fails "workspaces: found none"
  has_workspaces '{"main": {"placements": "a"}}'
  fails "found another shape than terraform.tfvars.example has"
  [[ -z "$(changes)" && "$stderr" != *"goes on from there"* ]]
}

@test "a tool that is not there is named" {
  local few="$BATS_TEST_TMPDIR/few" tool
  mkdir "$few"
  for tool in bash dirname mktemp rm cat sed terraform jq curl tar gzip sha256sum base64; do
    ln -s "$(command -v "$tool")" "$few/$tool"
  done
  PATH="$few" fails "this machine lacks: gcloud. Install it; or use Cloud Shell"
}

@test "an engine that does not answer is named before anything is changed" {
  has_not engine-docker
  fails "--build docker: found no docker, podman or buildah that answers" --build docker
  fails "--build local: found no docker, podman or buildah that answers" --build local
  has engine-buildah ""
  fails "--build local: found buildah alone, which cannot build the bundle" --build local
  [[ -z "$(changes)" ]]
}

@test "wrong options are named" {
  fails "found --fast; expected an option of --help" --fast
  fails "--build: found moon; expected auto, local, docker, podman or cloud" --build moon
  fails "--var-file: found nothing; expected a value" --var-file
  fails "--project: found --yes; expected a value" --project --yes
  fails "found --delete-data without --destroy" --delete-data
  [[ ! -s "$CALLS" ]]
}

@test "its help names every option" {
  goes_well --help
  local option
  for option in $(sed --quiet '/^read_options/,/^}/s/^ *\(--[a-z| -]*\)).*/\1/p' "$REPO/deploy.d/options.sh" | tr --delete '|'); do
    [[ "$output" == *"$option"* || "$option" == --help || "$option" == -h ]] || {
      echo "$option is not in the help" >&2
      return 1
    }
  done
}

@test "a quota of 0 ends it with the place to ask for one; --ignore-quota goes on" {
  has gpus 0
  fails "the limit of GPUS_ALL_REGIONS is 0"
  [[ "$stderr" == *"https://console.cloud.google.com/iam-admin/quotas?project=some-project"*"goes on from there"* ]]
  has gpus 1
  has quotas $'NVIDIA_L4_GPUS\t0.0'
  fails "the limit of NVIDIA_L4_GPUS in us-central1 is 0"
  [[ "$(count 'terraform apply')" == 0 ]]
  goes_well --yes --ignore-quota
  [[ "$stderr" == *"the limit of NVIDIA_L4_GPUS in us-central1 is 0"* ]]
  # It is needed where a machine is made, and not where they all are.
  is_deployed
  goes_well --yes
  [[ "$stderr" != *quota* ]]
}

@test "each GPU has its quota, and spot one of its own or the others'" {
  has quotas $'NVIDIA_T4_GPUS\t0.0\nNVIDIA_A100_80GB_GPUS\t0.0\nNVIDIA_A100_GPUS\t0.0\nPREEMPTIBLE_NVIDIA_A100_GPUS\t4.0
NVIDIA_L4_GPUS\t4.0\nPREEMPTIBLE_NVIDIA_L4_GPUS\t0.0'
  has_workspaces '{"main": {"placements": [
    {"zone": "us-central1-a", "machine_type": "n1-standard-4", "accelerator": "nvidia-tesla-t4"},
    {"zone": "us-central1-a", "machine_type": "a2-ultragpu-1g"},
    {"zone": "us-central1-a", "machine_type": "a2-highgpu-1g", "spot": true},
    {"zone": "us-central1-a", "machine_type": "g2-standard-4", "spot": true}]}}'
  fails "the limit of NVIDIA_A100_80GB_GPUS in us-central1, NVIDIA_T4_GPUS in us-central1 is 0."
}

@test "where machines must share a GPU, they are made one after the other" {
  has_workspaces '{"main": {"disk": {"regional": true}, "placements": [{"zone": "us-central1-a", "machine_type": "g2-standard-4"},
    {"zone": "us-central1-b", "machine_type": "g2-standard-4"}]}}'
  goes_well --yes
  [[ "$(count "image=PLACE@DIGEST .*-parallelism=1")" == 1 ]]
  # The other is there, so one is left to be made.
  : >"$CALLS"
  is_deployed
  goes_well --yes
  [[ "$(count parallelism)" == 0 ]]
}

@test "a dry run prints what would be run, runs nothing of it, and knows no secret" {
  # What would be run is what is run, but for values that are not known yet.
  goes_well --dry-run --yes
  local printed
  printed="$(grep --invert-match '^#' <<<"$output")"
  [[ ! -s "$CALLS" ]]
  goes_well --yes
  diff <(doings <<<"$printed") <(doings <"$CALLS")
}

# The commands' verbs.
doings() {
  sed --expression 's/TF_VAR_[a-z_]*\(=[A-Z_]*\)\? //g' --expression 's/^env BUILDX[^ ]* //' --expression 's/^git archive HEAD | //' \
    --expression 's/^echo [A-Z_0-9]* | //' --expression 's/^\(gcloud --quiet auth print-access-token\) | /\1\n/' |
    grep --invert-match ' logout ' | cut --delimiter ' ' --fields 1-7 |
    sed --expression 's#=/.*##' --expression "s# [^ ]*bundle.tar.gz.*##" --expression 's/PAGE_URL.*//' |
    sed --expression 's/\(docker run .*amd64\) .*/\1/'
}

@test "what a dry run prints can be pasted" {
  goes_well --dry-run
  bash -n <<<"$output"
  goes_well --dry-run --build cloud
  bash -n <<<"$output"
  [[ "$output" == *"git archive --output source.tar.gz HEAD"* ]]
}

@test "an apply that fails says how to go on" {
  has fails-at "image=$PLACE@$DIGEST"
  fails "ZONE_RESOURCE_POOL_EXHAUSTED" --yes
  [[ "$stderr" == *"run ./deploy again: it goes on from there"*"force-unlock"* ]]
}

@test "whichever command fails, nothing that follows is run" {
  local command
  for command in "buckets create" "terraform init" "state list" "-target=" "docker login" "docker push" "storage cp -" hash-password; do
    : >"$CALLS"
    has_not image
    has_not note
    has fails-at "$command"
    command="${command/terraform /terraform -chdir=terraform }"
    has fails-at "$command"
    deploy --yes
    [[ "$status" == 1 && "$(sed '/ logout /d' "$CALLS" | tail --lines 1)" == *"$command"* && "$stderr" == *"deploy: "*"again"* ]] || {
      echo "$command: $status $stderr; last: $(tail --lines 1 "$CALLS")" >&2
      return 1
    }
  done
}

@test "who interrupts it is told how to go on, and nothing is left behind" {
  export TMPDIR="$BATS_TEST_TMPDIR/scratch"
  mkdir "$TMPDIR"
  has page 503
  PAGE_WITHIN_S=60 PAGE_ASK_EVERY_S=0.1 "$REPO/deploy" --yes >/dev/null 2>"$WORLD/said" 3>&- &
  local pid=$! looked
  for looked in {1..200}; do
    [[ "$(count '^curl')" == 0 ]] || break
    sleep 0.05
  done
  kill -TERM "$pid"
  wait "$pid" && return 1
  [[ -z "$(ls -A "$TMPDIR")" && "$(count 'docker logout')" == 1 ]]
}

@test "a page that never answers ends after its limit, with the records that it may need" {
  has page 503
  has outputs '{"page_url": {"value": "https://page.example.com"}, "dns_records": {"value": ["comfy.example.com. 300 IN A 192.0.2.1"]},
    "page_dns_record": {"value": "page.example.com. 300 IN A 192.0.2.2"}}'
  PAGE_WITHIN_S=2 PAGE_ASK_EVERY_S=0.1 fails "https://page.example.com has not answered within 2 s (its last answer: 503)" --yes
  [[ "$output" == *"comfy.example.com. 300 IN A 192.0.2.1"*"page.example.com. 300 IN A 192.0.2.2"* && "$(count '^curl')" -gt 1 ]]
}

@test "project and region of the options are Terraform's, too" {
  is_deployed
  goes_well --yes --project some-project --region us-central1
  [[ "$(count 'terraform apply .*-var=project=some-project -var=region=us-central1 ')" == 2 ]]
}

@test "the real Terraform reads the settings" {
  local real
  real="$(PATH="${PATH#*:}" command -v terraform)" || skip "terraform is not installed"
  ln --symbolic --force "$real" "$BATS_TEST_TMPDIR/bin/terraform"
  cat >"$REPO/terraform/terraform.tfvars" <<'TFVARS'
project     = "another-project" # ours
region      = "europe-west4"
owner_email = "ö@example.com"
workspaces = {
  main = { title = "Käse & \"Bild\" $${x}", placements = [{ zone = "europe-west4-a", machine_type = "g2-standard-4" }] }
}
TFVARS
  goes_well --dry-run --build docker
  [[ "$output" == *"gcloud --quiet --project another-project compute regions describe europe-west4 "* ]]
  goes_well --dry-run --region us-east4 --build docker
  [[ "$output" == *"another-project-pilotlight-state --location us-east4 "* ]]
  echo "project =" >"$REPO/terraform/terraform.tfvars"
  fails "terraform/terraform.tfvars could not be read"
}

# --- taking it away ---

@test "destroy keeps disks, database and the machines' bucket, and says what they cost" {
  is_deployed
  has disks $'comfyui-main-data,200,pd-balanced,us-central1\ncomfyui-small-data,100,pd-ssd,'
  has snapshots "snapshot-1"
  goes_well --destroy --yes
  diff <(changes) - <<'EXPECTED'
terraform init -input=false -reconfigure -backend-config=bucket=some-project-pilotlight-state
terraform apply -auto-approve TFVARS -var=image=PLACE@NONE -var=bundle_sha256=NONE -var=data_on_destroy=keep '-target=google_compute_disk.data["main"]' -target=google_firestore_database.default
terraform state rm google_storage_bucket.vm
terraform destroy -auto-approve TFVARS -var=image=PLACE@NONE -var=bundle_sha256=NONE -var=data_on_destroy=keep
EXPECTED
  [[ "$output" == *"comfyui-main-data: 200 GiB pd-balanced, regional, some \$40 a month"*"comfyui-small-data: 100 GiB pd-ssd, some \$17 a month"*"gcloud compute snapshots delete"*snapshot-1* ]]
  [[ "$output" == *"some-project-pilotlight-state"* ]]
}

@test "destroy with --delete-data takes disks, database, buckets and state" {
  is_deployed
  goes_well --destroy --delete-data --yes
  diff <(changes) - <<'EXPECTED'
terraform init -input=false -reconfigure -backend-config=bucket=some-project-pilotlight-state
terraform apply -auto-approve TFVARS -var=image=PLACE@NONE -var=bundle_sha256=NONE -var=data_on_destroy=delete '-target=google_compute_disk.data["main"]' -target=google_firestore_database.default
gcloud storage rm --recursive --all-versions 'gs://some-project-pilotlight-vm/**'
terraform destroy -auto-approve TFVARS -var=image=PLACE@NONE -var=bundle_sha256=NONE -var=data_on_destroy=delete
gcloud storage rm --recursive gs://some-project-pilotlight-state
EXPECTED
}

@test "destroy asks for the project's name, and changes nothing for another" {
  is_deployed
  fails "found nothing; expected some-project. Nothing was changed" --destroy </dev/null
  fails "found yes; expected some-project. Nothing was changed" --destroy <<<yes
  [[ "$(count 'terraform \(apply\|destroy\|state rm\)')" == 0 ]]
  goes_well --destroy <<<some-project
  [[ "$(count 'terraform destroy')" == 1 ]]
}

@test "destroy ends no machine that is up, unless that is said" {
  is_deployed
  has running "comfyui-main-a RUNNING"
  fails "machines are up: comfyui-main-a RUNNING. Stop their workspaces on the page" --destroy <<<some-project
  [[ "$(count 'terraform \(apply\|destroy\|state rm\)')" == 0 ]]
  goes_well --destroy --yes
}

@test "destroy makes nothing of what a deployment has not come to" {
  is_deployed
  has state "google_project_service.api[\"run\"]"
  goes_well --destroy --yes
  [[ "$(count 'terraform apply')" == 0 && "$(count 'state rm')" == 0 && "$(count 'terraform destroy')" == 1 ]]
}

@test "a destroy that fails deletes no state, and says how to go on" {
  is_deployed
  has fails-at "terraform -chdir=terraform destroy"
  fails "terraform destroy has stopped" --destroy --delete-data --yes
  [[ "$stderr" == *"run ./deploy --destroy --delete-data again"* && "$(count 'rm --recursive gs://some-project-pilotlight-state')" == 0 ]]
}

@test "where nothing was deployed there is nothing to destroy" {
  fails "there is no bucket some-project-pilotlight-state" --destroy --yes
  [[ -z "$(changes)" ]]
}

@test "a dry run of destroy changes nothing and asks nothing" {
  is_deployed
  goes_well --destroy --dry-run </dev/null
  [[ ! -s "$CALLS" && "$output" == *"-var=data_on_destroy=keep"*"terraform -chdir=terraform destroy"* ]]
}

# --- and the real one ---

# Last, for it reads what the others have noted.
@test "the real gcloud takes every command that was run" {
  local sdk python
  sdk="$(PATH="${PATH#*:}" command -v gcloud)" || skip "gcloud is not installed"
  sdk="$(dirname "$(dirname "$(realpath "$sdk")")")"
  python="$sdk/platform/bundledpythonunix/bin/python3"
  [[ -x "$python" ]] || python=python3
  run --separate-stderr "$python" "$BATS_TEST_DIRNAME/parse-gcloud.py" "$sdk" < <(grep '^gcloud ' "$BATS_FILE_TMPDIR/all-calls" | sort --unique)
  [[ "$status" == 0 && "$output" -gt 20 ]] || {
    echo "$output $stderr" >&2
    return 1
  }
}
