#!/usr/bin/env bats
# The bundle: the same files make the same digest, and nothing that a boot needs is left out.

bats_require_minimum_version 1.5.0

setup() {
  load support
  setup_root
  OUT="$BATS_TEST_TMPDIR/out"
  # A program that is there on every system.
  GATEWAY=/usr/bin/true
  export VM_FOLDER="$BATS_TEST_TMPDIR/vm"
  make_folder
  stub gcloud 'exit 0'
}

# A folder with all that a bundle must have, and with what it must not.
make_folder() {
  local step unit
  mkdir -p "$VM_FOLDER"/{steps,nginx,systemd,doctor,tests,bake,gateway/src}
  for step in install_doctor install_packages start_gateway mount_data_disk install_comfyui fetch_manifest start_comfyui \
    get_certificate start_nginx; do
    printf '%s() {\n  true\n}\n' "$step" >"$VM_FOLDER/steps/$step.sh"
  done
  for unit in comfyui.service pilotlight-gateway.service pilotlight-certificate.service pilotlight-certificate.timer \
    pilotlight-poweroff.path pilotlight-poweroff.service; do
    echo "[Unit]" >"$VM_FOLDER/systemd/$unit"
  done
  echo "a" >"$VM_FOLDER/nginx/nginx.conf"
  echo "b" >"$VM_FOLDER/doctor/disk.sh"
  echo "c" >"$VM_FOLDER/tests/left.bats"
  echo "d" >"$VM_FOLDER/bake/left.sh"
  echo "e" >"$VM_FOLDER/gateway/src/left.rs"
  touch "$VM_FOLDER"/{packages.txt,requirements-certbot.txt,doctor.sh,bundle.sh,startup.sh,.left}
}

# bundle ARGUMENT...: packs; leaves the digest in DIGEST, and the archive's path in ARCHIVE.
bundle() {
  run --separate-stderr "$REPO/vm/bundle.sh" "$@"
  DIGEST="$(sed --quiet 's/^bundle_sha256: //p' <<<"$output")"
  ARCHIVE="$(sed --quiet 's/^bundle: //p' <<<"$output")"
}

packs() {
  bundle "$@"
  [[ "$status" == 0 ]] || {
    echo "$stderr" >&2
    return 1
  }
}

# refuses WORDS ARGUMENT...
refuses() {
  local words="$1"
  bundle "${@:2}"
  [[ "$status" == 1 && "$stderr" == *"$words"* ]] || {
    echo "ended with $status: $stderr" >&2
    return 1
  }
  [[ -z "$(ls -A "$OUT" 2>/dev/null)" ]]
}

@test "the digest is that of the archive, which is named after it" {
  packs "$OUT" "$GATEWAY"
  [[ "$ARCHIVE" == "$OUT/$DIGEST.tar.gz" ]]
  [[ "$(sha256sum <"$ARCHIVE" | cut -d ' ' -f 1)" == "$DIGEST" ]]
}

@test "the same files make the same digest, whenever, wherever and by whomever they were checked out" {
  packs "$OUT" "$GATEWAY"
  local first="$DIGEST"
  mv "$VM_FOLDER" "$BATS_TEST_TMPDIR/elsewhere"
  VM_FOLDER="$BATS_TEST_TMPDIR/elsewhere"
  find "$VM_FOLDER" -exec touch --date 2001-02-03 {} +
  chmod -R go-rwx "$VM_FOLDER"
  chmod 0755 "$VM_FOLDER/packages.txt"
  chown -R 1234:1234 "$VM_FOLDER"
  umask 077
  packs "$OUT" "$GATEWAY"
  [[ "$DIGEST" == "$first" ]]
}

@test "another file makes another digest" {
  packs "$OUT" "$GATEWAY"
  local first="$DIGEST"
  echo "# more" >>"$VM_FOLDER/steps/start_nginx.sh"
  packs "$OUT" "$GATEWAY"
  [[ "$DIGEST" != "$first" ]]
}

