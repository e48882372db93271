# shellcheck shell=bash
# ComfyUI is installed: the version that is asked for, beside the one in use.
#
# A version is a directory: source/, venv/, and last of all the file .complete. Without that it is half an installation,
# which is none. It is made where it stays, for a virtual environment holds its own path. What the person owns is in
# $DATA/comfyui and no part of a version.
#
#   $DATA/comfyui-current   the version in use
#   $DATA/comfyui-previous  the one before, to go back to; older ones are removed

CURRENT="$DATA/comfyui-current"
PREVIOUS="$DATA/comfyui-previous"
VERSIONS="$DATA/comfyui-versions"
# What a baked image brings along: on the boot disk, used where it is.
BAKED_VERSIONS="$ROOT/opt/pilotlight/comfyui-versions"
PIP_CACHE="$VERSIONS/.pip-cache"
COMFYUI_LOG="$STATE/comfyui-install.log"

# What is meant where the metadata says nothing.
UPSTREAM="https://github.com/Comfy-Org/ComfyUI.git"
USUAL_VERSION="v0.33.0"
# ComfyUI asks for the three without a version, and PyPI's newest do not go together: torch 2.15 comes with torchaudio
# 2.11, which then fails at import. These do (measured with 0.33.0).
USUAL_CONSTRAINTS="torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0"

# The environment takes 6.1 GB, its wheels 2.6 GB, and pip holds these twice while it installs.
INSTALL_ROOM_MIB="${INSTALL_ROOM_MIB:-12288}"
# Below this pip's wheels are not kept for the next try.
ROOM_KEPT_MIB=1024

# In seconds. The control plane gives a boot twenty minutes.
INSTALL_WITHIN=900
CHECK_WITHIN=240

# Loads everything but custom nodes and ends before it listens.
CHECK_ARGUMENTS=(--quick-test-for-ci --cpu --disable-all-custom-nodes --disable-auto-launch
  --database-url "sqlite:///:memory:")

# --- which version is used ---

install_comfyui() {
  local old
  : >"$COMFYUI_LOG"
  COMFYUI_SOURCE="${COMFYUI_SOURCE:-$UPSTREAM}"
  COMFYUI_VERSION="${COMFYUI_VERSION:-$USUAL_VERSION}"
  COMFYUI_CONSTRAINTS="${COMFYUI_CONSTRAINTS:-$USUAL_CONSTRAINTS}"
  fence_comfyui
  make_base_directory
  WHY=""
  have_version && use_version "$FOUND" && return
  old="$(usable_version)" || fail installing "ComfyUI $COMFYUI_VERSION cannot be installed. $WHY" "$COMFYUI_LOG"
  use_version "$old" || fail installing "ComfyUI cannot be used. $WHY"
  warn installing 50 "ComfyUI $COMFYUI_VERSION could not be installed, so ${old##*/} is used. $WHY \
$(tail --lines 3 "$COMFYUI_LOG")"
}

# The version that is asked for, in FOUND; installs it where it is nowhere. Where it cannot be had, WHY says why.
have_version() {
  local name dir
  settings_make_sense || return
  name="$(version_name)"
  for dir in "$VERSIONS/$name" "$BAKED_VERSIONS/$name"; do
    FOUND="$dir"
    is_complete "$dir" && return
  done
  FOUND="$VERSIONS/$name"
  install_version "$FOUND"
}

