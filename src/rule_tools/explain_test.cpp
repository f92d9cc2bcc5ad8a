// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rule/random_rules.h"
#include "rule/test_events.h"
#include "rule_tools/source_spans.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

LoadedRules one_rule(const std::string& condition, const std::string& exceptions = "",
                     EventType type = EventType::kFileOpen) {
  LoadedRules out;
  RuleSet& set = out.rule_sets.emplace_back();
  set.ruleset_id = "s";
  set.lists = test::kLists;
  Rule& rule = set.rules.emplace_back();
  rule.rule_id = "r";
  rule.event_type = type;
  rule.condition = {condition, "f", 1, 1, {}};
  if (!exceptions.empty()) rule.exceptions = {exceptions, "f", 9, 1, {}};
  return out;
}

Explanation explain(const LoadedRules& rules, const EventRecord& record) {
  const NamedRule named = {&rules.rule_sets[0], &rules.rule_sets[0].rules[0]};
  return explain_event(rules, named, record, std::nullopt);
}

// "depth verdict source [detail]" of each part of the condition.
std::vector<std::string> lines_of(const Explanation& explanation) {
  std::vector<std::string> out;
  for (const ExplainedPart& part : explanation.conditions.at(0).parts) {
    out.push_back(std::to_string(part.depth) + " " + std::string(name_of(part.verdict)) + " " +
                  part.source + (part.detail.empty() ? "" : " [" + part.detail + "]"));
  }
  return out;
}

const std::vector<test::Program> kChain = {
    {"/usr/bin/cat", {"cat", "-n"}}, {"/bin/sh", {"sh"}}, {"/usr/bin/Node", {"node", "npm", "ci"}}};

TEST(Explain, ShowsEachPartAsItIsWritten) {
  const auto rules = one_rule(
      "is_read &&  // a comment\n  !path.startsWith( \"/etc\" ) && (flags == -1 || is_write)");
  EXPECT_THAT(lines_of(explain(rules, test::open("/Srv/x", kChain).record())),
              ElementsAre("0 false is_read && !path.startsWith( \"/etc\" ) && (flags == -1 || "
                          "is_write)",
                          "1 true is_read", "1 true !path.startsWith( \"/etc\" )",
                          "2 false path.startsWith( \"/etc\" ) [path is \"/srv/x\"]",
                          "1 false flags == -1 || is_write", "2 false flags == -1 [flags is 0]",
                          "2 false is_write"));
}

TEST(Explain, NamesTheElementThatMadeItTrue) {
  const auto rules = one_rule(
      "process.ancestors.exists(p, p.exec_path.endsWith(\"/node\") && p.argv.exists(a, a == "
      "\"ci\"))");
  const Explanation explanation = explain(rules, test::open("/a", kChain).record());
  EXPECT_TRUE(explanation.fires);
  const auto lines = lines_of(explanation);
  EXPECT_THAT(lines[0], HasSubstr("[p is /usr/bin/node npm ci]"));
  EXPECT_EQ(lines[2], "2 true p.exec_path.endsWith(\"/node\") [p.exec_path is \"/usr/bin/node\"]");
  EXPECT_EQ(lines[3], "2 true p.argv.exists(a, a == \"ci\") [a is \"ci\"]");
}

TEST(Explain, SaysThatNoElementDidAndWhichCameClosest) {
  const auto rules = one_rule(
      "process.ancestors.exists(p, p.exec_path.endsWith(\"/node\") && p.argv.exists(a, a == "
      "\"install\"))");
  const auto lines = lines_of(explain(rules, test::open("/a", kChain).record()));
  EXPECT_THAT(lines[0], HasSubstr("[none of 2: /bin/sh, /usr/bin/node npm ci; closest, p is "
                                  "/usr/bin/node npm ci]"));
  EXPECT_EQ(lines[3],
            "2 false p.argv.exists(a, a == \"install\") [none of 3: \"node\", \"npm\", \"ci\"]");
  EXPECT_THAT(lines_of(explain(one_rule("list.none.exists(x, x == path)"),
                               test::open("/a", kChain).record())),
              ElementsAre("0 false list.none.exists(x, x == path) [the list is empty]"));
}

