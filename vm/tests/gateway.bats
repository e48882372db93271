#!/usr/bin/env bats
# How the gateway is told what it is to be, and started: with commands that only note that they were called.
# What is set is read by the step; what stands in quotes is for the commands that stand in.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2317

setup() {
  load support
  setup_root
  BUNDLE_FOLDER="$ROOT/opt/pilotlight/bundle"
  mkdir -p "$BUNDLE_FOLDER/bin" "$BUNDLE_FOLDER/systemd"
  cp "$REPO"/vm/systemd/pilotlight-{gateway,poweroff}.* "$BUNDLE_FOLDER/systemd/"
  echo "a program" >"$BUNDLE_FOLDER/bin/gateway"
  stub systemctl
  stub curl
  stub useradd
  stub id 'exit 1'
  load_startup
  # shellcheck source=/dev/null
  source "$REPO/vm/steps/gateway.sh"
  tell_control_plane() { :; }
  sleep() { :; }
  HOST=comfy.example.com PAGE_ORIGIN=https://page.example.com WORKSPACE=main
  CONTROL_URL=https://lifecycle.example.com CONTROL_AUDIENCE=https://lifecycle.example.com
  JWKS_URL=https://auth.example.com/.well-known/jwks.json METADATA=http://metadata.google.internal
  TOKEN_ISSUER="" SILENCE_SECONDS="" HARD_SECONDS="" PILOTLIGHT_CLOCK=""
}

# What a shell reads from the file, as systemd does: the rules for text in double quotes are the same.
setting() {
  env --ignore-environment bash -c 'set -a; source "$1"; printf "%s" "${!2-(unset)}"' bash "$ETC/gateway.env" "$1"
}

calls() {
  grep --extended-regexp "$1" "$CALLS" || true
}

forget_calls() {
  : >"$CALLS"
}

