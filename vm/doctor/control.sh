# shellcheck shell=bash
# Whether the control plane is reached, takes this VM's word, and has the same time.

# By this VM's clock the gateway judges tickets, which hold for two minutes, give or take ten seconds.
CLOCK_WARN=10
CLOCK_MAX=60

# The heartbeat of a VM that has just come up and asks which run it serves: the control plane records nothing of it.
check_heartbeat() {
  local token body failed=0
  needs CONTROL_URL WORKSPACE || return
  token="$(identity_token)"
  [[ -n "$token" ]] || {
    warn "not asked: there is no identity token" "See identity."
    return
  }
  body="$(jq --null-input --compact-output --arg workspace "$WORKSPACE" \
    '{workspace: $workspace, run: null, comfyui_up: false, reading: {state: "unknown"}}')"
  ask "$CONTROL_URL/vm/heartbeat" --header @- --header "Content-Type: application/json" --data "$body" \
    <<<"Authorization: Bearer $token" || failed=$?
  if ((failed != 0)); then
    bad "$CONTROL_URL is out of reach: $WHY" "$(what_to_do_unreachable "$failed")"
  elif [[ "$STATUS" == 200 && -n "$(answered .wish)" ]]; then
    judge_reply
  else
    bad "$CONTROL_URL answers $STATUS $(answered .code) $(answered .detail)" "$(what_to_do_refused "$(answered .code)")"
  fi
}

judge_reply() {
  local words
  words="run $(answered .run), $(answered .phase); answered in $(milliseconds "$TOTAL_TIME"), \
of which name $(milliseconds "$DNS_TIME"), with TLS $(milliseconds "$TLS_TIME")"
  if [[ "$(answered .wish)" == Running ]]; then
    ok "$words"
  else
    warn "$words; this VM is to stop" "Press Start on the page: a VM that was started in another way is stopped again."
  fi
}

milliseconds() {
  awk -v seconds="$1" 'BEGIN { printf "%.0f ms", seconds * 1000 }'
}

what_to_do_unreachable() {
  case "$1" in
    6) echo "The name is not found: see \`getent ahosts\` for it, the metadata key control_url, and the VPC's DNS." ;;
    7 | 28) echo "Let this VM out to port 443: look for a firewall rule with direction EGRESS, and at the VPC's \
routes." ;;
    35 | 51 | 60) echo "TLS fails: a clock that is wrong does that (see clock), or something between that opens TLS." ;;
    *) echo "Try it by hand: curl --verbose $CONTROL_URL/healthz" ;;
  esac
}

# By the status, and the code of the control plane's problem document; without one, somebody else has answered.
what_to_do_refused() {
  case "$STATUS $1" in
    "401 invalid_identity") echo "The token's time or signature is not taken: see identity and clock, and in the \
control plane's log whose keys it takes." ;;
    "401 no_identity") echo "The token has not arrived: something between takes the Authorization header away." ;;
    "403 wrong_caller") echo "Audience or service account differ: compare the metadata key control_audience and \
identity above with what the control plane was told; terraform apply tells both." ;;
    "403 wrong_instance") echo "Either no placement of the workspace is declared with this VM's name, zone and project \
(see identity; run terraform apply), or the workspace runs on another VM or is stopped: press Start on the page." ;;
    "404 no_such_workspace") echo "The control plane knows no workspace \"$WORKSPACE\": compare the metadata key \
workspace with what is declared; run terraform apply." ;;
    "400 "* | "422 "*) echo "Bundle and control plane are of different age: run terraform apply, then stop the VM and \
press Start." ;;
    "401 " | "403 ") echo "Cloud Run refuses it before the control plane sees it: the VM's service account needs \
roles/run.invoker there, or all have it. Run terraform apply." ;;
    "404 " | 2* | 3*) echo "There is no control plane at that address: see the metadata key control_url." ;;
    "429 "* | 5*) echo "The control plane is in trouble: read its log in Cloud Logging, and try again in a minute." ;;
    *) echo "Read the control plane's log in Cloud Logging." ;;
  esac
}

check_clock() {
  local synchronised theirs difference
  synchronised="$(within "$COMMAND_WITHIN" timedatectl show --property NTPSynchronized --value 2>/dev/null)"
  case "$synchronised" in
    yes) ok "synchronised" ;;
    no) warn "not synchronised" "See: timedatectl timesync-status, or chronyc tracking" ;;
    *) warn "timedatectl does not say whether it is synchronised" "See: timedatectl" ;;
  esac
  needs CONTROL_URL || return
  # Any answer has a Date.
  ask --head "$CONTROL_URL/healthz" || {
    warn "not compared with the control plane's: $WHY" "See heartbeat."
    return
  }
  theirs="$(answered_header date)"
  theirs="$(date --date "${theirs:-nothing}" +%s 2>/dev/null)" || {
    warn "not compared: the control plane tells no time" "See heartbeat."
    return
  }
  difference=$(($(date +%s) - theirs))
  if ((${difference#-} > CLOCK_MAX)); then
    bad "$difference s off the control plane's" \
      "No ticket is taken with such a clock. Set it: systemctl restart systemd-timesyncd, or chronyc makestep"
  elif ((${difference#-} > CLOCK_WARN)); then
    warn "$difference s off the control plane's" "See: timedatectl timesync-status, or chronyc tracking"
  else
    ok "$difference s off the control plane's"
  fi
}
