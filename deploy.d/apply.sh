# shellcheck shell=bash disable=SC2034 # Other parts read what is set here.
# Terraform makes it: first what must be there before anything can be built, then all. What is said then.

# How long the page may take after all is made: the services are up by then, a name in DNS may not be.
PAGE_WITHIN_S="${PAGE_WITHIN_S:-600}"
PAGE_ASK_EVERY_S="${PAGE_ASK_EVERY_S:-5}"
PAGE_ANSWERS_WITHIN_S=10
# What Terraform must make before anything can be built, and what the first password is kept in.
FOUNDATION=(google_project_service.api google_artifact_registry_repository.pilotlight google_storage_bucket.vm)
BUILD_ACCOUNT=(google_service_account.build google_project_iam_member.build google_storage_bucket_iam_member.build
  google_artifact_registry_repository_iam_member.build)

lay_foundation() {
  local targets
  [[ "$ENGINE" != cloud ]] || FOUNDATION+=("${BUILD_ACCOUNT[@]}")
  targets=("${FOUNDATION[@]/#/-target=}")
  say "first Terraform makes what the image, the bundle and the first password lie in"
  apply "${targets[@]}" || fail "Terraform has stopped before the foundation was there"
}

# Google's own accounts, which Terraform gives rights to: in a new project they are made when they are first asked for.
make_agents() {
  local api
  for api in pubsub cloudscheduler; do
    change cloud beta services identity create --service "$api.googleapis.com" ||
      fail "Google's own account for $api could not be made"
  done
}

# apply OPTION...: with the secrets that are new in its environment, which no other command sees.
apply() {
  local WORDS options=("$@") secrets=()
  variables
  ! "$YES" || options+=(-auto-approve)
  [[ -z "$FIRST_PASSWORD" ]] || secrets+=("TF_VAR_first_password=$FIRST_PASSWORD")
  [[ -z "$SIGNING_KEY" ]] || secrets+=("TF_VAR_signing_key=$SIGNING_KEY")
  [[ -z "$USERS" ]] || secrets+=("TF_VAR_users=$USERS")
  if "$DRY_RUN"; then
    show "${secrets[@]}" tf apply "${WORDS[@]}" "${options[@]}"
    return
  fi
  (
    ((${#secrets[@]} == 0)) || export "${secrets[@]}"
    tf apply "${WORDS[@]}" "${options[@]}"
  )
}

apply_all() {
  local options=()
  # One after the other, where they must share the GPUs that there are.
  if "$SCARCE"; then
    options=(-parallelism=1)
    say "the quota is smaller than the number of machines, so Terraform makes one thing after the other; it takes longer"
  fi
  say "Terraform makes all of it"
  apply "${options[@]}" ||
    fail "Terraform has stopped. If it says that a zone has no GPU to be had (ZONE_RESOURCE_POOL_EXHAUSTED), \
try again later, or name another zone in $VAR_FILE: a machine is started once where it is made"
}

tell_how_to_go_on() {
  local outputs page
  outputs="$(ask '{}' tf output -json)" || fail "Terraform does not say where the page is"
  page="$(jq --raw-output '.page_url.value // "PAGE_URL"' <<<"$outputs")"
  # What is made, is made.
  BEGUN=false
  tell_records "$(jq --raw-output '(.dns_records.value // [])[], (.page_dns_record.value // "" | select(. != ""))' <<<"$outputs")"
  wait_for_page "$page"
  "$DRY_RUN" || tell_page "$page"
}

tell_records() {
  [[ -z "$1" ]] || printf 'Records to make where the names of your domains are kept:\n  %s\n\n' "${1//$'\n'/$'\n'  }"
}

wait_for_page() {
  local begun=$SECONDS status
  say "waiting for $1"
  until status="$(page_status "$1")" && [[ "$status" == 200 ]]; do
    ((SECONDS - begun < PAGE_WITHIN_S)) || fail_without_page "$1" "$status"
    sleep "$PAGE_ASK_EVERY_S"
  done
}

page_status() {
  ask 200 curl --silent --output /dev/null --max-time "$PAGE_ANSWERS_WITHIN_S" --write-out '%{http_code}' "$1/"
}

fail_without_page() {
  fail "all is made, and $1 has not answered within $PAGE_WITHIN_S s (its last answer: ${2:-none}). A domain of yours \
needs its
deploy: record in DNS, and then up to an hour for its certificate. Without one, look at what pilotlight-auth says:
deploy: https://console.cloud.google.com/run/detail/$REGION/pilotlight-auth/logs?project=$PROJECT
deploy: ./deploy waits again, and changes nothing that is made"
}

# A password is for a person's eyes, and not for the log of a program that runs this.
tell_page() {
  local password="gcloud secrets versions access latest --secret pilotlight-first-password --project $PROJECT"
  echo "Pilotlight is at $1"
  echo
  if [[ -n "$FIRST_PASSWORD" && -t 1 ]]; then
    echo "Sign in as:  admin"
    echo "Password:    $FIRST_PASSWORD"
    echo "Again:       $password"
  else
    echo "Sign in as admin. The first password: $password"
  fi
  echo
  echo "Press Start. The first start installs ComfyUI on the data disk, which takes some five minutes."
  echo "docs/deploy.md goes on from there."
}
