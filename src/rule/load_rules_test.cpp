// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "rule/program.h"
#include "rule/rule_set.h"

namespace cicd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

LoadedRules load(const std::string& text) { return load_rules_from_text(text, "t.yaml"); }

std::vector<std::string> texts(const std::vector<Diagnostic>& diagnostics) {
  std::vector<std::string> out;
  for (const Diagnostic& diagnostic : diagnostics) out.push_back(diagnostic.format());
  return out;
}

// A file of one rule; `more` is added to the rule.
std::string rule_file(const std::string& more) {
  return "rule_sets:\n  - ruleset_id: s\n    rules:\n      - rule_id: r\n        event_type: "
         "file_open\n        condition: is_read\n        action: detect\n" +
         more;
}

// What stands behind "error: " or "warning: " of the one diagnostic there is.
std::string only(const std::string& text) {
  const LoadedRules loaded = load(text);
  if (loaded.diagnostics.size() != 1) {
    return std::to_string(loaded.diagnostics.size()) +
           " diagnostics: " + testing::PrintToString(texts(loaded.diagnostics));
  }
  return loaded.diagnostics[0].format();
}

TEST(LoadRules, ReadsEverythingARuleMayHave) {
  const LoadedRules loaded = load(R"(---
rule_sets:
  - ruleset_id: first set
    revision: ignored
    lists: {tools: [/bin/a, "/bin/b"], none: }
    rules:
      - rule_id: _a1
        rule_name: Name
        description: Text
        type: event
        event_type: network_connect
        condition: remote_port == 22
        exceptions: remote_ip == "127.0.0.1"
        action: terminate
        max_alerts: 3
        tags: {tactic: x, number: 7}
        target:
          include: [{provider_host: github.com, path: acme/}]
          exclude: [{path: acme/test}]
---
---
rule_sets: [{ruleset_id: second, rules: []}]
)");
  ASSERT_THAT(texts(loaded.diagnostics), IsEmpty());
  ASSERT_EQ(loaded.rule_sets.size(), 2u);
  const RuleSet& set = loaded.rule_sets[0];
  EXPECT_EQ(set.ruleset_id, "first set");
  EXPECT_EQ(set.revision.substr(0, 7), "sha256:");
  EXPECT_EQ(set.revision.size(), 7u + 64u);
  EXPECT_THAT(set.lists.at("tools"), ElementsAre("/bin/a", "/bin/b"));
  EXPECT_THAT(set.lists.at("none"), IsEmpty());
  ASSERT_EQ(set.rules.size(), 1u);
  const Rule& rule = set.rules[0];
  EXPECT_EQ(rule.rule_id, "_a1");
  EXPECT_EQ(rule.rule_name, "Name");
  EXPECT_EQ(rule.description, "Text");
  EXPECT_EQ(rule.event_type, EventType::kNetworkConnect);
  EXPECT_EQ(rule.condition.text, "remote_port == 22");
  ASSERT_TRUE(rule.exceptions.has_value());
  EXPECT_EQ(rule.action, RuleAction::kTerminate);
  EXPECT_EQ(rule.max_alerts, 3);
  EXPECT_EQ(rule.tags.at("number"), "7");
  ASSERT_TRUE(rule.target.has_value());
  EXPECT_TRUE(rule.target->matches("github.com", "acme/app"));
  EXPECT_FALSE(rule.target->matches("github.com", "acme/test-2"));
  EXPECT_FALSE(rule.target->matches("gitlab.com", "acme/app"));
  EXPECT_FALSE(rule.target->matches("github.com", "other/app"));
}

TEST(LoadRules, RevisionIsTheHashOfTheFile) {
  const LoadedRules loaded = load("rule_sets: [{ruleset_id: s}]\n");
  ASSERT_EQ(loaded.rule_sets.size(), 1u);
  // printf 'rule_sets: [{ruleset_id: s}]\n' | sha256sum
  EXPECT_EQ(loaded.rule_sets[0].revision,
            "sha256:7840c4545ca89d559887992f9657f0105dee0b05fae0b804313ec23491833de0");
}

TEST(LoadRules, EmptyFilesAndDocumentsAreSkipped) {
  for (const char* text : {"", "---\n", "# only a comment\n", "---\n---\n~\n", "\xef\xbb\xbf"}) {
    EXPECT_THAT(texts(load(text).diagnostics), IsEmpty()) << text;
  }
}

