#!/usr/bin/env bash
# `pilotlight doctor`: looks at a VM that is up, and says what it finds and what to do about it.
#
# It only looks. Each check notes what it finds; all run at once, each in a process group of its own that is ended when
# its time is up, so that one that hangs (a GPU that is gone hangs whoever asks it) costs the others nothing.

HERE="$(dirname "$(readlink --canonicalize "${BASH_SOURCE[0]}")")"
# Where things are, how the metadata is read, and what must be in it: the bundle's, or what this boot was run with.
STARTUP="$HERE/startup.sh"
[[ -r "$STARTUP" ]] || STARTUP="${ROOT:-}/run/pilotlight/startup.sh"
# shellcheck source=vm/startup.sh
source "$STARTUP" || exit 2
# What ends a boot, or is heard by the control plane as the boot's word, is not for somebody who only looks.
unset -f fail try report tell_boot tell_control_plane power_off_later
for part in "$HERE"/doctor/*.sh; do
  # shellcheck source=/dev/null
  source "$part" || exit 2
done

# Ours are the last words on these limits, in seconds: a person is waiting.
# shellcheck disable=SC2034 # The checks use them.
METADATA_WITHIN=3 METADATA_RETRIES=0 ANSWER_WITHIN=10 COMMAND_WITHIN=10
# Longer than the slowest check, which imports torch.
CHECK_WITHIN="${CHECK_WITHIN:-45}"
# The last line of a check's notes.
ENDED="the end"

CHECKS=(metadata boot identity heartbeat clock dns firewall certificate disk driver cuda fence units comfyui gateway
  ports)

USAGE="Usage: pilotlight doctor [--json]

Checks this VM and says what to do about what is wrong. Changes nothing. Run it as root.

  --json   print a JSON list of {check, status, found, todo} instead of lines
  --help   print this

Exit status: 0 nothing has failed, 1 something has, 2 it could not look."

main() {
  read_arguments "$@"
  [[ "$EUID" == 0 ]] || give_up "Only root may look everywhere. Run: sudo pilotlight doctor"
  command -v jq >/dev/null || give_up "jq is not installed, which reads what is answered. Run: apt-get install jq"
  WORK="$(mktemp --directory)"
  trap 'rm -rf "$WORK"' EXIT
  look_at_metadata
  run_checks
  notes | judge >"$WORK/verdicts"
  print_verdicts
  jq --exit-status 'all(.status != "FAIL")' "$WORK/verdicts" >/dev/null
}

read_arguments() {
  local argument command="" given=("$@")
  JSON=""
  for argument in "${given[@]}"; do
    case "$argument" in
      --help | -h) echo "$USAGE" && exit 0 ;;
      --json) JSON=yes ;;
      doctor) [[ -z "$command" ]] || give_up "\"doctor\" is said twice." && command=doctor ;;
      *) give_up "\"$argument\" is not known here."$'\n\n'"$USAGE" ;;
    esac
  done
  [[ -n "$command" ]] || give_up "$USAGE"
}

give_up() {
  printf '%s\n' "$1" >&2
  exit 2
}

# --- how it is run and told ---

run_checks() {
  local name pids=() pid deadline
  # Each in a process group of its own.
  set -m
  for name in "${CHECKS[@]}"; do
    run_check "$name" >"$WORK/$name" 2>"$WORK/$name.errors" </dev/null &
    pids+=("$!")
    # bash has nothing to say of its end.
    disown "$!"
  done
  set +m
  deadline=$((SECONDS + CHECK_WITHIN))
  for pid in "${pids[@]}"; do
    while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
    # What cannot be killed, because it hangs in the kernel, is not waited for.
    ! kill -0 "$pid" 2>/dev/null || kill -KILL -- "-$pid"
  done
}

run_check() {
  "check_$1"
  echo "$ENDED"
}

# What a check notes, as it finds it: words, and in a line what to do.
ok() { note ok "$1" ""; }
warn() { note warn "$1" "$2"; }
bad() { note FAIL "$1" "$2"; }

# Words from outside may hold anything, also what a terminal would obey.
note() {
  printf '%s\t%s\t%s\n' "$1" "${2//[[:cntrl:]]/ }" "${3//[[:cntrl:]]/ }"
}

# All notes, with the check before each. One that has not come to its end says so.
notes() {
  local name
  for name in "${CHECKS[@]}"; do
    [[ "$(tail --lines 1 "$WORK/$name")" == "$ENDED" ]] || cut_short "$name" >>"$WORK/$name"
    sed --quiet --expression "/^$ENDED\$/!s/^/$name\t/p" "$WORK/$name"
  done
}

cut_short() {
  local last
  last="$(last_line "$WORK/$1.errors")"
  bad "the check came to no end within $CHECK_WITHIN s${last:+ ($last)}" \
    "Ask by hand what it asks; \`uptime\` and \`dmesg\` say whether the machine hangs."
}

# One verdict a check: the worst that it has noted, in the words of the notes that say so.
judge() {
  jq --raw-input --null-input --arg checks "${CHECKS[*]}" '
    def rank: {ok: 0, warn: 1, FAIL: 2}[.];
    [inputs | split("\t") | {check: .[0], status: .[1], words: .[2], todo: .[3]}] as $notes
    | [$checks | split(" ")[] as $check
      | [$notes[] | select(.check == $check)]
      | (map(.status) | max_by(rank)) as $worst
      | (if $worst == "ok" then . else map(select(.status != "ok")) | sort_by(-(.status | rank)) end) as $told
      | {check: $check, status: $worst, found: ($told | map(.words) | join(if $worst == "ok" then ", " else "; " end)),
        todo: ($told | map(.todo | select(. != "")))}]'
}

print_verdicts() {
  if [[ -n "$JSON" ]]; then
    jq . "$WORK/verdicts"
  else
    jq --raw-output '.[] | "\(.status)    "[0:4] + "  \(.check): \(.found)", (.todo[] | "      " + .)' "$WORK/verdicts"
  fi
}

# --- what is asked ---

# ask URL [CURL ARGUMENT...]: sets STATUS to what it is answered with (000: nothing) and TIMES to how long that took;
# the body goes to $BODY. Fails as curl does, with its words in WHY.
ask() {
  local said status=0
  BODY="$WORK/$BASHPID.body"
  : >"$BODY"
  said="$(curl --silent --noproxy '*' --max-time "$ANSWER_WITHIN" --output "$BODY" \
    --write-out '%{http_code} %{time_namelookup} %{time_appconnect} %{time_total} %{errormsg}' "$@")" || status=$?
  # shellcheck disable=SC2034 # The checks use them.
  read -r STATUS DNS_TIME TLS_TIME TOTAL_TIME WHY <<<"$said"
  return "$status"
}

# Whether it is answered with 200.
is_well() {
  ask "$1" && [[ "$STATUS" == 200 ]]
}

# A field of the answer's body, which may be no JSON.
answered() {
  jq --raw-output "$1 // empty" "$BODY" 2>/dev/null
}

# The same of a head that was asked for.
answered_header() {
  sed --quiet --expression "s/^$1: *//Ip" "$BODY" | tr --delete '\r' | head --lines 1
}

# within SECONDS COMMAND...: its output, if it comes in time. What is not installed fails with 127.
# (timeout has a process group of its own, and ends that itself.)
within() {
  local limit="$1"
  shift
  timeout --kill-after 1 "$limit" "$@"
}

# as_user USER SECONDS COMMAND...: the same as another user, who cannot become a third.
as_user() {
  setpriv --reuid "$1" --regid "$1" --init-groups --no-new-privs -- timeout --kill-after 1 "$2" env --chdir=/ "${@:3}"
}

last_line() {
  sed '/^[[:space:]]*$/d' "$1" | tail --lines 1
}

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
  set -uo pipefail
  main "$@"
fi
