#!/usr/bin/env bash
# Installs what the browser tests need, once: the driver (npm), Chromium (Debian), and ComfyUI's real page (pip).
# Quiet when all is there; safe to run again.

FRONTEND_VERSION=1.58.1
# A download that takes longer than this is stuck.
INSTALL_LIMIT_SECONDS=600

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
frontend="${FRONTEND:-$here/../../../target/test-deps/comfyui-frontend}"

bounded() { timeout --kill-after=10 "$INSTALL_LIMIT_SECONDS" "$@"; }

install_driver() {
  [[ "$here/node_modules/.package-lock.json" -nt "$here/package-lock.json" ]] && return
  bounded npm --prefix "$here" ci --no-audit --no-fund --loglevel=error
  touch "$here/node_modules/.package-lock.json"
}

install_chromium() {
  command -v "${CHROMIUM:-chromium}" > /dev/null && return
  local as_root=()
  [[ "$(id -u)" == 0 ]] || as_root=(sudo)
  bounded "${as_root[@]}" apt-get -qq update
  bounded "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium > /dev/null
}

install_real_page() {
  [[ "$(cat "$frontend/.version" 2> /dev/null)" == "$FRONTEND_VERSION" ]] && return
  rm -rf "$frontend"
  mkdir -p "$frontend"
  bounded python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile \
    --target "$frontend" "comfyui-frontend-package==$FRONTEND_VERSION"
  [[ -f "$frontend/comfyui_frontend_package/static/index.html" ]]
  # Last, so that half an installation is none.
  echo "$FRONTEND_VERSION" > "$frontend/.version"
}

main() {
  install_driver
  install_chromium
  install_real_page
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  set -euo pipefail
  main "$@"
fi
