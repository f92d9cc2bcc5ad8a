// SPDX-License-Identifier: Apache-2.0
// Compiled programs against the Interpreter, on random rules and random
// events: every operator of the portable and of the extended language, every type of event, every
// field.
#include "rule/interpreter.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "rule/program.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

const NamedLists kLists = {
    {"one", {"/a", "B", ""}}, {"long", {"c", "/a", "", "B", "/b/c", "b"}}, {"none", {}}};

// Conditions and events from a small world, so that they meet often.
class Maker {
 public:
  Maker(std::uint32_t seed, RuleLanguage language)
      : random_(seed), extended_(language == RuleLanguage::kExtended) {
    for (int i = 0; i < 6; ++i) {
      auto image = std::make_shared<ExecImage>();
      image->exec_path = word();
      image->cwd = word();
      for (int j = pick(4); j > 0; --j) image->argv.push_back(word());
      images_.push_back(std::move(image));
    }
    for (int i = 0; i < 10; ++i) {
      auto process = std::make_shared<Process>();
      process->image = images_[index(images_.size())];
      process->uid = static_cast<std::uint32_t>(pick(3));  // one program, several users
      if (i > 0 && pick(5) > 0) process->parent = processes_[index(processes_.size())];
      processes_.push_back(std::move(process));
    }
  }

  // For the next condition.
  void use(EventType type) { info_ = &info_of(type); }

  std::string condition(int depth) {
    if (depth <= 0) return leaf();
    switch (pick(11)) {
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
      case 6:
        return "(" + condition(depth - 1) + " ? " + condition(depth - 1) + " : " +
               condition(depth - 1) + ")";
      case 7:
        return written_list(depth);
      default:
        return macro(depth);
    }
  }

