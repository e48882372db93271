# shellcheck shell=bash
# The models and custom nodes that the workspace is to have, by the manifest: JSON, or where it lies.
#
#   {"models":       [{"url": "…", "sha256": "…", "folder": "checkpoints", "name": "…"}],
#    "custom_nodes": [{"git": "…", "commit": "…", "name": "…"}, {"url": "…", "sha256": "…", "name": "…"}]}
#
# An url begins with https:// or gs://; a name is the address's last part where it is left out. A wrong entry, or one
# that cannot be had, ends neither the boot nor the others. What a person has put somewhere is not overwritten, and what
# the manifest no longer names is not removed. The ledger remembers what was put where, so that a boot neither fetches
# nor hashes it again:
#
#   path <tab> digest or commit <tab> size and time of change, or "directory"

MANIFEST_LEDGER="$DATA/manifest-ledger.tsv"

# In seconds. What is not there by then is fetched at the next boot, from where it has stopped.
MANIFEST_WITHIN=600
# Of the control plane's twenty minutes so many are gone when this ends at the latest, but it has a minute in any case.
MANIFEST_UNTIL=960
MANIFEST_MIN=60
SIZE_WITHIN=20
MANIFEST_FETCH_TRIES="${MANIFEST_FETCH_TRIES:-3}"

MANIFEST_BYTES_MAX=1048576
MANIFEST_ENTRIES_MAX=500
# Stays free for the person's pictures.
ROOM_FOR_PICTURES_MIB="${ROOM_FOR_PICTURES_MIB:-1024}"

fetch_manifest() {
  # shellcheck disable=SC2034 # It is fetch's.
  local FETCH_TRIES="$MANIFEST_FETCH_TRIES" FETCH_UNTIL
  [[ -n "$MANIFEST" ]] || return 0
  FETCH_UNTIL=$((SECONDS + MANIFEST_WITHIN < MANIFEST_UNTIL ? SECONDS + MANIFEST_WITHIN : MANIFEST_UNTIL))
  ((FETCH_UNTIL >= SECONDS + MANIFEST_MIN)) || FETCH_UNTIL=$((SECONDS + MANIFEST_MIN))
  make_downloads
  get_manifest && read_manifest && fetch_entries
  return 0
}

# --- what it says ---

get_manifest() {
  local file="$STATE/manifest.json"
  rm -f "$file" "$file.part"
  case "$MANIFEST" in
    https://* | gs://* | /*)
      fetch "$MANIFEST" "" "$file" && return
      warn installing 51 "The manifest cannot be fetched from $(shown_url "$MANIFEST"), so nothing new is fetched."
      return 1
      ;;
    *) printf '%s' "$MANIFEST" >"$file" ;;
  esac
}

# One line an entry, in $STATE/manifest.tsv: what it is, how it is called, and its fields; or "wrong", and why.
read_manifest() {
  local file="$STATE/manifest.json" said
  if (($(stat --format %s "$file") > MANIFEST_BYTES_MAX)); then
    said="it is larger than $MANIFEST_BYTES_MAX bytes"
  else
    said="$(jq --slurp --raw-output --argjson max "$MANIFEST_ENTRIES_MAX" "$MANIFEST_READER" "$file" \
      2>&1 >"$STATE/manifest.tsv")" && return
  fi
  warn installing 51 "The manifest cannot be read, so nothing of it is fetched: ${said#jq: error (at *): }"
  return 1
}

# shellcheck disable=SC2016 # It is jq's.
MANIFEST_READER='
def shown: tojson | if length > 60 then .[:60] + "…" else . end;
# Without what may be a secret.
def shown_address: sub("//[^/]*@"; "//…@") | sub("\\?.*"; "?…") | shown;
def plain: test("\\A[^/\u0000-\u001f\u007f]{1,200}\\z") and (test("\\A[.-]") | not);
def digits($n): test("\\A[0-9a-f]{\($n)}\\z");
def address: test("\\A(https|gs)://[^/@\\s\u0000-\u001f\u007f]+/[^\\s\u0000-\u001f\u007f]+\\z");

