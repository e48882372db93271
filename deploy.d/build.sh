# shellcheck shell=bash disable=SC2034 # Other parts read what is set here.
# The image and the bundle, each by its digest.

# What builds the bundle; as the Dockerfile has it.
RUST_IMAGE=docker.io/library/rust:1.95.0-bookworm
# What the image and the bundle are built from; rust-toolchain.toml would fetch what no build needs.
SOURCES=(Cargo.toml Cargo.lock Dockerfile .dockerignore functions image local static vm)
NO_SOURCES=(local/tests vm/tests)

# The commit, where all that is built from is as it is there; a digest of the files otherwise.
name_version() {
  if git rev-parse --git-dir >/dev/null 2>&1 && [[ -z "$(git status --porcelain -- "${SOURCES[@]}" \
    "${NO_SOURCES[@]/#/:(exclude)}" 2>&1)" ]]; then
    VERSION="$(git rev-parse HEAD)"
  else
    VERSION="tree-$(list_sources | xargs --null sha256sum -- | sha256sum | head --bytes 40)"
  fi
}

# NUL stands between them.
list_sources() {
  local out=() folder file
  if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard -- "${SOURCES[@]}" "${NO_SOURCES[@]/#/:(exclude)}"
  else
    for folder in "${NO_SOURCES[@]}"; do
      out+=(-path "$folder" -o)
    done
    find "${SOURCES[@]}" \( "${out[@]}" -name target -o -name node_modules -o -name .venv \) -prune -o -type f -print0
  fi | while IFS= read -r -d '' file; do
    [[ ! -f "$file" ]] || printf '%s\0' "$file"
  done | LC_ALL=C sort --zero-terminated
}

pack_sources() {
  list_sources | tar --create --null --files-from - --sort name --mtime @0 --owner 0 --group 0 --numeric-owner
}

provide_image() {
  local digest
  name_version
  digest="$(digest_of_image 2>/dev/null)" || digest=""
  if [[ -n "$digest" ]] && ! "$DRY_RUN"; then
    say "the image of $VERSION is there"
  else
    build_image
    digest="$(digest_of_image)" ||
      fail "the image was built and pushed, and is not in the registry: $IMAGE_PLACE:$VERSION"
  fi
  "$DRY_RUN" || [[ "$digest" =~ ^sha256:[0-9a-f]{64}$ ]] ||
    fail "the image's digest: found ${digest:-nothing}; expected sha256: and 64 hexadecimal digits"
  IMAGE="$IMAGE_PLACE@$digest"
}

digest_of_image() {
  ask DIGEST cloud artifacts docker images describe "$IMAGE_PLACE:$VERSION" --format 'value(image_summary.digest)'
}

# Ten minutes on two cores.
build_image() {
  local build=("$ENGINE" build --platform linux/amd64 --tag "$IMAGE_PLACE:$VERSION" .)
  say "building the image of $VERSION; it takes ten minutes or so"
  if [[ "$ENGINE" == cloud ]]; then
    build_in_cloud "$IMAGE_PLACE:$VERSION"
    return
  fi
  # Docker's attestations would make it an index of images.
  [[ "$ENGINE" != docker ]] || build=(env BUILDX_NO_DEFAULT_ATTESTATIONS=1 "${build[@]}")
  change "${build[@]}" || fail "the image could not be built"
  sign_in_to_registry "$ENGINE"
  change "$ENGINE" push "$IMAGE_PLACE:$VERSION" || fail "the image could not be pushed"
}

# Until this program ends.
sign_in_to_registry() {
  local token words=("$1" login --username oauth2accesstoken --password-stdin "$(registry)")
  [[ " ${LOGGED_IN[*]} " != *" $1 "* ]] || return 0
  LOGGED_IN+=("$1")
  if "$DRY_RUN"; then
    show gcloud --quiet auth print-access-token "|" "${words[@]}"
    return
  fi
  token="$(gcloud --quiet auth print-access-token)" || fail "gcloud gives no token for $(registry)"
  "${words[@]}" <<<"$token" >/dev/null 2>"$SCRATCH/errors" ||
    fail "$1 could not sign in to $(registry): $(tail --lines 1 "$SCRATCH/errors")"
}

# build_in_cloud IMAGE: image and bundle in one go, by an account that may write them and nothing else. Without IMAGE the
# bundle alone: what a tag names, nobody replaces.
build_in_cloud() {
  local image="$1" source="$SCRATCH/source.tar.gz"
  if "$DRY_RUN"; then
    source=source.tar.gz
    show git archive --output "$source" HEAD
  else
    pack_sources | gzip --no-name >"$source"
  fi
  change cloud builds submit "$source" --config image/cloudbuild.yaml --region "$REGION" \
    --gcs-source-staging-dir "gs://$(vm_bucket)/source" \
    --service-account "projects/$PROJECT/serviceAccounts/pilotlight-build@$PROJECT.iam.gserviceaccount.com" \
    --substitutions "_IMAGE=$image,_BUNDLES=gs://$(vm_bucket)/vm,_VERSION=$VERSION" ||
    fail "Cloud Build has failed. Its log: \
https://console.cloud.google.com/cloud-build/builds;region=$REGION?project=$PROJECT"
}

# Which bundle a version has, its note in the bucket says.
provide_bundle() {
  local digest
  digest="$(noted_bundle 2>/dev/null)" || digest=""
  if is_digest "$digest"; then
    say "the bundle of $VERSION is there"
  else
    build_bundle
  fi
  "$DRY_RUN" || is_digest "$digest" ||
    fail "the bundle's digest: found ${digest:-nothing}; expected 64 hexadecimal digits"
  BUNDLE_SHA256="$digest"
}

noted_bundle() {
  ask BUNDLE_SHA256 cloud storage cat "$(note_of_bundle)"
}

note_of_bundle() {
  echo "gs://$(vm_bucket)/vm/$VERSION.sha256"
}

is_digest() {
  [[ "$1" =~ ^[0-9a-f]{64}$ ]]
}

# Sets what provide_bundle has declared.
build_bundle() {
  local bucket
  bucket="gs://$(vm_bucket)/vm"
  say "building the bundle of $VERSION"
  if [[ "$ENGINE" == cloud ]]; then
    # The build of the image has made it; not where the image alone was there.
    digest="$(noted_bundle 2>/dev/null)" || digest=""
    if ! "$DRY_RUN" && ! is_digest "$digest"; then
      build_in_cloud ""
      digest="$(noted_bundle)" || fail "Cloud Build has noted no bundle in $(note_of_bundle)"
    fi
  elif can_build_bundle; then
    digest="$(ask "bundle_sha256: BUNDLE_SHA256" vm/bundle.sh "$SCRATCH/bundle" --upload "$bucket" |
      sed --quiet 's/^bundle_sha256: //p')" || fail "the bundle could not be built and uploaded"
    note_bundle
  else
    bundle_in_container
    note_bundle
  fi
}

# Nothing of this machine's folders is in the container, and nothing of it is left here: files go in and out by pipes.
# shellcheck disable=SC2016 # The container's shell reads it.
IN_CONTAINER='mkdir /src && cd /src && tar --extract && vm/bundle.sh /bundle >&2 && cat /bundle/*.tar.gz'

bundle_in_container() {
  local words=("$ENGINE" run --rm --interactive --platform linux/amd64 "$RUST_IMAGE" bash -euc "$IN_CONTAINER")
  local bundle="$SCRATCH/bundle.tar.gz"
  digest=BUNDLE_SHA256
  if "$DRY_RUN"; then
    bundle=bundle.tar.gz
    show git archive HEAD "|" "${words[@]}" ">" "$bundle"
  else
    pack_sources | "${words[@]}" >"$bundle" || fail "the bundle could not be built in a container of $RUST_IMAGE"
    digest="$(sha256sum "$bundle" | cut --delimiter ' ' --fields 1)"
  fi
  change cloud storage cp --no-clobber "$bundle" "gs://$(vm_bucket)/vm/$digest.tar.gz" ||
    fail "the bundle could not be uploaded"
}

note_bundle() {
  if "$DRY_RUN"; then
    show echo "$digest" "|" cloud storage cp - "$(note_of_bundle)"
  else
    echo "$digest" | cloud storage cp - "$(note_of_bundle)" ||
      fail "the bundle's digest could not be noted in the bucket"
  fi
}
