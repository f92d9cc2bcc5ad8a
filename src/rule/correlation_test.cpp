// SPDX-License-Identifier: Apache-2.0
#include "rule/correlation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rule/program.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Rules a and b, index 0 and 1, and what `more` adds to their set. Line 5 is the first of `more`.
std::string file_of(const std::string& more) {
  return "rule_sets:\n- ruleset_id: s\n  rules:\n"
         "  - {rule_id: a, event_type: file_open, condition: is_read, action: collect}\n"
         "  - {rule_id: b, event_type: network_connect, condition: remote_port == 22, action: "
         "collect}\n" +
         more;
}
std::string correlation(const std::string& condition, const std::string& more = "") {
  return "  - {rule_id: c, type: correlation, action: detect, condition: '" + condition + "'" +
         more + "}\n";
}

CompileResult compile_text(const std::string& text) {
  const LoadedRules loaded = load_rules_from_text(text, "t.yaml");
  CompileOptions options;
  options.modifiers = loaded.rule_modifiers;
  CompileResult out = compile(loaded.rule_sets, options);
  out.diagnostics.insert(out.diagnostics.begin(), loaded.diagnostics.begin(),
                         loaded.diagnostics.end());
  return out;
}

std::vector<std::string> mistakes(const std::string& more) {
  std::vector<std::string> out;
  for (const Diagnostic& diagnostic : compile_text(file_of(more)).diagnostics) {
    out.push_back(diagnostic.format());
  }
  return out;
}

// After which event the correlation fired: a word of events, each letter the rules it hits ('x':
// a and b at once). 0: never.
std::size_t fires_at(const std::string& condition, const std::string& events,
                     const std::string& more = "") {
  const CompileResult compiled = compile_text(file_of(correlation(condition, more)));
  if (compiled.program == nullptr) {
    ADD_FAILURE() << compiled.diagnostics.at(0).format();
    return 0;
  }
  CorrelationState state(compiled.program);
  const EventRecord record;
  std::size_t at = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    std::vector<std::uint32_t> hits;
    if (events[i] == 'a' || events[i] == 'x') hits.push_back(0);
    if (events[i] == 'b' || events[i] == 'x') hits.push_back(1);
    for (const std::uint32_t rule : state.count(record, hits)) {
      EXPECT_EQ(rule, 2u);
      EXPECT_EQ(at, 0u) << "fired twice";
      at = i + 1;
    }
  }
  return at;
}

TEST(Correlation, ComparesCounts) {
  EXPECT_EQ(fires_at("rule.a.total_count > 2", "aabaaa"), 4u);
  EXPECT_EQ(fires_at("rule.a.total_count >= 2", "aaa"), 2u);
  EXPECT_EQ(fires_at("rule.a.total_count == 3", "aaaa"), 3u);
  EXPECT_EQ(fires_at("rule.a.total_count != 1", "aa"), 2u);
  EXPECT_EQ(fires_at("2 < rule.a.total_count", "aaaa"), 3u);
  EXPECT_EQ(fires_at("rule.a.total_count <= 1", "a"), 1u);
  EXPECT_EQ(fires_at("rule.a.total_count == rule.b.total_count", "aab.b"), 5u);
  EXPECT_EQ(fires_at("rule[\"a\"].total_count > 1", "aa"), 2u);
  EXPECT_EQ(fires_at("rule.a.total_count > 5", "aaaa"), 0u);
}

TEST(Correlation, AddsSubtractsAndChooses) {
  EXPECT_EQ(fires_at("rule.a.total_count + rule.b.total_count >= 3", "abab"), 3u);
  EXPECT_EQ(fires_at("rule.a.total_count - rule.b.total_count == 2", "abaaa"), 4u);
  EXPECT_EQ(fires_at("10 - rule.a.total_count - 3 - 4 == 1", "aaaa"), 2u);
  EXPECT_EQ(fires_at("10 - (rule.a.total_count - 3) == 11", "aaaa"), 2u);
  EXPECT_EQ(fires_at("-rule.a.total_count < -1", "aaa"), 2u);
  // Kinds of credentials that were read, however often each.
  const std::string kinds =
      "(rule.a.total_count > 0 ? 1 : 0) + (rule.b.total_count > 0 ? 1 : 0) >= 2";
  EXPECT_EQ(fires_at(kinds, "aaaab"), 5u);
  EXPECT_EQ(fires_at(kinds, "x"), 1u);
  EXPECT_EQ(fires_at("rule.a.total_count > 1 ? rule.b.total_count > 0 : false", "abba"), 4u);
  EXPECT_EQ(fires_at("9223372036854775807 + rule.a.total_count > 0", "a"), 1u) << "overflow";
  EXPECT_EQ(fires_at("-9223372036854775807 - rule.a.total_count - 9 < 0", "a"), 1u);
}