TEST(Explain, KnowsTheExtendedLanguage) {
  auto rules = one_rule(
      "path.matches(r\"^/s\") && path in list.none || size(path) > 2 && step.id == \"b\" || "
      "process.uid == int(path) || process.argv.all(a, a == \"x\")");
  rules.rule_sets[0].language = RuleLanguage::kExtended;
  test::Event event = test::open("/srv", kChain);
  event.step(std::make_shared<Step>(Step{"b", "Build"}));
  const Explanation explanation = explain(rules, event.record());
  EXPECT_TRUE(explanation.fires);
  const auto lines = lines_of(explanation);
  EXPECT_THAT(
      lines,
      testing::IsSupersetOf(
          {"2 true path.matches(r\"^/s\") [path is \"/srv\"]",
           "2 false path in list.none [path is \"/srv\", list.none is a list of 0]",
           "2 true size(path) > 2 [size(path) is 4]", "2 true step.id == \"b\" [step.id is \"b\"]",
           "1 unknown process.uid == int(path) [process.uid is 0, int(path) is an error]",
           "1 false process.argv.all(a, a == \"x\") [process.argv is a list of 2]"}));
}

TEST(Explain, ExceptionsCountAndHaveTheirPlace) {
  const auto rules = one_rule("is_read", "path == \"/a\"");
  const Explanation explanation = explain(rules, test::open("/a", kChain).record());
  EXPECT_FALSE(explanation.fires);
  ASSERT_THAT(explanation.conditions, SizeIs(2));
  EXPECT_EQ(explanation.conditions[0].verdict, Verdict::kTrue);
  EXPECT_EQ(explanation.conditions[1].role, "exceptions");
  EXPECT_EQ(explanation.conditions[1].place.line, 9);
  EXPECT_EQ(explanation.conditions[1].verdict, Verdict::kTrue);
}

TEST(Explain, SaysWhyTheRuleDoesNotLookAtTheEvent) {
  auto rules = one_rule("is_read");
  EXPECT_THAT(explain(rules, test::exec(kChain).record()).why_not_evaluated,
              HasSubstr("looks at file_open, the event is a process_exec"));
  test::Event failed = test::open("/a", kChain);
  failed.text(field::file_open::kError, "ENOENT");
  const Explanation explanation = explain(rules, failed.record());
  EXPECT_FALSE(explanation.fires);
  EXPECT_THAT(explanation.why_not_evaluated, HasSubstr("the open failed"));
  Rule& rule = rules.rule_sets[0].rules[0];
  rule.target = RuleTarget{{{"", "team/"}}, {}};
  const NamedRule named = {&rules.rule_sets[0], &rule};
  const test::Event event = test::open("/a", kChain);
  EXPECT_TRUE(explain_event(rules, named, event.record(), RuleScope{"h", "team/x"}).fires);
  EXPECT_THAT(explain_event(rules, named, event.record(), RuleScope{"h", "o"}).why_not_evaluated,
              HasSubstr("not meant for the project o"));
}

