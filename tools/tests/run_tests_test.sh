#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run-tests: counts what script tests and GoogleTest programs print, fails what dies, hangs or leaves
# something behind, and ends cleanly when interrupted. Runs a copy of itself on a small tree.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../tests/support/script_test.sh"

# tree NAME LINE...: a tree in $scratch whose only script test is NAME_test.sh with these lines.
tree() {
  mkdir -p "$scratch/tree/tools/tests" "$scratch/tmp"
  cp "$source_root"/tools/{run-tests,test_results.py,deps} "$scratch/tree/tools/"
  echo '# none' >"$scratch/tree/packages.txt"
  printf '%s\n' "${@:2}" >"$scratch/tree/tools/tests/$1_test.sh"
}

# runs PID: it is alive (a zombie that init has not reaped yet is not).
runs() {
  local state
  state=$(awk '/^State:/ { print $2 }' "/proc/$1/status" 2>/dev/null) || return 1
  [ -n "$state" ] && [ "$state" != Z ]
}

# run CI CODE: the stage `tools` of the tree; $last is the last line.
run() {
  expect_code "$2" env TMPDIR="$scratch/tmp" CI="$1" TEST_TIMEOUT="${TEST_TIMEOUT:-20}" \
    "$scratch/tree/tools/run-tests" tools
  last=$(tail -n 1 <<<"$output")
  expect_equal "$(ls "$scratch/tmp")" "" "what stays in the temporary directory"
}

test_counts_cases() {
  tree good 'echo PASS one' 'echo noise' 'echo PASS two'
  run true 0
  expect_equal "$last" '2 passed, 0 failed' 'last line'
}

test_failed_case() {
  tree bad 'echo PASS one' 'echo FAIL two: because' 'exit 1'
  run true 1
  expect_equal "$last" '1 passed, 1 failed' 'last line'
  expect_output 'FAILED  tools bad_test.sh two: because'
}

test_bad_exit_without_failed_case() {
  tree dies 'echo PASS one' 'exit 3'
  run true 1
  expect_equal "$last" '1 passed, 1 failed' 'last line'
  expect_output 'exit code 3'
}

test_silent_script_fails() {
  tree silent 'true'
  run true 1
  expect_output 'printed no PASS, FAIL or SKIP line'
}

test_skip_counts_on_a_users_machine() {
  tree skips 'echo PASS one' 'echo "SKIP two: no moon"'
  run false 0
  expect_equal "$last" '1 passed, 0 failed, 1 skipped' 'last line'
  expect_output 'no moon'
}

test_skip_fails_in_ci() {
  tree skips 'echo PASS one' 'echo "SKIP two: no moon"'
  run true 1
  expect_equal "$last" '1 passed, 1 failed' 'last line'
  expect_output 'could not run: no moon'
}

test_optional_skip_is_a_skip_in_ci() {
  tree skips 'echo PASS one' 'echo "SKIP two: optional: no public data"'
  run true 0
  expect_equal "$last" '1 passed, 0 failed, 1 skipped' 'last line'
}

test_nothing_run_is_no_success() {
  tree good 'echo PASS one'
  rm "$scratch/tree/tools/tests/good_test.sh"
  run true 1
  expect_equal "$last" '0 passed, 1 failed' 'last line'
  expect_output '(stage): found nothing to run'
}

test_hanging_program_is_ended() {
  tree hangs 'echo PASS one' 'sleep 100'
  TEST_TIMEOUT=1 run true 1
  expect_output 'took longer than'
  expect_equal "$last" '1 passed, 1 failed' 'last line'
}

test_left_process_fails_and_is_ended() {
  [ "$(id -u)" -eq 0 ] || skip 'needs root: cgroups tell what is left behind'
  tree leaves 'setsid sleep 98.7 &' "echo \$! >$scratch/pid" 'echo PASS one'
  run true 1
  expect_output 'nothing left behind: process'
  ! runs "$(cat "$scratch/pid")" || fail 'the process still runs'
}

