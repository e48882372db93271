# shellcheck shell=bash
# What custom nodes need is put into the environment of the ComfyUI in use. Their files are the person's, and stay.
#
# An environment is new after an upgrade and on another image. Each remembers, in nodes/, for which requirements.txt it
# was made fit; what failed is tried again at the next boot. ComfyUI starts without it.

# In seconds.
NODE_WITHIN=240
# What all custom nodes together may take; the rest is for the next boot.
NODES_WITHIN=300

install_node_requirements() {
  local dir node until="$((SECONDS + NODES_WITHIN))" said="$STATE/nodes-install.log"
  dir="$(readlink "$CURRENT")"
  : >"$said"
  for node in "$DATA"/comfyui/custom_nodes/*; do
    [[ "$node" != *.disabled && -f "$node/requirements.txt" ]] || continue
    node="${node##*/}"
    is_fit_for "$dir" "$node" && continue
    if ((SECONDS >= until)); then
      warn installing 58 "What the custom node $node and those after it need is installed at the next boot: \
this took $NODES_WITHIN s."
      return
    fi
    report installing 58 "Installing what the custom node $node needs"
    make_fit_for "$dir" "$node" >>"$said" 2>&1 ||
      warn installing 58 "What the custom node $node needs could not be installed: $(tail --lines 1 "$said")"
  done
}

is_fit_for() {
  [[ -f "$1/nodes/$2" && "$(cat "$1/nodes/$2")" == "$(requirements_digest "$2")" ]]
}

requirements_digest() {
  as_comfyui sha256sum "$DATA/comfyui/custom_nodes/$1/requirements.txt" | cut --delimiter ' ' --fields 1
}

# ComfyUI's own torch stays: a node that wants another one fails here, instead of ComfyUI at its start.
make_fit_for() {
  local dir="$1" node="$2" digest constraints=()
  digest="$(requirements_digest "$node")"
  [[ ! -f "$dir/constraints.txt" ]] || constraints=(--constraint "$dir/constraints.txt")
  as_comfyui mkdir --parents "$dir/nodes" &&
    as_comfyui timeout --kill-after "$KILLED_AFTER" "$NODE_WITHIN" "$dir/venv/bin/python" -m pip install --no-input \
      --disable-pip-version-check --progress-bar off --no-cache-dir "${constraints[@]}" \
      --requirement "$DATA/comfyui/custom_nodes/$node/requirements.txt" </dev/null &&
    as_comfyui tee "$dir/nodes/$node" <<<"$digest" >/dev/null
}
