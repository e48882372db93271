# shellcheck shell=bash
# The certificate: that there is one, for this host, with its key, for long enough, and shown.

# A certificate with less than this part of its life left should have been renewed: certbot renews in the last third,
# or in the last half of a short one.
LIFE_LEFT_MIN_PERCENT=20

# What nginx is told to show is what counts, wherever it came from. Our configuration is a folder of its own.
nginx_says() {
  cat "$(dirname "$(readlink --canonicalize "$ROOT/etc/nginx/nginx.conf")")"/*.conf 2>/dev/null |
    sed --quiet --expression "s/^[[:space:]]*$1[[:space:]]\+\(.*\);.*/\1/p" | head --lines 1
}

check_certificate() {
  local file key
  needs HOST || return
  [[ "$(readlink "$ROOT/etc/nginx/nginx.conf")" == */pilotlight-*/nginx.conf ]] || {
    bad "nginx is not set up by the boot yet" "See boot, and: journalctl --boot --unit google-startup-scripts"
    return
  }
  file="$(nginx_says ssl_certificate)" key="$(nginx_says ssl_certificate_key)"
  [[ -n "$file" && -s "$file" ]] || {
    bad "there is none${file:+: $file is missing}" \
      "See why: journalctl --boot --unit google-startup-scripts --unit pilotlight-certificate"
    return
  }
  openssl x509 -in "$file" -noout 2>/dev/null || {
    bad "$file holds none" "See it: openssl x509 -in $file -text"
    return
  }
  judge_host "$file"
  judge_key "$file" "$key"
  judge_life "$file"
  judge_issuer "$file"
  judge_served "$file"
  judge_timer
}

judge_host() {
  local option=-checkhost
  [[ "$HOST" == "$DOMAIN_NAME" ]] || option=-checkip
  openssl x509 -in "$1" -noout "$option" "$HOST" | grep --quiet "does match" ||
    bad "it is not for $HOST but for $(names_in "$1")" "Get another: systemctl start pilotlight-certificate"
}

names_in() {
  openssl x509 -in "$1" -noout -ext subjectAltName 2>/dev/null | sed --quiet '2s/^ *//p'
}

judge_key() {
  local public
  public="$(openssl x509 -in "$1" -noout -pubkey)"
  [[ -r "$2" && "$(openssl pkey -in "$2" -pubout 2>/dev/null)" == "$public" ]] ||
    bad "its key, ${2:-which nginx is not told}, is missing or another's" \
      "See: openssl pkey -in $2 -pubout, and the same of the certificate: openssl x509 -in $1 -pubkey"
}

judge_life() {
  local begins ends now left
  begins="$(moment "$1" startdate)" ends="$(moment "$1" enddate)" now="$(date +%s)"
  left="$(lasting $((ends - now)))"
  if ((now >= ends)); then
    bad "it ran out $(lasting $((now - ends))) ago" \
      "See why it was not renewed: journalctl --unit pilotlight-certificate"
  elif ((now < begins)); then
    bad "it is not valid yet" "The clock of this VM may be wrong: see clock."
  elif (((ends - now) * 100 < (ends - begins) * LIFE_LEFT_MIN_PERCENT)); then
    warn "it runs out in $left" "It should have been renewed. See: journalctl --unit pilotlight-certificate"
  else
    ok "for $HOST, good for $left more"
  fi
}

moment() {
  date --date "$(openssl x509 -in "$1" -noout "-$2" | cut --delimiter '=' --fields 2)" +%s
}

# Seconds, as a person would say it.
lasting() {
  if (($1 >= 2 * 86400)); then echo "$(($1 / 86400)) days"; else echo "$(($1 / 3600)) hours"; fi
}

judge_issuer() {
  local issuer
  issuer="$(openssl x509 -in "$1" -noout -issuer -nameopt multiline |
    sed --quiet --expression 's/^ *commonName *= //p')"
  if [[ "$(openssl x509 -in "$1" -noout -subject_hash)" == "$(openssl x509 -in "$1" -noout -issuer_hash)" ]]; then
    bad "it is signed by itself, so no browser takes it" "See: journalctl --unit pilotlight-certificate"
  elif [[ "$issuer" == *STAGING* || "$issuer" == *Pebble* || "$issuer" == "Fake "* ]]; then
    warn "its issuer, $issuer, is for tests: no browser takes it" \
      "Take the metadata key acme_server away; then systemctl start pilotlight-certificate"
  else
    ok "issued by $issuer"
  fi
}

judge_served() {
  local shown named=(-servername "$HOST")
  # A name is sent for a domain only.
  [[ "$HOST" == "$DOMAIN_NAME" ]] || named=(-noservername)
  shown="$(within "$COMMAND_WITHIN" openssl s_client -connect 127.0.0.1:443 "${named[@]}" </dev/null 2>/dev/null |
    openssl x509 -noout -fingerprint -sha256 2>/dev/null)"
  if [[ -z "$shown" ]]; then
    bad "nginx shows none on port 443" "See: nginx -t; systemctl status nginx"
  elif [[ "$shown" != "$(openssl x509 -in "$1" -noout -fingerprint -sha256)" ]]; then
    bad "nginx shows another than the one in $1" "Let it read that: systemctl reload nginx"
  else
    ok "shown by nginx"
  fi
}

judge_timer() {
  systemctl is-active --quiet pilotlight-certificate.timer ||
    bad "the timer that renews it does not run" "Start it: systemctl start pilotlight-certificate.timer"
}
