# shellcheck shell=bash disable=SC2153 # HOST is startup.sh's.
# A folder with fullchain.pem and privkey.pem: whether it can be used for HOST, is over, or is due.

# A certificate is due when less than a third of its life is left; one that lives shorter than this, at half.
SHORT_LIFE=864000

# What makes it useless for HOST, in words; nothing when it is good. Whether it is over is asked elsewhere.
wrong_with() {
  local chain="$1/fullchain.pem" key="$1/privkey.pem" of_chain of_key
  [[ -s "$chain" ]] || { echo "fullchain.pem is missing or empty"; return; }
  [[ -s "$key" ]] || { echo "privkey.pem is missing or empty"; return; }
  of_chain="$(key_of_chain "$chain" 2>/dev/null)" || { echo "fullchain.pem cannot be read"; return; }
  of_key="$(openssl pkey -pubout -passin pass: -in "$key" 2>/dev/null)" ||
    { echo "privkey.pem cannot be read (it must not have a password)"; return; }
  [[ "$of_chain" == "$of_key" ]] || { echo "privkey.pem is not the key of fullchain.pem"; return; }
  covers_host "$chain" || echo "it is not for $HOST"
}

key_of_chain() {
  # Reads the whole chain, where `x509` stops after the first certificate.
  openssl crl2pkcs7 -nocrl -certfile "$1" -out /dev/null && openssl x509 -noout -pubkey -in "$1"
}

covers_host() {
  local check=-checkhost
  [[ -n "$DOMAIN_NAME" ]] || check=-checkip
  # Its exit status says nothing.
  openssl x509 -noout "$check" "$HOST" -in "$1" 2>/dev/null | grep --quiet "does match certificate"
}

is_over() {
  (($(end_of "$1") <= $(date +%s)))
}

# One that is not valid yet comes from a clock that was right when ours is not: it is used.
is_due() {
  local end life left
  end="$(end_of "$1")"
  life=$((end - $(start_of "$1")))
  left=$((end - $(date +%s)))
  ((life <= SHORT_LIFE ? left * 2 < life : left * 3 < life))
}

start_of() {
  date --date "$(openssl x509 -noout -startdate -in "$1/fullchain.pem" | cut --delimiter = --fields 2)" +%s
}

end_of() {
  date --date "$(openssl x509 -noout -enddate -in "$1/fullchain.pem" | cut --delimiter = --fields 2)" +%s
}

end_in_words() {
  time_in_words "$(end_of "$1")"
}

time_in_words() {
  date --utc --date "@$1" +'%F %R UTC'
}
