# shellcheck shell=bash
# Brings the data disk up: the one thing of a workspace that outlives its machines.
#
# It is found by its device name, whatever its label says. It is formatted only where nothing is on it; what is on it
# and is not ext4 is left alone to the last byte, and told. A failed mount is a failure, never a reason to format.

# Where udev names the disks; tests put their own in its place.
DISKS="${DISKS:-/dev/disk/by-id}"

# A disk that was attached before the start is named within seconds.
DISK_WITHIN=30

# A disk that was never used reads as zeros. To read all of it would be minutes, so these parts are read: the two ends,
# where partition tables, volume managers, RAID and most file systems have their labels; where ext4 has its further
# superblocks (the groups 1 and the powers of 3, 5 and 7; a group is 128 MiB with blocks of 4 KiB, 8 MiB with 1 KiB); and
# samples, evenly spread.
MIB=$((1024 * 1024))
ENDS_MIB=16
BLOCK_GROUPS=(1 3 5 7 9 25 27 49)
BLOCK_GROUP_MIB=(128 8)
SAMPLES=256
SAMPLE_BYTES=$((256 * 1024))

# A hundredth is kept for root, so that a certificate can be renewed on a disk that ComfyUI has filled.
RESERVED_PERCENT=1
# Whose all of it is but the certificates.
DISK_OWNER=comfyui
# But what waits in ComfyUI's queue, which the gateway keeps (steps/gateway.sh adds its user).
QUEUE_OWNER=pilotlight
DISK_LABEL=pilotlight

# Nothing on it is a device or gains rights; the files' last access is nobody's business; a broken file system must not
# be written on.
MOUNT_OPTIONS=noatime,nodev,nosuid,errors=remount-ro

# A disk grows by whole GiB; what is less is what a file system leaves unused.
GROW_FROM_BYTES=$((64 * MIB))

# Below this a model may not fit any more. It is told; ComfyUI starts all the same, so that something can be deleted.
NEARLY_FULL_GIB=5

mount_data_disk() {
  DISK="$DISKS/google-${DATA_DISK:-pilotlight-data}"
  report mounting_disk 30 "Looking for the data disk"
  wait_for_disk
  if ! is_mounted; then
    refuse_read_only
    find_file_system
    check_file_system
    grow_file_system
    mount_file_system
  fi
  refuse_unwritable
  make_directories
  report mounting_disk 34 "The data disk is mounted: $(room)"
}

# --- the disk ---

wait_for_disk() {
  local waited=0
  until [[ -b "$DISK" ]]; do
    ((waited++ < DISK_WITHIN)) || fail mounting_disk "The data disk is not attached: $DISK did not appear within \
$DISK_WITHIN s. Attach it to this VM under the device name ${DATA_DISK:-pilotlight-data} (terraform apply does), or name \
another in the metadata key data_disk."
    sleep 1
  done
  DEVICE="$(readlink --canonicalize-existing "$DISK")"
}

# The startup script may run again while the machine is up.
is_mounted() {
  local source
  mountpoint --quiet "$DATA" || return
  source="$(findmnt --noheadings --first-only --output SOURCE --mountpoint "$DATA")"
  # A disk with one partition is mounted by that.
  [[ "$source" =~ ^"$DEVICE"(p?[0-9]+)?$ ]] ||
    fail mounting_disk "Something else is mounted at $DATA already: $source. Unmount it, and start again."
}

refuse_read_only() {
  [[ "$(blockdev --getro "$DEVICE")" == 0 ]] || fail mounting_disk "The data disk is attached read-only. Stop the VM, \
detach the disk, and attach it with --mode=rw. It may be attached to another VM at the same time."
}

# --- what is on it ---

# Leaves in FILE_SYSTEM the device that carries ext4, the disk itself or its only partition, and in BY_HAND its lasting
# name.
find_file_system() {
  local found status=0 type table
  FILE_SYSTEM="$DEVICE"
  BY_HAND="$DISK"
  found="$(blkid --probe --output export "$DEVICE")" || status=$?
  type="$(value TYPE "$found")"
  table="$(value PTTYPE "$found")"
  case "$status:$type:$table" in
    0:ext[234]:*) ;;
    0::?*) find_partition "$table" ;;
    0:?*:*) refuse "a file system or volume of the type $type" ;;
    2::) format_if_blank ;;
    8:*) refuse "the signs of more than one file system" ;;
    *) refuse "something that blkid cannot tell (it ended with $status)" ;;
  esac
}

