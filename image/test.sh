#!/usr/bin/env bash
# The image, built from the Dockerfile itself and started without an engine: what is in it, and each of its functions as
# an unprivileged user on a root that cannot be written, with its secrets from mounted files.
#
# The Dockerfile's build stage is replaced by a folder that the same image/layout.sh has filled, from a debug program that
# is linked statically (PROGRAM names another). Needs root for mounts, and buildah; with CI=true it may lack neither.
set -euo pipefail
export LC_ALL=C

CI="${CI:-false}"
PROGRAM="${PROGRAM:-}"
# Debian's own bundle, as the build stage has it.
CERTIFICATES="${CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}"
IMAGE=localhost/pilotlight:test
# Who the functions run as.
NOBODY=65532
# A function that does not answer by then does not start, and one that has not ended by then does not end: Cloud Run
# kills ten seconds after SIGTERM.
ANSWERS_WITHIN_S=30
ENDS_WITHIN_S=10
ANSWER_WITHIN_S=20
LOOK_EVERY_S=0.02
# Its environment is empty, so without its folder it would not be found.
CHROOT="$(command -v chroot || echo /usr/sbin/chroot)"
# What is to be cleared away at the end.
SCRATCH=""
ROOT=""
CHILDREN=()
# What `start` has started.
PORT=""
CHILD=""

main() {
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  can_run || return 0
  SCRATCH="$(mktemp -d)"
  trap end EXIT
  context_is_enough_to_build_from
  build
  holds_what_is_needed_and_nothing_else
  is_set_up_for_cloud_run
  make_mounts
  auth_signs_people_in
  lifecycle_lets_nobody_in_unasked
  reaper_lets_nobody_in_unasked
  keys_come_over_https_from_a_name
  what_is_wrong_is_told
  tell_sizes
  echo "The image passes."
}

