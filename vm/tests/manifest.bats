bats_require_minimum_version 1.5.0

load support
load comfyui_support

# A server that knows ranges, asks for the VM's token, is as slow as it is told, and writes down what it was asked.
setup_file() {
  WORLD="$BATS_FILE_TMPDIR/world"
  SERVED="$WORLD/served"
  mkdir -p "$SERVED" "$WORLD/nginx"
  chmod a+x "$BATS_RUN_TMPDIR" "$BATS_SUITE_TMPDIR" "$BATS_FILE_TMPDIR"
  head --bytes 3000000 /dev/urandom >"$SERVED/big.safetensors"
  head --bytes 2000 /dev/urandom >"$SERVED/small.safetensors"
  chmod --recursive a+rX "$WORLD"
  PORT="$(free_port)"
  HTTPS_PORT="$(free_port)"
  openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
    -keyout "$WORLD/key.pem" -out "$WORLD/certificate.pem" 2>/dev/null
  cat >"$WORLD/nginx.conf" <<EOF
daemon off;
worker_processes 1;
user root;
error_log $WORLD/nginx/error.log;
pid $WORLD/nginx/pid;
events {}
http {
  access_log off;
  log_format asked '\$request_method \$uri \$http_range \$status';
  client_body_temp_path $WORLD/nginx/body;
  proxy_temp_path $WORLD/nginx/proxy;
  fastcgi_temp_path $WORLD/nginx/fastcgi;
  uwsgi_temp_path $WORLD/nginx/uwsgi;
  scgi_temp_path $WORLD/nginx/scgi;
  server {
    listen 127.0.0.1:$PORT;
    listen 127.0.0.1:$HTTPS_PORT ssl;
    ssl_certificate $WORLD/certificate.pem;
    ssl_certificate_key $WORLD/key.pem;
    location = /computeMetadata/v1/instance/service-accounts/default/token {
      return 200 '{"access_token":"vm-token","expires_in":3599}';
    }
    location /storage/v1/b/slow/o/ {
      access_log $WORLD/asked asked;
      limit_rate 400k;
      alias $SERVED/;
    }
    location /storage/v1/b/models/o/ {
      access_log $WORLD/asked asked;
      if (\$http_authorization != "Bearer vm-token") { return 401; }
      alias $SERVED/;
    }
    location /public/ {
      access_log $WORLD/asked asked;
      alias $SERVED/;
    }
  }
}
EOF
  nginx -c "$WORLD/nginx.conf" -e "$WORLD/nginx/error.log" >/dev/null 2>&1 3>&- &
  echo $! >"$WORLD/nginx-pid"
  for ((i = 0; i < 50; i++)); do
    ! curl --silent --output /dev/null "http://127.0.0.1:$PORT/" || break
    sleep 0.1
  done
  export WORLD SERVED PORT HTTPS_PORT
  make_node_repository
}

teardown_file() {
  kill "$(cat "$WORLD/nginx-pid")"
}