# value NAME TEXT: of a text in lines of NAME=value.
value() {
  sed --quiet --expression "s/^$1=//p" <<<"$2"
}

find_partition() {
  local partitions type
  mapfile -t partitions < <(lsblk --noheadings --list --paths --output NAME,TYPE "$DEVICE" | awk '$2 == "part" { print $1 }')
  ((${#partitions[@]} == 1)) || refuse "a partition table ($1) with ${#partitions[@]} partitions; one, with ext4, \
could be used"
  type="$(blkid --probe --match-tag TYPE --output value "${partitions[0]}")" || true
  [[ "$type" == ext[234] ]] || refuse "a partition table ($1), and in its partition ${type:-nothing known}"
  FILE_SYSTEM="${partitions[0]}"
  BY_HAND="$DISK-part${FILE_SYSTEM##*[!0-9]}"
}

# refuse FOUND [ADVICE]: a disk that is somebody's.
refuse() {
  fail mounting_disk "The data disk holds $1. Not a byte of it was changed. ${2:-To keep it, name another disk in the \
metadata key data_disk. To give it up, run on the VM: sudo mkfs.ext4 -L $DISK_LABEL $DISK} Then start again."
}

# --- a new disk ---

format_if_blank() {
  local used
  used="$(byte_in_use)" || fail mounting_disk "The data disk cannot be read. Not a byte of it was changed. Look at \
its state: gcloud compute disks describe, and dmesg on the VM."
  [[ -z "$used" ]] || refuse_unknown "$used"
  report mounting_disk 31 "Formatting the new data disk"
  # It was looked at; mkfs looks again, and would ask. What it discards could not be got back.
  try mounting_disk "The new data disk cannot be formatted." \
    mkfs.ext4 -q -m "$RESERVED_PERCENT" -L "$DISK_LABEL" -E nodiscard "$DEVICE"
}

# The position of a byte that is not zero; nothing when all that is looked at is. Fails where it cannot be read.
byte_in_use() {
  local size at length said
  size="$(blockdev --getsize64 "$DEVICE")" || return
  while read -r at length; do
    ((at + length <= size)) || length=$((size - at))
    ((at >= 0 && length > 0)) || continue
    said="$(LC_ALL=C cmp --bytes="$length" --ignore-initial="$at:0" "$DEVICE" /dev/zero)" && continue
    # "A B differ: byte 9, line 1"; anything else is trouble.
    [[ "$said" =~ ' differ: '(byte|char)' '([0-9]+) ]] || return 1
    echo $((at + BASH_REMATCH[2] - 1))
    return
  done < <(places_to_look "$size")
}

# places_to_look SIZE: position and length, in bytes, of what is read; some of it may lie past the end of a small disk.
places_to_look() {
  local size="$1" place group
  echo "0 $((ENDS_MIB * MIB))"
  echo "$((size > ENDS_MIB * MIB ? size - ENDS_MIB * MIB : 0)) $((ENDS_MIB * MIB))"
  for group in "${BLOCK_GROUPS[@]}"; do
    for place in "${BLOCK_GROUP_MIB[@]}"; do
      echo "$((group * place * MIB)) $SAMPLE_BYTES"
    done
  done
  for ((place = 0; place < SAMPLES; place++)); do
    echo "$((place * size / SAMPLES)) $SAMPLE_BYTES"
  done
}

# An ext4 whose first superblock is gone is the case in which formatting would do the most harm.
refuse_unknown() {
  local block size found
  # Where mkfs.ext4 puts the second one: with blocks of 4 KiB, and of 1 KiB on a small disk.
  for block in 32768:4096 8193:1024; do
    size="${block#*:}"
    block="${block%:*}"
    # A superblock is looked for 1024 bytes behind the offset.
    found="$(blkid --probe --offset $((block * size - 1024)) --match-tag TYPE --output value "$DEVICE")" || true
    [[ "$found" != ext[234] ]] ||
      refuse "an ext4 file system whose first superblock is damaged; a second one is whole" \
        "$(repair "e2fsck -b $block -B $size $DISK")"
  done
  refuse "data of a kind unknown here (its byte $1 is not zero)"
}

# --- a used disk ---

check_file_system() {
  local elsewhere
  elsewhere="$(findmnt --noheadings --first-only --output TARGET --source "$FILE_SYSTEM")" &&
    fail mounting_disk "The data disk is mounted at $elsewhere. Take that out of /etc/fstab, and start again."
  report mounting_disk 32 "Checking the data disk"
  preen
}

# preen [OPTION...]: repairs only what cannot cost anything, and takes no time on a clean disk. No limit cuts it short: a
# repair that is cut short leaves worse.
preen() {
  local said="$STATE/e2fsck.log" status=0
  e2fsck -p "$@" "$FILE_SYSTEM" >"$said" 2>&1 || status=$?
  cat "$said" >&2
  # Mounted out of our sight, or part of something.
  ! grep --quiet "is in use" "$said" || fail mounting_disk "The data disk is in use by something else on this VM: a \
container, a volume group, a RAID. Take it from there, and start again."
  # 1 and 2: what was wrong is repaired.
  ((status < 4)) || fail mounting_disk "The data disk's file system is damaged, and how it is repaired must be decided \
by a person. Nothing was formatted. $(repair "e2fsck -f $BY_HAND") e2fsck -p ended with $status:" "$said"
}

# A disk may be made larger at any time, and its file system follows at the next boot. Where it cannot, it is as it was.
grow_file_system() {
  local size header blocks block
  size="$(blockdev --getsize64 "$FILE_SYSTEM")"
  header="$(dumpe2fs -h "$FILE_SYSTEM" 2>/dev/null)"
  blocks="$(sed --quiet --expression 's/^Block count: *//p' <<<"$header")"
  block="$(sed --quiet --expression 's/^Block size: *//p' <<<"$header")"
  ((size - blocks * block >= GROW_FROM_BYTES)) || return 0
  report mounting_disk 32 "Making the file system as large as the data disk"
  # Resizing wants a check that looks at everything.
  preen -f
  resize2fs "$FILE_SYSTEM" >"$STATE/resize2fs.log" 2>&1 ||
    log "the data disk's file system was not made larger: $(cat "$STATE/resize2fs.log")"
}

# repair COMMAND: how a person goes about it.
repair() {
  echo "Make a snapshot of the disk, then run on the VM: sudo systemctl stop pilotlight-failed.timer; sudo $1. Then \
start again."
}

mount_file_system() {
  report mounting_disk 33 "Mounting the data disk"
  mkdir -p "$DATA"
  try mounting_disk "The data disk cannot be mounted. Nothing was formatted. What the kernel says: dmesg on the VM." \
    mount --types ext4 --options "$MOUNT_OPTIONS" "$FILE_SYSTEM" "$DATA"
}

refuse_unwritable() {
  local options said
  options="$(findmnt --noheadings --first-only --output OPTIONS --mountpoint "$DATA")"
  [[ ",$options," != *,ro,* ]] || fail mounting_disk "The data disk's file system is read-only, as after an error. \
$(repair "umount $DATA; sudo e2fsck -f $DISK")"
  said="$(LC_ALL=C touch "$DATA/.writable" 2>&1)" || [[ "$said" == *"No space left"* ]] ||
    fail mounting_disk "The data disk cannot be written on: $said"
  rm -f "$DATA/.writable"
}

# --- what lies where ---

# Only what root alone can put elsewhere: inside, a link laid by a custom node could lead anywhere. Other folders are made
# by those who use them.
make_directories() {
  chown root:root "$DATA"
  chmod 0755 "$DATA"
  directory comfyui "$DISK_OWNER" 0755
  directory comfyui-versions "$DISK_OWNER" 0755
  directory certificates root 0700
  directory queue "$QUEUE_OWNER" 0700
}

# directory NAME OWNER MODE
directory() {
  local path="$DATA/$1" was
  # Whoever made it a link could do so only as root.
  [[ ! -L "$path" ]] || return 0
  if [[ ! -d "$path" ]]; then
    { mkdir --mode "$3" "$path" && chown "$2:" "$path"; } 2>"$STATE/directory.log" ||
      fail mounting_disk "The data disk has no folder $1, and none can be made." "$STATE/directory.log"
    return
  fi
  was="$(stat --format %u "$path")"
  [[ "$was" != "$(id --user "$2")" ]] || return 0
  # The user had another number on the system that this was written by: once, all that was its is made ours.
  log "$path belonged to the user number $was; it is $2's from now on"
  chown --recursive --no-dereference --from="$was" "$2:" "$path"
}

# How much is free, in words; says so where it is little.
room() {
  local free size
  read -r free size < <(df --block-size=1M --output=avail,size "$DATA" | tail --lines 1)
  ((free >= NEARLY_FULL_GIB * 1024)) || printf 'it is nearly full, '
  awk -v free="$free" -v size="$size" 'BEGIN { printf "%.1f of %.1f GiB are free", free / 1024, size / 1024 }'
}
