# shellcheck shell=bash
# Whether what should run does.

# What the fence is around.
FENCED="${FENCED:-http://169.254.169.254}"
COMFYUI="${COMFYUI:-http://127.0.0.1:8188}"

check_units() {
  local unit failed
  command -v systemctl >/dev/null || {
    bad "systemctl is not there" "This is no VM of ours."
    return
  }
  for unit in comfyui.service pilotlight-gateway.service nginx.service pilotlight-poweroff.path; do
    judge_unit "$unit"
  done
  failed="$(within "$COMMAND_WITHIN" systemctl list-units --failed --plain --no-legend |
    awk '{ print $1 }' | paste --serial --delimiters ' ')"
  [[ -z "$failed" ]] || warn "failed: $failed" "See: journalctl --boot --unit ${failed%% *}"
}

judge_unit() {
  local unit="$1" ActiveState="" SubState="" NRestarts="" line
  while IFS= read -r line; do
    case "${line%%=*}" in
      ActiveState | SubState | NRestarts) printf -v "${line%%=*}" '%s' "${line#*=}" ;;
    esac
  done < <(within "$COMMAND_WITHIN" systemctl show --property ActiveState,SubState,NRestarts "$unit")
  if [[ "$ActiveState" != active ]]; then
    bad "$unit is ${ActiveState:-unknown} (${SubState:-unknown})" "See: journalctl --boot --lines 50 --unit $unit"
  elif [[ "$NRestarts" =~ ^[1-9] ]]; then
    warn "$unit has been restarted $NRestarts times" "See why it fell: journalctl --boot --unit $unit"
  else
    ok "${unit%.service}"
  fi
}

# ComfyUI runs what strangers have written, and the metadata server gives whoever asks this VM's tokens.
check_fence() {
  local answer
  if ! within "$COMMAND_WITHIN" nft list table inet pilotlight_comfyui >/dev/null 2>&1; then
    bad "nothing keeps ComfyUI and its custom nodes from this VM's tokens" "Put the fence up: systemctl restart comfyui"
    return
  fi
  answer="$(as_user comfyui "$COMMAND_WITHIN" curl --silent --noproxy '*' --max-time 3 --output /dev/null \
    --write-out '%{http_code}' --header "Metadata-Flavor: Google" "$FENCED/computeMetadata/v1/")"
  case "$answer" in
    000) ok "ComfyUI and its custom nodes do not reach the metadata server" ;;
    "") bad "nothing can be run as ComfyUI's user" "See: id comfyui" ;;
    *) bad "ComfyUI's user reaches the metadata server, and so this VM's tokens" \
      "See what comes before the fence: nft list ruleset" ;;
  esac
}

check_comfyui() {
  local queue device
  if ! is_well "$COMFYUI/prompt"; then
    bad "$COMFYUI/prompt gives ${STATUS/000/no answer}${WHY:+: $WHY}" \
      "It may still start, or load a model: journalctl --unit comfyui --follow"
    return
  fi
  queue="$(answered .exec_info.queue_remaining)"
  if ! is_well "$COMFYUI/system_stats"; then
    bad "$COMFYUI/system_stats gives ${STATUS/000/no answer}${WHY:+: $WHY}" "See: journalctl --unit comfyui"
    return
  fi
  device="$(answered .devices[0].type)"
  if [[ "$device" == cpu && -n "$(gpus)" ]]; then
    bad "it runs on the processor, though there is a GPU" "See driver and cuda; then: systemctl restart comfyui"
  fi
  ok "$(answered .system.comfyui_version) on $(answered .devices[0].name)$(vram), ${queue:-no} prompts in its queue"
}

vram() {
  [[ "$device" == cpu ]] || answered '.devices[0] |
    ", \(.vram_free / 1e9 | floor) of \(.vram_total / 1e9 | floor) GB free"'
}
