#!/usr/bin/env bats
# nginx as it is rendered, in front of something that tells what has reached it.
bats_require_minimum_version 1.5.0
load support
load web

setup_file() {
  open_network
  mkfifo "$NET/arrived"
  inside_stays python3 "$BATS_TEST_DIRNAME/upstream.py" "$NET/arrived"
  certificate "$NET/comfy.test" "$NET/ca" comfy.test
  certificate "$NET/address" "$NET/ca" "$VM"
  eventually inside curl --silent --output /dev/null http://127.0.0.1:8189/
}

teardown_file() {
  close_network
}

setup() {
  setup_vm
  ln -s "$NET/comfy.test" "$ROOT/run/pilotlight/certificate"
}

teardown() {
  stop_nginx
  [[ -z "${LISTENER:-}" ]] || kill "$LISTENER" 2>/dev/null || true
}

for_an_address() {
  given DOMAIN_NAME= HOST="$VM"
  ln -sfn "$NET/address" "$ROOT/run/pilotlight/certificate"
}

# What nginx logs, in $ROOT/log.
listen_to_log() {
  inside python3 -c '
import os, socket, sys
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
with open(sys.argv[2], "ab", buffering=0) as log:
    while True:
        log.write(journal.recv(65536) + b"\n")' "$ROOT/dev/log" "$ROOT/log" 3>&- &
  LISTENER=$!
  eventually test -S "$ROOT/dev/log"
}

logged() {
  grep --quiet "$@" "$ROOT/log"
}

# status CURL_ARGUMENTS...
status() {
  browse --output /dev/null --write-out '%{http_code}' "$@" || true
}

# header NAME CURL_ARGUMENTS...
header() {
  local name="$1"
  shift
  browse --output /dev/null --dump-header - "$@" | tr -d '\r' | sed -n "s/^$name: //Ip"
}

# received FILTER CURL_ARGUMENTS...: what the gateway was asked.
received() {
  local filter="$1"
  shift
  browse "$@" | jq --raw-output "$filter"
}

# --- port 443 ---

