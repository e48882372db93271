# shellcheck shell=bash disable=SC2034 # Other parts read what is set here.
# What must be right before anything is changed: the tools, what the owner says, the project, and who builds.

# A gateway that is built on a newer libc does not run on every VM (vm/gateway/build.sh).
GLIBC_NATIVE_MOST=2.37
TERRAFORM_LEAST=1.11

check_tools() {
  local tool lacking=() version
  for tool in gcloud terraform jq curl tar gzip sha256sum base64; do
    have "$tool" || lacking+=("$tool")
  done
  ((${#lacking[@]} == 0)) ||
    fail "this machine lacks: ${lacking[*]}. Install it; or use Cloud Shell (https://shell.cloud.google.com), which \
has all but a new Terraform"
  version="$(terraform version -json | sed --quiet 's/.*"terraform_version": *"\([^"]*\)".*/\1/p')"
  at_least "$version" "$TERRAFORM_LEAST" ||
    fail "terraform is $version; expected $TERRAFORM_LEAST or newer, which keeps secrets out of its state: \
https://developer.hashicorp.com/terraform/install"
}

# at_least VERSION LEAST
at_least() {
  [[ "$(printf '%s\n' "$1" "$2" | sort --version-sort | head --lines 1)" == "$2" ]]
}

# Terraform itself reads what the owner says, in a folder of its own: it needs neither state nor provider for that, and
# whatever it cannot read there, it says.
read_settings() {
  local file said expression
  [[ -f "$VAR_FILE" ]] ||
    fail "there is no $VAR_FILE. cp terraform/terraform.tfvars.example terraform/terraform.tfvars, and say in it what \
is yours (or --var-file FILE)"
  file="$(realpath "$VAR_FILE")"
  VARIABLES=("-var-file=$file")
  [[ -z "$PROJECT" ]] || VARIABLES+=("-var=project=$PROJECT")
  [[ -z "$REGION" ]] || VARIABLES+=("-var=region=$REGION")
  mkdir "$SCRATCH/settings"
  printf 'variable "%s" {\n  type    = %s\n  default = null\n}\n' project string region string workspaces any \
    >"$SCRATCH/settings/settings.tf"
  expression='base64encode(jsonencode({ project = var.project, region = var.region, workspaces = var.workspaces }))'
  said="$(terraform -chdir="$SCRATCH/settings" console -no-color "${VARIABLES[@]}" <<<"$expression" | tail --lines 1 |
    tr --delete '"' | base64 --decode)" || fail "$VAR_FILE could not be read: Terraform says why above"
  read_said "$said"
  [[ "$PROJECT" =~ ^[a-z][a-z0-9-]{4,28}[a-z0-9]$ ]] ||
    fail "project: found ${PROJECT:-nothing} in $VAR_FILE; expected the id of a project (gcloud projects list)"
  [[ "$REGION" =~ ^[a-z]+-[a-z]+[0-9]+$ ]] ||
    fail "region: found ${REGION:-nothing} in $VAR_FILE; expected a region such as us-central1"
  [[ -n "$PLACEMENTS" ]] ||
    fail "workspaces: found none in $VAR_FILE; expected one with a placement, as terraform.tfvars.example has it"
  GCLOUD=(gcloud --quiet --project "$PROJECT")
  IMAGE_PLACE="$(registry)/$PROJECT/pilotlight/control-plane"
}

# Only as far as it is needed here; what is wrong with a workspace, Terraform says (workspaces.tf).
read_said() {
  local lines
  lines="$(jq --raw-output '"project \(.project // "")", "region \(.region // "")",
    (.workspaces // {} | to_entries[] | .key as $id |
      "disk \($id) \(.value.disk.regional // false) \((.value.placements // [])[0].zone) \(.value.disk.snapshot // "-")",
      (.value.placements // [] | to_entries[] | ["placement", $id, "comfyui-\($id)-\("abcdef"[.key:.key + 1])", .value.zone,
        .value.machine_type, .value.accelerator // "-", (.value.spot // false | tostring)] | join(" ")))' <<<"$1")" ||
    fail "workspaces in $VAR_FILE: found another shape than terraform.tfvars.example has"
  PROJECT="$(sed --quiet 's/^project //p' <<<"$lines")"
  REGION="$(sed --quiet 's/^region //p' <<<"$lines")"
  DISKS="$(sed --quiet 's/^disk //p' <<<"$lines")"
  PLACEMENTS="$(sed --quiet 's/^placement //p' <<<"$lines")"
}

registry() {
  echo "$REGION-docker.pkg.dev"
}

# Who we are, and that the project is there and may cost something.
check_project() {
  local account found
  account="$(ask ACCOUNT gcloud auth list --filter status:ACTIVE --format 'value(account)')" ||
    fail "gcloud does not say who is signed in"
  [[ -n "$account" ]] || fail "nobody is signed in. gcloud auth login"
  ask TOKEN gcloud --quiet auth application-default print-access-token >/dev/null 2>"$SCRATCH/errors" ||
    fail "Terraform has no credentials ($(tail --lines 1 "$SCRATCH/errors")). gcloud auth application-default login"
  found="$(ask ACTIVE cloud projects describe "$PROJECT" --format 'value(lifecycleState)' 2>"$SCRATCH/errors")" ||
    fail "$account does not see the project $PROJECT ($(tail --lines 1 "$SCRATCH/errors")). gcloud projects create \
$PROJECT, or sign in as somebody else"
  [[ "$found" == ACTIVE ]] ||
    fail "the project $PROJECT is ${found:-in no state}; expected ACTIVE. gcloud projects undelete $PROJECT"
  found="$(ask True cloud billing projects describe "$PROJECT" --format 'value(billingEnabled)' 2>"$SCRATCH/errors")" ||
    fail "$account may not see whether $PROJECT has billing ($(tail --lines 1 "$SCRATCH/errors")). \
https://console.cloud.google.com/billing/linkedaccount?project=$PROJECT"
  [[ "${found,,}" == true ]] ||
    fail "the project $PROJECT has no billing account. Link one: \
https://console.cloud.google.com/billing/linkedaccount?project=$PROJECT"
}

# Who builds is decided before anything is made.
choose_builder() {
  local engine
  if [[ "$BUILD" == auto ]] && ! is_linux_x86_64; then
    BUILD=cloud
  fi
  case "$BUILD" in
    auto | local) engine="$(first_engine docker podman buildah)" ;;
    docker | podman) engine="$(first_engine "$BUILD")" ;;
    cloud) engine="" ;;
  esac
  [[ -n "$engine" || "$BUILD" =~ ^(auto|cloud)$ ]] ||
    fail "--build $BUILD: found no docker, podman or buildah that answers; expected one, or --build cloud"
  [[ "$engine" != buildah ]] || can_build_bundle || {
    [[ "$BUILD" == auto ]] ||
      fail "--build local: found buildah alone, which cannot build the bundle; expected cargo, docker or podman \
beside it"
    engine=""
  }
  ENGINE="${engine:-cloud}"
  say "image and bundle are built by $ENGINE"
}

# Prints the first that answers; nothing where none does.
first_engine() {
  local engine
  for engine in "$@"; do
    if "$engine" info >/dev/null 2>&1; then
      echo "$engine"
      return
    fi
  done
}

is_linux_x86_64() {
  [[ "$(uname -s) $(uname -m)" == "Linux x86_64" ]]
}

# Whether the gateway that cargo builds here runs on every VM.
can_build_bundle() {
  is_linux_x86_64 && have cargo && have readelf &&
    at_least "$GLIBC_NATIVE_MOST" "$(getconf GNU_LIBC_VERSION 2>/dev/null | cut --delimiter ' ' --fields 2)"
}
