#!/usr/bin/env bats
# The doctor against a VM on which all is well, and then against each thing that can be wrong with it.
#
# The servers are real, in a network of their own, so that they can have ports 80 and 443; what only a VM has (systemd,
# a GPU, a data disk) are commands that say what they would say there.

load support

WELL_KNOWN=203.0.113.7
HOST_NAME=comfy.example.com
# Longer than any server takes to start.
UP_WITHIN=10

setup_file() {
  export WORLD="$BATS_FILE_TMPDIR/world" NETWORK="doctor-$$"
  mkdir -p "$WORLD"
  ip netns add "$NETWORK"
  ip netns exec "$NETWORK" ip link set lo up
  ip netns exec "$NETWORK" ip address add "$WELL_KNOWN/32" dev lo
  make_certificates
  IDENTITY="$(identity_token '{}')"
  export IDENTITY
  ip netns exec "$NETWORK" python3 "$BATS_TEST_DIRNAME/doctor_world.py" "$WORLD" 3>&- &
  echo $! >"$WORLD/pid"
  local tries
  for ((tries = 0; tries < UP_WITHIN * 10; tries++)); do
    [[ ! -e "$WORLD/up" ]] || return 0
    sleep 0.1
  done
  echo "the servers are not up" >&2
  return 1
}

teardown_file() {
  kill "$(cat "$WORLD/pid")"
  ip netns delete "$NETWORK"
}

