// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/test_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class TestRunner : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "rule_tests_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    put("rules.yaml", R"(
rule_sets:
- ruleset_id: a
  rules:
  - {rule_id: reads, event_type: file_open, condition: is_read, action: detect}
  - {rule_id: shared, event_type: file_open, condition: path == "/s", action: collect}
  - {rule_id: twice, type: correlation, condition: rule.reads.total_count >= 2, action: detect}
- ruleset_id: b/c
  rules:
  - {rule_id: shared, event_type: file_open, condition: path == "/s", action: collect}
  - {rule_id: local, event_type: file_open, condition: is_write, action: collect,
     target: {include: [{path: team/}]}}
- ruleset_id: more
  language: extended
  rules:
  - {rule_id: writes, event_type: file_open, condition: is_write && step.name != "Deploy",
     action: collect}
  - {rule_id: burst, type: correlation, action: detect,
     condition: 'within("1m", rule.writes.total_count >= 2)'}
)");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  }
  TestReport run(const std::string& tests) {
    put("t.yaml", "rules: rules.yaml\nprocess: {exec_path: /bin/x}\n" + tests);
    return run_tests({folder_ + "/t.yaml"});
  }

  std::string folder_;
};

TEST_F(TestRunner, PassesAndFailsPerRule) {
  const TestReport report =
      run("tests:\n"
          "- rule: reads\n"
          "  fires:\n"
          "  - file_open: {path: /a, is_read: true}\n"
          "  - file_open: {path: /a}\n"
          "  quiet:\n"
          "  - file_open: {path: /a}\n"
          "  - file_open: {path: /s, is_read: true}\n");
  EXPECT_EQ(report.tests, 1u);
  EXPECT_EQ(report.cases, 4u);
  EXPECT_FALSE(report.is_good());
  ASSERT_THAT(report.failures, SizeIs(2));
  const TestFailure& missing = report.failures[0];
  EXPECT_EQ(missing.place.line, 7);
  EXPECT_EQ(missing.test, "reads");
  EXPECT_THAT(missing.missing, ElementsAre("reads"));
  EXPECT_THAT(missing.actual, IsEmpty());
  EXPECT_EQ(missing.event, "file_open path=/a by /bin/x");
  const TestFailure& surplus = report.failures[1];
  EXPECT_EQ(surplus.place.line, 10);
  EXPECT_THAT(surplus.surplus, ElementsAre("reads"));
  // What shares its id with another is called by its whole name.
  EXPECT_THAT(surplus.actual, ElementsAre("reads", "a/shared", "b/c/shared"));
}

TEST_F(TestRunner, ComparesExactResults) {
  const TestReport report =
      run("tests:\n"
          "- {event: {file_open: {is_read: true}}, expect: [reads]}\n"
          "- {event: {file_open: {path: /s}}, expect: [b/c/shared, a/shared]}\n"
          "- {name: wrong, event: {file_open: {path: /s}}, expect: [a/shared, reads]}\n"
          "- {event: {process_exec: }, expect: []}\n");
  EXPECT_THAT(report.diagnostics, IsEmpty());
  ASSERT_THAT(report.failures, SizeIs(1));
  EXPECT_EQ(report.failures[0].test, "wrong");
  EXPECT_THAT(report.failures[0].missing, ElementsAre("reads"));
  EXPECT_THAT(report.failures[0].surplus, ElementsAre("b/c/shared"));
}

TEST_F(TestRunner, AJobCountsForCorrelationsAndEachJobAnew) {
  const TestReport report =
      run("tests:\n"
          "- rule: twice\n"
          "  fires:\n"
          "  - job: [{file_open: {is_read: true}}, {file_open: {is_read: true}}]\n"
          "  - {file_open: {is_read: true}, times: 2}\n"
          "  quiet:\n"
          "  - {file_open: {is_read: true}}\n"
          "  - {file_open: {is_read: true}}\n"
          "- events: [{file_open: {is_read: true}}, {file_open: {is_read: true, path: /s}}]\n"
          "  expect: [a/twice, reads, a/shared, b/c/shared]\n");
  EXPECT_TRUE(report.is_good());
  EXPECT_THAT(report.failures, IsEmpty());
  EXPECT_EQ(report.cases, 5u);
}

TEST_F(TestRunner, EventsHaveStepsAndTimes) {
  const TestReport report =
      run("tests:\n"
          "- rule: writes\n"
          "  fires: [{file_open: {is_write: true}, step: {id: \"1\", name: build}}]\n"
          "  quiet: [{file_open: {is_write: true}, step: {name: deploy}}]\n"
          "- rule: burst\n"
          "  fires:\n"
          "  - job: [{file_open: {is_write: true}}, {file_open: {is_write: true}, time: 59s}]\n"
          "  quiet:\n"
          "  - job: [{file_open: {is_write: true}}, {file_open: {is_write: true}, time: 61s}]\n");
  EXPECT_TRUE(report.is_good());
  EXPECT_THAT(report.failures, IsEmpty());
  EXPECT_EQ(report.cases, 4u);
}

