# shellcheck shell=bash
# The data disk: that it is there, mounted, healthy, with room, and with a ComfyUI on it.

DISKS="${DISKS:-/dev/disk/by-id}"

# Less room than either on the data disk is told. An image needs megabytes, a model gigabytes.
ROOM_PERCENT_MIN=10
ROOM_BYTES_MIN=$((5 * 1000 * 1000 * 1000))

check_disk() {
  local disk="$DISKS/google-${DATA_DISK:-pilotlight-data}" device source options
  [[ -e "$disk" ]] || {
    bad "$disk is not there" \
      "The data disk is not attached under that name: see gcloud compute instances describe, and run terraform apply."
    return
  }
  device="$(readlink --canonicalize "$disk")"
  read -r source options < <(within "$COMMAND_WITHIN" findmnt --noheadings --first-only --output SOURCE,OPTIONS \
--mountpoint "$DATA")
  if [[ -z "$source" ]]; then
    bad "nothing is mounted at $DATA" \
      "Stop the VM and press Start, or, to see why: systemctl start google-startup-scripts. Nothing on the disk was \
changed."
    return
  elif [[ ! "$source" =~ ^"$device"(p?[0-9]+)?$ ]]; then
    bad "$source is mounted at $DATA, and not $disk ($device)" \
      "Unmount it (umount $DATA), then stop the VM and press Start."
    return
  fi
  judge_file_system "$source" "$options"
  judge_room
  judge_inodes
  judge_current
}

judge_file_system() {
  local state
  [[ ",$2," != *,ro,* ]] ||
    bad "it is mounted read-only, as after an error" \
      "Make a snapshot of the disk; then stop the VM and press Start, which checks it. See: dmesg"
  state="$(within "$COMMAND_WITHIN" dumpe2fs -h "$1" 2>/dev/null |
    sed --quiet --expression 's/^Filesystem state: *//p')"
  case "$state" in
    clean) ok "$1 is clean" ;;
    "") warn "its state cannot be read" "See: dumpe2fs -h $1" ;;
    *) bad "its file system is $state" \
      "Make a snapshot of the disk; then stop the VM and press Start, which checks it. See: dmesg" ;;
  esac
}

judge_room() {
  local free size words
  read -r free size < <(within "$COMMAND_WITHIN" df --block-size=1 --output=avail,size "$DATA" | tail --lines 1)
  [[ -n "$size" ]] || {
    warn "df does not tell how full it is" "See: df $DATA"
    return
  }
  words="$(numfmt --to=si "$free")B of $(numfmt --to=si "$size")B are free"
  if ((free < ROOM_BYTES_MIN || free * 100 < size * ROOM_PERCENT_MIN)); then
    warn "$words" \
      "Delete something (du --max-depth 2 --human-readable $DATA | sort --human-numeric-sort), or make the disk \
larger; its file system follows at the next boot."
  else
    ok "$words"
  fi
}

judge_inodes() {
  local used
  # A file system without a fixed number of them tells "-".
  used="$(within "$COMMAND_WITHIN" df --output=ipcent "$DATA" | tail --lines 1 | tr --delete ' %')"
  [[ ! "$used" =~ ^[0-9]+$ ]] || ((used <= 100 - ROOM_PERCENT_MIN)) ||
    warn "$used % of its inodes are taken" "Many small files: find where with du --inodes --max-depth 3 $DATA"
}

# Each version says in .complete what it is; a version without it is half of one.
judge_current() {
  local current="$DATA/comfyui-current" version
  [[ -f "$current/.complete" ]] || {
    bad "$current leads to no whole ComfyUI" "Stop the VM and press Start, which installs it. See boot."
    return
  }
  version="$(sed --quiet --expression 's/^version=//p' "$current/.complete")"
  if [[ -n "$COMFYUI_VERSION" && "$version" != "$COMFYUI_VERSION" ]]; then
    warn "ComfyUI $version is in use, and the metadata names $COMFYUI_VERSION" \
      "If that was changed since the boot: stop the VM and press Start. Else see boot."
  else
    ok "ComfyUI $version"
  fi
}
