#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `cicd-sensorctl rule explain`: the verdict with its parts for events of tests and of logs, what it
# says about names that are not clear, and the exit codes.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
ctl=${CICD_BUILD_DIR:-$source_root/build}/cicd-sensorctl

put_files() {
  cd "$scratch" || fail "no scratch directory"
  cat >my-rules.yaml <<'YAML'
rule_sets:
  - ruleset_id: mine
    rules:
      - rule_id: deploy
        event_type: file_open
        condition: |
          is_read &&
          path.startsWith("/srv/deploy/")
        exceptions: process.exec_path.endsWith("/deploy-tool")
        action: detect
      - {rule_id: many, type: correlation, action: detect, condition: rule.deploy.total_count > 1}
  - ruleset_id: theirs
    rules:
      - {rule_id: deploy, event_type: file_open, condition: is_write, action: detect}
YAML
  cat >tests.yaml <<'YAML'
rules: my-rules.yaml
process: {exec_path: /usr/bin/cat, argv: [cat]}
tests:
  - rule: mine/deploy
    fires:
      - file_open: {path: /srv/deploy/key, is_read: true}
    quiet:
      - file_open: {path: /srv/deploy/key, is_read: true}
        process: {exec_path: /opt/deploy-tool, argv: [deploy-tool]}
  - rule: many
    fires:
      - job:
          - {file_open: {path: /srv/deploy/key, is_read: true}, times: 2}
YAML
}

test_event_of_a_test() {
  put_files
  expect_code 0 "$ctl" rule explain mine/deploy --event tests.yaml:6
  expect_equal "$output" 'rule:    mine/deploy
event:   file_open path=/srv/deploy/key is_read=true by /usr/bin/cat
chain:   cat
verdict: fires

condition (my-rules.yaml:7): true
  true     is_read && path.startsWith("/srv/deploy/")
  true       is_read
  true       path.startsWith("/srv/deploy/")
               [path is "/srv/deploy/key"]

exceptions (my-rules.yaml:9): false
  false    process.exec_path.endsWith("/deploy-tool")
             [process.exec_path is "/usr/bin/cat"]' "output"
  expect_code 0 "$ctl" rule explain mine/deploy --event tests.yaml:8
  expect_output "verdict: does not fire"
  expect_output "exceptions (my-rules.yaml:9): true"
  expect_code 0 "$ctl" rule explain mine/deploy --format json --event tests.yaml:8
  expect_equal "$(jq -r '.fires, .conditions[1].parts[0].verdict' <<<"$output" | tr '\n' ' ')" \
    "false true " "JSON"
}

test_correlation_of_a_job() {
  put_files
  expect_code 0 "$ctl" rule explain many --event tests.yaml:12
  expect_output "verdict: fires at event 2"
  expect_output "  2  rule.deploy.total_count"
  expect_code 0 "$ctl" rule explain many --event tests.yaml:6 --format json
  expect_equal "$(jq -c '[.fires, .counts.deploy]' <<<"$output")" "[false,1]" "JSON"
}

test_event_of_a_log() {
  put_files
  printf '%s' '{"timestamp":"2026-11-20T09:30:00Z","log_type":"cicd_sensor.runtime_event",' \
    '"schema_version":"v1","event":{"type":"file_open","process":{"exec_path":"/bin/cat",' \
    '"argv":["cat","<redacted>"]},"file_open":{"path":"/etc/shadow","is_read":true}}}' >row.json
  expect_code 0 "$ctl" rule explain shadow_file_opened --event row.json
  expect_output "rule:    cicd_sensor_baseline/credential_access/shadow_file_opened"
  expect_output "verdict: fires"
  expect_output "note:    the log holds some arguments of this event only in part"
  expect_code 0 sh -c "'$ctl' rule explain mine/deploy --rules my-rules.yaml --event - <row.json"
  expect_output "verdict: does not fire"
}

test_modifiers_count() {
  put_files
  cat >modifiers.yaml <<'YAML'
rule_modifiers:
  - {modifier_id: m, targets: [{ruleset_id: mine, rule_id: deploy}], add_exceptions: 'path.endsWith("key")'}
YAML
  expect_code 0 "$ctl" rule explain mine/deploy --event tests.yaml:6 --rules my-rules.yaml \
    --rules modifiers.yaml
  expect_output "verdict: does not fire"
  expect_output "exceptions added by a modifier (modifiers.yaml:2): true"
}

test_names_must_be_clear() {
  put_files
  expect_code 1 "$ctl" rule explain deploy --event tests.yaml:6
  expect_output '"deploy" names more than one rule: mine/deploy and theirs/deploy; write the whole name'
  expect_code 1 "$ctl" rule explain mine/deplo --event tests.yaml:6
  expect_output "did you mean mine/deploy?"
  expect_code 1 "$ctl" rule explain many --event tests.yaml
  expect_output "name one by its line: FILE:LINE"
}

test_wrong_usage() {
  put_files
  expect_code 2 "$ctl" rule explain
  expect_code 2 "$ctl" rule explain many
  expect_code 2 "$ctl" rule explain many deploy --event tests.yaml:6
  expect_code 2 "$ctl" rule explain many --event tests.yaml:6 --event tests.yaml:8
  expect_code 1 "$ctl" rule explain many --event none.json
  expect_output "cannot open"
  expect_code 0 "$ctl" rule explain --help
  expect_output "Exit codes:"
}

run_tests
