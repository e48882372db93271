bats_require_minimum_version 1.5.0

load support
load comfyui_support

setup_file() {
  make_world
}

setup() {
  setup_comfyui
}

teardown() {
  ! mountpoint --quiet "$DATA" || umount "$DATA"
}

# A small disk that can be full, as the data disk.
mount_small_disk() {
  truncate --size "$1" "$BATS_TEST_TMPDIR/disk"
  mkfs.ext4 -q "$BATS_TEST_TMPDIR/disk"
  mount --options loop "$BATS_TEST_TMPDIR/disk" "$DATA"
  make_data_disk
}

fill_disk() {
  dd if=/dev/zero of="$DATA/filler" bs=1M status=none 2>/dev/null || true
  # Nor for a single block more.
  dd if=/dev/zero of="$DATA/filler" bs=1k oflag=append conv=notrunc status=none 2>/dev/null || true
}

# --- installing ---

@test "a version is installed from git, as its user, and used" {
  run install_version_of v1
  [ "$status" -eq 0 ]
  [ "$(in_use)" = v1 ]
  [ "$(stat --format %U "$DATA"/comfyui-current/{.complete,source/main.py,venv} | sort --unique)" = nobody ]
  "$DATA/comfyui-current/venv/bin/python" -c "import small"
  [ ! -e "$DATA/comfyui-versions/.pip-cache" ]
  [ ! -e "$DATA/comfyui-current/tmp" ]
  [ -z "$(warned)" ]
}

@test "the person's folders are made, and are not part of a version" {
  run install_version_of v1
  [ "$(stat --format '%U %n' "$DATA"/comfyui/*)" = "$(printf 'nobody %s\n' "$DATA"/comfyui/{custom_nodes,input,models,output,user})" ]
}

@test "a commit is as good as a tag" {
  COMFYUI_SOURCE="$WORLD/repository" COMFYUI_VERSION="$(git -c safe.directory='*' -C "$WORLD/repository" rev-parse v2)" \
    run boot install_comfyui
  [ "$status" -eq 0 ]
  [ "$(in_use)" = v2 ]
}

@test "a second boot fetches, makes, writes and removes nothing" {
  install_version_of v1
  find "$DATA" -printf '%p %C@\n' | sort >"$BATS_TEST_TMPDIR/before"
  for command in git curl setpriv rm mv ln df tar; do stub "$command" 'exit 1'; done
  : >"$CALLS"
  run install_version_of v1
  [ "$status" -eq 0 ]
  find "$DATA" -printf '%p %C@\n' | sort | diff "$BATS_TEST_TMPDIR/before" -
  # The test's own end needs what it has taken away.
  /usr/bin/rm "$BATS_TEST_TMPDIR"/bin/{git,curl,setpriv,rm,mv,ln,df,tar}
  hash -r
  run ! grep --invert-match '^nft\|^rm -f .*/warnings' "$CALLS"
}

@test "an archive is installed by its digest, with a directory around it or without, as tar or zip" {
  local archive="$BATS_TEST_TMPDIR/comfyui.tar.gz"
  git -c safe.directory='*' -C "$WORLD/repository" archive --prefix ComfyUI-1/ --output "$archive" v1
  COMFYUI_SOURCE="$archive" COMFYUI_SHA256="$(sha256sum <"$archive" | cut -c 1-64)" COMFYUI_VERSION=v1 run boot install_comfyui
  [ "$status" -eq 0 ]
  [ "$(in_use)" = v1 ]
  git -c safe.directory='*' -C "$WORLD/repository" archive --format zip --output "$archive" v2
  COMFYUI_SOURCE="$archive" COMFYUI_SHA256="$(sha256sum <"$archive" | cut -c 1-64)" COMFYUI_VERSION=v1 run boot install_comfyui
  [ "$status" -eq 0 ]
  [ "$(in_use)" = v2 ]
  [ -z "$(ls "$DATA/downloads")" ]
}

