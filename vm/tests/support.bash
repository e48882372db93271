# What the tests of the VM's scripts share: a root of their own, and commands that only note that they were called.

setup_root() {
  REPO="$(cd "$BATS_TEST_DIRNAME/../.." && pwd)"
  ROOT="$BATS_TEST_TMPDIR/root"
  CALLS="$BATS_TEST_TMPDIR/calls"
  mkdir -p "$ROOT/run/pilotlight" "$ROOT/etc/pilotlight" "$BATS_TEST_TMPDIR/bin"
  : >"$CALLS"
  export REPO ROOT CALLS
  # Nobody listens to most tests.
  export TELL_TRIES=0
  PATH="$BATS_TEST_TMPDIR/bin:$PATH"
}

# stub COMMAND [SHELL...]: a command of this name that notes its arguments, and then does what the shell text says.
stub() {
  local name="$1"
  shift
  printf '#!/usr/bin/env bash\nprintf "%%s\\n" "%s $*" >>"%s"\n%s\n' "$name" "$CALLS" "$*" >"$BATS_TEST_TMPDIR/bin/$name"
  chmod +x "$BATS_TEST_TMPDIR/bin/$name"
}

# The steps as startup.sh has them, with what it declares.
load_startup() {
  # shellcheck source=/dev/null
  source "$REPO/vm/startup.sh"
}

# What the boot has last said, as `jq` reads it.
told() {
  jq --raw-output "$1" "$ROOT/run/pilotlight/boot.json"
}
