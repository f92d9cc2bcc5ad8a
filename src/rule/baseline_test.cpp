// SPDX-License-Identifier: Apache-2.0
// Every baseline rule against events that must fire it and events that must not, read from rules/.
#include "rule/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "rule/baseline_cases.h"
#include "rule/program.h"

namespace cicd::baseline {
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
    evaluator_ = make_evaluator(program_);
    for (auto part : {install_cases(), install_act_cases(), credential_cases(), execution_cases(),
                      persistence_cases(), process_access_cases(), tampering_cases(),
                      isolation_cases(), kernel_cases(), exfiltration_cases()}) {
      for (Case& one : part) cases_.push_back(std::move(one));
    }
  }

  std::vector<std::string> hits(const Event& event) {
    std::vector<std::string> out;
    for (const std::uint32_t hit : evaluator_->evaluate(event.record())) {
      out.push_back(program_->rules()[hit].rule.rule_id);
    }
    return out;
  }

  // Whether the correlation fires in a job that does this.
  bool fires(const std::string& correlation, const std::vector<Event>& job) {
    CorrelationState state(program_);
    bool has_fired = false;
    for (const Event& event : job) {
      for (const std::uint32_t hit : state.count(evaluator_->evaluate(event.record()))) {
        has_fired = has_fired || program_->rules()[hit].rule.rule_id == correlation;
      }
    }
    return has_fired;
  }

  std::shared_ptr<const cicd::Program> program_;
  std::unique_ptr<Evaluator> evaluator_;
  std::vector<Case> cases_;
};

TEST_F(Baseline, EveryRuleFiresWhereItMustAndOnlyThere) {
  for (const Case& one : cases_) {
    for (std::size_t i = 0; i < one.fires.size(); ++i) {
      EXPECT_THAT(hits(one.fires[i]), testing::Contains(one.rule)) << "firing case " << i;
    }
    for (std::size_t i = 0; i < one.quiet.size(); ++i) {
      EXPECT_THAT(hits(one.quiet[i]), testing::Not(testing::Contains(one.rule)))
          << "quiet case " << i;
    }
  }
}

TEST_F(Baseline, EveryCorrelationFiresWhereItMustAndOnlyThere) {
  for (const CorrelationCase& one : correlation_cases()) {
    for (std::size_t i = 0; i < one.fires.size(); ++i) {
      EXPECT_TRUE(fires(one.rule, one.fires[i])) << one.rule << " firing case " << i;
    }
    for (std::size_t i = 0; i < one.quiet.size(); ++i) {
      EXPECT_FALSE(fires(one.rule, one.quiet[i])) << one.rule << " quiet case " << i;
    }
  }
}

TEST_F(Baseline, EveryRuleHasCasesADescriptionAndTags) {
  std::set<std::string> covered;
  for (const Case& one : cases_) {
    EXPECT_FALSE(one.fires.empty()) << one.rule;
    EXPECT_FALSE(one.quiet.empty()) << one.rule;
    covered.insert(one.rule);
  }
  for (const CorrelationCase& one : correlation_cases()) {
    EXPECT_FALSE(one.fires.empty()) << one.rule;
    EXPECT_FALSE(one.quiet.empty()) << one.rule;
    covered.insert(one.rule);
  }
  const std::set<std::string> severities = {"low", "medium", "high", "critical"};
  for (const CompiledRule& compiled : program_->rules()) {
    const Rule& rule = compiled.rule;
    EXPECT_TRUE(covered.erase(rule.rule_id) == 1) << rule.rule_id << " has no case or two";
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
  EXPECT_THAT(covered, testing::IsEmpty()) << "cases of rules that are not there";
}

// The job of examples/demo-job as the sensor sees it.
TEST_F(Baseline, TheDemoFiresForTheInstallAndNotForBuildOrDownload) {
  EXPECT_THAT(hits(open("/tmp/d/home/.npmrc", below_pip(kCat))),
              testing::ElementsAre("package_install_reads_registry_token"));
  EXPECT_THAT(hits(open("/tmp/d/home/.aws/credentials", below_pip(kCat))),
              testing::ElementsAre("package_install_reads_cloud_credentials"));
  EXPECT_THAT(hits(exec(below_pip(kCurl))),
              testing::ElementsAre("package_install_runs_network_tool"));
  EXPECT_THAT(hits(connect("127.0.0.1", 8080, below_pip(kCurl))),
              testing::ElementsAre("package_install_tool_connects"));
  const Program make = {"/usr/bin/make", {"make", "-C", "/tmp/d/hello"}};
  for (const Program& tool : std::vector<Program>{shell("gcc -O1 -c -o sum.o sum.c"),
                                                  {"/usr/bin/gcc", {"gcc", "-c", "sum.c"}},
                                                  {"/usr/lib/gcc/cc1", {"cc1", "sum.c"}},
                                                  {"/usr/bin/as", {"as", "-o", "sum.o"}}}) {
    EXPECT_THAT(hits(exec({tool, make, kBash})), testing::IsEmpty());
    EXPECT_THAT(hits(open("/tmp/d/hello/sum.o", {tool, make, kBash}, kWrite)), testing::IsEmpty());
  }
  EXPECT_THAT(hits(exec(in_step(kCurl))), testing::IsEmpty());
  EXPECT_THAT(hits(connect("127.0.0.1", 8080, in_step(kCurl))), testing::IsEmpty());
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
}  // namespace cicd::baseline