test_missing_package_is_named() {
  tree good 'echo PASS one'
  echo 'lint no-such-package-1' >"$scratch/tree/packages.txt"
  run false 1
  expect_equal "$last" '0 passed, 0 failed, 1 skipped' 'last line'
  expect_output 'no-such-package-1'
  run true 1
  expect_equal "$last" '0 passed, 1 failed' 'last line'
}

test_interrupt_ends_everything() {
  tree waits "echo \$\$ >$scratch/pid" 'echo PASS one' 'sleep 97.3'
  env TMPDIR="$scratch/tmp" "$scratch/tree/tools/run-tests" tools >"$scratch/output" 2>&1 &
  local runner=$! code=0
  for _ in $(seq 100); do
    [ -s "$scratch/pid" ] && break
    sleep 0.05
  done
  kill -TERM "$runner"
  wait "$runner" || code=$?
  expect_equal "$code" 1 'exit code'
  expect_equal "$(tail -n 1 "$scratch/output")" '0 passed, 1 failed' 'last line'
  expect_equal "$(ls "$scratch/tmp")" "" "what stays in the temporary directory"
  ! runs "$(cat "$scratch/pid")" || fail 'the test still runs'
}

test_unknown_stage() {
  tree good 'echo PASS one'
  expect_code 2 "$scratch/tree/tools/run-tests" toolz
  expect_output "unknown stage 'toolz'"
}

# googletest SOURCE...: a program in the tree's build/unit, and a cmake that builds nothing.
googletest() {
  tree none 'true'
  mkdir -p "$scratch/tree/build/unit" "$scratch/bin"
  printf '#!/bin/sh\nexit 0\n' >"$scratch/bin/cmake"
  chmod +x "$scratch/bin/cmake"
  printf '%s\n' '#include <gtest/gtest.h>' '#include <cstdlib>' "$@" >"$scratch/a.cpp"
  g++ -o "$scratch/tree/build/unit/a_test" "$scratch/a.cpp" -lgtest -lgtest_main
  output=$(PATH=$scratch/bin:$PATH CI=false "$scratch/tree/tools/run-tests" unit 2>&1) || true
  last=$(tail -n 1 <<<"$output")
}

test_googletest_is_counted() {
  googletest 'TEST(A, Good) {}' 'TEST(A, Bad) { EXPECT_EQ(1, 2); }' \
    'TEST(A, Skipped) { GTEST_SKIP() << "no moon"; }' 'TEST(A, DISABLED_X) {}'
  expect_equal "$last" '1 passed, 1 failed, 1 skipped' 'last line'
  expect_output 'a_test A.Bad: '
  expect_output 'A.Skipped: no moon'
}

test_dead_googletest_is_counted() {
  googletest 'TEST(A, Good) {}' 'TEST(A, Dies) { abort(); }' 'TEST(A, Never) {}'
  expect_equal "$last" '1 passed, 1 failed' 'last line'
  expect_output 'a_test A.Dies: killed by signal 6 (SIGABRT); cases after it did not run'
}

# The test of a whole job waits for what a later stage has built.
test_builds_of_later_stages_begin_while_whole_jobs_run() {
  tree none 'true'
  mkdir -p "$scratch/tree/tests/e2e" "$scratch/bin"
  printf '#!/bin/sh\ncase "$*" in *"--build --preset asan"*) touch "%s" ;; esac\n' \
    "$scratch/begun" >"$scratch/bin/cmake"
  chmod +x "$scratch/bin/cmake"
  printf '%s\n' "for i in \$(seq 100); do" "  [ ! -e $scratch/begun ] || exec echo PASS begun" \
    '  sleep 0.1' 'done' 'echo FAIL begun: never' >"$scratch/tree/tests/e2e/waits_test.sh"
  output=$(PATH=$scratch/bin:$PATH "$scratch/tree/tools/run-tests" e2e asan 2>&1) || true
  expect_no_output 'FAILED  e2e'
  expect_output 'builds that began earlier'
}

run_tests
