#!/usr/bin/env bats
# The VM image: no builder is left behind, and no image is made of one that is not well. gcloud is a stand-in that notes
# its commands, and that fails where it is told to.

bats_require_minimum_version 1.5.0

setup() {
  load support
  setup_root
  export DIGEST=5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef
  export NOW=20261126-160000 ASK_EVERY_S=0
  # What the stand-in does: fails at this command; tells this result, after so many questions; is in this state.
  export FAILS_AT=none TELLS="ok driver=580.95.05 certbot=5.8.0 comfyui=v0.33.0 python=3.12.3" ASKED_BEFORE=1 STATE_OF_VM=RUNNING
  cat >"$BATS_TEST_TMPDIR/bin/gcloud" <<'STAND_IN'
#!/usr/bin/env bash
printf '%q ' gcloud "$@" >>"$CALLS"
echo >>"$CALLS"
[[ "$*" != *" $FAILS_AT"* ]] || {
  echo "ERROR: refused" >&2
  exit 1
}
case "$*" in
  *"get-guest-attributes"*"pilotlight/result"*)
    (($(grep --count pilotlight/result "$CALLS") > ASKED_BEFORE)) && [[ -n "$TELLS" ]] || exit 1
    echo "$TELLS"
    ;;
  *"get-guest-attributes"*) echo "installing things" ;;
  *"instances describe"*) echo "$STATE_OF_VM" ;;
  *"get-serial-port-output"*) echo "the last words of the builder" ;;
  *"instances list"*) [[ "$FAILS_AT" == "compute instances create"* ]] || echo pilotlight-bake-20261126-160000 ;;
esac
STAND_IN
  chmod +x "$BATS_TEST_TMPDIR/bin/gcloud"
  TOLD=(--zone us-central1-a --bundle-url gs://bucket/vm/bundle.tar.gz --bundle-sha256 "$DIGEST")
}

bake() {
  run --separate-stderr "$REPO/vm/bake/bake.sh" "${TOLD[@]}" "$@"
}

# fails WORDS ARGUMENT...
fails() {
  bake "${@:2}"
  [[ "$status" == 1 && "$stderr" == *"$1"* ]] || {
    echo "ended with $status: $stderr" >&2
    return 1
  }
}

# The commands, without what most have in common.
commands() {
  sed --expression 's/^gcloud --quiet \(--project [a-z]* \)\?compute //' --expression 's/ $//' "$CALLS"
}

count() {
  commands | grep --count -- "$1" || true
}

@test "a builder is made, asked, stopped, made an image of, and deleted" {
  bake
  [[ "$status" == 0 ]]
  local expected
  # shellcheck disable=SC1003 # As printf %q quotes.
  expected="instances create pilotlight-bake-20261126-160000 --zone us-central1-a --machine-type g2-standard-4 \
--image-family ubuntu-accelerator-2404-amd64-with-nvidia-580 --image-project ubuntu-os-accelerator-images \
--boot-disk-size 50GB --boot-disk-type pd-balanced --maintenance-policy TERMINATE --no-restart-on-failure \
--max-run-duration 5400s --instance-termination-action DELETE --scopes cloud-platform --labels pilotlight=builder \
--metadata \\^\\;\\^enable-guest-attributes=TRUE\\;bundle_url=gs://bucket/vm/bundle.tar.gz\\;bundle_sha256=$DIGEST \
--metadata-from-file startup-script=$REPO/vm/bake/provision.sh\\,startup-library=$REPO/vm/bake/../startup.sh
instances get-guest-attributes pilotlight-bake-20261126-160000 --zone us-central1-a --query-path pilotlight/result --format value\\(value\\)
instances describe pilotlight-bake-20261126-160000 --zone us-central1-a --format value\\(status\\)
instances get-guest-attributes pilotlight-bake-20261126-160000 --zone us-central1-a --query-path pilotlight/progress --format value\\(value\\)
instances get-guest-attributes pilotlight-bake-20261126-160000 --zone us-central1-a --query-path pilotlight/result --format value\\(value\\)
instances stop pilotlight-bake-20261126-160000 --zone us-central1-a
images create pilotlight-vm-20261126-160000 --source-disk pilotlight-bake-20261126-160000 --source-disk-zone us-central1-a \
--family pilotlight-vm --labels pilotlight=vm\\,bundle=${DIGEST:0:40}\\,comfyui=v0-33-0\\,driver=580-95-05 \
--description Pilotlight\\'s\\ VM:\\ bundle\\ $DIGEST\\;\\ driver=580.95.05\\ certbot=5.8.0\\ comfyui=v0.33.0\\ python=3.12.3
instances delete pilotlight-bake-20261126-160000 --zone us-central1-a"
  diff <(echo "$expected") <(commands)
  [[ "$stderr" == *"installing things"*"made the image pilotlight-vm-20261126-160000"* ]]
}

