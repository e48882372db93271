#!/usr/bin/env bats
# The certificate: the owner's own, or had from a real ACME server by the real certbot through the real nginx.
bats_require_minimum_version 1.5.0
load support
load web

PEBBLE=https://localhost:14000/dir

setup_file() {
  prepare_certbot
  open_network
  certificate "$NET/pebble" "$NET/ca" localhost
  # 160 hours, as Let's Encrypt's short-lived ones.
  jq --null-input --arg net "$NET" '{pebble: {
    listenAddress: "127.0.0.1:14000", managementListenAddress: "127.0.0.1:15000",
    certificate: "\($net)/pebble/fullchain.pem", privateKey: "\($net)/pebble/privkey.pem",
    httpPort: 80, tlsPort: 443, certificateValidityPeriod: 576000}}' >"$NET/pebble.json"
  inside_stays env PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 pebble -config "$NET/pebble.json"
  mkdir "$NET/bucket"
  inside_stays python3 "$BATS_TEST_DIRNAME/bucket.py" "$NET/bucket"
  export REQUESTS_CA_BUNDLE="$NET/ca/fullchain.pem" CURL_CA_BUNDLE="$NET/ca/fullchain.pem"
  eventually inside curl --silent --output /dev/null "$PEBBLE"
  eventually inside curl --silent --output /dev/null http://127.0.0.1:8186/
}

teardown_file() {
  close_network
}

setup() {
  setup_vm
  given ACME_SERVER="$PEBBLE" DNS_WITHIN=0 CA_AGAIN_AFTER=0 ORDER_AGAIN_AFTER=0 FETCH_TRIES=1
  ln -s "$TEST_CERTBOT" "$ROOT/opt/pilotlight/certbot"
  CERTIFICATES="$ROOT/mnt/pilotlight/certificates"
  ORDERS="$CERTIFICATES/orders"
  SERVED="$ROOT/run/pilotlight/certificate"
  CA="$(ca_of "$PEBBLE")"
}

teardown() {
  stop_nginx
  known_hosts
}

# The folder of the CA with this directory.
ca_of() {
  printf 'other-%s' "$(printf %s "$1" | sha256sum | cut -c1-12)"
}

# A certbot that notes how it is called, and what the ledger was then; it makes a certificate by our own CA, or fails.
certbot_is_a_stub() {
  cat >"$BATS_TEST_TMPDIR/certbot" <<STUB
#!/usr/bin/env bash
echo "certbot \$*" >>"$CALLS"
cat "$ORDERS" >"$BATS_TEST_TMPDIR/ledger-then"
$1
while ((\$# > 0)); do
  case "\$1" in
    --cert-name) name="\$2" ;;
    --config-dir) folder="\$2" ;;
    --domain | --ip-address) host="\$2" ;;
  esac
  shift
done
source "$BATS_TEST_DIRNAME/web.bash"
certificate "\$folder/live/\$name" "$NET/ca" "\$host"
STUB
  chmod +x "$BATS_TEST_TMPDIR/certbot"
  given CERTBOT="$BATS_TEST_TMPDIR/certbot"
}

orders() {
  grep --count '^certbot' "$CALLS" || true
}

# have NAME STARTS ENDS [HOST] [CA]: on the data disk there is a certificate; times in hours from now.
have() {
  certificate "$CERTIFICATES/${5:-$CA}/live/$1" "$NET/ca" "${4:-comfy.test}" "$2" "$3"
}

# ledger HOURS_AGO OUTCOME [HOST] [CA]: an order that was made.
ledger() {
  mkdir -p "$CERTIFICATES"
  printf '%s %s %s %s\n' "$(date --date "${1} hours ago" +%s)" "${4:-$CA}" "${3:-comfy.test}" "$2" >>"$ORDERS"
}

served() {
  basename "$(readlink "$SERVED")"
}

serial_of() {
  openssl x509 -noout -serial -in "$1/fullchain.pem"
}

serial_on_the_wire() {
  inside openssl s_client -connect "$VM:443" "$@" </dev/null 2>/dev/null | openssl x509 -noout -serial
}

is_on_the_wire() {
  [ "$(serial_on_the_wire "${@:2}")" = "$(serial_of "$1")" ]
}

boot() {
  vm get_certificate && vm start_nginx
}

# As its unit runs it, with what the boot has left for it.
timer() {
  vm keep_settings
  # The tests' own settings are none of the metadata's.
  cat "$ROOT/settings" >>"$ROOT/run/pilotlight/settings"
  inside bash "$ROOT/opt/pilotlight/bundle/steps/certificate.sh" renew
}

