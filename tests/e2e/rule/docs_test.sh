#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `cicd-sensorctl rule docs`: every baseline rule is in it, text of a rule stays inside its cell, and
# the exit codes.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
ctl=${CICD_BUILD_DIR:-$source_root/build}/cicd-sensorctl

test_baseline_has_a_row_for_every_rule() {
  expect_code 0 "$ctl" rule docs
  wanted=$(grep -ch '^ *- rule_id:' "$source_root"/rules/*.yaml | awk '{ sum += $1 } END { print sum }')
  expect_equal "$(grep -c '^| [a-z]' <<<"$output")" "$wanted" "rows"
  expect_output "| cloud\\_metadata\\_access | network\\_connect | detect | "
  expect_code 0 "$ctl" rule docs --format json
  expect_equal "$(jq '.rules | length' <<<"$output")" "$wanted" "rules in JSON"
}

test_text_stays_in_its_cell() {
  cat >"$scratch/odd.yaml" <<'YAML'
rule_sets:
  - ruleset_id: odd
    rules:
      - {rule_id: r, event_type: file_open, condition: is_read, action: collect}
      - rule_id: c
        rule_name: a | b
        description: "line\n<b>two & three"
        type: correlation
        condition: rule.r.total_count > 1
        action: detect
        tags: {area: x}
YAML
  expect_code 0 "$ctl" rule docs "$scratch/odd.yaml"
  expect_output "| c | correlation | detect | a \\| b: line &lt;b>two &amp; three | area: x |"
  expect_code 0 "$ctl" rule docs -format=json "$scratch/odd.yaml"
  expect_equal "$(jq -r '.rules[1] | .type, .description' <<<"$output" | tr '\n' ' ')" \
    "correlation line <b>two & three " "JSON"
}

test_exit_codes() {
  expect_code 1 "$ctl" rule docs "$scratch/none.yaml"
  expect_output "none.yaml: error: cannot open"
  expect_code 2 "$ctl" rule docs --format xml
  expect_code 2 "$ctl" rule docs --nope
  expect_code 0 "$ctl" rule docs --help
  expect_output "Examples:"
}

run_tests
