// SPDX-License-Identifier: Apache-2.0
// A slow and obvious interpreter of conditions: walks the tree as it is written, with dynamic types
// and errors as values, as the language defines it. No reordering, no sharing, no kept answers,
// descendants as real lists. What compiled programs are compared with. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "rule/ast.h"
#include "rule/checked.h"
#include "rule/ip_prefix.h"
#include "rule/normalize.h"
#include "rule/test_events.h"

namespace cicd::test {

struct ShownProcess {  // a process as the language shows it
  std::string exec_path, cwd;
  std::int64_t uid = 0;
  std::vector<std::string> argv;
  std::vector<std::shared_ptr<ShownProcess>> below;  // ancestors of the process, or descendants
};
using ShownRef = std::shared_ptr<ShownProcess>;

struct SlowValue {
  enum class Kind {
    kError,
    kBool,
    kInt,
    kUint,
    kDouble,
    kString,
    kDuration,
    kType,
    kList,
    kProcess,
    kListNames,
    kStep
  } kind = Kind::kError;
  std::int64_t number = 0;
  double real = 0;
  std::string text;
  std::vector<SlowValue> list;
  ShownRef process;

  bool is_error() const { return kind == Kind::kError; }
  bool is_number() const {
    return kind == Kind::kInt || kind == Kind::kUint || kind == Kind::kDouble;
  }
};

class SlowInterpreter {
 public:
  using Value = SlowValue;
  using Kind = SlowValue::Kind;

  SlowInterpreter(const Ast& ast, const NamedLists& lists, const EventRecord& record)
      : ast_(ast), lists_(lists), record_(record) {
    process_ = shown(*record.process);
    for (const Process* at = record.process->parent.get(); at != nullptr; at = at->parent.get()) {
      ShownRef ancestor = shown(*at);
      ancestor->below = process_->below;  // all between it and the process, so far
      process_->below.push_back(ancestor);
    }
  }
  // 1: true, 0: false, -1: an error.
  int answer() {
    const Value value = eval(ast_.root);
    return value.kind == Kind::kBool ? static_cast<int>(value.number) : -1;
  }

 private:
  static ShownRef shown(const Process& process) {
    auto out = std::make_shared<ShownProcess>();
    out->exec_path = normalized(process.image->exec_path);
    out->cwd = normalized(process.image->cwd);
    out->uid = process.uid;
    for (const std::string& one : process.image->argv) out->argv.push_back(normalized(one));
    return out;
  }
  static Value number(Kind kind, std::int64_t value) { return {kind, value, 0, {}, {}, {}}; }
  static Value boolean(bool value) { return number(Kind::kBool, value); }
  static Value real(double value) { return {Kind::kDouble, 0, value, {}, {}, {}}; }
  static Value string(std::string text) { return {Kind::kString, 0, 0, std::move(text), {}, {}}; }
  static Value type(std::string text) { return {Kind::kType, 0, 0, std::move(text), {}, {}}; }
  static Value process(ShownRef of) { return {Kind::kProcess, 0, 0, {}, {}, std::move(of)}; }
  static Value list(std::vector<Value> values) {
    return {Kind::kList, 0, 0, {}, std::move(values), {}};
  }
  static Value strings(const std::vector<std::string>& values) {
    std::vector<Value> out;
    for (const std::string& value : values) out.push_back(string(normalized(value)));
    return list(std::move(out));
  }

  Value eval(std::uint32_t index) {
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
        return name(node.text);
      case AstKind::kSelect:
        return select(eval(node.children[0]), node.text);
      case AstKind::kNot: {
        const Value of = eval(node.children[0]);
        return of.is_error() ? of : boolean(of.number == 0);
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
      case AstKind::kChoose: {
        const Value question = eval(node.children[0]);
        if (question.is_error()) return question;
        return eval(node.children[question.number != 0 ? 1 : 2]);
      }
      case AstKind::kList: {
        Value out = list({});
        for (const std::uint32_t child : node.children) {
          out.list.push_back(eval(child));
          if (out.list.back().is_error()) return out.list.back();
        }
        return out;
      }
      case AstKind::kMethod:
        return method(node);
      case AstKind::kCall:
        return call(node);
      case AstKind::kIndex:
      case AstKind::kAdd:
      case AstKind::kSubtract:
      case AstKind::kError:
        break;
    }
    ADD_FAILURE() << "a node that should not be there";
    return {};
  }