failed_with() {
  [ "$status" -eq 1 ]
  [ "$(told '"\(.step) \(.failed)"')" = "getting_certificate true" ]
  [[ "$(told .detail)" == $1 ]] || { told .detail; false; }
}

# --- a domain ---

@test "a domain gets a certificate from the CA, once for many boots" {
  boot
  is_on_the_wire "$SERVED" -servername comfy.test
  openssl x509 -noout -checkhost comfy.test -in "$SERVED/fullchain.pem" | grep --quiet 'does match'
  grep --quiet --extended-regexp "^[0-9]+ $CA comfy.test issued$" "$ORDERS"
  grep --quiet 'systemctl restart pilotlight-certificate.timer' "$CALLS"
  local first
  first="$(served)"
  # The machine is off, and comes up again.
  stop_nginx
  rm -rf "$ROOT/run/pilotlight" "$ROOT/run/nginx.pid"
  mkdir "$ROOT/run/pilotlight"
  boot
  [ "$(served)" = "$first" ]
  [ "$(wc -l <"$ORDERS")" = 1 ]
  is_on_the_wire "$SERVED" -servername comfy.test
}

@test "keys are root's alone, and logs are bounded and not on the data disk" {
  certbot_is_a_stub
  mkdir -p "$CERTIFICATES"
  chown 65534 "$CERTIFICATES"
  chmod 777 "$CERTIFICATES"
  vm get_certificate
  [ "$(stat --format '%U %a' "$CERTIFICATES")" = "root 700" ]
  grep --quiet -- "--logs-dir $ROOT/var/log/pilotlight/certbot --max-log-backups 10" "$CALLS"
  grep --quiet -- "--register-unsafely-without-email" "$CALLS"
  rm -r "$CERTIFICATES"
  given SSL_EMAIL=me@example.com
  vm get_certificate
  grep --quiet -- "--email me@example.com" "$CALLS"
}

@test "the timer renews what is due, and nginx takes it up" {
  have order-1 -100 1000
  boot
  is_on_the_wire "$CERTIFICATES/$CA/live/order-1" -servername comfy.test
  # Time goes by.
  have order-1 -1000 400
  run timer
  [ "$status" -eq 0 ]
  [[ "$(served)" != order-1 ]]
  eventually is_on_the_wire "$SERVED" -servername comfy.test
  : >"$CALLS"
  # And leaves alone what is not.
  timer
  [ "$(grep --count issued "$ORDERS")" = 1 ]
  run ! grep --extended-regexp '(reload|restart) nginx' "$CALLS"
}

@test "due is with a third of the life left, and at half for a short one" {
  local dates folder="$BATS_TEST_TMPDIR/dated"
  for dates in '-1439 721' '-79 81' '-1 159'; do
    certificate "$folder" "$NET/ca" comfy.test $dates
    run ! vm is_due "$folder"
  done
  for dates in '-1441 719' '-81 79' '-100 -1'; do
    certificate "$folder" "$NET/ca" comfy.test $dates
    vm is_due "$folder"
  done
}

@test "another domain gets a certificate of its own" {
  certbot_is_a_stub
  have order-1 -1 1000 old.test
  vm get_certificate
  [ "$(orders)" = 1 ]
  openssl x509 -noout -checkhost comfy.test -in "$SERVED/fullchain.pem" | grep --quiet 'does match'
}

@test "a failed order says what the CA has said" {
  given HOST=unknown.test DOMAIN_NAME=unknown.test EXTERNAL_IP= ORDER_TRIES=1
  run vm get_certificate
  failed_with 'No certificate for unknown.test could be had. Port 80*unknown.test*'
  [ "$(cut -d' ' -f2- "$ORDERS" | sort | uniq -c | xargs)" = "1 $CA unknown.test failed" ]
  grep --quiet systemd-run "$CALLS"
}

# --- an address ---

@test "without a domain there is a certificate for the address, which can be renewed" {
  given DOMAIN_NAME= HOST="$VM"
  boot
  is_on_the_wire "$SERVED"
  openssl x509 -noout -checkip "$VM" -in "$SERVED/fullchain.pem" | grep --quiet 'does match'
  local first
  first="$(served)"
  # At 160 hours it is not due. Then the clock goes on.
  vm get_certificate
  [ "$(served)" = "$first" ]
  rm -r "$CERTIFICATES/$CA/live/$first"
  have "$first" -90 70 "$VM"
  timer
  [ "$(served)" != "$first" ]
  eventually is_on_the_wire "$SERVED"
  [ "$(grep --count "$VM issued" "$ORDERS")" = 2 ]
}

