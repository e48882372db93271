#!/usr/bin/env bash
# Packs what a VM fetches at its first boot: the gateway, the boot's steps, and the files that they install.
#
#   vm/bundle.sh OUT_DIR [GATEWAY] [--upload gs://BUCKET/PREFIX]
#
# Writes OUT_DIR/DIGEST.tar.gz and prints where it lies and its SHA-256, by which the VM knows it: the same files give the
# same digest, on any machine. GATEWAY is the gateway's program, which asks for no newer libc than the oldest system has; without
# it, it is built. With --upload the bundle is put into the bucket under its digest, where it is never overwritten, and
# what the VM's metadata must say is printed.
set -euo pipefail
export LC_ALL=C

# What no boot can do without: the steps that startup.sh takes, and the files that they install. All of this folder is
# packed, but for what is only of use here.
STEPS=(install_doctor install_packages start_gateway mount_data_disk install_comfyui fetch_manifest start_comfyui get_certificate
  start_nginx)
FILES=(startup.sh packages.txt requirements-certbot.txt doctor.sh doctor nginx systemd/comfyui.service systemd/pilotlight-gateway.service
  systemd/pilotlight-certificate.service systemd/pilotlight-certificate.timer
  systemd/pilotlight-poweroff.path systemd/pilotlight-poweroff.service)
LEFT_OUT=(tests gateway bake bundle.sh)

SCRATCH=""

main() {
  local own here out="" gateway="" upload="" bundle digest
  own="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
  here="${VM_FOLDER:-$own}"
  read_arguments "$@"
  [[ -z "$gateway" ]] || "$own/gateway/build.sh" --check "$gateway"
  nothing_is_missing "$here"
  SCRATCH="$(mktemp --directory)"
  trap 'rm -rf "$SCRATCH"' EXIT
  [[ -n "$gateway" ]] || gateway="$here/../$("$here/gateway/build.sh")"
  lay_out "$here" "$gateway" "$SCRATCH/bundle"
  pack "$SCRATCH/bundle" >"$SCRATCH/bundle.tar.gz"
  digest="$(sha256sum "$SCRATCH/bundle.tar.gz" | cut --delimiter ' ' --fields 1)"
  mkdir -p "$out"
  bundle="$out/$digest.tar.gz"
  cp "$SCRATCH/bundle.tar.gz" "$bundle"
  echo "bundle: $bundle"
  [[ -z "$upload" ]] || put_into_bucket "$bundle" "$upload/$digest.tar.gz"
  echo "bundle_sha256: $digest"
}

# Sets what main has declared.
read_arguments() {
  local places=()
  while (($# > 0)); do
    case "$1" in
      --help | -h) sed --quiet --expression '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit ;;
      --upload)
        upload="${2:-}"
        [[ "$upload" == gs://?* ]] || fail "--upload: found ${upload:-nothing}; expected gs://BUCKET/PREFIX"
        shift
        ;;
      -*) fail "found $1; expected OUT_DIR [GATEWAY] [--upload gs://BUCKET/PREFIX]" ;;
      *) places+=("$1") ;;
    esac
    shift
  done
  ((${#places[@]} == 1 || ${#places[@]} == 2)) ||
    fail "found ${#places[@]} arguments; expected OUT_DIR [GATEWAY] [--upload gs://BUCKET/PREFIX]"
  out="${places[0]}"
  gateway="${places[1]:-}"
  upload="${upload%/}"
}

fail() {
  echo "bundle.sh: $1" >&2
  exit 1
}

# A program that names no interpreter needs no loader and no library.
nothing_is_missing() {
  local file step missing=()
  for file in "${FILES[@]}"; do
    [[ -e "$1/$file" ]] || missing+=("$file")
  done
  for step in "${STEPS[@]}"; do
    grep --quiet --extended-regexp "^$step\(\)" "$1"/steps/*.sh || missing+=("the step $step")
  done
  ((${#missing[@]} == 0)) || fail "$1 lacks: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')"
}

# lay_out FROM GATEWAY TO: modes are ours, for a checkout's depend on who checks out.
lay_out() {
  local from="$1" to="$3" file mode left_out=()
  for file in "${LEFT_OUT[@]}"; do
    left_out+=(-path "./$file" -o)
  done
  install -D --mode 0755 "$2" "$to/bin/gateway"
  while IFS= read -r -d '' file; do
    mode=0644
    [[ "$file" != *.sh ]] || mode=0755
    install -D --mode "$mode" "$from/$file" "$to/$file"
  done < <(cd "$from" && find . \( "${left_out[@]}" -name '.*' -not -name . \) -prune -o -type f -print0)
}

# Nothing in it depends on when, where and by whom it was packed.
pack() {
  tar --create --directory "$1" --sort name --format gnu --mtime @0 --owner 0 --group 0 --numeric-owner \
    --mode u=rwX,go=rX . | gzip --no-name --best
}

put_into_bucket() {
  gcloud storage cp --no-clobber "$1" "$2" >&2 || fail "the bundle could not be put into the bucket as $2"
  echo "bundle_url: $2"
}

main "$@"
