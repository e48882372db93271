#!/usr/bin/env bash
# Makes the root file system of a test VM, once: Debian as Google's image has it, with what `install_packages` of the
# VM's own steps puts on it, and the service by which Google's guest runs a startup script. Needs root. Safe to run again.

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repo="$(cd "$here/../../.." && pwd)"
base="${VM_BASE:-$repo/target/test-deps/vm-base}"

# A download that takes longer than this is stuck.
INSTALL_LIMIT_SECONDS=600
# What the tests themselves run.
TOOLS=(systemd-container debootstrap eatmydata pebble libnss3-tools jq e2fsprogs openssl)
# What Google's image of Debian has, as far as the VM's scripts need it; the rest is for them to install.
STOCK=(systemd systemd-sysv dbus udev curl ca-certificates python3 iproute2 procps)

# What only custom nodes need is there by name alone: half a gigabyte that no test here uses.
BY_NAME_ALONE=(build-essential python3-dev libgl1 libglib2.0-bin)

bounded() { timeout --kill-after=10 "$INSTALL_LIMIT_SECONDS" "$@"; }

main() {
  install_tools
  local made_of
  made_of="$(digest)"
  [[ "$(cat "$base/.made-of" 2>/dev/null)" == "$made_of" ]] && return
  rm -rf "$base"
  make_stock
  provision
  add_startup_service
  # Last, so that half a system is none.
  echo "$made_of" >"$base/.made-of"
}

digest() {
  cat "${BASH_SOURCE[0]}" "$repo"/vm/packages.txt "$repo"/vm/steps/packages.sh \
    "$repo"/vm/requirements*.txt | sha256sum
}

install_tools() {
  local tool missing=()
  for tool in "${TOOLS[@]}"; do
    dpkg-query --show --showformat '${db:Status-Status}' "$tool" 2>/dev/null | grep --quiet '^installed$' || missing+=("$tool")
  done
  ((${#missing[@]} == 0)) && return
  bounded apt-get -qq update
  bounded env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

make_stock() {
  local mirror log
  # shellcheck disable=SC2016 # apt's own words.
  mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 2>/dev/null | head --lines 1)"
  log="$(mktemp)"
  # Without syncing each file to the disk: half the time.
  bounded eatmydata debootstrap --variant=minbase --include="$(IFS=,; echo "${STOCK[*]}")" \
    bookworm "$base" "${mirror:-http://deb.debian.org/debian}" >"$log" 2>&1 || {
    tail --lines 20 "$log" >&2
    return 1
  }
  rm -f "$log"
}

# As on a VM with a stock image, except that it is not booted.
provision() {
  rm -rf "$base.sources"
  mkdir -p "$base.sources"
  cp -r "$repo"/vm/{startup.sh,steps,packages.txt,requirements-certbot.txt} "$base.sources/"
  as_this_machine_reaches_its_sources
  put_names_in_place
  # Nobody minds when half a base is lost with the power.
  echo force-unsafe-io >"$base/etc/dpkg/dpkg.cfg.d/tests"
  # shellcheck disable=SC2016 # For the shell in there.
  bounded systemd-nspawn --quiet --directory "$base" --register=no --keep-unit --console=pipe --timezone=off \
    --resolv-conf=off --bind-ro="$base.sources:/opt/sources" "${pip_settings[@]}" bash -euo pipefail -c '
    source /opt/sources/startup.sh
    BUNDLE=/opt/sources
    mkdir -p "$STATE" "$ETC"
    for step in "$BUNDLE"/steps/*.sh; do source "$step"; done
    gateway_speaks() { return 0; }
    install_packages
  ' >"$base.log" 2>&1 || {
    tail --lines 30 "$base.log" >&2
    return 1
  }
  rm -rf "$base/var/cache/apt/archives" "$base/var/lib/apt/lists" "$base.sources" "$base.log"
  rm -f "$base/etc/pip.conf" "$base/etc/apt/apt.conf.d/99tests" "$base/etc/dpkg/dpkg.cfg.d/tests"
  # Nobody answers in there.
  : >"$base/etc/resolv.conf"
}

put_names_in_place() {
  local name empty
  empty="$(mktemp --directory)"
  for name in "${BY_NAME_ALONE[@]}"; do
    mkdir -p "$empty/$name/DEBIAN"
    printf '%s\n' "Package: $name" "Version: 99" "Architecture: all" "Maintainer: none <none@localhost>" \
      "Description: stands in for $name in a test" >"$empty/$name/DEBIAN/control"
    dpkg-deb --build --root-owner-group "$empty/$name" "$empty/$name.deb" >/dev/null
    dpkg --root "$base" --install "$empty/$name.deb" >/dev/null
  done
  rm -rf "$empty"
}

# The same mirrors, name server and authorities.
as_this_machine_reaches_its_sources() {
  cp /etc/resolv.conf "$base/etc/resolv.conf"
  cp /etc/ssl/certs/ca-certificates.crt "$base.sources/"
  [[ ! -f /etc/pip.conf ]] || cp /etc/pip.conf "$base/etc/pip.conf"
  apt-config dump | grep --extended-regexp '^Acquire::.* ".+";$' >"$base/etc/apt/apt.conf.d/99tests" || true
  pip_settings=(--setenv=PIP_CERT=/opt/sources/ca-certificates.crt)
  local setting
  while read -r setting; do
    pip_settings+=("--setenv=$setting")
  done < <(env | grep '^PIP_' | grep --invert-match --extended-regexp '^PIP_(CERT|FIND_LINKS)=')
}

# Google's guest gets the script from the metadata server and runs it as root; nothing waits for it.
add_startup_service() {
  cp "$here/guest/run-startup-script" "$base/usr/local/sbin/run-startup-script"
  cp "$here/guest/google-startup-scripts.service" "$base/etc/systemd/system/"
  mkdir -p "$base/etc/systemd/system/multi-user.target.wants" "$base/var/log/journal"
  ln -sf ../google-startup-scripts.service "$base/etc/systemd/system/multi-user.target.wants/"
  # A container has no hardware to look after, and nobody logs in.
  ln -sf /dev/null "$base/etc/systemd/system/systemd-udevd.service"
  ln -sf /dev/null "$base/etc/systemd/system/console-getty.service"
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  set -euo pipefail
  main "$@"
fi
