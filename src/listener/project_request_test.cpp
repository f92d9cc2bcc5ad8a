// SPDX-License-Identifier: Apache-2.0
#include "listener/project_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const JobIdentity kJob{
    .provider = "generic", .provider_host = "h", .project_path = "p", .job_key = "k"};
constexpr std::string_view kIdentity =
    R"("provider":"generic","provider_host":"h","project_path":"p","job_key":"k")";
constexpr const char* kRules = R"(# Two kinds of document.
rule_sets:
- ruleset_id: own
  lists: {tools: [curl, "7", yes]}
  rules:
  - rule_id: reads
    rule_name: "Reads: \"it\"\n"
    event_type: file_open
    action: detect
    max_alerts: 3
    condition: >
      path.endsWith("/x") &&
      is_read
---
rule_modifiers:
- modifier_id: quiet
  disable: true
  targets: [{ruleset_id: own, rule_id: reads}]
)";

std::string complaint(std::string_view more) {
  const auto call = read_project_request("{" + std::string(kIdentity) + std::string(more) + "}");
  return call ? "" : call.error().text;
}

TEST(ProjectRequest, ReadsWhatItWrites) {
  const ProjectSettings settings{
      .default_max_alerts = 5, .disable_baseline_rules = true, .monitor_mode = true};
  const auto body = write_project_request(kJob, {.commit_sha = "abc"}, settings, kRules);
  ASSERT_TRUE(body) << body.error().text;
  const auto call = read_project_request(*body);
  ASSERT_TRUE(call) << call.error().text;
  EXPECT_EQ(call->identity, kJob);
  EXPECT_EQ(call->metadata.commit_sha, "abc");
  EXPECT_EQ(call->settings.default_max_alerts, 5);
  EXPECT_TRUE(call->settings.disable_baseline_rules);
  EXPECT_TRUE(call->settings.monitor_mode);
  ASSERT_EQ(call->rules.rule_sets.size(), 1u);
  const RuleSet& set = call->rules.rule_sets[0];
  EXPECT_EQ(set.ruleset_id, "own");
  EXPECT_THAT(set.lists.at("tools"), testing::ElementsAre("curl", "7", "yes"));
  ASSERT_EQ(set.rules.size(), 1u);
  EXPECT_EQ(set.rules[0].rule_name, "Reads: \"it\"\n");
  EXPECT_EQ(set.rules[0].max_alerts, 3);
  EXPECT_EQ(set.rules[0].condition.text, "path.endsWith(\"/x\") && is_read\n");
  ASSERT_EQ(call->rules.rule_modifiers.size(), 1u);
  EXPECT_TRUE(call->rules.rule_modifiers[0].disable);
  EXPECT_TRUE(read_project_request(*write_project_request(kJob, {}, {}, "")));
}

TEST(ProjectRequest, NamesOfTheOtherImplementationAreTaken) {
  const std::string rules =
      R"([{"ruleset_id":"s","rules":[{"rule_id":"r","event_type":"file_open","action":"detect","condition":"is_read"}]}])";
  for (const char* name : {"RuleSets", "rulesets", "rule_sets", "RULESETS"}) {
    const auto call = read_project_request("{" + std::string(kIdentity) + R"(,"rule_sources":[{")" +
                                           name + "\":" + rules + "}]}");
    ASSERT_TRUE(call) << call.error().text;
    EXPECT_EQ(call->rules.rule_sets.size(), 1u) << name;
  }
  EXPECT_EQ(complaint(R"(,"rule_sources":[{"RuleSets":null,"RuleModifiers":[]}])"), "");
  EXPECT_EQ(complaint(R"(,"rule_sources":null,"debug_enabled":true,"manager_url":"")"), "");
}