TEST(Correlation, Logic) {
  EXPECT_EQ(fires_at("rule.a.total_count > 0 && rule.b.total_count > 1", "bba"), 3u);
  EXPECT_EQ(fires_at("rule.a.total_count > 1 || rule.b.total_count > 1", "abab"), 3u);
  EXPECT_EQ(fires_at("!(rule.a.total_count < 2)", "aa"), 2u);
  EXPECT_EQ(fires_at("(rule.a.total_count > 1) == (rule.b.total_count > 1)", "."), 0u)
      << "true from the start, but no count changed";
  EXPECT_EQ(fires_at("rule.a.total_count > 0 == true", "a"), 1u);
}

TEST(Correlation, ExceptionsKeepItFromFiring) {
  EXPECT_EQ(fires_at("rule.a.total_count > 0", "ba", ", exceptions: rule.b.total_count > 0"), 0u);
  // The count of an exception changes too: it is looked at again.
  EXPECT_EQ(fires_at("rule.a.total_count > 0", "aab", ", exceptions: rule.b.total_count < 1"), 3u);
}

TEST(Correlation, LooksOnlyWhenACountItNamesChangedAndNotAfterItFired) {
  const CompileResult compiled = compile_text(file_of(correlation("rule.a.total_count > 1")));
  ASSERT_NE(compiled.program, nullptr);
  CorrelationState state(compiled.program);
  const std::vector<std::uint32_t> a{0}, b{1};
  const EventRecord record;
  for (int i = 0; i < 10; ++i) state.count(record, b);
  EXPECT_EQ(state.evaluations(), 0u);
  for (int i = 0; i < 10; ++i) state.count(record, a);
  EXPECT_EQ(state.evaluations(), 2u);
  EXPECT_THAT(CorrelationState(nullptr).count(record, a), IsEmpty());
}

TEST(Correlation, CountsWhatAnEvaluatorFinds) {
  const CompileResult compiled = compile_text(
      file_of(correlation("rule.a.total_count > 0 && rule.b.total_count > 0") +
              "  - {rule_id: d, type: correlation, action: detect, condition: rule.b.total_count > "
              "0}\n"));
  ASSERT_NE(compiled.program, nullptr);
  ASSERT_THAT(compiled.program->rules(), SizeIs(4));
  const std::unique_ptr<Evaluator> evaluator = make_evaluator(compiled.program);
  CorrelationState state(compiled.program);
  const auto fired = [&](const test::Event& event) {
    const std::span<const std::uint32_t> out =
        state.count(event.record(), evaluator->evaluate(event.record()));
    return std::vector<std::uint32_t>(out.begin(), out.end());
  };
  const std::vector<test::Program> cat{{"/bin/cat", {"cat"}}};
  EXPECT_THAT(fired(test::open("/x", cat)), IsEmpty());
  EXPECT_THAT(fired(test::connect("10.0.0.1", 80, cat)), IsEmpty());
  EXPECT_THAT(fired(test::connect("10.0.0.1", 22, cat)), ElementsAre(2u, 3u));
  EXPECT_THAT(fired(test::connect("10.0.0.1", 22, cat)), IsEmpty());
}

