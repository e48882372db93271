# nginx: TLS and the way to the gateway. Renders `nginx/` of the bundle.
# shellcheck shell=bash
#
# Every rendering has a folder of its own, named after what is in it, and `nginx.conf` is a link to the one in force. So
# a new one is tested where it will be used, put in force by one rename, and an equal one changes nothing.

NGINX_FOLDER="$ROOT/etc/nginx"
NGINX_UNIT_OVERRIDE="$ROOT/etc/systemd/system/nginx.service.d/pilotlight.conf"
# Where certbot answers the challenges. nginx's workers read it.
ACME_WEBROOT="$ROOT/var/lib/pilotlight/acme"
# The certificate in use: a link to a folder with `fullchain.pem` and `privkey.pem`, which certificate.sh sets.
SERVED="$STATE/certificate"
IF_INET6="${IF_INET6:-/proc/net/if_inet6}"

# Seconds.
NGINX_ANSWERS_WITHIN=10
# Mozilla's: two years.
HSTS_SECONDS=63072000
# Entries in the list of allowed addresses.
ALLOWED_MAX=1000

# The boot's step: ComfyUI is to be reached from outside.
start_nginx() {
  report getting_certificate 69 "Opening the way to ComfyUI"
  serve_comfyui || fail getting_certificate "$WHY"
}

# Serves everything, with the certificate at $SERVED. On failure, what was served before goes on, and WHY says why.
serve_comfyui() {
  put_in_force with_site
}

# Serves the ACME challenges, which is all that can be served before there is a certificate. What serves more stays.
serve_challenges() {
  if ! nginx_runs || ! is_ours; then
    put_in_force challenges_only || return
  fi
  challenges_are_answered
}

nginx_runs() {
  systemctl is-active --quiet nginx.service
}

is_ours() {
  [[ "$(readlink "$NGINX_FOLDER/nginx.conf")" == "$NGINX_FOLDER"/pilotlight-* ]]
}

# put_in_force with_site|challenges_only
put_in_force() {
  local folder
  read_values "$1" || return
  folder="$NGINX_FOLDER/pilotlight-$(digest_of_rendering "$1")"
  if nginx_runs && [[ "$(readlink "$NGINX_FOLDER/nginx.conf")" == "$folder/nginx.conf" ]]; then
    return 0
  fi
  { prepare_nginx && render "$1" "$folder"; } || {
    WHY="nginx's configuration could not be written. Is the boot disk full?"
    return 1
  }
  is_accepted "$folder" || return
  ln --symbolic --force "$folder/nginx.conf" "$NGINX_FOLDER/nginx.conf.new"
  mv --no-target-directory "$NGINX_FOLDER/nginx.conf.new" "$NGINX_FOLDER/nginx.conf"
  take_up || return
  remove_renderings_but "$folder"
}

# --- what is rendered ---

# What the templates' @WORDS@ stand for: in VALUES. On failure WHY says which setting is wrong.
read_values() {
  unset VALUES
  declare -gA VALUES=(
    [ROOT]="$ROOT"
    [HOST]="${HOST,,}"
    [WEBROOT]="$ACME_WEBROOT"
    [PAGES]="$BUNDLE/nginx"
    [CERTIFICATE]="$SERVED"
    [FINGERPRINT]="$(fingerprint_of_served)"
    [HSTS]="$(hsts)"
    # nginx fails to start where it is told to listen and the kernel has no IPv6.
    [IPV6]="$(grep --quiet . "$IF_INET6" 2>/dev/null || echo '# ')"
    [OTHERS_REFUSED]=0
    [ALLOWED]=""
  )
  read_allowed
}

# So that a new certificate is a new rendering.
fingerprint_of_served() {
  openssl x509 -noout -fingerprint -sha256 -in "$SERVED/fullchain.pem" 2>/dev/null || echo "no certificate"
}

# HSTS is for names only (RFC 6797 §8.1.1), and not for certificates that no browser trusts: it would lock people out.
hsts() {
  if [[ -z "$DOMAIN_NAME" || (-z "$CERTIFICATE" && "$ACME_SERVER" == staging) ]]; then
    echo "# No HSTS for this certificate."
  else
    echo "add_header Strict-Transport-Security \"max-age=$HSTS_SECONDS\" always;"
  fi
}

