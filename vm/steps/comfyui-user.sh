# shellcheck shell=bash
# How things are done on ComfyUI's behalf.
#
# Whatever ComfyUI's user may write is touched as that user only: root does not follow a link laid by a custom node.

COMFYUI_USER="${COMFYUI_USER:-comfyui}"
PYTHON="${PYTHON:-python3}"
DOWNLOADS="$DATA/downloads"

# In seconds.
SOURCE_WITHIN=300
PROGRESS_EVERY=5
KILLED_AFTER=10

# What an environment takes when it is whole.
ENVIRONMENT_MIB=5800

GIT_TRIES="${GIT_TRIES:-3}"

# as_comfyui COMMAND...: as ComfyUI's user, which cannot become another.
as_comfyui() {
  setpriv --reuid "$COMFYUI_USER" --regid "$(id --group "$COMFYUI_USER")" --init-groups --no-new-privs -- \
    env --chdir=/ HOME="$DATA/comfyui" GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1 \
    GIT_HTTP_LOW_SPEED_TIME="$STALLED_AFTER" "$@"
}

# working PERCENT WORDS SECONDS COMMAND...: as ComfyUI's user, for so long at most; tells how much was written so far.
working() {
  local percent="$1" words="$2" within="$3" before pid written told="$SECONDS"
  shift 3
  report installing "$percent" "$words"
  before="$(free_mib)"
  as_comfyui timeout --kill-after "$KILLED_AFTER" "$within" "$@" >>"$COMFYUI_LOG" 2>&1 </dev/null &
  pid=$!
  # Ends with the command, which ends in time.
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    ((SECONDS - told >= PROGRESS_EVERY)) || continue
    told="$SECONDS"
    written=$((before - $(free_mib)))
    ((written > 0)) || written=0
    report installing "$((percent + 9 * (written < ENVIRONMENT_MIB ? written : ENVIRONMENT_MIB) / ENVIRONMENT_MIB))" \
      "$words: $(in_gb "$written" 1048576) GB written"
  done
  wait "$pid"
}

free_mib() {
  df --block-size=1M --output=avail "$DATA" | tail --lines 1 | tr --delete ' '
}

# in_gb NUMBER UNIT: as people say it, with one decimal.
in_gb() {
  local tenths=$(($1 * $2 / 100000000))
  printf '%d.%d' "$((tenths / 10))" "$((tenths % 10))"
}

# What follows the ? may be a secret.
shown_url() {
  printf '%s' "${1%%\?*}"
}

# check_out URL REFERENCE DIR: the files of a tag, a branch or a whole commit, with its submodules.
check_out() {
  local url="$1" reference="$2" dir="$3" attempt
  as_comfyui git -c init.defaultBranch=main init --quiet "$dir" || return
  for ((attempt = 1; attempt <= GIT_TRIES; attempt++)); do
    ((attempt == 1)) || sleep "$((attempt * attempt))"
    as_comfyui timeout --kill-after "$KILLED_AFTER" "$SOURCE_WITHIN" \
      git -C "$dir" fetch --quiet --depth 1 "$url" "$reference" || continue
    as_comfyui git -C "$dir" checkout --quiet --detach FETCH_HEAD &&
      as_comfyui timeout --kill-after "$KILLED_AFTER" "$SOURCE_WITHIN" \
        git -C "$dir" submodule --quiet update --init --recursive --depth 1
    return
  done
  return 1
}

# unpack ARCHIVE DIR: a tar of any sort or a zip, into a directory of ComfyUI's user that is not there yet. A single
# directory that holds everything is left out.
unpack() {
  local archive="$1" dir="$2" inside
  as_comfyui mkdir --parents "$dir.unpacked" || return
  if [[ "$(head --bytes 2 "$archive")" == PK ]]; then
    as_comfyui "$PYTHON" -m zipfile --extract "$archive" "$dir.unpacked" || return
  else
    as_comfyui tar --extract --file "$archive" --directory "$dir.unpacked" --no-same-owner || return
  fi
  inside=("$dir.unpacked"/* "$dir.unpacked"/.[!.]*)
  if ((${#inside[@]} == 2)) && [[ -d "${inside[0]}" && ! -e "${inside[1]}" ]]; then
    as_comfyui mv --no-target-directory "${inside[0]}" "$dir" && as_comfyui rmdir "$dir.unpacked"
  else
    as_comfyui mv --no-target-directory "$dir.unpacked" "$dir"
  fi
}

# Where files lie until they are verified: root's, for root writes there.
make_downloads() {
  [[ -d "$DOWNLOADS" && ! -L "$DOWNLOADS" && "$(stat --format %u "$DOWNLOADS")" == "$(id --user)" ]] && return
  rm -rf "$DOWNLOADS"
  mkdir --mode 0755 "$DOWNLOADS"
}
