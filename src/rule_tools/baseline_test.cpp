// SPDX-License-Identifier: Apache-2.0
// The rule tests of the baseline, rules/tests/: every rule against events that must fire it and
// events that must not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "rule_tools/test_runner.h"

namespace cicd {
namespace {

TEST(BaselineTests, EveryRuleFiresWhereItMustAndOnlyThere) {
  const TestReport report = run_tests({CICD_SOURCE_DIR "/rules/tests"});
  for (const Diagnostic& diagnostic : report.diagnostics) ADD_FAILURE() << diagnostic.format();
  for (const TestFailure& failure : report.failures) {
    ADD_FAILURE_AT(failure.place.file.c_str(), failure.place.line)
        << failure.test << ": " << failure.event << "\nmissing "
        << testing::PrintToString(failure.missing) << ", surplus "
        << testing::PrintToString(failure.surplus);
  }
  EXPECT_GT(report.cases, 0u);
}

// Only what is meant for a rule counts: a test of exact results is quiet about all the others.
TEST(BaselineTests, EveryRuleHasAFiringAndAQuietCase) {
  const TestReport report = run_tests({CICD_SOURCE_DIR "/rules/tests"});
  for (const auto& [name, coverage] : report.coverage) {
    EXPECT_GT(coverage.fires, 0u) << name.second << " has no case that fires it";
    EXPECT_GT(coverage.quiet, 0u) << name.second << " has no case that must not fire it";
  }
  // Coverage knows the rules of the files that are tested: that must be all of them.
  std::set<std::string> tested;
  for (const auto& [name, coverage] : report.coverage) tested.insert(coverage.place.file);
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CICD_SOURCE_DIR "/rules")) {
    if (entry.path().extension() == ".yaml") ++files;
  }
  EXPECT_EQ(tested.size(), files);
  EXPECT_GT(files, 0u);
}

}  // namespace
}  // namespace cicd
