# shellcheck shell=bash
# What the system must have: packages, users, certbot, a driver for the GPU. A baked image has all of it, and then this
# only looks. Nothing that is installed may serve, renew or upgrade by itself.

# The kernel's view of the machine; tests put their own in its place.
SYS="${SYS:-/sys}"

# Files on the data disk belong to numbers, so these are the same on every image. They are far from those that Debian
# and Ubuntu give away by themselves, upwards from 100 and downwards from 999.
COMFYUI_NUMBER=818
PILOTLIGHT_NUMBER=819

# Not during a session: an upgrade takes the disk and the processor, and a new kernel or driver takes the GPU away.
# Certificates are renewed by pilotlight-certificate.timer.
NOT_BY_THEMSELVES=(apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service certbot.timer)

# Seconds: for whoever else installs something; for one try of ours; for a driver that is still being loaded.
APT_LOCK_WITHIN=120
APT_WITHIN=600
PIP_WITHIN=300
DRIVER_WITHIN=60
DRIVER_ANSWERS_WITHIN=30
APT_TRIES=4
PIP_TRIES=3
RETRY_AFTER=5

# An image that has the driver, where an owner asks for one.
GOOD_IMAGE="the image family ubuntu-accelerator-2404-amd64-with-nvidia-580 of the project ubuntu-os-accelerator-images, \
or one made by vm/bake/bake.sh"

CERTBOT_HOME="$ROOT/opt/pilotlight/certbot"
POLICY="$ROOT/usr/sbin/policy-rc.d"
POLICY_MARK="# Pilotlight installs: nothing that is installed starts by itself."

install_packages() {
  # First, for without it all the rest is of no use.
  check_driver
  keep_still
  install_debian_packages
  quiet_nginx
  make_user comfyui "$COMFYUI_NUMBER" "$DATA/comfyui"
  make_user pilotlight "$PILOTLIGHT_NUMBER" /nonexistent
  install_certbot
}

# --- the driver ---

check_driver() {
  local said="$STATE/nvidia-smi.log" begun=$SECONDS
  if ! has_gpu; then
    log "this machine has no NVIDIA GPU"
    return
  fi
  command -v nvidia-smi >/dev/null ||
    fail booting "This machine has an NVIDIA GPU, and its image has no driver. Use $GOOD_IMAGE."
  until timeout "$DRIVER_ANSWERS_WITHIN" nvidia-smi >"$said" 2>&1; do
    ((SECONDS - begun < DRIVER_WITHIN)) || fail booting "The NVIDIA driver of this image does not work with its kernel, \
or not with this GPU. Use $GOOD_IMAGE. nvidia-smi says:" "$said"
    sleep 2
  done
}

# Display controllers (class 03) of NVIDIA (10de).
has_gpu() {
  local device
  for device in "$SYS"/bus/pci/devices/*; do
    [[ -r "$device/vendor" && "$(<"$device/vendor")" == 0x10de && "$(<"$device/class")" == 0x03* ]] && return
  done
  return 1
}

# --- what would act by itself ---

# By links, as systemctl mask does, so that a system that is not running can be prepared, too.
keep_still() {
  local unit units="$ROOT/etc/systemd/system" new=()
  for unit in "${NOT_BY_THEMSELVES[@]}"; do
    [[ "$(readlink "$units/$unit")" != /dev/null ]] || continue
    mkdir -p "$units"
    ln --symbolic --force --no-dereference /dev/null "$units/$unit"
    new+=("$unit")
  done
  ((${#new[@]} == 0)) || {
    systemctl daemon-reload && systemctl stop "${new[@]}"
  } || log "not stopped: ${new[*]}"
}

# Debian starts nginx with a site of its own when it is installed and at every boot; ours is started by the boot, when
# it is configured.
quiet_nginx() {
  local link="$ROOT/etc/systemd/system/multi-user.target.wants/nginx.service" site="$ROOT/etc/nginx/sites-enabled/default"
  [[ -L "$link" || -e "$site" ]] || return 0
  rm -f "$link" "$site"
  { systemctl daemon-reload && systemctl stop nginx.service; } || log "nginx was not stopped"
}

# --- packages ---

install_debian_packages() {
  local missing attempt
  # Left there by a boot that was cut off.
  ! is_our_policy || rm -f "$POLICY"
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]} > 0)) || return 0
  report booting 25 "Installing what the image lacks: ${missing[*]}"
  forbid_starts
  for ((attempt = 1; attempt <= APT_TRIES; attempt++)); do
    ((attempt == 1)) || sleep "$((attempt * RETRY_AFTER))"
    ! apt_install "${missing[@]}" >"$STATE/apt.log" 2>&1 || break
    cat "$STATE/apt.log" >&2
    log "installing packages: try $attempt of $APT_TRIES failed"
  done
  ! is_our_policy || rm -f "$POLICY"
  ((attempt <= APT_TRIES)) ||
    fail booting "The system's packages cannot be installed: ${missing[*]}. Is the Internet reached from this VM? A \
baked image (vm/bake/bake.sh) needs none of it." "$STATE/apt.log"
}

# The packages of packages.txt that are not installed, one a line.
missing_packages() {
  local names
  mapfile -t names < <(sed --expression 's/#.*//' --expression 's/[[:space:]]*$//' --expression '/^$/d' "$BUNDLE/packages.txt")
  # What it does not know at all, it tells on its standard error only.
  LC_ALL=C comm -13 <(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${names[@]}" 2>/dev/null |
    sed --quiet --expression 's/^installed //p' | LC_ALL=C sort --unique) \
    <(printf '%s\n' "${names[@]}" | LC_ALL=C sort --unique)
}

