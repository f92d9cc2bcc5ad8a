// SPDX-License-Identifier: Apache-2.0
// Compiled programs against a slow and obvious interpreter, on random rules and random events. The
// interpreter walks the tree as written: no reordering, no sharing, no kept answers, descendants
// as real lists.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "rule/ast.h"
#include "rule/checked.h"
#include "rule/ip_prefix.h"
#include "rule/normalize.h"
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

struct Node {  // a process as the language shows it
  std::string exec_path;
  std::vector<std::string> argv;
  std::vector<std::shared_ptr<Node>> below;  // ancestors of the process, or descendants
};
using NodeRef = std::shared_ptr<Node>;

struct Value {
  enum class Kind { kBool, kInt, kString, kStrings, kNode, kNodes, kListNames } kind = Kind::kBool;
  std::int64_t number = 0;
  std::string text;
  std::vector<std::string> strings;
  NodeRef node;
  std::vector<NodeRef> nodes;
};

class Interpreter {
 public:
  Interpreter(const Ast& ast, const EventRecord& record) : ast_(ast), record_(record) {
    process_ = std::make_shared<Node>(node_of(*record.process));
    for (const Process* at = record.process->parent.get(); at != nullptr; at = at->parent.get()) {
      auto ancestor = std::make_shared<Node>(node_of(*at));
      ancestor->below = process_->below;  // all between it and the process, so far
      process_->below.push_back(ancestor);
    }
  }
  bool fires() { return eval(ast_.root).number != 0; }

 private:
  static Node node_of(const Process& process) {
    Node out{normalized(process.image->exec_path), {}, {}};
    for (const std::string& argument : process.image->argv)
      out.argv.push_back(normalized(argument));
    return out;
  }
  static Value boolean(bool value) { return {Value::Kind::kBool, value, {}, {}, {}, {}}; }
  static Value string(std::string text) {
    return {Value::Kind::kString, 0, std::move(text), {}, {}, {}};
  }

  Value eval(std::uint32_t index) {
    const AstNode& node = ast_[index];
    switch (node.kind) {
      case AstKind::kBool:
        return boolean(node.number != 0);
      case AstKind::kInt:
        return {Value::Kind::kInt, node.number, {}, {}, {}, {}};
      case AstKind::kString:
        return string(normalized(node.text));
      case AstKind::kName:
        return name(node.text);
      case AstKind::kSelect:
        return select(eval(node.children[0]), node.text);
      case AstKind::kNot:
        return boolean(eval(node.children[0]).number == 0);
      case AstKind::kAnd:
      case AstKind::kOr: {
        bool out = node.kind == AstKind::kAnd;
        for (const std::uint32_t child : node.children) {
          const bool value = eval(child).number != 0;
          out = node.kind == AstKind::kAnd ? out && value : out || value;
        }
        return boolean(out);
      }
      case AstKind::kCompare:
        return boolean(compare(node.compare, eval(node.children[0]), eval(node.children[1])));
      case AstKind::kMethod:
        return node.text == "exists" ? exists(node) : text_test(node);
      case AstKind::kCall: {
        const auto ip = parse_ip(eval(node.children[0]).text);
        return boolean(ip && parse_cidr(ast_[node.children[1]].text)->contains(*ip));
      }
      case AstKind::kIndex:
      case AstKind::kAdd:
      case AstKind::kSubtract:
      case AstKind::kChoose:
      case AstKind::kError:
        break;
    }
    ADD_FAILURE() << "a node that should not be there";
    return {};
  }

  Value name(const std::string& text) {
    for (std::size_t i = scope_.size(); i-- > 0;) {
      if (scope_[i].first == text) return scope_[i].second;
    }
    if (text == "process") return {Value::Kind::kNode, 0, {}, {}, process_, {}};
    if (text == "list") return {Value::Kind::kListNames, 0, {}, {}, {}, {}};
    const auto fields = info_of(record_.type).fields;
    for (std::size_t at = 0; at < fields.size(); ++at) {
      const auto i = static_cast<std::uint8_t>(at);
      if (fields[i].name != text) continue;
      if (fields[i].type == FieldType::kString) return string(normalized(record_.text(i)));
      return {fields[i].type == FieldType::kBool ? Value::Kind::kBool : Value::Kind::kInt,
              record_.number(i),
              {},
              {},
              {},
              {}};
    }
    ADD_FAILURE() << "unknown name " << text;
    return {};
  }

  Value select(const Value& of, const std::string& part) {
    if (of.kind == Value::Kind::kListNames) {
      Value out{Value::Kind::kStrings, 0, {}, {}, {}, {}};
      for (const std::string& value : kLists.at(part)) out.strings.push_back(normalized(value));
      return out;
    }
    if (part == "exec_path") return string(of.node->exec_path);
    if (part == "argv") return {Value::Kind::kStrings, 0, {}, of.node->argv, {}, {}};
    return {Value::Kind::kNodes, 0, {}, {}, {}, of.node->below};
  }

  static bool compare(CompareOp op, const Value& left, const Value& right) {
    const int order = left.kind == Value::Kind::kString ? left.text.compare(right.text)
                      : left.number < right.number      ? -1
                      : left.number > right.number      ? 1
                                                        : 0;
    switch (op) {
      case CompareOp::kEqual:
        return order == 0;
      case CompareOp::kNotEqual:
        return order != 0;
      case CompareOp::kLess:
        return order < 0;
      case CompareOp::kLessEqual:
        return order <= 0;
      case CompareOp::kGreater:
        return order > 0;
      case CompareOp::kGreaterEqual:
        return order >= 0;
    }
    return false;
  }

  Value text_test(const AstNode& node) {
    const std::string left = eval(node.children[0]).text;
    const std::string right = eval(node.children[1]).text;
    if (node.text == "startsWith") return boolean(left.substr(0, right.size()) == right);
    if (node.text == "contains") return boolean(left.find(right) != std::string::npos);
    return boolean(left.size() >= right.size() && left.substr(left.size() - right.size()) == right);
  }

  Value exists(const AstNode& node) {
    const Value list = eval(node.children[0]);
    bool out = false;
    for (const std::string& value : list.strings) out |= holds(node, string(value));
    for (const NodeRef& value : list.nodes) {
      out |= holds(node, {Value::Kind::kNode, 0, {}, {}, value, {}});
    }
    return boolean(out);
  }

  bool holds(const AstNode& node, Value element) {
    scope_.emplace_back(ast_[node.children[1]].text, std::move(element));
    const bool out = eval(node.children[2]).number != 0;
    scope_.pop_back();
    return out;
  }

  const Ast& ast_;
  const EventRecord& record_;
  NodeRef process_;
  std::vector<std::pair<std::string, Value>> scope_;
};

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

bool interpreted(const Rule& rule, const EventRecord& record) {
  const Ast condition = parse_condition(rule.condition.text);
  if (!Interpreter(condition, record).fires()) return false;
  if (!rule.exceptions) return true;
  const Ast exceptions = parse_condition(rule.exceptions->text);
  return !Interpreter(exceptions, record).fires();
}

std::vector<std::uint32_t> expected_hits(const RuleSet& set, const EventRecord& record) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t r = 0; r < set.rules.size(); ++r) {
    if (set.rules[r].event_type == record.type && interpreted(set.rules[r], record)) {
      out.push_back(r);
    }
  }
  return out;
}

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
        if (interpreted(rule, record)) expected.push_back(r);
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

// Two scopes with sets of one id, some rules the same in both. Other seeds: --gtest_shuffle
// --gtest_random_seed=N.
TEST(Interpreter, AgreesWithTwoScopesOfManyRulesThatShareTheirLiterals) {
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
