// SPDX-License-Identifier: Apache-2.0
#include "rule/interpreter.h"

#include <bit>
#include <charconv>
#include <limits>

#include "rule/duration.h"
#include "rule/ip_prefix.h"
#include "rule/normalize.h"
#include "rule/value.h"

namespace cicd {

namespace {

using Node = Interpreter::Node;
using Value = Interpreter::Value;
using Kind = Value::Kind;

// Long texts take their time too.
constexpr std::uint64_t kBytesPerStep = 64;
constexpr double kTwoTo63 = 9223372036854775808.0;

Value number(Kind kind, std::int64_t value) { return {kind, value, 0, {}, {}, {}}; }
Value boolean(bool value) { return number(Kind::kBool, value); }
Value real(double value) { return {Kind::kDouble, 0, value, {}, {}, {}}; }
Value string(std::string text) { return {Kind::kString, 0, 0, std::move(text), {}, {}}; }
Value type(std::string text) { return {Kind::kType, 0, 0, std::move(text), {}, {}}; }
Value process(Interpreter::NodeRef of) { return {Kind::kNode, 0, 0, {}, {}, std::move(of)}; }
Value unknown() { return number(Kind::kUnknown, 0); }

Node node_of(const Process& process) {
  Node out{
      normalized(process.image->exec_path), normalized(process.image->cwd), process.uid, {}, {}};
  for (const std::string& argument : process.image->argv) out.argv.push_back(normalized(argument));
  return out;
}

bool is_number(const Value& value) {
  return value.kind == Kind::kInt || value.kind == Kind::kUint || value.kind == Kind::kDouble;
}

std::uint64_t bits(const Value& value) { return static_cast<std::uint64_t>(value.number); }

double as_double(const Value& value) {
  return value.kind == Kind::kDouble ? value.real
         : value.kind == Kind::kUint ? static_cast<double>(bits(value))
                                     : static_cast<double>(value.number);
}

bool equal(const Value& left, const Value& right) {
  if (is_number(left) && is_number(right)) {
    if (left.kind == right.kind && left.kind != Kind::kDouble) return left.number == right.number;
    return as_double(left) == as_double(right);
  }
  if (left.kind != right.kind || left.list.size() != right.list.size()) return false;
  for (std::size_t i = 0; i < left.list.size(); ++i) {
    if (!equal(left.list[i], right.list[i])) return false;
  }
  return left.number == right.number && left.text == right.text;
}

bool less(const Value& left, const Value& right) {
  if (left.kind == Kind::kString) return left.text < right.text;
  if (left.kind == Kind::kUint && right.kind == Kind::kUint) return bits(left) < bits(right);
  if (left.kind == right.kind && left.kind != Kind::kDouble) return left.number < right.number;
  return as_double(left) < as_double(right);
}

// What comes of an operand that has no value.
Value failed(const Value& left, const Value& right) {
  return left.kind == Kind::kUnknown || right.kind == Kind::kUnknown ? unknown() : Value();
}

Value compare(CompareOp op, const Value& left, const Value& right) {
  if (!left.is_value() || !right.is_value()) return failed(left, right);
  if (op == CompareOp::kEqual) return boolean(equal(left, right));
  if (op == CompareOp::kNotEqual) return boolean(!equal(left, right));
  if (left.kind != right.kind && !(is_number(left) && is_number(right))) return {};
  switch (op) {
    case CompareOp::kLess:
      return boolean(less(left, right));
    case CompareOp::kLessEqual:
      return boolean(less(left, right) || equal(left, right));
    case CompareOp::kGreater:
      return boolean(less(right, left));
    default:
      return boolean(less(right, left) || equal(left, right));
  }
}

Value in(const Value& value, const Value& of) {
  if (!value.is_value() || !of.is_value()) return failed(value, of);
  for (const Value& one : of.list) {
    if (equal(one, value)) return boolean(true);
  }
  return boolean(false);
}

Value negate(const Value& of) {
  if (!of.is_value()) return of;
  if (of.kind == Kind::kDouble) return real(-of.real);
  if (of.number == std::numeric_limits<std::int64_t>::min()) return {};
  return number(of.kind, -of.number);
}

Value size(const Value& of) {
  if (!of.is_value()) return of;
  if (of.kind == Kind::kString) return number(Kind::kInt, count_characters(of.text));
  return number(Kind::kInt, static_cast<std::int64_t>(of.list.size()));
}

std::string type_name(Kind kind) {
  switch (kind) {
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kUint:
      return "uint";
    case Kind::kDouble:
      return "double";
    case Kind::kString:
      return "string";
    case Kind::kDuration:
      return "google.protobuf.duration";
    case Kind::kType:
      return "type";
    case Kind::kList:
      return "list";
    default:
      return "map";
  }
}

template <typename T>
std::optional<T> read(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  T out{};
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, out);
  return failure == std::errc() && stop == end ? std::optional<T>(out) : std::nullopt;
}

std::string decimal(double value) {
  char buffer[352];
  return {buffer,
          std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr};
}

Value to_string(const Value& of) {
  switch (of.kind) {
    case Kind::kBool:
      return string(of.number != 0 ? "true" : "false");
    case Kind::kUint:
      return string(std::to_string(bits(of)));
    case Kind::kDouble:
      return string(decimal(of.real));
    case Kind::kDuration:
      return string(decimal(static_cast<double>(of.number) / 1e9) + "s");
    default:
      return string(std::to_string(of.number));
  }
}

Value to_int(const Value& of) {
  if (of.kind == Kind::kString) {
    const auto out = read<std::int64_t>(of.text);
    return out ? number(Kind::kInt, *out) : Value();
  }
  if (of.kind == Kind::kUint) return of.number < 0 ? Value() : number(Kind::kInt, of.number);
  if (!(of.real > -kTwoTo63 && of.real < kTwoTo63)) return {};
  return number(Kind::kInt, static_cast<std::int64_t>(of.real));
}

Value to_uint(const Value& of) {
  if (of.kind == Kind::kString) {
    const auto out = read<std::uint64_t>(of.text);
    return out ? number(Kind::kUint, static_cast<std::int64_t>(*out)) : Value();
  }
  if (of.kind == Kind::kInt) return of.number < 0 ? Value() : number(Kind::kUint, of.number);
  if (!(of.real >= 0 && of.real < 2 * kTwoTo63)) return {};
  return number(Kind::kUint, static_cast<std::int64_t>(static_cast<std::uint64_t>(of.real)));
}

Value convert(const Value& of, const std::string& to) {
  if (type_name(of.kind) == to || (to == "duration" && of.kind == Kind::kDuration)) return of;
  const std::string& text = of.text;
  if (to == "string") return to_string(of);
  if (to == "int") return to_int(of);
  if (to == "uint") return to_uint(of);
  if (to == "double" && of.kind != Kind::kString) return real(as_double(of));
  if (to == "double") {
    const auto out = read<double>(text);
    return out ? real(*out) : Value();
  }
  if (to == "bool") {
    if (text == "true" || text == "t" || text == "1") return boolean(true);
    if (text == "false" || text == "f" || text == "0") return boolean(false);
  }
  if (to != "duration") return {};
  const auto out = parse_duration(text);
  return out ? number(Kind::kDuration, *out) : Value();
}

}  // namespace

