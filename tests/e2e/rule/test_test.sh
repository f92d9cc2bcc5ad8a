#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `cicd-sensorctl rule test` as people and CI call it: exit codes, both formats, what a failure says.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
ctl=${CICD_BUILD_DIR:-$source_root/build}/cicd-sensorctl

put_files() {
  cat >"$scratch/my-rules.yaml" <<'YAML'
rule_sets:
  - ruleset_id: my_rules
    rules:
      - {rule_id: reads, event_type: file_open, condition: is_read, action: detect}
      - {rule_id: writes, event_type: file_open, condition: is_write, action: detect}
YAML
  cat >"$scratch/test.yaml" <<'YAML'
rules: my-rules.yaml
process: {exec_path: /usr/bin/cat, argv: [cat]}
tests:
  - rule: reads
    fires:
      - file_open: {path: /a, is_read: true}
    quiet:
      - file_open: {path: /a, is_write: true}
YAML
  cd "$scratch" || fail "no scratch directory"
}

test_passing_tests() {
  put_files
  expect_code 0 "$ctl" rule test test.yaml
  expect_output "files: 1, tests: 1, cases: 2, failed: 0, errors: 0"
  expect_output "rules: 2, without a firing or a quiet case: 1 (--coverage lists them)"
  expect_code 0 "$ctl" rule test --format json test.yaml
  expect_equal "$(jq -r '.passed, .cases, .lacking[0].rule_id' <<<"$output" | tr '\n' ' ')" \
    "true 2 writes " "JSON"
}

test_baseline_passes() {
  expect_code 0 "$ctl" rule test --coverage "$source_root/rules/tests"
  expect_output "failed: 0, errors: 0"
}

test_coverage_is_a_condition() {
  put_files
  expect_code 1 "$ctl" rule test --coverage test.yaml
  expect_output "my-rules.yaml:5:19: my_rules/writes has no test"
  printf '  - {event: {file_open: {is_write: true}}, expect: [writes]}\n' >>test.yaml
  expect_code 1 "$ctl" rule test --coverage test.yaml
  expect_output "my-rules.yaml:5:19: my_rules/writes has no quiet case"
  printf '  - {rule: writes, quiet: [{file_open: {is_read: true}}]}\n' >>test.yaml
  expect_code 0 "$ctl" rule test --coverage test.yaml
}

test_a_failure_says_what_and_how_to_go_on() {
  put_files
  sed -i 's/is_write: true/is_read: true/' test.yaml
  expect_code 1 "$ctl" rule test test.yaml
  expect_output "FAIL test.yaml:8:9: reads
  event:    file_open path=/a is_read=true by /usr/bin/cat
  expected: reads is quiet
  fired:    reads
  look:     cicd-sensorctl rule explain 'reads' --event 'test.yaml:8'"
  expect_code 1 "$ctl" rule test --format=json test.yaml
  expect_equal "$(jq -c '.failures[0] | [.line, .wants, .fired, .surplus]' <<<"$output")" \
    '[8,"quiet",["reads"],["reads"]]' "JSON"
}

test_wrong_files_and_usage() {
  put_files
  sed -i 's/path: /pth: /' test.yaml
  expect_code 1 "$ctl" rule test test.yaml
  expect_output 'test.yaml:6:21: error: unknown field "pth"'
  expect_code 1 "$ctl" rule test none.yaml
  expect_output "none.yaml: error: cannot open"
  expect_code 2 "$ctl" rule test
  expect_code 2 "$ctl" rule test --nope test.yaml
  expect_code 2 "$ctl" rule test --format xml test.yaml
  expect_code 0 "$ctl" rule test --help
  expect_output "Exit codes:"
}

# The test file that --help shows must be one, together with the rule it is about.
test_example_of_the_help() {
  cd "$scratch" || fail "no scratch directory"
  "$ctl" rule test --help | awk '/^A test file:/ { inside = 1; next } /^$/ { inside = 0 } inside' |
    sed 's/^  //' >test.yaml
  awk '/^```yaml$/ && !done { inside = 1; next } /^```$/ { if (inside) done = 1; inside = 0 } inside' \
    "$source_root/docs/rules.md" >my-rules.yaml
  expect_code 0 "$ctl" rule test --coverage test.yaml
  expect_output "cases: 2, failed: 0"
}

test_full_disk_is_no_success() {
  [ -e /dev/full ] || skip "/dev/full is missing"
  put_files
  # shellcheck disable=SC2016  # expanded by the inner shell
  expect_code 1 sh -c '"$1" rule test test.yaml >/dev/full' sh "$ctl"
}

run_tests