TEST_F(TestRunner, NamesMustBeClear) {
  const TestReport report =
      run("tests:\n"
          "- {rule: shared, fires: [{file_open: {path: /s}}]}\n"
          "- {rule: raeds, fires: [{file_open: {path: /s}}]}\n"
          "- {event: {file_open: {path: /s}}, expect: [a/local]}\n");
  ASSERT_THAT(report.diagnostics, SizeIs(3));
  EXPECT_THAT(report.diagnostics[0].format(),
              HasSubstr("t.yaml:4:10: error: \"shared\" names more than one rule: a/shared and "
                        "b/c/shared; write the whole name"));
  EXPECT_THAT(report.diagnostics[1].format(),
              HasSubstr("t.yaml:5:10: error: there is no rule \"raeds\""));
  EXPECT_THAT(
      report.diagnostics[2].format(),
      HasSubstr("t.yaml:6:45: error: there is no rule \"a/local\"; did you mean b/c/local?"));
  EXPECT_EQ(report.cases, 0u);
}

TEST_F(TestRunner, AMistypedNameGetsASuggestion) {
  const TestReport report = run("tests: [{rule: loca, fires: [{file_open: {is_write: true}}]}]\n");
  ASSERT_THAT(report.diagnostics, SizeIs(1));
  EXPECT_THAT(report.diagnostics[0].text, HasSubstr("did you mean local?"));
}

TEST_F(TestRunner, TheProjectDecidesAboutTargets) {
  const std::string tests = "tests: [{rule: local, fires: [{file_open: {is_write: true}}]}]\n";
  EXPECT_THAT(run("project: {path: team/x}\n" + tests).failures, IsEmpty());
  EXPECT_THAT(run("project: {path: other/x}\n" + tests).failures, SizeIs(1));
}

TEST_F(TestRunner, ModifiersCount) {
  put("modifiers.yaml",
      "rule_modifiers: [{modifier_id: m, targets: [{ruleset_id: a, rule_id: reads}], "
      "add_exceptions: path == \"/ok\"}]\n");
  put("m.yaml",
      "rules: [rules.yaml, modifiers.yaml]\n"
      "process: {exec_path: /bin/x}\n"
      "tests:\n"
      "- {event: {file_open: {path: /ok, is_read: true}}, expect: []}\n"
      "- {event: {file_open: {path: /no, is_read: true}}, expect: [reads]}\n");
  const TestReport report = run_tests({folder_ + "/m.yaml"});
  EXPECT_TRUE(report.is_good());
  EXPECT_EQ(report.cases, 2u);
}

TEST_F(TestRunner, KnowsWhatIsNotTested) {
  const TestReport report =
      run("tests:\n"
          "- {rule: reads, fires: [{file_open: {is_read: true}}]}\n"
          "- {event: {file_open: {path: /s}}, expect: [a/shared, b/c/shared]}\n");
  const auto& reads = report.coverage.at({"a", "reads"});
  EXPECT_EQ(reads.fires, 1u);
  EXPECT_TRUE(reads.has_firing());
  EXPECT_EQ(reads.quiet, 0u);
  EXPECT_EQ(reads.absent, 1u);
  const auto& shared = report.coverage.at({"b/c", "shared"});
  EXPECT_EQ(shared.expected, 1u);
  EXPECT_FALSE(shared.has_quiet());
  EXPECT_FALSE(report.coverage.at({"b/c", "local"}).has_firing());
  EXPECT_EQ(report.coverage.at({"b/c", "local"}).place.line, 11);
}

TEST_F(TestRunner, WrongRulesAndFoldersWithoutTestsAreErrors) {
  put("rules.yaml", "rule_sets: [{ruleset_id: a, rules: [{rule_id: r}]}]\n");
  const TestReport report = run("tests: [{event: {process_exec: }, expect: []}]\n");
  EXPECT_FALSE(report.is_good());
  EXPECT_EQ(report.cases, 0u);
  EXPECT_THAT(report.diagnostics[0].file, HasSubstr("rules.yaml"));
  std::filesystem::create_directory(folder_ + "/empty");
  EXPECT_THAT(run_tests({folder_ + "/empty"}).diagnostics[0].text, HasSubstr("has no .yaml"));
  EXPECT_THAT(run_tests({folder_ + "/none"}).diagnostics[0].text, HasSubstr("cannot open"));
}

TEST_F(TestRunner, AFolderRunsEachFile) {
  std::filesystem::create_directory(folder_ + "/tests");
  const std::string test =
      "rules: ../rules.yaml\nprocess: {exec_path: /bin/x}\n"
      "tests: [{event: {process_exec: }, expect: []}]\n";
  put("tests/one.yaml", test);
  put("tests/two.yml", test);
  put("tests/three.txt", "x");
  const TestReport report = run_tests({folder_ + "/tests"});
  EXPECT_TRUE(report.is_good());
  EXPECT_EQ(report.files, 2u);
}

}  // namespace
}  // namespace cicd