# ALLOWED_IP as nginx's `geo` reads it. Python's ipaddress knows every spelling of an address.
read_allowed() {
  local list
  [[ -n "${ALLOWED_IP//[[:space:],]/}" ]] || return 0
  list="$(python3 - "$ALLOWED_IP" "$ALLOWED_MAX" 2>&1 <<'PYTHON'
import ipaddress
import sys

entries = sys.argv[1].replace(",", " ").split()
if len(entries) > int(sys.argv[2]):
    sys.exit(f"has {len(entries)} entries, more than {sys.argv[2]}")
networks = set()
for entry in entries:
    try:
        networks.add(ipaddress.ip_network(entry, strict=False))
    except ValueError:
        sys.exit(f"has {entry!r}, which is neither an address nor a range such as 203.0.113.0/24")
if ipaddress.ip_network("0.0.0.0/0") not in networks:
    print("\n".join(f"  {network} 0;" for network in sorted(networks, key=str)))
PYTHON
  )" || {
    WHY="allowed_ip ${list##*$'\n'}. Correct it and run terraform apply."
    return 1
  }
  [[ -z "$list" ]] || VALUES+=([OTHERS_REFUSED]=1 [ALLOWED]="$list")
}

digest_of_rendering() {
  {
    echo "$1"
    declare -p VALUES
    cat "$BUNDLE"/nginx/*.conf
  } | sha256sum | cut --characters 1-16
}

# render with_site|challenges_only FOLDER
render() {
  local template text name
  rm -rf "$2" && mkdir "$2" || return
  for template in "$BUNDLE"/nginx/*.conf; do
    [[ "$1" == with_site || "$template" != */port-443.conf ]] || continue
    text="$(<"$template")"
    for name in "${!VALUES[@]}"; do
      # Quoted: an `&` in a replacement is special to newer bashes.
      text="${text//"@$name@"/"${VALUES[$name]}"}"
    done
    printf '%s\n' "${text//@HERE@/"$2"}" >"$2/${template##*/}" || return
  done
}

prepare_nginx() {
  mkdir -p "$NGINX_FOLDER" "$ACME_WEBROOT/.well-known/acme-challenge" &&
    chmod 755 "$ACME_WEBROOT" "$ACME_WEBROOT/.well-known" "$ACME_WEBROOT/.well-known/acme-challenge" || return
  # The boot starts it. By itself it would start with what was there at the last boot, and without a certificate.
  systemctl disable --quiet nginx.service 2>/dev/null || log "nginx.service could not be disabled"
  cmp --silent "$BUNDLE/systemd/nginx.service.conf" "$NGINX_UNIT_OVERRIDE" || {
    install -D --mode 644 "$BUNDLE/systemd/nginx.service.conf" "$NGINX_UNIT_OVERRIDE" && systemctl daemon-reload
  }
}

# --- what is in force ---

is_accepted() {
  local said
  said="$(nginx -t -q -c "$1/nginx.conf" 2>&1)" || {
    rm -rf "$1"
    WHY="nginx refuses its configuration; what was served before is served on."$'\n'"$said"
    return 1
  }
}

take_up() {
  if nginx_runs; then
    systemctl reload nginx.service
  else
    systemctl restart nginx.service
  fi || {
    WHY="nginx does not start: see journalctl --unit nginx."
    return 1
  }
}

remove_renderings_but() {
  local folder
  for folder in "$NGINX_FOLDER"/pilotlight-*; do
    [[ "$folder" == "$1" ]] || rm -rf "$folder"
  done
}

# Whether a challenge would be answered, tried from here before the CA tries.
challenges_are_answered() {
  local probe=".well-known/acme-challenge/probe-$$" begun=$SECONDS
  (umask 022 && echo "$probe" >"$ACME_WEBROOT/$probe") || {
    WHY="Nothing can be written into $ACME_WEBROOT. Is the boot disk full?"
    return 1
  }
  until [[ "$(curl --silent --max-time 2 "http://127.0.0.1/$probe")" == "$probe" ]]; do
    ((SECONDS - begun < NGINX_ANSWERS_WITHIN)) || {
      rm -f "$ACME_WEBROOT/$probe"
      WHY="nginx does not answer on port 80: see journalctl --unit nginx."
      return 1
    }
    sleep 0.2
  done
  rm -f "$ACME_WEBROOT/$probe"
}
