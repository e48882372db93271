# shellcheck shell=bash disable=SC2034,SC2153 # WHY is certificate.sh's; HOST is startup.sh's.
# The ledger of orders: lines of TIME CA HOST ordered|issued|failed. It is what keeps us to a CA's limits, whatever restarts.

ORDERS="$DATA/certificates/orders"

# Let's Encrypt gives five certificates a week for the same names, and lets five validations of a name fail in an hour.
# One of each is kept for a person.
WEEK=604800
HOUR=3600
ORDERS_PER_WEEK="${ORDERS_PER_WEEK:-4}"
FAILURES_PER_HOUR="${FAILURES_PER_HOUR:-4}"

# Whether another order keeps the limits. One whose end is unknown may have been issued, and may have failed.
ledger_allows() {
  local now time ca host outcome issued=() failed=() again=0
  now="$(date +%s)"
  WHY="The ledger of orders, $ORDERS, cannot be read, so no certificate is ordered."
  settle_ledger "$now" || return
  while read -r time ca host outcome; do
    [[ "$ca $host" == "$CA $HOST" ]] || continue
    [[ "$outcome" == failed ]] || ((time <= now - WEEK)) || issued+=("$time")
    [[ "$outcome" == issued ]] || ((time <= now - HOUR)) || failed+=("$time")
  done < <(read_ledger)
  if ((${#issued[@]} >= ORDERS_PER_WEEK)); then
    again=$((issued[-ORDERS_PER_WEEK] + WEEK))
    WHY="${#issued[@]} certificates for $HOST were ordered within seven days"
  fi
  if ((${#failed[@]} >= FAILURES_PER_HOUR && failed[-FAILURES_PER_HOUR] + HOUR > again)); then
    again=$((failed[-FAILURES_PER_HOUR] + HOUR))
    WHY="${#failed[@]} orders of a certificate for $HOST failed within an hour"
  fi
  ((again == 0)) && return
  WHY+=". The CA would refuse more; the next try is possible at $(time_in_words "$again")."
  return 1
}

# Leaves out what is too old to count and what cannot be read. A time to come is from a clock that was wrong: it counts
# from now on, or it would count for ever.
settle_ledger() {
  local settled
  settled="$(read_ledger | awk -v now="$1" -v week="$WEEK" '
    NF == 4 && $1 ~ /^[0-9]+$/ && $4 ~ /^(ordered|issued|failed)$/ {
      if ($1 > now) $1 = now
      if ($1 > now - week) print
    }' | sort --numeric-sort)" || return
  [[ "$settled" == "$(read_ledger)" ]] || write_ledger "$settled"
}

note_order() {
  write_ledger "$(read_ledger && echo "$(date +%s) $CA $HOST ordered")"
}

# note_outcome issued|failed: of the last order. The lock is held, so it is ours.
note_outcome() {
  write_ledger "$(read_ledger | sed --expression "\$ s/ordered\$/$1/")"
}

read_ledger() {
  [[ ! -e "$ORDERS" ]] || cat "$ORDERS"
}

# Whole or not at all, also when the power goes.
write_ledger() {
  { printf '%s\n' "$1" >"$ORDERS.new" && sync "$ORDERS.new" && mv "$ORDERS.new" "$ORDERS" && sync "$CERTIFICATES"; } \
    2>/dev/null || {
    WHY="The order of a certificate cannot be noted in $ORDERS, so none is made. Is the data disk full?"
    return 1
  }
}
