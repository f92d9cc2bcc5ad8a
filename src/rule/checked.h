// SPDX-License-Identifier: Apache-2.0
// Checked: a condition whose names and types are known, between the Ast and the Program. Every
// node has a type; literals are in normal form; the variables of exists() are numbered by nesting.
// Pure data; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "event/event_type.h"
#include "rule/ast.h"
#include "rule/ip_prefix.h"

namespace cicd {

// Most exists() inside each other. Each level multiplies the cost of an event.
inline constexpr int kMaxExistsDepth = 4;

enum class ValueType : std::uint8_t {
  kError,  // reported already; fits everywhere
  kBool,
  kInt,
  kString,
  kStringList,
  kAncestorList,
  kAncestor,
  kProcess,
  kLists,  // the name `list`
};

enum class CheckedKind : std::uint8_t {
  kNothing,      // of type kError, or a name that is no value by itself
  kLiteral,      // number or text
  kField,        // payload field number `index`
  kExecPath,     // of the process, or of variable `variable` when it is not kNoVariable
  kVariable,     // a string variable
  kArgv,         // list: of the process or of an ancestor variable
  kAncestors,    // list: process.ancestors
  kDescendants,  // list: of an ancestor variable
  kNamedList,    // list: `text` of the rule set
  kNot,
  kAnd,
  kOr,
  kCompare,     // children 0 and 1, of one type
  kStartsWith,  // child 0 is searched for child 1
  kEndsWith,
  kContains,
  kInIpRange,  // child 0 in `prefix`
  kExists,     // list is child 0, body child 1, the element is variable `variable`
};

inline constexpr std::uint8_t kNoVariable = 0xff;

struct CheckedNode {
  CheckedKind kind = CheckedKind::kNothing;
  ValueType type = ValueType::kError;
  CompareOp compare = CompareOp::kEqual;
  std::uint8_t index = 0;
  std::uint8_t variable = kNoVariable;
  std::int64_t number = 0;
  std::string text;
  IpPrefix prefix;
  std::vector<std::uint32_t> children;
};

struct Checked {
  EventType event_type = EventType::kProcessExec;
  std::vector<CheckedNode> nodes;
  std::uint32_t root = 0;

  const CheckedNode& operator[](std::uint32_t index) const { return nodes[index]; }
};

using NamedLists = std::map<std::string, std::vector<std::string>>;

// Looks up names and types; mistakes are appended to `mistakes`. `ast` must be complete.
Checked check_condition(const Ast& ast, EventType event_type, const NamedLists& lists,
                        std::vector<CodeMistake>& mistakes);

}  // namespace cicd
