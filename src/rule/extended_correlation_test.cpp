// SPDX-License-Identifier: Apache-2.0
// within() and sequence().
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "rule/correlation.h"
#include "rule/program.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t kSecond = 1'000'000'000;

std::string file_of(const std::string& condition, const std::string& more = "",
                    const std::string& language = "extended") {
  return "rule_sets:\n- ruleset_id: s\n  language: " + language +
         "\n  rules:\n"
         "  - {rule_id: a, event_type: file_open, condition: is_read, action: collect}\n"
         "  - {rule_id: b, event_type: file_open, condition: is_read, action: collect}\n"
         "  - {rule_id: c, event_type: file_open, condition: is_read, action: collect}\n"
         "  - {rule_id: k, type: correlation, action: detect, condition: '" +
         condition + "'" + more + "}\n";
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

std::vector<std::string> mistakes(const std::string& condition,
                                  const std::string& language = "extended") {
  std::vector<std::string> out;
  for (const Diagnostic& one : compile_text(file_of(condition, "", language)).diagnostics) {
    out.push_back(one.format());
  }
  return out;
}

// Feeds hits of the rules 0 (a), 1 (b), 2 (c) and tells after which of them k fired; 0: never.
class Job {
 public:
  explicit Job(const std::string& condition, const std::string& more = "")
      : compiled_(compile_text(file_of(condition, more))), state_(compiled_.program) {
    EXPECT_NE(compiled_.program, nullptr)
        << (compiled_.diagnostics.empty() ? "" : compiled_.diagnostics[0].format());
  }
  // `rules`: letters of the rules that one event fires.
  bool hit(const std::string& rules, std::uint64_t time_ns, ProcessRef process = nullptr) {
    EventRecord record;
    record.time_ns = time_ns;
    record.process = std::move(process);
    std::vector<std::uint32_t> fired;
    for (const char rule : rules) fired.push_back(static_cast<std::uint32_t>(rule - 'a'));
    return !state_.count(record, fired).empty();
  }
  std::uint64_t forgotten() const { return state_.forgotten(); }

 private:
  CompileResult compiled_;
  CorrelationState state_;
};

TEST(Within, CountsTheHitsOfASlidingWindow) {
  Job job("within(\"30s\", rule.a.total_count >= 3)");
  EXPECT_FALSE(job.hit("a", 100 * kSecond));
  EXPECT_FALSE(job.hit("a", 110 * kSecond));
  EXPECT_FALSE(job.hit("a", 130 * kSecond)) << "the first is 30 s old: just outside";
  EXPECT_FALSE(job.hit("a", 150 * kSecond));
  EXPECT_TRUE(job.hit("a", 150 * kSecond + 1)) << "130, 150, 150";
}

TEST(Within, ItsEdgesAreExact) {
  Job open("within(\"1ns\", rule.a.total_count >= 2)");
  EXPECT_FALSE(open.hit("a", 5));
  EXPECT_FALSE(open.hit("a", 6));
  EXPECT_TRUE(open.hit("a", 6));
  Job from_zero("within(\"10ns\", rule.a.total_count >= 2)");
  EXPECT_FALSE(from_zero.hit("a", 0));
  EXPECT_TRUE(from_zero.hit("a", 9));
  Job outside("within(\"10ns\", rule.a.total_count >= 2)");
  EXPECT_FALSE(outside.hit("a", 0));
  EXPECT_FALSE(outside.hit("a", 10));
}

TEST(Within, SeveralRulesAndTheRestOfTheLanguage) {
  Job both("within(\"30s\", rule.a.total_count >= 3 && rule.b.total_count >= 1)");
  EXPECT_FALSE(both.hit("b", 1 * kSecond));
  EXPECT_FALSE(both.hit("a", 20 * kSecond));
  EXPECT_FALSE(both.hit("a", 21 * kSecond));
  EXPECT_FALSE(both.hit("a", 31 * kSecond)) << "b is outside of the window";
  EXPECT_TRUE(both.hit("b", 32 * kSecond));
  Job later("within(\"1s\", rule.a.total_count >= 2) && rule.b.total_count > 0");
  EXPECT_FALSE(later.hit("a", 0));
  EXPECT_FALSE(later.hit("a", 1));
  EXPECT_TRUE(later.hit("b", 3600 * kSecond)) << "once true, it stays true";
  Job of_two("within(\"1s\", rule.a.total_count >= 2) && within(\"1s\", rule.b.total_count >= 2)");
  EXPECT_FALSE(of_two.hit("a", 0));
  EXPECT_FALSE(of_two.hit("ab", 1));
  EXPECT_TRUE(of_two.hit("b", 2));
  Job excepted("rule.a.total_count > 0", ", exceptions: \"within('5s', rule.b.total_count >= 2)\"");
  EXPECT_FALSE(excepted.hit("b", 0) || excepted.hit("b", 1) || excepted.hit("a", 2));
}

TEST(Within, LateHitsAreCountedInTheWindowsTheyBelongTo) {
  Job job("within(\"30s\", rule.a.total_count >= 2 && rule.b.total_count >= 1)");
  EXPECT_FALSE(job.hit("a", 100 * kSecond));
  EXPECT_FALSE(job.hit("a", 120 * kSecond));
  EXPECT_FALSE(job.hit("a", 500 * kSecond));
  EXPECT_FALSE(job.hit("b", 90 * kSecond)) << "only one a is in a window with it";
  EXPECT_TRUE(job.hit("b", 91 * kSecond));
}

// What the header says: there is a hit so that the condition holds for the window that ends there.
bool expected(const std::vector<std::pair<char, std::uint64_t>>& hits, std::uint64_t window) {
  for (const auto& [rule, end] : hits) {
    int a = 0, b = 0;
    for (const auto& [other, time] : hits) {
      if (time > end || end - time >= window) continue;
      (other == 'a' ? a : b) += 1;
    }
    if (a >= 3 && b >= 2) return true;
  }
  return false;
}

TEST(Within, AnyOrderOfEventsGivesTheSameAnswer) {
  std::mt19937 random(7);
  int fired = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::pair<char, std::uint64_t>> hits;
    for (int i = 0; i < 12; ++i) hits.emplace_back(random() % 2 == 0 ? 'a' : 'b', random() % 60);
    for (int order = 0; order < 3; ++order) {
      std::shuffle(hits.begin(), hits.end(), random);
      Job job("within(\"10ns\", rule.a.total_count >= 3 && rule.b.total_count >= 2)");
      std::vector<std::pair<char, std::uint64_t>> seen;
      bool has_fired = false;
      for (const auto& [rule, time] : hits) {
        seen.emplace_back(rule, time);
        const bool now = job.hit(std::string(1, rule), time);
        EXPECT_EQ(has_fired || now, expected(seen, 10)) << "round " << round;
        has_fired |= now;
      }
      fired += has_fired ? 1 : 0;
    }
  }
  EXPECT_GT(fired, 100);
  EXPECT_LT(fired, 800);
}