@test "a dry run prints the commands that would be run, and runs none" {
  bake --dry-run --project some
  [[ "$status" == 0 && ! -s "$CALLS" ]]
  [[ "$(cut --delimiter ' ' --fields 6,7 <<<"$output" | tr '\n' ',')" == \
    "instances create,instances get-guest-attributes,instances stop,images create,instances delete," ]]
  local line
  while read -r line; do
    [[ "$line" == "gcloud --quiet --project some compute "* ]]
  done <<<"$output"
}

@test "whichever command fails, the builder is deleted, and no image is made before all is well" {
  local command
  for command in "compute instances create" "compute instances stop" "compute images create"; do
    : >"$CALLS"
    FAILS_AT="$command"
    bake
    [[ "$status" == 1 ]] || {
      echo "$command: $status $stderr" >&2
      return 1
    }
    [[ "$(commands | tail --lines 1)" == "instances delete pilotlight-bake-20261126-160000 --zone us-central1-a" ]]
    [[ "$command" == "compute images create" || "$(count 'images create')" == 0 ]]
  done
}

@test "a builder whose check has failed makes no image; its words and its serial port are told" {
  TELLS="failed: The image has no NVIDIA driver"
  fails "The image has no NVIDIA driver"
  [[ "$stderr" == *"the last words of the builder"*"No image was made"* ]]
  [[ "$(count 'images create')" == 0 && "$(count 'instances stop')" == 0 && "$(count 'instances delete')" == 1 ]]
}

@test "a builder that stops by itself is not waited for" {
  TELLS=""
  STATE_OF_VM=TERMINATED
  fails "the builder has stopped before it was done"
  [[ "$(count 'images create')" == 0 && "$(count 'instances delete')" == 1 ]]
}

@test "a builder that never tells anything is given up" {
  TELLS=""
  ASK_EVERY_S=70
  # A minute of waiting is one in no time.
  sed 's/SECONDS - begun < WITHIN \* 60/SECONDS - begun < WITHIN * 2/' "$REPO/vm/bake/bake.sh" >"$BATS_TEST_TMPDIR/bake.sh"
  ASK_EVERY_S=0.2
  run --separate-stderr bash "$BATS_TEST_TMPDIR/bake.sh" "${TOLD[@]}" --within 1
  [[ "$status" == 1 && "$stderr" == *"longer than 1 minutes"* && "$(count 'instances delete')" == 1 ]]
}

@test "a question that is not answered is asked again" {
  ASKED_BEFORE=5
  bake
  [[ "$status" == 0 && "$(count pilotlight/result)" == 6 ]]
}

@test "a state that cannot be asked for ends nothing" {
  FAILS_AT="compute instances describe"
  ASKED_BEFORE=3
  bake
  [[ "$status" == 0 ]]
}

@test "who interrupts it leaves no builder" {
  TELLS=""
  ASK_EVERY_S=0.2
  "$REPO/vm/bake/bake.sh" "${TOLD[@]}" 2>/dev/null 3>&- &
  local pid=$! looked
  for looked in {1..100}; do
    [[ "$(count 'instances describe')" == 0 ]] || break
    sleep 0.1
  done
  kill -TERM "$pid"
  wait "$pid" && return 1
  [[ "$(count 'instances delete')" == 1 && "$(count 'images create')" == 0 ]]
}

@test "a builder that cannot be deleted is told, with the command" {
  FAILS_AT="compute instances delete"
  fails "gcloud compute instances delete pilotlight-bake-20261126-160000 --zone us-central1-a"
  [[ "$(count 'instances delete')" == 3 ]]
}

@test "a builder that was never made needs no deletion" {
  # It refuses both: the zone is dry, and there is nothing to delete.
  sed --in-place 's/^\[\[ "\$\*" != .*/[[ "$*" != *" instances create"* \&\& "$*" != *" instances delete"* ]] || {/' \
    "$BATS_TEST_TMPDIR/bin/gcloud"
  FAILS_AT="compute instances create"
  fails "could not be made. Is there a GPU to be had in us-central1-a"
  [[ "$stderr" != *"may still be there"* ]]
}

