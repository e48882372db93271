#!/usr/bin/env bash
# A VM of the pocket cloud (`--vm-program`): a container that boots like one. SIGTERM is its power button, SIGKILL its
# plug, and when it ends it is off.
#
# VM_DIR: its folder, with `root`, the mounted boot disk. VM_DISK: the block device that is its data disk; none when
# empty. VM_FILES: a folder that it finds as /opt/given. STORAGE: where it finds its buckets. INSTANCE and METADATA come
# from the pocket cloud.
set -euo pipefail

disk=()
[[ -z "${VM_DISK:-}" ]] || disk=(--bind="$VM_DISK:/dev/disk/by-id/google-pilotlight-data")
exec systemd-nspawn --quiet --boot --directory "$VM_DIR/root" --machine "$INSTANCE" --register=no --keep-unit \
  --capability=CAP_NET_ADMIN --console=pipe --resolv-conf=off --timezone=off --link-journal=no \
  --bind-ro="$VM_FILES:/opt/given" "${disk[@]}" \
  --setenv=METADATA="$METADATA" --setenv=STORAGE="$STORAGE" >>"$VM_DIR/console.log" 2>&1