# The first thing that is wrong with an entry, or null.
def wrong($needed; $known):
  . as $entry
  | if type != "object" then "is \(shown), and not an object"
    else first(
      (keys[] | select(IN($known[]) | not) | "has an unknown field, \(shown); known are: \($known | join(", "))"),
      ($needed[] | select($entry[.] == null) | "lacks the field \(.)"),
      (to_entries[] | select(.value | type != "string") | "has a \(.key) that is no text: \(.value | shown)"),
      (.url, .git | select(. != null and (address | not)) | "has the address \(shown_address): " +
        "it must begin with https:// or gs://, and hold no user and no space"),
      (.git | select(. != null and (startswith("https://") | not)) | "has the address \(shown_address): " +
        "git needs one that begins with https://"),
      (.sha256 | select(. != null and (digits(64) | not)) | "has the sha256 \(shown): " +
        "it must be 64 small hexadecimal digits"),
      (.commit | select(. != null and (digits(40) | not)) | "has the commit \(shown): " +
        "it must be a whole one, 40 small hexadecimal digits"),
      (.folder | select(. != null and (split("/") | length > 0 and length <= 8 and all(.[]; plain) | not)) |
        "has the folder \(shown): it must lead down from models/, such as checkpoints or loras/mine"),
      null)
    end;

