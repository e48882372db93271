#!/usr/bin/env bash
# Runs a command in a small world of its own: a network with nothing but loopback (where the VM has the addresses that
# it has on Google's), so that ports 80 and 443 are free; mounts and processes that end with it.
set -euo pipefail

# From the blocks for documentation (RFC 5737), so that nobody else has them.
VM_ADDRESS=203.0.113.10
OTHER_ADDRESS=203.0.113.66

main() {
  [[ -n "${INSIDE:-}" ]] || exec env INSIDE=true unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$@"
  ip link set lo up
  ip address add "$VM_ADDRESS/32" dev lo
  # Somebody whom an allow-list does not name.
  ip address add "$OTHER_ADDRESS/32" dev lo
  exec "$@"
}

main "$@"