TEST(Correlation, RulesThatAreNotInTheProgramCountNothing) {
  const std::string off =
      "---\nrule_modifiers: [{modifier_id: m, disable: true, targets: [{ruleset_id: s, rule_id: "
      "a}]}]\n";
  const CompileResult compiled =
      compile_text(file_of(correlation("rule.a.total_count == 0 && rule.b.total_count > 0")) + off);
  ASSERT_NE(compiled.program, nullptr);
  ASSERT_THAT(compiled.program->rules(), SizeIs(2));
  CorrelationState state(compiled.program);
  EXPECT_THAT(state.count(EventRecord{}, std::vector<std::uint32_t>{0}), ElementsAre(1u))
      << "b is rule 0 now";
  const std::string all_off =
      "---\nrule_modifiers: [{modifier_id: m, disable: true, targets: [{ruleset_id: s, rule_id: "
      "c}]}]\n";
  EXPECT_THAT(compile_text(file_of(correlation("rule.a.total_count > 0")) + all_off)
                  .program->correlations(),
              IsEmpty());
}

TEST(Correlation, MistakesHaveTheirPlaceAndSayWhatIsAllowed) {
  const auto of = [](const std::string& condition) { return mistakes(correlation(condition)); };
  EXPECT_THAT(of("rule.zz.total_count > 1"),
              ElementsAre("t.yaml:6:70: error: this rule set has no rule zz (rule c)"));
  EXPECT_THAT(
      of("rule.c.total_count > 1"),
      ElementsAre(HasSubstr("c is a correlation itself; a correlation counts event rules")));
  EXPECT_THAT(of("rule.a.count > 1"), ElementsAre(HasSubstr("a rule has no count here; it has")));
  EXPECT_THAT(of("rule.a > 1"), ElementsAre(HasSubstr("6:70: error: this is not a count; a corr")));
  EXPECT_THAT(of("1 < 2"), ElementsAre(HasSubstr("a correlation must name a rule")));
  EXPECT_THAT(of("rule.a.total_count"), ElementsAre(HasSubstr("this is a number; compare it")));
  EXPECT_THAT(of("rule.a.total_count * 2 > 3"), ElementsAre(HasSubstr("* / % are not allowed")));
  EXPECT_THAT(of("rule.a.total_count % 2 == 0"), ElementsAre(HasSubstr("* / % are not allowed")));
  EXPECT_THAT(of("path == \"/x\""), ElementsAre(HasSubstr("unknown name path; a correlation has"),
                                                HasSubstr("text is not a value here")));
  EXPECT_THAT(of("size(rule.a.total_count) > 1"), ElementsAre(HasSubstr("size() is not allowed")));
  EXPECT_THAT(of("rule.exists(r, true)"), ElementsAre(HasSubstr("exists() is not allowed")));
  EXPECT_THAT(of("rule.a.total_count && true"),
              ElementsAre(HasSubstr("&& needs true or false, this is a number")));
  EXPECT_THAT(of("rule.a.total_count + true > 1"),
              ElementsAre(HasSubstr("+ needs numbers, this is true or false")));
  EXPECT_THAT(of("rule.a.total_count == true"), ElementsAre(HasSubstr("cannot be compared")));
  EXPECT_THAT(of("rule.a.total_count > 0 ? 1 : false"),
              ElementsAre(HasSubstr("both sides of the :")));
  EXPECT_THAT(of("rule.a.total_count >"), ElementsAre(HasSubstr("expected a value")));
  EXPECT_THAT(of("rule[1].total_count > 1"), ElementsAre(HasSubstr("this is not a count")));
}

TEST(Correlation, EventRulesStillRefuseItsLanguage) {
  const auto of = [](const std::string& condition) {
    return mistakes("  - {rule_id: e, event_type: file_open, action: detect, condition: '" +
                    condition + "'}\n");
  };
  EXPECT_THAT(of("flags + 1 == 2"), ElementsAre(HasSubstr("arithmetic (+ - * / %) is not")));
  EXPECT_THAT(of("process.argv[0] == \"x\""), ElementsAre(HasSubstr("indexing with []")));
  EXPECT_THAT(of("rule.a.total_count > 1"), ElementsAre(HasSubstr("unknown name rule")));
}

TEST(Correlation, DeepAndLongConditionsEnd) {
  std::string deep, wide = "rule.a.total_count";
  for (int i = 0; i < 300; ++i) deep += "true ? ";
  for (int i = 0; i < 300; ++i) wide += " + rule.a.total_count";
  EXPECT_THAT(mistakes(correlation(deep)), SizeIs(1));
  EXPECT_THAT(mistakes(correlation(wide + " > 1")), ElementsAre(HasSubstr("deeper than 250")));
}

}  // namespace
}  // namespace cicd
