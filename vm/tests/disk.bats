#!/usr/bin/env bats
# The data disk, on loop devices: what is formatted, what is mounted, and what is left alone to the last byte.

bats_require_minimum_version 1.5.0

setup() {
  load support
  setup_root
  IMAGE="$BATS_TEST_TMPDIR/disk.img"
  LOOPS=()
  export DISKS="$BATS_TEST_TMPDIR/by-id"
  mkdir -p "$DISKS"
  stub systemctl 'exit 3'
  stub systemd-run 'exit 0'
  stub curl 'exit 7'
  load_startup
  # shellcheck source=/dev/null
  source "$REPO/vm/steps/disk.sh"
  DATA_DISK=""
  DISK_WITHIN=1
  DISK_OWNER=games QUEUE_OWNER=man
  NEARLY_FULL_GIB=0
}

teardown() {
  local loop folder
  for folder in "$ROOT/mnt/pilotlight" "$BATS_TEST_TMPDIR/elsewhere"; do
    # A step gone wrong may have mounted it twice.
    umount --recursive "$folder" 2>/dev/null && umount "$folder" 2>/dev/null || true
  done
  for loop in "${LOOPS[@]}"; do
    partx --delete "$loop" 2>/dev/null || true
    losetup --detach "$loop" 2>/dev/null || true
  done
}

# blank SIZE: a disk on which nothing was ever written.
blank() {
  truncate --size "$1" "$IMAGE"
}

# attach [OPTION...]: the image as a block device under the name that the cloud would give it.
attach() {
  LOOP="$(losetup --find --show "$@" "$IMAGE")"
  LOOPS+=("$LOOP")
  # The kernel keeps the partitions of a loop device's last image.
  partx --delete "$LOOP" 2>/dev/null || true
  ln -sfn "$LOOP" "$DISKS/google-pilotlight-data"
}

# detach: the device is somebody else's from now on, and teardown leaves it alone.
detach() {
  losetup --detach "$LOOP"
  unset "LOOPS[-1]"
}

# unmount FOLDER: and waits, for the namespaces of other tests' containers keep a mount a while longer.
unmount() {
  local tried
  umount "$1"
  for tried in {1..300}; do
    [[ "$(e2fsck -n "${PARTITION:-$LOOP}" 2>&1)" == *"is in use"* ]] || return 0
    sleep 0.1
  done
  echo "${PARTITION:-$LOOP} is still in use after $tried looks" >&2
  return 1
}

# boot: the step, as startup.sh would take it: its failure ends the shell.
boot() {
  run --separate-stderr bash -c 'set -euo pipefail
    source "$REPO/vm/startup.sh"; source "$REPO/vm/steps/disk.sh"
    CONTROL_AUDIENCE="" DATA_DISK="'"$DATA_DISK"'" DISK_WITHIN="'"$DISK_WITHIN"'" DISK_OWNER="'"$DISK_OWNER"'"
    QUEUE_OWNER="'"$QUEUE_OWNER"'"
    NEARLY_FULL_GIB="'"$NEARLY_FULL_GIB"'"
    mount_data_disk'
}

mounts() {
  boot
  [[ "$status" == 0 ]] || { echo "$stderr" >&2; return 1; }
  mountpoint --quiet "$ROOT/mnt/pilotlight"
  [[ "$(told .failed)" == false ]]
}

# refuses WORDS: the boot fails with these words, and nothing on the disk is another than before.
refuses() {
  local before after
  sync
  before="$(sha256sum <"$IMAGE")"
  boot
  sync
  [[ "${LOOP:-}" == "" ]] || blockdev --flushbufs "$LOOP"
  after="$(sha256sum <"$IMAGE")"
  [[ "$status" == 1 ]] || { echo "ended with $status: $stderr" >&2; return 1; }
  [[ "$(told .failed)" == true && "$(told .step)" == mounting_disk ]]
  [[ "$(told .detail)" == *"$1"* ]] || { echo "told: $(told .detail)" >&2; return 1; }
  [[ "$before" == "$after" ]] || { echo "the disk was written on" >&2; return 1; }
  ! mountpoint --quiet "$ROOT/mnt/pilotlight"
}

