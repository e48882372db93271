#!/usr/bin/env bash
# Makes a VM image that has everything but the data: packages, users, certbot, the bundle, and ComfyUI with its
# environment, so that a boot installs nothing.
#
#   vm/bake/bake.sh --zone ZONE --bundle-url URL --bundle-sha256 DIGEST [OPTION...]
#
# A builder VM is made from a stock image that carries NVIDIA's driver. It provisions itself (provision.sh), looks at the
# result and tells it in its guest attributes. If all is well it is stopped and its disk becomes an image; in any case it
# is deleted, by itself, too, when this program should die. A VM that names the image's family gets the newest.
# About fifteen minutes, of which the builder costs what its machine costs.
#
#   --project PROJECT          where (gcloud's own)
#   --zone ZONE                where the builder runs; it must have the GPU
#   --bundle-url URL           the bundle, as vm/bundle.sh --upload prints it
#   --bundle-sha256 DIGEST
#   --comfyui-version VERSION  a tag or a commit (the one that the bundle installs when the metadata names none)
#   --comfyui-source URL       a repository or an archive (ComfyUI's own)
#   --comfyui-sha256 DIGEST    of the archive
#   --comfyui-constraints TEXT pip's constraints (the bundle's)
#   --no-comfyui               leaves ComfyUI out: the first boot with a data disk installs it there
#   --machine-type TYPE        of the builder (g2-standard-4, which has an L4)
#   --accelerator SPEC         a GPU for an N1 machine: type=nvidia-tesla-t4,count=1
#   --no-gpu                   on an e2-standard-4; the driver is then only seen to be there, not to work
#   --image-family FAMILY      to begin with (ubuntu-accelerator-2404-amd64-with-nvidia-580)
#   --image-project PROJECT    (ubuntu-os-accelerator-images)
#   --family FAMILY            of the new image (pilotlight-vm)
#   --name NAME                of the new image (the family, and the time)
#   --disk-gb SIZE             of the image, and so of the VM's boot disk (50)
#   --service-account EMAIL    for the builder; must be allowed to read the bundle (the project's default)
#   --subnet SUBNET            for the builder (the zone's default)
#   --within MINUTES           for the provisioning (60)
#   --dry-run                  prints the commands and runs none
set -euo pipefail

# Longer than --within may be, and all else that is done while the builder is there.
BUILDER_LIVES_LONGER_S=1800
# How often the builder is asked.
ASK_EVERY_S="${ASK_EVERY_S:-15}"
DELETE_TRIES=3
# A stock image with the driver, twice what ComfyUI's environment takes, and some room.
DISK_GB_MIN=30
SERIAL_LINES=40
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# What the options say; empty is as --help has it.
PROJECT="" ZONE="" BUNDLE_URL="" BUNDLE_SHA256=""
COMFYUI_VERSION="" COMFYUI_SOURCE="" COMFYUI_SHA256="" COMFYUI_CONSTRAINTS="" COMFYUI=true
MACHINE_TYPE="" ACCELERATOR="" GPU=true
IMAGE_FAMILY=ubuntu-accelerator-2404-amd64-with-nvidia-580
IMAGE_PROJECT=ubuntu-os-accelerator-images
FAMILY=pilotlight-vm NAME="" DISK_GB=50
SERVICE_ACCOUNT="" SUBNET="" WITHIN=60 DRY_RUN=false

BUILDER=""
BUILDER_MAY_BE=false
RESULT=""

main() {
  read_options "$@"
  check_options
  trap delete_builder EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  make_builder
  wait_for_result
  stop_builder
  make_image
}

# --- options ---

read_options() {
  while (($# > 0)); do
    case "$1" in
      --help | -h) sed --quiet --expression '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit ;;
      --no-comfyui) COMFYUI=false ;;
      --no-gpu) GPU=false ;;
      --dry-run) DRY_RUN=true ;;
      --project | --zone | --bundle-url | --bundle-sha256 | --comfyui-version | --comfyui-source | --comfyui-sha256 | \
        --comfyui-constraints | --machine-type | --accelerator | --image-family | --image-project | --family | --name | \
        --disk-gb | --service-account | --subnet | --within)
        [[ -n "${2:-}" && "$2" != --* ]] || wrong "$1" "${2:-nothing}" "a value"
        set_option "$1" "$2"
        shift
        ;;
      *) fail "found $1; expected an option of --help" ;;
    esac
    shift
  done
}

# --foo-bar sets FOO_BAR.
set_option() {
  local name="${1#--}"
  name="${name^^}"
  printf -v "${name//-/_}" '%s' "$2"
}

