// SPDX-License-Identifier: Apache-2.0
#include "rule/modifiers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rule/program.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kRules = R"(rule_sets:
- ruleset_id: s
  lists: {tools: [/usr/bin/git]}
  rules:
  - {rule_id: a, event_type: file_open, condition: is_read, action: detect, exceptions: path == "/x"}
  - {rule_id: b, event_type: file_open, condition: is_read, action: collect, max_alerts: 3}
- ruleset_id: other
  rules:
  - {rule_id: a, event_type: file_open, condition: is_read, action: detect}
---
)";

LoadedRules load(const std::string& modifiers) {
  return load_rules_from_text(kRules + modifiers, "t.yaml");
}

CompileResult compile_all(const LoadedRules& loaded, const std::string& project = "acme/app") {
  CompileOptions options;
  options.scope = RuleScope{"github.com", project};
  options.modifiers = loaded.rule_modifiers;
  CompileResult out = compile(loaded.rule_sets, options);
  out.diagnostics.insert(out.diagnostics.begin(), loaded.diagnostics.begin(),
                         loaded.diagnostics.end());
  return out;
}

std::vector<std::string> mistakes(const std::string& modifiers) {
  std::vector<std::string> out;
  for (const Diagnostic& diagnostic : compile_all(load(modifiers)).diagnostics) {
    out.push_back(diagnostic.format());
  }
  return out;
}

std::string name_of_rule(const CompiledRule& rule) {
  return rule.ruleset_id + "/" + rule.rule.rule_id;
}

// The rules that are in the program, each with its action and its cap.
std::vector<std::string> rules(const std::string& modifiers,
                               const std::string& project = "acme/app") {
  const CompileResult compiled = compile_all(load(modifiers), project);
  std::vector<std::string> out;
  for (const Diagnostic& diagnostic : compiled.diagnostics) out.push_back(diagnostic.format());
  if (compiled.program == nullptr) return out;
  for (const CompiledRule& rule : compiled.program->rules()) {
    out.push_back(name_of_rule(rule) + " " + std::string(name_of(rule.rule.action)) + " " +
                  std::to_string(rule.max_alerts));
  }
  return out;
}

// The rules that fire when `program` reads `path`.
std::vector<std::string> fired(const std::string& modifiers, const std::string& path,
                               const std::string& program = "/usr/bin/cat") {
  const CompileResult compiled = compile_all(load(modifiers));
  std::vector<std::string> out;
  for (const Diagnostic& diagnostic : compiled.diagnostics) out.push_back(diagnostic.format());
  if (compiled.program == nullptr) return out;
  const test::Event event = test::open(path, {{program, {program}}});
  const std::unique_ptr<Evaluator> evaluator = make_evaluator(compiled.program);
  for (const std::uint32_t index : evaluator->evaluate(event.record())) {
    out.push_back(name_of_rule(compiled.program->rules()[index]));
  }
  return out;
}

TEST(Modifiers, ReadsEverythingAModifierMayHave) {
  const LoadedRules loaded = load(R"(rule_modifiers:
- modifier_id: m
  description: why
  targets:
  - {ruleset_id: s, rule_id: b}
  - ruleset_id: other
  disable: false
  override_action: terminate
  override_max_alerts: 100
  add_exceptions: path == "/y"
  add_target_exclude: [{provider_host: gitlab.com}, {path: acme/}]
)");
  EXPECT_THAT(loaded.diagnostics, IsEmpty());
  ASSERT_EQ(loaded.rule_modifiers.size(), 1u);
  const RuleModifier& modifier = loaded.rule_modifiers[0];
  EXPECT_EQ(modifier.modifier_id, "m");
  ASSERT_EQ(modifier.targets.size(), 2u);
  EXPECT_EQ(modifier.targets[0].rule_id, "b");
  EXPECT_EQ(modifier.targets[1].ruleset_id, "other");
  EXPECT_EQ(modifier.targets[1].rule_id, "");
  EXPECT_FALSE(modifier.disable);
  EXPECT_EQ(modifier.override_action, RuleAction::kTerminate);
  EXPECT_EQ(modifier.override_max_alerts, 100);
  ASSERT_EQ(modifier.add_exceptions.size(), 1u);
  ASSERT_EQ(modifier.add_target_exclude.size(), 2u);
  EXPECT_EQ(modifier.add_target_exclude[0].provider_host, "gitlab.com");
}

TEST(Modifiers, WithoutOneNothingChanges) {
  EXPECT_THAT(rules(""), ElementsAre("s/a detect 10", "s/b collect 3", "other/a detect 10"));
  EXPECT_THAT(rules("rule_modifiers:\n"), testing::SizeIs(3));
  EXPECT_THAT(fired("", "/y"), ElementsAre("s/a", "s/b", "other/a"));
  EXPECT_THAT(fired("", "/x"), ElementsAre("s/b", "other/a"));
}

