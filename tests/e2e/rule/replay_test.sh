#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `cicd-sensorctl rule replay` over logs as files, as the folder of a run and as standard input: what
# fired, what is said about bad rows and about what a row does not hold, and the exit codes.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
ctl=${CICD_BUILD_DIR:-$source_root/build}/cicd-sensorctl

# row PATH [ARGUMENT]: a row of /usr/bin/cat, below bash, that reads PATH.
row() {
  printf '{"timestamp":"2026-11-20T09:30:00.500Z","log_type":"cicd_sensor.runtime_event",'
  printf '"schema_version":"v1","job":{"project_path":"team/app","job_key":"1"},"event":{'
  printf '"id":"x","type":"file_open","process":{"pid":7,"exec_path":"/usr/bin/cat","argv":["cat"'
  printf ',"%s"],"ancestors":[{"exec_path":"/usr/bin/bash","argv":["bash"]}],"uid":0},' "${2:-x}"
  printf '"file_open":{"path":"%s","is_read":true}}}\n' "$1"
}

put_files() {
  cd "$scratch" || fail "no scratch directory"
  cat >my-rules.yaml <<'YAML'
rule_sets:
  - ruleset_id: my_rules
    rules:
      - {rule_id: deploy, event_type: file_open, action: detect, max_alerts: 1,
         condition: path.startsWith("/srv/deploy/")}
      - {rule_id: many, type: correlation, action: detect,
         condition: rule.deploy.total_count > 1}
      - {rule_id: by_argument, event_type: file_open, action: collect,
         condition: 'process.argv.exists(a, a == "--all")'}
YAML
  mkdir run
  { row /srv/deploy/a; row /etc/passwd; row /srv/deploy/b; } >run/events.jsonl
}

test_what_fired() {
  put_files
  expect_code 0 "$ctl" rule replay --rules my-rules.yaml run
  expect_equal "$output" "detect my_rules/deploy: 2 hits, 1 alert (max_alerts is 1)
  2026-11-20T09:30:00.500Z  bash -> cat  file_open /srv/deploy/a
detect my_rules/many: 1 hit, 1 alert
  2026-11-20T09:30:00.500Z  bash -> cat  file_open /srv/deploy/b
rules: 3, fired: 2, jobs: 1, events: 3, other rows: 0, bad rows: 0" "output"
  expect_code 0 "$ctl" rule replay --rules my-rules.yaml --hits 0 run/events.jsonl
  expect_no_output "2026-11-20"
  expect_code 0 sh -c "'$ctl' rule replay --rules my-rules.yaml --format json - <run/events.jsonl"
  expect_equal "$(jq -c '.complete, .events, (.rules[] | [.rule_id, .hits, .alerts])' <<<"$output" |
    tr '\n' ' ')" 'true 3 ["deploy",2,1] ["by_argument",0,0] ["many",1,1] ' "JSON"
}

test_baseline_is_the_standard() {
  put_files
  row /etc/shadow >run/events.jsonl
  expect_code 0 "$ctl" rule replay run
  expect_output "detect cicd_sensor_baseline/credential_access/shadow_file_opened: 1 hit, 1 alert"
  expect_code 0 "$ctl" rule replay --rules my-rules.yaml --rules baseline run
  expect_output "/shadow_file_opened: 1 hit"
}

test_shortened_arguments_are_told() {
  put_files
  expect_code 0 "$ctl" rule replay --rules my-rules.yaml run
  expect_no_output "note:"
  row /x '<redacted>' >run/events.jsonl
  row /x '/usr/lib/nod<truncated, 39 bytes>' >>run/events.jsonl
  row /x >>run/events.jsonl
  expect_code 0 "$ctl" rule replay --rules my-rules.yaml run
  expect_output "note: 2 of 3 events have arguments that the log holds only in part; 1 rules look"
}

