# shellcheck shell=bash disable=SC2034,SC2153 # Set and read by other parts.
# Whether the project may have the GPUs of the machines that are to be made.

# Of the machines that are to be made: Compute Engine makes one by starting it once, so that what is not granted fails in
# Terraform, minutes later.
check_quota() {
  local quotas region regions placements least="" as_lines=(--flatten 'quotas[]' --format 'value(quotas.metric,quotas.limit)')
  placements="$(placements_to_make)"
  [[ -n "$placements" ]] || return 0
  quotas="$(ask "" cloud compute project-info describe "${as_lines[@]}")" ||
    fail "the quotas of $PROJECT could not be read"
  note_quota GPUS_ALL_REGIONS "$(wc --lines <<<"$placements")" "$(limit_of GPUS_ALL_REGIONS "$quotas")"
  mapfile -t regions < <(cut --delimiter ' ' --fields 3 <<<"$placements" | sed 's/-[a-z]$//' | sort --unique)
  for region in "${regions[@]}"; do
    quotas="$(ask "" cloud compute regions describe "$region" "${as_lines[@]}")" ||
      fail "the quotas of $region could not be read. Is there such a region? gcloud compute regions list"
    check_quota_of_region "$region" "$quotas"
  done
  [[ -z "$least" ]] || say_no_quota "$least"
}

# The lines of PLACEMENTS that Terraform knows no machine of.
placements_to_make() {
  local id instance rest
  while read -r id instance rest; do
    knows "google_compute_instance.placement[\"$instance\"]" || echo "$id $instance $rest"
  done <<<"$PLACEMENTS"
}

# Adds to `least`, and reads `placements`, which check_quota has declared. A spot machine may use the quota of the others
# where it has none of its own.
check_quota_of_region() {
  local zone machine accelerator spot metric limit wanted
  while read -r wanted metric spot; do
    limit="$(limit_of "$metric" "$2")"
    if "$spot"; then
      [[ "$(limit_of "PREEMPTIBLE_$metric" "$2")" =~ ^0?$ ]] || {
        metric="PREEMPTIBLE_$metric"
        limit="$(limit_of "$metric" "$2")"
      }
    fi
    note_quota "$metric in $1" "$wanted" "$limit"
  done < <(
    while read -r _ _ zone machine accelerator spot; do
      [[ "${zone%-?}" != "$1" ]] || echo "$(metric_of "$machine" "$accelerator") $spot"
    done <<<"$placements" | sort | uniq --count
  )
}

# note_quota NAME WANTED LIMIT
note_quota() {
  if [[ -z "$3" ]]; then
    "$DRY_RUN" || say "the quota $1 could not be looked up; goes on"
  elif (($3 == 0)); then
    least+="${least:+, }$1"
  elif (($3 < $2)); then
    # Of several at least, as the limit is 1 or more.
    SCARCE=true
  fi
}

# limit_of METRIC QUOTAS: a whole number; nothing where there is no such quota.
limit_of() {
  sed --quiet "s/^$1[[:space:]]*\([0-9]*\).*/\1/p" <<<"$2"
}

# Built into a machine's family, or plugged in.
metric_of() {
  case "$1:$2" in
    g2-*) echo NVIDIA_L4_GPUS ;;
    a2-ultragpu-*) echo NVIDIA_A100_80GB_GPUS ;;
    a2-*) echo NVIDIA_A100_GPUS ;;
    *:nvidia-tesla-*) echo "NVIDIA_$(tr a-z- A-Z_ <<<"${2#nvidia-tesla-}")_GPUS" ;;
    n1-*:-) echo NVIDIA_T4_GPUS ;;
    *) echo "GPUs of $1" | tr ' ' _ ;;
  esac
}

say_no_quota() {
  local words="$PROJECT has no quota for GPUs: the limit of $1 is 0. Ask for 1 of each, which takes Google minutes to days: \
https://console.cloud.google.com/iam-admin/quotas?project=$PROJECT"
  "$IGNORE_QUOTA" || fail "$words. Then run ./deploy again; or --ignore-quota, and making the machines will fail"
  say "$words. Goes on, as --ignore-quota says"
}