# used [OPTION...]: a disk with a file on it.
used() {
  mkfs.ext4 -q "$@" "$IMAGE"
  put marker "somebody's work"
}

# put NAME TEXT: a file on the image, without mounting it.
put() {
  printf '%s' "$2" >"$BATS_TEST_TMPDIR/file"
  debugfs -w -R "write $BATS_TEST_TMPDIR/file $1" "$IMAGE" 2>/dev/null
}

keeps_its_files() {
  [[ "$(cat "$ROOT/mnt/pilotlight/marker")" == "somebody's work" ]]
}

@test "a disk on which nothing is is formatted, mounted and laid out" {
  blank 300M
  attach
  mounts
  [[ "$(blkid --probe --match-tag LABEL --output value "$LOOP")" == pilotlight ]]
  [[ "$(blkid --probe --match-tag TYPE --output value "$LOOP")" == ext4 ]]
  [[ "$(stat --format '%U %a' "$ROOT/mnt/pilotlight")" == "root 755" ]]
  local folder
  for folder in comfyui comfyui-versions; do
    [[ "$(stat --format '%U %a' "$ROOT/mnt/pilotlight/$folder")" == "games 755" ]]
  done
  [[ "$(stat --format '%U %a' "$ROOT/mnt/pilotlight/certificates")" == "root 700" ]]
  [[ "$(stat --format '%U %a' "$ROOT/mnt/pilotlight/queue")" == "man 700" ]]
  [[ "$(told .step)" == mounting_disk && "$(told .detail)" == *"are free" ]]
}

@test "it is mounted so that a broken file system is not written on, and nothing on it gains rights" {
  blank 64M
  attach
  mounts
  local options
  options="$(findmnt --noheadings --output OPTIONS "$ROOT/mnt/pilotlight")"
  [[ ",$options," == *,noatime,* && ",$options," == *,nodev,* && ",$options," == *,nosuid,* ]]
  [[ ",$options," == *,errors=remount-ro,* ]]
  [[ ",$options," != *,noexec,* ]]
}

@test "a used disk keeps its files" {
  blank 64M
  used -L pilotlight
  attach
  mounts
  keeps_its_files
}

@test "a second boot finds what the first has left" {
  blank 64M
  attach
  mounts
  echo "made in the first run" >"$ROOT/mnt/pilotlight/comfyui/picture"
  unmount "$ROOT/mnt/pilotlight"
  mounts
  [[ "$(cat "$ROOT/mnt/pilotlight/comfyui/picture")" == "made in the first run" ]]
}

@test "the step can be taken again while the disk is mounted and in use" {
  blank 64M
  attach
  mounts
  exec 9>"$ROOT/mnt/pilotlight/comfyui/open"
  mounts
  exec 9>&-
  [[ "$(findmnt --noheadings --output TARGET --source "$LOOP" | wc --lines)" == 1 ]]
}

@test "a disk that was not unmounted is mounted, with its files" {
  blank 64M
  used
  # As after a preemption: the journal has to be replayed.
  debugfs -w -R "feature needs_recovery" "$IMAGE" 2>/dev/null
  attach
  mounts
  keeps_its_files
  [[ "$(cat "$ROOT/run/pilotlight/e2fsck.log")" == *"recovering journal"* ]]
}

@test "damage that preening mends is mended" {
  blank 64M
  used
  debugfs -w -R "set_super_value free_blocks_count 7" "$IMAGE" 2>/dev/null
  debugfs -w -R "set_super_value state 2" "$IMAGE" 2>/dev/null
  attach
  mounts
  keeps_its_files
  [[ "$(cat "$ROOT/run/pilotlight/e2fsck.log")" == *"contains a file system with errors, check forced"* ]]
}

@test "damage that a person must decide on is told, with the command, and the files are still there" {
  blank 64M
  used
  # The root folder is gone.
  debugfs -w -R "clri <2>" "$IMAGE" 2>/dev/null
  debugfs -w -R "set_super_value state 2" "$IMAGE" 2>/dev/null
  attach
  boot
  [[ "$status" == 1 && "$(told .failed)" == true ]]
  [[ "$(told .detail)" == *"damaged"*"sudo e2fsck -f $DISKS/google-pilotlight-data"* ]]
  [[ "$(told .detail)" == *"UNEXPECTED INCONSISTENCY"* ]]
  run ! mountpoint --quiet "$ROOT/mnt/pilotlight"
  # What a person then does brings the work back.
  e2fsck -f -y "$LOOP" >/dev/null 2>&1 || true
  mounts
  grep --quiet --recursive "somebody's work" "$ROOT/mnt/pilotlight"
}