TEST(Within, MemoryIsBoundedAndWhatIsForgottenIsCounted) {
  Job job("within(\"1h\", rule.a.total_count >= 10001)");
  for (std::uint64_t i = 0; i < HitTimes::kMost; ++i) EXPECT_FALSE(job.hit("a", 1000 + i));
  EXPECT_EQ(job.forgotten(), 0u);
  EXPECT_FALSE(job.hit("a", 20'000)) << "the first one is forgotten";
  EXPECT_FALSE(job.hit("a", 1)) << "older than all that are kept";
  EXPECT_EQ(job.forgotten(), 2u);
  Job quiet("within(\"1us\", rule.a.total_count >= 2000)");
  for (std::uint64_t i = 0; i < 2 * HitTimes::kMost; ++i) quiet.hit("a", i * 1000);
  EXPECT_EQ(quiet.forgotten(), 0u) << "no window holds what was let go";
}

TEST(HitTimes, KeepsOrderOverTheEndOfTheRing) {
  HitTimes times;
  times.use_window(100);
  for (std::uint64_t i = 0; i < HitTimes::kMost + 500; ++i) times.add(2 * i);
  times.add(2 * HitTimes::kMost + 1);
  ASSERT_EQ(times.size(), HitTimes::kMost);
  for (std::size_t i = 1; i < times.size(); ++i) ASSERT_LE(times[i - 1], times[i]) << i;
  EXPECT_EQ(times.count(2 * HitTimes::kMost, 2 * HitTimes::kMost + 2), 3u);
}

TEST(Within, Mistakes) {
  EXPECT_THAT(mistakes("within(\"30s\", rule.a.total_count > 1)", "~"),
              ElementsAre(HasSubstr("t.yaml:8:65: error: within is not allowed in portable "
                                    "correlations; write \"language: extended\"")));
  EXPECT_THAT(mistakes("within(\"30\", rule.a.total_count > 1)"),
              ElementsAre(HasSubstr("8:72: error: \"30\" is no time for a window; allowed: more")));
  for (const char* time : {"", "0", "-1s", "24h1ns", "s", "1x", "99999999999h", "1s "}) {
    EXPECT_THAT(mistakes("within(\"" + std::string(time) + "\", rule.a.total_count > 1)"),
                ElementsAre(HasSubstr("is no time for a window")))
        << time;
  }
  EXPECT_THAT(mistakes("within(\"1h30m\", rule.a.total_count > 1)"), IsEmpty());
  EXPECT_THAT(mistakes("within(\"1s\", rule.a.total_count)"),
              ElementsAre(HasSubstr("within needs true or false, this is a number")));
  EXPECT_THAT(mistakes("within(\"1s\", true)"), ElementsAre(HasSubstr("within must count a rule")));
  EXPECT_THAT(mistakes("within(30, rule.a.total_count > 1)"),
              ElementsAre(HasSubstr("within takes a time, written out, and a condition")));
  EXPECT_THAT(mistakes("within(\"1s\")"), ElementsAre(HasSubstr("within takes a time")));
  EXPECT_THAT(mistakes("within(\"1s\", within(\"1s\", rule.a.total_count > 1))"),
              ElementsAre(HasSubstr("cannot stand inside of another one")));
  EXPECT_THAT(mistakes("within(\"1s\", rule.zz.total_count > 1)"),
              ElementsAre(HasSubstr("has no rule zz")));
  EXPECT_THAT(mistakes("within(\"1s\", sequence(a, b) && rule.a.total_count > 1)"),
              ElementsAre(HasSubstr("sequence cannot stand inside of within")));
}

// A small family: root, two scripts below it, a child of each, a grandchild.
struct Family {
  static ProcessRef child(ProcessRef parent, std::uint32_t pid) {
    auto process = std::make_shared<Process>();
    process->pid = pid;
    process->start_time_ns = pid;
    process->image = std::make_shared<ExecImage>();
    process->parent = std::move(parent);
    return process;
  }
  ProcessRef root = child(nullptr, 1);
  ProcessRef script = child(root, 2), other = child(root, 3);
  ProcessRef cat = child(script, 4), curl = child(script, 5), stranger = child(other, 6);
  ProcessRef deep = child(curl, 7);
};

TEST(Sequence, FollowsTheOrderInOneTree) {
  const Family of;
  Job job("sequence(a, b, c)");
  EXPECT_FALSE(job.hit("b", 1, of.cat)) << "too early";
  EXPECT_FALSE(job.hit("a", 2, of.cat));
  EXPECT_FALSE(job.hit("c", 3, of.curl));
  EXPECT_FALSE(job.hit("b", 4, of.curl));
  EXPECT_TRUE(job.hit("c", 5, of.deep)) << "cat, curl and its child share the script";
  EXPECT_FALSE(job.hit("abc", 6, of.cat)) << "fires once";
}

TEST(Sequence, TwoChildrenOfTheFirstProcessAreStrangers) {
  const Family of;
  Job job("sequence(a, b)");
  EXPECT_FALSE(job.hit("a", 1, of.cat));
  EXPECT_FALSE(job.hit("b", 2, of.stranger));
  EXPECT_FALSE(job.hit("b", 3, of.other));
  EXPECT_TRUE(job.hit("b", 4, of.script)) << "an ancestor of the first act";
}

TEST(Sequence, ActsOfTheFirstProcessCountInEveryTree) {
  const Family of;
  Job before("sequence(a, b)");
  EXPECT_FALSE(before.hit("a", 1, of.root));
  EXPECT_TRUE(before.hit("b", 2, of.stranger));
  Job after("sequence(a, b)");
  EXPECT_FALSE(after.hit("a", 1, of.deep));
  EXPECT_TRUE(after.hit("b", 2, of.root));
  Job amid("sequence(a, b, c)");
  EXPECT_FALSE(amid.hit("a", 1, of.cat));
  EXPECT_FALSE(amid.hit("b", 2, of.root));
  EXPECT_FALSE(amid.hit("c", 3, of.stranger)) << "a was none of its tree";
  EXPECT_TRUE(amid.hit("c", 4, of.curl));
  Job alone("sequence(a, b)");
  EXPECT_FALSE(alone.hit("a", 1, of.root));
  EXPECT_TRUE(alone.hit("b", 2, of.root));
}

TEST(Sequence, AnEventIsOneStep) {
  const Family of;
  Job job("sequence(a, b)");
  EXPECT_FALSE(job.hit("ab", 1, of.cat));
  EXPECT_TRUE(job.hit("ab", 2, of.cat));
  Job twice("sequence(a, a)");
  EXPECT_FALSE(twice.hit("a", 1, of.cat));
  EXPECT_TRUE(twice.hit("a", 2, of.deep));
  Job and_more("sequence(a, b) && rule.c.total_count > 1");
  EXPECT_FALSE(and_more.hit("a", 1, of.cat) || and_more.hit("b", 2, of.cat));
  EXPECT_FALSE(and_more.hit("c", 3, of.other));
  EXPECT_TRUE(and_more.hit("c", 4, of.other)) << "a sequence stays complete";
}

TEST(Sequence, ReusedProcessIdsAreOtherProcesses) {
  const Family of;
  const ProcessRef before = Family::child(of.root, 9);
  auto after = std::make_shared<Process>(*before);
  after->start_time_ns = 77;
  Job job("sequence(a, b)");
  EXPECT_FALSE(job.hit("a", 1, before));
  EXPECT_FALSE(job.hit("b", 2, after));
}

TEST(Sequence, MemoryIsBoundedAndWhatIsForgottenIsCounted) {
  const Family of;
  Job job("sequence(a, b)");
  EXPECT_FALSE(job.hit("a", 1, of.cat));
  for (std::uint32_t pid = 100; pid < 100 + ActSequence::kMostTrees; ++pid) {
    EXPECT_FALSE(job.hit("a", 2, Family::child(of.root, pid)));
  }
  EXPECT_EQ(job.forgotten(), 2u) << "the trees of cat and of the script";
  EXPECT_FALSE(job.hit("b", 3, of.curl));
  EXPECT_TRUE(job.hit("b", 4, Family::child(of.root, 4000)));
}

TEST(Sequence, TreesThatAreAtWorkAreKept) {
  const Family of;
  Job job("sequence(a, b)");
  for (std::uint32_t pid = 100; pid < 100 + 3 * ActSequence::kMostTrees; ++pid) {
    EXPECT_FALSE(job.hit("a", pid, Family::child(of.script, pid)));
  }
  EXPECT_TRUE(job.hit("b", 99'999, of.curl)) << "the script is in every act";
}

TEST(Sequence, Mistakes) {
  EXPECT_THAT(mistakes("sequence(a, b)", "~"),
              ElementsAre(HasSubstr("8:65: error: sequence is not allowed in portable corr")));
  EXPECT_THAT(mistakes("sequence(a)"), ElementsAre(HasSubstr("takes 2 to 16 ids of rules")));
  EXPECT_THAT(mistakes("sequence(a, nope)"), ElementsAre(HasSubstr("8:77: error: this rule set "
                                                                   "has no rule nope")));
  EXPECT_THAT(mistakes("sequence(a, k)"), ElementsAre(HasSubstr("k is a correlation itself")));
  EXPECT_THAT(mistakes("sequence(a, \"b\")"), ElementsAre(HasSubstr("ids of rules as they are")));
  EXPECT_THAT(mistakes("sequence(a, b) > 1"), ElementsAre(HasSubstr("cannot be compared")));
}

TEST(Sequence, ARuleThatIsNotInTheProgramNeverFires) {
  const CompileResult compiled = compile_text(
      file_of("sequence(a, b) || rule.c.total_count > 0") +
      "---\nrule_modifiers: [{modifier_id: m, disable: true, targets: [{ruleset_id: s, rule_id: "
      "b}]}]\n");
  ASSERT_NE(compiled.program, nullptr);
  CorrelationState state(compiled.program);
  const Family of;
  EventRecord record;
  record.process = of.cat;
  EXPECT_THAT(state.count(record, std::vector<std::uint32_t>{0}), IsEmpty());
  EXPECT_THAT(state.count(record, std::vector<std::uint32_t>{1}), ElementsAre(2u)) << "c is 1 now";
}

}  // namespace
}  // namespace cicd
