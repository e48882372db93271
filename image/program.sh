#!/usr/bin/env bash
# Builds the program as it is shipped, and prints where it lies. The build stage of the Dockerfile calls this, and so does
# docs/bench/all.sh. Ten minutes on two cores.
set -euo pipefail

main() {
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  local host
  host="$(rustc --print host-tuple)"
  # A target that is named keeps the flag from build scripts and macros, which cannot be static. The relocations of a
  # program that may lie anywhere in memory are packed: half a megabyte otherwise.
  RUSTFLAGS="-C target-feature=+crt-static" \
    cargo rustc --profile image --locked --quiet --target "$host" -p control-plane --bin control-plane \
    -- -C link-arg=-Wl,-z,pack-relative-relocs
  echo "target/$host/image/control-plane"
}

main "$@"
