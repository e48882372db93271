#!/usr/bin/env bash
# Measures everything that has a budget and can be measured here; prints one table for docs/benchmarks.md.
#
# The first time it builds, for a quarter of an hour on two cores: the functions as the image carries them (one static
# program), and the benches. Then it takes about five minutes, most of them to fill Firestore's emulator. The figures mean
# something on a machine that does nothing else.
set -euo pipefail
export LC_ALL=C

main() {
  cd "$(dirname "${BASH_SOURCE[0]}")/../.."
  local benches=(-p lifecycle -p reaper -p gateway --bench keep_alive --bench sweep --bench proxy --bench culling
    --bench sweep_firestore --bench hour)
  local program
  program="$(image/program.sh)"
  cargo bench --quiet "${benches[@]}" --no-run
  machine
  echo
  echo "| what | measured | budget |"
  echo "|---|---|---|"
  cargo bench --quiet "${benches[@]}" | rows
  PROGRAM="$program" docs/bench/start.sh | rows
}

machine() {
  local model load
  model="$(awk -F': ' '$1 ~ /^model name/ { print $2; exit }' /proc/cpuinfo)"
  load="$(cut -d' ' -f1 /proc/loadavg)"
  echo "$(date -u +%Y-%m-%d), $(nproc) cores of ${model:-an unnamed processor}, load $load at the start, $(rustc --version)"
}

# Lines of the form `what: measured` become rows with their budgets.
rows() {
  local what measured
  while IFS= read -r line; do
    [[ "$line" == *": "* ]] || continue
    what="${line%%: *}" measured="${line#*: }"
    echo "| $what | $measured | $(budget "$what") |"
  done
}

# budget WHAT: what DESIGN allows; a dash for a figure that others are compared to.
budget() {
  case "$1" in
    "keep-alive, one thread, full load") echo "≥ 10,000 requests/s" ;;
    "keep-alive, half load") echo "p99 ≤ 5 ms" ;;
    "193 scenario"*) echo "0 stopped while active" ;;
    "sweep, "*) echo "≤ 2 s, ≤ 64 MB" ;;
    "small request, added"*) echo "p50 ≤ 0.3 ms" ;;
    "download"*", against direct" | "upload"*", against direct") echo "≥ 80 %" ;;
    "start, "*) echo "≤ 5 ms" ;;
    "memory when idle, "*) echo "≤ 6 MB" ;;
    "image") echo "≤ 12 MB" ;;
    *) echo "–" ;;
  esac
}

main "$@"
