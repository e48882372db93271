#!/usr/bin/env bats
# What the system must have. The real apt and the real PyPI are met where a whole system is made.

bats_require_minimum_version 1.5.0

setup() {
  load support
  setup_root
  export SYS="$BATS_TEST_TMPDIR/sys" INSTALLED="$BATS_TEST_TMPDIR/installed" USERS="$BATS_TEST_TMPDIR/users"
  mkdir -p "$SYS/bus/pci/devices" "$ROOT/opt/pilotlight/bundle"
  printf 'curl   # why\n\nnginx # why\npython3-venv\n' >"$ROOT/opt/pilotlight/bundle/packages.txt"
  printf 'certbot==5.8.0\n' >"$ROOT/opt/pilotlight/bundle/requirements-certbot.txt"
  printf 'curl\nnginx\npython3-venv\n' >"$INSTALLED"
  printf 'comfyui\npilotlight\n' >"$USERS"
  stub systemctl 'exit 0'
  stub systemd-run 'exit 0'
  stub sleep 'exit 0'
  stub dpkg 'exit 0'
  stub nvidia-smi 'echo "NVIDIA-SMI 580"'
  # The database of packages, and what changes it.
  stub dpkg-query 'for name in "${@:4}"; do
    grep --quiet --line-regexp "$name" "$INSTALLED" && echo "installed $name" || echo "no packages found matching $name" >&2
  done; true'
  stub apt-get '[[ "$*" == *" install "* ]] || exit 0
    cp "$ROOT/usr/sbin/policy-rc.d" "$ROOT/policy-while-installing" 2>/dev/null
    for name; do [[ "$name" == -* ]] || echo "$name" >>"$INSTALLED"; done'
  stub getent 'grep --quiet --line-regexp "$2" "$USERS"'
  stub useradd 'echo "${@: -1}" >>"$USERS"'
  stub groupadd 'exit 0'
  stub python3 'mkdir -p "$3/bin"
    printf "#!/bin/sh\necho pip \"\$@\" >>$CALLS\n" >"$3/bin/pip"
    printf "#!/bin/sh\necho certbot 5.8.0\n" >"$3/bin/certbot"
    chmod +x "$3/bin/pip" "$3/bin/certbot"'
}

# install_all [SETTING=VALUE...]: the step, as startup.sh would take it.
install_all() {
  # shellcheck disable=SC2016 # For the shell that is started.
  run --separate-stderr bash -c 'set -euo pipefail
    source "$REPO/vm/startup.sh"; source "$REPO/vm/steps/packages.sh"
    CONTROL_AUDIENCE="" DRIVER_WITHIN=0
    tell_control_plane() { true; }
    '"$*"'
    install_packages'
}

succeeds() {
  install_all "$@"
  [[ "$status" == 0 ]] || {
    echo "$stderr" >&2
    return 1
  }
}

# fails WORDS: the boot fails with these words.
fails() {
  local words="$1"
  install_all "${@:2}"
  [[ "$status" == 1 && "$(told .failed)" == true ]] || {
    echo "ended with $status: $stderr" >&2
    return 1
  }
  [[ "$(told .step)" == booting && "$(told .detail)" == *"$words"* ]] || {
    echo "told: $(told .detail)" >&2
    return 1
  }
}

called() {
  grep --quiet --extended-regexp -- "$1" "$CALLS"
}

# A `!` of the shell alone fails no test.
never() {
  ! "$@"
}

gpu() {
  mkdir -p "$SYS/bus/pci/devices/0000:00:04.0"
  echo "${1:-0x10de}" >"$SYS/bus/pci/devices/0000:00:04.0/vendor"
  echo "${2:-0x030200}" >"$SYS/bus/pci/devices/0000:00:04.0/class"
}

@test "an image that has everything is only looked at" {
  succeeds
  : >"$CALLS"
  succeeds
  [[ "$(cut --delimiter ' ' --fields 1 "$CALLS" | sort --unique | tr '\n' ' ')" == "dpkg-query getent " ]]
}

@test "what is missing is installed, and nothing else" {
  echo curl >"$INSTALLED"
  succeeds
  called 'apt-get .* update$'
  called 'apt-get .* install .* nginx python3-venv$'
  never called ' install .* curl'
  # A boot that another installs for is waited for, not met with an error.
  called 'DPkg::Lock::Timeout=120'
}

