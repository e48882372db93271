#!/usr/bin/env bash
# rustc, which links the control plane statically and everything else as it is asked to. As RUSTC_WRAPPER it lets one build serve
# both the tests and the image: with the flag for all crates, or for this one by itself, everything would be built anew.
set -euo pipefail

rustc="$1"
shift
if [[ " $* " == *" --crate-name control_plane "*" --crate-type bin "* && " $* " != *" --test "* ]]; then
  set -- "$@" -C target-feature=+crt-static
fi
exec "$rustc" "$@"
