#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `cicd-sensorctl rule schema`: the page in the repository, the same as JSON, and the exit codes.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
ctl=${CICD_BUILD_DIR:-$source_root/build}/cicd-sensorctl

test_page_is_the_one_in_the_repository() {
  "$ctl" rule schema >"$scratch/events.md"
  expect_code 0 diff "$source_root/docs/reference/events.md" "$scratch/events.md"
}

test_json_has_the_same_types() {
  expect_code 0 "$ctl" rule schema --format json
  expect_equal "$(jq -r '.event_types[].name' <<<"$output")" \
    "$(sed -n 's/^## `\(.*\)`$/\1/p' "$source_root/docs/reference/events.md")" "types"
  expect_equal "$(jq -r '.event_types[] | select(.name == "domain") | .fields[0] |
    "\(.name) \(.log_name) \(.type) \(.in_rules)"' <<<"$output")" "domain name string true" "field"
}

test_exit_codes() {
  expect_code 2 "$ctl" rule schema --format xml
  expect_code 2 "$ctl" rule schema rules/
  expect_code 2 "$ctl" rule schema rules tests
  expect_code 0 "$ctl" rule schema events
  expect_output '## `process_exec`'
  expect_code 0 "$ctl" rule schema --help
  expect_output "Examples:"
}

run_tests
