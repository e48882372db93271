# shellcheck shell=bash disable=SC2034 # Other parts read what is set here.
# Taking it all away, and what is kept then.

# Cents a GiB and month in us-central1, list prices of 2026-07-30; a regional disk costs twice that.
declare -A DISK_CENTS=([pd-balanced]=10 [pd-ssd]=17 [pd-standard]=4)

take_away() {
  local bucket running
  bucket="$(state_bucket)"
  [[ -n "$(ask "$bucket" cloud storage buckets list --filter "name=$bucket" --format 'value(name)')" ]] ||
    fail "there is no bucket $bucket, so nothing of $PROJECT was made by ./deploy, or all of it is gone"
  initialise
  running="$(ask "" cloud compute instances list --filter 'labels.pilotlight-workspace:* AND NOT status:TERMINATED' \
    --format 'value(name,status)')" || fail "the instances of $PROJECT could not be listed"
  [[ -z "$running" ]] || "$YES" ||
    fail "machines are up: ${running//$'\n'/, }. Stop their workspaces on the page; or --yes, which ends them"
  ask_for_name
  BEGUN=true
  set_what_becomes_of_data
  keep_or_empty_bucket
  destroy_all
  tell_what_is_left
}

ask_for_name() {
  local name="" what="Data disks, the VMs' bucket and the database are kept."
  ! "$DELETE_DATA" || what="DATA DISKS, THE VMS' BUCKET AND THE DATABASE ARE DELETED, AND CANNOT BE HAD BACK."
  if "$YES" || "$DRY_RUN"; then
    return
  fi
  echo "This takes all of Pilotlight out of the project $PROJECT. $what"
  read -r -p "Type the project's name to go on: " name || true
  [[ "$name" == "$PROJECT" ]] || fail "found ${name:-nothing}; expected $PROJECT. Nothing was changed"
}

# Terraform destroys by what the state says, so that is brought there first. Only of what it knows: to apply anything else
# would make it.
set_what_becomes_of_data() {
  local WORDS targets=()
  mapfile -t targets < <(grep --extended-regexp '^google_(firestore_database\.default|compute_(region_)?disk\.data\[.*)$' \
    <<<"$STATE" || true)
  ! "$DRY_RUN" || targets=(google_firestore_database.default 'google_compute_disk.data["WORKSPACE"]')
  data_variables
  ((${#targets[@]} == 0)) || change tf apply -auto-approve "${WORDS[@]}" "${targets[@]/#/-target=}" ||
    fail "what becomes of disks and database could not be set"
}

data_variables() {
  local data=keep
  ! "$DELETE_DATA" || data=delete
  variables
  WORDS+=("-var=data_on_destroy=$data")
}

# It holds what the owner has put there. Terraform deletes no bucket in which anything is.
keep_or_empty_bucket() {
  if "$DELETE_DATA"; then
    change cloud storage rm --recursive --all-versions "gs://$(vm_bucket)/**" ||
      say "$(vm_bucket) was empty, or could not be emptied"
  elif "$DRY_RUN" || knows google_storage_bucket.vm; then
    change tf state rm google_storage_bucket.vm || fail "the bucket $(vm_bucket) could not be kept out of it"
  fi
}

destroy_all() {
  local WORDS
  data_variables
  change tf destroy -auto-approve "${WORDS[@]}" || fail "terraform destroy has stopped"
  if "$DELETE_DATA"; then
    change cloud storage rm --recursive "gs://$(state_bucket)" || fail "the bucket $(state_bucket) could not be deleted"
  fi
  BEGUN=false
}

# price SIZE TYPE REGION: in whole dollars.
price() {
  local cents="${DISK_CENTS[$2]:-10}"
  [[ -z "$3" ]] || cents=$((cents * 2))
  echo $((($1 * cents + 50) / 100))
}

tell_what_is_left() {
  local disks snapshots name size type region
  disks="$(ask "" cloud compute disks list --filter 'labels.pilotlight-workspace:*' \
    --format 'csv[no-heading](name,sizeGb,type.basename(),region.basename())')" ||
    fail "the disks that are left could not be listed"
  snapshots="$(ask "" cloud compute snapshots list --filter 'labels.app=pilotlight' --format 'value(name)')" ||
    fail "the snapshots that are left could not be listed"
  ! "$DRY_RUN" || return 0
  echo "Pilotlight is gone from $PROJECT. What is left:"
  while IFS=, read -r name size type region; do
    [[ -z "$name" ]] || echo "  $name: $size GiB $type${region:+, regional}, some \$$(price "$size" "$type" "$region") a month"
  done <<<"$disks"
  [[ -z "$snapshots" ]] || {
    echo "  snapshots of data disks, \$0.05 a GiB and month of what is kept. To be rid of them:"
    echo "    gcloud compute snapshots delete --project $PROJECT $(tr '\n' ' ' <<<"$snapshots")"
  }
  if ! "$DELETE_DATA"; then
    echo "  the database (default), the buckets $(vm_bucket) and $(state_bucket):"
    echo "    a few cents a month, but for what you have put there"
    echo "./deploy takes them in again. ./deploy --destroy --delete-data deletes them, after another ./deploy."
  fi
  echo "  the APIs that were enabled: nothing"
}
