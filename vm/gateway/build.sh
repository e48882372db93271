#!/usr/bin/env bash
# Builds the gateway as a VM runs it, and prints where it lies:
#
#   vm/gateway/build.sh
#   vm/gateway/build.sh --check PROGRAM     only says whether this program runs on every VM
#
# It is not linked statically, as the control plane is: a static program cannot load NVIDIA's library while it runs, and
# without that the gateway does not see the GPU at work. So it takes the VM's own glibc, and must need none that is newer
# than the oldest of them: Ubuntu 22.04 has 2.35, Debian 12 has 2.36. Built on Debian 12 it needs 2.34. On a system with
# 2.38 or newer it would need that; build it in a container of debian:12 or ubuntu:22.04 there.
set -euo pipefail
export LC_ALL=C

GLIBC_MOST=2.35

main() {
  cd "$(dirname "${BASH_SOURCE[0]}")/../.."
  local program="target/release/gateway"
  case "$#:${1:-}" in
    0:) ;;
    2:--check) check "$2" && return ;;
    *) fail "found $*; expected nothing, or --check PROGRAM" ;;
  esac
  # Nothing that packs relocations: its mark asks for glibc 2.36.
  cargo build --release --locked --quiet --package gateway --bin gateway
  check "$program"
  echo "$program"
}

# check PROGRAM: ends where it would not run on every VM, or not see the GPU.
check() {
  local needed headers
  [[ -f "$1" ]] || fail "$1: there is no such program"
  headers="$(readelf --program-headers "$1" 2>/dev/null || true)"
  [[ "$headers" == *INTERP* ]] ||
    fail "$1: this is linked statically, or no program at all; it could not load NVIDIA's library"
  needed="$(glibc_needed "$1")"
  [[ "$(printf '%s\n' "$needed" "$GLIBC_MOST" | sort --version-sort | tail --lines 1)" == "$GLIBC_MOST" ]] ||
    fail "$1: this needs glibc $needed; expected at most $GLIBC_MOST, which the oldest VM image has"
}

# The newest glibc that anything in it asks for. Packed relocations ask by a name of their own.
glibc_needed() {
  readelf --version-info --wide "$1" | sed --quiet --expression 's/.*Name: GLIBC_\([A-Z0-9_.]*\).*/\1/p' |
    sed --expression 's/^ABI_DT_RELR$/2.36/' | sort --version-sort | tail --lines 1
}

fail() {
  echo "build.sh: $1" >&2
  exit 1
}

main "$@"
