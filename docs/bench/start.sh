#!/usr/bin/env bash
# How soon each function answers after it is started, what it holds when idle, and how big the program and the image are.
#
# Reads nothing from any cloud: a function connects to Google when it is first asked for something, and here it is asked
# for /healthz only. Needs the program, by default that of image/program.sh.
set -euo pipefail
# Numbers with a point.
export LC_ALL=C

PROGRAM="${PROGRAM:-target/$(rustc --print host-tuple)/image/control-plane}"
# What the image holds beside it.
CERTIFICATES="${CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}"
# Starts of each function; the median counts.
STARTS=20
# Starts after which memory is looked at, and how long the function is left alone before that.
MEMORY_LOOKS=3
IDLE_SECONDS=2
# A function that does not answer by then does not start.
ANSWERS_WITHIN_US=10000000
# Ports are tried from these, until one is free.
PORTS_FROM=20000
PORTS_TRIED_MAX=50
# What is to be cleared away at the end.
CHILD=""
SCRATCH=""
# What `start` has measured.
TOOK_US=""

main() {
  cd "$(dirname "${BASH_SOURCE[0]}")/../.."
  [[ -x "$PROGRAM" ]] || fail "PROGRAM: found nothing at $PROGRAM; expected control-plane, as image/program.sh builds it"
  SCRATCH="$(mktemp -d)"
  trap 'end; rm -rf "$SCRATCH"' EXIT
  configure
  local name
  for name in auth lifecycle reaper; do
    measure "$name"
  done
  weigh
}

fail() {
  echo "$1" >&2
  exit 1
}

# What the functions are told; each takes what it knows.
configure() {
  local placement='{"instance":"comfyui-main-a","zone":"us-central1-a","machine_type":"g2-standard-4"'
  placement+=',"accelerator":"nvidia-l4","usd_per_hour":0.7068,"origin":"https://comfy.example.com"}'
  local hash
  hash="$(echo "battery staple" | "$PROGRAM" hash-password)"
  SIGNING_KEY="$("$PROGRAM" new-key)"
  USERS="$(printf '[{"name":"admin","role":"admin","hash":"%s"}]' "$hash")"
  WORKSPACES="$(printf '[{"id":"main","title":"ComfyUI","placements":[%s]}]' "$placement")"
  export SIGNING_KEY USERS WORKSPACES SIGNIN_STORE=firestore PROJECT=p LOG_FORMAT=json RUST_LOG=info
  export JWKS_URL=https://auth.example.com/.well-known/jwks.json NUDGE_TOPIC=projects/p/topics/nudges
  export VM_AUDIENCE=https://lifecycle.example.com VM_EMAILS=vm@p.iam.gserviceaccount.com
  export PUSH_AUDIENCE=https://lifecycle.example.com PUSH_EMAILS=push@p.iam.gserviceaccount.com
  export SWEEP_AUDIENCE=https://reaper.example.com SWEEP_EMAILS=scheduler@p.iam.gserviceaccount.com
}

# measure NAME: prints two lines about a function.
measure() {
  local name="$1" starts=() memory=() own=()
  while ((${#starts[@]} < STARTS)); do
    start "$name"
    starts+=("$TOOK_US")
    if ((${#memory[@]} < MEMORY_LOOKS)); then
      sleep "$IDLE_SECONDS"
      memory+=("$(kilobytes VmRSS)") own+=("$(kilobytes RssAnon)")
    fi
    end
  done
  echo "start, $name: $(median "${starts[@]}" | scaled 0.001) ms"
  echo "memory when idle, $name: $(median "${memory[@]}" | scaled 0.001024) MB," \
    "$(median "${own[@]}" | scaled 0.001024) MB of it private"
}

# The program, and the image around it.
weigh() {
  image/layout.sh "$PROGRAM" "$CERTIFICATES" "$SCRATCH/image"
  echo "program: $(stat -c %s "$PROGRAM" | scaled 0.000001) MB"
  echo "image: $(find "$SCRATCH/image" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }' | scaled 0.000001) MB," \
    "$(tar -C "$SCRATCH/image" -cf - . | gzip | wc -c | scaled 0.000001) MB as a registry keeps it"
}

# start NAME: starts a function and waits until it answers; sets CHILD, and TOOK_US from exec to the first 200.
start() {
  local name="$1" port status="" now begun
  port="$(free_port)"
  # The moment is noted by the process that becomes the function, just before it does.
  (
    echo "$EPOCHREALTIME" >"$SCRATCH/begun"
    PORT="$port" exec -a "$name" "$PROGRAM" 2>"$SCRATCH/log"
  ) &
  CHILD=$!
  local give_up_at=$((${EPOCHREALTIME/./} + ANSWERS_WITHIN_US))
  # In this shell itself: another process for each try would take longer than the start.
  until [[ "$status" == 200 ]]; do
    ((${EPOCHREALTIME/./} < give_up_at)) || fail "$name does not answer: $(cat "$SCRATCH/log")"
    if { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
      printf 'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n' >&3
      read -r -t 5 _ status _ <&3 || status=""
      now="${EPOCHREALTIME/./}"
      exec 3>&-
    fi
  done
  begun="$(<"$SCRATCH/begun")"
  TOOK_US=$((now - ${begun/./}))
}

# Ends the function that runs, if one does.
end() {
  [[ -n "$CHILD" ]] || return 0
  kill "$CHILD" 2>/dev/null || true
  wait "$CHILD" 2>/dev/null || true
  CHILD=""
}

# A port on which nobody listens at the moment.
free_port() {
  local port tried
  for ((tried = 0; tried < PORTS_TRIED_MAX; tried++)); do
    port=$((PORTS_FROM + RANDOM % 10000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  fail "no free port was found"
}

# kilobytes FIELD: of the status of the function that runs.
kilobytes() {
  awk -v field="$1:" '$1 == field { print $2 }' "/proc/$CHILD/status"
}

# scaled FACTOR: a number from standard input, with one decimal.
scaled() {
  awk -v factor="$1" '{ printf "%.1f", $1 * factor }'
}

# median NUMBER...
median() {
  printf '%s\n' "$@" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

main "$@"