# entry(its kind; the field that holds its digest; where it is to lie; its name, where it says none): as it is done.
def entry($kind; $digest; $folder; $default):
  (.name // $default) as $name
  | if $name | plain then {fields: [$kind, $name, .git // .url, .[$digest], "\($folder)/\($name)"]}
    else {wrong: "is called \($name | shown), which is no name of a file: say another in the field name"} end;

def last_part: sub("[?#].*"; "") | split("/")[-1];
def program: last_part | sub("\\.(git|zip|tgz|tar(\\.[a-z0-9]+)?)\\z"; "");

def model:
  wrong(["url", "sha256", "folder"]; ["url", "sha256", "folder", "name"]) as $wrong
  | if $wrong then {$wrong} else entry("model"; "sha256"; "models/\(.folder)"; .url | last_part) end;

def node:
  if type == "object" and has("git") then
    wrong(["git", "commit"]; ["git", "commit", "name"]) as $wrong
    | if $wrong then {$wrong} else entry("git"; "commit"; "custom_nodes"; .git | program) end
  else
    wrong(["url", "sha256"]; ["url", "sha256", "name"]) as $wrong
    | if $wrong then {$wrong} else entry("archive"; "sha256"; "custom_nodes"; .url | program) end
  end;

def list($key): .[$key] // [] | if type == "array" then . else error("\($key) is \(shown), and not a list") end;

if length != 1 then error("it holds \(length) values, and not one") else .[0] end
| if type != "object" then error("it is \(shown), and not an object") else . end
| (keys - ["models", "custom_nodes"]) as $unknown
| if $unknown != [] then error("it has an unknown field, \($unknown[0] | shown); known are: models, custom_nodes")
  elif (list("models") + list("custom_nodes") | length) > $max then error("it has more than \($max) entries")
  else . end
| [(list("custom_nodes") | to_entries[] | {label: "custom_nodes[\(.key)]"} + (.value | node)),
   (list("models") | to_entries[] | {label: "models[\(.key)]"} + (.value | model))]
| reduce .[] as $one ({taken: {}, out: []};
    $one.fields[4] as $path
    | if $one.wrong then .out += [["wrong", "\($one.label) of the manifest \($one.wrong)"]]
      elif .taken[$path] then
        .out += [["wrong", "\($one.label) of the manifest is to lie at \($path), as \(.taken[$path]) is"]]
      else .taken[$path] = $one.label | .out += [$one.fields] end)
| .out[] | @tsv
'

# --- what is done ---

fetch_entries() {
  local entry kind name address digest path missing=() number=0
  while IFS=$'\t' read -r kind name address digest path; do
    if [[ "$kind" == wrong ]]; then
      warn installing 51 "$name."
    else
      is_placed "$DATA/comfyui/$path" "$digest" ||
        missing+=("$(printf '%s\t%s\t%s\t%s\t%s' "$kind" "$name" "$address" "$digest" "$path")")
    fi
  done < <(sed 's/\\\\/\\/g' "$STATE/manifest.tsv")
  for entry in "${missing[@]}"; do
    if ((SECONDS >= FETCH_UNTIL)); then
      warn installing 57 "Time was up: what is left of the manifest, $((${#missing[@]} - number)) of ${#missing[@]}, \
is fetched at the next boot."
      return
    fi
    number=$((number + 1))
    IFS=$'\t' read -r kind name address digest path <<<"$entry"
    FETCHING="Fetching $(in_words "$kind") $number of ${#missing[@]}"
    WHY=""
    report installing 52 "$FETCHING"
    "place_$kind" "$address" "$digest" "$DATA/comfyui/$path" ||
      warn installing 52 "The manifest's $name is not there: ${WHY:-the data disk could not be written on}."
  done
}

in_words() {
  [[ "$1" == model ]] && printf model || printf 'custom node'
}

# place_model URL SHA256 PATH
place_model() {
  local url="$1" sha256="$2" path="$3" part="$DOWNLOADS/$2"
  if is_in_the_way "$path"; then
    [[ "$(as_comfyui sha256sum -- "$path" | cut --delimiter ' ' --fields 1)" == "$sha256" ]] || refuse_entry "$path" || return
    remember "$path" "$sha256"
    return
  fi
  fetch_verified "$url" "$sha256" || return
  # On the disk before the ledger says so.
  sync "$part"
  chown "$COMFYUI_USER:" "$part"
  WHY="it cannot be put at ${path#"$DATA/"}"
  as_comfyui mkdir --parents "${path%/*}" && as_comfyui ln --force --no-target-directory "$part" "$path" || return
  rm -f "$part"
  remember "$path" "$sha256"
}

# fetch_verified URL SHA256: into the downloads, under its digest; tells how far it is.
fetch_verified() {
  local url="$1" sha256="$2" part="$DOWNLOADS/$2" have
  FETCH_SIZE="$(size_of "$url")"
  have="$(stat --format %s "$part" "$part.part" 2>/dev/null | head --lines 1 || true)"
  has_room_for "$((FETCH_SIZE - ${have:-0}))" || return
  WHY="it cannot be fetched from $(shown_url "$url"), or is not the file that its sha256 names"
  fetch "$url" "$sha256" "$part" tell_fetching && WHY="" && return
  ((SECONDS < FETCH_UNTIL)) || WHY="time was up while it was fetched; it goes on at the next boot"
  # What cannot be finished does not take the room that pictures need.
  (($(free_mib) >= ROOM_FOR_PICTURES_MIB)) || { rm -f "$part.part" && WHY="the data disk is full"; }
  return 1
}

# Bytes, as the server says beforehand; 0 where it does not.
size_of() {
  local url="$1" authorization="" size
  case "$url" in
    gs://*)
      authorization="Authorization: Bearer $(access_token)"
      url="$(storage_url "$url")"
      ;;
  esac
  size="$(curl --silent --fail --head --location --max-time "$SIZE_WITHIN" --header @- "$url" <<<"$authorization" |
    tr --delete '\r' | sed --quiet 's/^content-length: *\([0-9]\{1,15\}\)$/\1/Ip' | tail --lines 1 || true)"
  printf '%s' "${size:-0}"
}

has_room_for() {
  local needed=$((($1 + 1048575) / 1048576 + ROOM_FOR_PICTURES_MIB)) free
  free="$(free_mib)"
  ((free >= needed)) && return
  WHY="it takes $(in_gb "$1" 1) GB, and $(in_gb "$free" 1048576) GB are free on the data disk"
  return 1
}

# Called by fetch about once a second with the bytes that are there.
tell_fetching() {
  ((SECONDS - ${TOLD_AT:-0} >= PROGRESS_EVERY)) || return 0
  TOLD_AT="$SECONDS"
  if ((FETCH_SIZE > 0)); then
    report installing 53 "$FETCHING: $(in_gb "$1" 1) of $(in_gb "$FETCH_SIZE" 1) GB"
  else
    report installing 53 "$FETCHING: $(in_gb "$1" 1) GB"
  fi
}

# place_git URL COMMIT PATH: where git finds files that were changed by hand, it leaves all as it is.
place_git() {
  local url="$1" commit="$2" path="$3" incoming="$DATA/comfyui/.incoming"
  if [[ "$(as_comfyui git -C "$path" rev-parse HEAD 2>/dev/null)" == "$commit" ]]; then
    :
  elif [[ -d "$path" ]] && ! is_in_the_way "$path"; then
    WHY="it cannot be fetched from $url, or its files were changed by hand"
    check_out_said "$url" "$commit" "$path" || return
  else
    ! is_in_the_way "$path" || refuse_entry "$path" || return
    WHY="it cannot be fetched from $url, or that has no commit $commit"
    as_comfyui rm -rf "$incoming" && as_comfyui mkdir "$incoming" && check_out_said "$url" "$commit" "$incoming/node" &&
      as_comfyui mv --no-target-directory "$incoming/node" "$path" && as_comfyui rmdir "$incoming" || return
  fi
  remember "$path" "$commit"
}

check_out_said() {
  check_out "$@" >>"$STATE/manifest.log" 2>&1
}

# place_archive URL SHA256 PATH: over what an earlier archive has brought, so that what was added by hand stays.
place_archive() {
  local url="$1" sha256="$2" path="$3" incoming="$DATA/comfyui/.incoming"
  ! is_in_the_way "$path" || refuse_entry "$path" || return
  fetch_verified "$url" "$sha256" || return
  WHY="$(shown_url "$url") cannot be unpacked"
  as_comfyui rm -rf "$incoming" && as_comfyui mkdir "$incoming" &&
    unpack "$DOWNLOADS/$sha256" "$incoming/node" >>"$STATE/manifest.log" 2>&1 || return
  if [[ -d "$path" ]]; then
    as_comfyui cp --recursive --no-target-directory "$incoming/node" "$path" || return
  else
    as_comfyui mv --no-target-directory "$incoming/node" "$path" || return
  fi
  as_comfyui rm -rf "$incoming"
  rm -f "$DOWNLOADS/$sha256"
  remember "$path" "$sha256"
}

# --- what was put where ---

# is_placed PATH DIGEST: it was put there, and a file has not changed since. A custom node may: people update them.
is_placed() {
  local digest stamp
  read -r digest stamp < <(ledger_entry "$1") && [[ "$digest" == "$2" && "$(stamp_of "$1")" == "$stamp" ]]
}

# is_in_the_way PATH: something is there that the manifest has not put there as it is.
is_in_the_way() {
  local _ stamp
  [[ -e "$1" || -L "$1" ]] || return
  ! read -r _ stamp < <(ledger_entry "$1") || [[ "$(stamp_of "$1")" != "$stamp" ]]
}

refuse_entry() {
  WHY="something else is at ${1#"$DATA/"}, which the manifest has not put there; move it away, or give another name"
  return 1
}

# Size and time of change of a file; of a directory only that it is one.
stamp_of() {
  if [[ -d "$1" ]]; then
    printf directory
  else
    stat --dereference --format '%s %Y' -- "$1" 2>/dev/null
  fi
}

ledger_entry() {
  [[ ! -f "$MANIFEST_LEDGER" ]] || ENTRY="$1" awk -F '\t' '$1 == ENVIRON["ENTRY"] { print $2, $3 }' "$MANIFEST_LEDGER"
}

# Where this cannot be written, the next boot hashes the file once more.
remember() {
  local stamp
  stamp="$(stamp_of "$1")"
  {
    [[ ! -f "$MANIFEST_LEDGER" ]] || ENTRY="$1" awk -F '\t' '$1 != ENVIRON["ENTRY"]' "$MANIFEST_LEDGER"
    printf '%s\t%s\t%s\n' "$1" "$2" "$stamp"
  } >"$MANIFEST_LEDGER.new" && sync "$MANIFEST_LEDGER.new" && mv "$MANIFEST_LEDGER.new" "$MANIFEST_LEDGER" && return
  log "the manifest's ledger could not be written"
}