@test "a first superblock of zeros is no empty disk, and the second one is named" {
  # With blocks of 4 KiB the second one lies at 128 MiB.
  blank 160M
  used -b 4096
  dd if=/dev/zero of="$IMAGE" bs=1024 seek=1 count=1 conv=notrunc status=none
  [[ -z "$(blkid --probe "$IMAGE")" ]]
  attach
  refuses "sudo e2fsck -b 32768 -B 4096 $DISKS/google-pilotlight-data"
  # The advice holds.
  e2fsck -y -b 32768 -B 4096 "$LOOP" >/dev/null 2>&1 || true
  mounts
  keeps_its_files
}

@test "a corrupt first superblock on a small disk is no empty disk" {
  blank 64M
  used -b 1024
  dd if=/dev/urandom of="$IMAGE" bs=1024 seek=1 count=1 conv=notrunc status=none
  attach
  refuses "sudo e2fsck -b 8193 -B 1024"
}

@test "an ext4 whose first megabytes are all zero is no empty disk" {
  blank 160M
  used -b 4096
  dd if=/dev/zero of="$IMAGE" bs=1M count=100 conv=notrunc status=none
  attach
  refuses "first superblock is damaged"
}

@test "one byte at the very start, or the very end, keeps a disk from being formatted" {
  blank 64M
  printf 'x' | dd of="$IMAGE" bs=1 seek=0 conv=notrunc status=none
  attach
  refuses "its byte 0 is not zero"
  detach
  rm "$IMAGE"
  blank 64M
  printf 'x' | dd of="$IMAGE" bs=1 seek=$((64 * 1024 * 1024 - 1)) conv=notrunc status=none
  attach
  refuses "its byte 67108863 is not zero"
}

@test "a byte where a block group begins keeps a large disk from being formatted" {
  blank 64G
  printf 'x' | dd of="$IMAGE" bs=1 seek=$((30 * 1024 * 1024 * 1024 + 4)) conv=notrunc status=none
  attach
  # The image is sparse; a digest of it all would take minutes.
  boot
  [[ "$status" == 1 && "$(told .detail)" == *"its byte 32212254724 is not zero"* ]]
  [[ -z "$(blkid --probe "$LOOP")" ]]
}

@test "the label does not matter: the device's name is what counts" {
  blank 64M
  used -L my-old-models
  attach
  mounts
  keeps_its_files
  [[ "$(blkid --probe --match-tag LABEL --output value "$LOOP")" == my-old-models ]]
}

@test "a disk under the name that the metadata gives is taken, and no other" {
  blank 64M
  used
  attach
  mv "$DISKS/google-pilotlight-data" "$DISKS/google-models"
  DATA_DISK=models
  mounts
  keeps_its_files
}

@test "a full disk is mounted, so that something can be deleted" {
  blank 64M
  attach
  mounts
  dd if=/dev/zero of="$ROOT/mnt/pilotlight/comfyui/model" bs=1M 2>/dev/null || true
  unmount "$ROOT/mnt/pilotlight"
  NEARLY_FULL_GIB=5
  mounts
  [[ "$(told .detail)" == *"nearly full, 0.0 of"* ]]
  rm "$ROOT/mnt/pilotlight/comfyui/model"
}

@test "a full disk on which the folders are missing is told" {
  blank 64M
  used
  attach
  mkdir "$BATS_TEST_TMPDIR/elsewhere"
  mount "$LOOP" "$BATS_TEST_TMPDIR/elsewhere"
  dd if=/dev/zero of="$BATS_TEST_TMPDIR/elsewhere/model" bs=64k 2>/dev/null || true
  dd if=/dev/zero of="$BATS_TEST_TMPDIR/elsewhere/rest" bs=512 2>/dev/null || true
  unmount "$BATS_TEST_TMPDIR/elsewhere"
  boot
  [[ "$status" == 1 && "$(told .detail)" == *"has no folder comfyui, and none can be made"*"No space left"* ]]
}

