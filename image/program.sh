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
  case "$program" in
    control-plane)
      # A target that is named keeps the flag from build scripts and macros, which cannot be static. The relocations of
      # a program that may lie anywhere in memory are packed: half a megabyte otherwise.
      RUSTFLAGS="-C target-feature=+crt-static" build "$program" "$host" -- -C link-arg=-Wl,-z,pack-relative-relocs
      ;;
    gateway)
      # It loads the driver's library while it runs, which a static program cannot. Packed relocations would need a
      # newer libc (2.36) than the oldest VM has.
      build "$program" "$host"
      ;;
    *)
      echo "found $program; expected control-plane or gateway" >&2
      exit 2
      ;;
  esac
  echo "target/$host/image/$program"
}

# build PROGRAM TARGET [OPTION...]
build() {
  cargo rustc --profile image --locked --quiet --target "$2" -p "$1" --bin "$1" "${@:3}"
}

main "$@"
