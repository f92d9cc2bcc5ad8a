#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `cicd-sensorctl rule bundle`: the bundle of the baseline passes the tests of the baseline, the same
# files give the same bytes, and nothing is written when something is wrong.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
ctl=${CICD_BUILD_DIR:-$source_root/build}/cicd-sensorctl

test_bundle_fires_as_the_directory_does() {
  expect_code 0 "$ctl" rule bundle --input-dir "$source_root/rules" --output-file "$scratch/b.yaml"
  expect_output "rules: $(grep -ch '^ *- rule_id:' "$source_root"/rules/*.yaml | awk '{ sum += $1 } END { print sum }'), "
  expect_output "sha256:$(sha256sum <"$scratch/b.yaml" | cut -d' ' -f1)"
  expect_code 0 "$ctl" rule validate "$scratch/b.yaml"
  cp -r "$source_root/rules/tests" "$scratch/tests"
  sed -i 's|^rules: .*|rules: ../b.yaml|' "$scratch"/tests/*.yaml
  expect_code 0 "$ctl" rule test --coverage "$scratch/tests"
  expect_code 0 "$ctl" rule bundle --input-dir "$source_root/rules/" --output-file="$scratch/c.yaml" --format json
  expect_equal "$(jq -r '.files' <<<"$output")" "$(find "$source_root/rules" -maxdepth 1 -name '*.yaml' | wc -l)" "files"
  expect_code 0 cmp "$scratch/b.yaml" "$scratch/c.yaml"
}

test_nothing_is_written_when_rules_are_wrong() {
  mkdir "$scratch/in"
  printf 'rule_sets: [{ruleset_id: s, rules: [{rule_id: r}]}]\n' >"$scratch/in/a.yaml"
  expect_code 1 "$ctl" rule bundle --input-dir "$scratch/in" --output-file "$scratch/out.yaml"
  expect_output "a.yaml:1:"
  expect_output "nothing was written: errors: "
  [ ! -e "$scratch/out.yaml" ] || fail "there is a file"
}

test_a_file_that_is_there_is_left_alone() {
  mkdir "$scratch/in"
  echo 'rule_sets: [{ruleset_id: s, rules: []}]' >"$scratch/in/a.yaml"
  echo old >"$scratch/out.yaml"
  expect_code 1 "$ctl" rule bundle --input-dir "$scratch/in" --output-file "$scratch/out.yaml"
  expect_output "out.yaml is there already"
  expect_equal "$(cat "$scratch/out.yaml")" old "the file"
}

test_too_large_is_told_with_numbers() {
  mkdir "$scratch/in"
  for name in a b; do
    { echo "rule_sets: [{ruleset_id: $name, rules: []}]"; head -c 3000000 /dev/zero | tr '\0' '#'; echo; } \
      >"$scratch/in/$name.yaml"
  done
  expect_code 1 "$ctl" rule bundle --input-dir "$scratch/in" --output-file "$scratch/out.yaml"
  expect_output "the bundle would have 6,000,"
  expect_output "a rule file has at most 4,194,304; the largest: "
  [ ! -e "$scratch/out.yaml" ] || fail "there is a file"
}

test_wrong_usage() {
  mkdir "$scratch/in"
  echo 'rule_sets: [{ruleset_id: s, rules: []}]' >"$scratch/in/a.yaml"
  expect_code 2 "$ctl" rule bundle --input-dir "$scratch/in" --output-file "$scratch/in/b.yaml"
  expect_output "one of its own files the next time"
  cd "$scratch/in" || fail "no directory"
  expect_code 2 "$ctl" rule bundle --input-dir . --output-file b.bundle
  expect_code 0 "$ctl" rule bundle --input-dir . --output-file ../b.bundle
  expect_code 2 "$ctl" rule bundle --input-dir .
  expect_code 2 "$ctl" rule bundle --output-file x
  expect_code 2 "$ctl" rule bundle --input-dir . --output-file x more
  expect_code 1 "$ctl" rule bundle --input-dir none --output-file x
  expect_code 1 "$ctl" rule bundle --input-dir . --output-file /nowhere/x
  expect_code 0 "$ctl" rule bundle --help
}

run_tests
