#!/usr/bin/env bash
# Sets this VM up, at every boot: Compute Engine runs it as root, from the metadata key `startup-script`.
#
# It reads what the VM is to be from the metadata, gets the bundle (the gateway, and the steps beside this file) by its
# digest, and takes the steps in order. Each can be taken again. What goes on is told to the control plane; what goes
# wrong is told with its last words.

# The outside world; tests put their own in its place.
METADATA="${METADATA:-http://metadata.google.internal}"
STORAGE="${STORAGE:-https://storage.googleapis.com}"
ROOT="${ROOT:-}"

# Where things are. The data disk is the steps' business.
BUNDLE="$ROOT/opt/pilotlight/bundle"
# shellcheck disable=SC2034 # The steps use it.
DATA="$ROOT/mnt/pilotlight"
STATE="$ROOT/run/pilotlight"
ETC="$ROOT/etc/pilotlight"
# What is wrong without ending the boot, one a line.
WARNINGS="$STATE/warnings"

# Limits, in seconds.
CONNECT_WITHIN=10
METADATA_WITHIN=10
METADATA_RETRIES=4
TELL_WITHIN=10
TELL_TRIES="${TELL_TRIES:-20}"
TELL_AGAIN_AFTER="${TELL_AGAIN_AFTER:-5}"
# A transfer that moves less than a byte a second for so long is dead.
STALLED_AFTER=60
FETCH_TRIES=5
# A VM whose boot has failed stays up so long for whoever wants to look, if nobody stops it before.
FAILED_STAYS=900

# The control plane's last answer to a word of ours.
HEARD=""

# Longest word on a failure that is told: what lifecycle keeps of it.
WORDS_MAX=900
LAST_LINES=8

main() {
  mkdir -p "$STATE" "$ETC"
  rm -f "$WARNINGS"
  read_settings
  keep_settings
  report booting 22 "The machine is up"
  get_bundle
  load_steps
  install_doctor
  install_packages
  start_gateway
  mount_data_disk
  install_comfyui
  fetch_manifest
  start_comfyui
  get_certificate
  start_nginx
  report starting_comfyui 70 "Waiting for ComfyUI to answer$(warnings)"
}

# --- what the VM is to be ---

# Every key that the metadata may hold. `FOO` is the attribute `foo`; what is absent is empty.
SETTINGS=(WORKSPACE CONTROL_URL CONTROL_AUDIENCE JWKS_URL TOKEN_ISSUER PAGE_ORIGIN
  BUNDLE_URL BUNDLE_SHA256 DATA_DISK
  DOMAIN_NAME SSL_EMAIL ALLOWED_IP CERTIFICATE ACME_SERVER
  COMFYUI_VERSION COMFYUI_SOURCE COMFYUI_SHA256 COMFYUI_CONSTRAINTS COMFYUI_ARGUMENTS COMFYUI_MEMORY_MAX MANIFEST
  SILENCE_SECONDS HARD_SECONDS PILOTLIGHT_CLOCK)
NEEDED=(WORKSPACE CONTROL_URL JWKS_URL PAGE_ORIGIN BUNDLE_URL BUNDLE_SHA256)

read_settings() {
  local missing
  load_settings
  [[ -z "$UNHEARD" ]] || fail booting "The metadata server does not answer (asked for $UNHEARD). Start the VM again."
  missing="$(missing_settings)"
  [[ -z "$missing" ]] || fail booting "The metadata of this VM lacks: $missing. Run terraform apply."
  [[ -n "$HOST" ]] || fail booting "This VM has neither a domain nor an external address. Run terraform apply."
}

# What is not heard is empty, and UNHEARD names the first of it.
load_settings() {
  local name value=""
  UNHEARD=""
  for name in "${SETTINGS[@]}"; do
    [[ -n "$UNHEARD" ]] || value="$(attribute "${name,,}")" || UNHEARD="${name,,}"
    printf -v "$name" '%s' "$value"
  done
  CONTROL_URL="${CONTROL_URL%/}"
  CONTROL_AUDIENCE="${CONTROL_AUDIENCE:-$CONTROL_URL}"
  EXTERNAL_IP="$(metadata instance/network-interfaces/0/access-configs/0/external-ip || true)"
  HOST="${DOMAIN_NAME:-$EXTERNAL_IP}"
}