@test "an address is asked for in the short-lived profile, a domain is not" {
  certbot_is_a_stub
  given DOMAIN_NAME= HOST="$VM"
  vm get_certificate
  grep --quiet -- "--ip-address $VM --preferred-profile shortlived" "$CALLS"
  : >"$CALLS"
  given DOMAIN_NAME=comfy.test HOST=comfy.test
  vm get_certificate
  grep --quiet -- "--domain comfy.test" "$CALLS"
  run ! grep --quiet -- "--preferred-profile" "$CALLS"
  given DOMAIN_NAME= HOST="$ELSEWHERE" EXTERNAL_IP="$ELSEWHERE"
  vm get_certificate
  grep --quiet -- "--ip-address $ELSEWHERE" "$CALLS"
}

# --- the CA is down ---

@test "while the CA is down, a valid certificate is kept" {
  given ACME_SERVER=https://localhost:1/dir
  CA="$(ca_of https://localhost:1/dir)"
  have order-1 -1000 10
  run vm get_certificate
  [ "$status" -eq 0 ]
  [ "$(served)" = order-1 ]
  [[ "$output" == *"is kept until a new one can be had: https://localhost:1/dir, which gives"* ]]
  [ ! -s "$ORDERS" ]
}

@test "while the CA is down, an expired one is a failure, which the timer mends" {
  certbot_is_a_stub
  have order-1 -1000 -1
  have order-1 -1000 -1 comfy.test "$(ca_of https://localhost:1/dir)"
  given ACME_SERVER=https://localhost:1/dir
  run vm get_certificate
  failed_with '*does not answer*'
  [ "$(orders)" = 0 ]
  run timer
  [ "$status" -eq 1 ]
  [ "$(told .failed)" = true ]
  given ACME_SERVER="$PEBBLE"
  run timer
  [ "$status" -eq 0 ]
  [ "$(orders)" = 1 ]
  is_on_the_wire "$SERVED" -servername comfy.test
  [ "$(told '"\(.step) \(.failed)"')" = "starting_comfyui false" ]
  grep --quiet 'systemctl stop pilotlight-failed.timer' "$CALLS"
}

# --- DNS ---

@test "a domain that does not point here yet is waited for, and told with both addresses" {
  certbot_is_a_stub
  given DNS_WITHIN=20 DNS_EVERY=0.1 EXTERNAL_IP="$ELSEWHERE"
  vm get_certificate &
  words="comfy.test points to $VM, but this VM is $ELSEWHERE. Set the domain's A record to $ELSEWHERE."
  waits() { [ "$(told .detail 2>/dev/null)" = "$words" ]; }
  eventually waits
  [ "$(told .failed)" = false ]
  [ "$(orders)" = 0 ]
  # Written over, not replaced: it is mounted.
  printf '%s comfy.test\n' "$ELSEWHERE" >"$NET/hosts"
  wait $!
  [ "$(orders)" = 1 ]
}

@test "a domain that never points here is a failure in the end, and no order is made" {
  certbot_is_a_stub
  given DNS_WITHIN=0 HOST=nowhere.test DOMAIN_NAME=nowhere.test
  run vm get_certificate
  failed_with "nowhere.test points to no address, but this VM is $VM.*"
  [ "$(orders)" = 0 ]
}

@test "while DNS points elsewhere, a valid certificate is served at once" {
  certbot_is_a_stub
  given DNS_WITHIN=60 EXTERNAL_IP=192.0.2.1
  have order-1 -1000 10
  vm get_certificate
  [ "$(served)" = order-1 ]
  [ "$(orders)" = 0 ]
}

# --- the ledger ---

@test "the ledger counts an order before it is made, and keeps it when the power goes" {
  certbot_is_a_stub 'kill -KILL $(ps -o ppid= -p $PPID) $PPID; exit 1'
  run vm get_certificate
  [ "$status" -ne 0 ]
  grep --quiet --extended-regexp "^[0-9]+ $CA comfy.test ordered$" "$BATS_TEST_TMPDIR/ledger-then"
  cmp "$ORDERS" "$BATS_TEST_TMPDIR/ledger-then"
}

