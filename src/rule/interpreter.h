// SPDX-License-Identifier: Apache-2.0
// Interpreter: a condition over one event, slow and obvious: it walks the tree as it was written,
// without reordering, sharing, short circuits or kept answers, with descendants as real lists. What
// `rule explain` asks about parts.
//
// A part it does not know (of a language that grew) is kUnknown, and so is what depends on it.
// Threads: one. Lifetime: tree, record and lists must outlive it.
// Trap: the work is the product of nested lists. It is bounded: after kMaxSteps all is kUnknown and
// `is_exhausted`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event/event_record.h"
#include "rule/ast.h"
#include "rule/checked.h"

namespace cicd {

class Interpreter {
 public:
  static constexpr std::uint64_t kMaxSteps = 20'000'000;

  struct Node {  // a process as the language shows it, text in normal form
    std::string exec_path;
    std::vector<std::string> argv;
    std::vector<std::shared_ptr<const Node>> below;  // ancestors of the process, or descendants
  };
  using NodeRef = std::shared_ptr<const Node>;

  struct Value {
    enum class Kind { kUnknown, kBool, kInt, kString, kStrings, kNode, kNodes, kListNames };
    Kind kind = Kind::kUnknown;
    std::int64_t number = 0;  // also bool: 0 or 1
    std::string text;
    std::vector<std::string> strings;
    NodeRef node;
    std::vector<NodeRef> nodes;

    bool is_true() const { return kind == Kind::kBool && number != 0; }
    bool is_false() const { return kind == Kind::kBool && number == 0; }
    // Of a list; nothing of anything else.
    std::vector<Value> elements() const;
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
  Value name(const std::string& text);
  Value global(const std::string& text);
  Value field(const std::string& text);
  Value select(const Value& of, const std::string& part);
  Value logic(const AstNode& node);
  Value call(const AstNode& node);
  Value text_test(const AstNode& node);
  Value exists(const AstNode& node);

  const Ast& ast_;
  const EventRecord& record_;
  const NamedLists& lists_;
  NodeRef process_;
  std::vector<std::pair<std::string, Value>> scope_;
  std::uint64_t steps_ = 0;
};

}  // namespace cicd
