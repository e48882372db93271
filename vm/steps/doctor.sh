# shellcheck shell=bash
# Puts the owner's command where it is found: `pilotlight doctor`.

# A link and not a copy, so that it is always the doctor of the bundle that is there. It is relative, so that it holds
# for an image too that is put together under another root.
install_doctor() {
  mkdir -p "$ROOT/usr/local/bin"
  chmod 0755 "$BUNDLE/doctor.sh"
  ln --symbolic --relative --force --no-dereference "$BUNDLE/doctor.sh" "$ROOT/usr/local/bin/pilotlight"
}