@test "four certificates in seven days are all that is ordered, whatever restarts" {
  certbot_is_a_stub
  local boot
  for boot in 1 2 3 4; do
    rm -rf "$CERTIFICATES/$CA"
    vm get_certificate
  done
  rm -rf "$CERTIFICATES/$CA"
  run vm get_certificate
  local again
  again="$(date --utc --date "@$(($(head -1 "$ORDERS" | cut -d' ' -f1) + 604800))" +'%F %R UTC')"
  failed_with "4 certificates for comfy.test were ordered within seven days. *the next try is possible at $again."
  [ "$(orders)" = 4 ]
}

@test "what is older than a week, another name's, or another CA's does not count" {
  certbot_is_a_stub
  ledger 169 issued
  ledger 167 issued
  ledger 3 issued
  ledger 2 ordered
  ledger 1 issued old.test
  ledger 1 issued comfy.test staging
  vm get_certificate
  [ "$(orders)" = 1 ]
  # The oldest is forgotten.
  [ "$(wc -l <"$ORDERS")" = 6 ]
}

@test "four failures in an hour are all, and a valid certificate is kept meanwhile" {
  certbot_is_a_stub 'echo the validation failed; exit 1'
  run vm get_certificate
  failed_with '*the validation failed'
  run vm get_certificate
  run vm get_certificate
  failed_with "4 orders of a certificate for comfy.test failed within an hour. *"
  [ "$(orders)" = 4 ]
  have order-1 -1000 10
  vm get_certificate
  [ "$(served)" = order-1 ]
  [ "$(orders)" = 4 ]
}

@test "an order that was cut off stays one whose end is not known" {
  certbot_is_a_stub 'sleep 5'
  given ORDER_WITHIN=0.2 ORDER_TRIES=1
  run vm get_certificate
  failed_with 'No certificate for comfy.test could be had.*'
  grep --quiet --extended-regexp "^[0-9]+ $CA comfy.test ordered$" "$ORDERS"
}

@test "an order whose end is not known counts as issued and as failed" {
  certbot_is_a_stub
  ledger 0 ordered
  ledger 0 ordered
  ledger 0 failed
  ledger 0 failed
  run vm get_certificate
  failed_with '*failed within an hour*'
  rm "$ORDERS"
  ledger 30 ordered
  ledger 20 ordered
  ledger 10 issued
  ledger 5 issued
  run vm get_certificate
  failed_with '*within seven days*'
  [ "$(orders)" = 0 ]
}

@test "times to come count from now on, and lines that cannot be read are dropped" {
  certbot_is_a_stub
  ledger -500000 issued
  ledger -400000 failed
  printf 'garbage\n\n12 34\n99999999999 %s comfy.test burnt\n' "$CA" >>"$ORDERS"
  vm get_certificate
  [ "$(orders)" = 1 ]
  [ "$(wc -l <"$ORDERS")" = 3 ]
  (($(cut -d' ' -f1 "$ORDERS" | sort -n | tail -1) <= $(date +%s)))
}

# --- one CA is not another ---

@test "a staging certificate is not taken for a production one" {
  certbot_is_a_stub
  # Both are asked for at addresses that do not answer here.
  stub curl 'case "$*" in *letsencrypt*) ;; *) exec /usr/bin/curl "$@" ;; esac'
  given ACME_SERVER=staging
  vm get_certificate
  grep --quiet -- '--server https://acme-staging-v02.api.letsencrypt.org/directory' "$CALLS"
  [[ "$(readlink "$SERVED")" == "$CERTIFICATES/staging/live/"* ]]
  given ACME_SERVER=
  vm get_certificate
  grep --quiet -- '--server https://acme-v02.api.letsencrypt.org/directory' "$CALLS"
  [[ "$(readlink "$SERVED")" == "$CERTIFICATES/production/live/"* ]]
  given ACME_SERVER=production
  vm get_certificate
  given ACME_SERVER=staging
  vm get_certificate
  [ "$(orders)" = 2 ]
}

@test "a CA or a name that is none is a failure" {
  given ACME_SERVER=letsencrypt
  run vm get_certificate
  failed_with 'acme_server is letsencrypt, expected production, staging, or the https:// address of a directory.'
  given HOST='a.test; }' DOMAIN_NAME='a.test; }'
  run vm get_certificate
  failed_with 'a.test; } is no name of a host.*'
}

# --- the owner's own ---

