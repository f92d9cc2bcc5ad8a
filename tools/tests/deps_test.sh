#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# deps: finds what is missing and says why it is wanted; apt-get itself is a recorder here, because
# a test must not change the machine.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../tests/support/script_test.sh"

deps() { env CICD_SKIP_DEPS=0 CICD_PACKAGES_FILE="$scratch/list" "$source_root/tools/deps" "$@"; }
list() { printf '%s\n' "$@" >"$scratch/list"; }

# An apt-get in PATH that writes down how it was called.
record_apt() {
  mkdir "$scratch/bin"
  cat >"$scratch/bin/apt-get" <<END
#!/bin/sh
echo "\$DEBIAN_FRONTEND \$*" >>"$scratch/calls"
exit ${1:-0}
END
  chmod +x "$scratch/bin/apt-get"
  printf '#!/bin/sh\nexec "$@"\n' >"$scratch/bin/sudo"
  chmod +x "$scratch/bin/sudo"
  PATH=$scratch/bin:$PATH
}

test_nothing_missing_is_silent() {
  list '# a comment' 'build bash' 'test coreutils'
  record_apt
  expect_code 0 deps all
  expect_equal "$output" "" "output"
  [ ! -e "$scratch/calls" ] || fail "apt-get was called"
}

test_check_names_what_is_missing() {
  list 'build bash' 'build no-such-package-1' 'lint no-such-package-2'
  expect_code 1 deps --check build
  expect_output 'Missing to build (make build): no-such-package-1'
  expect_output 'make deps'
  expect_no_output no-such-package-2
}

test_check_of_a_group_that_make_deps_leaves_out() {
  list 'build bash' 'cross no-such-package-1'
  expect_code 1 deps --check build cross
  expect_output 'Missing to build for arm64 (make build PRESET=arm64): no-such-package-1'
  expect_output 'tools/deps build cross'
}

test_installs_what_is_missing_only() {
  list 'build bash' 'build no-such-package-1' 'lint no-such-package-2'
  record_apt
  expect_code 0 deps build lint
  expect_output 'Installing 2 Debian packages'
  expect_equal "$(sed -n 1p "$scratch/calls")" 'noninteractive update -qq' 'first call'
  expect_equal "$(sed -n 2p "$scratch/calls")" \
    'noninteractive install -y -qq --no-install-recommends no-such-package-1 no-such-package-2' \
    'second call'
}

test_failing_apt_is_an_error() {
  list 'build no-such-package-1'
  record_apt 100
  expect_code 1 deps build
  expect_output 'apt-get update failed'
}

test_unknown_group() {
  list 'build bash'
  expect_code 2 deps bild
  expect_output "unknown group 'bild'"
}

test_no_list() {
  expect_code 2 deps build
  expect_output 'cannot read'
}

test_may_be_turned_off() {
  list 'build no-such-package-1'
  expect_code 0 env CICD_SKIP_DEPS=1 CICD_PACKAGES_FILE="$scratch/list" \
    "$source_root/tools/deps" --check all
}

test_every_line_of_the_list_is_of_a_known_group() {
  local bad
  bad=$(grep -vE '^(#.*|(build|run|test|lint|vm|cross|container) [a-z0-9.+-]+)$' "$source_root/packages.txt") || true
  expect_equal "$bad" "" "lines of packages.txt"
}

run_tests