TEST(LoadRules, LanguageOfARuleSet) {
  const auto language = [](const std::string& text) {
    const LoadedRules loaded = load("rule_sets: [{ruleset_id: s" + text + "}]\n");
    EXPECT_THAT(texts(loaded.diagnostics), IsEmpty());
    return loaded.rule_sets.at(0).language;
  };
  EXPECT_EQ(language(""), RuleLanguage::kPortable);
  EXPECT_EQ(language(", language: ~"), RuleLanguage::kPortable);
  EXPECT_EQ(language(", language: extended"), RuleLanguage::kExtended);
  EXPECT_THAT(only("rule_sets: [{ruleset_id: s, language: Extended}]\n"),
              HasSubstr("1:39: error: unknown language \"Extended\"; allowed: extended"));
  EXPECT_THAT(only("rule_sets: [{ruleset_id: s, language: [extended]}]\n"),
              HasSubstr("1:39: error: language must be a single value"));
}

TEST(LoadRules, MistakesOfShape) {
  EXPECT_THAT(only("- a\n"), HasSubstr("1:1: error: a document of a rule file must be a map"));
  EXPECT_THAT(only("rule_sets: 3\n"), HasSubstr("1:12: error: rule_sets must be a list"));
  EXPECT_THAT(only("rule_sets: [7]\n"), HasSubstr("1:13: error: an entry of rule_sets must be"));
  EXPECT_THAT(only("rule_sets: [{rules: []}]\n"), HasSubstr("the rule set has no ruleset_id"));
  EXPECT_THAT(only("rule_sets: [{ruleset_id: s, lists: {a: b}}]\n"),
              HasSubstr("1:40: error: list a must be a list, here it is a single value"));
  EXPECT_THAT(only("rule_sets: [{ruleset_id: s, lists: {a-b: []}}]\n"),
              HasSubstr("list name \"a-b\" must be letters"));
  EXPECT_THAT(texts(load("a: 1\n").diagnostics),
              ElementsAre(HasSubstr("1:1: warning: unknown key \"a\""),
                          HasSubstr("neither rule_sets nor rule_modifiers")));
  EXPECT_THAT(texts(load("rule_sets: []\nrule_modifiers: []\n").diagnostics),
              Contains(HasSubstr("2:1: error: a document holds rule_sets or rule_modifiers")));
}

TEST(LoadRules, MistakesOfARule) {
  const auto in_rule = [](const std::string& body) {
    return "rule_sets:\n- ruleset_id: s\n  rules:\n  - " + body + "\n";
  };
  EXPECT_THAT(texts(load(in_rule("rule_name: x")).diagnostics),
              ElementsAre(HasSubstr("no rule_id"), HasSubstr("no action"),
                          HasSubstr("no event_type"), HasSubstr("no condition")));
  EXPECT_THAT(only(in_rule("{rule_id: 1a, action: detect, event_type: file_open, condition: x}")),
              HasSubstr("4:15: error: rule_id must be letters, digits and underscores"));
  EXPECT_THAT(only(in_rule("{rule_id: a, action: kill, event_type: file_open, condition: x}")),
              HasSubstr("4:26: error: unknown action \"kill\"; allowed: detect, collect, terminate "
                        "(rule a)"));
  EXPECT_THAT(only(in_rule("{rule_id: a, action: detect, event_type: exec, condition: x}")),
              HasSubstr("unknown event_type \"exec\"; this version has: process_exec"));
  EXPECT_THAT(only(in_rule("{rule_id: a, action: detect, event_type: file_open, condition: ' '}")),
              HasSubstr("the condition is empty"));
  EXPECT_THAT(only(rule_file("        conditon: x\n")),
              HasSubstr("8:9: warning: unknown key \"conditon\" is ignored"));
  EXPECT_THAT(only(rule_file("        type: other\n")), HasSubstr("unknown type \"other\""));
  EXPECT_THAT(only(rule_file("        max_alerts: -1\n")), HasSubstr("8:21: error: max_alerts"));
  EXPECT_THAT(only(rule_file("        max_alerts: \"5\"\n")), HasSubstr("must be a whole number"));
  EXPECT_THAT(only(rule_file("        max_alerts: 99999999999\n")), HasSubstr("whole number"));
  EXPECT_THAT(only(rule_file("        tags: [a]\n")), HasSubstr("tags must be a map"));
  EXPECT_THAT(only(rule_file("        target: {include: [{}]}\n")),
              HasSubstr("needs provider_host or path"));
  EXPECT_THAT(only(rule_file("      - rule_id: r\n        event_type: file_open\n        "
                             "condition: is_read\n        action: detect\n")),
              HasSubstr("8:18: error: rule_id stands twice in this rule set"));
}