@test "an own certificate from a folder is used, and no CA is asked" {
  certbot_is_a_stub
  given CERTIFICATE="$BATS_TEST_TMPDIR/own/"
  certificate "$BATS_TEST_TMPDIR/own" "$NET/ca" comfy.test
  chmod 644 "$BATS_TEST_TMPDIR/own/privkey.pem"
  boot
  is_on_the_wire "$BATS_TEST_TMPDIR/own" -servername comfy.test
  [ "$(orders)" = 0 ]
  # Nothing of it goes to the data disk.
  [ ! -e "$CERTIFICATES" ]
  [ "$(stat --format %a "$SERVED/" "$SERVED/privkey.pem" | xargs)" = "700 600" ]
  # A newer one is taken up by the timer.
  certificate "$BATS_TEST_TMPDIR/own" "$NET/ca" comfy.test
  timer
  eventually is_on_the_wire "$BATS_TEST_TMPDIR/own" -servername comfy.test
}

@test "an own certificate from a bucket is used" {
  given CERTIFICATE=gs://bucket/certificates/mine STORAGE=http://127.0.0.1:8186 METADATA=http://127.0.0.1:8186
  certificate "$NET/bucket/certificates/mine" "$NET/ca" comfy.test
  vm get_certificate
  cmp "$SERVED/privkey.pem" "$NET/bucket/certificates/mine/privkey.pem"
  cmp "$SERVED/fullchain.pem" "$NET/bucket/certificates/mine/fullchain.pem"
}

@test "an own certificate that cannot be used is a failure that says why" {
  local own="$BATS_TEST_TMPDIR/own"
  given CERTIFICATE="$own"
  refused() {
    run vm get_certificate
    failed_with "$1"
    [ ! -e "$ROOT/run/pilotlight/own-certificate.new" ]
  }
  run vm get_certificate
  failed_with "$own/fullchain.pem cannot be read.*"
  certificate "$own" "$NET/ca" other.test
  refused "The certificate in $own cannot be used: it is not for comfy.test."
  certificate "$own" "$NET/ca" comfy.test -10 -1
  refused "The certificate in $own cannot be used: it was valid until *"
  certificate "$own" "$NET/ca" comfy.test
  new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$own/privkey.pem" "$@" 2>/dev/null; }
  new_key
  refused "*: privkey.pem is not the key of fullchain.pem."
  new_key -aes256 -pass pass:x
  refused "*: privkey.pem cannot be read (it must not have a password)."
  echo nonsense >"$own/fullchain.pem"
  refused "*: fullchain.pem cannot be read."
  : >"$own/fullchain.pem"
  refused "*: fullchain.pem is missing or empty."
  given CERTIFICATE=relative/folder
  run vm get_certificate
  failed_with 'certificate is relative/folder, expected gs://*'
  given CERTIFICATE=gs://bucket/nothing STORAGE=http://127.0.0.1:8186 METADATA=http://127.0.0.1:8186
  run vm get_certificate
  failed_with "gs://bucket/nothing/fullchain.pem cannot be read.*"
}

# --- what can be damaged ---

@test "damaged certificates are passed over, for the best that is good" {
  certbot_is_a_stub
  local live="$CERTIFICATES/$CA/live"
  have order-1 -8 1900
  have order-2 -7 1900
  have order-3 -6 1900
  have order-4 -5 1900
  have order-5 -4 1900
  have order-6 -3 1900
  have order-7 -2 -1
  rm "$live/order-3/privkey.pem"
  truncate --size 300 "$live/order-4/fullchain.pem"
  truncate --size 1100 "$live/order-5/fullchain.pem"
  : >"$live/order-6/privkey.pem"
  ln -s /nonexistent "$live/order-8"
  touch "$live/README"
  run vm get_certificate
  [ "$status" -eq 0 ]
  [ "$(served)" = order-2 ]
  [[ "$output" == *"live/order-3 is passed over: privkey.pem is missing or empty"* ]]
  [[ "$output" == *"live/order-4 is passed over: fullchain.pem cannot be read"* ]]
  [[ "$output" == *"live/order-5 is passed over: fullchain.pem cannot be read"* ]]
  [ "$(orders)" = 0 ]
  # Where none is good, it is as if there were none.
  rm "$live"/order-[12]/privkey.pem
  vm get_certificate
  [ "$(orders)" = 1 ]
}

@test "certbot's folder may be damaged too" {
  vm get_certificate
  local first
  first="$(served)"
  : >"$CERTIFICATES/$CA/renewal/$first.conf"
  rm "$CERTIFICATES/$CA/archive/$first/privkey1.pem"
  vm get_certificate
  [ "$(served)" != "$first" ]
  [ "$(grep --count issued "$ORDERS")" = 2 ]
}

