# shellcheck shell=bash
# What this VM is told to be, how its boot went, and whether Google says who it is.

# The boot's last word, and whatever the gateway adds to it, begin here.
BOOTED_PERCENT=70

look_at_metadata() {
  METADATA_SAYS=""
  load_nothing
  metadata "" >/dev/null 2>"$WORK/metadata.why" || return
  METADATA_SAYS=yes
  load_settings
}

# So that a check that needs what is not known may say so.
load_nothing() {
  local name
  for name in "${SETTINGS[@]}" EXTERNAL_IP HOST; do printf -v "$name" ''; done
}

# needs SETTING...: whether the check can be made at all.
needs() {
  local name
  for name in "$@"; do
    [[ -n "${!name}" ]] || {
      warn "not looked at: the metadata does not tell ${name,,}" "See metadata."
      return 1
    }
  done
}

check_metadata() {
  local missing
  [[ -n "$METADATA_SAYS" ]] || {
    bad "the metadata server at $METADATA does not answer ($(last_line "$WORK/metadata.why"))" \
      "Is this a Compute Engine VM? If so, nothing on it may keep it from 169.254.169.254: see \`ip route\` and \`nft \
list ruleset\`."
    return
  }
  [[ -z "${UNHEARD:-}" ]] || {
    bad "the metadata server answers, but not to $UNHEARD" "Ask again in a moment."
    return
  }
  missing="$(missing_settings)"
  [[ -z "$missing" ]] || bad "lacks $missing" "Run terraform apply, then stop the VM and press Start."
  [[ -n "$EXTERNAL_IP" ]] ||
    bad "this VM has no external address, so no browser reaches it" \
      "Run terraform apply, which gives it its reserved one."
  [[ "$(cat "$BUNDLE/.sha256" 2>/dev/null)" == "$BUNDLE_SHA256" ]] ||
    warn "the bundle on this VM is another than the metadata names" \
      "The next boot fetches it: stop the VM and press Start."
  ok "workspace $WORKSPACE at $HOST"
}

check_boot() {
  local said="$STATE/boot.json" step percent detail age
  [[ -s "$said" ]] || {
    bad "the startup script has not said a word since this boot" \
      "See whether it ran: journalctl --boot --unit google-startup-scripts"
    return
  }
  BODY="$said"
  step="$(answered .step)" percent="$(answered .percent)" detail="$(answered .detail)"
  age=$(($(date +%s) - $(stat --format %Y "$said")))
  if [[ "$(answered .failed)" == true ]]; then
    bad "failed at $step: $detail" "The whole story: journalctl --boot --unit google-startup-scripts. The control \
plane stops this VM now, or it does itself in $((FAILED_STAYS / 60)) min; the next boot has the story under --boot -1."
  elif [[ "$percent" =~ ^[0-9]+$ ]] && ((percent >= BOOTED_PERCENT)); then
    ok "$step: $detail"
    boot_warnings
  elif [[ "$percent" =~ ^[0-9]+$ ]]; then
    warn "at $step, $percent %, for $age s: $detail" \
      "Watch it: journalctl --boot --unit google-startup-scripts --follow"
  else
    bad "$said cannot be read" "See it: cat $said"
  fi
}

# What was wrong without ending the boot, one a line.
boot_warnings() {
  local words
  [[ -s "$STATE/warnings" ]] || return
  while IFS= read -r words; do
    warn "$words" "More of it: journalctl --boot --unit google-startup-scripts"
  done <"$STATE/warnings"
}

# The token goes by standard input where it goes, never by an argument, and is never printed.
identity_token() {
  metadata instance/service-accounts/default/identity "audience=$CONTROL_AUDIENCE&format=full" 2>/dev/null
}

claims_of() {
  jq --raw-input 'split(".")[1] | gsub("-"; "+") | gsub("_"; "/") | @base64d | fromjson' 2>/dev/null
}

check_identity() {
  local token name id
  needs CONTROL_AUDIENCE || return
  [[ -n "$(access_token 2>/dev/null)" ]] || bad "no access token is given, so nothing can be fetched from gs://" \
    "The VM needs its service account, with the scope cloud-platform: run terraform apply."
  token="$(identity_token)"
  [[ -n "$token" ]] || {
    bad "no identity token is given" "The VM needs its service account: run terraform apply."
    return
  }
  BODY="$WORK/claims"
  claims_of <<<"$token" >"$BODY"
  [[ -s "$BODY" ]] || {
    bad "the identity token cannot be read" "Is $METADATA really Google's metadata server?"
    return
  }
  name="$(metadata instance/name 2>/dev/null)" id="$(metadata instance/id 2>/dev/null)"
  [[ "$(answered .aud)" == "$CONTROL_AUDIENCE" ]] ||
    bad "the identity token is made out to $(answered .aud), not to $CONTROL_AUDIENCE" \
      "Is $METADATA really Google's metadata server?"
  [[ "$(answered .google.compute_engine.instance_name)" == "$name" && -n "$name" &&
    "$(answered .google.compute_engine.instance_id)" == "$id" ]] ||
    bad "the identity token is for $(answered '.google.compute_engine | "\(.instance_name) (\(.instance_id))"'), and \
this is $name ($id)" \
      "Is $METADATA really Google's metadata server?"
  ok "$(answered .email) on $name in $(answered .google.compute_engine.zone)"
}
