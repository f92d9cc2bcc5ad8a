// SPDX-License-Identifier: Apache-2.0
// Checked: a condition whose names and types are known, between the Ast and the Program. Every
// node has a type; literals are in normal form; the variables of exists() are numbered by nesting.
// Pure data; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "event/event_type.h"
#include "rule/ast.h"
#include "rule/ip_prefix.h"
#include "rule/rule_set.h"

namespace cicd {

// Most exists() inside each other. Each level multiplies the cost of an event.
inline constexpr int kMaxExistsDepth = 4;
// Most parts of a condition that an event may have looked at (CheckedNode::weight).
inline constexpr std::uint32_t kMaxConditionWeight = 1'000'000;
// Variables that may hold something at once: theirs, and the one of an `in` inside.
inline constexpr int kMaxVariables = kMaxExistsDepth + 1;

enum class ValueType : std::uint8_t {
  kError,  // reported already; fits everywhere
  kBool,
  kInt,
  kUint,
  kDouble,
  kString,
  kDuration,
  kType,  // the name of a type
  kStringList,
  kList,  // written out, of any values
  kAncestorList,
  kAncestor,
  kProcess,
  kLists,  // the name `list`
  kStep,   // the name `step`
};

enum class CheckedKind : std::uint8_t {
  kNothing,   // of type kError, or a name that is no value by itself
  kLiteral,   // number (of a double its bits, of a duration nanoseconds) or text
  kNever,     // an error whatever the event, which keeps a rule from firing
  kField,     // payload field number `index`
  kExecPath,  // of the process, or of variable `variable` when it is not kNoVariable
  kCwd,       // the same
  kUid,       // the same
  kStepId,
  kStepName,
  kVariable,     // a string variable
  kArgv,         // list: of the process or of an ancestor variable
  kAncestors,    // list: process.ancestors
  kDescendants,  // list: of an ancestor variable
  kNamedList,    // list: `text` of the rule set
  kStrings,      // list: literals, children; type kStringList
  kList,         // list: any values, children
  kNot,
  kAnd,
  kOr,
  kCompare,     // children 0 and 1, of one type, two kinds of number, or two lists of strings
  kChoose,      // child 0 ? child 1 : child 2
  kNegate,      // - child 0
  kConvert,     // child 0 as a value of type `type`
  kSize,        // characters of a string, elements of a list
  kRequire,     // child 0, when none of the other children is an error
  kStartsWith,  // child 0 is searched for child 1
  kEndsWith,
  kContains,
  kMatches,     // child 0 has a match of the regular expression `text`
  kInIpRange,   // child 0 in `prefix`
  kExists,      // list is child 0, body child 1, the element is variable `variable`
  kAll,         // the same
  kExistsOne,   // the same
  kExactlyOne,  // of the children is true
};

inline constexpr std::uint8_t kNoVariable = 0xff;

struct CheckedNode {
  CheckedKind kind = CheckedKind::kNothing;
  ValueType type = ValueType::kError;
  CompareOp compare = CompareOp::kEqual;
  std::uint8_t index = 0;
  std::uint8_t variable = kNoVariable;
  // It can be an error for some event: int(text) of something that is no number. Then it is neither
  // true nor false: && and || need not have it when the other side tells, and a rule whose
  // condition or exceptions are an error does not fire.
  bool can_fail = false;
  // Parts that are looked at, at most, with each element of lists once. Parts are shared, and some
  // are asked twice, so it can be far more than there are nodes.
  std::uint32_t weight = 1;
  // Macros below it use variables with smaller numbers than this.
  std::uint8_t first_free = 0;
  bool is_dyn = false;  // may meet a value of another type: they are different, and have no order
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
                        RuleLanguage language, std::vector<CodeMistake>& mistakes);

inline bool has_errors(const std::vector<CodeMistake>& mistakes) {
  return std::ranges::any_of(mistakes, [](const CodeMistake& one) { return !one.is_warning; });
}

}  // namespace cicd
