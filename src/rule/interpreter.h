// SPDX-License-Identifier: Apache-2.0
// Interpreter: a condition over one event, slow and obvious: it walks the tree as it was written,
// with dynamic types and errors as values, without reordering, sharing, short circuits or kept
// answers, with descendants as real lists. What `rule explain` asks about parts, and what property
// tests compare compiled programs with: it shares with these only how text, patterns, durations and
// addresses are read.
//
// kError: the language says it is one (int("x")). kUnknown: not found out.
// Threads: one. Lifetime: tree, record and lists must outlive it.
// Trap: the work is the product of nested lists. It is bounded: after kMaxSteps all is kUnknown and
// `is_exhausted`.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "event/event_record.h"
#include "rule/ast.h"
#include "rule/checked.h"
#include "rule/pattern.h"

namespace cicd {

class Interpreter {
 public:
  static constexpr std::uint64_t kMaxSteps = 20'000'000;

  struct Node {  // a process as the language shows it, text in normal form
    std::string exec_path;
    std::string cwd;
    std::int64_t uid = 0;
    std::vector<std::string> argv;
    std::vector<std::shared_ptr<const Node>> below;  // ancestors of the process, or descendants
  };
  using NodeRef = std::shared_ptr<const Node>;

  struct Value {
    enum class Kind {
      kUnknown,
      kError,
      kBool,
      kInt,
      kUint,
      kDouble,
      kString,
      kDuration,
      kType,
      kList,
      kNode,
      kListNames,
      kStep
    };
    Kind kind = Kind::kError;
    std::int64_t number = 0;  // also bool: 0 or 1; duration: nanoseconds
    double real = 0;
    std::string text;
    std::vector<Value> list;
    NodeRef node;

    bool is_true() const { return kind == Kind::kBool && number != 0; }
    bool is_false() const { return kind == Kind::kBool && number == 0; }
    bool is_value() const { return kind != Kind::kUnknown && kind != Kind::kError; }
  };

  // `ast` is complete and without mistakes.
  Interpreter(const Ast& ast, const EventRecord& record, const NamedLists& lists);

  Value eval(std::uint32_t node);
  Value eval() { return eval(ast_.root); }
  bool is_exhausted() const { return steps_ > kMaxSteps; }

  // Gives a variable a value, as exists() does for its body, until pop().
  void push(std::string variable, Value value);
  void pop() { scope_.pop_back(); }

 private:
  Value name(const AstNode& node);
  Value field(const std::string& text);
  Value select(const Value& of, const std::string& part);
  Value strings(const std::vector<std::string>& values);
  Value logic(const AstNode& node);
  Value choose(const AstNode& node);
  Value list(const AstNode& node);
  Value call(const AstNode& node);
  Value method(const AstNode& node);
  Value matches(std::uint32_t pattern, const std::string& text);
  Value macro(const AstNode& node);

  const Ast& ast_;
  const EventRecord& record_;
  const NamedLists& lists_;
  NodeRef process_;
  std::vector<std::pair<std::string, Value>> scope_;
  std::map<std::uint32_t, std::optional<Pattern>> patterns_;  // by node; nothing: no pattern
  std::uint64_t steps_ = 0;
};

}  // namespace cicd
