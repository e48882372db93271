# shellcheck shell=bash disable=SC2153 # Set by read_workspaces.
# What was kept, of a deployment that is no more or whose state was lost.

adopt() {
  adopt_bucket
  adopt_database
  adopt_disks
}

# take_in ADDRESS ID WHAT
take_in() {
  local WORDS
  variables
  say "$3 is there already; Terraform takes it in"
  change tf import -input=false "${WORDS[@]}" "$1" "$2" || fail "Terraform could not take in $3 as $1"
  STATE+=$'\n'"$1"
}

# The bucket of the certificates, manifests and bundles.
adopt_bucket() {
  local found
  ! knows google_storage_bucket.vm || return 0
  found="$(ask "" cloud storage buckets list --filter "name=$(vm_bucket)" --format 'value(name)')" ||
    fail "the buckets of $PROJECT could not be listed"
  [[ -z "$found" ]] || take_in google_storage_bucket.vm "$PROJECT/$(vm_bucket)" "the bucket $(vm_bucket)"
}

# A project has one default database, in one place, for good.
adopt_database() {
  local databases found
  ! knows google_firestore_database.default || return 0
  databases="$(ask "" cloud firestore databases list --format 'csv[no-heading](name.basename(),type,locationId)')" ||
    fail "the databases of $PROJECT could not be listed"
  found="$(sed --quiet 's/^(default),\(.*\),/\1 in /p' <<<"$databases")"
  [[ -n "$found" ]] || return 0
  [[ "$found" == "FIRESTORE_NATIVE in $REGION" ]] ||
    fail "the project $PROJECT has a default database already, $found; expected none, or FIRESTORE_NATIVE in $REGION. \
Take another project, or --region"
  take_in google_firestore_database.default "projects/$PROJECT/databases/(default)" "the database (default)"
}

adopt_disks() {
  local disks id regional zone snapshot place found
  disks="$(ask "" cloud compute disks list --filter 'name~^comfyui-.*-data$' \
    --format 'csv[no-heading](name,zone.basename(),region.basename())')" || fail "the disks of $PROJECT could not be listed"
  while read -r id regional zone snapshot; do
    if knows "google_compute_disk.data[\"$id\"]" || knows "google_compute_region_disk.data[\"$id\"]"; then
      continue
    fi
    "$regional" && place="regions/$REGION" || place="zones/$zone"
    found="$(sed --quiet --expression "s#^comfyui-$id-data,\([^,]\+\),\$#zones/\1#p" \
      --expression "s#^comfyui-$id-data,,\(.\+\)#regions/\1#p" <<<"$disks")"
    if [[ -z "$found" ]]; then
      continue
    elif [[ $'\n'"$found"$'\n' == *$'\n'"$place"$'\n'* ]]; then
      take_in_disk "$id" "$regional" "$place"
    else
      leave_disk "$id" "${found//$'\n'/ and }" "$place" "$snapshot"
    fi
  done <<<"$DISKS"
}

# It is elsewhere, so Terraform would make another: of a snapshot, or an empty one.
leave_disk() {
  [[ "$4" != - ]] ||
    fail "the data disk comfyui-$1-data is there already, in $2; the workspace $1 would have it in $3. Say as it is, or \
move it by a snapshot (docs/operate.md, Move a disk)"
  say "the data disk comfyui-$1-data in $2 stays as it is; Terraform makes another in $3 of the snapshot $4"
}

# Terraform reads no answer of the loop that calls this.
take_in_disk() {
  local type=google_compute_disk
  ! "$2" || type=google_compute_region_disk
  take_in "$type.data[\"$1\"]" "projects/$PROJECT/$3/disks/comfyui-$1-data" "the data disk comfyui-$1-data" </dev/null
}