@test "it holds what the VM needs, with modes and owners of its own, and nothing else" {
  packs "$OUT" "$GATEWAY"
  local list
  list="$(tar --list --verbose --file "$ARCHIVE")"
  [[ "$list" == *"-rwxr-xr-x 0/0"*"./bin/gateway"* ]]
  [[ "$list" == *"-rwxr-xr-x 0/0"*"./steps/mount_data_disk.sh"* ]]
  [[ "$list" == *"-rw-r--r-- 0/0"*"./systemd/comfyui.service"* ]]
  [[ "$list" == *"./doctor/disk.sh"* && "$list" == *"./doctor.sh"* ]]
  [[ "$list" == *"./packages.txt"* && "$list" == *"./requirements-certbot.txt"* ]]
  [[ "$list" != *left* && "$list" != *bundle.sh* ]]
  mkdir "$BATS_TEST_TMPDIR/unpacked"
  tar --extract --gzip --file "$ARCHIVE" --directory "$BATS_TEST_TMPDIR/unpacked"
  cmp "$GATEWAY" "$BATS_TEST_TMPDIR/unpacked/bin/gateway"
}

@test "a file that is missing is named, and so is a step that nobody defines" {
  rm "$VM_FOLDER/packages.txt" "$VM_FOLDER/steps/get_certificate.sh"
  refuses "lacks: packages.txt, the step get_certificate" "$OUT" "$GATEWAY"
}

@test "a gateway that is not there, is no program, cannot load libraries, or asks for more than a VM has, is refused" {
  refuses "$BATS_TEST_TMPDIR/none: there is no such program" "$OUT" "$BATS_TEST_TMPDIR/none"
  refuses "no program at all" "$OUT" "$REPO/vm/bundle.sh"
  refuses "linked statically" "$OUT" /sbin/ldconfig
  stub readelf 'echo "INTERP Name: GLIBC_2.34"; echo "Name: GLIBC_2.39"'
  refuses "needs glibc 2.39; expected at most 2.35" "$OUT" "$GATEWAY"
  stub readelf 'echo "INTERP Name: GLIBC_2.9"; echo "Name: GLIBC_ABI_DT_RELR"'
  refuses "needs glibc 2.36; expected at most 2.35" "$OUT" "$GATEWAY"
}

@test "without a gateway it is built as it is shipped" {
  printf '#!/bin/sh\ncp /usr/bin/true "%s/gateway" && echo gateway\n' "$BATS_TEST_TMPDIR" \
    >"$VM_FOLDER/gateway/build.sh"
  chmod +x "$VM_FOLDER/gateway/build.sh"
  packs "$OUT"
  tar --list --file "$ARCHIVE" | grep --quiet '^./bin/gateway$'
}

@test "it is put into the bucket under its digest, and never over another" {
  packs "$OUT" "$GATEWAY" --upload gs://some-bucket/vm/
  [[ "$output" == *"bundle_url: gs://some-bucket/vm/$DIGEST.tar.gz"* ]]
  [[ "$(cat "$CALLS")" == "gcloud storage cp --no-clobber $ARCHIVE gs://some-bucket/vm/$DIGEST.tar.gz" ]]
}

@test "nothing is put anywhere unasked" {
  packs "$OUT" "$GATEWAY"
  [[ ! -s "$CALLS" && "$output" != *bundle_url* ]]
}

@test "a bucket that refuses is an error, and no address is printed" {
  stub gcloud 'echo "ERROR: 403" >&2; exit 1'
  bundle "$OUT" "$GATEWAY" --upload gs://some-bucket
  [[ "$status" == 1 && "$stderr" == *"403"*"could not be put into the bucket"* && "$output" != *bundle_url* ]]
}

@test "wrong arguments are named" {
  refuses "--upload: found s3://bucket; expected gs://BUCKET/PREFIX" "$OUT" --upload s3://bucket
  refuses "--upload: found nothing" "$OUT" --upload
  refuses "found --push" "$OUT" --push
  refuses "found 0 arguments"
  refuses "found 3 arguments" "$OUT" "$GATEWAY" more
}

@test "its help says how it is used" {
  run "$REPO/vm/bundle.sh" --help
  [[ "$status" == 0 && "$output" == *"vm/bundle.sh OUT_DIR [GATEWAY] [--upload gs://BUCKET/PREFIX]"* ]]
  [[ "$output" != *"#"* ]]
}

@test "no two steps give the same name to a function or a constant: they share one shell" {
  local names
  names="$(cd "$REPO/vm" && grep --no-filename --only-matching --extended-regexp '^([a-z_]+\(\)|[A-Z_]+=)' startup.sh steps/*.sh)"
  [[ "$(wc --lines <<<"$names")" -gt 100 ]]
  [[ -z "$(sort <<<"$names" | uniq --repeated)" ]]
}