TEST(Explain, NestedListsOfAnyLengthEnd) {
  std::vector<std::string> argv(20'000, "x");
  const auto rules = one_rule(
      "process.argv.exists(a, process.argv.exists(b, process.argv.exists(c, a == \"y\")))");
  const Explanation explanation = explain(rules, test::open("/a", {{"/x", argv}}).record());
  EXPECT_FALSE(explanation.fires);
  EXPECT_TRUE(explanation.conditions[0].is_exhausted);
  EXPECT_EQ(explanation.conditions[0].verdict, Verdict::kUnknown);
}

TEST(Explain, ChoosesTheEventOfAJob) {
  const auto rules = one_rule("is_write");
  const NamedRule named = {&rules.rule_sets[0], &rules.rule_sets[0].rules[0]};
  const test::Event other = test::exec(kChain);
  const test::Event quiet = test::open("/a", kChain);
  const test::Event firing = test::open("/b", kChain, true);
  const auto chosen = [&](std::vector<TestEvent> job) {
    return std::size_t(&event_to_explain(rules, named, job, std::nullopt) - job.data());
  };
  EXPECT_EQ(chosen({{other.record()}, {quiet.record()}, {firing.record()}}), 2u);
  EXPECT_EQ(chosen({{other.record()}, {quiet.record()}, {quiet.record()}}), 1u);
  EXPECT_EQ(chosen({{other.record()}, {other.record()}}), 0u);
}

TEST(Explain, Correlations) {
  LoadedRules rules = load_rules_from_text(R"(
rule_sets:
- ruleset_id: s
  rules:
  - {rule_id: a, event_type: file_open, condition: is_read, action: collect}
  - {rule_id: b, event_type: file_open, condition: is_write, action: collect}
  - {rule_id: c, type: correlation, action: detect,
     condition: "rule.a.total_count >= 2 &&\n rule.b.total_count == 0"}
)",
                                           "f");
  ASSERT_THAT(rules.diagnostics, IsEmpty());
  const NamedRule named = {&rules.rule_sets[0], &rules.rule_sets[0].rules[2]};
  const test::Event read = test::open("/a", kChain);
  const test::Event write = test::open("/a", kChain, true);
  const std::vector<TestEvent> job = {{read.record(), 3, {}}, {write.record(), 1, {}}};
  const ExplainedCorrelation out = explain_correlation(rules, named, job, std::nullopt);
  EXPECT_EQ(out.fires_at, 2u);
  EXPECT_EQ(out.events, 4u);
  EXPECT_EQ(out.condition, "rule.a.total_count >= 2 && rule.b.total_count == 0");
  ASSERT_THAT(out.counts, SizeIs(2));
  EXPECT_EQ(out.counts[0].count, 3u);
  EXPECT_EQ(out.counts[1].count, 1u);
}

// Whether a rule with this condition fires; nothing when it is none.
std::optional<bool> fires(const std::string& condition, const EventRecord& record) {
  const CompileResult compiled = compile(one_rule(condition, "", record.type).rule_sets);
  if (compiled.program == nullptr) return std::nullopt;
  return !make_evaluator(compiled.program)->evaluate(record).empty();
}

// The verdict of the whole is the evaluator's, and so is that of every part that is a condition by
// itself, compiled anew from the text that is shown for it.
TEST(Explain, AgreesWithTheEvaluatorOnRandomRulesAndEvents) {
  int fired = 0;
  int parts = 0;
  for (std::uint32_t round = 0; round < 400; ++round) {
    test::Maker maker(round);
    const test::Event event = maker.event();
    const EventRecord& record = event.record();
    maker.use(record.type);
    const auto rules = one_rule(maker.condition(1 + maker.pick(4)),
                                maker.pick(3) == 0 ? maker.condition(2) : "", record.type);
    const Explanation explanation = explain(rules, record);
    bool expected = true;
    for (const ExplainedCondition& condition : explanation.conditions) {
      ASSERT_NE(condition.verdict, Verdict::kUnknown);
      const bool is_condition = condition.role == "condition";
      expected = expected && (condition.verdict == Verdict::kTrue) == is_condition;
      for (const ExplainedPart& part : condition.parts) {
        const auto alone = fires(part.source, record);
        if (!alone) continue;  // it needs a variable from around it
        ++parts;
        ASSERT_EQ(*alone, part.verdict == Verdict::kTrue)
            << part.source << " of " << rules.rule_sets[0].rules[0].condition.text;
      }
    }
    fired += expected ? 1 : 0;
    ASSERT_EQ(explanation.fires, expected) << rules.rule_sets[0].rules[0].condition.text;
  }
  EXPECT_GT(fired, 40);
  EXPECT_LT(fired, 360);
  EXPECT_GT(parts, 1000);
}

}  // namespace
}  // namespace cicd