TEST(Modifiers, DisableTakesARuleOrAWholeSetOut) {
  EXPECT_THAT(rules("rule_modifiers: [{modifier_id: m, disable: true, targets: [{ruleset_id: s, "
                    "rule_id: a}]}]"),
              ElementsAre("s/b collect 3", "other/a detect 10"));
  EXPECT_THAT(
      rules("rule_modifiers: [{modifier_id: m, disable: true, targets: [{ruleset_id: s}]}]"),
      ElementsAre("other/a detect 10"));
  EXPECT_THAT(fired("rule_modifiers: [{modifier_id: m, disable: true, targets: [{ruleset_id: s}, "
                    "{ruleset_id: other}]}]",
                    "/y"),
              IsEmpty());
}

TEST(Modifiers, OverridesApplyInOrderAndTheLastOneWins) {
  EXPECT_THAT(rules("rule_modifiers:\n"
                    "- {modifier_id: m, override_action: terminate, override_max_alerts: 7, "
                    "targets: [{ruleset_id: s}]}\n"
                    "- {modifier_id: n, override_max_alerts: 1, targets: [{ruleset_id: s, rule_id: "
                    "b}]}\n"
                    "- {modifier_id: o, override_action: detect, targets: [{ruleset_id: s, "
                    "rule_id: b}]}\n"),
              ElementsAre("s/a terminate 7", "s/b detect 1", "other/a detect 10"));
}

TEST(Modifiers, AddedExceptionsAreOredToThoseThatAreThere) {
  const std::string two =
      "rule_modifiers:\n"
      "- {modifier_id: m, targets: [{ruleset_id: s}], add_exceptions: 'path == \"/y\"'}\n"
      "- {modifier_id: n, targets: [{ruleset_id: s, rule_id: b}], add_exceptions: "
      "'list.tools.exists(t, t == process.exec_path)'}\n";
  EXPECT_THAT(fired(two, "/z"), ElementsAre("s/a", "s/b", "other/a"));
  EXPECT_THAT(fired(two, "/x"), ElementsAre("s/b", "other/a"));
  EXPECT_THAT(fired(two, "/y"), ElementsAre("other/a"));
  EXPECT_THAT(fired(two, "/z", "/usr/bin/git"), ElementsAre("s/a", "other/a"));
}

TEST(Modifiers, TargetsAreExcludedBeforeTheyAreLookedAt) {
  const std::string text =
      "rule_modifiers: [{modifier_id: m, targets: [{ruleset_id: s, rule_id: a}], "
      "add_target_exclude: [{provider_host: github.com, path: acme/}]}]";
  EXPECT_THAT(rules(text), ElementsAre("s/b collect 3", "other/a detect 10"));
  EXPECT_THAT(rules(text, "free/app"), testing::SizeIs(3));
}

TEST(Modifiers, ARuleNamedTwiceIsChangedOnce) {
  const LoadedRules loaded = load(
      "rule_modifiers: [{modifier_id: m, targets: [{ruleset_id: s}, {ruleset_id: s, rule_id: a}], "
      "add_exceptions: is_write}]");
  std::vector<RuleSet> sets = loaded.rule_sets;
  std::vector<Diagnostic> diagnostics;
  apply_modifiers(loaded.rule_modifiers, sets, diagnostics);
  EXPECT_THAT(diagnostics, IsEmpty());
  EXPECT_EQ(sets[0].rules[0].added_exceptions.size(), 1u);
  EXPECT_EQ(sets[1].rules[0].added_exceptions.size(), 0u);
}

TEST(Modifiers, WhatNamesNothingIsAWarningAtItsPlace) {
  EXPECT_THAT(mistakes("rule_modifiers:\n- modifier_id: m\n  disable: true\n  targets:\n"
                       "  - ruleset_id: gone\n  - {ruleset_id: s, rule_id: c}\n"),
              ElementsAre("t.yaml:15:5: warning: there is no rule set \"gone\" here, so this "
                          "target changes nothing",
                          "t.yaml:16:30: warning: rule set \"s\" has no rule \"c\", so this target "
                          "changes nothing"));
  EXPECT_THAT(mistakes("rule_modifiers:\n- {modifier_id: m, disable: true, targets: []}\n"),
              ElementsAre(HasSubstr("12:3: warning: the modifier has no targets")));
  EXPECT_THAT(mistakes("rule_modifiers:\n- {modifier_id: m, targets: [{ruleset_id: s}]}\n"),
              ElementsAre(HasSubstr("12:3: warning: the modifier changes nothing; give it")));
}

TEST(Modifiers, OfTwoWithOneIdTheFirstIsUsed) {
  const std::string text =
      "rule_modifiers:\n"
      "- {modifier_id: m, override_max_alerts: 1, targets: [{ruleset_id: other}]}\n"
      "- {modifier_id: m, override_max_alerts: 2, targets: [{ruleset_id: other}]}\n";
  EXPECT_THAT(rules(text), ElementsAre(HasSubstr("13:17: warning: modifier \"m\" was there before"),
                                       "s/a detect 10", "s/b collect 3", "other/a detect 1"));
}