@test "something else in place of the folder is told" {
  : >"$CERTIFICATES"
  run vm get_certificate
  failed_with "$CERTIFICATES on the data disk is not a folder. Move it away."
  rm "$CERTIFICATES"
  ln -s /tmp "$CERTIFICATES"
  run vm get_certificate
  failed_with "$CERTIFICATES on the data disk is not a folder. Move it away."
}

@test "on a full disk nothing is ordered, and what is there is served" {
  certbot_is_a_stub
  inside mount -t tmpfs -o size=512k tmpfs "$ROOT/mnt/pilotlight"
  run vm get_certificate
  failed_with 'The data disk is full: * KiB are free, a certificate needs 4096 KiB. Delete something.'
  given FREE_KIB_NEEDED=0
  inside dd if=/dev/zero of="$ROOT/mnt/pilotlight/fill" bs=4k 2>/dev/null || true
  run vm get_certificate
  failed_with 'The data disk is full*'
  [ "$(orders)" = 0 ]
  inside rm "$ROOT/mnt/pilotlight/fill"
  inside mkdir -p "$CERTIFICATES/$CA/live"
  certificate "$BATS_TEST_TMPDIR/valid" "$NET/ca" comfy.test -1000 10
  inside cp -r "$BATS_TEST_TMPDIR/valid" "$CERTIFICATES/$CA/live/order-1"
  inside dd if=/dev/zero of="$ROOT/mnt/pilotlight/fill" bs=4k 2>/dev/null || true
  vm get_certificate
  [ "$(served)" = order-1 ]
  [ "$(orders)" = 0 ]
  inside umount "$ROOT/mnt/pilotlight"
}

@test "an order that cannot be noted is not made" {
  certbot_is_a_stub
  mkdir -p "$ORDERS.new"
  run vm get_certificate
  failed_with "The order of a certificate cannot be noted in $ORDERS, so none is made.*"
  [ "$(orders)" = 0 ]
}

@test "a certificate that is not valid yet is used: our clock is wrong" {
  certbot_is_a_stub
  have order-1 24 2000
  vm get_certificate
  [ "$(served)" = order-1 ]
  [ "$(orders)" = 0 ]
}

@test "old certificates are removed, with all that certbot keeps of them" {
  certbot_is_a_stub
  local number name kept
  for number in 1 2 3 4 5; do
    # As long as the names that orders have.
    name="order-111111111111111111$number"
    have "$name" -1000 10
    mkdir -p "$CERTIFICATES/$CA/archive/$name" "$CERTIFICATES/$CA/renewal"
    : >"$CERTIFICATES/$CA/renewal/$name.conf"
  done
  vm get_certificate
  kept="order-1111111111111111113 order-1111111111111111114 order-1111111111111111115"
  [ "$(ls "$CERTIFICATES/$CA/live" | xargs)" = "$kept $(served)" ]
  [ "$(ls "$CERTIFICATES/$CA/archive" | xargs)" = "$kept" ]
  [ "$(ls "$CERTIFICATES/$CA/renewal" | xargs)" = "${kept// /.conf }.conf" ]
}

@test "without certbot the failure says so" {
  given CERTBOT=/nonexistent/certbot
  run vm get_certificate
  failed_with 'certbot is missing: there is no /nonexistent/certbot.'
}

# --- the timer ---

@test "the boot and the timer take turns: one order for both" {
  certbot_is_a_stub 'sleep 0.5'
  timer &
  vm get_certificate
  wait "$!"
  [ "$(orders)" = 1 ]
}

@test "the units are installed, and systemd understands them" {
  certbot_is_a_stub
  vm get_certificate
  local units="$ROOT/etc/systemd/system"
  cmp "$REPO/vm/systemd/pilotlight-certificate.service" "$units/pilotlight-certificate.service"
  cmp "$REPO/vm/systemd/pilotlight-certificate.timer" "$units/pilotlight-certificate.timer"
  run systemd-analyze verify "$units/pilotlight-certificate.service" "$units/pilotlight-certificate.timer"
  [ "$status" -eq 0 ]
  [ -z "$output" ] || { echo "$output"; false; }
}

@test "the program says how it is used" {
  run -2 bash "$REPO/vm/steps/certificate.sh" order
  [ "$output" = "usage: $REPO/vm/steps/certificate.sh renew" ]
}
