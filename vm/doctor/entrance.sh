# shellcheck shell=bash
# How a browser gets here, and that nobody gets in without a ticket.

GATEWAY="${GATEWAY:-http://127.0.0.1:8189}"
COMFYUI_PORT=8188
GATEWAY_PORT=8189

check_dns() {
  local found others sixth
  needs HOST || return
  [[ -n "$DOMAIN_NAME" ]] || {
    ok "no domain; the machine is reached at $EXTERNAL_IP"
    return
  }
  found="$(addresses ahostsv4)"
  others="$(grep --invert-match --line-regexp --fixed-strings "$EXTERNAL_IP" <<<"$found")"
  # Without one, the resolver gives the IPv4 address in IPv6's clothes.
  sixth="$(addresses ahostsv6 | grep --invert-match '^::ffff:')"
  if [[ -z "$found" ]]; then
    bad "$DOMAIN_NAME has no address" "Make an A record: $DOMAIN_NAME to $EXTERNAL_IP"
  elif [[ "$others" == "$found" ]]; then
    bad "$DOMAIN_NAME leads to ${found//$'\n'/ }, not to $EXTERNAL_IP" \
      "Set its A record to $EXTERNAL_IP; what was there before is remembered for its time to live."
  else
    [[ -z "$others" ]] || warn "$DOMAIN_NAME leads to ${others//$'\n'/ } too" \
      "Take away its other A records: browsers and the certificate authority may go there."
    ok "$DOMAIN_NAME leads to $EXTERNAL_IP"
  fi
  [[ -z "$sixth" ]] || warn "$DOMAIN_NAME has an IPv6 address, ${sixth//$'\n'/ }, which this VM has not" \
    "Take its AAAA record away: the certificate authority goes there first."
}

addresses() {
  within "$COMMAND_WITHIN" getent "$1" "$DOMAIN_NAME" 2>/dev/null | awk '{ print $1 }' | sort --unique
}

# What listens on a port, by its local address.
listeners() {
  within "$COMMAND_WITHIN" ss --listening --tcp --numeric --no-header | awk -v port="$1" '
    { count = split($4, part, ":"); if (part[count] == port) print substr($4, 1, length($4) - length(part[count]) - 1) \
}'
}

is_loopback() {
  [[ "$1" == 127.* || "$1" == "[::1]" || "$1" == "[::ffff:127."* ]]
}

# Asked from the VM itself, a connection to its external address goes by Google's network and its firewall rules, as one
# that comes from that address. It says nothing of a rule that lets in some addresses only, so it cannot fail. The rules
# are Terraform's (terraform/network.tf).
check_firewall() {
  local port scheme rule address heard for_some=""
  needs EXTERNAL_IP || return
  for port in 80 443; do
    heard=""
    while IFS= read -r address; do
      is_loopback "$address" || heard=yes
    done < <(listeners "$port")
    [[ -n "$heard" ]] || {
      bad "nothing listens on port $port" "See: systemctl status nginx; nginx -t"
      continue
    }
    scheme=http
    rule=pilotlight-http
    ((port == 80)) || {
      scheme=https
      rule="pilotlight-https-$WORKSPACE"
    }
    ask --insecure --max-time 5 "$scheme://$EXTERNAL_IP/healthz"
    if [[ "$STATUS" == 000 && "$port" == 443 && -n "$ALLOWED_IP" ]]; then
      for_some=yes
    elif [[ "$STATUS" == 000 ]]; then
      warn "port $port of $EXTERNAL_IP is not reached from the VM itself: $WHY" \
        "Ask from elsewhere: curl $scheme://$HOST/healthz. If that gets no answer either, the firewall rule $rule \
does not let port $port in (gcloud compute firewall-rules describe $rule): run terraform apply."
    fi
  done
  [[ -z "$for_some" ]] || {
    ok "port 80 of $EXTERNAL_IP is reached from the VM itself, and 443 lets in allowed_ip, where the VM is not"
    return
  }
  ok "ports 80 and 443 of $EXTERNAL_IP are reached from the VM itself; from elsewhere, ask: curl http://$HOST/healthz"
}

# Nobody without a ticket gets in: not by nginx, and not where nginx refuses everybody but some addresses anyway.
check_gateway() {
  local path
  ask "$GATEWAY/_pilotlight/healthz"
  [[ "$STATUS" == 200 ]] || {
    bad "$GATEWAY gives ${STATUS/000/no answer}${WHY:+: $WHY}" "See: journalctl --unit pilotlight-gateway"
    return
  }
  for path in / /prompt; do
    judge_refusal "the gateway" "$GATEWAY$path"
    [[ -z "$HOST" ]] || judge_refusal nginx "https://$HOST$path" --insecure --connect-to "::127.0.0.1:443"
  done
  if [[ -n "$HOST" ]]; then
    ok "nobody gets in without a ticket: nginx and the gateway refuse / and /prompt"
  else
    needs HOST
  fi
}

judge_refusal() {
  local who="$1"
  shift
  ask "$@"
  case "$STATUS" in
    401 | 403) ;;
    2*) bad "ANYBODY GETS IN: $who answers $1 without a ticket with $STATUS" \
      "Close it now: systemctl stop nginx. Then see /etc/nginx, and whether something else listens: ss --listening \
--tcp --processes" ;;
    502 | 503 | 504) bad "$who cannot reach what is behind it for $1 ($STATUS)" \
      "See: journalctl --unit pilotlight-gateway; nginx's: journalctl --identifier nginx" ;;
    000) bad "$who does not answer $1: $WHY" "See: systemctl status nginx pilotlight-gateway" ;;
    *) bad "$who answers $1 with $STATUS, and not with a refusal" "See the configuration in /etc/nginx" ;;
  esac
}

# Whoever reaches these ports has passed neither ticket nor TLS.
check_ports() {
  local port address addresses
  command -v ss >/dev/null || {
    warn "ss is not installed, which tells who listens where" "Run: apt-get install iproute2"
    return
  }
  for port in "$COMFYUI_PORT" "$GATEWAY_PORT"; do
    mapfile -t addresses < <(listeners "$port")
    ((${#addresses[@]} > 0)) || warn "nothing listens on port $port" "See units."
    for address in "${addresses[@]}"; do
      if is_loopback "$address"; then
        ok "$address:$port"
      else
        bad "port $port is open at $address, to whoever gets past the firewall" \
          "Only loopback may reach it. See who listens: ss --listening --tcp --numeric --processes 'sport = :$port'"
      fi
    done
  done
}