@test "a package that was removed or half installed counts as missing" {
  stub dpkg-query 'printf "installed curl\nconfig-files nginx\nhalf-configured python3-venv\n"'
  succeeds
  called 'apt-get .* install .* nginx python3-venv$'
}

@test "nothing starts by itself while it is installed, and afterwards services may start again" {
  echo curl >"$INSTALLED"
  succeeds
  run sh "$ROOT/policy-while-installing"
  [[ "$status" == 101 ]]
  [[ ! -e "$ROOT/usr/sbin/policy-rc.d" ]]
}

@test "somebody else's policy on what may start stays" {
  echo curl >"$INSTALLED"
  mkdir -p "$ROOT/usr/sbin"
  echo "exit 104" >"$ROOT/usr/sbin/policy-rc.d"
  succeeds
  [[ "$(cat "$ROOT/usr/sbin/policy-rc.d")" == "exit 104" ]]
}

@test "our policy, left by a boot that was cut off, goes" {
  echo curl >"$INSTALLED"
  succeeds
  mkdir -p "$ROOT/usr/sbin"
  cp "$ROOT/policy-while-installing" "$ROOT/usr/sbin/policy-rc.d"
  succeeds
  [[ ! -e "$ROOT/usr/sbin/policy-rc.d" ]]
}

@test "an installation that fails is tried again, after what was cut off is ended" {
  echo curl >"$INSTALLED"
  stub apt-get '[[ "$*" == *" install "* ]] || exit 0
    [[ "$(grep --count " install " "$CALLS")" -ge 3 ]]'
  succeeds
  [[ "$(grep --count "apt-get .* install " "$CALLS")" == 3 ]]
  [[ "$(grep --count "dpkg --configure -a" "$CALLS")" == 3 ]]
  called 'sleep 10'
}

@test "an installation that never succeeds is given up, and told with apt's last words" {
  echo curl >"$INSTALLED"
  stub apt-get 'echo "E: Unable to locate package nginx"; exit 100'
  fails "cannot be installed: nginx python3-venv"
  [[ "$(told .detail)" == *"E: Unable to locate package nginx" ]]
  [[ "$(grep --count "apt-get .* update" "$CALLS")" == 4 ]]
  [[ ! -e "$ROOT/usr/sbin/policy-rc.d" ]]
}

@test "what is being done is told while it takes long" {
  echo curl >"$INSTALLED"
  succeeds
  [[ "$stderr" == *"booting 25 %: Installing what the image lacks: nginx python3-venv"* ]]
  [[ "$stderr" == *"booting 27 %: Installing certbot"* ]]
}

@test "neither upgrades nor the system's certbot act during a session" {
  succeeds
  local unit
  for unit in apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service certbot.timer; do
    [[ "$(readlink "$ROOT/etc/systemd/system/$unit")" == /dev/null ]]
  done
  called 'systemctl stop apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service certbot.timer'
}

@test "a system that is not running can be prepared" {
  stub systemctl 'echo "System has not been booted with systemd" >&2; exit 1'
  echo curl >"$INSTALLED"
  mkdir -p "$ROOT/etc/nginx/sites-enabled"
  touch "$ROOT/etc/nginx/sites-enabled/default"
  succeeds
  [[ "$(readlink "$ROOT/etc/systemd/system/certbot.timer")" == /dev/null ]]
  [[ ! -e "$ROOT/etc/nginx/sites-enabled/default" ]]
}

@test "nginx serves no site of Debian's, neither now nor at the next boot" {
  mkdir -p "$ROOT/etc/nginx/sites-enabled" "$ROOT/etc/nginx/sites-available" "$ROOT/etc/systemd/system/multi-user.target.wants"
  touch "$ROOT/etc/nginx/sites-available/default"
  ln -s /lib/systemd/system/nginx.service "$ROOT/etc/systemd/system/multi-user.target.wants/nginx.service"
  ln -s "$ROOT/etc/nginx/sites-available/default" "$ROOT/etc/nginx/sites-enabled/default"
  succeeds
  called 'systemctl stop nginx.service'
  [[ ! -e "$ROOT/etc/nginx/sites-enabled/default" ]]
  [[ ! -L "$ROOT/etc/systemd/system/multi-user.target.wants/nginx.service" ]]
  # What we have started since is left alone.
  : >"$CALLS"
  succeeds
  never called 'systemctl'
}