# The keys that must be there and are not.
missing_settings() {
  local name missing=()
  for name in "${NEEDED[@]}"; do
    [[ -n "${!name}" ]] || missing+=("${name,,}")
  done
  echo "${missing[*]}"
}

# For what runs later, such as the certificate's timer: this script, and what it was told.
keep_settings() {
  local name
  [[ "${BASH_SOURCE[0]}" -ef "$STATE/startup.sh" ]] || install --mode 600 "${BASH_SOURCE[0]}" "$STATE/startup.sh"
  (
    umask 077
    for name in "${SETTINGS[@]}" METADATA STORAGE EXTERNAL_IP HOST; do
      printf '%s=%q\n' "$name" "${!name}"
    done >"$STATE/settings.new"
  )
  mv "$STATE/settings.new" "$STATE/settings"
}

# metadata PATH [QUERY [OPTION...]]: what the metadata server says; fails where it says nothing.
metadata() {
  curl --silent --show-error --fail --max-time "$METADATA_WITHIN" --header "Metadata-Flavor: Google" "${@:3}" \
    "$METADATA/computeMetadata/v1/$1${2:+?$2}"
}

# An instance attribute; empty when there is none. Fails where the server does not say: an allow-list that was not heard
# is not one that is empty.
attribute() {
  local status=0
  metadata "instance/attributes/$1" "" --retry "$METADATA_RETRIES" --retry-connrefused 2>/dev/null || status=$?
  # 22: the server's own word that it has none.
  ((status == 0 || status == 22))
}

# --- what goes on ---

log() {
  printf '%s %s\n' "$(date --utc +%FT%TZ)" "$*" >&2
}

# report STEP PERCENT DETAIL: what the boot is doing. The gateway tells it on as soon as it runs; until then we do.
report() {
  STEP="$1"
  tell_boot "$1" "$2" "$3" false
}