test_bad_rows_are_named_and_counted() {
  put_files
  { row /srv/deploy/a; echo '{"log_type":"cicd_sensor.summary"}'; echo oops; echo; row /a | cut -c1-90; } \
    >run/events.jsonl
  expect_code 1 "$ctl" rule replay --rules my-rules.yaml run
  expect_output "run/events.jsonl:3: this is not JSON (at byte 1)"
  expect_output "run/events.jsonl:5: this is not JSON (at byte 91)"
  expect_output "jobs: 1, events: 1, other rows: 1, bad rows: 2"
  expect_output "detect my_rules/deploy: 1 hit"
}

test_wrong_rules_logs_and_usage() {
  put_files
  expect_code 1 "$ctl" rule replay --rules my-rules.yaml none.jsonl run
  expect_output "rule replay: cannot open none.jsonl: No such file"
  expect_output "my_rules/deploy: 2 hits"  # the others are read all the same
  mkdir empty
  expect_code 1 "$ctl" rule replay --rules my-rules.yaml empty
  expect_output "cannot open empty/events.jsonl"
  sed -i 's/startsWith/startWith/' my-rules.yaml
  expect_code 1 "$ctl" rule replay --rules my-rules.yaml run
  expect_output "my-rules.yaml:5:"
  expect_no_output "events:"
  expect_code 2 "$ctl" rule replay
  expect_code 2 "$ctl" rule replay run --rules
  expect_code 2 "$ctl" rule replay --hits x run
  expect_code 2 "$ctl" rule replay --hits 1001 run
  expect_code 0 "$ctl" rule replay --help
  expect_output "Exit codes:"
}

# What the sensor itself wrote of a job: a rule that does not look at arguments fires again for the
# same events.
test_a_real_run_gives_the_same_hits() {
  sensor=${ctl%ctl}
  [ "$(id -u)" -eq 0 ] || skip "root"
  [ -x "$sensor" ] || skip "$sensor is not built"
  cd "$scratch" || fail "no scratch directory"
  echo secret >key
  cat >my-rules.yaml <<YAML
rule_sets:
  - ruleset_id: my_rules
    rules:
      - {rule_id: key, event_type: file_open, action: detect, condition: 'path == "$scratch/key"'}
      - {rule_id: shell_key, event_type: file_open, action: detect,
         condition: 'path == "$scratch/key" && process.ancestors.exists(p, p.exec_path.endsWith("sh"))'}
      - {rule_id: cat, event_type: process_exec, action: collect,
         condition: process.exec_path.endsWith("/cat")}
      - {rule_id: both, type: correlation, action: detect,
         condition: rule.key.total_count > 1 && rule.cat.total_count > 0}
YAML
  expect_code 0 "$sensor" run --quiet --rules my-rules.yaml --output out -- \
    sh -c 'cat key key >/dev/null; exec cat key >/dev/null'
  wanted=$(jq -c '[.detections[] | select(.ruleset_id == "my_rules") | [.rule_id, .count]] | sort' out/summary.json)
  expect_equal "$(jq 'length' <<<"$wanted")" 4 "rules that fired in the run ($wanted)"
  expect_code 0 "$ctl" rule replay --rules my-rules.yaml --format json out
  expect_equal "$(jq -c '[.rules[] | select(.hits > 0) | [.rule_id, .hits]] | sort' <<<"$output")" \
    "$wanted" "hits"
  expect_equal "$(jq -r '.bad_rows' <<<"$output")" 0 "bad rows"
}

# A log of any length takes the same memory: 200,000 rows pass below a limit of 128 MiB.
test_memory_does_not_grow() {
  put_files
  # shellcheck disable=SC2016  # expanded by the inner shell
  expect_code 0 sh -c 'ulimit -v 131072; awk "{ row[NR] = \$0 } END { for (i = 0; i < 200000; ++i) print row[i % 3 + 1] }" run/events.jsonl |
    "$1" rule replay --rules my-rules.yaml -' sh "$ctl"
  expect_output "events: 200,000"
}

run_tests
