// SPDX-License-Identifier: Apache-2.0
// Code: what a Program evaluates. Conditions of all rules in one graph of instructions: equal
// sub-expressions are one instruction (numbers of children are part of its identity), and an
// instruction whose answer cannot change for a process, or within an event, says where the answer
// is kept.
//
// Pure data, immutable once compiled; any thread. Made by Lowering (lowering.h), read by
// evaluator.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "rule/checked.h"
#include "rule/program.h"

namespace cicd {

enum class Op : std::uint8_t {
  kConstant,   // number[0]
  kBoolField,  // field
  kNot,
  kAnd,
  kOr,
  kTextCompare,  // text[0] <compare> text[1]
  kStartsWith,
  kEndsWith,
  kContains,
  kIntCompare,   // number or field on either side
  kBoolCompare,  // child 0 <compare> child 1
  kInIpRange,    // text[0] in prefixes[index]
  kExists,       // some element of the list makes child 0 true
};

struct TextSource {
  enum class Kind : std::uint8_t {
    kLiteral,          // literals[literal]
    kField,            // payload field `index`
    kExecPath,         // of the event's process
    kElement,          // the string in slot `index`
    kElementExecPath,  // of the process in slot `index`
  };
  Kind kind = Kind::kLiteral;
  std::uint8_t index = 0;
  std::uint32_t literal = 0;
};

struct IntSource {
  bool is_field = false;
  std::uint8_t field = 0;
  std::int64_t number = 0;
};

struct ListSource {
  enum class Kind : std::uint8_t { kArgv, kElementArgv, kAncestors, kDescendants, kNamed };
  Kind kind = Kind::kArgv;
  std::uint8_t slot = 0;    // of the process whose argv or descendants these are
  std::uint32_t named = 0;  // lists[named]
};

// Where the answer of an instruction is kept, and so how long it holds.
enum class Memo : std::uint8_t {
  kNone,
  kEvent,    // until the next event
  kProcess,  // depends on the process and its ancestors only
  kImage,    // depends on the image (program and arguments) of the process in `memo_slot` only
};

struct Instruction {
  Op op = Op::kConstant;
  CompareOp compare = CompareOp::kEqual;
  std::uint8_t field = 0;
  std::uint8_t slot = 0;  // kExists: where the element goes
  Memo memo = Memo::kNone;
  std::uint8_t memo_slot = 0;
  std::uint32_t memo_index = 0;
  std::uint32_t index = 0;
  std::uint32_t first_child = 0;  // in Code::children
  std::uint32_t child_count = 0;
  ListSource list;
  std::array<TextSource, 2> text;
  std::array<IntSource, 2> number;
};

struct Code {
  std::vector<Instruction> instructions;
  std::vector<std::uint32_t> children;
  std::vector<std::string> literals;            // in normal form
  std::vector<std::vector<std::string>> lists;  // in normal form, without repeats
  std::vector<IpPrefix> prefixes;
  std::uint32_t event_memos = 0;
  std::uint32_t process_memos = 0;
  std::uint32_t image_memos = 0;
};

// The one kind of Program there is.
class CompiledProgram : public Program {
 public:
  struct Entry {
    std::uint32_t rule;  // index in rules()
    std::uint32_t root;  // instruction
  };

  std::span<const CompiledRule> rules() const override { return rules_; }

  std::span<const Correlation> correlations() const override { return correlations_; }

  std::vector<CompiledRule> rules_;
  std::vector<Correlation> correlations_;
  Code code;
  std::array<std::vector<Entry>, kEventTypeCount> entries;  // by event type, in order of rules()
};

}  // namespace cicd