@test "without a GPU another machine is taken, and the driver is not run" {
  bake --no-gpu
  [[ "$(commands | head --lines 1)" == *"--machine-type e2-standard-4"*"bake_gpu=false"* ]]
}

@test "what is asked for reaches the builder" {
  bake --project some --machine-type n1-standard-4 --accelerator type=nvidia-tesla-t4,count=1 --disk-gb 80 \
    --image-family family --image-project images --family mine --name mine-1 --service-account sa@p --subnet net \
    --comfyui-version v0.38.0 --comfyui-constraints "torch==2.11.0 torchvision==0.26.0" --within 90
  [[ "$status" == 0 ]]
  local created
  created="$(commands | head --lines 1)"
  [[ "$created" == *"--machine-type n1-standard-4 --image-family family --image-project images --boot-disk-size 80GB"* ]]
  [[ "$created" == *"--max-run-duration 7200s"* ]]
  [[ "$created" == *"comfyui_version=v0.38.0\\;comfyui_constraints=torch==2.11.0\\ torchvision==0.26.0"* ]]
  [[ "$created" == *"--accelerator type=nvidia-tesla-t4\\,count=1 --service-account sa@p --subnet net"* ]]
  [[ "$(count 'images create mine-1 .*--family mine ')" == 1 ]]
  [[ "$(grep --count -- '--project some' "$CALLS")" == "$(wc --lines <"$CALLS")" ]]
}

@test "ComfyUI can be left out" {
  TELLS="ok driver=580 certbot=5.8.0 comfyui=none python=3.12.3"
  bake --no-comfyui
  [[ "$status" == 0 && "$(commands | head --lines 1)" == *"bake_comfyui=false"* ]]
}

@test "wrong options are named before anything is made" {
  fails "--zone: found mars; expected a zone such as us-central1-a" --zone mars
  fails "--bundle-sha256: found abc; expected 64 small hexadecimal digits" --bundle-sha256 abc
  fails "--bundle-url: found /tmp/x; expected gs://" --bundle-url /tmp/x
  fails "--disk-gb: found 10; expected 30 or more" --disk-gb 10
  fails "--within: found soon; expected a number of minutes" --within soon
  fails "--family: found Mine; expected small letters" --family Mine
  fails "--name: found nothing; expected a value" --name
  fails "--name: found --dry-run; expected a value" --name --dry-run
  fails "found --fast; expected an option of --help" --fast
  fails "found --no-gpu and --accelerator" --no-gpu --accelerator type=nvidia-tesla-t4,count=1
  fails "found --no-comfyui and what ComfyUI to install" --no-comfyui --comfyui-version v1
  fails "a semicolon" --comfyui-constraints "a;b"
  TOLD=()
  fails "--zone: found nothing"
  [[ ! -s "$CALLS" ]]
}

@test "its help names every option" {
  run "$REPO/vm/bake/bake.sh" --help
  [[ "$status" == 0 ]]
  local option
  for option in $(grep --only-matching --extended-regexp -- '^ +--[a-z-]+( \||\))|\| --[a-z-]+' "$REPO/vm/bake/bake.sh" | tr --delete ' |)'); do
    [[ "$option" != --help ]] || continue
    [[ "$output" == *"$option"* ]] || {
      echo "$option is not in the help" >&2
      return 1
    }
  done
}

# --- on the builder ---