settings_make_sense() {
  if [[ ! "$COMFYUI_VERSION" =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$ ]]; then
    WHY="comfyui_version is neither a tag nor a commit: letters, digits, dots, dashes, 64 at most."
  elif [[ ! "$COMFYUI_SOURCE" =~ ^(https://|gs://|/)[^[:space:][:cntrl:]]+$ ]]; then
    WHY="comfyui_source begins with neither https://, gs:// nor /."
  elif is_archive && [[ ! "$COMFYUI_SHA256" =~ ^[0-9a-f]{64}$ ]]; then
    WHY="comfyui_source is an archive, so comfyui_sha256 must hold its SHA-256, 64 small hexadecimal digits."
  elif [[ ! "$COMFYUI_CONSTRAINTS" =~ ^[A-Za-z0-9._=\<\>!~,+\ -]+$ ]]; then
    WHY="comfyui_constraints is no list of pip's constraints, such as: $USUAL_CONSTRAINTS"
  fi
  [[ -z "$WHY" ]]
}

is_archive() {
  [[ -n "$COMFYUI_SHA256" || "$COMFYUI_SOURCE" == gs://* ||
    "$COMFYUI_SOURCE" =~ \.(zip|tgz|tar|tar\.(gz|xz|bz2|zst))(\?.*)?$ ]]
}

# The directory's name: the version's, and a mark where it is not upstream's as we install it.
version_name() {
  local made="$COMFYUI_SOURCE $COMFYUI_SHA256 $COMFYUI_CONSTRAINTS"
  [[ "$made" == "$UPSTREAM  $USUAL_CONSTRAINTS" ]] && printf '%s' "$COMFYUI_VERSION" && return
  printf '%s-%.8s' "$COMFYUI_VERSION" "$(sha256sum <<<"$made")"
}

# An environment holds on to the Python it was made with; where the image brings another, it is worth nothing.
is_complete() {
  local made_with
  [[ -f "$1/.complete" ]] || return
  made_with="$(sed --quiet 's/^python=//p' "$1/.complete")"
  [[ -z "$made_with" || "$made_with" == "$(python_version)" ]]
}

python_version() {
  "$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# One that was used before, or came with the image, and is whole.
usable_version() {
  local dir
  for dir in "$(readlink "$CURRENT")" "$(readlink "$PREVIOUS")" "$BAKED_VERSIONS"/*; do
    is_complete "$dir" && printf '%s' "$dir" && return
  done
  return 1
}

use_version() {
  local dir="$1" old
  [[ ! -d "$PIP_CACHE" ]] || as_comfyui rm -rf "$PIP_CACHE"
  old="$(readlink "$CURRENT" || true)"
  [[ "$old" == "$dir" ]] && return
  link "$dir" "$CURRENT" || { WHY="The data disk takes no link to it." && return 1; }
  log "ComfyUI ${dir##*/} is used${old:+, before it ${old##*/}}"
  [[ -n "$old" ]] && link "$old" "$PREVIOUS" && remove_older
  return 0
}

# In one step, so that a crash leaves the old link or the new one.
link() {
  ln --symbolic --force --no-dereference "$1" "$2.new" && mv --no-target-directory "$2.new" "$2"
}

remove_older() {
  local dir
  for dir in "$VERSIONS"/*; do
    [[ "$dir" == "$(readlink "$CURRENT")" || "$dir" == "$(readlink "$PREVIOUS")" ]] && continue
    log "ComfyUI ${dir##*/} is removed"
    as_comfyui rm -rf "$dir"
  done
}

# --- a version is made ---

# install_version DIR
install_version() {
  local dir="$1"
  remove_halves
  has_install_room || return
  if as_comfyui mkdir --parents "$dir/tmp" && get_source "$dir" && make_environment "$dir" && check_version "$dir"; then
    mark_complete "$dir" && return
  fi
  : "${WHY:="The data disk could not be written on."}"
  as_comfyui rm -rf "$dir"
  (($(free_mib) >= ROOM_KEPT_MIB)) || as_comfyui rm -rf "$PIP_CACHE"
  return 1
}

remove_halves() {
  local dir
  for dir in "$VERSIONS"/*; do
    [[ ! -e "$dir" ]] || is_complete "$dir" || as_comfyui rm -rf "$dir"
  done
}

has_install_room() {
  local free
  free="$(free_mib)"
  ((free >= INSTALL_ROOM_MIB)) && return
  WHY="It needs $((INSTALL_ROOM_MIB / 1024)) GiB while it is installed, and $((free / 1024)) GiB are free on the data \
disk. Make the disk larger, or remove what is not needed."
  return 1
}

get_source() {
  local source="$1/source" archive="$DOWNLOADS/comfyui-$COMFYUI_SHA256"
  report installing 36 "Fetching ComfyUI $COMFYUI_VERSION"
  if is_archive; then
    make_downloads
    WHY="$(shown_url "$COMFYUI_SOURCE") cannot be fetched, or is not the file that comfyui_sha256 names."
    fetch "$COMFYUI_SOURCE" "$COMFYUI_SHA256" "$archive" 2>>"$COMFYUI_LOG" || return
    WHY="$(shown_url "$COMFYUI_SOURCE") cannot be unpacked."
    unpack "$archive" "$source" >>"$COMFYUI_LOG" 2>&1 || return
    rm -f "$DOWNLOADS"/comfyui-*
  else
    WHY="$(shown_url "$COMFYUI_SOURCE") has no $COMFYUI_VERSION, or cannot be reached."
    check_out "$COMFYUI_SOURCE" "$COMFYUI_VERSION" "$source" >>"$COMFYUI_LOG" 2>&1 || return
  fi
  WHY="$(shown_url "$COMFYUI_SOURCE") is not ComfyUI: it lacks main.py or requirements.txt."
  [[ -f "$source/main.py" && -f "$source/requirements.txt" ]] && WHY=""
}

make_environment() {
  local dir="$1"
  tr ' ' '\n' <<<"$COMFYUI_CONSTRAINTS" | as_comfyui tee "$dir/constraints.txt" >/dev/null &&
    working 38 "Making ComfyUI's environment" "$SOURCE_WITHIN" "$PYTHON" -m venv "$dir/venv" &&
    working 39 "Installing what ComfyUI $COMFYUI_VERSION needs" "$INSTALL_WITHIN" \
      env TMPDIR="$dir/tmp" "$dir/venv/bin/python" -m pip install --no-input --disable-pip-version-check \
      --progress-bar off --cache-dir "$PIP_CACHE" --constraint "$dir/constraints.txt" \
      --requirement "$dir/source/requirements.txt" && return
  WHY="What it needs could not be installed."
  return 1
}

# What cannot even be loaded is not switched to.
check_version() {
  local dir="$1" base="$1/tmp/base"
  as_comfyui mkdir --parents "$base/custom_nodes" &&
    working 49 "Trying ComfyUI $COMFYUI_VERSION" "$CHECK_WITHIN" env --chdir="$dir/source" \
      "$dir/venv/bin/python" main.py "${CHECK_ARGUMENTS[@]}" --base-directory "$base" && return
  WHY="It was installed, but does not load."
  return 1
}

# The disk has all of it before it has the mark.
mark_complete() {
  as_comfyui rm -rf "$1/tmp"
  sync --file-system "$1"
  printf 'version=%s\nsource=%s\npython=%s\n' "$COMFYUI_VERSION" "$(shown_url "$COMFYUI_SOURCE")" "$(python_version)" |
    as_comfyui tee "$1/.complete" >/dev/null && sync --file-system "$1"
}

# Of these ComfyUI wants to find some, and makes the others. A full disk has them already.
make_base_directory() {
  local name
  for name in custom_nodes models input output user; do
    [[ -d "$DATA/comfyui/$name" ]] || as_comfyui mkdir --parents "$DATA/comfyui/$name" ||
      log "the data disk's folder comfyui/$name could not be made"
  done
}

# ComfyUI runs what strangers have written, and the metadata server gives whoever asks the VM's tokens.
fence_comfyui() {
  sed "s/\"comfyui\"/\"$COMFYUI_USER\"/" "$BUNDLE/systemd/comfyui.nft" >"$ETC/comfyui.nft"
  try installing "ComfyUI cannot be kept from the VM's own tokens: nftables does not work on this image." \
    nft --file "$ETC/comfyui.nft"
}
