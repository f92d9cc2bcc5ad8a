// SPDX-License-Identifier: Apache-2.0
// Rules of two scopes in one evaluation: each hit goes to who owns the rule, and compiled rules are
// shared where they are the same, and only there.
#include "rule/program_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rule/plan.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::vector<test::Program> kCat = {{"/bin/cat", {"cat"}}, {"/bin/bash", {"bash"}}};

Rule rule(const std::string& id, const std::string& condition) {
  Rule out;
  out.rule_id = id;
  out.event_type = EventType::kFileOpen;
  out.condition = {condition, "test", 1, 1, {}};
  return out;
}

RuleSet set_of(std::vector<Rule> rules) {
  RuleSet out;
  out.ruleset_id = "same";
  out.revision = "sha256:same";
  out.rules = std::move(rules);
  return out;
}

TEST(TwoScopes, HitsGoToWhoOwnsTheRule) {
  ProgramCache cache;
  const auto host =
      cache.compile({set_of({rule("a", "path == \"/a\""), rule("b", "path == \"/b\"")})});
  const auto project = cache.compile({set_of(
      {rule("x", "path == \"/x\""), rule("b", "path == \"/b\""), rule("y", "path != \"/b\"")})});
  const auto evaluator = make_evaluator(cache.link({host.program, project.program}));
  evaluator->evaluate(test::open("/a", kCat).record());
  EXPECT_THAT(evaluator->hits(0), ElementsAre(0));
  EXPECT_THAT(evaluator->hits(1), ElementsAre(2));
  evaluator->evaluate(test::open("/b", kCat).record());
  EXPECT_THAT(evaluator->hits(0), ElementsAre(1));
  EXPECT_THAT(evaluator->hits(1), ElementsAre(1));
  evaluator->evaluate(test::open("/x", kCat).record());
  EXPECT_THAT(evaluator->hits(0), IsEmpty());
  EXPECT_THAT(evaluator->hits(1), ElementsAre(0, 2));
  EXPECT_THAT(evaluator->evaluate(test::exec(kCat).record()), IsEmpty());
  EXPECT_THAT(evaluator->hits(1), IsEmpty());
}

TEST(TwoScopes, WhatIsEqualIsEvaluatedOnce) {
  const auto host = compile({set_of({rule("a", "path.contains(\"q\") && is_read")})});
  // The same, written otherwise and numbered otherwise.
  const auto project =
      compile({set_of({rule("z", "is_write"), rule("b", "is_read && path.contains('Q')")})});
  const auto plan = link({host.program, project.program});
  EXPECT_EQ(plan->entries[static_cast<std::size_t>(EventType::kFileOpen)].size(), 2u);
  const auto evaluator = make_evaluator(plan);
  evaluator->evaluate(test::open("/q", kCat).record());
  EXPECT_THAT(evaluator->hits(0), ElementsAre(0));
  EXPECT_THAT(evaluator->hits(1), ElementsAre(1));
}

TEST(TwoScopes, ModifiersAndMonitorModeTouchTheirOwnScopeOnly) {
  ProgramCache cache;
  Rule terminating = rule("a", "is_read");
  terminating.action = RuleAction::kTerminate;
  const std::vector<RuleSet> sets = {set_of({terminating, rule("b", "path == \"/b\"")})};
  CompileOptions project_options;
  project_options.monitor_mode = true;
  RuleModifier modifier;
  modifier.modifier_id = "off";
  modifier.targets = {{"same", "b", {}}};
  modifier.disable = true;
  project_options.modifiers = {modifier};
  const auto host = cache.compile(sets);
  const auto project = cache.compile(sets, project_options);
  ASSERT_EQ(host.program->rules().size(), 2u);
  ASSERT_EQ(project.program->rules().size(), 1u);
  EXPECT_EQ(host.program->rules()[0].rule.action, RuleAction::kTerminate);
  EXPECT_EQ(project.program->rules()[0].rule.action, RuleAction::kDetect);
  const auto evaluator = make_evaluator(cache.link({host.program, project.program}));
  evaluator->evaluate(test::open("/b", kCat).record());
  EXPECT_THAT(evaluator->hits(0), ElementsAre(0, 1));
  EXPECT_THAT(evaluator->hits(1), ElementsAre(0));
}

