# shellcheck shell=bash disable=SC2034 # Other parts read what is set here.
# What is asked for, and how this program talks and ends.

read_options() {
  while (($# > 0)); do
    case "$1" in
      --help | -h) sed --quiet --expression '2,/^set /{/^set /d;/^# shellcheck/d;s/^# \{0,1\}//p}' "$HERE/deploy" && exit ;;
      --ignore-quota) IGNORE_QUOTA=true ;;
      --yes) YES=true ;;
      --dry-run) DRY_RUN=true ;;
      --destroy) DESTROY=true ;;
      --delete-data) DELETE_DATA=true ;;
      --var-file | --project | --region | --build)
        [[ -n "${2:-}" && "$2" != --* ]] || fail "$1: found ${2:-nothing}; expected a value"
        set_option "$1" "$2"
        shift
        ;;
      *) fail "found $1; expected an option of --help" ;;
    esac
    shift
  done
  [[ "$BUILD" =~ ^(auto|local|docker|podman|cloud)$ ]] ||
    fail "--build: found $BUILD; expected auto, local, docker, podman or cloud"
  ! "$DELETE_DATA" || "$DESTROY" || fail "found --delete-data without --destroy; expected both, or neither"
}

# --foo-bar sets FOO_BAR.
set_option() {
  local name="${1#--}"
  name="${name^^}"
  printf -v "${name//-/_}" '%s' "$2"
}

fail() {
  echo "deploy: $1" >&2
  exit 1
}

# Says what is being done; a comment between the commands of a dry run.
say() {
  if "$DRY_RUN"; then
    echo "# $1" >&"$COMMANDS"
  else
    echo "deploy: $1" >&2
  fi
}

end() {
  local status=$?
  trap - EXIT INT TERM
  local engine
  for engine in "${LOGGED_IN[@]}"; do
    "$DRY_RUN" || "$engine" logout "$(registry)" >/dev/null 2>&1 || true
  done
  [[ -z "$SCRATCH" ]] || rm -rf "$SCRATCH"
  ((status == 0)) || "$DRY_RUN" || ! "$BEGUN" || again >&2
  exit "$status"
}

again() {
  local option=""
  ! "$DESTROY" || option=" --destroy"
  ! "$DELETE_DATA" || option+=" --delete-data"
  echo "deploy: it has ended before it was done. What is made is kept and known, and nothing in use was touched. Mend what is
deploy: said above, and run ./deploy$option again: it goes on from there. If the state is said to be locked by a run that is
deploy: no more: terraform -chdir=terraform force-unlock ID"
}