  test::Event event() {
    const auto type = static_cast<EventType>(pick(static_cast<int>(kEventTypeCount)));
    const auto fields = info_of(type).fields;
    test::Event out(type, processes_[index(processes_.size())]);
    for (std::size_t at = 0; at < fields.size(); ++at) {
      const auto i = static_cast<std::uint8_t>(at);
      if (fields[i].type != FieldType::kString) {
        out.number(i, fields[i].type == FieldType::kBool ? pick(2) : pick(3));
      } else if (fields[i].name != "error" && fields[i].name != "result") {
        out.text(i, pick(4) == 0 ? any({"10.0.0.1", "::1"}) : word());
      }
    }
    if (pick(2) == 0) out.step(std::make_shared<Step>(Step{word(), word()}));
    return out;
  }

  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }

 private:
  std::size_t index(std::size_t size) {
    return static_cast<std::size_t>(pick(static_cast<int>(size)));
  }
  std::string any(const std::vector<std::string>& choices) {
    return choices[index(choices.size())];
  }
  std::string word() {
    return any({"/a", "/A", "b", "/a/b", "ab", "", "\xc3\x89", "e\xcc\x81", "1", "-2", "2.5", "T"});
  }
  std::string comparison() { return any({" == ", " != ", " < ", " <= ", " > ", " >= "}); }

  // A field of this type that the language can name; empty when the event type has none.
  std::string field(FieldType type) {
    std::vector<std::string> found;
    for (const FieldInfo& one : info_->fields) {
      if (one.type == type && (one.in_rules || (extended_ && one.in_extended))) {
        found.push_back((pick(8) == 0 ? "." : "") + std::string(one.name));
      }
    }
    return found.empty() ? "" : any(found);
  }

  std::string text(int depth = 1) {
    if (!strings_.empty() && pick(2) == 0) return any(strings_);
    if (!ancestors_.empty() && pick(3) == 0) {
      return any(ancestors_) + (extended_ && pick(3) == 0 ? ".cwd" : ".exec_path");
    }
    const std::string name = field(FieldType::kString);
    switch (pick(extended_ ? 9 : 6)) {
      case 0:
        return "process.exec_path";
      case 1:
        return "string(" + number(depth - 1) + ")";
      case 2:
        if (depth > 0)
          return "(" + leaf() + " ? " + text(depth - 1) + " : " + text(depth - 1) + ")";
        [[fallthrough]];
      case 3:
        return "\"" + word() + "\"";
      case 6:
        return "process.cwd";
      case 7:
        return any({"step.id", "step.name"});
      default:
        return name.empty() ? "process.exec_path" : name;
    }
  }

  std::string list_of_strings() {
    std::vector<std::string> lists = {"process.argv", "list.one", "list.long", "list.none",
                                      "[\"/a\", \"B\", \"b\"]"};
    for (const std::string& process : ancestors_) lists.push_back(process + ".argv");
    return any(lists);
  }

  std::string whole(int depth) {
    const std::string name = field(FieldType::kInt);
    switch (pick(extended_ ? 9 : 6)) {
      case 0:
        return "int(" + text(depth - 1) + ")";
      case 1:
        return depth > 0 ? "-" + whole(depth - 1) : "7";
      case 2:
        if (depth > 0) return "(" + leaf() + " ? " + whole(depth - 1) + " : 1)";
        [[fallthrough]];
      case 3:
        return any({"0", "1", "-1", "0x2"});
      case 6:
        return "size(" + (pick(2) == 0 ? text(depth - 1) : list_of_strings()) + ")";
      case 7:
        return ancestors_.empty() ? "process.ancestors.size()"
                                  : any(ancestors_) + ".descendants.size()";
      case 8:
        return (ancestors_.empty() ? "process" : any(ancestors_)) + ".uid";
      default:
        return name.empty() ? "2" : name;
    }
  }

  std::string number(int depth) {
    switch (pick(4)) {
      case 0:
        return "double(" + (pick(2) == 0 ? text(depth - 1) : whole(depth - 1)) + ")";
      case 1:
        return any({"1.0", "2.5", "-2e0", "1u", "uint(" + text(depth - 1) + ")"});
      default:
        return whole(depth);
    }
  }

  std::string leaf() {
    const std::string flag = field(FieldType::kBool);
    switch (pick(extended_ ? 15 : 11)) {
      case 0:
        return flag.empty() ? "true" : flag;
      case 1:
      case 2:
        return number(1) + comparison() + number(1);
      case 3:
        return "inIpRange(" + text() + ", \"" + any({"10.0.0.0/8", "::/0", "0.0.0.0/0"}) + "\")";
      case 4:
      case 5:
        return text() + comparison() + text();
      case 6:
        return any({"bool(" + text(0) + ")", "type(" + number(1) + ") == int",
                    "dyn(" + number(0) + ")" + comparison() + "\"1\"",
                    "[" + text(0) + "] == [" + text(0) + "]",
                    list_of_strings() + any({" == ", " != "}) + list_of_strings()});
      case 11:
        return text() + ".matches(r\"" + any({"^/A", "b$", "a/?B", "^$", "[ab]+/", "\\S", "^\\d"}) +
               "\")";
      case 12:
        return text() + " in " + list_of_strings();
      case 13:
        return number(0) + " in [1, 2.5, " + number(0) + "]";
      case 14:
        return text() + " in [" + text(0) + ", " + text(0) + "]";
      default:
        return text() + any({".startsWith(", ".endsWith(", ".contains("}) + text() + ")";
    }
  }

  std::string macro_name() {
    return extended_ ? any({"exists", "exists", "all", "exists_one"}) : "exists";
  }

  // Over a list that is written out: of texts, of numbers, of both.
  std::string written_list(int depth) {
    const std::string variable = "w" + std::to_string(depth);
    switch (pick(3)) {
      case 0: {
        const std::string list = "[" + text(0) + ", " + text(0) + "]";
        strings_.push_back(variable);
        const std::string body = condition(depth - 2);
        strings_.pop_back();
        return list + "." + macro_name() + "(" + variable + ", " + body + ")";
      }
      case 1:
        return "[1, " + whole(0) + "]." + macro_name() + "(w, w" + comparison() + number(0) + ")";
      default:
        return "[1, \"a\", " + whole(0) + "]." + macro_name() + "(w, w == " + whole(0) + ")";
    }
  }

  std::string macro(int depth) {
    if (variables_ >= kMaxExistsDepth) return leaf();
    // Now and then a name that hides another one.
    const std::string variable = any({"x", "y", "z"}) + std::to_string(pick(3) == 0 ? 0 : depth);
    std::vector<std::string> chains = {"process.ancestors"};
    for (const std::string& process : ancestors_) chains.push_back(process + ".descendants");
    const bool of_text = pick(2) == 0;
    const std::string list = of_text ? list_of_strings() : any(chains);
    const std::vector<std::string> strings = strings_, ancestors = ancestors_;
    std::erase(strings_, variable);
    std::erase(ancestors_, variable);
    (of_text ? strings_ : ancestors_).push_back(variable);
    ++variables_;
    const std::string body = condition(depth - 1);
    --variables_;
    strings_ = strings;
    ancestors_ = ancestors;
    return list + "." + macro_name() + "(" + variable + ", " + body + ")";
  }

  std::mt19937 random_;
  const bool extended_;
  std::vector<std::shared_ptr<const ExecImage>> images_;
  std::vector<ProcessRef> processes_;
  const EventTypeInfo* info_ = &info_of(EventType::kFileOpen);
  std::vector<std::string> strings_;  // variables in scope
  std::vector<std::string> ancestors_;
  int variables_ = 0;
};

