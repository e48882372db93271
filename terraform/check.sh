#!/usr/bin/env bash
# Checks Terraform's files without a cloud: their format, whether they are valid, and what tests/*.tftest.hcl say of a plan.
#
# Google's provider would ask Google. Two things can stand in for it:
# - a checker of one's own, which TERRAFORM_CHECK names: a folder with a validate.sh DIR --root ROOT --json FILE -- ARGS.
#   With it there is a plan too, of tests/terraform.tfvars, in target/terraform/plan.json.
# - the provider itself, out of the registry, with `mock_provider` before every test.
# Ends with 3 where there is neither.
set -euo pipefail

NOTHING_TO_CHECK_WITH=3
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
TERRAFORM_CHECK="${TERRAFORM_CHECK:-$ROOT/../shared/tools/terraform-check}"
RESULTS="$ROOT/target/terraform"

main() {
  rm -rf "$RESULTS"
  mkdir -p "$RESULTS"
  terraform fmt -check -diff -recursive "$ROOT/terraform"
  if [[ -x "$TERRAFORM_CHECK/validate.sh" ]]; then
    # One checker is one path: by several, runs side by side would find each other's changed.
    TERRAFORM_CHECK="$(realpath "$TERRAFORM_CHECK")"
    check_with_checker
  else
    check_with_provider
  fi
}

check_with_checker() {
  "$TERRAFORM_CHECK/validate.sh" "$ROOT/terraform" --root "$ROOT" --json "$RESULTS/plan.json" \
    -- -var-file=tests/terraform.tfvars >"$RESULTS/checker.log" 2>&1 || {
    # All but the plan, and what is said of each run that has a target.
    sed -e '/^Warning: Resource targeting/,/part of an error message\.$/d' -e '/^Terraform will perform/,/Error:/d' \
      "$RESULTS/checker.log"
    return 1
  }
  # Said with the number: where no test is found, that is no failure either.
  grep '^Success! [1-9][0-9]* passed' "$RESULTS/checker.log"
}

# In a copy: neither the lock file nor what is mocked belongs into the repository.
check_with_provider() {
  local copy
  copy="$(mktemp --directory)"
  # shellcheck disable=SC2064 # The folder is the one of now.
  trap "rm -rf '$copy'" EXIT
  tar --directory "$ROOT" --exclude-vcs --exclude=.terraform --exclude=node_modules --exclude=target --create . |
    tar --directory "$copy" --extract
  cd "$copy/terraform"
  init_with_provider
  terraform validate -no-color
  local tests
  for tests in tests/*.tftest.hcl; do
    grep --quiet '^mock_provider "google"' "$tests" || sed --in-place '1i mock_provider "google" {}\n' "$tests"
  done
  terraform test -no-color
}

init_with_provider() {
  terraform init -backend=false -input=false -no-color >init.log 2>&1 && return
  if grep --quiet "could not connect to" init.log; then
    echo "neither TERRAFORM_CHECK nor the registry of providers can be reached"
    exit "$NOTHING_TO_CHECK_WITH"
  fi
  cat init.log
  return 1
}

main "$@"
