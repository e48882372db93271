# The certificate: the owner's own, or one from an ACME server for the domain, or without a domain for the address.
# shellcheck shell=bash disable=SC2153 # HOST is startup.sh's.
#
# Sourced by the boot. The timer runs it as a program: `certificate.sh renew`.
#
# certbot is only asked for new certificates, each with a name of its own; which one is used and when the next is due is
# decided here. (certbot cannot read back every certificate for an address, and so cannot renew it.) What is on the data
# disk may be damaged: every certificate is looked through before it is used, and the newest good one is.
#
#   $DATA/certificates/orders           the ledger: every order that was made of a CA (certificate-orders.sh)
#   $DATA/certificates/<CA>/            certbot's folder, one for each CA: staging is never taken for production
#   $STATE/certificate                  a link to the folder of the certificate in use

CERTBOT="${CERTBOT:-$ROOT/opt/pilotlight/certbot/bin/certbot}"
CERTBOT_WORK="$ROOT/var/lib/pilotlight/certbot"
CERTBOT_LOGS="$ROOT/var/log/pilotlight/certbot"
CERTBOT_LOGS_KEPT=10

CERTIFICATES="$DATA/certificates"
CERTIFICATES_KEPT=4
# What an order must find free on the data disk: certbot writes about 60 KiB.
FREE_KIB_NEEDED=4096

# Limits, in seconds.
DNS_WITHIN="${DNS_WITHIN:-300}"
DNS_EVERY="${DNS_EVERY:-10}"
CA_ANSWERS_WITHIN=10
CA_TRIES=3
CA_AGAIN_AFTER="${CA_AGAIN_AFTER:-10}"
ORDER_WITHIN="${ORDER_WITHIN:-180}"
ORDER_TRIES="${ORDER_TRIES:-2}"
ORDER_AGAIN_AFTER="${ORDER_AGAIN_AFTER:-30}"
ORDER_LOCK_WITHIN=900

# The boot's step. Afterwards $SERVED is a certificate that can be served.
get_certificate() {
  report getting_certificate 60 "Looking for a certificate for $HOST"
  start_certificate_timer || log "the certificate's timer could not be started"
  under_lock have_certificate || fail getting_certificate "$WHY"
  report getting_certificate 68 "The certificate for $HOST is valid until $(end_in_words "$SERVED")"
}

# The timer's: the same, and what is new is put in force.
renew_certificate() {
  RENEWING=true
  under_lock renew_and_serve || {
    log "$WHY"
    return 1
  }
  log "the certificate for $HOST is valid until $(end_in_words "$SERVED")"
}

renew_and_serve() {
  have_certificate || return
  serve_comfyui || return
  ! boot_failed_here || end_boot
}

# progress PERCENT WORDS: of the boot. The timer's run is none.
progress() {
  if [[ -n "${RENEWING:-}" ]]; then
    log "$2"
  else
    report getting_certificate "$1" "$2"
  fi
}

have_certificate() {
  WHY=""
  is_name "$HOST" || {
    WHY="$HOST is no name of a host. Correct domain_name and run terraform apply."
    return 1
  }
  if [[ -n "$CERTIFICATE" ]]; then
    take_own_certificate
  else
    take_certificate_of_ca
  fi
}