@test "a disk attached read-only is told" {
  blank 64M
  used
  attach --read-only
  refuses "attached read-only"
}

@test "an empty disk attached read-only is told, too" {
  blank 64M
  attach --read-only
  refuses "attached read-only"
}

@test "a file system that is read-only by itself is told" {
  blank 64M
  attach
  mounts
  mount -o remount,ro "$ROOT/mnt/pilotlight"
  boot
  [[ "$status" == 1 && "$(told .detail)" == *"file system is read-only"* ]]
}

@test "one partition with ext4 is mounted" {
  with_partition
  mkfs.ext4 -q "$PARTITION"
  mkdir "$BATS_TEST_TMPDIR/elsewhere"
  mount "$PARTITION" "$BATS_TEST_TMPDIR/elsewhere"
  printf '%s' "somebody's work" >"$BATS_TEST_TMPDIR/elsewhere/marker"
  unmount "$BATS_TEST_TMPDIR/elsewhere"
  mounts
  keeps_its_files
  mounts
}

@test "a partition without a file system is told, and left alone" {
  with_partition
  refuses "a partition table (gpt), and in its partition nothing known"
}

# A disk with one partition, whose node there may be no udev to make.
with_partition() {
  blank 64M
  sfdisk --quiet --label gpt "$IMAGE" <<<'start=2048'
  attach
  PARTITION="${LOOP}p1"
  [[ -b "$PARTITION" ]] || partx --add "$LOOP"
}

@test "a partition table with nothing in it is told, and left alone" {
  blank 64M
  sfdisk --quiet "$IMAGE" <<<'label: gpt'
  attach
  refuses "a partition table (gpt) with 0 partitions"
}

@test "a partition table of DOS is told, and left alone" {
  blank 64M
  printf '%s\n' 'size=20M' 'size=20M' | sfdisk --quiet --label dos "$IMAGE"
  attach
  refuses "a partition table (dos)"
}

@test "another file system, swap and volumes are told by their names, and left alone" {
  blank 64M
  mkswap --quiet "$IMAGE" 2>/dev/null || mkswap "$IMAGE" >/dev/null
  attach
  refuses "the type swap"
  detach
  if command -v mkfs.xfs >/dev/null; then
    # It takes no smaller one.
    truncate --size 320M "$IMAGE"
    mkfs.xfs -f -q "$IMAGE"
    attach
    refuses "the type xfs"
    detach
  fi
  # The end of a RAID of md, 1.0: its label is 8 KiB before the end.
  rm "$IMAGE"
  blank 64M
  printf '\xfc\x4e\x2b\xa9\1\0\0\0' | dd of="$IMAGE" bs=1 seek=$((64 * 1024 * 1024 - 8192)) conv=notrunc status=none
  attach
  refuses "Not a byte of it was changed"
}

@test "an encrypted disk is told, and left alone" {
  blank 64M
  if command -v cryptsetup >/dev/null; then
    printf 'secret' | cryptsetup luksFormat --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$IMAGE" -
  else
    printf 'LUKS\xba\xbe\0\1aes\0' | dd of="$IMAGE" conv=notrunc status=none
  fi
  attach
  refuses "crypto_LUKS"
}

@test "what could be two file systems is told, and left alone" {
  blank 64M
  used -b 1024
  # The label of a ReiserFS, with blocks of 4096 bytes, beside it.
  printf '\0\x10\0\0\0\0\0\0ReIsEr2Fs' | dd of="$IMAGE" bs=1 seek=$((65536 + 44)) conv=notrunc status=none
  attach
  refuses "more than one file system"
}

@test "a disk that was made larger has a larger file system, with its files" {
  blank 64M
  used
  attach
  truncate --size 200M "$IMAGE"
  losetup --set-capacity "$LOOP"
  mounts
  keeps_its_files
  (($(df --block-size=1M --output=size "$ROOT/mnt/pilotlight" | tail --lines 1) > 150))
}

@test "a file system that cannot be made larger is mounted as it is" {
  blank 64M
  used
  attach
  truncate --size 200M "$IMAGE"
  losetup --set-capacity "$LOOP"
  stub resize2fs 'echo "no room for that"; exit 1'
  mounts
  keeps_its_files
  [[ "$stderr" == *"was not made larger: no room for that"* ]]
}

