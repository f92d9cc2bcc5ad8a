// SPDX-License-Identifier: Apache-2.0
// Compiled programs against a slow and obvious interpreter, on random rules and random events. The
// interpreter walks the tree as written: no reordering, no sharing, no kept answers, descendants
// as real lists.
#include <gtest/gtest.h>

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

// Lists are scanned when they are long enough (list_scan.h), and interpreted when not.
const NamedLists kLists = {
    {"one", {"/a", "B", ""}}, {"long", {"c", "/a", "", "B", "/b/c"}}, {"none", {}}};

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
        if (!Interpreter(condition, record).fires()) continue;
        if (rule.exceptions) {
          const Ast exceptions = parse_condition(rule.exceptions->text);
          if (Interpreter(exceptions, record).fires()) continue;
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
