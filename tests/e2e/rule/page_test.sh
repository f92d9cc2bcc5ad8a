#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/rules.md: its commands do what it shows, its examples are the files of examples/rules/, and
# those are valid and tested.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../support/script_test.sh"
build=${CICD_BUILD_DIR:-$source_root/build}
ctl=$build/cicd-sensorctl
page=$source_root/docs/rules.md
examples=$source_root/examples/rules

test_commands_print_what_the_page_shows() {
  cp -r "$examples" "$scratch/work"
  cd "$scratch/work" || fail "no scratch directory"
  PATH=$build:$PATH
  expect_code 0 "$source_root/tests/support/run_console.py" "$page"
}

test_examples_are_valid_and_tested() {
  expect_code 0 "$ctl" rule validate "$examples"
  expect_output "errors: 0, warnings: 0"
  expect_code 0 "$ctl" rule test "$examples/tests"
  for rules in "$examples"/*.yaml; do
    name=$(basename "$rules" .yaml)
    grep -q "(../examples/rules/$name.yaml)" "$page" || fail "$name is not in the cookbook"
    # All rules but those of the baseline have a firing and a quiet case.
    expect_code 0 sh -c "'$ctl' rule test --format json '$examples'/tests/$name*.yaml"
    [ "$name" = tune-baseline ] || expect_equal "$(jq -c '.lacking' <<<"$output")" "[]" "$name"
  done
}

# Every YAML block of the tutorial and the cookbook stands in a file, line by line.
test_blocks_are_parts_of_the_files() {
  cat "$examples"/*.yaml "$examples"/tests/*.yaml >"$scratch/files"
  expect_code 0 python3 - "$page" "$scratch/files" <<'PYTHON'
import re, sys
page, files = (open(path, encoding="utf-8").read() for path in sys.argv[1:])
tutorial = page[:page.index("## Looking at who did it")]
blocks = [block for part in (tutorial, page[page.index("## Cookbook"):])
          for block in re.findall(r"^```yaml\n(.*?)^```$", part, re.M | re.S)]
print(len(blocks), [block for block in blocks if block not in files])
sys.exit(len(blocks) < 8 or any(block not in files for block in blocks))
PYTHON
}

run_tests