# A builder: its metadata are files, its guest attributes become files.
builder() {
  local step
  export ATTRIBUTES="$BATS_TEST_TMPDIR/attributes" GUEST="$BATS_TEST_TMPDIR/guest"
  mkdir -p "$ATTRIBUTES" "$GUEST" "$ROOT/opt/pilotlight/bundle/steps" "$ROOT/opt/pilotlight/bundle/bin" "$ROOT/etc/ssh" \
    "$ROOT/opt/pilotlight/certbot/bin" "$ROOT/var/lib/apt/lists" "$ROOT/var/lib/dbus"
  cp "$REPO/vm/startup.sh" "$ATTRIBUTES/startup-library"
  printf '%s' "$DIGEST" | tee "$ATTRIBUTES/bundle_sha256" >"$ROOT/opt/pilotlight/bundle/.sha256"
  echo "an id" >"$ROOT/etc/machine-id"
  touch "$ROOT/etc/ssh/ssh_host_rsa_key"
  stub curl 'key="${@: -1}"; key="${key##*/}"
    if [[ "$*" == *"--request PUT"* ]]; then
      while [[ "$1" != --data-binary ]]; do shift; done
      printf "%s\n" "$2" >>"$GUEST/$key"
    else
      cat "$ATTRIBUTES/$key" 2>/dev/null || exit 22
    fi'
  stub nvidia-smi 'echo 580.95.05'
  stub modinfo 'echo 580.1'
  stub apt-get 'exit 0'
  stub ss 'exit 0'
  printf '#!/bin/sh\necho certbot 5.8.0\n' >"$ROOT/opt/pilotlight/certbot/bin/certbot"
  printf '#!/bin/sh\nexit 0\n' >"$ROOT/opt/pilotlight/bundle/bin/gateway"
  chmod +x "$ROOT/opt/pilotlight/certbot/bin/certbot" "$ROOT/opt/pilotlight/bundle/bin/gateway"
  cp "$REPO/vm/steps/disk.sh" "$REPO/vm/steps/packages.sh" "$ROOT/opt/pilotlight/bundle/steps/"
  cat >"$ROOT/opt/pilotlight/bundle/steps/stand-ins.sh" <<'STEPS'
DISK_OWNER=games
VERSIONS="$DATA/comfyui-versions"
install_packages() { report booting 25 "Installing packages"; }
missing_packages() { true; }
install_comfyui() {
  mkdir -p "$VERSIONS/v0.33.0" "$DATA/comfyui/models"
  touch "$VERSIONS/v0.33.0/.complete"
  ln -s "$VERSIONS/v0.33.0" "$DATA/comfyui-current"
}
STEPS
}

provision() {
  run --separate-stderr "$REPO/vm/bake/provision.sh"
}

@test "the builder installs everything, tells its versions, and leaves nothing of its own" {
  builder
  provision
  [[ "$status" == 0 ]] || { echo "$stderr" >&2; return 1; }
  [[ "$(cat "$GUEST/result")" == "ok driver=580.95.05 certbot=5.8.0 comfyui=v0.33.0 python=3."* ]]
  [[ "$(cat "$GUEST/progress")" == *"Installing packages"* ]]
  # Where comfyui.sh looks for what an image brings; and nothing that belongs on a data disk.
  [[ -f "$ROOT/opt/pilotlight/comfyui-versions/v0.33.0/.complete" ]]
  [[ ! -e "$ROOT/opt/pilotlight/comfyui" && ! -L "$ROOT/opt/pilotlight/comfyui-current" && ! -e "$ROOT/mnt/pilotlight" ]]
  [[ -f "$ROOT/etc/machine-id" && ! -s "$ROOT/etc/machine-id" && ! -e "$ROOT/etc/ssh/ssh_host_rsa_key" ]]
}

@test "a step that fails on the builder is told as the result, with its last words" {
  builder
  echo 'install_packages() { try booting "No packages." sh -c "echo no route; exit 1"; }' \
    >>"$ROOT/opt/pilotlight/bundle/steps/stand-ins.sh"
  provision
  [[ "$status" == 1 && "$(cat "$GUEST/result")" == "failed: No packages. no route"* ]]
}

@test "a result that is not well is told as such" {
  builder
  stub nvidia-smi 'exit 9'
  provision
  [[ "$status" == 1 && "$(cat "$GUEST/result")" == "failed: The image has no NVIDIA driver"* ]]
  rm "$GUEST/result"
  stub nvidia-smi 'echo 580'
  stub ss 'echo LISTEN'
  provision
  [[ "$(cat "$GUEST/result")" == "failed: Something listens on port 80"* ]]
  rm "$GUEST/result"
  stub ss 'exit 0'
  printf '#!/bin/sh\necho wrong libc; exit 1\n' >"$ROOT/opt/pilotlight/bundle/bin/gateway"
  provision
  [[ "$(cat "$GUEST/result")" == "failed: The gateway does not run. wrong libc"* ]]
}

@test "what is left out is not looked for" {
  builder
  echo false >"$ATTRIBUTES/bake_gpu"
  echo false >"$ATTRIBUTES/bake_comfyui"
  stub nvidia-smi 'exit 9'
  provision
  [[ "$(cat "$GUEST/result")" == "ok driver=580.1 certbot=5.8.0 comfyui=none "* ]]
  [[ ! -e "$ROOT/opt/pilotlight/comfyui-versions" ]]
}

@test "a builder without startup.sh says so" {
  builder
  rm "$ATTRIBUTES/startup-library"
  provision
  [[ "$status" == 1 && "$(cat "$GUEST/result")" == "failed: no startup-library" ]]
}