@test "an archive with another digest is not installed" {
  local archive="$BATS_TEST_TMPDIR/comfyui.tar.gz"
  git -c safe.directory='*' -C "$WORLD/repository" archive --output "$archive" v1
  COMFYUI_SOURCE="$archive" COMFYUI_SHA256="$(printf '0%.0s' {1..64})" COMFYUI_VERSION=v1 run boot install_comfyui
  [ "$status" -eq 1 ]
  [[ "$(told .detail)" == *"is not the file that comfyui_sha256 names"*"the digest is "* ]]
  [ ! -e "$DATA/comfyui-current" ]
}

@test "settings that make no sense are told by name" {
  while IFS='|' read -r source version sha256 constraints words; do
    COMFYUI_SOURCE="$source" COMFYUI_VERSION="$version" COMFYUI_SHA256="$sha256" COMFYUI_CONSTRAINTS="$constraints" \
      run boot install_comfyui
    [ "$status" -eq 1 ]
    [ "$(told .failed)" = true ]
    [[ "$(told .detail)" == *"$words"* ]] || { echo "$words: $(told .detail)" && false; }
  done <<'EOF'
|../v1|||comfyui_version is neither
|--upload-pack=x|||comfyui_version is neither
|a b|||comfyui_version is neither
ssh://host/x|v1|||comfyui_source begins with neither
-x|v1|||comfyui_source begins with neither
gs://bucket/x|v1|||comfyui_sha256 must hold
https://example.org/x.tar.gz?token=1|v1|||comfyui_sha256 must hold
https://example.org/x.tar.gz|v1|abc||comfyui_sha256 must hold
/x|v1||torch; rm|comfyui_constraints is no list
EOF
}

@test "where nothing can be used, the boot fails with the last words" {
  run install_version_of v4-lacks-a-package
  [ "$status" -eq 1 ]
  [ "$(told '.step, .failed' | paste --serial --delimiters ' ')" = "installing true" ]
  [[ "$(told .detail)" == *"What it needs could not be installed."*"No matching distribution found for not-to-be-had"* ]]
  [ -z "$(ls "$DATA/comfyui-versions")" ]
}

@test "too little room is told before anything is fetched" {
  mount_small_disk 30M
  stub git
  run install_version_of v1
  [ "$status" -eq 1 ]
  [[ "$(told .detail)" == *"GiB are free on the data disk. Make the disk larger"* ]]
  run ! grep ^git "$CALLS"
}

@test "a disk that fills up while it is installed is left as it was" {
  mount_small_disk 16M
  head --bytes 20M /dev/zero >"$BALLAST"
  INSTALL_ROOM_MIB=1 run install_version_of v1
  [ "$status" -eq 1 ]
  [ -z "$(ls --almost-all "$DATA/comfyui-versions")" ]
}

# --- upgrading and going back ---

@test "an upgrade is used, the version before is kept, older ones are removed" {
  install_version_of v1
  install_version_of v2
  [ "$(in_use)" = v2 ]
  [ "$(cat "$DATA/comfyui-previous/source/version")" = v1 ]
  install_version_of v3
  [ "$(in_use)" = v3 ]
  [ "$(cat "$DATA"/comfyui-versions/*/source/version | paste --serial)" = $'v2\tv3' ]
}

@test "going back asks for nothing" {
  given_version v1
  install_version_of v2
  for command in git curl; do stub "$command" 'exit 1'; done
  : >"$CALLS"
  run install_version_of v1
  [ "$status" -eq 0 ]
  [ "$(in_use)" = v1 ]
  [ "$(cat "$DATA/comfyui-previous/source/version")" = v2 ]
  run ! grep '^git\|^curl' "$CALLS"
}

@test "an upgrade that fails leaves the old version in use, and says why" {
  given_version v1
  while IFS='|' read -r version words; do
    run install_version_of "$version"
    [ "$status" -eq 0 ]
    [ "$(in_use)" = v1 ]
    [[ "$(warned)" == *"ComfyUI $version could not be installed, so v1-"*" is used. "*$words* ]] ||
      { echo "$words: $(warned)" && false; }
    [ "$(told .failed)" = false ]
    [ "$(cat "$DATA"/comfyui-versions/*/source/version)" = v1 ]
  done <<'EOF'
v9-is-not-there|has no v9-is-not-there, or cannot be reached
v4-lacks-a-package|No matching distribution found for not-to-be-had
v5-does-not-load|It was installed, but does not load. *no kernel image is available
v6-is-no-comfyui|is not ComfyUI: it lacks main.py
../x|comfyui_version is neither
EOF
}

