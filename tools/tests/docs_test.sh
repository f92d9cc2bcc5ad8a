#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The documents hold together: links lead somewhere, and what troubleshooting.md explains is what
# the programs say.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../tests/support/script_test.sh"

# Headings of a document as the anchors that links use.
anchors_of() {
  grep -E '^#+ ' "$1" | sed -E 's/^#+ //' | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9 _\n-' | tr ' ' '-'
}

# broken_links FILE: its links to files of the repository that are not there.
broken_links() {
  local target path anchor
  grep -oE '\]\([^)#]*(#[^)]*)?\)' "$1" | sed -E 's/^\]\(|\)$//g' | grep -vE '^[a-z]+:' |
    while read -r target; do
      path=${target%%#*}
      anchor=${target#"$path"}
      path=${path:+$(dirname "$1")/$path}
      if [ ! -e "${path:-$1}" ]; then
        echo "$1: $target"
      elif [ -n "$anchor" ] && ! anchors_of "${path:-$1}" | grep -qxF "${anchor#\#}"; then
        echo "$1: $target (no such heading)"
      fi
    done
}

test_links_lead_somewhere() {
  local file broken=""
  while read -r file; do
    broken+=$(broken_links "$source_root/$file")
  done < <(cd "$source_root" && git ls-files '*.md')
  expect_equal "$broken" "" "broken links"
}

test_a_broken_link_is_found() {
  printf '%s\n' '# One' '[a](#one) [b](b.md)' '[c](#two)' >"$scratch/a.md"
  expect_equal "$(broken_links "$scratch/a.md")" "$scratch/a.md: b.md
$scratch/a.md: #two (no such heading)" "broken links"
}

# unsaid FILE: messages of its headings that no program has.
unsaid() {
  local message
  sed -nE 's/^### `([^`]+)`.*/\1/p' "$1" | while read -r message; do
    grep -rqF --include=*.cpp --exclude=*_test.cpp -- "$message" "$source_root/src" "$source_root/apps" ||
      echo "$message"
  done
}

test_troubleshooting_explains_what_the_programs_say() {
  local page=$source_root/docs/guides/troubleshooting.md
  expect_equal "$(unsaid "$page")" "" "messages that no program has"
  [ "$(grep -cE '^### `' "$page")" -ge 15 ] || fail "the page explains too little"
}

test_a_message_that_nobody_says_is_found() {
  # shellcheck disable=SC2016
  printf '%s\n' '### `the sensor has a bad day`' >"$scratch/a.md"
  expect_equal "$(unsaid "$scratch/a.md")" "the sensor has a bad day" "messages that no program has"
}

run_tests