// What came of a number of rules and events.
struct Tally {
  int evaluated = 0;
  int fired = 0;
  int errors = 0;
  std::uint32_t too_large = 0;  // rounds
  std::set<EventType> types;
};

RuleSet random_set(Maker& maker, RuleLanguage language) {
  RuleSet set;
  set.ruleset_id = "random";
  set.lists = kLists;
  set.language = language;
  for (int i = 0; i < 3 * static_cast<int>(kEventTypeCount); ++i) {
    Rule rule;
    rule.rule_id = "r" + std::to_string(i);
    rule.event_type = static_cast<EventType>(i % static_cast<int>(kEventTypeCount));
    maker.use(rule.event_type);
    rule.condition = {maker.condition(1 + maker.pick(5)), "random", 1, 1, {}};
    if (maker.pick(4) == 0) rule.exceptions = {maker.condition(2), "random", 1, 1, {}};
    set.rules.push_back(rule);
  }
  return set;
}

std::vector<std::uint32_t> expected_hits(const RuleSet& set, const EventRecord& record,
                                         Tally& tally) {
  std::vector<std::uint32_t> out;
  const auto answer = [&](const SourceText& code) {
    const Ast ast = parse_condition(code.text);
    const Interpreter::Value value = Interpreter(ast, record, set.lists).eval();
    EXPECT_NE(value.kind, Interpreter::Value::Kind::kUnknown) << code.text;
    return value.is_true() ? 1 : value.is_false() ? 0 : -1;
  };
  for (std::uint32_t r = 0; r < set.rules.size(); ++r) {
    const Rule& rule = set.rules[r];
    if (rule.event_type != record.type) continue;
    ++tally.evaluated;
    const int condition = answer(rule.condition);
    tally.errors += condition < 0 ? 1 : 0;
    if (condition == 1 && (!rule.exceptions || answer(*rule.exceptions) == 0)) out.push_back(r);
  }
  return out;
}

// Each program is the second scope beside the one of the round before.
void compare_all(RuleLanguage language, std::uint32_t rounds, Tally& tally) {
  std::shared_ptr<const Program> other;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    Maker maker(round, language);
    const RuleSet set = random_set(maker, language);
    const CompileResult compiled = compile({set});
    for (const Diagnostic& diagnostic : compiled.diagnostics) {
      if (diagnostic.severity != Diagnostic::Severity::kError) continue;
      // Chance can make a rule of more parts than the compiler takes.
      ASSERT_NE(diagnostic.format().find("too large"), std::string::npos) << diagnostic.format();
    }
    if (compiled.program == nullptr) {
      ++tally.too_large;
      continue;
    }
    const auto evaluator = make_evaluator(link({other, compiled.program}));
    other = compiled.program;
    std::vector<test::Event> events;
    for (int i = 0; i < 60; ++i) events.push_back(maker.event());
    for (std::size_t i = 0; i < 2 * events.size(); ++i) {  // the second time answers are kept
      const EventRecord& record = events[i % events.size()].record();
      const std::vector<std::uint32_t> expected = expected_hits(set, record, tally);
      tally.fired += static_cast<int>(expected.size());
      tally.types.insert(record.type);
      evaluator->evaluate(record);
      const auto span = evaluator->hits(1);
      const std::vector<std::uint32_t> hits(span.begin(), span.end());
      if (hits == expected) continue;
      for (std::uint32_t r = 0; r < set.rules.size(); ++r) {
        if (std::ranges::count(hits, r) == std::ranges::count(expected, r)) continue;
        FAIL() << "round " << round << ", event " << i << ": " << set.rules[r].condition.text
               << (set.rules[r].exceptions ? "\nexcept " + set.rules[r].exceptions->text : "");
      }
    }
  }
}

TEST(Interpreter, AgreesWithCompiledProgramsOnRandomRulesAndEvents) {
  for (const RuleLanguage language : {RuleLanguage::kPortable, RuleLanguage::kExtended}) {
    Tally tally;
    compare_all(language, 120, tally);
    // The random world must not be a boring one.
    EXPECT_GT(tally.fired, tally.evaluated / 10);
    EXPECT_LT(tally.fired, tally.evaluated * 9 / 10);
    EXPECT_GT(tally.errors, tally.evaluated / 100);
    EXPECT_EQ(tally.types.size(), kEventTypeCount);
    EXPECT_LT(tally.too_large, 12u);
  }
}

}  // namespace
}  // namespace cicd
