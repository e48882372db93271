#!/usr/bin/env bash
# Lays out everything that the image holds:
#
#   image/layout.sh PROGRAM CERTIFICATES ROOT
#
# PROGRAM is `control-plane`, statically linked; CERTIFICATES a bundle of authorities in PEM; ROOT a folder, empty or not
# there yet. The build stage of the Dockerfile calls this, and so does image/test.sh.
set -euo pipefail

main() {
  (($# == 3)) || fail "found $# arguments; expected PROGRAM CERTIFICATES ROOT"
  local program="$1" certificates="$2" root="$3" role
  is_static "$program" || fail "PROGRAM: found $program; expected a statically linked program"
  grep -q "BEGIN CERTIFICATE" "$certificates" || fail "CERTIFICATES: found $certificates; expected certificates in PEM"
  [[ -z "$(ls -A "$root" 2>/dev/null)" ]] || fail "ROOT: found files in $root; expected an empty folder"

  install -D -m 0555 "$program" "$root/control-plane"
  # A role is the name that the program is started under.
  for role in auth lifecycle reaper; do
    ln -s control-plane "$root/$role"
  done
  install -D -m 0444 "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
  # Nothing runs as root, and nobody logs in.
  file "$root/etc/passwd" 'nobody:x:65532:65532:nobody:/:/control-plane'
  # Where names are looked up; without it, `localhost` would be asked of the name servers first.
  file "$root/etc/nsswitch.conf" 'hosts: files dns'
  file "$root/etc/hosts" '127.0.0.1 localhost' '::1 localhost'
}

# file PATH LINE...
file() {
  install -m 0444 <(printf '%s\n' "${@:2}") "$1"
}

fail() {
  echo "layout.sh: $1" >&2
  exit 1
}

# A program without an interpreter needs no loader and no library.
is_static() {
  [[ -x "$1" ]] && ! readelf --program-headers --wide "$1" | grep -q INTERP
}

main "$@"