can_run() {
  local lacking=()
  [[ "$(id -u)" == 0 ]] || lacking+=("root")
  local tool
  for tool in buildah unshare openssl curl; do
    command -v "$tool" >/dev/null || lacking+=("$tool")
  done
  ((${#lacking[@]} > 0)) || return 0
  echo "NOT RUN: the image's test needs ${lacking[*]}; apt-get install buildah util-linux openssl curl, as root"
  [[ "$CI" != true ]] || exit 1
  return 1
}

fail() {
  echo "image/test.sh: $1" >&2
  exit 1
}

end() {
  local child
  for child in "${CHILDREN[@]}"; do
    kill -KILL "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  done
  [[ -z "$SCRATCH" ]] || store umount --all >/dev/null || true
  [[ -z "$SCRATCH" ]] || rm -rf "$SCRATCH"
}

# Buildah, with all that it keeps in a folder of ours, in the one way that works on every file system.
store() {
  buildah --storage-driver vfs --root "$SCRATCH/store" --runroot "$SCRATCH/run" "$@"
}

# What .dockerignore lets through is a whole workspace, with the page and the scripts that the build stage runs, and
# nothing beside it. Whether it compiles, the workspace's own tests show.
context_is_enough_to_build_from() {
  printf 'FROM scratch\nCOPY . /\n' >"$SCRATCH/Dockerfile"
  store build --quiet --file "$SCRATCH/Dockerfile" --tag localhost/context:test . >"$SCRATCH/log" 2>&1 \
    || fail "the context cannot be copied: $(cat "$SCRATCH/log")"
  local context file found
  context="$(store mount "$(store from --pull-never localhost/context:test)")"
  for file in static/index.html image/layout.sh image/program.sh functions/control-plane/src/main.rs; do
    [[ -f "$context/$file" ]] || fail ".dockerignore keeps $file away"
  done
  found="$(find "$context" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs)"
  [[ "$found" == "Cargo.lock Cargo.toml functions image local static vm" ]] || fail ".dockerignore lets through: $found"
  cargo metadata --locked --no-deps --format-version 1 --manifest-path "$context/Cargo.toml" >/dev/null \
    || fail "what .dockerignore lets through is no whole workspace"
}

build() {
  if [[ -z "$PROGRAM" ]]; then
    # The flag for the last crate alone links statically, and nothing else is built anew.
    cargo rustc --quiet -p control-plane --bin control-plane -- -C target-feature=+crt-static -C strip=symbols
    PROGRAM=target/debug/control-plane
  fi
  mkdir "$SCRATCH/build"
  image/layout.sh "$PROGRAM" "$CERTIFICATES" "$SCRATCH/build/image"
  store build --quiet --build-context build="$SCRATCH/build" --tag "$IMAGE" . >"$SCRATCH/log" 2>&1 \
    || fail "the image cannot be built: $(cat "$SCRATCH/log")"
  # What is shipped: layers as a registry takes them.
  store push --quiet "$IMAGE" "oci:$SCRATCH/oci:test"
  mkdir "$SCRATCH/root"
  local container
  container="$(store from --pull-never "$IMAGE")"
  ROOT="$(store mount "$container")"
}

holds_what_is_needed_and_nothing_else() {
  local expected found
  expected="$(sort <<'END'
f 555 0:0 ./control-plane
l 777 0:0 ./auth
l 777 0:0 ./lifecycle
l 777 0:0 ./reaper
d 755 0:0 ./etc
f 444 0:0 ./etc/hosts
f 444 0:0 ./etc/nsswitch.conf
f 444 0:0 ./etc/passwd
d 755 0:0 ./etc/ssl
d 755 0:0 ./etc/ssl/certs
f 444 0:0 ./etc/ssl/certs/ca-certificates.crt
END
)"
  # Kind, mode (setuid and the like would show in it), owner, name: no shell, no loader, no library, nothing to write to.
  found="$(cd "$ROOT" && find . -mindepth 1 -printf '%y %m %U:%G %p\n' | sort)"
  [[ "$found" == "$expected" ]] || fail "the image holds: $(diff <(echo "$expected") <(echo "$found"))"
  local role
  for role in auth lifecycle reaper; do
    [[ "$(readlink "$ROOT/$role")" == control-plane ]] || fail "$role is $(readlink "$ROOT/$role")"
  done
}

is_set_up_for_cloud_run() {
  local found
  found="$(store inspect --type image --format \
    '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}} {{.OCIv1.Config.StopSignal}}' "$IMAGE")"
  [[ "$found" == "$NOBODY:$NOBODY [/control-plane] [--help] SIGTERM" ]] || fail "the image is set up as: $found"
}

# What is mounted over the image: devices, and secrets as files in a folder of their own, made by the image's own tools.
make_mounts() {
  local secrets="$SCRATCH/mounts/secrets"
  mkdir -p "$secrets" "$SCRATCH/mounts/dev"
  touch "$SCRATCH/mounts/dev/"{null,zero,random,urandom}
  (inside -- /control-plane new-key) >"$secrets/signing-key"
  local hash
  hash="$(echo "battery staple" | (inside -- /control-plane hash-password))"
  printf '[{"name":"admin","role":"admin","hash":"%s"}]' "$hash" >"$secrets/users"
  local placement='{"instance":"comfyui-main-a","zone":"us-central1-a","machine_type":"g2-standard-4"'
  placement+=',"usd_per_hour":0.7068,"origin":"https://comfy.example.com"}'
  printf '[{"id":"main","title":"ComfyUI","placements":[%s]}]' "$placement" >"$secrets/workspaces"
  chown -R "$NOBODY:$NOBODY" "$SCRATCH/mounts/secrets"
  chmod 0400 "$secrets"/*
}

# inside VARIABLE=VALUE... -- PROGRAM WORD...: a program of the image as nobody, with this environment.
#
# Its root is made of layers that can only be read, the image and what is mounted over it, and has the devices that a
# container has. The process that makes it becomes the program, in a namespace of its own: its mounts end with it.
inside() {
  # shellcheck disable=SC2016 # the inner shell expands it
  exec unshare --mount --propagation private bash -euc '
    root="$1" layers="$2" chroot="$3" variables=()
    shift 3
    mount -t overlay overlay -o "ro,lowerdir=$layers" "$root"
    for device in null zero random urandom; do
      mount --bind "/dev/$device" "$root/dev/$device"
    done
    while [[ "$1" != -- ]]; do
      variables+=("$1")
      shift
    done
    shift
    exec env -i "${variables[@]}" "$chroot" --userspec=65532:65532 --groups= "$root" "$@"
  ' inside "$SCRATCH/root" "$SCRATCH/mounts:$ROOT" "$CHROOT" "$@"
}

# What a function is told, as Terraform would.
TOLD_AUTH=(SIGNING_KEY_FILE=/secrets/signing-key USERS_FILE=/secrets/users SIGNIN_STORE=memory)
TOLD_BOTH=(PROJECT=p WORKSPACES_FILE=/secrets/workspaces NUDGE_TOPIC=projects/p/topics/nudges)
TOLD_LIFECYCLE=("${TOLD_BOTH[@]}" SIGNING_KEY_FILE=/secrets/signing-key
  JWKS_URL=https://auth.example.com/.well-known/jwks.json
  VM_AUDIENCE=https://lifecycle.example.com VM_EMAILS=vm@p.iam.gserviceaccount.com
  PUSH_AUDIENCE=https://lifecycle.example.com PUSH_EMAILS=push@p.iam.gserviceaccount.com)
TOLD_REAPER=("${TOLD_BOTH[@]}" SWEEP_AUDIENCE=https://reaper.example.com
  SWEEP_EMAILS=scheduler@p.iam.gserviceaccount.com)

# start ROLE VARIABLE=VALUE...: runs a function out of the image until `stop`, and waits until it answers.
start() {
  local role="$1" begun
  shift
  PORT="$(free_port)"
  begun="$EPOCHREALTIME"
  inside PORT="$PORT" "$@" -- "/$role" 2>"$SCRATCH/$role.log" &
  CHILD=$!
  CHILDREN+=("$CHILD")
  local waits=0 waits_max
  waits_max="$(awk -v all="$ANSWERS_WITHIN_S" -v each="$LOOK_EVERY_S" 'BEGIN { print int(all / each) }')"
  until [[ "$(ask /healthz)" == 200 ]]; do
    if ((waits++ >= waits_max)) || ! kill -0 "$CHILD" 2>/dev/null; then
      fail "$role does not answer: $(cat "$SCRATCH/$role.log")"
    fi
    sleep "$LOOK_EVERY_S"
  done
  echo "$role answered $(awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.0f", (b - a) * 1000 }') ms after" \
    "its root was made"
  is_held_short
}

# The function that runs is nobody, and cannot write.
is_held_short() {
  local status=/proc/$CHILD/status
  [[ "$(awk '$1 == "Uid:" || $1 == "Gid:" { print $2, $3, $4, $5 }' "$status" | sort -u)" \
    == "$NOBODY $NOBODY $NOBODY $NOBODY" ]] || fail "it runs as $(grep -E '^[UG]id' "$status")"
  [[ "$(awk '$1 == "CapEff:" { print $2 }' "$status")" == 0000000000000000 ]] || fail "$(grep CapEff "$status")"
  ! touch "/proc/$CHILD/root/written" 2>/dev/null || fail "its root can be written, by root even"
}

# SIGTERM ends it in time, and in order.
stop() {
  kill -TERM "$CHILD"
  local code=0
  timeout "$ENDS_WITHIN_S" tail --pid="$CHILD" -s "$LOOK_EVERY_S" -f /dev/null || fail "it does not end on SIGTERM"
  wait "$CHILD" || code=$?
  ((code == 0)) || fail "it ended with $code"
}

# ask PATH [CURL'S OPTIONS...]: the status; what is answered lies in $SCRATCH/answer.
ask() {
  curl --silent --noproxy '*' --max-time "$ANSWER_WITHIN_S" --output "$SCRATCH/answer" --write-out '%{http_code}' \
    "${@:2}" "http://127.0.0.1:$PORT$1" || true
}

# answers STATUS PATH [CURL'S OPTIONS...]
answers() {
  local status
  status="$(ask "${@:2}")"
  [[ "$status" == "$1" ]] || fail "$2: expected $1, found $status: $(cat "$SCRATCH/answer")"
}

auth_signs_people_in() {
  start auth "${TOLD_AUTH[@]}"
  local json=(--header 'content-type: application/json')
  answers 401 /api/login "${json[@]}" --data '{"user":"admin","password":"wrong"}'
  answers 200 /api/login "${json[@]}" --data '{"user":"admin","password":"battery staple"}'
  local token
  token="$(sed -E 's/.*"token":"([^"]+)".*/\1/' "$SCRATCH/answer")"
  answers 200 /api/session --header "x-auth-token: $token"
  # The page is in the program; a debug one reads it from the source, which is not in the image.
  [[ "$PROGRAM" == target/debug/* ]] || answers 200 /
  answers 200 /.well-known/jwks.json
  cp "$SCRATCH/answer" "$SCRATCH/jwks.json"
  stop
}

lifecycle_lets_nobody_in_unasked() {
  start lifecycle "${TOLD_LIFECYCLE[@]}"
  answers 401 /api/workspaces
  answers 401 /vm/heartbeat --header 'content-type: application/json' \
    --data '{"workspace":"main","run":1,"comfyui_up":true,"reading":{"state":"unknown"}}'
  answers 401 /push/nudge --request POST
  stop
}

reaper_lets_nobody_in_unasked() {
  start reaper "${TOLD_REAPER[@]}"
  answers 401 /sweep --request POST
  stop
}

# The static program finds a name (in /etc/hosts), and trusts whom the bundle names: lifecycle fetches the keys of an
# issuer whose certificate is by an authority made for this test, and fails to where only the usual ones are trusted.
keys_come_over_https_from_a_name() {
  local token
  token="$(printf '{"alg":"EdDSA","kid":"nobody"}' | base64 -w0 | tr -d '=').e30.c2ln"
  serve_keys
  local told=("${TOLD_LIFECYCLE[@]}" JWKS_URL="https://keys.test:$KEYS_PORT/jwks.json")
  mkdir -p "$SCRATCH/mounts/etc"
  printf '127.0.0.1 localhost keys.test\n' >"$SCRATCH/mounts/etc/hosts"
  chmod -R a+rX "$SCRATCH/mounts/etc"
  start lifecycle "${told[@]}"
  answers 503 /api/workspaces --header "x-auth-token: $token"
  grep -q "keys could not be fetched" "$SCRATCH/lifecycle.log" || fail "$(cat "$SCRATCH/lifecycle.log")"
  stop
  mkdir -p "$SCRATCH/mounts/etc/ssl/certs"
  cp "$SCRATCH/authority.pem" "$SCRATCH/mounts/etc/ssl/certs/ca-certificates.crt"
  chmod -R a+rX "$SCRATCH/mounts/etc"
  start lifecycle "${told[@]}"
  # The keys are there; none has that name.
  answers 401 /api/workspaces --header "x-auth-token: $token"
  grep -q invalid_token "$SCRATCH/answer" || fail "$(cat "$SCRATCH/answer")"
  stop
  rm -r "$SCRATCH/mounts/etc"
}

# An HTTPS server on loopback that has the keys of auth, and a certificate for `keys.test`.
serve_keys() {
  local name
  (
    cd "$SCRATCH"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=An authority of this test" \
      -keyout authority.key -out authority.pem
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=keys.test" \
      -keyout keys.key -out keys.csr
    openssl x509 -req -in keys.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -out keys.pem \
      -extfile <(echo "subjectAltName=DNS:keys.test")
  ) >"$SCRATCH/log" 2>&1 || fail "no certificate can be made: $(cat "$SCRATCH/log")"
  mkdir "$SCRATCH/keys"
  cp "$SCRATCH/jwks.json" "$SCRATCH/keys/"
  KEYS_PORT="$(free_port)"
  (cd "$SCRATCH/keys" && exec openssl s_server -quiet -WWW -accept "127.0.0.1:$KEYS_PORT" \
    -cert "$SCRATCH/keys.pem" -key "$SCRATCH/keys.key") >"$SCRATCH/keys.log" 2>&1 </dev/null &
  CHILDREN+=($!)
  for name in {1..500}; do
    ! (exec 3<>"/dev/tcp/127.0.0.1/$KEYS_PORT") 2>/dev/null || return 0
    sleep "$LOOK_EVERY_S"
  done
  fail "no HTTPS server after $name looks: $(cat "$SCRATCH/keys.log")"
}

what_is_wrong_is_told() {
  local said
  said="$(inside PORT=http -- /reaper 2>&1)" && fail "reaper takes PORT=http"
  grep -q '^reaper: PORT: found "http"; expected a number from 0 to 65535$' <<<"$said" || fail "reaper said: $said"
}

tell_sizes() {
  local whole packed
  whole="$(find "$ROOT" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%.1f", sum / 1e6 }')"
  packed="$(find "$SCRATCH/oci/blobs" -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%.1f", sum / 1e6 }')"
  echo "image: $whole MB, $packed MB as a registry keeps it"
}

# A port on which nobody listens at the moment.
free_port() {
  local port tried
  for tried in {1..50}; do
    port=$((20000 + RANDOM % 10000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  fail "no free port was found in $tried tries"
}

main "$@"