TEST(ProjectRequest, WhatIsNotMeantIsRefused) {
  EXPECT_EQ(complaint(""), "");
  EXPECT_EQ(complaint(R"(,"x":1)"), R"(unknown member "x")");
  EXPECT_EQ(complaint(R"(,"monitor_mode":1)"), "monitor_mode must be true or false");
  EXPECT_EQ(complaint(R"(,"monitor_mode":true,"monitor_mode":true)"),
            R"(the member "monitor_mode" is there twice)");
  for (const char* value : {"-1", "101", "1.5", "\"1\"", "1e99", "99999999999999999999"}) {
    EXPECT_THAT(complaint(std::string(R"(,"default_max_alerts_per_rule":)") + value),
                HasSubstr("must be a number from 0 to 100"))
        << value;
  }
  EXPECT_THAT(complaint(R"(,"manager_url":"https://x")"), HasSubstr("has no manager"));
  EXPECT_THAT(complaint(R"(,"metadata":{"x":"1"})"), HasSubstr("unknown member"));
  EXPECT_THAT(complaint(R"(,"metadata":[])"), HasSubstr("must be an object"));
  EXPECT_THAT(complaint(R"(,"job_key":1)"), HasSubstr("there twice"));
  EXPECT_THAT(complaint(R"(,"rule_sources":{})"), HasSubstr("must be a list"));
  EXPECT_THAT(complaint(R"(,"rule_sources":[1])"), HasSubstr("rule_sources[0] must be an object"));
  EXPECT_THAT(complaint(R"(,"rule_sources":[{"rules":[]}])"), HasSubstr("unknown member"));
  EXPECT_THAT(complaint(R"(,"rule_sources":[{"RuleSets":{}}])"), HasSubstr("must be a list"));
  EXPECT_THAT(
      complaint(
          R"(,"rule_sources":[{},{"RuleSets":[{"ruleset_id":"s","rules":[{"rule_id":"1x"}]}]}])"),
      StartsWith("rule_sources[1]:"));
  EXPECT_THAT(complaint(R"(,"metadata":{"ref_name":")" + std::string(8193, 'x') + "\"}"),
              HasSubstr("more than 8192 bytes"));
  EXPECT_FALSE(read_project_request("[]"));
  EXPECT_FALSE(read_project_request(std::string(100'000, '[')));
  EXPECT_FALSE(read_project_request("{}"));
}

// A value that is copied or written costs stack for each level.
TEST(ProjectRequest, NothingDeepReachesTheStack) {
  for (const std::size_t levels : {100u, 10'000u, 3'000'000u}) {
    for (const char* level : {"[", "{\"a\":"}) {
      std::string deep;
      for (std::size_t i = 0; i < levels; ++i) deep += level;
      EXPECT_THAT(complaint(R"(,"rule_sources":[{"RuleSets":[)" + deep), HasSubstr("deeper than"));
      deep += "1";
      for (std::size_t i = 0; i < levels; ++i) deep += level[0] == '[' ? ']' : '}';
      EXPECT_THAT(complaint(R"(,"rule_sources":[{"RuleSets":[)" + deep + "]}]"),
                  HasSubstr("deeper than"));
      EXPECT_THAT(complaint(R"(,"x":)" + deep), HasSubstr("deeper than"));
    }
  }
}

TEST(ProjectRequest, ARuleFileThatIsNoneIsRefused) {
  EXPECT_FALSE(write_project_request(kJob, {}, {}, "- a\n- b\n"));
  EXPECT_FALSE(write_project_request(kJob, {}, {}, "a: [\n"));
}

TEST(ProjectSettings, AreThreeMembers) {
  const auto read = read_project_settings(
      "default_max_alerts_per_rule: 7\ndisable_baseline_rules: true\nmonitor_mode: false\n");
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->default_max_alerts, 7);
  EXPECT_TRUE(read->disable_baseline_rules);
  EXPECT_FALSE(read->monitor_mode);
  EXPECT_TRUE(read_project_settings(""));
  EXPECT_TRUE(read_project_settings("# nothing\n"));
  for (const char* text : {"x: 1\n", "monitor_mode: \"true\"\n", "- a\n", "monitor_mode: maybe\n",
                           "default_max_alerts_per_rule: 101\n", "a: 1\n---\nb: 2\n", "[\n"}) {
    EXPECT_FALSE(read_project_settings(text)) << text;
  }
}

}  // namespace
}  // namespace cicd