@test "the users have the same numbers on every image" {
  : >"$USERS"
  succeeds
  called 'groupadd --system --gid 818 comfyui'
  called 'useradd --system --uid 818 --gid comfyui .* --shell /usr/sbin/nologin comfyui'
  called 'useradd --system --uid 819 --gid pilotlight --home-dir /nonexistent .* pilotlight'
}

@test "a number that is somebody's already is not taken" {
  echo 818 >"$USERS"
  succeeds
  called 'groupadd --system comfyui'
  called 'useradd --system --gid comfyui .* comfyui'
  [[ "$stderr" == *"the number 818 is somebody's"* ]]
}

@test "a user that cannot be made is told" {
  : >"$USERS"
  stub useradd 'echo "useradd: cannot lock /etc/passwd" >&2; exit 1'
  fails "The user comfyui cannot be made"
  [[ "$(told .detail)" == *"cannot lock /etc/passwd"* ]]
}

@test "certbot is installed to the digest, once" {
  succeeds
  called 'pip install .*--require-hashes --only-binary :all: --requirement .*requirements-certbot.txt'
  : >"$CALLS"
  succeeds
  never called '^(pip|python3) '
}

@test "another version of certbot replaces the one that is there" {
  succeeds
  touch "$ROOT/opt/pilotlight/certbot/old"
  echo 'certbot==5.9.0' >"$ROOT/opt/pilotlight/bundle/requirements-certbot.txt"
  succeeds
  [[ ! -e "$ROOT/opt/pilotlight/certbot/old" ]]
}

@test "an installation of certbot that was cut off is made anew" {
  succeeds
  rm "$ROOT/opt/pilotlight/certbot/.requirements"
  : >"$CALLS"
  succeeds
  called 'pip install'
}

@test "certbot that cannot be installed is told, after some tries" {
  stub python3 'mkdir -p "$3/bin"; printf "#!/bin/sh\necho no route to host; exit 1\n" >"$3/bin/pip"; chmod +x "$3/bin/pip"'
  fails "certbot cannot be installed"
  [[ "$(told .detail)" == *"no route to host" ]]
  [[ "$(grep --count "python3 -m venv" "$CALLS")" == 3 ]]
}

@test "a machine without a GPU is no error" {
  # A network card of another maker, and a display of another.
  gpu 0x1af4 0x020000
  stub nvidia-smi 'exit 9'
  succeeds
  gpu 0x1234 0x030000
  succeeds
  never called nvidia-smi
}

@test "what else NVIDIA makes is no GPU" {
  gpu 0x10de 0x068000
  succeeds
  never called nvidia-smi
}

@test "a GPU whose driver works is fine" {
  gpu
  succeeds
  called nvidia-smi
}

@test "a GPU that the image has no driver for is told, with an image that has, before anything is installed" {
  gpu
  echo curl >"$INSTALLED"
  rm "$BATS_TEST_TMPDIR/bin/nvidia-smi"
  fails "ubuntu-accelerator-2404-amd64-with-nvidia-580 of the project ubuntu-os-accelerator-images"
  never called apt-get
}

@test "a driver that does not work is told with its words" {
  gpu
  stub nvidia-smi 'echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18'
  fails "does not work with its kernel"
  [[ "$(told .detail)" == *"Driver/library version mismatch" ]]
}

@test "a driver that is still being loaded is waited for" {
  gpu
  stub nvidia-smi '[[ "$(grep --count nvidia-smi "$CALLS")" -ge 3 ]]'
  succeeds DRIVER_WITHIN=60
  [[ "$(grep --count '^nvidia-smi' "$CALLS")" == 3 ]]
}

@test "a driver that hangs is given up" {
  gpu
  stub nvidia-smi 'exec /bin/sleep 30'
  local begun=$SECONDS
  fails "does not work" DRIVER_ANSWERS_WITHIN=1
  ((SECONDS - begun < 15))
}

@test "packages.txt names each package once, with its reason" {
  local names
  names="$(sed 's/ *#.*//' "$REPO/vm/packages.txt" | grep .)"
  [[ "$names" == "$(sort --unique <<<"$names")" ]]
  never grep --invert-match --extended-regexp '^#|^[a-z0-9.+-]+ +# .+$' "$REPO/vm/packages.txt"
}

@test "the requirements name every package with version and digest" {
  local file="$REPO/vm/requirements-certbot.txt"
  grep --quiet '^certbot==5.8.0 ' "$file"
  [[ "$(grep --count '==' "$file")" -gt 10 ]]
  [[ -z "$(grep '==' "$file" | grep --invert-match ' \\$')" ]]
}