Interpreter::Interpreter(const Ast& ast, const EventRecord& record, const NamedLists& lists)
    : ast_(ast), record_(record), lists_(lists) {
  auto own = std::make_shared<Node>(node_of(*record.process));
  for (const Process* at = record.process->parent.get(); at != nullptr; at = at->parent.get()) {
    auto ancestor = std::make_shared<Node>(node_of(*at));
    ancestor->below = own->below;  // all between it and the process, so far
    own->below.push_back(std::move(ancestor));
  }
  process_ = std::move(own);
}

void Interpreter::push(std::string variable, Value value) {
  scope_.emplace_back(std::move(variable), std::move(value));
}

Interpreter::Value Interpreter::eval(std::uint32_t index) {
  if (++steps_ > kMaxSteps) return unknown();
  const AstNode& node = ast_[index];
  switch (node.kind) {
    case AstKind::kBool:
      return boolean(node.number != 0);
    case AstKind::kInt:
      return number(Kind::kInt, node.number);
    case AstKind::kUint:
      return number(Kind::kUint, node.number);
    case AstKind::kDouble:
      return real(std::bit_cast<double>(node.number));
    case AstKind::kString:
      return string(normalized(node.text));
    case AstKind::kName:
      return name(node);
    case AstKind::kSelect:
      return select(eval(node.children[0]), node.text);
    case AstKind::kNot: {
      const Value of = eval(node.children[0]);
      return of.is_value() ? boolean(of.number == 0) : of;
    }
    case AstKind::kAnd:
    case AstKind::kOr:
      return logic(node);
    case AstKind::kCompare:
      return compare(node.compare, eval(node.children[0]), eval(node.children[1]));
    case AstKind::kIn:
      return in(eval(node.children[0]), eval(node.children[1]));
    case AstKind::kNegate:
      return negate(eval(node.children[0]));
    case AstKind::kChoose:
      return choose(node);
    case AstKind::kList:
      return list(node);
    case AstKind::kMethod:
      return method(node);
    case AstKind::kCall:
      return call(node);
    default:
      return unknown();
  }
}