setup() {
  setup_root
  export BUNDLE="$ROOT/opt/pilotlight/bundle" DISKS="$ROOT/dev/disk/by-id" METADATA=http://127.0.0.1:8100 FENCED=http://127.0.0.1:9
  LOOK_LIMITS="ANSWER_WITHIN=2 COMMAND_WITHIN=2 TORCH_WITHIN=2"
  rm -f "$WORLD"/*/*
  all_is_well
}

teardown() {
  [[ -z "${MOUNTED:-}" ]] || umount "$MOUNTED"
  [[ -z "${LOOP:-}" ]] || losetup --detach "$LOOP"
}

# --- a VM on which all is well ---

all_is_well() {
  make_folders
  metadata_says
  printf '{"step":"starting_comfyui","percent":70,"detail":"Waiting","failed":false}' >"$ROOT/run/pilotlight/boot.json"
  identity_token_is "$IDENTITY"
  answer control POST-vm-heartbeat 200 '{"wish":"Running","phase":"Ready","run":7}'
  answer control HEAD-healthz 200
  stub timedatectl 'echo yes'
  stub getent "[[ \$1 == ahostsv6 ]] && echo '::ffff:$WELL_KNOWN STREAM $HOST_NAME' || echo '$WELL_KNOWN STREAM $HOST_NAME'"
  answer http GET-healthz 200 ok
  answer https GET-healthz 421
  show_certificate good
  data_disk
  gpu
  stub nft
  stub systemctl 'case "$*" in show*) printf "ActiveState=active\nSubState=running\nNRestarts=0\n" ;; esac'
  answer comfyui GET-prompt 200 '{"exec_info":{"queue_remaining":2}}'
  answer comfyui GET-system_stats 200 '{"system":{"comfyui_version":"0.33.0"},"devices":[
    {"name":"cuda:0 NVIDIA L4","type":"cuda","vram_total":23622320128,"vram_free":22000000000}]}'
  answer gateway GET-_pilotlight-healthz 200 '{"status":"ok"}'
  for path in - -prompt; do
    answer gateway "GET$path" 401
    answer https "GET$path" 401
  done
}

# All folders and all commands that are to be, at once: a process for each would be most of what a test takes.
make_folders() {
  local command
  mkdir -p "$BUNDLE/bin" "$DISKS" "$ROOT/mnt/pilotlight/comfyui-versions/0.33.0/venv/bin" "$ROOT/etc/nginx/pilotlight-abcd" \
    "$ROOT/sys/bus/pci/devices"
  for command in timedatectl getent nft systemctl findmnt dumpe2fs df nvidia-smi setpriv; do
    : >"$BATS_TEST_TMPDIR/bin/$command"
  done
  : >"$BUNDLE/bin/gateway"
  : >"$ROOT/mnt/pilotlight/comfyui-versions/0.33.0/venv/bin/python"
  chmod +x "$BATS_TEST_TMPDIR"/bin/* "$BUNDLE/bin/gateway" "$ROOT/mnt/pilotlight/comfyui-versions/0.33.0/venv/bin/python"
}

# The same as everywhere, without a process where the command is there already.
stub() {
  local file="$BATS_TEST_TMPDIR/bin/$1"
  printf '#!/usr/bin/env bash\nprintf "%%s\\n" "%s $*" >>"%s"\n%s\n' "$1" "$CALLS" "${*:2}" >"$file"
  executable "$file"
}

executable() {
  [[ -x "$1" ]] || chmod +x "$1"
}

# answer SERVER METHOD-path STATUS [BODY] [HEADER]
answer() {
  printf '%s\n%s%s\n%s' "$3" "${5:-}" "${5:+$'\n'}" "${4:-}" >"$WORLD/$1/$2"
}

metadata_says() {
  local key
  echo aaaa >"$BUNDLE/.sha256"
  answer metadata GET-computeMetadata-v1- 200 "instance/"
  for key in "workspace main" "control_url http://127.0.0.1:8101" "jwks_url http://127.0.0.1:8101/jwks" \
    "page_origin https://page.example.com" "bundle_url gs://b/o" "bundle_sha256 aaaa" "domain_name $HOST_NAME"; do
    attribute_is ${key}
  done
  external_ip_is "$WELL_KNOWN"
  answer metadata GET-computeMetadata-v1-instance-name 200 comfyui-main-a
  answer metadata GET-computeMetadata-v1-instance-id 200 4711
  answer metadata GET-computeMetadata-v1-instance-service-accounts-default-token 200 '{"access_token":"SECRET-access"}'
}

attribute_is() {
  answer metadata "GET-computeMetadata-v1-instance-attributes-$1" 200 "$2"
}

attribute_is_missing() {
  rm "$WORLD/metadata/GET-computeMetadata-v1-instance-attributes-$1"
}

external_ip_is() {
  answer metadata GET-computeMetadata-v1-instance-network-interfaces-0-access-configs-0-external-ip 200 "$1"
}

identity_token_says() {
  identity_token_is "$(identity_token "$1")"
}

# identity_token JSON: a token with Google's claims, and these in their place.
identity_token() {
  local claims
  claims="$(jq --compact-output '{aud: "http://127.0.0.1:8101", email: "vm@p.iam.gserviceaccount.com", google:
    {compute_engine: {instance_name: "comfyui-main-a", instance_id: "4711", zone: "us-central1-a"}}} * .' <<<"$1")"
  claims="$(printf '%s' "$claims" | base64 --wrap 0 | tr '+/' '-_' | tr --delete '=')"
  echo "eyJhbGciOiJSUzI1NiJ9.$claims.SECRET-signature"
}

identity_token_is() {
  answer metadata GET-computeMetadata-v1-instance-service-accounts-default-identity 200 "$1"
}

data_disk() {
  : >"$ROOT/dev/sdb"
  ln -s ../../sdb "$DISKS/google-pilotlight-data"
  ln -s comfyui-versions/0.33.0 "$ROOT/mnt/pilotlight/comfyui-current"
  printf 'version=v0.33.0\nsource=x\n' >"$ROOT/mnt/pilotlight/comfyui-current/.complete"
  stub findmnt "echo '$ROOT/dev/sdb rw,noatime'"
  stub dumpe2fs 'echo "Filesystem state:         clean"'
  stub df 'case "$*" in *ipcent*) printf "IUse%%\n 3%%\n" ;; *) printf "Avail Size\n60000000000 100000000000\n" ;; esac'
}

gpu() {
  mkdir -p "$ROOT/sys/bus/pci/devices/0000:00:04.0"
  echo 0x10de >"$ROOT/sys/bus/pci/devices/0000:00:04.0/vendor"
  echo 0x030200 >"$ROOT/sys/bus/pci/devices/0000:00:04.0/class"
  stub nvidia-smi 'echo "NVIDIA L4, 570.86.15, 23034 MiB"'
  gateway_says 'echo "the busiest GPU is at 3 %"'
  torch_says 'echo "torch 2.11.0 CUDA 12.8 True"'
}

gateway_says() {
  printf '#!/bin/bash\n[[ "$*" == --check-gpu ]] || exit 9\n%s\n' "$1" >"$BUNDLE/bin/gateway"
  executable "$BUNDLE/bin/gateway"
}

no_gpu() {
  rm -r "$ROOT/sys/bus/pci/devices/0000:00:04.0"
  torch_says 'echo "torch 2.11.0 CUDA 12.8 False"'
}

# Another user's part is played by root; torch's, by what is given.
torch_says() {
  stub setpriv 'while [[ "$1" != -- ]]; do shift; done; shift; exec "$@"'
  printf '#!/bin/bash\n%s\n' "$1" >"$ROOT/mnt/pilotlight/comfyui-current/venv/bin/python"
  executable "$ROOT/mnt/pilotlight/comfyui-current/venv/bin/python"
}

# A PATH on which one command is missing. What is stubbed before, stays.
without() {
  local folder
  mkdir -p "$BATS_TEST_TMPDIR/lean"
  for folder in /usr/sbin /usr/bin /sbin /bin; do
    ln --symbolic --force --target-directory "$BATS_TEST_TMPDIR/lean" "$folder"/*
  done
  rm -f "$BATS_TEST_TMPDIR/lean/$1" "$BATS_TEST_TMPDIR/bin/$1"
  PATH="$BATS_TEST_TMPDIR/bin:$BATS_TEST_TMPDIR/lean"
}

# --- certificates ---

make_certificates() {
  export CERTIFICATES="$BATS_FILE_TMPDIR/certificates"
  mkdir -p "$CERTIFICATES/issued"
  local day=86400
  authority encrypt "R11"
  authority staging "(STAGING) Wannabe Watercress R11"
  issue good encrypt $((-1 * day)) $((89 * day)) "DNS:$HOST_NAME"
  issue for_address encrypt $((-1 * day)) $((5 * day)) "IP:$WELL_KNOWN"
  issue short_and_due encrypt $((-6 * day)) $((1 * day)) "DNS:$HOST_NAME"
  issue due encrypt $((-80 * day)) $((10 * day)) "DNS:$HOST_NAME"
  issue run_out encrypt $((-90 * day)) $((-3 * day)) "DNS:$HOST_NAME"
  issue too_early encrypt $((5 * day)) $((90 * day)) "DNS:$HOST_NAME"
  issue elsewhere encrypt $((-1 * day)) $((89 * day)) "DNS:other.example.com"
  issue staged staging $((-1 * day)) $((89 * day)) "DNS:$HOST_NAME"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj "/CN=self" \
    -addext "subjectAltName=DNS:$HOST_NAME" -keyout "$CERTIFICATES/selfmade.key" -out "$CERTIFICATES/selfmade.pem" 2>/dev/null
}

authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/O=Somebody/CN=$2" \
    -keyout "$CERTIFICATES/$1.ca.key" -out "$CERTIFICATES/$1.ca.pem" 2>/dev/null
}

# issue NAME AUTHORITY FROM TO NAMES: from and to in seconds from now.
issue() {
  local at="$CERTIFICATES/$1"
  : >"$at.index"
  printf '[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=%s\ndatabase=%s\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=optional\n[x]\nsubjectAltName=%s\n' \
    "$CERTIFICATES/issued" "$at.index" "$5" >"$at.conf"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$at.key" -out "$at.csr" 2>/dev/null
  openssl ca -batch -notext -config "$at.conf" -cert "$CERTIFICATES/$2.ca.pem" -keyfile "$CERTIFICATES/$2.ca.key" -in "$at.csr" -out "$at.pem" \
    -startdate "$(date --utc --date "@$(($(date +%s) + $3))" +%Y%m%d%H%M%SZ)" \
    -enddate "$(date --utc --date "@$(($(date +%s) + $4))" +%Y%m%d%H%M%SZ)" 2>/dev/null
}

# show_certificate NAME [KEY]: what nginx is told, and shows.
show_certificate() {
  ln -sf "$ROOT/etc/nginx/pilotlight-abcd/nginx.conf" "$ROOT/etc/nginx/nginx.conf"
  printf 'server {\n  listen 443 ssl;\n  ssl_certificate %s;\n  ssl_certificate_key %s;\n}\n' \
    "$CERTIFICATES/$1.pem" "$CERTIFICATES/${2:-$1}.key" >"$ROOT/etc/nginx/pilotlight-abcd/tls.conf"
  cp "$CERTIFICATES/$1.pem" "$WORLD/shown.pem"
  cp "$CERTIFICATES/$1.key" "$WORLD/shown.key"
}

# --- what is expected ---

# look CHECKS [FOLDER]: the verdicts on one check or some, as JSON. With a folder to note in, one check only, without what
# ends it in time and prints it.
look() {
  ip netns exec "$NETWORK" bash -c '
    source "$REPO/vm/doctor.sh"
    set -uo pipefail
    eval "$2"
    # The server answers the same to all of them, and is asked where the metadata is what is looked at.
    [[ "$1" == metadata* ]] || attribute() {
      local line=none file="$WORLD/metadata/GET-computeMetadata-v1-instance-attributes-$1"
      [[ -e "$file" ]] || return 0
      {
        while [[ -n "$line" ]]; do read -r line; done
        read -r line
      } <"$file"
      printf "%s" "$line"
    }
    CHECKS=($1)
    [[ -n "$3" ]] || {
      main doctor --json
      exit
    }
    WORK="$3"
    look_at_metadata
    (run_check "$1") >"$WORK/$1" 2>"$WORK/$1.errors" </dev/null
    notes | judge' look "$1" "$LOOK_LIMITS" "${2:-}"
}

# says CHECK STATUS WORDS [TODO]: the verdict, what must be in what was found, and in one of the lines to do.
says() {
  local verdicts noted="$BATS_TEST_TMPDIR/noted"
  [[ -d "$noted" ]] || mkdir "$noted"
  verdicts="$(look "$1" "$noted")" || { echo "no verdict: $verdicts" >&2 && return 1; }
  jq --exit-status --arg status "$2" --arg words "$3" --arg todo "${4:-}" \
    'length == 1 and (.[0] | .status == $status and (.found | contains($words)) and
     (if $todo == "" then .todo == [] else (.todo | any(contains($todo))) end))' <<<"$verdicts" >/dev/null || {
    printf 'expected %s: %s / %s\nfound    %s\n' "$2" "$3" "${4:-}" "$verdicts" >&2
    return 1
  }
}

# --- the whole ---

doctor() {
  ip netns exec "$NETWORK" "$REPO/vm/doctor.sh" "$@"
}

@test "where all is well every check says so, in a line each" {
  run doctor doctor
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 16 ]
  for line in "${lines[@]}"; do [[ "$line" =~ ^'ok    '[a-z]+': '. ]]; done
}

@test "what is wrong is told with a line what to do, and does not keep the others from being told" {
  stub systemctl 'case "$*" in show*) printf "ActiveState=failed\nSubState=failed\nNRestarts=9\n" ;; esac'
  rm "$DISKS/google-pilotlight-data"
  run doctor doctor
  [ "$status" -eq 1 ]
  [[ "$output" == *$'\nFAIL  disk: '*$'\n      The data disk is not attached'* ]]
  [[ "$output" == *$'\nFAIL  units: comfyui.service is failed'* ]]
  [[ "$output" == *$'\nok    ports: '* ]]
}

@test "as JSON it is a list of what was found, in the same order" {
  run doctor doctor --json
  [ "$status" -eq 0 ]
  [ "$(jq --raw-output 'map(.check) | join(" ")' <<<"$output")" == \
    "metadata boot identity heartbeat clock dns firewall certificate disk driver cuda fence units comfyui gateway ports" ]
  jq --exit-status 'all(.status == "ok" and (.found | length > 0) and .todo == [])' <<<"$output"
}

@test "no token is printed, or given to a command as an argument" {
  torch_says 'cat /proc/[0-9]*/cmdline | tr "\0" " " >>"$CALLS"; echo "torch 2.11.0 CUDA 12.8 True"'
  answer control POST-vm-heartbeat 500 '{"code":"unavailable","detail":"d"}'
  run doctor doctor
  [[ "$output" != *SECRET* ]]
  run doctor doctor --json
  [[ "$output" != *SECRET* ]]
  ! grep SECRET "$CALLS"
  grep --quiet SECRET-signature "$WORLD/control/asked"
}