# What Compute Engine takes as the name of anything.
NAME_PATTERN='^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$'

check_options() {
  local now
  now="${NOW:-$(date --utc +%Y%m%d-%H%M%S)}"
  NAME="${NAME:-$FAMILY-$now}"
  BUILDER="pilotlight-bake-$now"
  expect --zone "$ZONE" '^[a-z]+-[a-z]+[0-9]+-[a-z]$' "a zone such as us-central1-a"
  expect --bundle-url "$BUNDLE_URL" '^(gs|https)://[^[:space:];]+$' "gs://BUCKET/OBJECT, as vm/bundle.sh --upload prints it"
  expect --bundle-sha256 "$BUNDLE_SHA256" '^[0-9a-f]{64}$' "64 small hexadecimal digits"
  expect --family "$FAMILY" "$NAME_PATTERN" "small letters, digits and dashes, 63 at most, the first a letter"
  expect --name "$NAME" "$NAME_PATTERN" "small letters, digits and dashes, 63 at most, the first a letter"
  expect --disk-gb "$DISK_GB" '^[1-9][0-9]{0,4}$' "a number of gigabytes"
  ((DISK_GB >= DISK_GB_MIN)) || wrong --disk-gb "$DISK_GB" "$DISK_GB_MIN or more: the environment needs it"
  expect --within "$WITHIN" '^[1-9][0-9]{0,2}$' "a number of minutes, 999 at most"
  [[ "$COMFYUI_VERSION$COMFYUI_SOURCE$COMFYUI_SHA256$COMFYUI_CONSTRAINTS" != *[\;[:cntrl:]]* ]] ||
    fail "the options on ComfyUI: found a semicolon or a line's end; expected neither"
  "$COMFYUI" || [[ -z "$COMFYUI_VERSION$COMFYUI_SOURCE$COMFYUI_SHA256$COMFYUI_CONSTRAINTS" ]] ||
    fail "found --no-comfyui and what ComfyUI to install; expected one of the two"
  "$GPU" || [[ -z "$ACCELERATOR" ]] || fail "found --no-gpu and --accelerator; expected one of the two"
  if "$GPU"; then
    MACHINE_TYPE="${MACHINE_TYPE:-g2-standard-4}"
  else
    MACHINE_TYPE="${MACHINE_TYPE:-e2-standard-4}"
  fi
}

# expect OPTION FOUND PATTERN WORDS
expect() {
  [[ "$2" =~ $3 ]] || wrong "$1" "${2:-nothing}" "$4"
}

wrong() {
  fail "$1: found $2; expected $3"
}

fail() {
  echo "bake.sh: $1" >&2
  exit 1
}

# --- the builder ---

# cloud COMMAND...: a command of gcloud; in a dry run its text.
cloud() {
  local command=(gcloud --quiet ${PROJECT:+--project "$PROJECT"} compute "$@")
  if "$DRY_RUN"; then
    printf '%q ' "${command[@]}"
    echo
  else
    "${command[@]}"
  fi
}

make_builder() {
  local lives=$((WITHIN * 60 + BUILDER_LIVES_LONGER_S)) options=()
  [[ -z "$ACCELERATOR" ]] || options+=(--accelerator "$ACCELERATOR")
  [[ -z "$SERVICE_ACCOUNT" ]] || options+=(--service-account "$SERVICE_ACCOUNT")
  [[ -z "$SUBNET" ]] || options+=(--subnet "$SUBNET")
  say "making the builder $BUILDER in $ZONE"
  # It may be there also where the call fails.
  BUILDER_MAY_BE=true
  cloud instances create "$BUILDER" --zone "$ZONE" --machine-type "$MACHINE_TYPE" \
    --image-family "$IMAGE_FAMILY" --image-project "$IMAGE_PROJECT" \
    --boot-disk-size "${DISK_GB}GB" --boot-disk-type pd-balanced \
    --maintenance-policy TERMINATE --no-restart-on-failure \
    --max-run-duration "${lives}s" --instance-termination-action DELETE \
    --scopes cloud-platform --labels pilotlight=builder --metadata "$(metadata_of_builder)" \
    --metadata-from-file "startup-script=$HERE/provision.sh,startup-library=$HERE/../startup.sh" "${options[@]}" ||
    fail "the builder could not be made. Is there a GPU to be had in $ZONE (--zone), and the quota for it?"
}

