// SPDX-License-Identifier: Apache-2.0
// What every baseline rule says of itself, read from rules/. What it fires for stands in
// rules/tests/ and is run by src/rule_tools/baseline_test.cpp.
#include "rule/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "rule/program.h"

namespace cicd {
namespace {

class Baseline : public testing::Test {
 protected:
  void SetUp() override {
    LoadedRules loaded = load_rules({CICD_SOURCE_DIR "/rules"}, {.strict = true});
    for (const Diagnostic& diagnostic : loaded.diagnostics) ADD_FAILURE() << diagnostic.format();
    CompileResult result = compile(loaded.rule_sets);
    for (const Diagnostic& diagnostic : result.diagnostics) ADD_FAILURE() << diagnostic.format();
    ASSERT_NE(result.program, nullptr);
    program_ = result.program;
  }

  std::shared_ptr<const Program> program_;
};

TEST_F(Baseline, EveryRuleHasADescriptionAndTags) {
  const std::set<std::string> severities = {"low", "medium", "high", "critical"};
  std::set<std::string> ids;
  for (const CompiledRule& compiled : program_->rules()) {
    const Rule& rule = compiled.rule;
    EXPECT_TRUE(ids.insert(rule.rule_id).second) << rule.rule_id << " is there twice";
    // A baseline ends no job. What is only of interest with other hits is collected, and no more
    // severe than that.
    EXPECT_NE(rule.action, RuleAction::kTerminate) << rule.rule_id;
    EXPECT_FALSE(rule.rule_name.empty()) << rule.rule_id;
    for (const char* part : {"What: ", "Why: ", "Notes: "}) {
      EXPECT_THAT(rule.description, testing::HasSubstr(part)) << rule.rule_id;
    }
    EXPECT_TRUE(rule.tags.contains("mitre_tactic")) << rule.rule_id;
    EXPECT_TRUE(rule.tags.contains("mitre_technique")) << rule.rule_id;
    const auto severity = rule.tags.find("severity");
    ASSERT_NE(severity, rule.tags.end()) << rule.rule_id;
    EXPECT_TRUE(severities.contains(severity->second)) << rule.rule_id;
    const bool is_quiet = rule.action == RuleAction::kCollect;
    EXPECT_TRUE(is_quiet ? severity->second == "low" || severity->second == "medium"
                         : severity->second != "low")
        << rule.rule_id;
  }
}

TEST_F(Baseline, IsEmbeddedInTheProgramAsItStandsOnDisk) {
  const LoadedRules embedded = baseline_rules();
  EXPECT_TRUE(embedded.diagnostics.empty());
  std::map<std::string, std::string> revisions;
  for (const CompiledRule& rule : program_->rules()) {
    revisions[rule.ruleset_id] = rule.ruleset_revision;
  }
  ASSERT_EQ(embedded.rule_sets.size(), revisions.size());
  for (const RuleSet& set : embedded.rule_sets) {
    EXPECT_EQ(set.revision, revisions[set.ruleset_id]) << set.ruleset_id;
  }
}

}  // namespace
}  // namespace cicd
