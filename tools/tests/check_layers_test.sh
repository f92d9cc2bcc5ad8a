#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check-layers: a good tree passes, each kind of wrong #include fails with its place.
# shellcheck source=tests/support/script_test.sh
. "$(dirname "$0")/../../tests/support/script_test.sh"

# put FILE LINE...: a file of a tree in $scratch.
put() {
  mkdir -p "$(dirname "$scratch/$1")"
  printf '%s\n' "${@:2}" >"$scratch/$1"
}

expect_mistake() {
  expect_code 1 "$source_root/tools/check-layers" "$scratch"
  expect_output "$1"
  expect_equal "$(wc -l <<<"$output")" 1 "number of mistakes"
}

test_good_tree_passes() {
  put src/track/a.cpp '#include "track/a.h"' '#include "kernel/b.h"' '#include <vector>' \
    '#include <nlohmann/json.hpp>'
  put src/kernel/live.cpp '#include <bpf/libbpf.h>' '#include "open.skel.h"'
  put src/wire/a.h '#include "wire/sample.h"'
  put src/listener/a.cpp '#include <boost/beast.hpp>'
  put bpf/programs/open.bpf.c '#include "emit.h"' '#include "wire/sample.h"' '#include <bpf/bpf_helpers.h>'
  put bpf/include/emit.h
  put bpf/wire/sample.h
  expect_code 0 "$source_root/tools/check-layers" "$scratch"
}

test_own_tree_passes() { expect_code 0 "$source_root/tools/check-layers"; }

test_include_from_below() {
  put src/track/a.cpp '// first' '#include "rule/program.h"'
  expect_mistake 'a.cpp:2: "rule/program.h": track/ comes before rule/'
}

test_include_from_below_in_a_test() {
  put src/base/a_test.cpp '#  include "event/event_record.h"'
  expect_mistake 'a_test.cpp:1: "event/event_record.h": base/ comes before event/'
}

test_unknown_folder() {
  put src/misc/a.cpp ''
  expect_mistake 'src/misc has no place in the layers'
}

test_libbpf_outside_kernel() {
  put src/track/a.cpp '#include <bpf/libbpf.h>'
  expect_mistake 'libbpf and skeletons stay inside src/kernel'
}

test_skeleton_in_an_app() {
  mkdir "$scratch/src"
  put apps/cicd-sensor/main.cpp '#include "open.skel.h"'
  expect_mistake 'libbpf and skeletons stay inside src/kernel'
}

test_heavy_header_in_a_header() {
  put src/rule/a.h '#include <yaml-cpp/yaml.h>'
  expect_mistake 'heavy header <yaml-cpp/yaml.h> in a header'
}

test_heavy_header_in_an_app_header() {
  mkdir "$scratch/src"
  put apps/cicd-sensor/flags.h '#include <CLI/CLI.hpp>'
  expect_mistake 'heavy header <CLI/CLI.hpp> in a header'
}

test_beast_outside_its_folders() {
  put src/job/a.cpp '#include <boost/beast/http.hpp>'
  expect_mistake 'Boost.Asio and Beast stay inside'
}

test_relative_include() {
  put src/job/a.cpp '#include "job.h"'
  expect_mistake 'name headers of ours from src/ on ("job/...")'
}

test_guest_agent_is_alone() {
  put src/guest/agent/a.cpp '#include "base/result.h"'
  expect_mistake 'guest/agent depends on nothing outside itself'
}

test_bpf_does_not_see_src() {
  mkdir -p "$scratch/src"
  put bpf/programs/a.bpf.c '#include "base/result.h"'
  expect_mistake 'bpf/ includes only what is in bpf/'
}

test_no_tree() {
  expect_code 2 "$source_root/tools/check-layers" "$scratch"
  expect_output 'has no src/'
}

run_tests