# Values may hold commas, so semicolons stand between.
metadata_of_builder() {
  local name text="^;^enable-guest-attributes=TRUE"
  for name in BUNDLE_URL BUNDLE_SHA256 COMFYUI_VERSION COMFYUI_SOURCE COMFYUI_SHA256 COMFYUI_CONSTRAINTS; do
    [[ -z "${!name}" ]] || text+=";${name,,}=${!name}"
  done
  "$COMFYUI" || text+=";bake_comfyui=false"
  "$GPU" || text+=";bake_gpu=false"
  echo "$text"
}

# Asks until the builder has told how it went, is gone, or takes too long.
wait_for_result() {
  local begun=$SECONDS told="" before=""
  if "$DRY_RUN"; then
    ask result
    RESULT="ok driver=DRIVER certbot=CERTBOT comfyui=COMFYUI python=PYTHON"
    return
  fi
  until RESULT="$(ask result 2>/dev/null)" && [[ -n "$RESULT" ]]; do
    ((SECONDS - begun < WITHIN * 60)) || fail_with_serial "the builder took longer than $WITHIN minutes (--within)"
    is_running || fail_with_serial "the builder has stopped before it was done"
    told="$(ask progress 2>/dev/null || true)"
    [[ -z "$told" || "$told" == "$before" ]] || say "$told"
    before="$told"
    sleep "$ASK_EVERY_S"
  done
  [[ "$RESULT" == "ok "* ]] || fail_with_serial "the builder says: $RESULT"
  say "the builder says: $RESULT"
}

# ask KEY: what the builder has written into its guest attributes.
ask() {
  cloud instances get-guest-attributes "$BUILDER" --zone "$ZONE" --query-path "pilotlight/$1" --format 'value(value)'
}

# A call that fails says nothing on the builder.
is_running() {
  local status
  status="$(cloud instances describe "$BUILDER" --zone "$ZONE" --format 'value(status)' 2>/dev/null)" || return 0
  [[ "$status" == PROVISIONING || "$status" == STAGING || "$status" == RUNNING || "$status" == REPAIRING ]]
}

fail_with_serial() {
  say "the last lines of its serial port:"
  cloud instances get-serial-port-output "$BUILDER" --zone "$ZONE" 2>/dev/null | tail --lines "$SERIAL_LINES" >&2 || true
  fail "$1. No image was made."
}

# A disk that is written on makes no image to rely on.
stop_builder() {
  cloud instances stop "$BUILDER" --zone "$ZONE" || fail "the builder could not be stopped. No image was made."
}

# Whatever has happened. A builder that cannot be deleted is told: it costs money until it ends by itself.
delete_builder() {
  local status=$? try
  trap - EXIT INT TERM
  "$BUILDER_MAY_BE" || exit "$status"
  say "deleting the builder"
  for ((try = 1; try <= DELETE_TRIES; try++)); do
    ((try == 1)) || sleep "$ASK_EVERY_S"
    ! cloud instances delete "$BUILDER" --zone "$ZONE" || exit "$status"
    # It was never made, or has ended by itself.
    ! is_gone || exit "$status"
  done
  fail "the builder $BUILDER may still be there. Delete it: \
gcloud compute instances delete $BUILDER --zone $ZONE${PROJECT:+ --project $PROJECT}"
}

is_gone() {
  local names
  names="$(cloud instances list --filter "name=$BUILDER" --format 'value(name)')" && [[ -z "$names" ]]
}

# --- the image ---

make_image() {
  cloud images create "$NAME" --source-disk "$BUILDER" --source-disk-zone "$ZONE" --family "$FAMILY" \
    --labels "$(labels)" --description "Pilotlight's VM: bundle $BUNDLE_SHA256; ${RESULT#ok }" ||
    fail "the image could not be made"
  say "made the image $NAME of the family $FAMILY"
}

# Labels take small letters, digits, dashes and underscores, 63 at most.
labels() {
  local label
  label="pilotlight=vm,bundle=${BUNDLE_SHA256:0:40}"
  label+=",comfyui=$(label_of "$(part comfyui)"),driver=$(label_of "$(part driver)")"
  echo "$label"
}

# part NAME: of the builder's result, NAME=VALUE with spaces between.
part() {
  sed --quiet --expression "s/.* $1=\([^ ]*\).*/\1/p" <<<" $RESULT"
}

label_of() {
  local text="${1,,}"
  text="${text//[^a-z0-9_-]/-}"
  echo "${text:0:63}"
}

say() {
  "$DRY_RUN" || echo "bake.sh: $1" >&2
}

main "$@"
