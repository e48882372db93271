#!/usr/bin/env bash
# Builds a program as it is shipped, and prints where it lies:
#
#   image/program.sh [control-plane | gateway]
#
# The build stage of the Dockerfile calls this for the control plane, as does docs/bench/all.sh; vm/bundle.sh for the
# gateway. Ten minutes on two cores.
set -euo pipefail

main() {
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  local host program="${1:-control-plane}"
  host="$(rustc --print host-tuple)"
  # A target that is named keeps the flag from build scripts and macros, which cannot be static. The relocations of a
  # program that may lie anywhere in memory are packed: half a megabyte otherwise.
  RUSTFLAGS="-C target-feature=+crt-static" \
    cargo rustc --profile image --locked --quiet --target "$host" -p "$program" --bin "$program" \
    -- -C link-arg=-Wl,-z,pack-relative-relocs
  echo "target/$host/image/$program"
}

main "$@"
