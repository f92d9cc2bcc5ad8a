// SPDX-License-Identifier: Apache-2.0
// What guards, sets, matchers and the linking of scopes make of many rules in one program, against
// the interpreter.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "rule/interpreter.h"
#include "rule/program.h"
#include "rule/test_events.h"

namespace cicd {
namespace {

// Long ones become a matcher, short ones are asked pattern by pattern, and a few stay lists.
const NamedLists kLists = {
    {"one", {"/a", "B", ""}},
    {"long", {"c", "/a", "", "B", "/b/c"}},
    {"none", {}},
    {"names", {"ab", "/ab", "b/a", "/a/b", "\xc3\x89", "bb/", "/B"}},
    {"ends", {".a", "/ab.b", ".a", "b", "ab/ab"}},
    {"many", {"a",   "b",  "ab",  "/a",  "/b",  "/ab", "a/",  "b/",  "ab/", ".a",      ".b",
              "a.a", "bb", "aab", "abb", "/AB", "b.b", "/a.", "/b.", "bab", "\xc3\x89"}}};

// Rules as people write them, many in one program, from literals that are parts of each other: what
// guards, sets and matchers live on. And events of processes that share parents and images.
class DenseMaker {
 public:
  explicit DenseMaker(std::uint32_t seed) : random_(seed) {}

  Rule rule(int number) {
    Rule out;
    out.rule_id = "r" + std::to_string(number);
    out.event_type = kTypes[static_cast<std::size_t>(pick(4))];
    use(out.event_type);
    std::string condition = part();
    for (int more = pick(3); more > 0; --more) {
      condition = "(" + condition + ")" + any({" && ", " && ", " || "}) + "(" + part() + ")";
    }
    out.condition = {condition, "dense", 1, 1, {}};
    if (pick(4) == 0) out.exceptions = {part(), "dense", 1, 1, {}};
    return out;
  }

  test::Event event() {
    const EventType type = kTypes[static_cast<std::size_t>(pick(4))];
    test::Event out(type, process());
    for (std::size_t i = 0; i < info_of(type).fields.size(); ++i) {
      const FieldInfo& field = info_of(type).fields[i];
      const auto at = static_cast<std::uint8_t>(i);
      if (field.name == "error" || field.name == "result") continue;
      if (field.type != FieldType::kString) {
        out.number(at, pick(3));
      } else if (field.name == "remote_ip") {
        out.text(at, any({"10.0.0.1", "10.1.2.3", "::ffff:10.0.0.1", "fe80::1", "::", "x"}));
      } else {
        out.text(at, word());
      }
    }
    return out;
  }

 private:
  static constexpr EventType kTypes[] = {EventType::kFileOpen, EventType::kProcessExec,
                                         EventType::kNetworkConnect, EventType::kFileMove};

