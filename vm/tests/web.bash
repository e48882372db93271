# What the tests of nginx and of the certificate share: a network of their own with real ports 80 and 443, a VM's
# folders, and certificates of any dates.

CERTBOT_VERSION=5.8.0
# The VM's address, and one that a client may have.
VM=203.0.113.7
VM6=2001:db8::7
ELSEWHERE=198.51.100.9
# A test file must be done within this time; then its network, and all that runs in it, is gone.
NETWORK_LASTS=600

# For setup_file.
open_network() {
  NET="$BATS_FILE_TMPDIR"
  export NET
  # nginx's workers are nobody's friends: they need a way to what they serve.
  chmod o+x "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
  known_hosts
  unshare --net --mount --pid --fork --kill-child --mount-proc sleep "$NETWORK_LASTS" >/dev/null 2>&1 3>&- &
  until pgrep --parent "$!" >"$NET/inside.pid"; do sleep 0.05; done
  inside ip link set lo up
  inside ip address add "$VM/32" dev lo
  inside ip address add "$ELSEWHERE/32" dev lo
  inside ip address add "$VM6/128" dev lo
  inside mount --bind "$NET/hosts" /etc/hosts
  new_ca "$NET/ca"
}

known_hosts() {
  printf '127.0.0.1 localhost\n::1 localhost\n%s comfy.test\n' "$VM" >"$NET/hosts"
}

# For teardown_file: all that was started inside goes with the first process in there.
close_network() {
  kill -KILL "$(cat "$NET/inside.pid")"
}

inside() {
  nsenter --target "$(cat "$NET/inside.pid")" --net --mount --pid -- "$@"
}

# In the background, for as long as the network.
inside_stays() {
  inside "$@" >"$NET/${1##*/}.log" 2>&1 3>&- &
}

prepare_certbot() {
  TEST_CERTBOT="$BATS_TEST_DIRNAME/../../target/test-deps/certbot"
  export TEST_CERTBOT
  mkdir -p "${TEST_CERTBOT%/*}"
  # Two runs of the tests may want it at once.
  exec {once}>"$TEST_CERTBOT.lock"
  flock "$once"
  if [[ "$("$TEST_CERTBOT/bin/certbot" --version 2>/dev/null)" != "certbot $CERTBOT_VERSION" ]]; then
    python3 -m venv --clear "$TEST_CERTBOT"
    "$TEST_CERTBOT/bin/pip" install --quiet --disable-pip-version-check "certbot==$CERTBOT_VERSION"
  fi
  exec {once}>&-
}

# new_ca FOLDER: a CA of our own.
new_ca() {
  mkdir -p "$1"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=Test CA" \
    -keyout "$1/privkey.pem" -out "$1/fullchain.pem" 2>/dev/null
}

# certificate FOLDER CA HOST [STARTS [ENDS]]: one for HOST, a name or an address, by that CA; times in hours from now.
certificate() {
  local folder="$1" ca="$2" kind=DNS work
  [[ ! "$3" =~ ^[0-9.]+$ ]] || kind=IP
  work="$(mktemp --directory "$BATS_RUN_TMPDIR/ca.XXXXXX")"
  mkdir -p "$folder"
  : >"$work/index"
  printf '%s\n' '[ca]' 'default_ca=ours' '[ours]' "database=$work/index" "new_certs_dir=$work" rand_serial=yes \
    default_md=sha256 policy=any x509_extensions=of_all '[any]' commonName=optional '[of_all]' \
    "subjectAltName=$kind:$3" >"$work/config"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test \
    -keyout "$folder/privkey.pem" -out "$work/request" 2>/dev/null
  openssl ca -batch -notext -config "$work/config" -cert "$ca/fullchain.pem" -keyfile "$ca/privkey.pem" \
    -startdate "$(hours_from_now "${4:--1}")" -enddate "$(hours_from_now "${5:-2000}")" -in "$work/request" \
    -out "$work/leaf" 2>/dev/null
  cat "$work/leaf" "$ca/fullchain.pem" >"$folder/fullchain.pem"
  rm -r "$work"
}

hours_from_now() {
  date --utc --date "@$(($(date +%s) + $1 * 3600))" +%Y%m%d%H%M%SZ
}

# For setup: a VM for the domain comfy.test, with nothing done yet.
setup_vm() {
  setup_root
  chmod o+x "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/.."
  mkdir -p "$ROOT/dev" "$ROOT/opt/pilotlight" "$ROOT/mnt/pilotlight" "$ROOT/etc/nginx"
  ln -s "$REPO/vm" "$ROOT/opt/pilotlight/bundle"
  : >"$ROOT/settings"
  given DOMAIN_NAME=comfy.test HOST=comfy.test EXTERNAL_IP="$VM" METADATA=http://127.0.0.1:9
  stub systemd-run
  cp "$BATS_TEST_DIRNAME/systemctl.sh" "$BATS_TEST_TMPDIR/bin/systemctl"
}

# For teardown.
stop_nginx() {
  [[ ! -s "$ROOT/run/nginx.pid" ]] || inside kill -QUIT "$(cat "$ROOT/run/nginx.pid")" || true
}

# given NAME=VALUE...: what the VM was told.
given() {
  local setting
  for setting in "$@"; do
    printf '%s=%q\n' "${setting%%=*}" "${setting#*=}" >>"$ROOT/settings"
  done
}

# vm COMMAND...: as startup.sh's shell would run it.
vm() {
  inside bash -c '
    set -euo pipefail
    source "$REPO/vm/startup.sh"
    for name in "${SETTINGS[@]}"; do printf -v "$name" "%s" ""; done
    source "$ROOT/settings"
    load_steps
    trap "status=\$?; [[ \$status == 0 ]] || echo \"\${WHY:-}\" >&2; exit \$status" EXIT
    "$@"' vm "$@"
}

# Curl as a browser that trusts our CA, on its way to comfy.test.
browse() {
  inside curl --silent --show-error --max-time 20 --cacert "$NET/ca/fullchain.pem" "$@"
}

# eventually COMMAND...: a reload takes its moment.
eventually() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    ! "$@" || return 0
    sleep 0.05
  done
  echo "not within 5 s: $*" >&2
  return 1
}