# fail STEP WORDS [LOG]: the boot has failed; says why, with the last lines of a log, and ends.
fail() {
  local words="${2:0:WORDS_MAX}" room
  room=$((WORDS_MAX - ${#words} - 1))
  # Of a log the end says the most.
  [[ -z "${3:-}" || ! -s "$3" || "$room" -le 0 ]] ||
    words+=$'\n'"$(tail --lines "$LAST_LINES" "$3" | tail --bytes "$room")"
  trap - EXIT ERR
  tell_boot "$1" 0 "$words" true
  power_off_later
  tell_again
  exit 1
}

# Where the gateway does not run, nobody else says it; and as long as the control plane has not seen this VM run, a word
# of it counts for nothing.
tell_again() {
  local attempt boot
  boot="$(<"$STATE/boot.json")"
  for ((attempt = 1; attempt <= TELL_TRIES; attempt++)); do
    gateway_speaks && return
    [[ "$HEARD" != *'"phase":'* || "$HEARD" == *'"phase":"Placing"'* ]] || return 0
    sleep "$TELL_AGAIN_AFTER"
    tell_control_plane "$boot" || true
  done
}

# warn STEP PERCENT WORDS: something is wrong, and the boot goes on. Told now, and with the boot's last word.
warn() {
  printf '%s\n' "${3//$'\n'/ }" >>"$WARNINGS"
  report "$1" "$2" "${3:0:WORDS_MAX}"
}

warnings() {
  [[ ! -s "$WARNINGS" ]] || printf '. But: %s' "$(head --bytes "$WORDS_MAX" "$WARNINGS")"
}

ended_unexpectedly() {
  fail "${STEP:-booting}" "The boot ended at something that nobody expected: ${BROKEN:-no command is known}."
}

# try STEP WORDS COMMAND...: runs it; where it fails, the boot has failed with these words and its last lines.
try() {
  local step="$1" words="$2" said="$STATE/last-command.log"
  shift 2
  "$@" >"$said" 2>&1 || {
    cat "$said" >&2
    fail "$step" "$words" "$said"
  }
}

tell_boot() {
  local boot
  log "$1 $2 %: $3"
  boot="$(printf '{"step":"%s","percent":%d,"detail":"%s","failed":%s}' "$1" "$2" "$(json_escaped "$3")" "$4")"
  printf '%s\n' "$boot" >"$STATE/boot.json.new"
  mv "$STATE/boot.json.new" "$STATE/boot.json"
  gateway_speaks || tell_control_plane "$boot" || log "the control plane could not be told"
}

json_escaped() {
  # Control characters but the line's end are of no use to a reader, and half a letter is none.
  printf '%s' "$1" | tr '\t\r' '  ' | tr --delete '\000-\011\013-\037' |
    iconv -c --from-code UTF-8 --to-code UTF-8 2>/dev/null |
    sed --expression 's/\\/\\\\/g' --expression 's/"/\\"/g' |
    sed --null-data --expression 's/\n/\\n/g' | tr --delete '\000'
}

gateway_speaks() {
  systemctl is-active --quiet pilotlight-gateway.service 2>/dev/null
}

tell_control_plane() {
  local token
  token="$(metadata instance/service-accounts/default/identity "audience=$CONTROL_AUDIENCE&format=full")" || return
  # The first word asks which run this is; only what is said under its number counts.
  RUN="${RUN:-$(beat "$token" null "$1" | sed --quiet --expression 's/.*"run" *: *\([0-9]*\).*/\1/p')}"
  [[ -n "$RUN" ]] && HEARD="$(beat "$token" "$RUN" "$1")"
}

# beat TOKEN RUN BOOT: a heartbeat, as the gateway would send it.
beat() {
  curl --silent --show-error --fail --max-time "$TELL_WITHIN" --header @- --header "Content-Type: application/json" \
    --data "{\"workspace\":\"$WORKSPACE\",\"run\":$2,\"comfyui_up\":false,\"reading\":{\"state\":\"unknown\"},\"boot\":$3}" \
    "$CONTROL_URL/vm/heartbeat" <<<"Authorization: Bearer $1"
}

# So that a VM that cannot be reached by its control plane either does not run for nothing.
power_off_later() {
  systemd-run --quiet --unit pilotlight-failed --on-active="$FAILED_STAYS" systemctl poweroff ||
    log "the end of this VM could not be planned"
}

# --- what is fetched ---

# fetch URL SHA256 TARGET [PROGRESS]: https://, http://, gs:// or a path into TARGET. Goes on where an earlier try has
# stopped. With a digest, what is there already is not fetched again, and what differs is thrown away. PROGRESS is
# called now and then with the bytes that are there. Where FETCH_UNTIL is set, it ends when SECONDS reaches that, and
# what is there by then stays for the next time. No log holds what follows the ? of a URL: that may be a secret.
fetch() {
  local url="$1" sha256="$2" target="$3" progress="${4:-}" part="$3.part" shown="${1%%\?*}" attempt status said resumed
  [[ -n "$sha256" && -f "$target" ]] && has_digest "$target" "$sha256" && return
  mkdir -p "$(dirname "$target")"
  for ((attempt = 1; attempt <= FETCH_TRIES; attempt++)); do
    ((attempt == 1)) || sleep "$((attempt * attempt))"
    ((SECONDS < ${FETCH_UNTIL:-SECONDS + 1})) || break
    [[ -s "$part" ]] && resumed=true || resumed=false
    transfer "$url" "$part" "$progress" && status=0 || status=$?
    said="fetching $shown: try $attempt of $FETCH_TRIES ended with curl's $status"
    case "$status:$ANSWERED" in
      0:*) ;;
      # All of it was there, or more than all: the digest tells.
      22:416) [[ -n "$sha256" ]] || { rm -f "$part" && continue; } ;;
      # 33: it cannot be gone on with here; 36: nor there.
      33:* | 36:*) rm -f "$part" && continue ;;
      # Told to wait, or to come back.
      22:408 | 22:425 | 22:429 | 22:5*) log "$said and HTTP $ANSWERED" && continue ;;
      # It is the asker's fault: asking again does not help.
      22:4*)
        log "fetching $shown: refused with HTTP $ANSWERED"
        return 1
        ;;
      *) log "$said" && continue ;;
    esac
    if [[ -n "$sha256" ]] && ! has_digest "$part" "$sha256"; then
      log "fetching $shown: the digest is $(digest_of "$part"), expected $sha256"
      rm -f "$part"
      # Two halves may be of two files. What came in one piece comes the same again, and may be gigabytes.
      "$resumed" || return 1
      continue
    fi
    mv "$part" "$target"
    return
  done
  return 1
}