TEST(Modifiers, MistakesHaveTheirPlace) {
  const auto of = [](const std::string& body) {
    return mistakes("rule_modifiers:\n- {targets: [{ruleset_id: s}], " + body + "}\n");
  };
  EXPECT_THAT(of("disable: true"), ElementsAre(HasSubstr("12:3: error: the modifier has no "
                                                         "modifier_id")));
  EXPECT_THAT(of("modifier_id: m, disable: 1"),
              ElementsAre(HasSubstr("12:57: error: disable must be true or false")));
  EXPECT_THAT(of("modifier_id: m, override_action: kill"),
              ElementsAre(HasSubstr("12:65: error: unknown override_action \"kill\"; allowed: "
                                    "detect, collect, terminate")));
  for (const char* number : {"0", "101", "-1", "ten", "\"5\"", "[5]", "1.5", "99999999999"}) {
    EXPECT_THAT(of("modifier_id: m, override_max_alerts: " + std::string(number)),
                ElementsAre(HasSubstr("error: override_max_alerts must be a whole number from 1 "
                                      "to 100")))
        << number;
  }
  EXPECT_THAT(of("modifier_id: m, disable: true, add_exeptions: x"),
              ElementsAre(HasSubstr("12:63: warning: unknown key \"add_exeptions\" is ignored")));
  EXPECT_THAT(of("modifier_id: m, add_target_exclude: [{}]"),
              ElementsAre(HasSubstr("needs provider_host or path")));
  EXPECT_THAT(
      mistakes("rule_modifiers: [{modifier_id: m, disable: true, targets: [{rule_id: a}]}]"),
      ElementsAre(HasSubstr("an entry of targets needs ruleset_id")));
  EXPECT_THAT(mistakes("rule_modifiers: [3]"),
              ElementsAre(HasSubstr("an entry of rule_modifiers must be a map")));
  EXPECT_THAT(mistakes("rule_modifiers: x"),
              ElementsAre(HasSubstr("rule_modifiers must be a list")));
}

TEST(Modifiers, AMistakeInAnExceptionIsAtItsPlaceAndNamesTheRule) {
  EXPECT_THAT(mistakes("rule_modifiers:\n- modifier_id: m\n  targets: [{ruleset_id: s, rule_id: "
                       "b}]\n  add_exceptions: |\n    is_read ||\n    pth == \"/x\"\n"),
              ElementsAre(HasSubstr("t.yaml:16:5: error: unknown name pth; file_open has: path")));
  // A rule that is taken out is checked all the same.
  EXPECT_THAT(mistakes("rule_modifiers: [{modifier_id: m, disable: true, targets: [{ruleset_id: s, "
                       "rule_id: a}], add_exceptions: remote_port == 1}]"),
              ElementsAre(testing::EndsWith("(rule a)")));
}

TEST(Modifiers, WholeSetsTimesLongExceptionsAreRefused) {
  std::string text = "rule_sets:\n- ruleset_id: many\n  rules:\n";
  for (int i = 0; i < 200; ++i) {
    text += "  - {rule_id: r" + std::to_string(i) +
            ", event_type: file_open, condition: is_read, action: detect}\n";
  }
  text +=
      "---\nrule_modifiers:\n- modifier_id: m\n  targets: [{ruleset_id: many}]\n"
      "  add_exceptions: path == \"" +
      std::string(1u << 20, 'x') + "\"\n";
  const LoadedRules loaded = load_rules_from_text(text, "t.yaml");
  std::vector<RuleSet> sets = loaded.rule_sets;
  std::vector<Diagnostic> diagnostics;
  apply_modifiers(loaded.rule_modifiers, sets, diagnostics);
  ASSERT_EQ(diagnostics.size(), 1u);
  EXPECT_THAT(diagnostics[0].format(),
              HasSubstr("t.yaml:206:16: error: the modifiers change too many rules by too much"));
}

TEST(MonitorMode, TakesTerminateAwayAfterTheModifiers) {
  const LoadedRules loaded = load(R"(rule_modifiers:
- modifier_id: m
  targets: [{ruleset_id: s, rule_id: a}]
  override_action: terminate
)");
  CompileOptions options;
  options.modifiers = loaded.rule_modifiers;
  const auto actions = [&] {
    std::vector<std::string_view> out;
    const CompileResult compiled = compile(loaded.rule_sets, options);
    for (const CompiledRule& rule : compiled.program->rules()) {
      out.push_back(name_of(rule.rule.action));
    }
    return out;
  };
  EXPECT_THAT(actions(), ElementsAre("terminate", "collect", "detect"));
  options.monitor_mode = true;
  EXPECT_THAT(actions(), ElementsAre("detect", "collect", "detect"));
}

}  // namespace
}  // namespace cicd