@test "a disk that is not attached is told, with its name and what to do" {
  refuses_without_disk "did not appear within 1 s. Attach it"
  DATA_DISK=models
  refuses_without_disk "google-models"
}

refuses_without_disk() {
  boot
  [[ "$status" == 1 && "$(told .failed)" == true && "$(told .detail)" == *"$1"* ]]
}

@test "a disk that appears a little later is waited for" {
  blank 64M
  used
  attach
  mv "$DISKS/google-pilotlight-data" "$DISKS/later"
  DISK_WITHIN=10
  (sleep 1.5 && mv "$DISKS/later" "$DISKS/google-pilotlight-data") 3>&- &
  local mover=$!
  mounts
  wait "$mover"
}

@test "a mount that fails is a failure, never a format" {
  blank 64M
  used
  attach
  stub mount 'echo "mount: wrong fs type" >&2; exit 32'
  boot
  [[ "$status" == 1 && "$(told .detail)" == *"cannot be mounted. Nothing was formatted"*"wrong fs type"* ]]
  rm "$BATS_TEST_TMPDIR/bin/mount"
  mounts
  keeps_its_files
}

@test "a disk that cannot be read is told, not formatted" {
  blank 64M
  attach
  stub cmp 'echo "cmp: Input/output error" >&2; exit 2'
  refuses "cannot be read"
}

@test "a disk that is mounted elsewhere is told" {
  blank 64M
  used
  attach
  mkdir "$BATS_TEST_TMPDIR/elsewhere"
  mount "$LOOP" "$BATS_TEST_TMPDIR/elsewhere"
  boot
  [[ "$status" == 1 && "$(told .detail)" == *"is mounted at $BATS_TEST_TMPDIR/elsewhere"* ]]
}

@test "a disk that is in use out of sight is told" {
  blank 64M
  used
  attach
  mkdir "$BATS_TEST_TMPDIR/elsewhere"
  unshare --mount --propagation private sh -c 'mount "$1" "$2" && exec sleep 60' sh "$LOOP" "$BATS_TEST_TMPDIR/elsewhere" 3>&- &
  local holder=$! looked
  for looked in {1..100}; do
    [[ "$(e2fsck -n "$LOOP" 2>&1)" != *"is in use"* ]] || break
    sleep 0.1
  done
  boot
  kill "$holder"
  [[ "$status" == 1 && "$(told .detail)" == *"in use by something else"* ]]
}

@test "something else that is mounted in its place is told" {
  blank 64M
  used
  attach
  mkdir -p "$ROOT/mnt/pilotlight"
  mount -t tmpfs tmpfs "$ROOT/mnt/pilotlight"
  boot
  [[ "$status" == 1 && "$(told .detail)" == *"Something else is mounted"* ]]
}

@test "what a user of another number wrote is made ours, once, and no link is followed" {
  blank 64M
  attach
  mounts
  touch "$ROOT/mnt/pilotlight/comfyui/old" "$BATS_TEST_TMPDIR/victim"
  ln -s "$BATS_TEST_TMPDIR/victim" "$ROOT/mnt/pilotlight/comfyui/link"
  chown -R -h 4321:4321 "$ROOT/mnt/pilotlight/comfyui"
  chown 4321 "$BATS_TEST_TMPDIR/victim"
  touch "$ROOT/mnt/pilotlight/comfyui/of-root" "$ROOT/mnt/pilotlight/queue/queue.json"
  chown -R 4322:4322 "$ROOT/mnt/pilotlight/queue"
  mounts
  [[ "$(stat --format '%U %a' "$ROOT/mnt/pilotlight/queue" "$ROOT/mnt/pilotlight/queue/queue.json")" == "man 700"$'\n'"man 644" ]]
  [[ "$(stat --format %U "$ROOT/mnt/pilotlight/comfyui/old")" == games ]]
  [[ "$(stat --format %U "$ROOT/mnt/pilotlight/comfyui/of-root")" == root ]]
  [[ "$(stat --format %u "$BATS_TEST_TMPDIR/victim")" == 4321 ]]
}