TEST(TwoScopes, AScopeMayHaveNoRules) {
  const auto project = compile({set_of({rule("a", "is_read")})});
  const auto evaluator = make_evaluator(link({nullptr, project.program}));
  EXPECT_THAT(evaluator->evaluate(test::open("/b", kCat).record()), IsEmpty());
  EXPECT_THAT(evaluator->hits(1), ElementsAre(0));
}

TEST(TwoScopes, ARuleThatIsCutOffLeavesTheOtherScopeAlone) {
  test::Program many{"/bin/x", {}};
  for (int i = 0; i < 2000; ++i) many.argv.push_back("a");
  const auto host =
      compile({set_of({rule("slow", "process.argv.exists(a, process.argv.exists(b, a != b))")})});
  const auto project = compile({set_of({rule("a", "is_read")})});
  const auto evaluator = make_evaluator(link({host.program, project.program}));
  evaluator->evaluate(test::open("/b", {many}).record());
  EXPECT_THAT(evaluator->hits(0), IsEmpty());
  EXPECT_THAT(evaluator->hits(1), ElementsAre(0));
  EXPECT_EQ(evaluator->cut_evaluations(0), 1u);
  EXPECT_EQ(evaluator->cut_evaluations(1), 0u);
}

TEST(ProgramCache, TheSameRulesAreCompiledOnce) {
  ProgramCache cache;
  const std::vector<RuleSet> sets = {set_of({rule("a", "is_read")})};
  const auto first = cache.compile(sets).program;
  EXPECT_EQ(cache.compile(sets).program, first);
  EXPECT_EQ(cache.link({first, first}), cache.link({first, first}));
  EXPECT_NE(cache.link({first}), cache.link({first, first}));
  for (std::size_t i = 0; i < ProgramCache::kMostKept; ++i) {
    cache.compile({set_of({rule("r" + std::to_string(i), "is_read")})});
  }
  EXPECT_NE(cache.compile(sets).program, first);  // forgotten, not kept for ever
}

// A project that gives its rules the id and revision of the host's must not replace them.
TEST(ProgramCache, ARevisionIsNotTrusted) {
  ProgramCache cache;
  const auto ours = cache.compile({set_of({rule("a", "is_read")})});
  const auto theirs = cache.compile({set_of({rule("a", "is_read && false")})});
  EXPECT_NE(ours.program, theirs.program);
  RuleSet with_list = set_of({rule("a", "list.l.exists(x, path == x)")});
  with_list.lists = {{"l", {"ab", "c"}}};
  const auto list = cache.compile({with_list});
  with_list.lists = {{"l", {"a", "bc"}}};
  EXPECT_NE(cache.compile({with_list}).program, list.program);
}

TEST(ProgramCache, ProjectsThatNoTargetTellsApartShare) {
  ProgramCache cache;
  Rule targeted = rule("a", "is_read");
  targeted.target = RuleTarget{{{"github.com", "ours/"}}, {}};
  const std::vector<RuleSet> sets = {set_of({targeted})};
  const auto program_for = [&](const std::string& project) {
    CompileOptions options;
    options.scope = RuleScope{"github.com", project};
    return cache.compile(sets, options).program;
  };
  EXPECT_EQ(program_for("ours/a"), program_for("ours/b"));
  EXPECT_EQ(program_for("theirs/a"), program_for("theirs/b"));
  EXPECT_NE(program_for("ours/a"), program_for("theirs/a"));
  EXPECT_EQ(program_for("ours/a")->rules().size(), 1u);
  EXPECT_EQ(program_for("theirs/a")->rules().size(), 0u);
}

}  // namespace
}  // namespace cicd
