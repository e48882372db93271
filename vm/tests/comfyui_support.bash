# What the tests of ComfyUI's steps share: a data disk, a small ComfyUI with a history, and an environment that is copied
# instead of made, for making one takes seconds. The user is `nobody`, so that rights are real.

# Once a file: what no test changes.
make_world() {
  WORLD="$BATS_FILE_TMPDIR/world"
  mkdir -p "$WORLD/wheels"
  chmod a+x "$BATS_RUN_TMPDIR" "$BATS_SUITE_TMPDIR" "$BATS_FILE_TMPDIR"
  /usr/bin/python3 -m venv --without-pip "$WORLD/venv"
  make_pip "$(echo "$WORLD"/venv/lib/python3*/site-packages)/pip"
  make_wheel small 1.0
  make_repository
  # Copies an environment where one is to be made. BALLAST is a file that makes it large, HANG one that makes it never end.
  cat >"$WORLD/python" <<EOF
#!/usr/bin/env bash
if [[ "\$1 \$2" == "-m venv" ]]; then
  cp --recursive "$WORLD/venv" "\$3" || exit
  [[ ! -e "\$BALLAST" ]] || cp "\$BALLAST" "\$3/" || exit
  while [[ -e "\$HANG" ]]; do sleep 0.1; done
else
  exec /usr/bin/python3 "\$@"
fi
EOF
  chmod a+x "$WORLD/python"
  export WORLD
}

# make_pip DIR: a stand-in for pip, not pip. It knows what our steps ask of it, and no dependencies. The real one is 1,700
# files to copy and a second to run, for each installation. One test uses the real one, and sets PYTHON for it.
make_pip() {
  mkdir "$1"
  : >"$1/__init__.py"
  cat >"$1/__main__.py" <<'EOF'
import argparse, glob, os, re, sys, sysconfig, zipfile

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("command", choices=["install"])
for flag in ("--no-input", "--disable-pip-version-check", "--no-cache-dir"):
    parser.add_argument(flag, action="store_true")
parser.add_argument("--progress-bar", choices=["off"])
parser.add_argument("--cache-dir")
parser.add_argument("--constraint")
parser.add_argument("--requirement", required=True)
arguments = parser.parse_args()
assert os.environ["PIP_NO_INDEX"] == "1"


def read(path):
    with open(path) as lines:
        return [re.fullmatch(r"([\w.-]+?)(?:==([\w.+]+))?", line.strip()).groups() for line in lines if line.strip()]


if arguments.cache_dir:
    os.makedirs(arguments.cache_dir, exist_ok=True)
    open(os.path.join(arguments.cache_dir, "kept"), "w").close()
constraints = dict(read(arguments.constraint)) if arguments.constraint else {}
wheels = []
for name, version in read(arguments.requirement):
    asked = name + (f"=={version}" if version else "")
    if version and constraints.get(name, version) != version:
        sys.exit(f"ERROR: Cannot install {asked} because these package versions have conflicting dependencies.")
    pattern = f"{name}-{version or constraints.get(name) or '*'}-*.whl"
    found = sorted(glob.glob(os.path.join(os.environ["PIP_FIND_LINKS"], pattern)))
    if not found:
        sys.exit(f"ERROR: No matching distribution found for {asked}")
    wheels.append(found[-1])
for wheel in wheels:
    zipfile.ZipFile(wheel).extractall(sysconfig.get_path("purelib"))
EOF
}

make_wheel() {
  /usr/bin/python3 - "$WORLD/wheels/$1-$2-py3-none-any.whl" "$1" "$2" <<'EOF'
import sys, zipfile
path, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(path, "w") as wheel:
    wheel.writestr(f"{name}.py", f"version = '{version}'\n")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", "")
EOF
}

in_repository() {
  setpriv --reuid nobody --regid nogroup --clear-groups env --chdir="$WORLD/repository" HOME="$WORLD" "$@"
}

# tag NAME: what lies there now.
tag() {
  in_repository git add --all
  in_repository git -c user.name=t -c user.email=t@example.org commit --quiet --allow-empty --message "$1"
  in_repository git tag "$1"
}

make_repository() {
  local repository="$WORLD/repository" version
  mkdir "$repository"
  cat >"$repository/main.py" <<'EOF'
import argparse, os
parser = argparse.ArgumentParser()
for flag in ("--quick-test-for-ci", "--cpu", "--disable-all-custom-nodes", "--disable-auto-launch"):
    parser.add_argument(flag, action="store_true")
for option in ("--base-directory", "--database-url"):
    parser.add_argument(option)
arguments = parser.parse_args()
os.listdir(os.path.join(arguments.base_directory, "custom_nodes"))
assert arguments.quick_test_for_ci and os.getuid() != 0
EOF
  chown -R nobody:nogroup "$repository"
  in_repository git -c init.defaultBranch=main init --quiet
  echo "small" >"$repository/requirements.txt"
  for version in v1 v2 v3; do
    echo "$version" >"$repository/version"
    tag "$version"
  done
  echo "not-to-be-had" >"$repository/requirements.txt"
  tag v4-lacks-a-package
  : >"$repository/requirements.txt"
  echo 'raise SystemExit("no kernel image is available")' >"$repository/main.py"
  tag v5-does-not-load
  rm "$repository/main.py"
  tag v6-is-no-comfyui
}

# Before each test.
setup_comfyui() {
  setup_root
  chmod a+x "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/.."
  export COMFYUI_USER=nobody PYTHON="$WORLD/python" HANG="$BATS_TEST_TMPDIR/hang" BALLAST="$BATS_TEST_TMPDIR/ballast"
  export INSTALL_ROOM_MIB=40 GIT_TRIES=1
  export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS="$WORLD/wheels"
  DATA="$ROOT/mnt/pilotlight"
  mkdir -p "$ROOT/opt/pilotlight/bundle" "$DATA"
  ln -s "$REPO/vm/steps" "$REPO/vm/systemd" "$ROOT/opt/pilotlight/bundle/"
  make_data_disk
  stub nft
  stub systemctl
  # It waits for all that others write on this machine.
  stub sync
}

make_data_disk() {
  mkdir -p "$DATA/comfyui" "$DATA/comfyui-versions"
  chown nobody:nogroup "$DATA/comfyui" "$DATA/comfyui-versions"
}

# boot STEP... [with NAME=VALUE before]: the steps as the startup script takes them, with the settings that are exported.
boot() {
  (
    set -euo pipefail
    load_startup
    load_steps
    for name in "${SETTINGS[@]}"; do printf -v "$name" '%s' "${!name:-}"; done
    rm -f "$WARNINGS"
    for step in "$@"; do "$step"; done
  )
}

install_version_of() {
  COMFYUI_SOURCE="$WORLD/repository" COMFYUI_VERSION="$1" boot install_comfyui
}

# given_version VERSION: as install_version_of leaves the data disk. It is installed once a file and then copied; of the
# stand-in's environments none holds its own path.
given_version() {
  local kept="$WORLD/kept-$1"
  if [[ ! -d "$kept" ]]; then
    install_version_of "$1"
    cp --archive "$DATA" "$kept"
  else
    cp --archive "$kept"/comfyui "$kept"/comfyui-versions "$DATA/"
    ln -s "$DATA/comfyui-versions/$(ls "$kept/comfyui-versions")" "$DATA/comfyui-current"
  fi
}

in_use() {
  cat "$DATA/comfyui-current/source/version"
}

warned() {
  cat "$ROOT/run/pilotlight/warnings" 2>/dev/null
}