@test "on a full disk the version in use is used, and an upgrade is told to need room" {
  mount_small_disk 100M
  given_version v1
  fill_disk
  run install_version_of v1
  [ "$status" -eq 0 ]
  [ -z "$(warned)" ]
  run install_version_of v2
  [ "$status" -eq 0 ]
  [ "$(in_use)" = v1 ]
  [[ "$(warned)" == *"are free on the data disk"* ]]
}

@test "power lost in the middle leaves the old version, and the next boot makes the new one whole" {
  given_version v1
  touch "$HANG"
  (set -m; install_version_of v2 >"$BATS_TEST_TMPDIR/said" 2>&1 & echo $! >"$BATS_TEST_TMPDIR/pid"; wait) &
  for ((i = 0; i < 100; i++)); do
    [ ! -e "$DATA"/comfyui-versions/v2-*/venv/bin/python ] || break
    sleep 0.1
  done
  # The environment's maker is a group of its own.
  children="$(pgrep --parent "$(pgrep --parent "$(cat "$BATS_TEST_TMPDIR/pid")" | paste --serial --delimiters ,)" || true)"
  kill -9 -- "-$(cat "$BATS_TEST_TMPDIR/pid")"
  for child in $children; do kill -9 -- "-$child" 2>/dev/null || true; done
  [ -e "$DATA"/comfyui-versions/v2-*/venv/bin/python ]
  [ "$(in_use)" = v1 ]
  touch "$(echo "$DATA"/comfyui-versions/v2-*)/half-written"
  rm "$HANG"
  run install_version_of v2
  [ "$status" -eq 0 ]
  [ "$(in_use)" = v2 ]
  [ ! -e "$DATA/comfyui-current/half-written" ]
  "$DATA/comfyui-current/venv/bin/python" -c "import small"
}

@test "what the image brings is used where it is" {
  given_version v1
  mkdir -p "$ROOT/opt/pilotlight/comfyui-versions"
  mv "$(readlink "$DATA/comfyui-current")" "$ROOT/opt/pilotlight/comfyui-versions/"
  rm "$DATA/comfyui-current"
  stub git 'exit 1'
  run install_version_of v1
  [ "$status" -eq 0 ]
  [ -z "$(warned)" ]
  [[ "$(readlink "$DATA/comfyui-current")" == "$ROOT/opt/pilotlight/comfyui-versions/v1-"* ]]
  run ! grep ^git "$CALLS"
}

@test "an environment of another Python is made anew" {
  given_version v1
  sed --in-place 's/^python=.*/python=3.1/' "$DATA/comfyui-current/.complete"
  run install_version_of v1
  [ "$status" -eq 0 ]
  grep --quiet "^python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')$" \
    "$DATA/comfyui-current/.complete"
}

@test "what is upstream's and as usual has its version's name alone" {
  load_startup
  load_steps
  COMFYUI_SOURCE="$UPSTREAM" COMFYUI_SHA256="" COMFYUI_CONSTRAINTS="$USUAL_CONSTRAINTS" COMFYUI_VERSION=v0.33.0
  [ "$(version_name)" = v0.33.0 ]
  COMFYUI_CONSTRAINTS="torch==2.15.0"
  [[ "$(version_name)" =~ ^v0\.33\.0-[0-9a-f]{8}$ ]]
}

# --- what custom nodes need ---

add_node() {
  mkdir -p "$DATA/comfyui/custom_nodes/$1"
  echo "$2" >"$DATA/comfyui/custom_nodes/$1/requirements.txt"
}

@test "what a custom node needs is put into the environment once, and again into a new one" {
  make_wheel extra 2.0
  given_version v1
  add_node useful extra
  run boot start_comfyui
  [ "$status" -eq 0 ]
  "$DATA/comfyui-current/venv/bin/python" -c "import extra"
  [ -z "$(warned)" ]
  run boot start_comfyui
  [[ "$output" != *"Installing what the custom node"* ]]
  install_version_of v2
  boot start_comfyui
  "$DATA/comfyui-current/venv/bin/python" -c "import extra"
}