# It goes into nginx's configuration and on command lines.
is_name() {
  [[ "$1" =~ ^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$ ]] && ((${#1} <= 253))
}

start_certificate_timer() {
  local unit
  for unit in pilotlight-certificate.service pilotlight-certificate.timer; do
    install -D --mode 644 "$BUNDLE/systemd/$unit" "$ROOT/etc/systemd/system/$unit" || return
  done
  systemctl daemon-reload && systemctl restart pilotlight-certificate.timer
}

# The boot and the timer take turns.
under_lock() {
  local lock status=0
  exec {lock}>"$STATE/certificate.lock"
  if flock --timeout "$ORDER_LOCK_WITHIN" "$lock"; then
    "$@" || status=$?
  else
    WHY="Another run has been busy with the certificate for $ORDER_LOCK_WITHIN seconds."
    status=1
  fi
  exec {lock}>&-
  return "$status"
}

# A boot that failed for want of a certificate is completed when there is one.
boot_failed_here() {
  grep --quiet '"step":"getting_certificate".*"failed":true' "$STATE/boot.json" 2>/dev/null
}

end_boot() {
  systemctl stop pilotlight-failed.timer || log "the end of this VM may still be planned"
  report starting_comfyui 70 "Waiting for ComfyUI to answer"
}

# --- the owner's own ---

take_own_certificate() {
  local folder="$STATE/own-certificate" wrong
  fetch_own_certificate "$folder.new" || return
  wrong="$(wrong_with "$folder.new")"
  [[ -n "$wrong" ]] || ! is_over "$folder.new" || wrong="it was valid until $(end_in_words "$folder.new")"
  [[ -z "$wrong" ]] || {
    rm -rf "$folder.new"
    WHY="The certificate in $CERTIFICATE cannot be used: $wrong."
    return 1
  }
  ! is_due "$folder.new" || log "the certificate in $CERTIFICATE is valid only until $(end_in_words "$folder.new")"
  rm -rf "$folder"
  mv "$folder.new" "$folder"
  serve_from "$folder"
}

# fetch_own_certificate FOLDER. In memory only: its owner keeps it elsewhere.
fetch_own_certificate() {
  local file
  rm -rf "$1"
  install --directory --mode 700 "$1" || return
  for file in fullchain.pem privkey.pem; do
    case "$CERTIFICATE" in
      gs://?*) (umask 077 && fetch "${CERTIFICATE%/}/$file" "" "$1/$file") ;;
      /*) (umask 077 && cp "${CERTIFICATE%/}/$file" "$1/$file") ;;
      *)
        WHY="certificate is $CERTIFICATE, expected gs://BUCKET/FOLDER or the path of a folder on the VM."
        return 1
        ;;
    esac || {
      WHY="${CERTIFICATE%/}/$file cannot be read. It must be there, and this VM's service account must be allowed to."
      return 1
    }
  done
}

# Puts it in use; nginx takes it up with its next rendering.
serve_from() {
  ln --symbolic --force --no-dereference "$1" "$SERVED.new"
  mv --no-target-directory "$SERVED.new" "$SERVED"
}

# --- a CA's ---

take_certificate_of_ca() {
  local best
  read_acme_server && is_folder_ours || return
  best="$(best_certificate)"
  if [[ -z "$best" ]]; then
    wait_until_host_points_here && order_patiently
    return
  fi
  serve_from "$best"
  is_due "$best" || return 0
  log "a new certificate for $HOST is due, this one is valid until $(end_in_words "$best")"
  # It is still good for a while: the boot does not wait, the timer tries again.
  order_certificate || log "the certificate for $HOST is kept until a new one can be had: $WHY"
}

# ACME_SERVER as certbot needs it: ACME_URL, and CA, which names its folder and its orders.
read_acme_server() {
  case "$ACME_SERVER" in
    "" | production) CA=production ACME_URL=https://acme-v02.api.letsencrypt.org/directory ;;
    staging) CA=staging ACME_URL=https://acme-staging-v02.api.letsencrypt.org/directory ;;
    https://*) CA="other-$(printf '%s' "$ACME_SERVER" | sha256sum | cut --characters 1-12)" ACME_URL="$ACME_SERVER" ;;
    *)
      WHY="acme_server is $ACME_SERVER, expected production, staging, or the https:// address of a directory."
      return 1
      ;;
  esac
}

# Keys are in it: it is root's alone, also on a disk that was used elsewhere.
is_folder_ours() {
  if [[ -L "$CERTIFICATES" || (-e "$CERTIFICATES" && ! -d "$CERTIFICATES") ]]; then
    WHY="$CERTIFICATES on the data disk is not a folder. Move it away."
    return 1
  fi
  install --directory --owner 0 --group 0 --mode 700 "$CERTIFICATES" "$CERTIFICATES/$CA" 2>/dev/null || {
    WHY="$CERTIFICATES cannot be made on the data disk. Is the disk full, or damaged?"
    return 1
  }
}

# The folder of the newest certificate for HOST that can be used; nothing when there is none.
best_certificate() {
  local folder wrong best="" best_start=0 start
  for folder in "$CERTIFICATES/$CA"/live/*/; do
    [[ -d "$folder" ]] || continue
    folder="${folder%/}"
    wrong="$(wrong_with "$folder")"
    if [[ -n "$wrong" ]]; then
      log "${folder#"$CERTIFICATES/"} is passed over: $wrong"
      continue
    fi
    start="$(start_of "$folder")"
    is_over "$folder" || ((start <= best_start)) || best="$folder" best_start="$start"
  done
  printf '%s' "$best"
}

# Tries to order, at a boot that needs a certificate to go on.
order_patiently() {
  local attempt status
  for ((attempt = 1; attempt <= ORDER_TRIES; attempt++)); do
    ((attempt == 1)) || sleep "$ORDER_AGAIN_AFTER"
    progress 64 "Getting a certificate for $HOST"
    wait_for_ca || return
    status=0
    order_certificate || status=$?
    # Only a failed order is worth another try: what refuses before that, refuses again.
    ((status == ORDER_FAILED)) || return "$status"
    log "$WHY"
  done
  return 1
}

ORDER_FAILED=2

# One order. It is noted before it is made: whatever happens in between, the limits are kept.
order_certificate() {
  local name
  name="order-$(date +%s%N)"
  can_order || return
  serve_challenges || return
  note_order || return
  if get_from_ca "$name"; then
    note_outcome issued || log "$WHY"
    serve_from "$CERTIFICATES/$CA/live/$name"
    remove_old_certificates "$name"
  else
    # One that was cut off may have been issued all the same: its end stays unknown.
    $CUT_OFF || note_outcome failed || log "an outcome could not be noted"
    return "$ORDER_FAILED"
  fi
}

# What counts is the certificate, not how certbot ends: it fails on one whose subject is an address, after having it.
get_from_ca() {
  local certbot_fails=false wrong
  run_certbot "$1" || certbot_fails=true
  wrong="$(wrong_with "$CERTIFICATES/$CA/live/$1")"
  [[ -n "$wrong" ]] || return 0
  $certbot_fails || WHY="The new certificate for $HOST cannot be used: $wrong."
  return 1
}

can_order() {
  local free
  [[ -x "$CERTBOT" ]] || {
    WHY="certbot is missing: there is no $CERTBOT."
    return 1
  }
  free="$(df --output=avail --block-size=1K "$CERTIFICATES" | tail --lines 1)"
  ((free >= FREE_KIB_NEEDED)) || {
    WHY="The data disk is full: $((free)) KiB are free, a certificate needs $FREE_KIB_NEEDED KiB. Delete something."
    return 1
  }
  points_here || {
    WHY="$(dns_words)"
    return 1
  }
  ca_answers && ledger_allows
}

run_certbot() {
  local status=0 said="$STATE/certbot.log" what=(--domain "$HOST") who=(--register-unsafely-without-email)
  # Let's Encrypt has certificates for addresses in this profile only.
  [[ -n "$DOMAIN_NAME" ]] || what=(--ip-address "$HOST" --preferred-profile shortlived)
  [[ -z "$SSL_EMAIL" ]] || who=(--email "$SSL_EMAIL" --no-eff-email)
  timeout "$ORDER_WITHIN" "$CERTBOT" certonly --non-interactive --no-directory-hooks --agree-tos "${who[@]}" \
    --server "$ACME_URL" \
    --webroot --webroot-path "$ACME_WEBROOT" --cert-name "$1" "${what[@]}" \
    --config-dir "$CERTIFICATES/$CA" --work-dir "$CERTBOT_WORK" --logs-dir "$CERTBOT_LOGS" \
    --max-log-backups "$CERTBOT_LOGS_KEPT" >"$said" 2>&1 || status=$?
  # 124: `timeout` says that the time was over.
  CUT_OFF="$( ((status == 124)) && echo true || echo false)"
  ((status == 0)) || {
    WHY="No certificate for $HOST could be had. Port 80 of this VM must be open to everybody."$'\n'
    WHY+="$(tail --lines "$LAST_LINES" "$said")"
    return 1
  }
}

# The newest are kept, also those for other names: the VM may get its old address back.
remove_old_certificates() {
  local folder name kept=0
  while read -r folder; do
    name="${folder##*/}"
    if ((kept < CERTIFICATES_KEPT)) || [[ "$name" == "$1" ]]; then
      kept=$((kept + 1))
      continue
    fi
    rm -rf "$CERTIFICATES/$CA/live/$name" "$CERTIFICATES/$CA/archive/$name" "$CERTIFICATES/$CA/renewal/$name.conf"
  done < <(find "$CERTIFICATES/$CA/live" -mindepth 1 -maxdepth 1 -type d -name 'order-*' | sort --reverse)
}

wait_for_ca() {
  local attempt
  for ((attempt = 1; attempt <= CA_TRIES; attempt++)); do
    ((attempt == 1)) || sleep "$CA_AGAIN_AFTER"
    ! ca_answers || return 0
    log "$WHY"
  done
  return 1
}

# Asked before an order, so that none is counted that could not be made.
ca_answers() {
  local said
  said="$(curl --silent --show-error --fail --max-time "$CA_ANSWERS_WITHIN" --output /dev/null "$ACME_URL" 2>&1)" || {
    WHY="$ACME_URL, which gives certificates, does not answer (this VM's clock says $(date --utc +'%F %R') UTC)."
    WHY+=$'\n'"$said"
    return 1
  }
}

# --- DNS ---

wait_until_host_points_here() {
  local begun=$SECONDS
  until points_here; do
    WHY="$(dns_words)"
    ((SECONDS - begun < DNS_WITHIN)) || return
    progress 62 "$WHY"
    sleep "$DNS_EVERY"
  done
}

points_here() {
  [[ -z "$DOMAIN_NAME" || -z "$EXTERNAL_IP" ]] ||
    grep --quiet --line-regexp --fixed-strings "$EXTERNAL_IP" <<<"$(addresses_of_host)"
}

addresses_of_host() {
  { getent ahostsv4 "$HOST" || true; } | cut --delimiter ' ' --fields 1 | sort --unique
}

dns_words() {
  local found
  found="$(addresses_of_host | paste --serial --delimiters ' ')"
  echo "$HOST points to ${found:-no address}, but this VM is $EXTERNAL_IP. Set the domain's A record to $EXTERNAL_IP."
}

# Run as a program: with the boot's own script, and what the boot was told.
if [[ "${BASH_SOURCE[0]}" == "$0" ]] && ((${#BASH_SOURCE[@]} == 1)); then
  set -euo pipefail
  [[ "$*" == renew ]] || {
    echo "usage: $0 renew" >&2
    exit 2
  }
  # shellcheck source=/dev/null
  source "${ROOT:-}/run/pilotlight/startup.sh"
  # shellcheck source=/dev/null
  source "${ROOT:-}/run/pilotlight/settings"
  load_steps
  renew_certificate
fi