@test "it only looks" {
  before="$(cd "$ROOT" && find . -exec stat --format '%n %Y %s' {} + | sort)"
  run doctor doctor
  [ "$before" == "$(cd "$ROOT" && find . -exec stat --format '%n %Y %s' {} + | sort)" ]
  ! grep '^systemctl' "$CALLS" | grep --invert-match --extended-regexp ' (show|is-active|list-units) '
  ! grep --extended-regexp '^(POST|PUT|DELETE)' "$WORLD"/*/asked | grep --invert-match /vm/heartbeat
}

@test "what the outside says cannot speak to the terminal" {
  printf '{"step":"booting","percent":0,"detail":"a\\u001b[31mb\\nok    disk: c","failed":true}' >"$ROOT/run/pilotlight/boot.json"
  run doctor doctor
  [[ "$output" != *$'\e'* ]]
  ! grep --quiet '^ok    disk: c' <<<"$output"
  [[ "$output" == *"failed at booting: a [31mb ok    disk: c"* ]]
}

@test "a check that hangs is ended with what it started, and told; the others are not kept waiting" {
  export CHECK_WITHIN=3
  LOOK_LIMITS="check_driver() { warn seen 'do it'; sleep 60 & echo \$! >$BATS_TEST_TMPDIR/hanging; wait; }"
  begun=$SECONDS
  run look "metadata driver ports"
  ((SECONDS - begun < 8))
  [ "$status" -eq 1 ]
  [ "$(jq --compact-output 'map([.check, .status])' <<<"$output")" == '[["metadata","ok"],["driver","FAIL"],["ports","ok"]]' ]
  jq --exit-status '.[1].found | contains("the check came to no end within 3 s") and contains("seen")' <<<"$output"
  # Gone, or dead and not yet collected by whoever is its parent now.
  [[ "$(ps --no-headers --format state --pid "$(cat "$BATS_TEST_TMPDIR/hanging")")" == @(|Z) ]]
}

@test "a check that breaks is told, not taken for one that found nothing" {
  LOOK_LIMITS='check_dns() { echo "$never_set"; }'
  says dns FAIL "the check came to no end" "by hand"
}

@test "wrong arguments are told, with how it is used" {
  for wrong in "" "docter" "doctor --jsn" "doctor doctor" "--json"; do
    run doctor $wrong
    [ "$status" -eq 2 ]
    [[ "$output" == *"Usage: pilotlight doctor"* || "$output" == *'"doctor" is said twice'* ]]
  done
  run doctor doctor --jsn
  [[ "$output" == '"--jsn" is not known here.'* ]]
  run doctor --help
  [ "$status" -eq 0 ]
  [[ "$output" == "Usage: pilotlight doctor"* ]]
}

@test "whoever is not root is told so" {
  run /usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups bash -c "$(cat <<<'cd /; exec bash "$0" doctor')" "$REPO/vm/doctor.sh"
  [ "$status" -eq 2 ]
  [[ "$output" == *"sudo pilotlight doctor"* ]]
}

@test "without jq it says that it needs it" {
  without jq
  run "$REPO/vm/doctor.sh" doctor
  [ "$status" -eq 2 ]
  [[ "$output" == *"apt-get install jq"* ]]
}

@test "it is found as pilotlight, wherever the root is, and follows the bundle" {
  load_startup
  # shellcheck source=/dev/null
  source "$REPO/vm/steps/doctor.sh"
  cp -r "$REPO/vm/doctor.sh" "$REPO/vm/doctor" "$REPO/vm/startup.sh" "$BUNDLE"
  install_doctor
  install_doctor
  mv "$ROOT" "$ROOT.moved"
  run "$ROOT.moved/usr/local/bin/pilotlight" --help
  [ "$status" -eq 0 ]
  [[ "$output" == "Usage: pilotlight doctor"* ]]
}

@test "where the bundle has no startup.sh, that of this boot does" {
  cp -r "$REPO/vm/doctor.sh" "$REPO/vm/doctor" "$BUNDLE"
  run "$BUNDLE/doctor.sh" --help
  [ "$status" -eq 2 ]
  cp "$REPO/vm/startup.sh" "$ROOT/run/pilotlight/startup.sh"
  run "$BUNDLE/doctor.sh" --help
  [ "$status" -eq 0 ]
}

# --- what it is told to be, its boot, who it is ---

@test "metadata" {
  says metadata ok "workspace main at $HOST_NAME"
  echo bbbb >"$BUNDLE/.sha256"
  says metadata warn "the bundle on this VM is another" "next boot"
  attribute_is_missing page_origin
  attribute_is_missing workspace
  says metadata FAIL "lacks workspace page_origin" "terraform apply"
  metadata_says
  external_ip_is ""
  says metadata FAIL "no external address" "terraform apply"
  LOOK_LIMITS="UNHEARD=jwks_url; load_settings() { :; }" says metadata FAIL "but not to jwks_url" "Ask again"
  metadata_says
  METADATA=http://127.0.0.1:9 says metadata FAIL "http://127.0.0.1:9 does not answer" "169.254.169.254"
  METADATA=http://127.0.0.1:9 says heartbeat warn "not looked at: the metadata does not tell control_url" "See metadata"
}

@test "boot" {
  says boot ok "starting_comfyui: Waiting"
  printf '{"step":"installing","percent":40,"detail":"torch","failed":false}' >"$ROOT/run/pilotlight/boot.json"
  says boot warn "at installing, 40 %" "--follow"
  # A warning is no failure.
  run look boot
  [ "$status" -eq 0 ]
  [ "$(jq --raw-output '.[0].status' <<<"$output")" == warn ]
  printf '{"step":"mounting_disk","percent":0,"detail":"The disk holds xfs.","failed":true}' >"$ROOT/run/pilotlight/boot.json"
  says boot FAIL "failed at mounting_disk: The disk holds xfs." "--boot -1"
  printf '{"step":"starting_comfyui","percent":70,"detail":"Waiting","failed":false}' >"$ROOT/run/pilotlight/boot.json"
  echo "v0.34 could not be installed" >"$ROOT/run/pilotlight/warnings"
  says boot warn "v0.34 could not be installed" "journalctl"
  echo garbage >"$ROOT/run/pilotlight/boot.json"
  says boot FAIL "cannot be read" "cat "
  rm "$ROOT/run/pilotlight/boot.json"
  says boot FAIL "has not said a word" "google-startup-scripts"
}

@test "identity" {
  says identity ok "vm@p.iam.gserviceaccount.com on comfyui-main-a in us-central1-a"
  grep --quiet "identity?audience=http://127.0.0.1:8101&format=full" "$WORLD/metadata/asked"
  identity_token_says '{"aud": "https://elsewhere.example.com"}'
  says identity FAIL "made out to https://elsewhere.example.com" "metadata server"
  identity_token_says '{"google": {"compute_engine": {"instance_name": "other"}}}'
  says identity FAIL "is for other (4711), and this is comfyui-main-a (4711)" "metadata server"
  identity_token_says '{"google": {"compute_engine": {"instance_id": "1"}}}'
  says identity FAIL "is for comfyui-main-a (1), and" "metadata server"
  identity_token_is "no token"
  says identity FAIL "cannot be read" "metadata server"
  identity_token_is ""
  says identity FAIL "no identity token" "service account"
  says heartbeat warn "no identity token" "See identity"
  metadata_says
  identity_token_says '{}'
  answer metadata GET-computeMetadata-v1-instance-service-accounts-default-token 404
  says identity FAIL "no access token" "cloud-platform"
}

# --- the control plane ---

@test "heartbeat: the control plane takes our word" {
  says heartbeat ok "run 7, Ready; answered in"
  answer control POST-vm-heartbeat 200 '{"wish":"Stopped","phase":"Stopped","run":7}'
  says heartbeat warn "this VM is to stop" "Press Start"
}

@test "heartbeat: it says nothing that the control plane would keep" {
  says heartbeat ok "run 7"
  run jq --exit-status --slurp --raw-input 'split("\n")[0] | split(" ")[4:] | join(" ") | fromjson
    == {workspace: "main", run: null, comfyui_up: false, reading: {state: "unknown"}}' "$WORLD/control/asked"
  [ "$status" -eq 0 ]
}

@test "heartbeat: each refusal is told with its code, and has advice of its own" {
  while IFS='|' read -r code problem advice; do
    answer control POST-vm-heartbeat "$code" "${problem:+$(printf '{"code":"%s","detail":"It is so."}' "$problem")}"
    says heartbeat FAIL "answers $code $problem" "$advice"
  done <<'REFUSALS'
401|invalid_identity|whose keys it takes
401|no_identity|Authorization header
403|wrong_caller|control_audience
403|wrong_instance|or the workspace runs on another VM
404|no_such_workspace|compare the metadata key workspace
400|invalid_body|different age
401||roles/run.invoker
403||roles/run.invoker
404||metadata key control_url
302||metadata key control_url
200||metadata key control_url
429|too_many|in trouble
503|unavailable|in trouble
500||in trouble
418|teapot|Cloud Logging
REFUSALS
}

@test "heartbeat: out of reach, each in its own way" {
  while IFS='|' read -r url advice; do
    attribute_is control_url "$url"
    attribute_is control_audience http://127.0.0.1:8101
    says heartbeat FAIL "$url is out of reach" "$advice"
  done <<'UNREACHABLE'
http://nowhere.invalid|control_url
http://127.0.0.1:9|EGRESS
https://127.0.0.1|TLS fails
UNREACHABLE
  attribute_is control_url http://127.0.0.1:8101
  answer control POST-vm-heartbeat hang
  says heartbeat FAIL "out of reach" EGRESS
  answer control POST-vm-heartbeat drop
  says heartbeat FAIL "out of reach" "curl --verbose"
}

@test "clock" {
  says clock ok "synchronised, 0 s off"
  stub timedatectl 'echo no'
  says clock warn "not synchronised" "timesync"
  stub timedatectl 'exit 1'
  says clock warn "does not say" timedatectl
  stub timedatectl 'echo yes'
  clock_of_control_plane "+30 seconds"
  says clock warn "s off the control plane's" chronyc
  clock_of_control_plane "-5 minutes"
  says clock FAIL "s off the control plane's" "No ticket"
  # What is worst is told first.
  stub timedatectl 'echo no'
  says clock FAIL "s off the control plane's; not synchronised" "No ticket"
  stub timedatectl 'echo yes'
  answer control HEAD-healthz 200 "" "Date: soon"
  says clock warn "tells no time" "See heartbeat"
  answer control HEAD-healthz drop
  says clock warn "not compared" "See heartbeat"
}

clock_of_control_plane() {
  answer control HEAD-healthz 200 "" "Date: $(LC_ALL=C date --utc --date "$1" '+%a, %d %b %Y %H:%M:%S GMT')"
}

# --- the way in ---

@test "dns" {
  says dns ok "$HOST_NAME leads to $WELL_KNOWN"
  stub getent 'exit 2'
  says dns FAIL "has no address" "Make an A record: $HOST_NAME to $WELL_KNOWN"
  stub getent '[[ $1 == ahostsv4 ]] && echo "198.51.100.1 STREAM x"'
  says dns FAIL "leads to 198.51.100.1, not to $WELL_KNOWN" "Set its A record"
  stub getent "[[ \$1 == ahostsv4 ]] && printf '198.51.100.1 STREAM x\n$WELL_KNOWN STREAM x\n'"
  says dns warn "leads to 198.51.100.1 too" "other A records"
  stub getent "[[ \$1 == ahostsv4 ]] && echo $WELL_KNOWN || echo 2001:db8::1"
  says dns warn "IPv6 address, 2001:db8::1" "AAAA"
  stub getent 'sleep 60'
  says dns FAIL "has no address" "A record"
  attribute_is_missing domain_name
  says dns ok "no domain; the machine is reached at $WELL_KNOWN"
}

@test "firewall" {
  says firewall ok "ports 80 and 443 of $WELL_KNOWN are reached from the VM itself"
  # Refused by nginx, it was reached.
  answer http GET-healthz 403
  says firewall ok "curl http://$HOST_NAME/healthz"
  answer http GET-healthz hang
  says firewall warn "port 80 of $WELL_KNOWN is not reached from the VM itself" "firewall-rules describe pilotlight-http)"
  answer http GET-healthz 200
  answer https GET-healthz hang
  attribute_is allowed_ip 198.51.100.0/24
  says firewall ok "443 lets in allowed_ip, where the VM is not"
  attribute_is_missing allowed_ip
  external_ip_is 203.0.113.99
  says firewall warn "port 443 of 203.0.113.99 is not reached" \
    "curl https://$HOST_NAME/healthz. If that gets no answer either, the firewall rule pilotlight-https-main does not"
  stub ss 'echo "LISTEN 0 5 127.0.0.1:80 0.0.0.0:*"; echo "LISTEN 0 5 [::]:443 [::]:*"'
  says firewall FAIL "nothing listens on port 80" "systemctl status nginx"
}

@test "gateway: nobody gets in without a ticket" {
  says gateway ok "nobody gets in without a ticket"
  for server in gateway https; do
    for path in - -prompt; do
      answer "$server" "GET$path" 200 "ComfyUI"
      says gateway FAIL "ANYBODY GETS IN" "systemctl stop nginx"
      answer "$server" "GET$path" 403
    done
  done
  says gateway ok "nginx and the gateway refuse"
  answer https GET- 502
  says gateway FAIL "nginx cannot reach what is behind it for https://$HOST_NAME/ (502)" "journalctl"
  answer https GET- 301
  says gateway FAIL "with 301" "configuration"
  answer https GET- drop
  says gateway FAIL "nginx does not answer" "systemctl status nginx"
  rm "$WORLD/gateway/GET-_pilotlight-healthz"
  says gateway FAIL "http://127.0.0.1:8189 gives 404" "pilotlight-gateway"
}

@test "ports" {
  says ports ok "127.0.0.1:8188, 127.0.0.1:8189"
  for open in 0.0.0.0 '*' '[::]' 10.128.0.2; do
    stub ss "printf 'LISTEN 0 5 $open:8188 0.0.0.0:*\nLISTEN 0 5 127.0.0.1:8189 0.0.0.0:*\n'"
    says ports FAIL "port 8188 is open at $open" "Only loopback"
  done
  stub ss "printf 'LISTEN 0 5 [::1]:8188 0.0.0.0:*\nLISTEN 0 5 *:8189 0.0.0.0:*\n'"
  says ports FAIL "port 8189 is open at *" "Only loopback"
  stub ss "printf 'LISTEN 0 5 [::1]:8188 0.0.0.0:*\n'"
  says ports warn "nothing listens on port 8189" "See units"
  without ss
  says ports warn "ss is not installed" iproute2
}

# --- the certificate ---

@test "certificate" {
  says certificate ok "for $HOST_NAME, good for 88 days more, issued by R11, shown by nginx"
  while IFS='|' read -r name expected words advice; do
    show_certificate "$name"
    says certificate "$expected" "$words" "$advice"
  done <<'CERTIFICATES'
due|warn|runs out in 9 days|should have been renewed
short_and_due|warn|runs out in 23 hours|should have been renewed
run_out|FAIL|ran out 3 days ago|not renewed
too_early|FAIL|not valid yet|see clock
elsewhere|FAIL|is not for comfy.example.com but for DNS:other.example.com|systemctl start pilotlight-certificate
staged|warn|(STAGING) Wannabe Watercress R11, is for tests|acme_server
selfmade|FAIL|signed by itself|journalctl
CERTIFICATES
}

@test "certificate: for an address" {
  attribute_is_missing domain_name
  show_certificate for_address
  says certificate ok "for $WELL_KNOWN, good for 4 days more"
  show_certificate good
  says certificate FAIL "is not for $WELL_KNOWN but for DNS:$HOST_NAME" "pilotlight-certificate"
}

@test "certificate: what nginx is told, and shows" {
  show_certificate good due
  says certificate FAIL "its key" "openssl pkey"
  show_certificate good
  cp "$CERTIFICATES/due.pem" "$WORLD/shown.pem"
  cp "$CERTIFICATES/due.key" "$WORLD/shown.key"
  says certificate FAIL "nginx shows another" "systemctl reload nginx"
  : >"$WORLD/shown.pem"
  says certificate FAIL "nginx shows none" "nginx -t"
  show_certificate good
  sed --in-place 's/good.pem/nothing.pem/' "$ROOT/etc/nginx/pilotlight-abcd/tls.conf"
  says certificate FAIL "nothing.pem is missing" "journalctl"
  echo garbage >"$CERTIFICATES/garbage.pem"
  sed --in-place 's/nothing.pem/garbage.pem/' "$ROOT/etc/nginx/pilotlight-abcd/tls.conf"
  says certificate FAIL "garbage.pem holds none" "openssl x509"
  rm "$ROOT/etc/nginx/pilotlight-abcd/tls.conf"
  says certificate FAIL "there is none" "journalctl"
  ln -sf sites/nginx.conf "$ROOT/etc/nginx/nginx.conf"
  says certificate FAIL "nginx is not set up by the boot" "See boot"
  show_certificate good
  stub systemctl 'exit 3'
  says certificate FAIL "the timer that renews it does not run" "systemctl start pilotlight-certificate.timer"
}

# --- the disk ---

@test "disk" {
  says disk ok "60GB of 100GB are free, ComfyUI v0.33.0"
  attribute_is comfyui_version v0.34.0
  says disk warn "ComfyUI v0.33.0 is in use, and the metadata names v0.34.0" "stop the VM"
  attribute_is_missing comfyui_version
  stub df 'case "$*" in *ipcent*) printf "IUse%%\n 95%%\n" ;; *) printf "Avail Size\n9000000000 100000000000\n" ;; esac'
  says disk warn "9.0GB of 100GB are free; 95 % of its inodes" "du --inodes"
  stub df 'case "$*" in *ipcent*) printf "IUse%%\n -\n" ;; *) printf "Avail Size\n4000000000 20000000000\n" ;; esac'
  says disk warn "4.0GB of 20GB are free" "make the disk larger"
  stub df 'exit 1'
  says disk warn "df does not tell" "df "
}

@test "disk: not there, not mounted, another, broken" {
  stub findmnt "echo '$ROOT/dev/sdb1 rw,noatime'"
  says disk ok "$ROOT/dev/sdb1 is clean"
  stub findmnt "echo '$ROOT/dev/sdb ro,noatime'"
  says disk FAIL "mounted read-only" snapshot
  stub findmnt "echo '/dev/sdc rw'"
  says disk FAIL "/dev/sdc is mounted at" "umount"
  stub findmnt 'exit 1'
  says disk FAIL "nothing is mounted at" "Nothing on the disk was changed"
  data_disk_again
  stub dumpe2fs 'echo "Filesystem state:         clean with errors"'
  says disk FAIL "its file system is clean with errors" snapshot
  stub dumpe2fs 'exit 1'
  says disk warn "its state cannot be read" dumpe2fs
  data_disk_again
  rm "$ROOT/mnt/pilotlight/comfyui-current/.complete"
  says disk FAIL "comfyui-current leads to no whole ComfyUI" "press Start"
  rm "$ROOT/mnt/pilotlight/comfyui-current"
  says disk FAIL "comfyui-current leads to no whole ComfyUI" "press Start"
  rm "$DISKS/google-pilotlight-data"
  says disk FAIL "google-pilotlight-data is not there" "not attached"
  attribute_is data_disk models
  says disk FAIL "google-models is not there" "not attached"
}

data_disk_again() {
  rm -r "$DISKS" "$ROOT/mnt/pilotlight"
  mkdir -p "$DISKS" "$ROOT/mnt/pilotlight/comfyui-versions/0.33.0/venv/bin"
  data_disk
}

@test "disk: a real one" {
  image="$BATS_TEST_TMPDIR/image"
  truncate --size 64M "$image"
  mkfs.ext4 -q "$image"
  LOOP="$(losetup --find --show "$image")"
  MOUNTED="$ROOT/mnt/pilotlight"
  ln -sf "$LOOP" "$DISKS/google-pilotlight-data"
  for command in findmnt df dumpe2fs; do rm "$BATS_TEST_TMPDIR/bin/$command"; done
  mount "$LOOP" "$MOUNTED"
  mkdir "$MOUNTED/comfyui-current"
  echo version=v0.33.0 >"$MOUNTED/comfyui-current/.complete"
  says disk warn "are free" "make the disk larger"
  mount -o remount,ro "$MOUNTED"
  says disk FAIL "it is mounted read-only" snapshot
}

# --- the GPU ---

@test "driver" {
  says driver ok "NVIDIA L4, 570.86.15, 23034 MiB"
  grep --quiet "^setpriv --reuid pilotlight .* --check-gpu" "$CALLS"
  gateway_says 'echo "how busy the GPU is cannot be read: no library"; exit 1'
  says driver warn "the gateway cannot read it: how busy the GPU is cannot be read: no library" "keeps nobody's session"
  stub nvidia-smi 'echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."; exit 9'
  says driver FAIL "nvidia-smi fails: NVIDIA-SMI has failed" "Secure Boot"
  stub nvidia-smi 'sleep 60'
  says driver FAIL "does not answer within 2 s" "The GPU hangs"
  no_gpu
  stub nvidia-smi 'exit 9'
  says driver warn "this VM has no GPU" "machine type"
  without nvidia-smi
  says driver warn "no GPU and no driver" "machine type"
  gpu
  rm "$BATS_TEST_TMPDIR/bin/nvidia-smi"
  says driver FAIL "1 GPU(s), and no driver" "image"
}

@test "cuda" {
  says cuda ok "torch 2.11.0 CUDA 12.8 sees the GPU"
  grep --quiet "^setpriv --reuid comfyui .* $ROOT/mnt/pilotlight/comfyui-current/venv/bin/python" "$CALLS"
  torch_says 'echo "torch 2.11.0 CUDA 12.8 False"'
  says cuda FAIL "torch 2.11.0 CUDA 12.8 does not see the GPU" "too old"
  torch_says 'echo "Traceback"; echo "ModuleNotFoundError: No module named torch"; exit 1'
  says cuda FAIL "torch cannot be asked: ModuleNotFoundError" "custom node"
  torch_says 'sleep 60'
  says cuda FAIL "no answer within 2 s" "journalctl"
  no_gpu
  says cuda ok "runs on the processor"
  rm "$ROOT/mnt/pilotlight/comfyui-current/venv/bin/python"
  says cuda FAIL "is not there" "press Start"
}

# --- what runs ---

@test "fence" {
  says fence ok "do not reach the metadata server"
  FENCED="$METADATA" says fence FAIL "ComfyUI's user reaches the metadata server" "nft list ruleset"
  stub setpriv 'exit 1'
  says fence FAIL "nothing can be run as ComfyUI's user" "id comfyui"
  stub nft 'exit 1'
  says fence FAIL "nothing keeps ComfyUI" "systemctl restart comfyui"
}

@test "units" {
  says units ok "comfyui, pilotlight-gateway, nginx, pilotlight-poweroff.path"
  for unit in comfyui.service pilotlight-gateway.service nginx.service pilotlight-poweroff.path; do
    stub systemctl "case \"\$*\" in show*$unit) printf 'ActiveState=activating\nSubState=auto-restart\nNRestarts=4\n' ;; show*) echo ActiveState=active ;; esac"
    says units FAIL "$unit is activating (auto-restart)" "journalctl --boot --lines 50 --unit $unit"
  done
  stub systemctl 'case "$*" in show*comfyui*) printf "ActiveState=active\nSubState=running\nNRestarts=12\n" ;; show*) echo ActiveState=active ;; esac'
  says units warn "comfyui.service has been restarted 12 times" "See why it fell"
  stub systemctl 'case "$*" in show*) echo ActiveState=active ;; list*) printf "apt.service loaded failed failed X\nb.service loaded failed failed Y\n" ;; esac'
  says units warn "failed: apt.service b.service" "journalctl"
  stub systemctl 'sleep 60'
}

@test "comfyui" {
  says comfyui ok "0.33.0 on cuda:0 NVIDIA L4, 22 of 23 GB free, 2 prompts in its queue"
  answer comfyui GET-system_stats 200 '{"system":{"comfyui_version":"0.33.0"},"devices":[{"name":"cpu","type":"cpu"}]}'
  says comfyui FAIL "runs on the processor, though there is a GPU" "cuda"
  no_gpu
  says comfyui ok "0.33.0 on cpu, 2 prompts"
  answer comfyui GET-system_stats 500
  says comfyui FAIL "/system_stats gives 500" "journalctl"
  answer comfyui GET-prompt hang
  says comfyui FAIL "/prompt gives no answer" "load a model"
}