  // The side that decides does so even when the other one is an error.
  Value logic(const AstNode& node) {
    const bool decides = node.kind == AstKind::kOr;
    bool is_error = false;
    bool is_decided = false;
    for (const std::uint32_t child : node.children) {
      const Value value = eval(child);
      is_error |= value.is_error();
      is_decided |= !value.is_error() && (value.number != 0) == decides;
    }
    if (is_decided) return boolean(decides);
    return is_error ? Value{} : boolean(!decides);
  }

  Value name(const std::string& text) {
    for (std::size_t i = scope_.size(); i-- > 0;) {
      if (scope_[i].first == text) return scope_[i].second;
    }
    if (text == "process") return process(process_);
    if (text == "list") return {Kind::kListNames, 0, 0, {}, {}, {}};
    if (text == "step") return {Kind::kStep, 0, 0, {}, {}, {}};
    const auto fields = info_of(record_.type).fields;
    for (std::size_t at = 0; at < fields.size(); ++at) {
      const auto i = static_cast<std::uint8_t>(at);
      if (fields[i].name != text) continue;
      if (fields[i].type == FieldType::kString) return string(normalized(record_.text(i)));
      return number(fields[i].type == FieldType::kBool ? Kind::kBool : Kind::kInt,
                    record_.number(i));
    }
    return type(text);
  }

  Value select(const Value& of, const std::string& part) {
    if (of.kind == Kind::kListNames) return strings(lists_.at(part));
    if (of.kind == Kind::kStep) {
      if (record_.step == nullptr) return string("");
      return string(normalized(part == "id" ? record_.step->id : record_.step->name));
    }
    if (part == "exec_path") return string(of.process->exec_path);
    if (part == "cwd") return string(of.process->cwd);
    if (part == "uid") return number(Kind::kInt, of.process->uid);
    if (part == "argv") return strings(of.process->argv);
    Value out = list({});
    for (const ShownRef& one : of.process->below) out.list.push_back(process(one));
    return out;
  }

  static double as_double(const Value& value) {
    return value.kind == Kind::kDouble ? value.real
           : value.kind == Kind::kUint
               ? static_cast<double>(static_cast<std::uint64_t>(value.number))
               : static_cast<double>(value.number);
  }

  static bool equal(const Value& left, const Value& right) {
    if (left.is_number() && right.is_number()) {
      if (left.kind == right.kind && left.kind != Kind::kDouble) return left.number == right.number;
      return as_double(left) == as_double(right);
    }
    if (left.kind != right.kind || left.list.size() != right.list.size()) return false;
    for (std::size_t i = 0; i < left.list.size(); ++i) {
      if (!equal(left.list[i], right.list[i])) return false;
    }
    return left.number == right.number && left.text == right.text;
  }

  // left < right
  static bool less(const Value& left, const Value& right) {
    if (left.kind == Kind::kString) return left.text < right.text;
    if (left.kind == Kind::kUint && right.kind == Kind::kUint) {
      return static_cast<std::uint64_t>(left.number) < static_cast<std::uint64_t>(right.number);
    }
    if (left.kind == right.kind && left.kind != Kind::kDouble) return left.number < right.number;
    return as_double(left) < as_double(right);
  }