# Leaves in ANSWERED the status of HTTP, or 000.
transfer() {
  local url="$1" part="$2" progress="$3" authorization="" within=() pid status=0
  ANSWERED=000
  [[ -z "${FETCH_UNTIL:-}" ]] || within=(--max-time "$((FETCH_UNTIL > SECONDS ? FETCH_UNTIL - SECONDS : 1))")
  case "$url" in
    gs://*)
      authorization="Authorization: Bearer $(access_token)" || return
      url="$(storage_url "$url")"
      ;;
    /*) url="file://$url" ;;
  esac
  curl --silent --show-error --fail --location --continue-at - --connect-timeout "$CONNECT_WITHIN" \
    --speed-limit 1 --speed-time "$STALLED_AFTER" "${within[@]}" --header @- --write-out '%{http_code}' --output "$part" \
    "$url" <<<"$authorization" >"$part.answered" &
  pid=$!
  # Ends when curl does, which ends when its transfer has stalled.
  while [[ -n "$progress" ]] && kill -0 "$pid" 2>/dev/null; do
    sleep 1
    "$progress" "$(stat --format %s "$part" 2>/dev/null || echo 0)"
  done
  wait "$pid" || status=$?
  ANSWERED="$(cat "$part.answered" 2>/dev/null)"
  rm -f "$part.answered"
  return "$status"
}

# gs://BUCKET/OBJECT, as the JSON API reads it.
storage_url() {
  local rest="${1#gs://}"
  local object="${rest#*/}"
  printf '%s/storage/v1/b/%s/o/%s?alt=media' "$STORAGE" "${rest%%/*}" "$(url_encoded "$object")"
}

# Byte by byte: the name of a model may hold anything.
url_encoded() {
  local LC_ALL=C text="$1" at char
  for ((at = 0; at < ${#text}; at++)); do
    char="${text:at:1}"
    case "$char" in
      [A-Za-z0-9._~-]) printf '%s' "$char" ;;
      *) printf '%%%02X' "$(($(printf '%d' "'$char") & 255))" ;;
    esac
  done
}

access_token() {
  metadata instance/service-accounts/default/token | sed --quiet --expression 's/.*"access_token" *: *"\([^"]*\)".*/\1/p'
}

digest_of() {
  sha256sum "$1" | cut --delimiter ' ' --fields 1
}

has_digest() {
  [[ "$(digest_of "$1")" == "$2" ]]
}

# --- the bundle ---

# The gateway, the steps, and the files they install. A baked image holds it already.
get_bundle() {
  local archive="$ROOT/var/cache/pilotlight/$BUNDLE_SHA256.tar.gz"
  [[ "$(cat "$BUNDLE/.sha256" 2>/dev/null)" != "$BUNDLE_SHA256" ]] || return 0
  report booting 24 "Fetching Pilotlight's own programs"
  try booting "Pilotlight's programs cannot be had from ${BUNDLE_URL%%\?*}." fetch "$BUNDLE_URL" "$BUNDLE_SHA256" "$archive"
  rm -rf "$BUNDLE.new"
  mkdir -p "$BUNDLE.new"
  try booting "The bundle cannot be unpacked." tar --extract --gzip --file "$archive" --directory "$BUNDLE.new" --no-same-owner
  echo "$BUNDLE_SHA256" >"$BUNDLE.new/.sha256"
  rm -rf "$BUNDLE"
  mv "$BUNDLE.new" "$BUNDLE"
  rm -f "$archive"
}

load_steps() {
  local step
  for step in "$BUNDLE"/steps/*.sh; do
    # shellcheck source=/dev/null
    source "$step"
  done
}

if [[ "${BASH_SOURCE[0]:-$0}" == "$0" ]]; then
  set -Eeuo pipefail
  # Where a command fails that nobody has thought of, the boot ends, but not without a word.
  trap 'BROKEN="$BASH_COMMAND (in ${FUNCNAME[0]:-main}, status $?)"' ERR
  trap ended_unexpectedly EXIT
  main "$@"
  trap - EXIT
fi
