#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check-style: a good tree passes, each rule fails on a file that breaks just that rule.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../tests/support/script_test.sh"

spdx='// SPDX-License-Identifier: Apache-2.0'

put() {
  mkdir -p "$(dirname "$scratch/$1")"
  printf '%s\n' "${@:2}" >"$scratch/$1"
}

check() { expect_code "$1" env CI=true "$source_root/tools/check-style" "$scratch"; }

expect_mistake() {
  check 1
  expect_output "$1"
  expect_equal "$(wc -l <<<"$output")" 1 "number of mistakes"
}

# lines COUNT: that many lines of harmless code.
lines() { seq "$1" | sed 's/.*/int x_&;/'; }

test_good_tree_passes() {
  put src/base/a.h "$spdx" '// What it is for.' '#pragma once'
  put src/base/README.md '# base'
  put bpf/a.c '// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause'
  put tools/x '#!/bin/sh' '# SPDX-License-Identifier: Apache-2.0'
  put Makefile '# SPDX-License-Identifier: Apache-2.0' $'all:\n\ttrue'
  check 0
  expect_equal "$output" "" "output"
}

test_no_licence() {
  put apps/a.cpp 'int x;'
  expect_mistake "apps/a.cpp:1: no 'SPDX-License-Identifier: Apache-2.0'"
}

test_wrong_licence_in_bpf() {
  put bpf/a.c "$spdx"
  expect_mistake "bpf/a.c:1: no 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause'"
}

test_script_without_licence() {
  put tools/x '#!/bin/sh'
  expect_mistake "tools/x:1: no 'SPDX-License-Identifier"
}

test_blanks_at_line_end() {
  put docs/a.md 'good' 'bad '
  expect_mistake 'docs/a.md:2: blanks at the end of the line'
}

test_tab() {
  put apps/a.cpp "$spdx" $'\tint x;'
  expect_mistake 'apps/a.cpp:2: a tab'
}

test_crlf() {
  printf 'a\r\nb\n' >"$scratch/a.md"
  expect_mistake 'a.md:1: CRLF'
}

test_no_newline_at_end() {
  printf 'a\nb' >"$scratch/a.md"
  expect_mistake 'a.md:2: no newline at the end'
}

test_long_file_is_a_warning() {
  put apps/a.cpp "$spdx" "$(lines 600)"
  check 0
  expect_output 'apps/a.cpp:1: warning: 601 lines'
}

test_very_long_file_fails() {
  put apps/a.cpp "$spdx" "$(lines 800)"
  expect_mistake 'apps/a.cpp:1: 801 lines; at most 800'
}

test_long_function() {
  put apps/a.cpp "$spdx" 'int f() {' "$(lines 59)" '}'
  expect_mistake 'apps/a.cpp:2: f() has 61 lines; at most 60'
}

test_function_at_the_limit() {
  put apps/a.cpp "$spdx" 'int f() {' "$(lines 58)" '}'
  check 0
}

test_missing_readme() {
  put src/base/a.cpp "$spdx"
  expect_mistake 'src/base/README.md:1: missing'
}

test_long_readme() {
  put src/base/a.cpp "$spdx"
  put src/base/README.md "$(lines 16)"
  expect_mistake 'src/base/README.md:1: longer than 15 lines'
}

test_unfinished_work() {
  put apps/a.cpp "$spdx" '// TODO: later'
  expect_mistake 'apps/a.cpp:2: unfinished work'
}

test_header_without_guard() {
  put apps/a.h "$spdx" '// What it is for.' 'int x;'
  expect_mistake 'apps/a.h:1: a header without #pragma once'
}

test_header_without_purpose() {
  put apps/a.h "$spdx" '#pragma once' 'int x;'
  expect_mistake 'apps/a.h:2: a header opens with what it is for'
}

test_only_files_of_git_count() {
  git -C "$scratch" init -q
  put .gitignore '/ignored/'
  put ignored/a.cpp 'int x;'
  check 0
}

test_without_ctags() {
  mkdir "$scratch/bin" "$scratch/tree"
  ln -s "$(command -v git)" "$scratch/bin/git"
  expect_code 1 env CI=true PATH="$scratch/bin" /usr/bin/python3 "$source_root/tools/check-style" \
    "$scratch/tree"
  expect_output 'universal-ctags is missing'
  expect_code 0 env CI= PATH="$scratch/bin" /usr/bin/python3 "$source_root/tools/check-style" \
    "$scratch/tree"
}

run_tests
