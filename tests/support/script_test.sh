# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For script tests: source it, write functions named test_*, and end with `run_tests`. Each function
# runs in a subshell with an empty scratch directory as $scratch and fails by `fail TEXT` or by a
# check below. Prints the lines that tools/run-tests counts: PASS, FAIL and SKIP.

source_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export source_root

fail() {
  echo "$*" >"$scratch_all/reason"
  exit 1
}

# skip REASON: it cannot run here; names what is missing.
skip() {
  echo "$*" >"$scratch_all/reason"
  exit 77
}

# expect_code CODE COMMAND...: runs it, keeps its output in $output, compares its exit code.
expect_code() {
  local expected=$1 code=0
  shift
  output=$("$@" 2>&1) || code=$?
  [ "$code" -eq "$expected" ] || fail "exit code $code instead of $expected from: $* -- $output"
}

# expect_output TEXT: the last expect_code's output contains TEXT.
expect_output() {
  case $output in *"$1"*) ;; *) fail "no '$1' in: $output" ;; esac
}

expect_no_output() {
  case $output in *"$1"*) fail "'$1' in: $output" ;; esac
}

# expect_equal ACTUAL EXPECTED WHAT
expect_equal() {
  [ "$1" = "$2" ] || fail "$3 is '$1' instead of '$2'"
}

run_tests() {
  scratch_all=$(mktemp -d) || exit 1
  trap 'rm -rf "$scratch_all"' EXIT
  local name failed=0 code
  for name in $(declare -F | awk '$3 ~ /^test_/ { print $3 }'); do
    scratch=$scratch_all/$name
    mkdir "$scratch"
    : >"$scratch_all/reason"
    (
      set -e
      "$name"
    ) </dev/null
    code=$?
    case $code in
      0) echo "PASS ${name#test_}" ;;
      77) echo "SKIP ${name#test_}: $(cat "$scratch_all/reason")" ;;
      *)
        echo "FAIL ${name#test_}: $(tr '\n' ' ' <"$scratch_all/reason") (exit code $code)"
        failed=1
        ;;
    esac
  done
  exit "$failed"
}
