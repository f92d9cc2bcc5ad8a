// SPDX-License-Identifier: Apache-2.0
#include "rule/interpreter.h"

#include <optional>

#include "rule/ip_prefix.h"
#include "rule/normalize.h"

namespace cicd {

namespace {

using Node = Interpreter::Node;
using Value = Interpreter::Value;
using Kind = Value::Kind;

// Long texts take their time too.
constexpr std::uint64_t kBytesPerStep = 64;

Value boolean(bool value) { return {Kind::kBool, value, {}, {}, {}, {}}; }
Value number(std::int64_t value) { return {Kind::kInt, value, {}, {}, {}, {}}; }
Value string(std::string text) { return {Kind::kString, 0, std::move(text), {}, {}, {}}; }

Node node_of(const Process& process) {
  Node out{normalized(process.image->exec_path), {}, {}};
  for (const std::string& argument : process.image->argv) out.argv.push_back(normalized(argument));
  return out;
}

Value compare(CompareOp op, const Value& left, const Value& right) {
  const bool is_single =
      left.kind == Kind::kBool || left.kind == Kind::kInt || left.kind == Kind::kString;
  if (!is_single || left.kind != right.kind) return {};
  const int order = left.kind == Kind::kString   ? left.text.compare(right.text)
                    : left.number < right.number ? -1
                    : left.number > right.number ? 1
                                                 : 0;
  switch (op) {
    case CompareOp::kEqual:
      return boolean(order == 0);
    case CompareOp::kNotEqual:
      return boolean(order != 0);
    case CompareOp::kLess:
      return boolean(order < 0);
    case CompareOp::kLessEqual:
      return boolean(order <= 0);
    case CompareOp::kGreater:
      return boolean(order > 0);
    case CompareOp::kGreaterEqual:
      return boolean(order >= 0);
  }
  return {};
}

}  // namespace

std::vector<Value> Value::elements() const {
  std::vector<Value> out;
  for (const std::string& value : strings) out.push_back(string(value));
  for (const NodeRef& value : nodes) out.push_back({Kind::kNode, 0, {}, {}, value, {}});
  return out;
}

Interpreter::Interpreter(const Ast& ast, const EventRecord& record, const NamedLists& lists)
    : ast_(ast), record_(record), lists_(lists) {
  auto process = std::make_shared<Node>(node_of(*record.process));
  for (const Process* at = record.process->parent.get(); at != nullptr; at = at->parent.get()) {
    auto ancestor = std::make_shared<Node>(node_of(*at));
    ancestor->below = process->below;  // all between it and the process, so far
    process->below.push_back(std::move(ancestor));
  }
  process_ = std::move(process);
}

void Interpreter::push(std::string variable, Value value) {
  scope_.emplace_back(std::move(variable), std::move(value));
}

Value Interpreter::eval(std::uint32_t index) {
  if (++steps_ > kMaxSteps) return {};
  const AstNode& node = ast_[index];
  switch (node.kind) {
    case AstKind::kBool:
      return boolean(node.number != 0);
    case AstKind::kInt:
      return number(node.number);
    case AstKind::kString:
      return string(normalized(node.text));
    case AstKind::kName:
      return node.number != 0 ? global(node.text) : name(node.text);
    case AstKind::kSelect:
      return select(eval(node.children[0]), node.text);
    case AstKind::kNot: {
      const Value value = eval(node.children[0]);
      return value.kind == Kind::kBool ? boolean(value.number == 0) : Value();
    }
    case AstKind::kAnd:
    case AstKind::kOr:
      return logic(node);
    case AstKind::kCompare:
      return compare(node.compare, eval(node.children[0]), eval(node.children[1]));
    case AstKind::kMethod:
      return node.text == "exists" ? exists(node) : text_test(node);
    case AstKind::kCall:
      return call(node);
    default:
      return {};
  }
}

// All parts, so that each is looked at. What is told by one side needs no other.
Value Interpreter::logic(const AstNode& node) {
  const bool is_and = node.kind == AstKind::kAnd;
  bool is_decided = false;
  bool is_known = true;
  for (const std::uint32_t child : node.children) {
    const Value value = eval(child);
    if (value.kind != Kind::kBool) {
      is_known = false;
    } else if ((value.number != 0) != is_and) {
      is_decided = true;
    }
  }
  if (is_decided) return boolean(!is_and);
  return is_known ? boolean(is_and) : Value();
}

Value Interpreter::name(const std::string& text) {
  for (std::size_t i = scope_.size(); i-- > 0;) {
    if (scope_[i].first == text) return scope_[i].second;
  }
  return global(text);
}

Value Interpreter::global(const std::string& text) {
  if (text == "process") return {Kind::kNode, 0, {}, {}, process_, {}};
  if (text == "list") return {Kind::kListNames, 0, {}, {}, {}, {}};
  return field(text);
}

Value Interpreter::field(const std::string& text) {
  const auto fields = info_of(record_.type).fields;
  for (std::size_t at = 0; at < fields.size(); ++at) {
    const auto i = static_cast<std::uint8_t>(at);
    if (fields[i].name != text) continue;
    if (fields[i].type == FieldType::kString) return string(normalized(record_.text(i)));
    return fields[i].type == FieldType::kBool ? boolean(record_.number(i) != 0)
                                              : number(record_.number(i));
  }
  return {};
}

Value Interpreter::select(const Value& of, const std::string& part) {
  if (of.kind == Kind::kListNames) {
    const auto list = lists_.find(part);
    if (list == lists_.end()) return {};
    Value out{Kind::kStrings, 0, {}, {}, {}, {}};
    for (const std::string& value : list->second) {
      steps_ += 1 + value.size() / kBytesPerStep;
      out.strings.push_back(normalized(value));
    }
    return out;
  }
  if (of.kind != Kind::kNode) return {};
  if (part == "exec_path") return string(of.node->exec_path);
  if (part == "argv") steps_ += of.node->argv.size();
  if (part == "argv") return {Kind::kStrings, 0, {}, of.node->argv, {}, {}};
  if (part != "ancestors" && part != "descendants") return {};
  return {Kind::kNodes, 0, {}, {}, {}, of.node->below};
}

Value Interpreter::call(const AstNode& node) {
  if (node.text != "inIpRange" || node.children.size() != 2) return {};
  const Value value = eval(node.children[0]);
  const auto prefix = parse_cidr(ast_[node.children[1]].text);
  if (value.kind != Kind::kString || !prefix) return {};
  const auto ip = parse_ip(value.text);
  return boolean(ip && prefix->contains(*ip));
}

Value Interpreter::text_test(const AstNode& node) {
  if (node.children.size() != 2) return {};
  const Value left = eval(node.children[0]);
  const Value right = eval(node.children[1]);
  if (left.kind != Kind::kString || right.kind != Kind::kString) return {};
  const std::string& text = left.text;
  const std::string& part = right.text;
  steps_ += (text.size() + part.size()) / kBytesPerStep;
  if (node.text == "startsWith") return boolean(text.substr(0, part.size()) == part);
  if (node.text == "contains") return boolean(text.find(part) != std::string::npos);
  if (node.text != "endsWith") return {};
  return boolean(text.size() >= part.size() && text.substr(text.size() - part.size()) == part);
}

Value Interpreter::exists(const AstNode& node) {
  const Value list = eval(node.children[0]);
  if (list.kind != Kind::kStrings && list.kind != Kind::kNodes) return {};
  bool is_known = true;
  bool out = false;
  for (Value& element : list.elements()) {
    push(ast_[node.children[1]].text, std::move(element));
    const Value value = eval(node.children[2]);
    pop();
    is_known = is_known && value.kind == Kind::kBool;
    out = out || value.is_true();
  }
  return out || is_known ? boolean(out) : Value();
}

}  // namespace cicd