TEST(LoadRules, TooManyAlertsAreMendedWhenRunningAndRefusedWhenValidated) {
  const std::string text = rule_file("        max_alerts: 101\n");
  const LoadedRules running = load_rules_from_text(text, "t");
  EXPECT_FALSE(has_errors(running.diagnostics));
  ASSERT_EQ(running.diagnostics.size(), 1u);
  EXPECT_EQ(running.rule_sets[0].rules[0].max_alerts, 10);
  EXPECT_TRUE(has_errors(load_rules_from_text(text, "t", {.strict = true}).diagnostics));
}

TEST(LoadRules, TrapsOfYamlAreClosed) {
  EXPECT_THAT(only("rule_sets: []\nrule_sets: []\n"),
              HasSubstr("2:1: error: key \"rule_sets\" stands twice"));
  EXPECT_THAT(texts(load("? [a]\n: b\n").diagnostics),
              Contains(HasSubstr("error: a key must be a plain word")));
  EXPECT_THAT(only("rule_sets: [\n"), HasSubstr("this is not valid YAML"));
  EXPECT_THAT(only("rule_sets: *nobody\n"), HasSubstr("this is not valid YAML"));
  EXPECT_THAT(texts(load("a: \xff\n").diagnostics),
              ElementsAre(HasSubstr("1:4: error: this byte is not UTF-8")));
  EXPECT_THAT(texts(load("rule_sets: []\n---\n]\n").diagnostics),
              Contains(HasSubstr("3:1: error: this is not valid YAML")));
  std::string deep = "rule_sets: ";
  for (int i = 0; i < 100; ++i) deep += "[";
  for (int i = 0; i < 100; ++i) deep += "]";
  EXPECT_THAT(texts(load(deep).diagnostics), Contains(HasSubstr("deeper than 64 levels")));
  const std::string bottomless(100'000, '[');
  EXPECT_TRUE(has_errors(load(bottomless).diagnostics));
  EXPECT_THAT(only(std::string(kMaxRuleFileBytes + 1, ' ')), HasSubstr("larger than 4 MiB"));
}

TEST(LoadRules, AliasesAndMergeKeysWorkAndBombsDoNot) {
  const LoadedRules loaded = load(
      "rule_sets:\n- ruleset_id: s\n  rules:\n  - &a {rule_id: a, event_type: file_open, "
      "condition: is_read, action: detect}\n  - {<<: *a, rule_id: b}\n  - {<<: [*a], rule_id: c, "
      "action: collect}\n");
  EXPECT_THAT(texts(loaded.diagnostics), IsEmpty());
  ASSERT_EQ(loaded.rule_sets[0].rules.size(), 3u);
  EXPECT_EQ(loaded.rule_sets[0].rules[1].rule_id, "b");
  EXPECT_EQ(loaded.rule_sets[0].rules[1].condition.text, "is_read");
  EXPECT_EQ(loaded.rule_sets[0].rules[2].action, RuleAction::kCollect);

  EXPECT_TRUE(has_errors(load("rule_sets: &a [*a, *a]\n").diagnostics));
  EXPECT_TRUE(has_errors(load("rule_sets: [&a {<<: *a, ruleset_id: s, rules: 1}]\n").diagnostics));
  const std::string long_text =
      "rule_sets: [{ruleset_id: s, lists: {a: [&a " + std::string(1u << 20, 'x');
  std::string copies;
  for (int i = 0; i < 40; ++i) copies += ", *a";
  EXPECT_THAT(only(long_text + copies + "]}}]"), HasSubstr("aliases (*name) make this file"));
  // Without a bound this is 25 million rules: tools/run-tests ends the program long before.
  std::string sets, rules;
  for (int i = 0; i < 5'000; ++i) sets += "*s, ", rules += "*r, ";
  const LoadedRules bomb = load("rule_sets: [&s {ruleset_id: s, rules: [&r {rule_id: r}, " + rules +
                                "]}, " + sets + "]");
  EXPECT_THAT(texts(bomb.diagnostics), testing::SizeIs(kMaxDiagnostics));
}

TEST(LoadRules, MistakesInsideBlockScalarsAreInTheirPlace) {
  const auto place_of_x = [](const std::string& scalar) {
    const LoadedRules loaded = load(
        "rule_sets:\n- ruleset_id: s\n  rules:\n  - rule_id: r\n    "
        "event_type: file_open\n    action: detect\n    condition: " +
        scalar);
    const CompileResult compiled = compile(loaded.rule_sets);
    if (!loaded.diagnostics.empty() || compiled.diagnostics.size() != 1) return std::string("?");
    const std::string text = compiled.diagnostics[0].format();
    return text.substr(0, text.find(": error"));
  };
  EXPECT_EQ(place_of_x("is_read && xx\n"), "t.yaml:7:27");
  EXPECT_EQ(place_of_x("'path == \"it''s\" && xx'\n"), "t.yaml:7:36");
  EXPECT_EQ(place_of_x("\"path == \\\"a\\\" && xx\"\n"), "t.yaml:7:34");
  EXPECT_EQ(place_of_x("|\n      is_read &&\n\n      xx\n"), "t.yaml:10:7");
  EXPECT_EQ(
      place_of_x("|-\n      is_read &&\n        // comment\n        path == \"\xc3\xa9\" && xx\n"),
      "t.yaml:10:24");
  EXPECT_EQ(place_of_x(">\n      is_read &&\n      is_write\n      && xx\n"), "t.yaml:10:10");
  EXPECT_EQ(place_of_x("is_read &&\n      xx\n"), "t.yaml:8:7");
  EXPECT_EQ(place_of_x("&anchor !!str |2\n        is_read &&\n        xx\n"), "t.yaml:9:9");
}

TEST(LoadRules, FilesAndDirectories) {
  namespace fs = std::filesystem;
  const fs::path dir = fs::path(testing::TempDir()) / ("rules" + std::to_string(::getpid()));
  fs::create_directories(dir / "sub");
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(dir / name) << text;
  };
  write("b.yaml", "rule_sets: [{ruleset_id: b}]\n");
  write("a.yml", "rule_sets: [{ruleset_id: a}]\n");
  write("c.txt", "not rules");
  write("sub/d.yaml", "rule_sets: [{ruleset_id: d}]\n");
  const LoadedRules loaded = load_rules({dir.string()});
  EXPECT_THAT(texts(loaded.diagnostics), IsEmpty());
  ASSERT_EQ(loaded.rule_sets.size(), 2u);
  EXPECT_EQ(loaded.rule_sets[0].ruleset_id, "a");
  EXPECT_EQ(loaded.rule_sets[1].ruleset_id, "b");
  EXPECT_THAT(texts(load_rules({(dir / "no.yaml").string()}).diagnostics),
              ElementsAre(HasSubstr("no.yaml: error: cannot open: No such file")));
  EXPECT_THAT(texts(load_rules({"/dev/zero"}).diagnostics),
              ElementsAre(HasSubstr("larger than 4 MiB")));
  fs::remove(dir / "sub/d.yaml");
  EXPECT_THAT(texts(load_rules({(dir / "sub").string()}).diagnostics),
              ElementsAre(HasSubstr("warning: the directory has no .yaml")));
  fs::remove_all(dir);
}

TEST(Compile, OfTwoSetsWithOneIdTheFirstWins) {
  const LoadedRules loaded = load(
      "rule_sets:\n- {ruleset_id: s, rules: [{rule_id: a, event_type: file_open, condition: "
      "is_read, action: detect}]}\n- ruleset_id: s\n");
  const CompileResult compiled = compile(loaded.rule_sets);
  EXPECT_THAT(texts(compiled.diagnostics),
              ElementsAre(HasSubstr("3:15: warning: rule set \"s\" was there before")));
  ASSERT_NE(compiled.program, nullptr);
  EXPECT_EQ(compiled.program->rules().size(), 1u);
  EXPECT_EQ(compiled.program->rules()[0].max_alerts, 10);
}

TEST(Compile, TargetsDecideWhichRulesAreIn) {
  const LoadedRules loaded = load(rule_file("        target: {include: [{path: acme/}]}\n"));
  const auto rules_for = [&](const std::string& path) {
    const RuleScope scope{"github.com", path};
    const CompileResult result = compile(loaded.rule_sets, {.scope = scope});
    EXPECT_THAT(texts(result.diagnostics), IsEmpty());
    return result.program->rules().size();
  };
  EXPECT_EQ(rules_for("acme/app"), 1u);
  EXPECT_EQ(rules_for("other/app"), 0u);
  EXPECT_THAT(texts(compile(loaded.rule_sets).diagnostics),
              ElementsAre(HasSubstr("warning: the target is not applied here")));
}

}  // namespace
}  // namespace cicd