// All parts, so that each is looked at. What is told by one side needs no other.
Interpreter::Value Interpreter::logic(const AstNode& node) {
  const bool decides = node.kind == AstKind::kOr;
  bool is_decided = false;
  Value out = boolean(!decides);
  for (const std::uint32_t child : node.children) {
    const Value value = eval(child);
    if (!value.is_value()) {
      out = out.is_value() ? value : failed(out, value);
    } else if ((value.number != 0) == decides) {
      is_decided = true;
    }
  }
  return is_decided ? boolean(decides) : out;
}

Interpreter::Value Interpreter::choose(const AstNode& node) {
  Value question = eval(node.children[0]);
  if (!question.is_value()) return question;
  return eval(node.children[question.number != 0 ? 1 : 2]);
}

Interpreter::Value Interpreter::list(const AstNode& node) {
  Value out = number(Kind::kList, 0);
  for (const std::uint32_t child : node.children) {
    out.list.push_back(eval(child));
    if (!out.list.back().is_value()) return Value(out.list.back());
  }
  return out;
}

Interpreter::Value Interpreter::name(const AstNode& node) {
  for (std::size_t i = node.number != 0 ? 0 : scope_.size(); i-- > 0;) {
    if (scope_[i].first == node.text) return scope_[i].second;
  }
  if (node.text == "process") return process(process_);
  if (node.text == "list") return number(Kind::kListNames, 0);
  if (node.text == "step") return number(Kind::kStep, 0);
  return field(node.text);
}

Interpreter::Value Interpreter::field(const std::string& text) {
  const auto fields = info_of(record_.type).fields;
  for (std::size_t at = 0; at < fields.size(); ++at) {
    const auto i = static_cast<std::uint8_t>(at);
    if (fields[i].name != text) continue;
    if (fields[i].type == FieldType::kString) return string(normalized(record_.text(i)));
    return number(fields[i].type == FieldType::kBool ? Kind::kBool : Kind::kInt, record_.number(i));
  }
  return type(text);
}

Interpreter::Value Interpreter::strings(const std::vector<std::string>& values) {
  Value out = number(Kind::kList, 0);
  for (const std::string& value : values) {
    steps_ += 1 + value.size() / kBytesPerStep;
    out.list.push_back(string(normalized(value)));
  }
  return out;
}