@test "the gateway is told what the metadata says, and what this VM is" {
  TOKEN_ISSUER=pilotlight-2 HARD_SECONDS=43200 start_gateway
  [ "$(setting ORIGIN)" = https://comfy.example.com ]
  [ "$(setting PAGE_ORIGIN)" = https://page.example.com ]
  [ "$(setting CONTROL_URL)" = https://lifecycle.example.com ]
  [ "$(setting JWKS_URL)" = https://auth.example.com/.well-known/jwks.json ]
  [ "$(setting WORKSPACE)" = main ]
  [ "$(setting TOKEN_ISSUER)" = pilotlight-2 ]
  [ "$(setting HARD_SECONDS)" = 43200 ]
  [ "$(setting BOOT_FILE)" = /run/pilotlight/boot.json ]
  [ "$(setting KEPT_QUEUE_DIR)" = /mnt/pilotlight/queue ]
  [ "$(setting NVML_LIBRARY)" = libnvidia-ml.so.1 ]
  [ "$(setting POWEROFF_COMMAND)" = "touch /run/pilotlight-gateway/poweroff" ]
}

@test "the gateway itself takes what it is told" {
  local gateway="$REPO/target/debug/gateway"
  [[ -x "$gateway" ]] || skip "needs a gateway: cargo build --package gateway"
  start_gateway
  # Nobody answers at these addresses; that it asks shows that it has read them.
  CONTROL_URL=http://127.0.0.1:9 METADATA=http://127.0.0.1:9 write_gateway_environment
  run env --ignore-environment bash -c 'set -a; source "$1"; exec "$2" --check-control' bash "$ETC/gateway.env" "$gateway"
  [ "$status" -eq 1 ]
  [[ "$output" == "lifecycle gives no answer: asking the metadata server for an identity token"* ]]
}

@test "the gateway may write where it keeps the queue, in the folder that the disk has for it" {
  start_gateway
  local folder
  folder="$(setting KEPT_QUEUE_DIR)"
  grep --fixed-strings --line-regexp "ReadWritePaths=-$folder" "$ROOT/etc/systemd/system/pilotlight-gateway.service"
  grep --fixed-strings --line-regexp "User=$(sed --quiet 's/^QUEUE_OWNER=//p' "$REPO/vm/steps/disk.sh")" \
    "$ROOT/etc/systemd/system/pilotlight-gateway.service"
  # Not on the boot disk, before the data disk is there.
  [ ! -e "$ROOT$folder" ]
}

@test "what is empty is left to the gateway" {
  start_gateway
  for name in TOKEN_ISSUER SILENCE_SECONDS HARD_SECONDS PILOTLIGHT_CLOCK; do
    [ "$(setting "$name")" = "(unset)" ]
  done
}

@test "every value arrives as it is" {
  # shellcheck disable=SC1003 # It ends in a backslash.
  PAGE_ORIGIN='a "b" \c \\d $e ${f} `g` %h #i ;j '"'k'"' ä=l\'
  write_gateway_environment
  [ "$(setting PAGE_ORIGIN)" = "$PAGE_ORIGIN" ]
  grep --fixed-strings --line-regexp \
    'PAGE_ORIGIN="a \"b\" \\c \\\\d \$e \${f} \`g\` %h #i ;j '"'k'"' ä=l\\"' "$ETC/gateway.env"
}

@test "a value of two lines is refused by name, and changes nothing" {
  start_gateway
  cp "$ETC/gateway.env" "$BATS_TEST_TMPDIR/before"
  forget_calls
  stub systemd-run
  PAGE_ORIGIN=$'https://page.example.com\nPOWEROFF_COMMAND=rm -rf /' run start_gateway
  [ "$status" -eq 1 ]
  [ "$(told .failed)" = true ]
  [[ "$(told .detail)" == *page_origin* ]]
  cmp "$ETC/gateway.env" "$BATS_TEST_TMPDIR/before"
  [ -z "$(calls 'systemctl restart')" ]
}

@test "at the first boot its user, its units and what stops the VM are there before it starts" {
  start_gateway
  for unit in pilotlight-gateway.service pilotlight-poweroff.path pilotlight-poweroff.service; do
    cmp "$REPO/vm/systemd/$unit" "$ROOT/etc/systemd/system/$unit"
  done
  [ "$(calls 'useradd|daemon-reload|enable|restart')" = "$(
    cat <<END
useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pilotlight
systemctl daemon-reload
systemctl enable --now pilotlight-poweroff.path
systemctl enable pilotlight-gateway.service
systemctl restart pilotlight-gateway.service
END
  )" ]
}

@test "a user that is there is not added again" {
  stub id
  start_gateway
  [ -z "$(calls useradd)" ]
}

@test "a gateway that runs as it should is left alone" {
  start_gateway
  forget_calls
  start_gateway
  [ -z "$(calls restart)" ]
}

@test "a gateway that does not run is started though nothing has changed" {
  start_gateway
  stub systemctl "[[ \"\$*\" != is-active* || -e $BATS_TEST_TMPDIR/up ]] || exit 3; [[ \"\$1\" != restart ]] || touch $BATS_TEST_TMPDIR/up"
  forget_calls
  start_gateway
  [ -n "$(calls 'systemctl restart pilotlight-gateway.service')" ]
}

@test "another program, another setting or another unit starts it anew" {
  start_gateway
  for change in program setting unit; do
    forget_calls
    case "$change" in
      program) echo "another program" >"$BUNDLE/bin/gateway" ;;
      setting) HOST=203.0.113.7 ;;
      unit) echo "# another" >>"$BUNDLE/systemd/pilotlight-gateway.service" ;;
    esac
    start_gateway
    [ -n "$(calls 'systemctl restart pilotlight-gateway.service')" ]
    forget_calls
    start_gateway
    [ -z "$(calls restart)" ]
  done
  [ "$(setting ORIGIN)" = https://203.0.113.7 ]
}

@test "a gateway that does not come up ends the boot with its last words" {
  stub curl 'exit 7'
  stub journalctl 'echo "error: PAGE_ORIGIN: expected an origin"'
  stub systemd-run
  export GATEWAY_UP_WITHIN=3
  run start_gateway
  [ "$status" -eq 1 ]
  [ "$(told .failed)" = true ]
  [ "$(told .detail)" = $'The gateway does not run.\nerror: PAGE_ORIGIN: expected an origin' ]
  [ "$(calls '^curl .*_pilotlight/healthz' | wc -l)" -eq 3 ]
}

@test "one that falls again and again is not taken for one that runs" {
  stub systemctl '[[ "$1" != is-active ]] || exit 3'
  stub journalctl 'echo fell'
  stub systemd-run
  export GATEWAY_UP_WITHIN=2
  run start_gateway
  [ "$status" -eq 1 ]
  [[ "$(told .detail)" == *fell ]]
}

@test "a command that fails ends the boot with what it said" {
  stub systemctl '[[ "$1" != daemon-reload ]] || { echo "bad unit" >&2; exit 1; }'
  stub systemd-run
  run start_gateway
  [ "$status" -eq 1 ]
  [[ "$(told .detail)" == *$'units.\nbad unit' ]]
}

# The units as systemd reads them; what they start lies elsewhere here.
verified_units() {
  mkdir -p "$BATS_TEST_TMPDIR/units"
  for unit in pilotlight-gateway.service pilotlight-poweroff.path pilotlight-poweroff.service; do
    sed 's#^ExecStart=/opt/.*#ExecStart=/usr/bin/true#' "$REPO/vm/systemd/$unit" >"$BATS_TEST_TMPDIR/units/$unit"
  done
  systemd-analyze --man=no verify "$BATS_TEST_TMPDIR"/units/* 2>&1
}

@test "systemd has nothing to say against the units" {
  run verified_units
  echo "$output"
  [ "$status" -eq 0 ]
  [ -z "$output" ]
}

@test "nothing in the gateway's unit keeps the GPU's devices from it" {
  # ProtectClock allows /dev/rtc, which forbids every device that is not named.
  run grep --extended-regexp '^(PrivateDevices|ProtectClock|DeviceAllow|DevicePolicy)' "$REPO/vm/systemd/pilotlight-gateway.service"
  [ "$status" -eq 1 ]
}
