# shellcheck shell=bash
# The GPU: its driver, and whether ComfyUI's torch sees it.

# Importing torch reads about a gigabyte, from a disk that has not been read before.
TORCH_WITHIN=40

# NVIDIA's devices that are displays or 3D controllers, by the kernel.
gpus() {
  local device
  for device in "$ROOT"/sys/bus/pci/devices/*/; do
    [[ "$(cat "$device/vendor" 2>/dev/null)" == 0x10de && "$(cat "$device/class" 2>/dev/null)" == 0x03* ]] && echo \
"$device"
  done
}

check_driver() {
  local count said status=0
  count="$(gpus | grep --count .)"
  if ! command -v nvidia-smi >/dev/null; then
    if ((count == 0)); then
      warn "no GPU and no driver: ComfyUI runs on the processor" \
        "If this VM should have a GPU, see its machine type: gcloud compute instances describe"
    else
      bad "$count GPU(s), and no driver" \
        "Use an image that carries NVIDIA's driver, or install one; then stop the VM and press Start."
    fi
    return
  fi
  said="$(within "$COMMAND_WITHIN" nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader \
2>&1)" || status=$?
  if ((status == 0)) && [[ -n "$said" ]]; then
    ok "${said//$'\n'/; }"
    judge_gpu_reading
  elif ((count == 0)); then
    warn "the image carries a driver, and this VM has no GPU" \
      "If it should have one, see its machine type: gcloud compute instances describe"
  elif ((status == 124 || status == 137)); then
    bad "nvidia-smi does not answer within $COMMAND_WITHIN s" \
      "The GPU hangs: see dmesg | grep -i nvrm; stop the VM and press Start."
  else
    bad "nvidia-smi fails: ${said##*$'\n'}" \
      "See dmesg | grep -i nvrm. A new kernel without its module: dkms status. Secure Boot takes signed modules only: \
mokutil --sb-state"
  fi
}

# Use of the GPU is one of the signs that somebody is at work; the gateway reads it by itself.
judge_gpu_reading() {
  local said
  said="$(as_user pilotlight "$COMMAND_WITHIN" "$BUNDLE/bin/gateway" --check-gpu 2>&1)" ||
    warn "the gateway cannot read it: ${said##*$'\n'}" \
      "Work on the GPU that is not in ComfyUI's queue keeps nobody's session alive. See: journalctl --unit \
pilotlight-gateway"
}

# As ComfyUI's own user, with ComfyUI's own Python. It asks the driver only, and takes nothing of the GPU's memory.
check_cuda() {
  local python="$DATA/comfyui-current/venv/bin/python" said status=0
  [[ -x "$python" ]] || {
    bad "ComfyUI's Python, $python, is not there" "Stop the VM and press Start, which installs it. See disk and boot."
    return
  }
  said="$(as_user comfyui "$TORCH_WITHIN" "$python" -c 'import torch
print("torch", torch.__version__, "CUDA", torch.version.cuda, torch.cuda.is_available())' 2>&1)" || status=$?
  said="${said##*$'\n'}"
  if ((status != 0)); then
    bad "torch cannot be asked: ${said:-no answer within $TORCH_WITHIN s}" \
      "See: journalctl --unit comfyui. A custom node may have put another torch into $DATA/comfyui-current/venv."
  elif [[ "$said" == *" True" ]]; then
    ok "${said% True} sees the GPU"
  elif [[ -z "$(gpus)" ]]; then
    ok "${said% False} runs on the processor, as there is no GPU"
  else
    bad "${said% False} does not see the GPU" \
      "If driver is ok, that driver is too old for this CUDA, or torch is one for the processor."
  fi
}