Interpreter::Value Interpreter::select(const Value& of, const std::string& part) {
  if (of.kind == Kind::kListNames) {
    const auto found = lists_.find(part);
    return found == lists_.end() ? unknown() : strings(found->second);
  }
  if (of.kind == Kind::kStep) {
    if (record_.step == nullptr) return string("");
    return string(normalized(part == "id" ? record_.step->id : record_.step->name));
  }
  if (of.kind != Kind::kNode) return unknown();
  if (part == "exec_path") return string(of.node->exec_path);
  if (part == "cwd") return string(of.node->cwd);
  if (part == "uid") return number(Kind::kInt, of.node->uid);
  if (part == "argv") return strings(of.node->argv);
  if (part != "ancestors" && part != "descendants") return unknown();
  Value out = number(Kind::kList, 0);
  steps_ += of.node->below.size();
  for (const NodeRef& one : of.node->below) out.list.push_back(process(one));
  return out;
}

Interpreter::Value Interpreter::call(const AstNode& node) {
  if (node.children.empty()) return unknown();
  Value of = eval(node.children[0]);
  if (!of.is_value()) return of;
  if (node.text == "matches" && node.children.size() == 2) {
    return matches(node.children[1], of.text);
  }
  if (node.text == "inIpRange" && node.children.size() == 2) {
    const auto prefix = parse_cidr(ast_[node.children[1]].text);
    const auto ip = parse_ip(of.text);
    return prefix ? boolean(ip && prefix->contains(*ip)) : unknown();
  }
  if (node.text == "size") return size(of);
  if (node.text == "dyn") return of;
  if (node.text == "type") return type(type_name(of.kind));
  return convert(of, node.text);
}

Interpreter::Value Interpreter::matches(std::uint32_t pattern, const std::string& text) {
  const auto [at, is_new] = patterns_.try_emplace(pattern);
  const std::string& written = ast_[pattern].text;
  if (is_new && !Pattern::mistake_in(written)) at->second.emplace(written);
  return at->second ? boolean(at->second->matches(text)) : unknown();
}

Interpreter::Value Interpreter::method(const AstNode& node) {
  if (node.children.size() == 3) return macro(node);
  if (node.text == "size") return size(eval(node.children[0]));
  if (node.children.size() != 2) return unknown();
  const Value left = eval(node.children[0]);
  const Value right = eval(node.children[1]);
  if (!left.is_value() || !right.is_value()) return failed(left, right);
  const std::string& text = left.text;
  const std::string& part = right.text;
  steps_ += (text.size() + part.size()) / kBytesPerStep;
  // The pattern as it is written: letters of classes (\S) have a case of their own.
  if (node.text == "matches") return matches(node.children[1], text);
  if (node.text == "startsWith") return boolean(text.substr(0, part.size()) == part);
  if (node.text == "contains") return boolean(text.find(part) != std::string::npos);
  if (node.text != "endsWith") return unknown();
  return boolean(text.size() >= part.size() && text.substr(text.size() - part.size()) == part);
}

// exists: one is true decides; all: one is false does; exists_one: an error anywhere is one.
Interpreter::Value Interpreter::macro(const AstNode& node) {
  Value of = eval(node.children[0]);
  if (!of.is_value()) return of;
  if (of.kind != Kind::kList) return unknown();
  std::size_t trues = 0;
  std::size_t falses = 0;
  Value failure = boolean(false);
  for (const Value& element : of.list) {
    push(ast_[node.children[1]].text, element);
    const Value value = eval(node.children[2]);
    pop();
    if (!value.is_value()) failure = failure.is_value() ? value : failed(failure, value);
    trues += value.is_true();
    falses += value.is_false();
  }
  if (node.text == "exists" && trues > 0) return boolean(true);
  if (node.text == "all" && falses > 0) return boolean(false);
  if (!failure.is_value()) return failure;
  if (node.text == "all") return boolean(true);
  return boolean(node.text == "exists_one" && trues == 1);
}

}  // namespace cicd
