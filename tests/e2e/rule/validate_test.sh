#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `cicd-sensorctl rule validate` as people and CI call it: exit codes, both formats, and the example
# of docs/rules.md, which must be valid and give the message the page shows.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
ctl=${CICD_BUILD_DIR:-$source_root/build}/cicd-sensorctl

test_baseline_is_valid() {
  expect_code 0 "$ctl" rule validate "$source_root/rules"
  expect_output "errors: 0, warnings: 0"
}

test_example_of_the_docs() {
  awk '/^```yaml$/ && !done { inside = 1; next } /^```$/ { if (inside) done = 1; inside = 0 } inside' \
    "$source_root/docs/rules.md" >"$scratch/my-rules.yaml"
  expect_code 0 "$ctl" rule validate "$scratch/my-rules.yaml"
  expect_output "rule sets: 1, rules: 1, errors: 0, warnings: 0"
  sed -i 's/path\.startsWith/pth.startsWith/' "$scratch/my-rules.yaml"
  cd "$scratch" || fail "no scratch directory"
  expect_code 1 "$ctl" rule validate my-rules.yaml
  shown=$(grep -m1 '^my-rules.yaml:.*: error: ' "$source_root/docs/rules.md")
  expect_output "$shown"
}

# The second example is a modifier for the baseline: every rule it names must be there.
test_modifier_of_the_docs() {
  awk '/^```$/ { inside = 0 } /^rule_modifiers:$/ { inside = 1 } inside' \
    "$source_root/docs/rules.md" >"$scratch/modifiers.yaml"
  expect_code 0 "$ctl" rule validate "$scratch/modifiers.yaml"
  expect_output "rule sets: 0, rules: 0, modifiers: 1, errors: 0, warnings: 0"
  sed -i 's/rule_id: cloud_/rule_id: sky_/' "$scratch/modifiers.yaml"
  expect_code 0 "$ctl" rule validate "$scratch/modifiers.yaml"
  expect_output "so this target changes nothing"
  expect_code 0 "$ctl" rule validate "$source_root/rules" "$scratch/modifiers.yaml"
  expect_output "modifiers: 1, errors: 0, warnings: 1"
}

test_findings_as_json() {
  printf 'rule_sets: [{rules: []}]\n' >"$scratch/bad.yaml"
  expect_code 1 "$ctl" rule validate --format json "$scratch/bad.yaml"
  expect_equal "$(jq -r '.valid, .diagnostics[0].line, .diagnostics[0].column' <<<"$output" | tr '\n' ' ')" \
    "false 1 13 " "JSON"
  expect_code 0 "$ctl" rule validate -format=json "$source_root/rules"
  expect_equal "$(jq -r '.valid' <<<"$output")" "true" "valid"
}

test_more_than_100_alerts_is_an_error_here() {
  cat >"$scratch/many.yaml" <<'YAML'
rule_sets:
  - ruleset_id: s
    rules:
      - {rule_id: r, event_type: file_open, condition: is_read, action: detect, max_alerts: 101}
YAML
  expect_code 1 "$ctl" rule validate "$scratch/many.yaml"
  expect_output "many.yaml:4:93: error: max_alerts is above 100"
}

test_missing_file_and_wrong_usage() {
  expect_code 1 "$ctl" rule validate "$scratch/none.yaml"
  expect_output "none.yaml: error: cannot open: No such file or directory"
  expect_code 2 "$ctl" rule validate
  expect_code 2 "$ctl" rule validate --format xml x.yaml
  expect_code 2 "$ctl" rule validate --nope x.yaml
  expect_code 2 "$ctl" rule
  expect_code 2 "$ctl" frobnicate
  expect_code 2 "$ctl"
  expect_code 0 "$ctl" rule validate --help
  expect_output "Examples:"
  expect_code 0 "$ctl" --help
}

test_full_disk_is_no_success() {
  [ -e /dev/full ] || skip "/dev/full is missing"
  # shellcheck disable=SC2016  # expanded by the inner shell
  expect_code 1 sh -c '"$1" rule validate "$2" >/dev/full' sh "$ctl" "$source_root/rules"
}

run_tests
