#!/usr/bin/env bats
# The startup script itself: what it reads, what it fetches, what it tells.

bats_require_minimum_version 1.5.0

setup() {
  load support
  setup_root
  WORLD="$BATS_TEST_TMPDIR/world"
  mkdir -p "$WORLD/attributes" "$WORLD/files"
  coproc SERVER { exec python3 "$BATS_TEST_DIRNAME/startup_world.py" "$WORLD" 3>&-; }
  SERVER_PROCESS=$SERVER_PID
  local port
  read -r -t 10 port <&"${SERVER[0]}"
  export METADATA="http://127.0.0.1:$port" STORAGE="http://127.0.0.1:$port" HERE="http://127.0.0.1:$port"
  stub systemctl 'exit 3'
  stub systemd-run 'exit 0'
  # Curl itself, with what it was called with.
  local curl
  curl="$(PATH="${PATH#*:}" command -v curl)"
  stub curl "exec $curl \"\$@\""
  load_startup
  METADATA_RETRIES=1
  sleep() { :; }
  WORKSPACE=main CONTROL_URL="$HERE" CONTROL_AUDIENCE="$HERE"
}

teardown() {
  kill "$SERVER_PROCESS" 2>/dev/null || true
}

attributes() {
  local pair
  for pair; do
    printf '%s' "${pair#*=}" >"$WORLD/attributes/${pair%%=*}"
  done
}

# All that a VM must be told.
usual_attributes() {
  attributes workspace=main control_url="$HERE/" jwks_url="$HERE/keys" page_origin="https://page" \
    bundle_url="$HERE/files/bundle" bundle_sha256="$(printf '%064d' 0)" external-ip=192.0.2.7
}

# file NAME: something that can be fetched; its digest is left in DIGEST.
file() {
  head --bytes 200000 /dev/urandom >"$WORLD/files/$1"
  DIGEST="$(sha256sum <"$WORLD/files/$1" | cut -d ' ' -f 1)"
}

same() {
  cmp "$WORLD/files/$1" "$2"
}

requests() {
  grep --count -- "$1" "$WORLD/requests" || true
}

# --- settings ---

@test "what the metadata says is read, and what it does not say is empty" {
  usual_attributes
  attributes domain_name=comfy.example allowed_ip="192.0.2.0/24 2001:db8::/32" comfyui_arguments=$'--fast "a b"\nc'
  read_settings
  [[ "$WORKSPACE" == main && "$CONTROL_URL" == "$HERE" && "$CONTROL_AUDIENCE" == "$HERE" ]]
  [[ "$HOST" == comfy.example && "$EXTERNAL_IP" == 192.0.2.7 ]]
  [[ "$ALLOWED_IP" == "192.0.2.0/24 2001:db8::/32" && "$COMFYUI_ARGUMENTS" == $'--fast "a b"\nc' && -z "$MANIFEST" ]]
}

@test "without a domain the address is the host" {
  usual_attributes
  read_settings
  [[ "$HOST" == 192.0.2.7 ]]
}

@test "all that is missing is named at once" {
  usual_attributes
  rm "$WORLD/attributes/workspace" "$WORLD/attributes/bundle_url"
  run read_settings
  [[ "$status" == 1 && "$(told .failed)" == true ]]
  [[ "$(told .detail)" == "The metadata of this VM lacks: workspace bundle_url. Run terraform apply." ]]
}

@test "a VM without domain and address says so" {
  usual_attributes
  rm "$WORLD/attributes/external-ip"
  run read_settings
  [[ "$status" == 1 && "$(told .detail)" == *"neither a domain nor an external address"* ]]
}

@test "a metadata server that is deaf for a moment is asked again, for an allow-list must not go unheard" {
  usual_attributes
  attributes allowed_ip=192.0.2.0/24
  echo 1 >"$WORLD/deaf"
  read_settings
  [[ "$ALLOWED_IP" == 192.0.2.0/24 && "$WORKSPACE" == main ]]
}

@test "a metadata server that answers nothing but errors ends the boot" {
  usual_attributes
  METADATA=http://127.0.0.1:1
  METADATA_RETRIES=0
  run read_settings
  [[ "$status" == 1 && "$(told .detail)" == *"metadata server does not answer (asked for workspace)"* ]]
}

# --- what is told ---

@test "every word is JSON, whatever is in it" {
  local words=$'a "quote", a \\ and \\n, a\ttab,\r\nüñí €😀, \x01\x1b[31m, \x7f'
  report installing 40 "$words"
  [[ "$(told .detail)" == $'a "quote", a \\ and \\n, a tab, \nüñí €😀, [31m, \x7f' ]]
  [[ "$(told '[.step, .percent, .failed] | tojson')" == '["installing",40,false]' ]]
  report installing 41 ""
  [[ "$(told .detail)" == "" ]]
}

@test "half a letter at the cut is left out" {
  local LC_ALL=C
  WORDS_MAX=5
  run fail installing "abcdü"
  [[ "$(told .detail)" == "abcd" ]]
  printf 'not \xff\xfe text' >"$BATS_TEST_TMPDIR/log"
  WORDS_MAX=900
  run fail installing "Wrong." "$BATS_TEST_TMPDIR/log"
  [[ "$(told .detail)" == $'Wrong.\nnot  text' ]]
  tail --lines 1 "$WORLD/heartbeats" | iconv --from-code UTF-8 --to-code UTF-8 | jq --exit-status .boot.failed
}

@test "before the gateway speaks, the boot asks for its run and tells under it" {
  report booting 22 'The "machine" is up'
  [[ "$(wc --lines <"$WORLD/heartbeats")" == 2 ]]
  [[ "$(jq --slurp --compact-output 'map([.workspace, .run, .comfyui_up, .reading.state, .boot.step, .boot.percent])' \
    "$WORLD/heartbeats")" == '[["main",null,false,"unknown","booting",22],["main",7,false,"unknown","booting",22]]' ]]
  [[ "$(jq --raw-output .boot.detail "$WORLD/heartbeats" | sort --unique)" == 'The "machine" is up' ]]
  # From then on once each.
  report booting 24 "more"
  [[ "$(wc --lines <"$WORLD/heartbeats")" == 3 ]]
  [[ "$(tail --lines 1 "$WORLD/heartbeats" | jq --compact-output '[.run, .boot.percent]')" == '[7,24]' ]]
  grep --quiet "GET /computeMetadata/v1/instance/service-accounts/default/identity?audience=$HERE&format=full" \
    "$WORLD/requests"
}

@test "once the gateway speaks, the boot leaves the telling to it" {
  stub systemctl 'exit 0'
  report installing 40 "more"
  [[ ! -e "$WORLD/heartbeats" && "$(told .percent)" == 40 ]]
}

@test "a control plane that cannot be reached does not end the boot" {
  CONTROL_URL=http://127.0.0.1:1
  report booting 22 "up"
  [[ "$(told .percent)" == 22 ]]
}

@test "a failure tells the last lines of the log, and plans the machine's end" {
  seq 1 100 >"$BATS_TEST_TMPDIR/log"
  run fail installing "It did not work." "$BATS_TEST_TMPDIR/log"
  [[ "$status" == 1 && "$(told .failed)" == true ]]
  [[ "$(told .detail)" == $'It did not work.\n93\n94\n95\n96\n97\n98\n99\n100' ]]
  [[ "$(tail --lines 1 "$WORLD/heartbeats" | jq .boot.failed)" == true ]]
  grep --quiet "systemd-run .*--on-active=900 systemctl poweroff" "$CALLS"
}

@test "a failure with a long log tells the words, and the log's end" {
  { head --bytes 5000 /dev/zero | tr '\0' x && printf 'the cause'; } >"$BATS_TEST_TMPDIR/log"
  run fail installing "It did not work." "$BATS_TEST_TMPDIR/log"
  local detail
  detail="$(told .detail)"
  ((${#detail} <= 900))
  [[ "$detail" == "It did not work."*"the cause" ]]
}

@test "a failure whose words alone are too long is cut" {
  run fail installing "$(head --bytes 5000 /dev/zero | tr '\0' x)" "$REPO/vm/startup.sh"
  [[ "$(told .detail | wc --chars)" == 901 ]]
}

@test "what is tried and fails ends the boot with its own words" {
  run try installing "Not installed." bash -c 'echo out; echo err >&2; exit 9'
  [[ "$status" == 1 && "$(told .detail)" == $'Not installed.\nout\nerr' ]]
  try installing "Not installed." true
}

# --- what is fetched ---

@test "a file is fetched, once" {
  file model
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/some/where/model"
  same model "$ROOT/some/where/model"
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/some/where/model"
  [[ "$(requests "GET /files/model")" == 1 && "$(ls -A "$ROOT/some/where")" == model ]]
}

@test "a transfer that was cut is gone on with, not begun anew" {
  file model
  echo 2 >"$WORLD/cut"
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/model"
  same model "$ROOT/model"
  [[ "$(requests "GET /files/model")" == 3 ]]
  [[ "$(requests "GET /files/model bytes=100000-")" == 1 && "$(requests "GET /files/model bytes=150000-")" == 1 ]]
}

@test "what an earlier boot has left is gone on with" {
  file model
  head --bytes 70000 "$WORLD/files/model" >"$ROOT/model.part"
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/model"
  same model "$ROOT/model"
  [[ "$(requests "GET /files/model bytes=70000-")" == 1 ]]
}

@test "what is all there already, but for its name, needs no second transfer" {
  file model
  cp "$WORLD/files/model" "$ROOT/model.part"
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/model"
  same model "$ROOT/model"
  [[ "$(requests "GET /files/model -")" == 0 ]]
}

@test "a part of something else is thrown away, and the right thing fetched" {
  file model
  head --bytes 300000 /dev/zero >"$ROOT/model.part"
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/model"
  same model "$ROOT/model"
  rm "$ROOT/model"
  head --bytes 1000 /dev/zero >"$ROOT/model.part"
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/model"
  same model "$ROOT/model"
}

@test "a file of another digest is never put in place, and never kept" {
  file model
  run fetch "$HERE/files/model" "$(printf '%064d' 0)" "$ROOT/model"
  [[ "$status" == 1 && "$output" == *"the digest is $DIGEST, expected 0000"* ]]
  [[ ! -e "$ROOT/model" && ! -e "$ROOT/model.part" ]]
  [[ "$(requests "GET /files/model")" == 1 ]]
}

@test "a file that is not there is told at once" {
  run fetch "$HERE/files/none" "" "$ROOT/none"
  [[ "$status" == 1 && "$output" == *"fetching $HERE/files/none: refused with HTTP 404"* ]]
  [[ "$(requests "GET /files/none")" == 1 && ! -e "$ROOT/none" ]]
}

@test "a server that is busy is asked again, but not for ever" {
  file model
  echo 2 >"$WORLD/busy"
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/model"
  same model "$ROOT/model"
  echo 99 >"$WORLD/busy"
  : >"$WORLD/requests"
  run fetch "$HERE/files/model" "$DIGEST" "$ROOT/other"
  [[ "$status" == 1 && "$(requests "GET /files/model")" == 5 && "$output" == *"try 5 of 5 ended with curl's 22 and HTTP 503"* ]]
}

@test "a server that is not there is tried again, but not for ever" {
  run fetch http://127.0.0.1:1/model "" "$ROOT/model"
  [[ "$status" == 1 && "$(grep --count "^curl " "$CALLS")" == 5 ]]
}

@test "a bucket is read with the VM's own token, which no command line and no log shows" {
  file "a b+ü.safetensors"
  mv "$WORLD/files/a b+ü.safetensors" "$WORLD/files/a%20b%2B%C3%BC.safetensors"
  run fetch "gs://bucket/models/a b+ü.safetensors" "$DIGEST" "$ROOT/model"
  [[ "$status" == 0 ]]
  same "a%20b%2B%C3%BC.safetensors" "$ROOT/model"
  grep --quiet --fixed-strings \
    "GET /storage/v1/b/bucket/o/models%2Fa%20b%2B%C3%BC.safetensors?alt=media - Bearer secret-of-storage" "$WORLD/requests"
  [[ "$(cat "$CALLS")$output" != *secret-of-storage* ]]
}

@test "a bucket that refuses the VM is told at once" {
  access_token() { echo another; }
  run fetch gs://bucket/model "" "$ROOT/model"
  [[ "$status" == 1 && "$output" == *"refused with HTTP 401"* && "$(requests "GET /storage")" == 1 ]]
}

@test "the token goes to nobody but storage" {
  file model
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/model"
  [[ "$(requests "secret-of-storage")" == 0 ]]
}

@test "a path is copied" {
  file model
  fetch "$WORLD/files/model" "$DIGEST" "$ROOT/model"
  same model "$ROOT/model"
}

@test "who waits is told how much is there" {
  file model
  note() { echo "$1" >>"$BATS_TEST_TMPDIR/noted"; }
  fetch "$HERE/files/model" "$DIGEST" "$ROOT/model" note
  [[ "$(tail --lines 1 "$BATS_TEST_TMPDIR/noted")" =~ ^[0-9]+$ ]]
}

@test "what follows the question mark of an address is in no log" {
  run fetch "$HERE/files/none?signature=secret" "" "$ROOT/none"
  [[ "$output" != *secret* ]]
}

# --- the bundle ---

# bundle [STEPS]: a bundle with one file of steps, as a VM fetches it.
bundle() {
  mkdir -p "$BATS_TEST_TMPDIR/packed/steps"
  echo "${1:-step_is_loaded() { echo yes; \}}" >"$BATS_TEST_TMPDIR/packed/steps/step.sh"
  tar --create --gzip --file "$WORLD/files/bundle" --directory "$BATS_TEST_TMPDIR/packed" .
  BUNDLE_URL="$HERE/files/bundle"
  BUNDLE_SHA256="$(sha256sum <"$WORLD/files/bundle" | cut -d ' ' -f 1)"
}

@test "the bundle is fetched, unpacked and loaded, once" {
  bundle
  get_bundle
  load_steps
  [[ "$(step_is_loaded)" == yes ]]
  get_bundle
  [[ "$(requests "GET /files/bundle")" == 1 && ! -e "$ROOT/var/cache/pilotlight/$BUNDLE_SHA256.tar.gz" ]]
}

@test "a bundle of another digest is never unpacked" {
  bundle
  BUNDLE_SHA256="$(printf '%064d' 1)"
  run get_bundle
  [[ "$status" == 1 && "$(told .failed)" == true ]]
  [[ "$(told .detail)" == *"cannot be had from $HERE/files/bundle"*"expected 0000"* ]]
  [[ ! -e "$ROOT/opt/pilotlight/bundle" && ! -e "$ROOT/opt/pilotlight/bundle.new" ]]
}

@test "another bundle replaces the one of the image whole" {
  mkdir -p "$ROOT/opt/pilotlight/bundle/steps" "$ROOT/opt/pilotlight/bundle.new"
  echo old >"$ROOT/opt/pilotlight/bundle/.sha256"
  touch "$ROOT/opt/pilotlight/bundle/steps/old.sh" "$ROOT/opt/pilotlight/bundle.new/half"
  bundle
  get_bundle
  [[ "$(ls "$ROOT/opt/pilotlight/bundle/steps")" == step.sh && ! -e "$ROOT/opt/pilotlight/bundle/half" ]]
}

@test "a bundle that is no archive ends the boot, and the one before stays" {
  mkdir -p "$ROOT/opt/pilotlight/bundle/steps"
  echo old >"$ROOT/opt/pilotlight/bundle/.sha256"
  bundle
  echo "no archive" >"$WORLD/files/bundle"
  BUNDLE_SHA256="$(sha256sum <"$WORLD/files/bundle" | cut -d ' ' -f 1)"
  run get_bundle
  [[ "$status" == 1 && "$(told .detail)" == *"cannot be unpacked"* && "$(cat "$ROOT/opt/pilotlight/bundle/.sha256")" == old ]]
}

# --- all of it ---

@test "a whole boot takes the steps in their order and tells of each" {
  usual_attributes
  local step steps=""
  for step in install_doctor install_packages start_gateway mount_data_disk install_comfyui fetch_manifest start_comfyui \
    get_certificate start_nginx; do
    steps+="$step() { echo $step >>'$BATS_TEST_TMPDIR/taken'; }"$'\n'
  done
  bundle "$steps"
  attributes bundle_url="$BUNDLE_URL" bundle_sha256="$BUNDLE_SHA256"
  run bash "$REPO/vm/startup.sh"
  [[ "$status" == 0 ]]
  [[ "$(tr '\n' ' ' <"$BATS_TEST_TMPDIR/taken")" == "install_doctor install_packages start_gateway mount_data_disk install_comfyui \
fetch_manifest start_comfyui get_certificate start_nginx " ]]
  [[ "$(told '[.step, .percent] | tojson')" == '["starting_comfyui",70]' ]]
}

@test "a step that fails ends the boot, and none follows" {
  usual_attributes
  # shellcheck disable=SC2016 # For the boot's shell.
  bundle 'install_doctor() { :; }; install_packages() { fail booting "No packages."; }; start_gateway() { touch "$ROOT/went-on"; }'
  attributes bundle_url="$BUNDLE_URL" bundle_sha256="$BUNDLE_SHA256"
  run bash "$REPO/vm/startup.sh"
  [[ "$status" == 1 && "$(told .detail)" == "No packages." && ! -e "$ROOT/went-on" ]]
}

@test "a command that nobody expected to fail ends the boot with the step it was in, and its own words" {
  usual_attributes
  # shellcheck disable=SC2016 # For the boot's shell.
  bundle 'install_doctor() { :; }; install_packages() { report installing 35 "Installing"; grep --quiet nothing /dev/null; touch "$ROOT/went-on"; }'
  attributes bundle_url="$BUNDLE_URL" bundle_sha256="$BUNDLE_SHA256"
  run bash "$REPO/vm/startup.sh"
  [[ "$status" == 1 && ! -e "$ROOT/went-on" ]]
  [[ "$(told .failed)" == true && "$(told .step)" == installing ]]
  [[ "$(told .detail)" == *"nobody expected: grep --quiet nothing /dev/null (in install_packages, status 1)"* ]]
}

@test "a failure before the gateway speaks is told until the control plane has seen this VM run" {
  TELL_TRIES=9
  echo 3 >"$WORLD/placing"
  run fail booting "No driver."
  # One asks for the run; two more are answered as if the VM were not there yet, and one is taken.
  [[ "$status" == 1 && "$(jq --slurp 'map(.boot.failed) | tojson' "$WORLD/heartbeats" | jq --raw-output .)" == '[true,true,true,true]' ]]
}

@test "a failure that nobody takes is told a bounded number of times" {
  TELL_TRIES=4
  echo 99 >"$WORLD/placing"
  run fail booting "No driver."
  [[ "$status" == 1 && "$(wc --lines <"$WORLD/heartbeats")" == 6 ]]
}
