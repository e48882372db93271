#!/usr/bin/env bash
# The startup script of bake.sh's builder: takes the steps of a boot that need no data disk, looks at what has come of
# them, and tells it in the guest attributes `pilotlight/progress` and `pilotlight/result`.

METADATA="${METADATA:-http://metadata.google.internal}"
METADATA_WITHIN=10
TELL_TRIES=5
TELL_AGAIN_AFTER=2
# The longest that is told: the end says the most.
TOLD_MAX=800

main() {
  load_startup
  tell progress "provisioning begins"
  mkdir -p "$STATE" "$ETC"
  load_settings
  get_bundle
  load_steps
  install_packages
  ! wants comfyui || bake_comfyui
  check
  clean_up
  tell result "ok $(versions)"
}

# startup.sh, whose functions the steps use. What goes on is told to who bakes, and not to a control plane.
load_startup() {
  local library="$ROOT/run/pilotlight-startup.sh"
  attribute_of_builder startup-library >"$library" || { tell result "failed: no startup-library" && exit 1; }
  # shellcheck source=/dev/null
  source "$library"
  report() {
    log "$1: $3"
    tell progress "$3" || true
  }
  # shellcheck disable=SC2317 # The steps call it.
  fail() {
    local words="$2"
    log "$1 failed: $words"
    [[ -z "${3:-}" || ! -s "$3" ]] || words+=" $(tail --lines "$LAST_LINES" "$3" | tr '\n' ' ')"
    tell result "failed: ${words:0:TOLD_MAX}"
    exit 1
  }
}

attribute_of_builder() {
  curl --silent --show-error --fail --max-time "$METADATA_WITHIN" --header "Metadata-Flavor: Google" \
    "$METADATA/computeMetadata/v1/instance/attributes/$1"
}

# wants WHAT: unless the metadata says that it is left out.
wants() {
  [[ "$(attribute_of_builder "bake_$1" 2>/dev/null)" != false ]]
}

# tell KEY TEXT
tell() {
  local try
  for ((try = 1; try <= TELL_TRIES; try++)); do
    ((try == 1)) || sleep "$TELL_AGAIN_AFTER"
    curl --silent --show-error --fail --max-time "$METADATA_WITHIN" --header "Metadata-Flavor: Google" --request PUT \
      --data-binary "${2//$'\n'/ }" "$METADATA/computeMetadata/v1/instance/guest-attributes/pilotlight/$1" && return
  done
  return 1
}

# --- ComfyUI ---

# As on a data disk, but where comfyui.sh looks for what an image brings: an environment cannot be moved later. What else
# belongs on a data disk is made there.
bake_comfyui() {
  local real="$DATA"
  DATA="$ROOT/opt/pilotlight"
  load_steps
  # The user's number is the same on every image, and so is the owner.
  directory comfyui "$DISK_OWNER" 0755
  directory comfyui-versions "$DISK_OWNER" 0755
  install_comfyui
  rm -rf "$DATA/comfyui" "$DATA/comfyui-current" "$DATA/comfyui-previous" "$DATA/downloads"
  # shellcheck disable=SC2034 # The steps use it.
  DATA="$real"
  load_steps
}

# --- what has come of it ---

check() {
  report booting 0 "Looking at the result"
  [[ -n "$(driver)" ]] || fail booting "The image has no NVIDIA driver, or it does not work."
  try booting "The gateway does not run." "$BUNDLE/bin/gateway" --help
  try booting "certbot does not run." "$CERTBOT_HOME/bin/certbot" --version
  [[ -z "$(missing_packages)" ]] || fail booting "Packages are missing: $(missing_packages | tr '\n' ' ')"
  ! wants comfyui || [[ -n "$(comfyui)" ]] || fail booting "ComfyUI is not installed."
  nothing_listens || fail booting "Something listens on port 80 or 443 already."
}

# With a GPU the driver is asked; without one, the kernel's module.
driver() {
  if wants gpu; then
    timeout "$DRIVER_ANSWERS_WITHIN" nvidia-smi --query-gpu=driver_version --format=csv,noheader | head --lines 1
  else
    modinfo --field version nvidia
  fi
}

comfyui() {
  local version
  for version in "$ROOT"/opt/pilotlight/comfyui-versions/*/.complete; do
    [[ -f "$version" ]] && basename "$(dirname "$version")" && return
  done
  ! wants comfyui && echo none
}

nothing_listens() {
  [[ -z "$(ss --no-header --listening --tcp --numeric '( sport = :80 or sport = :443 )')" ]]
}

versions() {
  printf 'driver=%s certbot=%s comfyui=%s python=%s' "$(driver)" \
    "$("$CERTBOT_HOME/bin/certbot" --version 2>/dev/null | cut --delimiter ' ' --fields 2)" "$(comfyui)" \
    "$(python3 -c 'import platform; print(platform.python_version())')"
}

# What belongs to the builder alone. A machine's id that is empty is made anew, and is no first boot to systemd, which
# would enable nginx again.
clean_up() {
  apt-get clean
  rm -rf "${ROOT:?}"/var/cache/pilotlight "$ROOT"/var/lib/apt/lists/* "$ETC"
  rm -f "$ROOT"/etc/ssh/ssh_host_*_key "$ROOT"/etc/ssh/ssh_host_*_key.pub "$ROOT"/var/lib/dbus/machine-id
  truncate --size 0 "$ROOT/etc/machine-id"
  sync
}

if [[ "${BASH_SOURCE[0]:-$0}" == "$0" ]]; then
  set -euo pipefail
  ROOT="${ROOT:-}"
  main "$@"
fi
