# shellcheck shell=bash
# ComfyUI is started: its unit, its arguments, its limits. Then systemd keeps it up.

GPU_WITHIN=60

start_comfyui() {
  install_node_requirements
  report installing 59 "Starting ComfyUI"
  COMFYUI_CHANGED=false
  write_environment
  write_memory_limit
  install_file "$BUNDLE/systemd/comfyui.service" "$ROOT/etc/systemd/system/comfyui.service"
  bound_journal
  try starting_comfyui "systemd does not take ComfyUI's unit." systemctl daemon-reload
  try starting_comfyui "systemd does not start ComfyUI." systemctl "$(start_or_restart)" --no-block comfyui.service
  readlink "$CURRENT" >"$STATE/comfyui-started"
}

# At a boot it is started. Where the script is run by hand later, ComfyUI runs on unless something has changed.
start_or_restart() {
  if [[ -f "$STATE/comfyui-started" ]] &&
    { "$COMFYUI_CHANGED" || [[ "$(cat "$STATE/comfyui-started")" != "$(readlink "$CURRENT")" ]]; }; then
    printf restart
  else
    printf start
  fi
}

# install_file SOURCE TARGET [COMMAND...]: where it differs; then the command is run.
install_file() {
  local source="$1" target="$2"
  shift 2
  cmp --silent "$source" "$target" && return
  mkdir -p "$(dirname "$target")"
  install --mode 0644 "$source" "$target"
  COMFYUI_CHANGED=true
  [[ $# == 0 ]] || "$@"
}

# As systemd reads it: between double quotes four characters are escaped.
write_environment() {
  local arguments="${COMFYUI_ARGUMENTS//[[:cntrl:]]/ }"
  needs_processor && arguments+=" --cpu"
  printf '%s\n' "$arguments" | sed 's/["\\$`]/\\&/g; s/.*/COMFYUI_ARGUMENTS="&"/' >"$STATE/comfyui.env"
  install_file "$STATE/comfyui.env" "$ETC/comfyui.env"
}

# Without a GPU that answers and suits its torch, ComfyUI ends at once unless it is told to use the processor.
needs_processor() {
  local said slow="so ComfyUI uses the processor, and is slow"
  [[ " $COMFYUI_ARGUMENTS " != *" --cpu "* ]] || return
  if ! grep --quiet --no-messages 0x10de "$ROOT"/sys/bus/pci/devices/*/vendor; then
    log "there is no NVIDIA device: ComfyUI uses the processor"
  elif ! said="$(timeout "$GPU_WITHIN" nvidia-smi)"; then
    warn installing 59 "The GPU does not answer (nvidia-smi), $slow. Does this image carry NVIDIA's driver?"
  elif is_too_old "$said"; then
    warn installing 59 "NVIDIA's driver is too old for CUDA $(cuda_of_torch), which this ComfyUI's torch is made for, $slow. \
Use an image with a newer driver (for CUDA 13: 580 or later), or ask for an older torch with comfyui_constraints."
  else
    return 1
  fi
}

# is_too_old SAID: a driver serves every CUDA up to the major version that nvidia-smi has said.
is_too_old() {
  local driver torch
  driver="$(sed --quiet 's/.*CUDA[A-Za-z ]* Version: *\([0-9]*\)\..*/\1/p' <<<"$1" | head --lines 1)"
  torch="$(cuda_of_torch)"
  [[ -n "$driver" && -n "$torch" ]] && ((driver < torch))
}

# The major version; empty for a torch without CUDA.
cuda_of_torch() {
  sed --quiet "s/^cuda\b.*= '\([0-9]*\)\..*/\1/p" "$CURRENT"/venv/lib/python3*/site-packages/torch/version.py 2>/dev/null
}

# The unit's own limit leaves a tenth of the memory to everything else.
write_memory_limit() {
  local target="$ROOT/etc/systemd/system/comfyui.service.d/memory.conf"
  if [[ -z "$COMFYUI_MEMORY_MAX" ]]; then
    [[ ! -e "$target" ]] || { rm -f "$target" && COMFYUI_CHANGED=true; }
  elif [[ "$COMFYUI_MEMORY_MAX" =~ ^([1-9][0-9]*[KMGT]?|[1-9][0-9]?%|100%|infinity)$ ]]; then
    printf '[Service]\nMemoryMax=%s\n' "$COMFYUI_MEMORY_MAX" >"$STATE/memory.conf"
    install_file "$STATE/memory.conf" "$target"
  else
    warn installing 59 "comfyui_memory_max is $COMFYUI_MEMORY_MAX, which is no amount such as 12G or 80%; \
the usual 90% holds."
  fi
}

bound_journal() {
  local changed="$COMFYUI_CHANGED"
  install_file "$BUNDLE/systemd/journald.conf" "$ROOT/etc/systemd/journald.conf.d/pilotlight.conf" \
    systemctl restart --no-block systemd-journald.service ||
    log "the journal's size is not bounded before the next boot"
  COMFYUI_CHANGED="$changed"
}