  int pick(int count) { return std::uniform_int_distribution<int>(0, count - 1)(random_); }
  std::string any(const std::vector<std::string>& choices) {
    return choices[static_cast<std::size_t>(pick(static_cast<int>(choices.size())))];
  }
  std::string word() {
    std::string out;
    for (int i = pick(6); i > 0; --i) {
      out += any({"/a", "b", "ab", "/", "A", "\xc3\x89", "e\xcc\x81", ".a", "/AB", ".b"});
    }
    return out;
  }
  std::string literal() { return "\"" + word() + "\""; }
  std::string list() {
    return "list." + any({"one", "long", "none", "names", "ends", "many", "many"});
  }
  std::string field() { return pick(3) == 0 ? "process.exec_path" : any(texts_); }
  std::string test_of(const std::string& text, const std::string& other) {
    const std::string op =
        any({" == ", " != ", ".startsWith", ".endsWith", ".endsWith", ".contains"});
    if (op[0] == ' ') return pick(4) == 0 ? other + op + text : text + op + other;
    return text + op + "(" + other + ")";
  }
  // Tests of one text, joined.
  std::string tests(const std::string& text) {
    std::string out = test_of(text, literal());
    for (int more = pick(4); more > 0; --more) {
      out += any({" || ", " || ", " && "}) + (pick(4) == 0 ? "!" : "") + "(" +
             test_of(text, literal()) + ")";
    }
    return out;
  }
  std::string of_list(const std::string& text) {
    std::string body = test_of(text, "x");
    if (pick(2) == 0) body += any({" || ", " && "}) + test_of(text, pick(2) == 0 ? "x" : literal());
    if (pick(3) == 0) body = test_of("x", literal()) + " && (" + body + ")";
    if (pick(6) == 0) body = "!(" + body + ")";
    return list() + ".exists(x, " + body + ")";
  }
  std::string of_text(const std::string& text) {
    return pick(2) == 0 ? tests(text) : pick(2) == 0 ? of_list(text) : test_of(text, literal());
  }
  std::string part() {
    switch (pick(12)) {
      case 0:  // only negative
        return "!(" + of_text(field()) + ") && " + field() + " != " + literal();
      case 1:
        return any({"true", "false", "!(true && false)", field() + ".contains(\"\")"});
      case 2:
        return "process.argv.exists(a, " + of_text("a") + ")";
      case 3:
        return "!process.argv.exists(a, " + of_text("a") + ")";
      case 4:
        return "process.ancestors.exists(p, " + of_text("p.exec_path") + ")";
      case 5:
        return "process.ancestors.exists(p, p.argv.exists(a, " + of_text("a") + ") && " +
               test_of("p.exec_path", literal()) + ")";
      case 6:
        return "!process.ancestors.exists(p, " + tests("p.exec_path") + ")";
      case 7:
        return "process.ancestors.exists(p, " + tests("p.exec_path") +
               " && p.descendants.exists(d, " + of_text("d.exec_path") + "))";
      case 8:
        return number_ + any({" == ", " == ", " != ", " > "}) + any({"0", "1", "2", "3"});
      case 9:
        return "process.argv.exists(a, " + test_of("a", field()) + ")";
      case 10:
        return "inIpRange(" + texts_[0] + ", \"" +
               any({"10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "::/0", "fe80::/10", "0.0.0.0/0"}) +
               "\")";
      default:
        return of_text(field());
    }
  }

  // A child of a known process more often than not; some have a known image.
  ProcessRef process() {
    if (processes_.size() >= 30 && pick(3) != 0) {
      return processes_[static_cast<std::size_t>(pick(static_cast<int>(processes_.size())))];
    }
    auto out = std::make_shared<Process>();
    if (!processes_.empty() && pick(5) != 0) {
      const auto at = static_cast<std::size_t>(pick(static_cast<int>(processes_.size())));
      if (processes_[at]->depth < 6) out->parent = processes_[at];
      if (pick(4) == 0) out->image = processes_[at]->image;
    }
    out->depth = out->parent ? out->parent->depth + 1 : 0;
    if (!out->image) {
      auto image = std::make_shared<ExecImage>();
      image->exec_path = word();
      for (int i = pick(4); i > 0; --i) image->argv.push_back(word());
      out->image = std::move(image);
    }
    processes_.push_back(out);
    return out;
  }

  void use(EventType type) {
    switch (type) {
      case EventType::kFileOpen:
        texts_ = {"path"};
        number_ = "flags";
        break;
      case EventType::kNetworkConnect:
        texts_ = {"remote_ip", "protocol"};
        number_ = "remote_port";
        break;
      case EventType::kFileMove:
        texts_ = {"from_path", "to_path"};
        number_ = "1";
        break;
      default:
        texts_ = {"process.exec_path"};
        number_ = "2";
        break;
    }
  }

  std::mt19937 random_;
  std::vector<ProcessRef> processes_;
  std::vector<std::string> texts_;
  std::string number_;
};

bool holds(const SourceText& code, const EventRecord& record) {
  const Ast ast = parse_condition(code.text);
  return Interpreter(ast, record, kLists).eval().is_true();
}

bool fires(const Rule& rule, const EventRecord& record) {
  return holds(rule.condition, record) && !(rule.exceptions && holds(*rule.exceptions, record));
}

std::vector<std::uint32_t> expected_hits(const RuleSet& set, const EventRecord& record) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t r = 0; r < set.rules.size(); ++r) {
    if (set.rules[r].event_type == record.type && fires(set.rules[r], record)) {
      out.push_back(r);
    }
  }
  return out;
}

// Two scopes with sets of one id, some rules the same in both. Other seeds: --gtest_shuffle
// --gtest_random_seed=N.
TEST(Grouping, AgreesWithTheInterpreterOnManyRulesInTwoScopes) {
  std::uint64_t fired = 0;
  std::uint64_t evaluated = 0;
  const auto base = static_cast<std::uint32_t>(testing::UnitTest::GetInstance()->random_seed());
  for (std::uint32_t round = 0; round < 60; ++round) {
    DenseMaker maker(1000 * base + round);
    std::array<RuleSet, 2> sets;
    for (RuleSet& set : sets) {
      set.ruleset_id = "dense";
      set.lists = kLists;
    }
    for (int i = 0; i < 60; ++i) {
      const Rule rule = maker.rule(i);
      if (i % 3 != 0) sets[0].rules.push_back(rule);
      if (i % 3 != 1) sets[1].rules.push_back(rule);
    }
    const CompileResult first = compile({sets[0]});
    const CompileResult second = compile({sets[1]});
    for (const Diagnostic& diagnostic : first.diagnostics) FAIL() << diagnostic.format();
    for (const Diagnostic& diagnostic : second.diagnostics) FAIL() << diagnostic.format();
    const auto evaluator = make_evaluator(link({first.program, second.program}));
    std::vector<test::Event> events;
    for (int i = 0; i < 30; ++i) events.push_back(maker.event());
    for (std::size_t i = 0; i < 2 * events.size(); ++i) {
      const EventRecord& record = events[i % events.size()].record();
      evaluator->evaluate(record);
      for (std::size_t scope = 0; scope < 2; ++scope) {
        const std::vector<std::uint32_t> expected = expected_hits(sets[scope], record);
        const auto hits = evaluator->hits(scope);
        ASSERT_EQ(std::vector<std::uint32_t>(hits.begin(), hits.end()), expected)
            << "round " << round << ", event " << i << ", scope " << scope;
        fired += expected.size();
        evaluated += sets[scope].rules.size() / 4;
      }
    }
  }
  EXPECT_GT(fired, evaluated / 10);
  EXPECT_LT(fired, evaluated * 9 / 10);
}

}  // namespace
}  // namespace cicd
