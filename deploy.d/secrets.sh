# shellcheck shell=bash
# Secrets: made once, and never said but to Terraform, in its environment.

# 144 bits: nobody guesses them, so the hash may be seen by whoever may read secrets.
PASSWORD_BYTES=18
PASSWORD_RESOURCE='google_secret_manager_secret_version.first["first-password"]'

# What has a version, even one that is disabled or destroyed by now, is its owner's.
look_for_secrets() {
  local names name
  names="$(ask "" cloud secrets list --filter name:pilotlight- --format 'value(name.basename())')" ||
    fail "the secrets of $PROJECT could not be listed"
  HAS=()
  for name in signing-key users first-password; do
    if [[ $'\n'"$names"$'\n' == *$'\n'"pilotlight-$name"$'\n'* ]] && has_version "pilotlight-$name"; then
      HAS+=("$name")
    fi
  done
  # Kept before users are: whoever is interrupted in between finds it there, and makes the users for it.
  if ! has first-password && ! has users; then
    choose_hasher
    FIRST_PASSWORD="$(new_password)"
    FOUNDATION+=("$PASSWORD_RESOURCE")
  elif ! has users; then
    choose_hasher
    FIRST_PASSWORD="$(cloud secrets versions access latest --secret pilotlight-first-password)" ||
      fail "the first password could not be read"
  fi
  has signing-key || choose_hasher
}

has() {
  [[ " ${HAS[*]} " == *" $1 "* ]]
}

has_version() {
  local found
  found="$(cloud secrets versions list "$1" --limit 1 --format 'value(name)')" ||
    fail "the versions of the secret $1 could not be listed"
  [[ -n "$found" ]]
}

new_password() {
  if "$DRY_RUN"; then
    echo FIRST_PASSWORD
  else
    head --bytes "$PASSWORD_BYTES" /dev/urandom | base64 | tr '+/' '-_'
  fi
}

# The control plane's own tools make the key and the hash: by its image, or by cargo.
choose_hasher() {
  [[ -z "$HASHER" ]] || return 0
  [[ "$ENGINE" =~ ^(docker|podman)$ ]] && HASHER="$ENGINE" || HASHER="$(first_engine docker podman)"
  [[ -n "$HASHER" ]] || ! have cargo || HASHER=cargo
  [[ -n "$HASHER" ]] ||
    fail "the first password is hashed here, by docker, podman or cargo, and there is none of them. Run this in Cloud \
Shell, which has docker: https://shell.cloud.google.com"
}

make_secrets() {
  [[ -z "$HASHER" || "$HASHER" == cargo ]] || sign_in_to_registry "$HASHER"
  if ! has signing-key; then
    say "making the key that signs sign-ins and tickets"
    SIGNING_KEY="$(control_plane SIGNING_KEY new-key)" || fail "the signing key could not be made"
    "$DRY_RUN" || [[ "$SIGNING_KEY" == "-----BEGIN PRIVATE KEY-----"* ]] ||
      fail "control-plane new-key has answered with something else than a key"
  fi
  if [[ -n "$FIRST_PASSWORD" ]]; then
    say "hashing the first password"
    USERS="$(control_plane USERS hash-password <<<"$FIRST_PASSWORD")" || fail "the first password could not be hashed"
    "$DRY_RUN" || [[ "$USERS" =~ ^\$argon2id\$[A-Za-z0-9+/=,$]+$ ]] ||
      fail "control-plane hash-password has answered with something else than a hash"
    "$DRY_RUN" || USERS="[{\"name\":\"admin\",\"role\":\"admin\",\"hash\":\"$USERS\"}]"
  fi
}

# control_plane PLACEHOLDER COMMAND: what it reads is said on its standard input.
control_plane() {
  local words=(cargo run --quiet --locked --package control-plane --)
  [[ "$HASHER" == cargo ]] || words=("$HASHER" run --rm --interactive --platform linux/amd64 "$IMAGE")
  ask "$1" "${words[@]}" "$2"
}
