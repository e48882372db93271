# A repository, a machine and a cloud to deploy to: commands are stand-ins, and what they answer lies in files of $WORLD.

DIGEST="sha256:$(printf 'a%.0s' {1..64})"
BUNDLE="$(printf 'b%.0s' {1..64})"
# shellcheck disable=SC2034 # The tests compare with it.
NO_DIGEST="$(printf '0%.0s' {1..64})"

# A project in which nothing is yet, on a Linux machine with docker; each line is a file and what is in it.
make_world() {
  OUR_FOLDER="$BATS_TEST_DIRNAME"
  WORLD="$BATS_TEST_TMPDIR/world"
  CALLS="$BATS_TEST_TMPDIR/calls"
  REPO="$BATS_TEST_TMPDIR/repo"
  mkdir -p "$WORLD" "$BATS_TEST_TMPDIR/bin"
  : >"$CALLS"
  has account owner@example.com
  has credentials ""
  has project ACTIVE
  has billing True
  has terraform 1.11.4
  has gpus 1
  has quotas $'CPUS\t24.0\nNVIDIA_L4_GPUS\t1.0\nPREEMPTIBLE_NVIDIA_L4_GPUS\t0.0'
  has databases ""
  has disks ""
  has buckets ""
  has secrets ""
  has running ""
  has snapshots ""
  has digest "$DIGEST"
  has bundle "$BUNDLE"
  has page 200
  has system-s Linux
  has system-m x86_64
  has glibc "glibc 2.39"
  has engine-docker ""
  has fails-at "nothing of this"
  has outputs '{"page_url": {"value": "https://page.example.com"}, "dns_records": {"value": []}, "page_dns_record": {"value": ""}}'
  has_workspaces '{"main": {"placements": [{"zone": "us-central1-a", "machine_type": "g2-standard-4"}]}}'
  make_stand_ins
  cp --recursive "$BATS_FILE_TMPDIR/repo" "$REPO"
  export WORLD CALLS PAGE_ASK_EVERY_S=0
  PATH="$BATS_TEST_TMPDIR/bin:$PATH"
}

# has FILE TEXT: an empty text is a file that is there.
has() {
  printf '%s' "${2:+$2$'\n'}" >"$WORLD/$1"
}

has_not() {
  rm -f "$WORLD/$1"
}

has_workspaces() {
  has settings "{\"project\": \"some-project\", \"region\": \"us-central1\", \"workspaces\": $1}"
}

make_stand_ins() {
  local name
  for name in gcloud terraform docker podman buildah cargo curl uname getconf; do
    ln -s "$OUR_FOLDER/stand-in" "$BATS_TEST_TMPDIR/bin/$name"
  done
}

# A repository with what an image and a bundle are built from, and a settings file.
make_repository() {
  local repo="$BATS_FILE_TMPDIR/repo" root="$BATS_TEST_DIRNAME/../../.."
  mkdir -p "$repo"/{functions/target,image,local/tests,static,terraform,vm/tests}
  cp --recursive "$root"/deploy{,.d} "$repo/"
  cp "$root/image/cloudbuild.yaml" "$repo/image/"
  ln -s "$BATS_TEST_DIRNAME/stand-in" "$repo/vm/bundle.sh"
  touch "$repo"/{Cargo.toml,Cargo.lock,Dockerfile,.dockerignore,functions/code.rs,functions/target/built,local/tests/left.rs,vm/tests/left.bats,README.md}
  echo target >"$repo/.gitignore"
  echo 'project = "some-project"' >"$repo/terraform/terraform.tfvars"
  git -C "$repo" init --quiet
  git -C "$repo" add --all
  GIT_AUTHOR_DATE="2026-11-26T00:00:00Z" GIT_COMMITTER_DATE="2026-11-26T00:00:00Z" \
    git -C "$repo" -c user.name=a -c user.email=a@example.com commit --quiet --message first
}
