// SPDX-License-Identifier: Apache-2.0
// Any bytes as a condition: what can be compiled can be explained, and the explanation's verdict,
// where it has one, is the evaluator's.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "rule/test_events.h"
#include "rule_tools/explain.h"

namespace {

cicd::test::Event event() {
  return cicd::test::open(
      "/etc/Shadow",
      {{"/bin/cat", {"cat", "-n"}}, {"/bin/sh", {"sh", "-c", "x"}}, {"/usr/bin/node", {"node"}}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const cicd::test::Event kEvent = event();
  cicd::LoadedRules rules;
  cicd::RuleSet& set = rules.rule_sets.emplace_back();
  set.ruleset_id = "s";
  set.lists = {{"l", {"/etc/shadow", "cat", ""}}};
  cicd::Rule& rule = set.rules.emplace_back();
  rule.rule_id = "r";
  rule.event_type = cicd::EventType::kFileOpen;
  rule.condition = {std::string(reinterpret_cast<const char*>(data), size), "fuzz", 1, 1, {}};
  if (cicd::compile_all(rules).program == nullptr) return 0;
  const cicd::Explanation out =
      cicd::explain_event(rules, {&set, &rule}, kEvent.record(), std::nullopt);
  for (const cicd::ExplainedCondition& condition : out.conditions) {
    if (condition.parts.empty()) std::abort();
    for (const cicd::ExplainedPart& part : condition.parts) {
      if (part.source.empty() || part.detail.find('\n') != std::string::npos) std::abort();
    }
    const bool is_known = condition.verdict != cicd::Verdict::kUnknown;
    const bool is_true = condition.verdict == cicd::Verdict::kTrue;
    if (is_known && out.why_not_evaluated.empty() && is_true != out.fires) std::abort();
  }
  return 0;
}
