// SPDX-License-Identifier: Apache-2.0
// Compiled programs against a slow and obvious interpreter, on random rules and random events. The
// interpreter walks the tree as written: no reordering, no sharing, no kept answers, descendants
// as real lists.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "rule/program.h"
#include "rule/slow_interpreter.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

const NamedLists kLists = {
    {"one", {"/a", "B", ""}}, {"long", {"c", "/a", "", "B", "/b/c"}}, {"none", {}}};

// Conditions and events from a small world, so that they meet often.
class Maker {
 public:
  explicit Maker(std::uint32_t seed) : random_(seed) {}

  std::string condition(int depth) {
    if (depth == 0) return leaf();
    switch (pick(8)) {
      case 0:
        return "!(" + condition(depth - 1) + ")";
      case 1:
      case 2:
        return "(" + condition(depth - 1) + " && " + condition(depth - 1) + ")";
      case 3:
      case 4:
        return "(" + condition(depth - 1) + " || " + condition(depth - 1) + ")";
      case 5:
        return "((" + condition(depth - 1) + ") " + any({"==", "!=", "<", ">="}) + " (" +
               condition(depth - 1) + "))";
      default:
        return exists(depth);
    }
  }

  test::Event event() {
    std::vector<test::Program> chain;
    for (int i = pick(4); i >= 0; --i) {
      std::vector<std::string> argv;
      for (int j = pick(3); j > 0; --j) argv.push_back(word());
      chain.push_back({word(), argv});
    }
    if (pick(3) == 0) return test::connect(any({"10.0.0.1", "::1", "b"}), pick(3), chain);
    return test::open(word(), chain, pick(2) == 0);
  }

  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }

 private:
  std::string any(const std::vector<std::string>& choices) {
    return choices[static_cast<std::size_t>(pick(static_cast<int>(choices.size())))];
  }
  std::string word() { return any({"/a", "/A", "b", "/a/b", "ab", "", "\xc3\x89", "e\xcc\x81"}); }

  std::string text() {
    if (!strings_.empty() && pick(2) == 0) return any(strings_);
    if (!processes_.empty() && pick(2) == 0) return any(processes_) + ".exec_path";
    return pick(3) == 0 ? "process.exec_path" : pick(2) == 0 ? field_ : "\"" + word() + "\"";
  }

  std::string leaf() {
    switch (pick(6)) {
      case 0:
        return flag_;
      case 1:
        return number_ + any({" == ", " != ", " < ", " <= ", " > ", " >= "}) +
               any({"0", "1", "-1"});
      case 2:
        return "inIpRange(" + text() + ", \"" + any({"10.0.0.0/8", "::/0", "0.0.0.0/0"}) + "\")";
      case 3:
        return text() + any({" == ", " != ", " < ", " >= "}) + text();
      default:
        return text() + any({".startsWith(", ".endsWith(", ".contains("}) + text() + ")";
    }
  }

  std::string exists(int depth) {
    if (strings_.size() + processes_.size() >= static_cast<std::size_t>(kMaxExistsDepth)) {
      return leaf();
    }
    const std::string variable = any({"x", "y", "z"}) + std::to_string(depth);
    std::vector<std::string> lists = {"process.argv", "list.one", "list.long", "list.none"};
    for (const std::string& process : processes_) lists.push_back(process + ".argv");
    std::vector<std::string> chains = {"process.ancestors"};
    for (const std::string& process : processes_) chains.push_back(process + ".descendants");
    const bool of_text = pick(2) == 0;
    const std::string list = any(of_text ? lists : chains);
    std::vector<std::string>& names = of_text ? strings_ : processes_;
    names.push_back(variable);
    const std::string body = condition(depth - 1);
    names.pop_back();
    return list + ".exists(" + variable + ", " + body + ")";
  }

 public:
  void use(EventType type) {
    const bool open = type == EventType::kFileOpen;
    field_ = open ? "path" : "remote_ip";
    flag_ = open ? "is_read" : "remote_port == 2";
    number_ = open ? "flags" : "remote_port";
  }

 private:
  std::mt19937 random_;
  std::vector<std::string> strings_;  // variables in scope
  std::vector<std::string> processes_;
  std::string field_, flag_, number_;
};

TEST(Interpreter, AgreesWithCompiledProgramsOnRandomRulesAndEvents) {
  int fired = 0;
  int evaluated = 0;
  for (std::uint32_t round = 0; round < 300; ++round) {
    Maker maker(round);
    RuleSet set;
    set.ruleset_id = "random";
    set.lists = kLists;
    for (int i = 0; i < 12; ++i) {
      Rule rule;
      rule.rule_id = "r" + std::to_string(i);
      rule.event_type = i % 2 == 0 ? EventType::kFileOpen : EventType::kNetworkConnect;
      maker.use(rule.event_type);
      rule.condition = {maker.condition(1 + maker.pick(5)), "random", 1, 1, {}};
      if (maker.pick(4) == 0) rule.exceptions = {maker.condition(2), "random", 1, 1, {}};
      set.rules.push_back(rule);
    }
    const CompileResult compiled = compile({set});
    for (const Diagnostic& diagnostic : compiled.diagnostics) FAIL() << diagnostic.format();
    const auto evaluator = make_evaluator(compiled.program);
    std::vector<test::Event> events;
    for (int i = 0; i < 20; ++i) events.push_back(maker.event());
    for (int i = 0; i < 40; ++i) {  // each twice: the second time answers are kept
      const EventRecord& record = events[static_cast<std::size_t>(i) % events.size()].record();
      std::vector<std::uint32_t> expected;
      for (std::uint32_t r = 0; r < set.rules.size(); ++r) {
        const Rule& rule = set.rules[r];
        if (rule.event_type != record.type) continue;
        ++evaluated;
        const Ast condition = parse_condition(rule.condition.text);
        if (!test::SlowInterpreter(condition, kLists, record).answer()) continue;
        if (rule.exceptions) {
          const Ast exceptions = parse_condition(rule.exceptions->text);
          if (test::SlowInterpreter(exceptions, kLists, record).answer()) continue;
        }
        expected.push_back(r);
      }
      fired += static_cast<int>(expected.size());
      const auto hits = evaluator->evaluate(record);
      ASSERT_EQ(std::vector<std::uint32_t>(hits.begin(), hits.end()), expected)
          << "round " << round << ", event " << i;
    }
  }
  // The random world must not be a boring one.
  EXPECT_GT(fired, evaluated / 10);
  EXPECT_LT(fired, evaluated * 9 / 10);
}

}  // namespace
}  // namespace cicd
