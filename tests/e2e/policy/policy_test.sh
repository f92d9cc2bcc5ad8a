#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `cicd-sensorctl policy validate` and `policy explain` as people and CI call them: exit codes, both
# formats; docs/policy.md shows what they print, and its examples are the files of examples/policies/.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
build=${CICD_BUILD_DIR:-$source_root/build}
ctl=$build/cicd-sensorctl
page=$source_root/docs/policy.md
examples=$source_root/examples/policies

test_policies_of_the_tree_are_valid() {
  expect_code 0 "$ctl" policy validate "$examples"/*.yaml "$source_root"/policies/*.yaml
  expect_output "errors: 0, warnings: 0"
  count=$(find "$examples" "$source_root/policies" -name '*.yaml' | wc -l)
  expect_output "policies: $count, "
}

test_commands_print_what_the_page_shows() {
  cp -r "$examples" "$scratch/work"
  cd "$scratch/work" || fail "no scratch directory"
  PATH=$build:$PATH
  expect_code 0 "$source_root/tests/support/run_console.py" "$page"
}

# Every YAML block of the page stands in a file of the examples, line by line, and every base policy
# in its table.
test_blocks_are_parts_of_the_files() {
  cat "$examples"/*.yaml >"$scratch/files"
  expect_code 0 python3 - "$page" "$scratch/files" <<'PYTHON'
import re, sys
page, files = (open(path, encoding="utf-8").read() for path in sys.argv[1:])
blocks = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
print(len(blocks), [block for block in blocks if block not in files])
sys.exit(len(blocks) < 5 or any(block not in files for block in blocks))
PYTHON
  for base in "$source_root"/policies/*.yaml; do
    grep -q "^| \`builtin:$(basename "$base" .yaml)\` |" "$page" || fail "$base is not in the table"
  done
}

put_policy() {
  cd "$scratch" || fail "no scratch directory"
  cat >policy.yaml <<'YAML'
version: 1
egress:
  allow:
    - {host: "*.example.org", ports: [443], rule_id: wide}
    - {cidr: 10.0.0.0/8, proto: icmp, rule_id: ping}
  deny:
    - {host: evil.example.org}
YAML
}

test_findings_as_json() {
  put_policy
  expect_code 0 "$ctl" policy validate --format json policy.yaml
  expect_equal "$(jq -c '[.valid, .policies, .rules, .errors]' <<<"$output")" "[true,1,3,0]" "valid"
  printf 'version: 1\nextends: none.yaml\nmetadata: maybe\n' >bad.yaml
  expect_code 1 "$ctl" policy validate -format=json bad.yaml policy.yaml
  expect_equal "$(jq -c '.valid, (.diagnostics[] | [.line, .column])' <<<"$output" | tr '\n' ' ')" \
    "false [3,11] [2,10] " "JSON"
  expect_output 'base \"none.yaml\": cannot open: No such file or directory'
}

test_what_the_kernel_cannot_take_is_an_error() {
  {
    printf 'version: 1\negress:\n  allow:\n'
    for port in $(seq 1 2 33); do echo "    - {host: a.example, ports: [$port]}"; done
  } >"$scratch/many.yaml"
  expect_code 1 "$ctl" policy validate "$scratch/many.yaml"
  expect_output "many.yaml: error: more than 16 rules and ranges of ports meet at a.example; the one of"
}

explained() {
  expect_code 0 "$ctl" policy explain --policy policy.yaml --format json "$@"
  jq -r '[.allowed, .policies[0].reason, .policies[0].rule.rule_id] | join(" ")' <<<"$output"
}

test_explanations() {
  put_policy
  expect_equal "$(explained a.example.org:443)" "true none wide" "allowed"
  expect_equal "$(explained a.example.org:80)" "false port_not_allowed " "port"
  expect_equal "$(explained evil.example.org:443)" "false denied_by_rule deny[0]" "denied"
  expect_equal "$(explained example.org:443)" "false domain_not_in_allowlist " "the domain itself"
  expect_equal "$(explained --proto icmp 10.0.0.1)" "true none ping" "icmp"
  expect_equal "$(explained --proto=udp '[2001:db8::1]:53')" "false direct_ip " "IPv6"
  expect_equal "$(explained --ip 169.254.169.254 a.example.org:443)" "false metadata " "rebound"
  expect_code 0 "$ctl" policy explain --policy policy.yaml a.example.org
  expect_output "rule wide (policy.yaml:4) allows it"
  expect_no_output "$(printf '\033')"
}

test_colours_on_a_terminal_only() {
  put_policy
  command -v script >/dev/null || skip "script (util-linux) is missing"
  expect_code 0 script -qec "'$ctl' policy explain --policy policy.yaml a.example.org:443" /dev/null
  expect_output "$(printf '\033[32mallowed')"
  NO_COLOR=1 expect_code 0 script -qec "'$ctl' policy explain --policy policy.yaml a.example.org:443" /dev/null
  expect_no_output "$(printf '\033')"
}

test_wrong_usage() {
  put_policy
  expect_code 2 "$ctl" policy
  expect_output "policy needs a command: validate, explain"
  expect_code 2 "$ctl" policy learn-not
  expect_code 2 "$ctl" policy validate
  expect_code 2 "$ctl" policy explain --policy policy.yaml
  expect_code 2 "$ctl" policy explain a.example.org:443
  expect_code 2 "$ctl" policy explain --policy policy.yaml a.example.org:0
  expect_code 2 "$ctl" policy explain --policy policy.yaml 10.0.0.1
  expect_code 2 "$ctl" policy explain --policy policy.yaml --proto sctp a.example.org:1
  expect_code 2 "$ctl" policy explain --policy policy.yaml --ip a.example.org a.example.org:1
  expect_code 1 "$ctl" policy explain --policy none.yaml a.example.org:443
  expect_output "none.yaml: error: cannot open"
  expect_code 0 "$ctl" policy validate --help
  expect_output "Examples:"
  expect_code 0 "$ctl" policy explain --help
  expect_output "Exit codes:"
  expect_code 0 "$ctl" --help
  expect_output "policy explain DEST"
}

test_full_disk_is_no_success() {
  [ -e /dev/full ] || skip "/dev/full is missing"
  # shellcheck disable=SC2016  # expanded by the inner shell
  expect_code 1 sh -c '"$1" policy validate "$2" >/dev/full' sh "$ctl" "$examples/first.yaml"
}

run_tests
