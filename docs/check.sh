#!/usr/bin/env bash
# Whether the docs tell the truth where a program can see it: what they link to is there, and each test that the threat
# model names exists.
set -euo pipefail
export LC_ALL=C

WRONG=0

main() {
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  local file
  while IFS= read -r -d '' file; do
    links_lead_somewhere "$file"
  done < <(git ls-files -z '*.md')
  named_tests_exist docs/threat-model.md
  return "$WRONG"
}

wrong() {
  echo "$1" >&2
  WRONG=1
}

# Links into this repository: `](path)`, with or without a place in it.
links_lead_somewhere() {
  local link
  while IFS= read -r link; do
    [[ -e "$(dirname "$1")/$link" ]] || wrong "$1 links to $link, which is not there"
  done < <(grep --only-matching --perl-regexp '\]\((?!https?:|#|mailto:)\K[^)#]+' "$1" || true)
}

named_tests_exist() {
  local name count=0
  while IFS= read -r name; do
    count=$((count + 1))
    is_a_test "$name" || wrong "$1 names the test \"$name\", which is not there"
  done < <(named_tests "$1")
  ((count > 0)) || wrong "$1 names no test"
}

# The last column of its tables holds tests: the name of a function or of a Terraform run, or a sentence.
# shellcheck disable=SC2016 # the backticks are the page's own
named_tests() {
  grep '^|' "$1" | sed --quiet 's/.*| `\(.*\)` |$/\1/p' | sed 's/`, `/\n/g'
}

is_a_test() {
  git grep --quiet --fixed-strings -e "fn $1(" -e "error_message = \"$1\"" -e "@test \"$1\"" -e "('$1'" \
    -e "(\"$1\"" -- '*.rs' '*.tftest.hcl' '*.bats' '*.js'
}

main "$@"