free_port() {
  /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Git over https, as a plain folder: git's own dumb protocol.
make_node_repository() {
  mkdir "$WORLD/repository"
  chown nobody:nogroup "$WORLD/repository"
  in_repository git -c init.defaultBranch=main init --quiet
  echo 'NODE_CLASS_MAPPINGS = {}' >"$WORLD/repository/__init__.py"
  tag one
  echo '# more' >>"$WORLD/repository/__init__.py"
  tag two
  FIRST="$(in_repository git rev-parse one)"
  SECOND="$(in_repository git rev-parse two)"
  export FIRST SECOND
}

setup() {
  setup_comfyui
  : >"$WORLD/asked"
  # git's addresses are https; here they are a folder.
  git config --file "$WORLD/gitconfig" "url.$WORLD/repository.insteadOf" "https://git.example.org/a-node.git"
  export GIT_CONFIG_GLOBAL="$WORLD/gitconfig"
  export PYTHON=/usr/bin/python3
  export METADATA="http://127.0.0.1:$PORT" STORAGE="http://127.0.0.1:$PORT" CURL_CA_BUNDLE="$WORLD/certificate.pem"
  export ROOM_FOR_PICTURES_MIB=1 MANIFEST_FETCH_TRIES=2
  MODELS="$DATA/comfyui/models"
}

teardown() {
  ! mountpoint --quiet "$DATA" || umount "$DATA"
}

as_nobody() {
  setpriv --reuid nobody --regid nogroup --clear-groups env HOME="$WORLD" "$@"
}

digest() {
  sha256sum <"$1" | cut -c 1-64
}

# model FILE [BUCKET [NAME]]: an entry.
model() {
  jq --null-input --compact-output --arg url "gs://${2:-models}/$1" --arg sha256 "$(digest "$SERVED/$1")" \
    --arg name "${3:-$1}" '{$url, $sha256, folder: "checkpoints", $name}'
}

# One after the other, with commas between.
listed() {
  local IFS=,
  printf '%s' "$*"
}

fetch_models() {
  MANIFEST="{\"models\":[$(listed "$@")]}" boot fetch_manifest
}

asked() {
  cat "$WORLD/asked"
}

# --- models ---

@test "a model is fetched with the VM's token, verified, and put where it belongs, for ComfyUI's user" {
  run fetch_models "$(model big.safetensors)"
  [ "$status" -eq 0 ]
  cmp "$SERVED/big.safetensors" "$MODELS/checkpoints/big.safetensors"
  [ "$(stat --format '%U %h' "$MODELS/checkpoints/big.safetensors")" = "nobody 1" ]
  # A ledger must not be on the disk before what it vouches for.
  [ "$(grep --only-matching '^sync .*/\(downloads\|manifest\)' "$CALLS" | sed 's|.*/||' | paste --serial)" = $'downloads\tmanifest' ]
  [ -z "$(warned)" ]
  [ -z "$(ls "$DATA/downloads")" ]
}

@test "a model is fetched over https, with a name of its own in a folder of its own" {
  local url="https://127.0.0.1:$HTTPS_PORT/public/small.safetensors?token=hidden"
  run fetch_models "{\"url\":\"$url\",\"sha256\":\"$(digest "$SERVED/small.safetensors")\",\"folder\":\"loras/my own\",\"name\":\"a b.safetensors\"}"
  [ "$status" -eq 0 ]
  cmp "$SERVED/small.safetensors" "$MODELS/loras/my own/a b.safetensors"
  [[ "$output" != *hidden* ]]
}

@test "without a name it is the address's last part" {
  fetch_models "{\"url\":\"https://127.0.0.1:$HTTPS_PORT/public/small.safetensors?x=/y\",\"sha256\":\"$(digest "$SERVED/small.safetensors")\",\"folder\":\"vae\"}"
  [ -f "$MODELS/vae/small.safetensors" ]
}

@test "a second boot asks for nothing and hashes nothing" {
  local entries
  entries=("$(model big.safetensors)" "$(model small.safetensors)")
  fetch_models "${entries[@]}"
  : >"$WORLD/asked"
  for command in curl sha256sum setpriv; do stub "$command" 'exit 1'; done
  : >"$CALLS"
  run fetch_models "${entries[@]}"
  [ "$status" -eq 0 ]
  [ -z "$(warned)" ]
  [ -z "$(asked)" ]
  [ ! -s "$CALLS" ] || [ -z "$(grep --invert-match '^systemctl' "$CALLS")" ]
}

@test "a transfer that was cut is gone on with where it stopped" {
  mkdir --mode 0755 "$DATA/downloads"
  head --bytes 1000000 "$SERVED/big.safetensors" >"$DATA/downloads/$(digest "$SERVED/big.safetensors").part"
  run fetch_models "$(model big.safetensors)"
  cmp "$SERVED/big.safetensors" "$MODELS/checkpoints/big.safetensors"
  [[ "$(asked)" == *"GET /storage/v1/b/models/o/big.safetensors bytes=1000000- 206"* ]]
}

@test "what is not done in time is told, and the next boot goes on with it" {
  with_little_time() {
    MANIFEST_WITHIN=3 MANIFEST_MIN=1
    fetch_manifest
  }
  export -f with_little_time
  MANIFEST="{\"models\":[$(model big.safetensors slow),$(model small.safetensors)]}" run boot with_little_time
  [ "$status" -eq 0 ]
  [[ "$(warned)" == *"big.safetensors is not there: time was up while it was fetched"* ]]
  [[ "$(warned)" == *"Time was up: what is left of the manifest, 1 of 2, is fetched at the next boot."* ]]
  [ -s "$DATA/downloads/$(digest "$SERVED/big.safetensors").part" ]
  run fetch_models "$(model big.safetensors)" "$(model small.safetensors)"
  cmp "$SERVED/big.safetensors" "$MODELS/checkpoints/big.safetensors"
  cmp "$SERVED/small.safetensors" "$MODELS/checkpoints/small.safetensors"
  grep --quiet --extended-regexp 'GET /storage/v1/b/models/o/big.safetensors bytes=[0-9]+- 206' "$WORLD/asked"
  [ -z "$(warned)" ]
}

@test "how far it is is told in numbers" {
  every_second() {
    PROGRESS_EVERY=1
    fetch_manifest
  }
  MANIFEST="{\"models\":[$(model small.safetensors),$(model big.safetensors slow)]}" run boot every_second
  [ "$status" -eq 0 ]
  [[ "$output" == *"installing 53 %: Fetching model 2 of 2: 0.0 of 0.0 GB"* ]]
}

@test "a wrong digest is told, fetched once, and does not stop the others" {
  local wrong
  wrong="$(model big.safetensors | sed 's/"sha256":"[0-9a-f]*"/"sha256":"'"$(printf '0%.0s' {1..64})"'"/')"
  run fetch_models "$wrong" "$(model small.safetensors)"
  [ "$status" -eq 0 ]
  [[ "$(warned)" == "The manifest's big.safetensors is not there: it cannot be fetched from gs://models/big.safetensors, or is not the file"* ]]
  [ "$(grep --count 'GET .*big' "$WORLD/asked")" -eq 1 ]
  [ ! -e "$MODELS/checkpoints/big.safetensors" ]
  [ -f "$MODELS/checkpoints/small.safetensors" ]
  [ -z "$(ls "$DATA/downloads")" ]
}

@test "what is not to be had is told, asked for once, and does not stop the others" {
  run fetch_models "$(model small.safetensors models gone.safetensors | sed 's|models/small|models/nothing|')" "$(model big.safetensors)"
  [ "$status" -eq 0 ]
  [[ "$(warned)" == "The manifest's gone.safetensors is not there: it cannot be fetched"* ]]
  [ "$(grep --count 'GET .*nothing' "$WORLD/asked")" -eq 1 ]
  [ -f "$MODELS/checkpoints/big.safetensors" ]
}

@test "what a person has put there stays, and is told" {
  as_nobody mkdir --parents "$MODELS/checkpoints"
  echo mine >"$MODELS/checkpoints/big.safetensors"
  run fetch_models "$(model big.safetensors)"
  [ "$(cat "$MODELS/checkpoints/big.safetensors")" = mine ]
  [[ "$(warned)" == *"something else is at comfyui/models/checkpoints/big.safetensors"* ]]
}

@test "the very file that is asked for is not fetched" {
  as_nobody mkdir --parents "$MODELS/checkpoints"
  cp "$SERVED/big.safetensors" "$MODELS/checkpoints/"
  run fetch_models "$(model big.safetensors)"
  [ -z "$(warned)$(asked)" ]
}

@test "another digest under the same name replaces what the manifest has put there" {
  fetch_models "$(model small.safetensors models same)"
  run fetch_models "$(model big.safetensors models same)"
  cmp "$SERVED/big.safetensors" "$MODELS/checkpoints/same"
  [ -z "$(warned)" ]
}

@test "a model that was removed is fetched again" {
  fetch_models "$(model small.safetensors)"
  rm "$MODELS/checkpoints/small.safetensors"
  fetch_models "$(model small.safetensors)"
  [ -f "$MODELS/checkpoints/small.safetensors" ]
}

@test "links laid by a custom node lead root nowhere" {
  echo precious >"$BATS_TEST_TMPDIR/precious"
  mkdir "$BATS_TEST_TMPDIR/roots"
  chmod 0755 "$BATS_TEST_TMPDIR/roots"
  as_nobody bash -c "mkdir --parents '$MODELS/vae' &&
    ln -s '$BATS_TEST_TMPDIR/roots' '$MODELS/checkpoints' && ln -s '$BATS_TEST_TMPDIR/precious' '$MODELS/vae/small.safetensors'"
  run fetch_models "$(model big.safetensors)" "$(model small.safetensors | sed 's/checkpoints/vae/')"
  [ "$status" -eq 0 ]
  [ "$(cat "$BATS_TEST_TMPDIR/precious")" = precious ]
  [ -z "$(ls "$BATS_TEST_TMPDIR/roots")" ]
  [ "$(warned | wc --lines)" -eq 2 ]
}

@test "downloads that are not root's are not used" {
  mkdir "$DATA/downloads"
  ln -s "$BATS_TEST_TMPDIR/elsewhere" "$DATA/downloads/$(digest "$SERVED/small.safetensors").part"
  chown --no-dereference nobody "$DATA/downloads"
  run fetch_models "$(model small.safetensors)"
  [ ! -e "$BATS_TEST_TMPDIR/elsewhere" ]
  [ -f "$MODELS/checkpoints/small.safetensors" ]
}

mount_small_disk() {
  truncate --size "$1" "$BATS_TEST_TMPDIR/disk"
  mkfs.ext4 -q "$BATS_TEST_TMPDIR/disk"
  mount --options loop "$BATS_TEST_TMPDIR/disk" "$DATA"
  make_data_disk
}

@test "a model that does not fit is told before it is fetched; one that does is fetched" {
  mount_small_disk 4M
  run fetch_models "$(model big.safetensors)" "$(model small.safetensors)"
  [ "$status" -eq 0 ]
  [[ "$(warned)" == *"big.safetensors is not there: it takes 0.0 GB, and 0.0 GB are free on the data disk"* ]]
  run ! grep 'GET .*big' "$WORLD/asked"
  [ -f "$MODELS/checkpoints/small.safetensors" ]
}

@test "a transfer that fills the disk leaves no half file that takes the pictures' room" {
  mount_small_disk 4M
  blind() {
    size_of() { printf 0; }
    fetch_manifest
  }
  MANIFEST="{\"models\":[$(model big.safetensors)]}" run boot blind
  [ "$status" -eq 0 ]
  [[ "$(warned)" == *"big.safetensors is not there: the data disk is full."* ]]
  [ -z "$(ls "$DATA/downloads")" ]
}

# --- custom nodes ---

git_node() {
  printf '{"git":"https://git.example.org/a-node.git","commit":"%s"}' "$1"
}

fetch_nodes() {
  MANIFEST="{\"custom_nodes\":[$(listed "$@")]}" boot fetch_manifest
}

node_head() {
  git -c safe.directory='*' -C "$DATA/comfyui/custom_nodes/a-node" rev-parse HEAD
}

@test "a custom node comes at its commit, and its update with the manifest's" {
  boot make_base_directory
  run fetch_nodes "$(git_node "$FIRST")"
  [ "$status" -eq 0 ]
  [ -z "$(warned)" ]
  [ "$(node_head)" = "$FIRST" ]
  [ "$(stat --format %U "$DATA/comfyui/custom_nodes/a-node/__init__.py")" = nobody ]
  [ ! -e "$DATA/comfyui/.incoming" ]
  run fetch_nodes "$(git_node "$SECOND")"
  [ -z "$(warned)" ]
  [ "$(node_head)" = "$SECOND" ]
}

@test "a custom node that a person has updated or changed stays as it is" {
  boot make_base_directory
  local node="$DATA/comfyui/custom_nodes/a-node"
  fetch_nodes "$(git_node "$FIRST")"
  as_nobody git -C "$node" fetch --quiet "$WORLD/repository" two
  as_nobody git -C "$node" checkout --quiet FETCH_HEAD
  run fetch_nodes "$(git_node "$FIRST")"
  [ -z "$(warned)" ]
  [ "$(node_head)" = "$SECOND" ]
  as_nobody git -C "$node" checkout --quiet "$FIRST"
  echo '# mine' >>"$node/__init__.py"
  run fetch_nodes "$(git_node "$SECOND")"
  [[ "$(warned)" == *"a-node is not there: it cannot be fetched from"*"or its files were changed by hand."* ]]
  grep --quiet '# mine' "$node/__init__.py"
}

@test "a custom node that was there before the manifest stays" {
  boot make_base_directory
  mkdir "$DATA/comfyui/custom_nodes/a-node"
  run fetch_nodes "$(git_node "$FIRST")"
  [[ "$(warned)" == *"something else is at comfyui/custom_nodes/a-node"* ]]
  [ -z "$(ls "$DATA/comfyui/custom_nodes/a-node")" ]
  run fetch_nodes "{\"url\":\"gs://models/small.safetensors\",\"sha256\":\"$(digest "$SERVED/small.safetensors")\",\"name\":\"a-node\"}"
  [[ "$(warned)" == *"something else is at comfyui/custom_nodes/a-node"* ]]
  [ -z "$(asked)" ]
}

@test "a commit that is not there leaves nothing behind" {
  boot make_base_directory
  run fetch_nodes "$(git_node "$(printf '0%.0s' {1..40})")"
  [ "$status" -eq 0 ]
  [[ "$(warned)" == *"or that has no commit 0000"* ]]
  [ -z "$(ls "$DATA/comfyui/custom_nodes")" ]
}

@test "a custom node comes as an archive, and its next archive over it" {
  boot make_base_directory
  git -c safe.directory='*' -C "$WORLD/repository" archive --prefix a-node-1/ --output "$SERVED/node-1.tar.gz" one
  git -c safe.directory='*' -C "$WORLD/repository" archive --format zip --output "$SERVED/node-2.zip" two
  chmod a+r "$SERVED"/node-*
  run fetch_nodes "{\"url\":\"gs://models/node-1.tar.gz\",\"sha256\":\"$(digest "$SERVED/node-1.tar.gz")\",\"name\":\"n\"}"
  [ -z "$(warned)" ]
  [ "$(cat "$DATA/comfyui/custom_nodes/n/__init__.py")" = "NODE_CLASS_MAPPINGS = {}" ]
  echo kept >"$DATA/comfyui/custom_nodes/n/settings.json"
  run fetch_nodes "{\"url\":\"gs://models/node-2.zip\",\"sha256\":\"$(digest "$SERVED/node-2.zip")\",\"name\":\"n\"}"
  [ -z "$(warned)" ]
  [[ "$(cat "$DATA/comfyui/custom_nodes/n/__init__.py")" == *"# more" ]]
  [ "$(cat "$DATA/comfyui/custom_nodes/n/settings.json")" = kept ]
  [ "$(stat --format %U "$DATA/comfyui/custom_nodes/n/__init__.py")" = nobody ]
}

# --- what it says ---

@test "the manifest may lie in a bucket, or on the disk" {
  echo "{\"models\":[$(model small.safetensors)]}" >"$SERVED/manifest.json"
  MANIFEST=gs://models/manifest.json run boot fetch_manifest
  [ -f "$MODELS/checkpoints/small.safetensors" ]
  rm "$MODELS/checkpoints/small.safetensors"
  MANIFEST="$SERVED/manifest.json" run boot fetch_manifest
  [ -f "$MODELS/checkpoints/small.safetensors" ]
}

@test "without a manifest nothing is done" {
  run boot fetch_manifest
  [ "$status" -eq 0 ]
  [ ! -e "$DATA/downloads" ]
}

@test "a manifest that cannot be read is told, and the boot goes on" {
  while IFS='|' read -r manifest words; do
    MANIFEST="$manifest" run boot fetch_manifest
    [ "$status" -eq 0 ]
    [[ "$(warned)" == "The manifest cannot be "*"$words"* ]] || { echo "$manifest: $(warned)" && false; }
  done <<'EOF'
{|Unfinished JSON
hello|parse error: Invalid
[]|it is [], and not an object
"x"|it is "x", and not an object
{}{}|it holds 2 values, and not one
{"model":[]}|it has an unknown field, "model"; known are: models, custom_nodes
{"models":{}}|models is {}, and not a list
{"custom_nodes":"x"}|custom_nodes is "x", and not a list
gs://models/none.json|fetched from gs://models/none.json
https://127.0.0.1:1/x?secret|fetched from https://127.0.0.1:1/x,
EOF
}

@test "an entry that is wrong is told by its number, and the others are done" {
  local s c
  s="$(printf 'a%.0s' {1..64})"
  c="$(printf 'b%.0s' {1..40})"
  while IFS='|' read -r entry words; do
    [ -n "$entry" ] || continue
    entry="${entry//SHA/$s}" entry="${entry//COMMIT/$c}"
    kind=models
    [[ "$entry" != N* ]] || kind=custom_nodes
    MANIFEST="{\"$kind\":[${entry#N}]}" run boot fetch_manifest
    [ "$status" -eq 0 ]
    [[ "$(warned)" == "$kind[0] of the manifest $words"* ]] || { echo "$entry: $(warned)" && false; }
    [ "$(warned | wc --lines)" -eq 1 ]
  done <<'EOF'
7|is 7, and not an object
null|is null, and not an object
{"url":"https://h/x","sha256":"SHA"}|lacks the field folder
{"url":"https://h/x","folder":"vae"}|lacks the field sha256
{"sha256":"SHA","folder":"vae"}|lacks the field url
{"url":"https://h/x","sha256":"SHA","folder":"vae","size":1}|has an unknown field, "size"; known are: url, sha256, folder, name
{"url":1,"sha256":"SHA","folder":"vae"}|has a url that is no text: 1
{"url":"https://h/x","sha256":["SHA"],"folder":"vae"}|has a sha256 that is no text
{"url":"https://h/x","sha256":"SHA","folder":null}|lacks the field folder
{"url":"http://h/x","sha256":"SHA","folder":"vae"}|has the address "http://h/x": it must begin with https:// or gs://
{"url":"file:///etc/shadow","sha256":"SHA","folder":"vae"}|has the address "file:///etc/shadow"
{"url":"/etc/shadow","sha256":"SHA","folder":"vae"}|has the address "/etc/shadow"
{"url":"https://h","sha256":"SHA","folder":"vae"}|has the address "https://h"
{"url":"https://me:secret@h/x?t=secret","sha256":"SHA","folder":"vae"}|has the address "https://…@h/x?…"
{"url":"https://h/a b","sha256":"SHA","folder":"vae"}|has the address "https://h/a b"
{"url":"https://h/x\n","sha256":"SHA","folder":"vae"}|has the address "https://h/x\n"
{"url":"https://h/x","sha256":"SHA\n","folder":"vae"}|has the sha256
{"url":"https://h/x","sha256":"abc","folder":"vae"}|has the sha256 "abc": it must be 64 small hexadecimal digits
{"url":"https://h/x","sha256":"SHA","folder":"../user"}|has the folder "../user": it must lead down from models/
{"url":"https://h/x","sha256":"SHA","folder":"vae/../.."}|has the folder
{"url":"https://h/x","sha256":"SHA","folder":"/etc"}|has the folder "/etc"
{"url":"https://h/x","sha256":"SHA","folder":""}|has the folder ""
{"url":"https://h/x","sha256":"SHA","folder":"vae//x"}|has the folder
{"url":"https://h/x","sha256":"SHA","folder":"va\te"}|has the folder
{"url":"https://h/x","sha256":"SHA","folder":"vae","name":"../x"}|is called "../x", which is no name of a file
{"url":"https://h/x","sha256":"SHA","folder":"vae","name":"a/b"}|is called "a/b"
{"url":"https://h/x","sha256":"SHA","folder":"vae","name":""}|is called ""
{"url":"https://h/x","sha256":"SHA","folder":"vae","name":"-f"}|is called "-f"
{"url":"https://h/x/","sha256":"SHA","folder":"vae"}|is called "", which is no name of a file: say another in the field name
N{"git":"https://h/x.git"}|lacks the field commit
N{"git":"https://h/x.git","commit":"main"}|has the commit "main": it must be a whole one, 40 small hexadecimal digits
N{"git":"gs://h/x.git","commit":"COMMIT"}|has the address "gs://h/x.git": git needs one that begins with https://
N{"git":"ssh://h/x.git","commit":"COMMIT"}|has the address "ssh://h/x.git"
N{"git":"https://h/x.git","commit":"COMMIT","sha256":"SHA"}|has an unknown field, "sha256"
N{"git":"https://h/x.git","commit":"COMMIT","name":".."}|is called ".."
N{"url":"https://h/x.zip"}|lacks the field sha256
N{}|lacks the field url
EOF
}

@test "a wrong entry does not stop the right one beside it, nor does one that is to lie where another does" {
  run fetch_models '{"url":"x"}' "$(model small.safetensors)" "$(model big.safetensors models small.safetensors)"
  [ -f "$MODELS/checkpoints/small.safetensors" ]
  [ "$(warned | head --lines 1)" = "models[0] of the manifest lacks the field sha256." ]
  [ "$(warned | tail --lines 1)" = "models[2] of the manifest is to lie at models/checkpoints/small.safetensors, as models[1] is." ]
  [ "$(warned | wc --lines)" -eq 2 ]
}

@test "too many entries, too many bytes" {
  MANIFEST="$(jq --null-input --compact-output '{models: [range(501)]}')" run boot fetch_manifest
  [[ "$(warned)" == *"it has more than 500 entries"* ]]
  head --bytes 1100000 /dev/zero >"$SERVED/large.json"
  MANIFEST="$SERVED/large.json" run boot fetch_manifest
  [[ "$(warned)" == *"it is larger than 1048576 bytes"* ]]
}
