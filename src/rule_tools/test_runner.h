// SPDX-License-Identifier: Apache-2.0
// Runs rule tests: each case is a job of its own, evaluated by the same Program, Evaluator and
// CorrelationState as in the sensor.
// Threads: one.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rule_tools/test_file.h"

namespace cicd {

struct TestFailure {
  SourcePlace place;  // of the case
  std::string test;   // its name, or that of its rule
  TestCase::Wants wants = TestCase::Wants::kExactly;
  std::vector<std::string> expected;  // names of rules, as RuleNames::short_name
  std::vector<std::string> actual;    // in the order they fired
  std::vector<std::string> missing;   // expected, did not fire
  std::vector<std::string> surplus;   // fired, not expected
  std::string event;                  // the case's first event, shown in one line
  std::size_t event_count = 0;
  bool was_cut = false;  // a rule took too many steps and was cut off
};

// How a rule is tested, over all files.
struct RuleCoverage {
  SourcePlace place;
  std::size_t fires = 0;     // cases in `fires`
  std::size_t quiet = 0;     // cases in `quiet`
  std::size_t expected = 0;  // tests of exact results that list it
  std::size_t absent = 0;    // those that do not, with an event of its type

  bool has_firing() const { return fires + expected > 0; }
  bool has_quiet() const { return quiet + absent > 0; }
};

struct TestReport {
  std::size_t files = 0;
  std::size_t tests = 0;
  std::size_t cases = 0;
  std::vector<TestFailure> failures;
  std::vector<Diagnostic> diagnostics;  // errors of test files and of their rules
  // By (ruleset_id, rule_id): every rule of the files that were tested.
  std::map<std::pair<std::string, std::string>, RuleCoverage> coverage;

  bool is_good() const { return failures.empty() && !has_errors(diagnostics); }
};

// Loads the rules of a test file, runs it and adds what came out.
void run_test_file(const TestFile& file, TestReport& report);

// find_test_files, then each.
TestReport run_tests(const std::vector<std::string>& paths);

// "file_open path=/root/.npmrc is_read=true by /usr/bin/cat": for messages, safe to print.
std::string event_line(const EventRecord& record);

}  // namespace cicd
