# shellcheck shell=bash
# The gateway: told what this VM is, and started as early as can be, for it tells how the rest of the boot goes.

# Seconds until it must answer. It does within one; more is a slow disk.
GATEWAY_UP_WITHIN=30
GATEWAY_ADDRESS="${GATEWAY_ADDRESS:-127.0.0.1:8189}"
GATEWAY_UNITS=(pilotlight-gateway.service pilotlight-poweroff.path pilotlight-poweroff.service)

start_gateway() {
  local now
  report booting 27 "Starting the gateway"
  add_gateway_user
  write_gateway_environment
  install_gateway_units
  try booting "Nothing would stop this VM when it is idle." systemctl enable --now pilotlight-poweroff.path
  now="$(gateway_fingerprint)"
  # At a later boot it runs already, as it was left; what has not changed need not be cut off.
  if [[ "$(cat "$ETC/gateway.started" 2>/dev/null)" == "$now" ]] && systemctl is-active --quiet pilotlight-gateway.service; then
    log "the gateway runs as it should"
  else
    try booting "The gateway cannot be enabled." systemctl enable pilotlight-gateway.service
    try booting "The gateway cannot be started." systemctl restart pilotlight-gateway.service
    printf '%s\n' "$now" >"$ETC/gateway.started"
  fi
  await_gateway
}

add_gateway_user() {
  id pilotlight >/dev/null 2>&1 ||
    try booting "The gateway's user cannot be added." \
      useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pilotlight
}

# What the gateway is told. What is empty is left out: its defaults are the gateway's own business.
write_gateway_environment() {
  local new="$ETC/gateway.env.new"
  : >"$new"
  gateway_setting ORIGIN "https://$HOST"
  gateway_setting PAGE_ORIGIN "$PAGE_ORIGIN"
  gateway_setting CONTROL_URL "$CONTROL_URL"
  gateway_setting CONTROL_AUDIENCE "$CONTROL_AUDIENCE"
  gateway_setting JWKS_URL "$JWKS_URL"
  gateway_setting TOKEN_ISSUER "$TOKEN_ISSUER"
  gateway_setting WORKSPACE "$WORKSPACE"
  gateway_setting METADATA "$METADATA"
  gateway_setting SILENCE_SECONDS "$SILENCE_SECONDS"
  gateway_setting HARD_SECONDS "$HARD_SECONDS"
  gateway_setting PILOTLIGHT_CLOCK "$PILOTLIGHT_CLOCK"
  gateway_setting BOOT_FILE "${STATE#"$ROOT"}/boot.json"
  # On the data disk, which is mounted later (steps/disk.sh); until then the gateway finds no such folder.
  gateway_setting KEPT_QUEUE_DIR "${DATA#"$ROOT"}/queue"
  gateway_setting NVML_LIBRARY "libnvidia-ml.so.1"
  gateway_setting POWEROFF_COMMAND "touch /run/pilotlight-gateway/poweroff"
  chmod 0644 "$new"
  mv "$new" "$ETC/gateway.env"
}

# gateway_setting NAME VALUE: a line of the new file, quoted so that systemd and a shell read exactly the value.
gateway_setting() {
  local name="$1" value="$2"
  [[ -n "$value" ]] || return 0
  # A line's end would begin another setting.
  [[ "$value" != *[[:cntrl:]]* ]] ||
    fail booting "The metadata of this VM has a line's end or another control character in ${name,,}. Run terraform apply."
  value="${value//\\/\\\\}"
  value="${value//\"/\\\"}"
  value="${value//\$/\\\$}"
  value="${value//\`/\\\`}"
  printf '%s="%s"\n' "$name" "$value" >>"$ETC/gateway.env.new"
}

install_gateway_units() {
  local unit
  for unit in "${GATEWAY_UNITS[@]}"; do
    try booting "The gateway's unit $unit cannot be installed." \
      install -D --mode 0644 "$BUNDLE/systemd/$unit" "$ROOT/etc/systemd/system/$unit"
  done
  try booting "systemd does not take the gateway's units." systemctl daemon-reload
}

# What a gateway that is started now is made of.
gateway_fingerprint() {
  sha256sum "$BUNDLE/bin/gateway" "$ETC/gateway.env" "${GATEWAY_UNITS[@]/#/$BUNDLE/systemd/}" | sha256sum |
    cut --delimiter ' ' --fields 1
}

# Up, and not only about to fall: a unit that is started again and again is active in between.
await_gateway() {
  local waited said="$STATE/gateway.log"
  for ((waited = 0; waited < GATEWAY_UP_WITHIN; waited++)); do
    gateway_answers && return
    sleep 1
  done
  journalctl --unit pilotlight-gateway.service --boot --lines "$LAST_LINES" --no-pager --output cat >"$said" 2>&1 || true
  fail booting "The gateway does not run." "$said"
}

gateway_answers() {
  systemctl is-active --quiet pilotlight-gateway.service &&
    curl --silent --fail --max-time 2 --output /dev/null "http://$GATEWAY_ADDRESS/_pilotlight/healthz"
}
