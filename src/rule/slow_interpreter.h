// SPDX-License-Identifier: Apache-2.0
// A slow and obvious interpreter of conditions: walks the tree as it is written. No reordering, no
// sharing, no kept answers, descendants as real lists. What compiled programs are compared with.
// Tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rule/ast.h"
#include "rule/checked.h"
#include "rule/ip_prefix.h"
#include "rule/normalize.h"
#include "rule/test_events.h"

namespace cicd::test {

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

class SlowInterpreter {
 public:
  SlowInterpreter(const Ast& ast, const NamedLists& lists, const EventRecord& record)
      : ast_(ast), lists_(lists), record_(record) {
    process_ = std::make_shared<Node>(node_of(*record.process));
    for (const Process* at = record.process->parent.get(); at != nullptr; at = at->parent.get()) {
      auto ancestor = std::make_shared<Node>(node_of(*at));
      ancestor->below = process_->below;  // all between it and the process, so far
      process_->below.push_back(ancestor);
    }
  }
  bool answer() { return eval(ast_.root).number != 0; }

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
      for (const std::string& value : lists_.at(part)) out.strings.push_back(normalized(value));
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
  const NamedLists& lists_;
  const EventRecord& record_;
  NodeRef process_;
  std::vector<std::pair<std::string, Value>> scope_;
};

}  // namespace cicd::test