@test "a request reaches the gateway as it was made" {
  vm serve_comfyui
  [ "$(received .path 'https://comfy.test/api/userdata/workflows%2Fa%20b.json?x=%2F&y')" = \
    '/api/userdata/workflows%2Fa%20b.json?x=%2F&y' ]
  [ "$(received .path --path-as-is 'https://comfy.test/a//b/../c')" = '/a//b/../c' ]
  [ "$(received .headers.host https://comfy.test/)" = comfy.test ]
  [ "$(received .headers.origin --header 'Origin: https://evil.test' https://comfy.test/)" = https://evil.test ]
  [ "$(received '.headers["sec-fetch-site"]' --header 'Sec-Fetch-Site: cross-site' https://comfy.test/)" = cross-site ]
  [ "$(received .headers.cookie --header 'Cookie: a=1; b=2' https://comfy.test/)" = 'a=1; b=2' ]
  [ "$(received .headers.range --header 'Range: bytes=0-1' https://comfy.test/)" = bytes=0-1 ]
  [ "$(received .headers.host https://comfy.test/_enter)" = comfy.test ]
}

@test "what a client says of its own address is not believed" {
  vm serve_comfyui
  local forged=(--header 'X-Forwarded-For: 1.1.1.1' --header 'X-Real-IP: 1.1.1.1' --header 'Forwarded: for=1.1.1.1'
    --header 'X-Forwarded-Proto: http' --header 'X-Forwarded-Host: evil.test')
  local fields='"x-forwarded-for", "x-real-ip", "x-forwarded-proto", "x-forwarded-host", "forwarded"'
  run received ".headers | [.[$fields]] | join(\" \")" --interface "$ELSEWHERE" "${forged[@]}" https://comfy.test/
  [ "$output" = "$ELSEWHERE $ELSEWHERE https comfy.test " ]
}

@test "a WebSocket is passed both ways, and no other upgrade" {
  vm serve_comfyui
  run inside python3 - "$NET/ca/fullchain.pem" <<'PYTHON'
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
context.set_alpn_protocols(["http/1.1"])
with context.wrap_socket(socket.create_connection(("comfy.test", 443), 5), server_hostname="comfy.test") as tls:
    tls.sendall(b"GET /ws?clientId=1 HTTP/1.1\r\nHost: comfy.test\r\nConnection: keep-alive, Upgrade\r\n"
                b"Upgrade: WebSocket\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n")
    answer = tls.makefile("rb")
    print(answer.readline().decode().strip())
    while answer.readline().strip():
        pass
    for word in (b"one\n", b"two\n"):
        tls.sendall(word)
        print(answer.readline().decode().strip())
PYTHON
  [ "$output" = $'HTTP/1.1 101 Switching Protocols\necho one\necho two' ]
  [ "$(received '.headers | has("upgrade") or has("connection")' --http1.1 --header 'Upgrade: h2c' \
    --header 'Connection: upgrade' https://comfy.test/)" = false ]
}

@test "an upload of 200 MB passes, and nothing of it is written to disk" {
  # Where nginx would put what it keeps back there is no room.
  inside mount -t tmpfs -o size=1m tmpfs /var/lib/nginx
  inside mkdir /var/lib/nginx/body /var/lib/nginx/proxy
  vm serve_comfyui
  truncate --size 200M "$BATS_TEST_TMPDIR/big"
  local sha256
  sha256="$(sha256sum "$BATS_TEST_TMPDIR/big" | cut -d' ' -f1)"
  [ "$(received '"\(.bytes) \(.sha256)"' --http2 --request POST --upload-file "$BATS_TEST_TMPDIR/big" \
    https://comfy.test/upload/image)" = "209715200 $sha256" ]
  # Without a length, as scripts send what they make meanwhile.
  truncate --size 20M "$BATS_TEST_TMPDIR/big"
  [ "$(received .bytes --http1.1 --header 'Transfer-Encoding: chunked' --request POST \
    --upload-file "$BATS_TEST_TMPDIR/big" https://comfy.test/upload/image)" = 20971520 ]
  inside umount /var/lib/nginx
}

@test "an answer is passed piece by piece" {
  vm serve_comfyui
  browse --no-buffer https://comfy.test/first-piece >"$BATS_TEST_TMPDIR/pieces" &
  eventually grep --quiet first "$BATS_TEST_TMPDIR/pieces"
  : >"$NET/arrived"
  wait $!
  [ "$(cat "$BATS_TEST_TMPDIR/pieces")" = "first second" ]
}

@test "text is compressed, pictures are not" {
  vm serve_comfyui
  [ "$(header content-encoding --header 'Accept-Encoding: gzip' https://comfy.test/assets/index-BX3hk2Pq.js)" = gzip ]
  [ "$(header vary --header 'Accept-Encoding: gzip' https://comfy.test/assets/index-BX3hk2Pq.js)" = Accept-Encoding ]
  [ "$(browse --compressed https://comfy.test/assets/index-BX3hk2Pq.js | wc -c)" = 50000 ]
  [ -z "$(header content-encoding --header 'Accept-Encoding: gzip' https://comfy.test/picture.png)" ]
  [ -z "$(header content-encoding https://comfy.test/assets/index-BX3hk2Pq.js)" ]
}

@test "caching and security headers are the gateway's, once" {
  vm serve_comfyui
  [ "$(header cache-control https://comfy.test/assets/index-BX3hk2Pq.js)" = "private, max-age=31536000, immutable" ]
  [ "$(header cache-control https://comfy.test/assets/gone-BX3hk2Pq.js)" = no-store ]
  [ "$(header content-security-policy https://comfy.test/)" = "frame-ancestors https://page.test" ]
  [ "$(header server https://comfy.test/)" = nginx ]
}

@test "HSTS is for a domain, not for an address, not for what no browser trusts" {
  vm serve_comfyui
  [ "$(header strict-transport-security https://comfy.test/)" = max-age=63072000 ]
  [ "$(header strict-transport-security https://comfy.test/assets/gone-BX3hk2Pq.js)" = max-age=63072000 ]
  [ -z "$(header strict-transport-security http://comfy.test/)" ]
  given ACME_SERVER=staging
  vm serve_comfyui
  none() { [ -z "$(header strict-transport-security https://comfy.test/)" ]; }
  eventually none
  given ACME_SERVER=
  for_an_address
  vm serve_comfyui
  reached() { [ "$(status "https://$VM/")" = 200 ]; }
  eventually reached
  [ -z "$(header strict-transport-security "https://$VM/")" ]
}

@test "TLS 1.3 is spoken, nothing older, and no ticket is given" {
  vm serve_comfyui
  handshake() { inside openssl s_client -connect "$VM:443" -servername comfy.test "$@" </dev/null 2>&1; }
  run handshake -tls1_3
  [[ "$output" == *"New, TLSv1.3"* ]]
  for version in -tls1_2 -tls1_1 -tls1; do
    run handshake "$version"
    [[ "$output" == *"alert protocol version"* || "$output" == *"no protocols available"* ]]
  done
  [ "$(browse --http2 --output /dev/null --write-out '%{http_version}' https://comfy.test/)" = 2 ]
  grep --quiet '^ssl_session_tickets off;' "$ROOT"/etc/nginx/pilotlight-*/tls.conf
}

@test "another name is turned away, on both ports" {
  vm serve_comfyui
  [ "$(status --header 'Host: evil.test' https://comfy.test/)" = 421 ]
  [ "$(status --insecure "https://$VM/")" = 421 ]
  [ "$(status --insecure --connect-to "evil.test:443:$VM:443" https://evil.test/)" = 421 ]
  [ "$(status --header 'Host: evil.test' http://comfy.test/)" = 000 ]
  [ "$(status --header 'Host: COMFY.test:443' https://comfy.test/)" = 200 ]
}

@test "an address is served by its own certificate, without a name in the handshake" {
  for_an_address
  vm serve_comfyui
  [ "$(status "https://$VM/")" = 200 ]
  [ "$(header location "http://$VM/a?b=c")" = "https://$VM/a?b=c" ]
  [ "$(status --insecure --connect-to "comfy.test:443:$VM:443" https://comfy.test/)" = 421 ]
}

@test "IPv6 is served too, and a kernel without it is no hindrance" {
  vm serve_comfyui
  [ "$(status --connect-to "comfy.test:443:[$VM6]:443" https://comfy.test/)" = 200 ]
  [ "$(status --connect-to "comfy.test:80:[$VM6]:80" http://comfy.test/)" = 301 ]
  given IF_INET6=/nonexistent
  vm serve_comfyui
  gone() { [ "$(status --connect-to "comfy.test:443:[$VM6]:443" https://comfy.test/)" = 000 ]; }
  eventually gone
  [ "$(status https://comfy.test/)" = 200 ]
}

@test "sixty requests at once are all answered" {
  vm serve_comfyui
  local version
  for version in --http1.1 --http2; do
    browse --parallel --parallel-immediate --parallel-max 60 "$version" --output /dev/null \
      --write-out '%{http_code}\n' 'https://comfy.test/extensions/[1-60].js' >"$BATS_TEST_TMPDIR/codes"
    [ "$(sort "$BATS_TEST_TMPDIR/codes" | uniq -c | xargs)" = "60 200" ]
  done
}

@test "a head that is too large is refused by nginx" {
  vm serve_comfyui
  [ "$(status --header "X-Long: $(head -c 14000 /dev/zero | tr '\0' a)" https://comfy.test/)" = 200 ]
  [ "$(status --http1.1 --header "X-Long: $(head -c 20000 /dev/zero | tr '\0' a)" https://comfy.test/)" = 400 ]
}

@test "a domain of the longest kind is served" {
  local label
  label="$(printf 'a%.0s' {1..60})"
  given HOST="$label.$label.$label.$label.test" DOMAIN_NAME="$label.$label.$label.$label.test"
  vm serve_comfyui
  [ "$(status --insecure --header "Host: $label.$label.$label.$label.test" "https://$VM/")" = 200 ]
}

# --- the gateway is down ---

@test "without the gateway there is a page that asks again, and may be shown in a frame" {
  vm serve_comfyui
  # nginx would ask there.
  sed -i 's/127.0.0.1:8189/127.0.0.1:9/' "$ROOT"/etc/nginx/pilotlight-*/proxy.conf
  inside kill -HUP "$(cat "$ROOT/run/nginx.pid")"
  down() { [ "$(status 'https://comfy.test/_enter?ticket=SECRET')" = 502 ]; }
  eventually down
  run browse 'https://comfy.test/_enter?ticket=SECRET'
  [[ "$output" == *'http-equiv="refresh" content="3"'* ]]
  [[ "$output" != *SECRET* ]]
  [ "$(header content-type https://comfy.test/)" = text/html ]
  [ "$(header cache-control https://comfy.test/)" = no-store ]
  [ "$(header strict-transport-security https://comfy.test/)" = max-age=63072000 ]
  [ -z "$(header x-frame-options https://comfy.test/)" ]
  [[ "$(header content-security-policy https://comfy.test/)" != *frame-ancestors* ]]
  [ "$(status --request POST --data x https://comfy.test/api/prompt)" = 502 ]
  [ "$(status http://comfy.test/healthz)" = 502 ]
  [ "$(status https://comfy.test/_waiting.html)" = 404 ]
}

# --- what is logged ---

@test "no query is logged, with the gateway up or down" {
  listen_to_log
  vm serve_comfyui
  [ "$(status 'https://comfy.test/_enter?ticket=SECRET')" = 200 ]
  [ "$(status 'http://comfy.test/_enter?ticket=SECRET')" = 301 ]
  [ "$(status --header 'Referer: https://comfy.test/_enter?ticket=SECRET' 'https://comfy.test/after')" = 200 ]
  sed -i 's/127.0.0.1:8189/127.0.0.1:9/' "$ROOT"/etc/nginx/pilotlight-*/proxy.conf
  inside kill -HUP "$(cat "$ROOT/run/nginx.pid")"
  down() { [ "$(status 'https://comfy.test/_enter?ticket=SECRET')" = 502 ]; }
  eventually down
  [ "$(status https://comfy.test/last)" = 502 ]
  eventually logged '"GET /last HTTP/2.0" 502'
  logged '"GET /_enter HTTP/2.0" 200'
  logged '"GET /_enter HTTP/1.1" 301'
  logged '"GET /after HTTP/2.0" 200'
  logged 'connect() failed.*/last'
  run ! logged SECRET
}

# --- port 80 ---

@test "port 80 leads to https, answers challenges, and tells whether all is well" {
  vm serve_comfyui
  [ "$(status http://comfy.test/a?b=c)" = 301 ]
  [ "$(header location http://comfy.test/a?b=c)" = "https://comfy.test/a?b=c" ]
  [ "$(status --request POST --data x http://comfy.test/api/prompt)" = 301 ]
  echo answer >"$ROOT/var/lib/pilotlight/acme/.well-known/acme-challenge/token"
  [ "$(browse http://comfy.test/.well-known/acme-challenge/token)" = answer ]
  [ "$(browse http://other.test/.well-known/acme-challenge/token --connect-to "other.test:80:$VM:80")" = answer ]
  [ "$(status http://comfy.test/.well-known/acme-challenge/none)" = 404 ]
  [ "$(status http://comfy.test/.well-known/acme-challenge/)" = 403 ]
  [ "$(received .path http://comfy.test/healthz)" = /_pilotlight/healthz ]
  [ "$(received .path http://127.0.0.1/healthz)" = /_pilotlight/healthz ]
}

@test "before there is a certificate, challenges are served and 443 is closed" {
  rm "$ROOT/run/pilotlight/certificate"
  vm serve_challenges
  echo answer >"$ROOT/var/lib/pilotlight/acme/.well-known/acme-challenge/token"
  [ "$(browse http://comfy.test/.well-known/acme-challenge/token)" = answer ]
  [ "$(status https://comfy.test/)" = 000 ]
  ln -s "$NET/comfy.test" "$ROOT/run/pilotlight/certificate"
  vm serve_comfyui
  open() { [ "$(status https://comfy.test/)" = 200 ]; }
  eventually open
}

@test "serving challenges closes nothing that is served already" {
  vm serve_comfyui
  vm serve_challenges
  [ "$(status https://comfy.test/)" = 200 ]
  run ! grep 'reload nginx' "$CALLS"
}

@test "the distribution's own configuration is replaced, also while it is in use" {
  printf 'pid %s/run/nginx.pid;\nevents {}\nhttp { server { listen 80; return 204; } }\n' "$ROOT" \
    >"$ROOT/etc/nginx/nginx.conf"
  inside nginx -c "$ROOT/etc/nginx/nginx.conf" 3>&-
  [ "$(status http://comfy.test/)" = 204 ]
  vm serve_challenges
  replaced() { [ "$(status http://comfy.test/)" = 301 ]; }
  eventually replaced
}

# --- from where ---

@test "only allowed addresses are let in, but challenges come from anywhere" {
  listen_to_log
  given ALLOWED_IP='192.0.2.1, 203.0.113.0/28'
  vm serve_comfyui
  echo answer >"$ROOT/var/lib/pilotlight/acme/.well-known/acme-challenge/token"
  [ "$(status --interface "$VM" https://comfy.test/)" = 200 ]
  [ "$(status --interface "$VM" http://comfy.test/)" = 301 ]
  [ "$(status --interface "$ELSEWHERE" https://comfy.test/)" = 403 ]
  [ "$(status --interface "$ELSEWHERE" 'https://comfy.test/_enter?ticket=SECRET')" = 403 ]
  [ "$(status --interface "$ELSEWHERE" http://comfy.test/)" = 403 ]
  [ "$(status --interface "$ELSEWHERE" http://comfy.test/healthz)" = 403 ]
  [ "$(status --connect-to "comfy.test:443:[$VM6]:443" --interface "$VM6" https://comfy.test/)" = 403 ]
  [ "$(browse --interface "$ELSEWHERE" http://comfy.test/.well-known/acme-challenge/token)" = answer ]
  [ "$(status --interface 127.0.0.1 http://127.0.0.1/healthz)" = 200 ]
  run browse --interface "$ELSEWHERE" https://comfy.test/
  [[ "$output" == "Your address $ELSEWHERE may not use this workspace: allowed_ip does not have it." ]]
  [ "$(header content-type --interface "$ELSEWHERE" https://comfy.test/)" = text/plain ]
  run ! logged SECRET
}

@test "a list may hold IPv6 and single addresses, in any spelling" {
  given ALLOWED_IP=$'2001:DB8:0::/64\n198.51.100.9,198.51.100.9 10.1.2.3/8'
  vm serve_comfyui
  [ "$(status --interface "$ELSEWHERE" https://comfy.test/)" = 200 ]
  [ "$(status --connect-to "comfy.test:443:[$VM6]:443" --interface "$VM6" https://comfy.test/)" = 200 ]
  [ "$(status --interface "$VM" https://comfy.test/)" = 403 ]
  grep --quiet ' 10.0.0.0/8 0;' "$ROOT"/etc/nginx/pilotlight-*/allowed.conf
}

@test "no list, or one of all addresses, lets everybody in" {
  local list
  for list in '' ' , ' 0.0.0.0/0 '203.0.113.7 0.0.0.0/0'; do
    given ALLOWED_IP="$list"
    vm serve_comfyui
    let_in() { [ "$(status --interface "$ELSEWHERE" https://comfy.test/)" = 200 ]; }
    eventually let_in
    [ "$(status --connect-to "comfy.test:443:[$VM6]:443" --interface "$VM6" https://comfy.test/)" = 200 ]
  done
}

@test "a wrong list is a failure that says what is wrong, and changes nothing" {
  vm serve_comfyui
  local before entry
  before="$(readlink "$ROOT/etc/nginx/nginx.conf")"
  for entry in 203.0.113.300 home.example.com 203.0.113.0/33 '0/0; } evil {' 'default 0;'; do
    given ALLOWED_IP="203.0.113.7 $entry"
    run vm start_nginx
    [ "$status" -eq 1 ]
    [ "$(told .failed)" = true ]
    [[ "$(told .detail)" == "allowed_ip has '${entry%% *}', which is neither an address nor a range"* ]]
  done
  [ "$(readlink "$ROOT/etc/nginx/nginx.conf")" = "$before" ]
  [ "$(status https://comfy.test/)" = 200 ]
}

# --- putting in force ---

@test "the same again changes nothing, a new certificate is taken up" {
  vm start_nginx
  [ "$(told .step)" = getting_certificate ]
  : >"$CALLS"
  vm start_nginx
  run ! grep -E '(reload|restart) nginx' "$CALLS"
  certificate "$BATS_TEST_TMPDIR/new" "$NET/ca" comfy.test
  ln -sfn "$BATS_TEST_TMPDIR/new" "$ROOT/run/pilotlight/certificate"
  vm start_nginx
  grep --quiet 'reload nginx.service' "$CALLS"
  wanted="$(openssl x509 -noout -serial -in "$BATS_TEST_TMPDIR/new/fullchain.pem")"
  taken_up() {
    [ "$(inside openssl s_client -connect "$VM:443" -servername comfy.test </dev/null 2>/dev/null |
      openssl x509 -noout -serial)" = "$wanted" ]
  }
  eventually taken_up
  [ "$(find "$ROOT/etc/nginx" -maxdepth 1 -name 'pilotlight-*' | wc -l)" -eq 1 ]
}

@test "what nginx refuses is not put in force" {
  vm serve_comfyui
  local before
  before="$(readlink "$ROOT/etc/nginx/nginx.conf")"
  mkdir "$BATS_TEST_TMPDIR/bad"
  cp "$NET/comfy.test/fullchain.pem" "$NET/address/privkey.pem" "$BATS_TEST_TMPDIR/bad/"
  ln -sfn "$BATS_TEST_TMPDIR/bad" "$ROOT/run/pilotlight/certificate"
  given ALLOWED_IP=203.0.113.0/24
  run vm start_nginx
  [ "$status" -eq 1 ]
  [[ "$(told .detail)" == "nginx refuses its configuration"*"key values mismatch"* ]]
  [ "$(readlink "$ROOT/etc/nginx/nginx.conf")" = "$before" ]
  [ "$(find "$ROOT/etc/nginx" -maxdepth 1 -name 'pilotlight-*' | wc -l)" -eq 1 ]
  [ "$(status https://comfy.test/)" = 200 ]
}

@test "nginx does not start by itself at the next boot, and is started again when it falls" {
  vm serve_comfyui
  grep --quiet 'systemctl disable --quiet nginx.service' "$CALLS"
  grep --quiet 'systemctl daemon-reload' "$CALLS"
  grep --quiet '^Restart=always' "$ROOT/etc/systemd/system/nginx.service.d/pilotlight.conf"
}

@test "limits are as decided, and nothing is left to be filled in" {
  vm serve_comfyui
  inside nginx -T -c "$ROOT/etc/nginx/nginx.conf" 2>/dev/null >"$BATS_TEST_TMPDIR/all"
  for line in 'client_max_body_size 0;' 'proxy_read_timeout 3600s;' 'worker_shutdown_timeout 1h;' \
    'client_header_timeout 20s;' 'limit_conn addresses 512;'; do
    grep --quiet --fixed-strings "$line" "$BATS_TEST_TMPDIR/all"
  done
  run ! grep --extended-regexp '@[A-Z0-9]+@' "$BATS_TEST_TMPDIR/all"
}
