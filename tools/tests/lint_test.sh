#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lint: each check passes on a good tree and fails, with the place, on a bad one; clang-tidy looks at
# what changed. Works on a small repository with copies of the tools.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../tests/support/script_test.sh"

# The repository: src/base/{a.h,a.cpp} and a compile database. Its path may hold no blanks.
repository() {
  cd "$scratch"
  mkdir -p src/base apps tests bench build
  cp -R "$source_root"/{tools,.clang-format,.clang-tidy,.shellcheckrc} .
  rm -rf tools/tests
  printf '/build/\n' >.gitignore
  printf '# base\n' >src/base/README.md
  put src/base/a.h '// What it is for.' '#pragma once' 'int answer();'
  put src/base/a.cpp '#include "base/a.h"' '' 'int answer() { return 42; }'
  database src/base/a.cpp
  git init -q -b main
  git add -A
  git -c user.name=t -c user.email=t@invalid commit -q -m first
}

put() { printf '%s\n' '// SPDX-License-Identifier: Apache-2.0' "${@:2}" >"$1"; }

database() {
  local file entries=()
  for file in "$@"; do
    entries+=("{\"directory\": \"$PWD\", \"file\": \"$PWD/$file\",
      \"command\": \"g++ -std=c++20 -I$PWD/src -c $PWD/$file\"}")
  done
  (IFS=, && echo "[${entries[*]}]") >build/compile_commands.json
}

unset LINT_ALL  # CI sets it for the tree that is tested; here each case decides

lint() { env CI=true LINT_ALL="${LINT_ALL:-0}" tools/lint "$@"; }

test_good_tree_passes() {
  repository
  LINT_ALL=1 expect_code 0 lint
  for check in format layers style shell tidy; do expect_output "PASS $check"; done
}

test_format() {
  repository
  put src/base/a.cpp '#include "base/a.h"' '' 'int answer() {return 42;}'
  expect_code 1 lint format
  expect_output 'src/base/a.cpp: not formatted; run: make format'
  expect_output 'FAIL format: src/base/a.cpp: not formatted; run: make format ('
  tools/format
  expect_code 0 lint format
}

test_format_of_new_files() {
  repository
  put src/base/b.cpp 'int  x;'
  expect_code 1 lint format
  expect_output 'src/base/b.cpp: not formatted'
}

test_layers_and_style() {
  repository
  put src/base/b.cpp '#include "rule/program.h"' 'int x; '
  expect_code 1 lint layers style
  expect_output 'FAIL layers: src/base/b.cpp:2: '
  expect_output 'FAIL style: src/base/b.cpp:3: '
}

test_shell() {
  repository
  printf '#!/bin/bash\nrm -rf $1/x\n' >tools/bad
  expect_code 1 lint shell
  expect_output 'FAIL shell: tools/bad:2:8: note: Double quote'
}

test_tidy_of_a_changed_file() {
  repository
  put src/base/a.cpp '#include "base/a.h"' '' 'int answer() {' '  int* p = nullptr;' \
    '  return *p;' '}'
  expect_code 1 lint tidy
  expect_output 'clang-tidy: 1 of 1 files'
  expect_output 'FAIL tidy: src/base/a.cpp:6:10: error: Dereference of null pointer'
  expect_output '[clang-analyzer-core.NullDereference'
}

test_tidy_of_a_changed_header() {
  repository
  put src/base/a.h '// What it is for.' '#pragma once' '#include <string>' 'int answer();' \
    'inline bool is_empty(std::string text) { return text.size() == 0; }'
  expect_code 1 lint tidy
  expect_output 'a.h:6:'
  expect_output 'readability-container-size-empty'
}

test_tidy_leaves_unchanged_files_alone() {
  repository
  put src/base/b.cpp 'int f() {' '  int* p = nullptr;' '  return *p;' '}'
  database src/base/a.cpp src/base/b.cpp
  git add -A
  git -c user.name=t -c user.email=t@invalid commit -q -m second
  expect_code 0 lint tidy
  expect_output 'clang-tidy: 0 of 0 files'
  LINT_ALL=1 LINT_SECONDS=0 expect_code 0 lint tidy
  expect_output 'clang-tidy: 0 of 2 files'
  LINT_ALL=1 expect_code 1 lint tidy
  expect_output 'b.cpp:4:10: error: Dereference of null pointer'
}

# GCC's precompiled headers, which clang cannot read.
test_tidy_beside_precompiled_headers() {
  repository
  git mv src/base/a.cpp src/base/a_test.cpp
  database src/base/a_test.cpp
  echo '#include <string>' >build/pch.hxx
  echo 'gpch+014 as GCC makes them' >build/pch.hxx.gch
  sed -i "s|g++ |g++ -Winvalid-pch -include $PWD/build/pch.hxx |" build/compile_commands.json
  LINT_ALL=1 expect_code 0 lint tidy
  expect_output 'clang-tidy: 1 of 1 files'
}

# A clang-tidy that is killed as often as the file `kills` says.
test_tidy_that_was_killed() {
  repository
  mkdir bin
  printf '%s\n' '#!/bin/sh' "left=\$(cat '$PWD/kills')" "echo \$((left - 1)) >'$PWD/kills'" \
    'if [ "$left" -gt 0 ]; then kill -9 $$; fi' >bin/clang-tidy-19
  chmod +x bin/clang-tidy-19
  local -x PATH=$PWD/bin:$PATH
  echo 1 >kills
  LINT_ALL=1 expect_code 0 lint tidy
  expect_output 'a.cpp: clang-tidy ended with 137 at first, and finds nothing alone'
  echo 2 >kills
  LINT_ALL=1 expect_code 1 lint tidy
  expect_output 'FAIL tidy: src/base/a.cpp: error: clang-tidy ended with 137, before with 137'
}

test_tidy_without_a_build() {
  repository
  rm build/compile_commands.json
  expect_code 1 lint tidy
  expect_output 'FAIL tidy: no build/compile_commands.json; run: make build ('
}

test_unknown_check() {
  repository
  expect_code 2 lint formt
  expect_output "unknown check 'formt'"
}

run_tests
