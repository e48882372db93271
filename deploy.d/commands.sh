# shellcheck shell=bash disable=SC2034 # Other parts read what is set here.
# How commands are run, or shown in a dry run.

# change COMMAND...: runs it; in a dry run prints it.
change() {
  if "$DRY_RUN"; then
    show "$@"
  else
    "$@"
  fi
}

# ask PLACEHOLDER COMMAND...: what the command answers; in a dry run prints the command and answers the placeholder.
ask() {
  if "$DRY_RUN"; then
    show "${@:2}"
    echo "$1"
  else
    "${@:2}"
  fi
}

# As it can be pasted. Pipes and NAME=PLACEHOLDER before a command stay what they are to a shell.
show() {
  local word line=""
  for word in "$@"; do
    case "$word" in
      cloud) word="${GCLOUD[*]}" ;;
      tf) word="${TERRAFORM[*]}" ;;
      *) [[ "$word" =~ ^([A-Za-z0-9_@%+=:,./-]+|[|<>])$ ]] || word="${word@Q}" ;;
    esac
    line+="$word "
  done
  echo "${line% }" >&"$COMMANDS"
}

cloud() {
  "${GCLOUD[@]}" "$@"
}

tf() {
  "${TERRAFORM[@]}" "$@"
}

have() { command -v "$1" >/dev/null 2>&1; }

# The words that every command of Terraform takes which reads the configuration.
variables() {
  WORDS=("${VARIABLES[@]}" "-var=image=${IMAGE:-$IMAGE_PLACE@sha256:$NO_DIGEST}" "-var=bundle_sha256=$BUNDLE_SHA256")
}
