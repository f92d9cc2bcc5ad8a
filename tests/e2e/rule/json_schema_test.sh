#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The JSON Schemas of `cicd-sensorctl rule schema`: every rule file and test file of ours is valid by
# them, and what `rule validate` and `rule test` refuse (or would ignore) is not.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
ctl=${CICD_BUILD_DIR:-$source_root/build}/cicd-sensorctl

need_validator() {
  python3 -W ignore -c 'import jsonschema, yaml' 2>/dev/null ||
    skip "python3-jsonschema or python3-yaml is missing"
}

# schema_check KIND FILE...: prints what the schema says of each document; 1 when it says something.
schema_check() {
  "$ctl" rule schema "$1" >"$scratch/schema.json"
  shift
  python3 - "$scratch/schema.json" "$@" <<'PYTHON'
import json, sys, jsonschema, yaml
schema = json.load(open(sys.argv[1], encoding="utf-8"))
jsonschema.Draft7Validator.check_schema(schema)
validator, wrong = jsonschema.Draft7Validator(schema), 0
for path in sys.argv[2:]:
    for document in yaml.safe_load_all(open(path, encoding="utf-8")):
        for error in validator.iter_errors(document):
            wrong += 1
            print(path, list(error.path), error.message[:200])
sys.exit(1 if wrong else 0)
PYTHON
}

test_our_files_are_valid() {
  need_validator
  expect_code 0 schema_check rules "$source_root"/rules/*.yaml "$source_root"/examples/rules/*.yaml
  expect_code 0 schema_check tests "$source_root"/rules/tests/*.yaml "$source_root"/examples/rules/tests/*.yaml
  printf '# nothing\n---\nrule_sets:\n---\nrule_sets: [{ruleset_id: s, rules: }]\n' >"$scratch/empty.yaml"
  expect_code 0 schema_check rules "$scratch/empty.yaml"
  expect_code 0 "$ctl" rule validate "$scratch/empty.yaml"
}

# Each line is a rule in a set, or after "doc:" a whole document.
test_wrong_rule_files_are_refused() {
  need_validator
  good='rule_id: r, event_type: file_open, condition: is_read, action: detect'
  count=0
  while IFS= read -r line; do
    case $line in
      doc:*) echo "${line#doc:}" >"$scratch/wrong.yaml" ;;
      *) echo "rule_sets: [{ruleset_id: s, rules: [{$line}]}]" >"$scratch/wrong.yaml" ;;
    esac
    expect_code 1 schema_check rules "$scratch/wrong.yaml"
    output=$("$ctl" rule validate "$scratch/wrong.yaml" 2>&1) || true
    expect_no_output "errors: 0, warnings: 0"
    count=$((count + 1))
  done <<EOF2
event_type: file_open, condition: is_read, action: detect
rule_id: 1r, event_type: file_open, condition: is_read, action: detect
rule_id: r, event_type: file_opened, condition: is_read, action: detect
rule_id: r, condition: is_read, action: detect
rule_id: r, event_type: file_open, action: detect
rule_id: r, event_type: file_open, condition: is_read
rule_id: r, event_type: file_open, condition: is_read, action: warn
rule_id: r, event_type: file_open, condition: [is_read], action: detect
$good, max_alerts: 101
$good, max_alerts: -1
$good, max_alerts: many
$good, tags: [a]
$good, tags: {a: [b]}
$good, target: {include: [{}]}
$good, target: {only: []}
$good, type: sequence
$good, exeptions: is_write
doc:rule_sets: {ruleset_id: s}
doc:rule_sets: [{rules: []}]
doc:rule_sets: [{ruleset_id: s, lists: {a: x}}]
doc:{rule_sets: [], rule_modifiers: []}
doc:{rules: []}
doc:[]
doc:rule_modifiers: [{targets: [{ruleset_id: s}], disable: true}]
doc:rule_modifiers: [{modifier_id: m, targets: [{rule_id: r}], disable: true}]
doc:rule_modifiers: [{modifier_id: m, targets: [{ruleset_id: s}], override_max_alerts: 0}]
doc:rule_modifiers: [{modifier_id: m, targets: [{ruleset_id: s}], override_action: warn}]
EOF2
  [ "$count" -ge 25 ] || fail "only $count cases"
}

test_wrong_test_files_are_refused() {
  need_validator
  count=0
  while IFS= read -r line; do
    echo "{rules: baseline, process: {exec_path: /x}, $line}" >"$scratch/wrong.yaml"
    expect_code 1 schema_check tests "$scratch/wrong.yaml"
    expect_code 1 "$ctl" rule test "$scratch/wrong.yaml"
    count=$((count + 1))
  done <<'EOF2'
tests: []
test: [{rule: shadow_file_opened, fires: [{file_open: {path: /etc/shadow, is_read: true}}]}]
tests: [{rule: shadow_file_opened}]
tests: [{rule: shadow_file_opened, fires: [], expect: []}]
tests: [{event: {process_exec: }}]
tests: [{event: {process_exec: }, events: [], expect: []}]
tests: [{event: {process_exec: , mount: }, expect: []}]
tests: [{event: {}, expect: []}]
tests: [{event: {process_exce: }, expect: []}]
tests: [{event: {file_open: {pth: /x}}, expect: []}]
tests: [{event: {file_open: {path: [/x]}}, expect: []}]
tests: [{event: {file_open: {is_read: 1}}, expect: []}]
tests: [{event: {file_open: {flags: "0x1"}}, expect: []}]
tests: [{event: {process_exec: , times: 0}, expect: []}]
tests: [{event: {process_exec: , process: []}, expect: []}]
tests: [{event: {process_exec: , process: {argv: [x]}}, expect: []}]
tests: [{event: {process_exec: , process: {exec_path: /x, argv: x}}, expect: []}]
tests: [{rule: shadow_file_opened, quiet: [{job: []}]}]
EOF2
  [ "$count" -ge 15 ] || fail "only $count cases"
}

run_tests