@test "a custom node that cannot be helped is told, holds nothing up, and is tried again" {
  given_version v1
  add_node a-bad not-to-be-had
  add_node b-good small
  add_node off.disabled not-to-be-had
  run boot start_comfyui
  [ "$status" -eq 0 ]
  [[ "$(warned)" == "What the custom node a-bad needs could not be installed: "*"not-to-be-had"* ]]
  [ "$(warned | wc --lines)" -eq 1 ]
  [ -e "$DATA/comfyui-current/nodes/b-good" ]
  grep --quiet "systemctl start --no-block comfyui.service" "$CALLS"
  run boot start_comfyui
  [[ "$(warned)" == *a-bad* ]]
}

@test "a real environment is made where none is copied, and a custom node does not change ComfyUI's own torch in it" {
  make_wheel torch 2.11.0
  make_wheel torch 2.15.0
  # The real pip, for it is pip that must understand our arguments, and refuse.
  PYTHON=/usr/bin/python3 COMFYUI_CONSTRAINTS="torch==2.11.0" run install_version_of v1
  [ "$status" -eq 0 ]
  head --lines 1 "$DATA/comfyui-current/venv/bin/pip" | grep --quiet "$(readlink "$DATA/comfyui-current")/venv/bin/python"
  "$DATA/comfyui-current/venv/bin/python" -c "import small"
  add_node greedy "torch==2.15.0"
  run boot start_comfyui
  [ "$status" -eq 0 ]
  [[ "$(warned)" == *greedy* ]]
  run ! "$DATA/comfyui-current/venv/bin/python" -c "import torch"
}

# --- starting ---

arguments() {
  cat "$ROOT/etc/pilotlight/comfyui.env"
}

@test "without an NVIDIA device the processor is used, with one that answers the GPU" {
  given_version v1
  COMFYUI_ARGUMENTS="--preview-method auto" boot start_comfyui
  [ "$(arguments)" = 'COMFYUI_ARGUMENTS="--preview-method auto --cpu"' ]
  mkdir -p "$ROOT/sys/bus/pci/devices/0000:00:04.0"
  echo 0x10de >"$ROOT/sys/bus/pci/devices/0000:00:04.0/vendor"
  stub nvidia-smi
  COMFYUI_ARGUMENTS="--preview-method auto" boot start_comfyui
  [ "$(arguments)" = 'COMFYUI_ARGUMENTS="--preview-method auto"' ]
  [ -z "$(warned)" ]
  stub nvidia-smi 'exit 9'
  boot start_comfyui
  [ "$(arguments)" = 'COMFYUI_ARGUMENTS=" --cpu"' ]
  [[ "$(warned)" == "The GPU does not answer"* ]]
}

@test "a driver that is too old for torch's CUDA is told, and the processor is used" {
  given_version v1
  mkdir -p "$ROOT/sys/bus/pci/devices/0000:00:04.0" "$(echo "$DATA"/comfyui-current/venv/lib/python3*/site-packages)/torch"
  echo 0x10de >"$ROOT/sys/bus/pci/devices/0000:00:04.0/vendor"
  printf '%s\n' "__version__ = '2.11.0+cu130'" "cuda: Optional[str] = '13.0'" "hip: Optional[str] = None" \
    >"$(echo "$DATA"/comfyui-current/venv/lib/python3*/site-packages/torch)/version.py"
  while read -r version words; do
    stub nvidia-smi "echo '| NVIDIA-SMI 1.2.3     Driver Version: 1.2.3     CUDA Version: $version     |'"
    boot start_comfyui
    [ "$(arguments)" = "COMFYUI_ARGUMENTS=\"$words\"" ]
  done <<'EOF'
13.0
14.1
EOF
  [ -z "$(warned)" ]
  stub nvidia-smi "echo '| NVIDIA-SMI 550.90.07  Driver Version: 550.90.07  CUDA Version: 12.4     |'"
  boot start_comfyui
  [ "$(arguments)" = 'COMFYUI_ARGUMENTS=" --cpu"' ]
  [[ "$(warned)" == "NVIDIA's driver is too old for CUDA 13, "* ]]
}