  static Value compare(CompareOp op, const Value& left, const Value& right) {
    if (left.is_error() || right.is_error()) return {};
    if (op == CompareOp::kEqual) return boolean(equal(left, right));
    if (op == CompareOp::kNotEqual) return boolean(!equal(left, right));
    if (left.kind != right.kind && !(left.is_number() && right.is_number())) return {};
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

  static Value in(const Value& value, const Value& of) {
    if (value.is_error() || of.is_error()) return {};
    for (const Value& one : of.list) {
      if (equal(one, value)) return boolean(true);
    }
    return boolean(false);
  }

  static Value negate(const Value& of) {
    if (of.kind == Kind::kDouble) return real(-of.real);
    if (of.is_error() || of.number == std::numeric_limits<std::int64_t>::min()) return {};
    return number(of.kind, -of.number);
  }

  Value method(const AstNode& node) {
    if (node.text == "exists" || node.text == "all" || node.text == "exists_one") {
      return macro(node);
    }
    if (node.text == "size") return size(eval(node.children[0]));
    const Value left = eval(node.children[0]);
    const Value right = eval(node.children[1]);
    if (left.is_error() || right.is_error()) return {};
    const std::string& a = left.text;
    const std::string& b = right.text;
    if (node.text == "matches") {
      // The pattern as it is written: letters of classes (\S) have a case of their own.
      const std::regex pattern(ast_[node.children[1]].text,
                               std::regex::ECMAScript | std::regex::icase);
      return boolean(std::regex_search(a, pattern));
    }
    if (node.text == "startsWith") return boolean(a.substr(0, b.size()) == b);
    if (node.text == "contains") return boolean(a.find(b) != std::string::npos);
    return boolean(a.size() >= b.size() && a.substr(a.size() - b.size()) == b);
  }

  Value call(const AstNode& node) {
    const Value of = eval(node.children[0]);
    if (of.is_error()) return of;
    if (node.text == "inIpRange") {
      const auto ip = parse_ip(of.text);
      return boolean(ip && parse_cidr(ast_[node.children[1]].text)->contains(*ip));
    }
    if (node.text == "size") return size(of);
    if (node.text == "dyn") return of;
    if (node.text == "type") return type(type_name(of.kind));
    return convert(of, node.text);
  }

  static std::string type_name(Kind kind) {
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
      case Kind::kType:
        return "type";
      case Kind::kList:
        return "list";
      default:
        return "map";
    }
  }

  static Value size(const Value& of) {
    if (of.is_error()) return of;
    if (of.kind == Kind::kList) {
      return number(Kind::kInt, static_cast<std::int64_t>(of.list.size()));
    }
    std::int64_t count = 0;  // the world of the test has valid UTF-8 only
    for (const char c : of.text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    return number(Kind::kInt, count);
  }

  // Texts of the test's world are plain decimal numbers, or none.
  static Value convert(const Value& of, const std::string& to) {
    const bool is_text = of.kind == Kind::kString;
    char* end = nullptr;
    const double parsed = std::strtod(of.text.c_str(), &end);
    const bool is_decimal = is_text && !of.text.empty() && *end == '\0' && end != of.text.c_str();
    const bool is_whole =
        is_decimal && of.text.find_first_not_of("-0123456789") == std::string::npos;
    if (to == "string") {
      if (is_text) return of;
      if (of.kind == Kind::kBool) return string(of.number != 0 ? "true" : "false");
      if (of.kind != Kind::kDouble) return string(std::to_string(of.number));
      const bool whole = of.real == std::floor(of.real);
      return string(whole
                        ? std::to_string(static_cast<std::int64_t>(of.real))
                        : std::to_string(of.real).substr(0, std::to_string(of.real).find('.') + 2));
    }
    if (to == "bool") {
      if (!is_text) return of;
      if (of.text == "true" || of.text == "t" || of.text == "1") return boolean(true);
      if (of.text == "false" || of.text == "f" || of.text == "0") return boolean(false);
      return {};
    }
    if (is_text && !(to == "double" ? is_decimal : is_whole)) return {};
    const double value = is_text ? parsed : as_double(of);
    if (to == "double") return real(value);
    if (to == "uint" && (value < 0 || (is_text && of.text[0] == '-'))) return {};
    return number(to == "uint" ? Kind::kUint : Kind::kInt, static_cast<std::int64_t>(value));
  }

  // exists: one is true decides; all: one is false does; exists_one: an error anywhere is one.
  Value macro(const AstNode& node) {
    const Value of = eval(node.children[0]);
    if (of.is_error()) return of;
    int trues = 0, falses = 0, errors = 0;
    for (const Value& element : of.list) {
      scope_.emplace_back(ast_[node.children[1]].text, element);
      const Value value = eval(node.children[2]);
      scope_.pop_back();
      (value.is_error() ? errors : value.number != 0 ? trues : falses) += 1;
    }
    if (node.text == "exists" && trues > 0) return boolean(true);
    if (node.text == "all" && falses > 0) return boolean(false);
    if (errors > 0) return {};
    return boolean(node.text == "exists" ? false : node.text == "all" ? true : trues == 1);
  }

  const Ast& ast_;
  const NamedLists& lists_;
  const EventRecord& record_;
  ShownRef process_;
  std::vector<std::pair<std::string, Value>> scope_;
};

}  // namespace cicd::test
