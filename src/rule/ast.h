// SPDX-License-Identifier: Apache-2.0
// Ast: a condition as it was written, before names and types are looked up. Nodes are numbers into
// one array, so that a deep tree is freed without recursion. Its depth is bounded by the parser,
// so passes may recurse. Pure data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rule/rule_set.h"

namespace cicd {

inline constexpr int kMaxConditionDepth = 250;
inline constexpr std::size_t kMaxConditionNodes = 100'000;

enum class AstKind : std::uint8_t {
  kError,   // something that was reported already
  kBool,    // number: 0 or 1
  kInt,     // number
  kUint,    // number, the same 64 bits
  kDouble,  // number: its bits
  kString,  // text, escapes resolved; number: byte of the condition where it stands unescaped, or 0
  kName,    // text; number: 1 when a dot before it passes over the variables of macros
  kSelect,  // child 0 . text
  kCall,    // text(children...)
  kMethod,  // child 0 . text(children 1...)
  kNot,     // child 0
  kAnd,     // two children or more
  kOr,      // two children or more
  kCompare,  // child 0 <compare> child 1
  kIn,       // child 0 in child 1
  kNegate,   // - child 0
  kChoose,   // child 0 ? child 1 : child 2
  kList,     // [children...]

  // In correlations only.
  kIndex,     // child 0 [ child 1 ]
  kAdd,       // child 0 + child 1
  kSubtract,  // child 0 - child 1
};

enum class CompareOp : std::uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual
};

struct AstNode {
  AstKind kind = AstKind::kError;
  CompareOp compare = CompareOp::kEqual;
  std::uint16_t depth = 1;   // of the tree below, counted in nodes
  std::uint32_t offset = 0;  // byte of the condition where the node's own token stands
  std::int64_t number = 0;
  std::string text;
  std::vector<std::uint32_t> children;
};

// A mistake inside a condition.
struct CodeMistake {
  std::uint32_t offset = 0;
  std::string text;
  bool is_warning = false;  // the condition is used all the same
};

struct Ast {
  std::vector<AstNode> nodes;
  std::uint32_t root = 0;
  std::vector<CodeMistake> mistakes;
  bool is_complete = false;  // false: the text could not be read to its end, there is no root

  const AstNode& operator[](std::uint32_t index) const { return nodes[index]; }
};

enum class ConditionKind : std::uint8_t { kEvent, kCorrelation };

// Reads a condition. Never throws; every input ends.
Ast parse_condition(const std::string& text, ConditionKind kind = ConditionKind::kEvent);

}  // namespace cicd