@test "arguments stay one line of one variable" {
  given_version v1
  COMFYUI_ARGUMENTS=$'--cpu --x "a b" $HOME `id` \\\nLD_PRELOAD=/x' boot start_comfyui
  [ "$(arguments)" = 'COMFYUI_ARGUMENTS="--cpu --x \"a b\" \$HOME \`id\` \\ LD_PRELOAD=/x"' ]
}

@test "the memory's limit is the unit's own, or the one that is asked for, or told to be none" {
  local limit="$ROOT/etc/systemd/system/comfyui.service.d/memory.conf"
  given_version v1
  COMFYUI_MEMORY_MAX=12G boot start_comfyui
  [ "$(cat "$limit")" = $'[Service]\nMemoryMax=12G' ]
  COMFYUI_MEMORY_MAX=$'12G\nUser=root' boot start_comfyui
  [ "$(cat "$limit")" = $'[Service]\nMemoryMax=12G' ]
  [[ "$(warned)" == "comfyui_memory_max is "* ]]
  boot start_comfyui
  [ ! -e "$limit" ]
}

@test "ComfyUI is started once, and again only where something has changed" {
  given_version v1
  boot start_comfyui
  boot start_comfyui
  [ "$(grep --count 'systemctl restart --no-block comfyui' "$CALLS")" -eq 0 ]
  COMFYUI_ARGUMENTS=--lowvram boot start_comfyui
  [ "$(grep --count 'systemctl restart --no-block comfyui' "$CALLS")" -eq 1 ]
  install_version_of v2
  COMFYUI_ARGUMENTS=--lowvram boot start_comfyui
  [ "$(grep --count 'systemctl restart --no-block comfyui' "$CALLS")" -eq 2 ]
  cmp "$REPO/vm/systemd/comfyui.service" "$ROOT/etc/systemd/system/comfyui.service"
  run ! grep 'systemctl enable' "$CALLS"
}

@test "systemd understands the unit" {
  given_version v1
  boot start_comfyui
  mkdir "$BATS_TEST_TMPDIR/units"
  local unit="$BATS_TEST_TMPDIR/units/comfyui.service"
  sed "s|/mnt/pilotlight|$DATA|g; s|=comfyui$|=games|" "$REPO/vm/systemd/comfyui.service" >"$unit"
  run systemd-analyze verify --recursive-errors=no --man=no "$unit"
  echo "$output"
  [ "$status" -eq 0 ]
  [ -z "$(grep comfyui.service <<<"$output")" ]
}

# --- the fence ---

@test "ComfyUI's user does not reach the metadata server, but its name server; root reaches both" {
  given_version v1
  install_version_of v1
  # The real one, in a network of its own.
  rm "$BATS_TEST_TMPDIR/bin/nft"
  cat >"$BATS_TEST_TMPDIR/fenced" <<'EOF'
set -euo pipefail
ip link set lo up
ip address add 169.254.169.254/32 dev lo
ip address add fd20:ce::254/128 dev lo
nft --file "$ROOT/etc/pilotlight/comfyui.nft"
# Twice is once.
nft --file "$ROOT/etc/pilotlight/comfyui.nft"
/usr/bin/python3 - <<'PYTHON'
import os, socket
for family, host in ((socket.AF_INET, "169.254.169.254"), (socket.AF_INET6, "fd20:ce::254")):
    for port in (80, 443, 53):
        server = socket.socket(family)
        server.bind((host, port))
        server.listen(16)
        globals()[f"kept_{host}_{port}"] = server
def reached(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return True
    except OSError:
        return False
def all_reached():
    return [reached(host, port) for host in ("169.254.169.254", "fd20:ce::254") for port in (80, 443, 53)]
print("root", all_reached())
os.setuid(65534)
print("comfyui", all_reached())
PYTHON
EOF
  run unshare --net bash "$BATS_TEST_TMPDIR/fenced"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ "$output" == *"root [True, True, True, True, True, True]"* ]]
  [[ "$output" == *"comfyui [False, False, True, False, False, True]"* ]]
}

@test "without its fence ComfyUI is neither installed nor started" {
  stub nft 'exit 1'
  run install_version_of v1
  [ "$status" -eq 1 ]
  [[ "$(told .detail)" == "ComfyUI cannot be kept from the VM's own tokens"* ]]
}