apt_install() {
  local apt=(timeout --kill-after 30 "$APT_WITHIN" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get
    --quiet --yes --option "DPkg::Lock::Timeout=$APT_LOCK_WITHIN" --option Acquire::Retries=3)
  # An installation that was cut off, as by a preemption, is ended first.
  timeout --kill-after 30 "$APT_WITHIN" env DEBIAN_FRONTEND=noninteractive dpkg --configure -a --force-confold </dev/null
  "${apt[@]}" update </dev/null &&
    "${apt[@]}" install --no-install-recommends --option Dpkg::Options::=--force-confold "$@" </dev/null
}

# As Debian provides for: 101 forbids what would be done.
forbid_starts() {
  [[ ! -e "$POLICY" ]] || return 0
  mkdir -p "${POLICY%/*}"
  printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$POLICY"
  chmod 0755 "$POLICY"
}

is_our_policy() {
  [[ -f "$POLICY" ]] && grep --quiet --fixed-strings --line-regexp "$POLICY_MARK" "$POLICY"
}

# --- users ---

# make_user NAME NUMBER HOME: who exists stays who he is.
make_user() {
  local numbers=(--uid "$2" --gid "$1") group=(--gid "$2")
  ! getent passwd "$1" >/dev/null || return 0
  if getent passwd "$2" >/dev/null || getent group "$2" >/dev/null; then
    # disk.sh hands over what is on the data disk.
    log "the number $2 is somebody's on this image; $1 gets another"
    numbers=(--gid "$1")
    group=()
  fi
  getent group "$1" >/dev/null || try booting "The group $1 cannot be made." groupadd --system "${group[@]}" "$1"
  try booting "The user $1 cannot be made." \
    useradd --system "${numbers[@]}" --home-dir "$3" --no-create-home --shell /usr/sbin/nologin "$1"
}

# --- certbot ---

# The system's is too old to order a certificate for an address.
install_certbot() {
  local wanted="$BUNDLE/requirements-certbot.txt" attempt
  ! cmp --silent "$wanted" "$CERTBOT_HOME/.requirements" || return 0
  report booting 27 "Installing certbot"
  for ((attempt = 1; attempt <= PIP_TRIES; attempt++)); do
    ((attempt == 1)) || sleep "$((attempt * RETRY_AFTER))"
    ! make_certbot "$wanted" >"$STATE/pip.log" 2>&1 || return 0
    cat "$STATE/pip.log" >&2
    log "installing certbot: try $attempt of $PIP_TRIES failed"
  done
  fail booting "certbot cannot be installed. Is the Internet reached from this VM? A baked image (vm/bake/bake.sh) needs \
none of it." "$STATE/pip.log"
}

# An environment cannot be moved, so it is made where it will be. What it was made from is written down last.
make_certbot() {
  rm -rf "$CERTBOT_HOME" &&
    python3 -m venv "$CERTBOT_HOME" &&
    timeout "$PIP_WITHIN" "$CERTBOT_HOME/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
      --require-hashes --only-binary :all: --requirement "$1" &&
    "$CERTBOT_HOME/bin/certbot" --version &&
    cp "$1" "$CERTBOT_HOME/.requirements"
}
