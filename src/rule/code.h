// SPDX-License-Identifier: Apache-2.0
// Code: what a Program evaluates. Conditions of all rules in one graph of instructions: equal
// sub-expressions are one instruction (numbers of children are part of its identity; children come
// before their parents), and an instruction whose answer cannot change for a process, or within an
// event, says how long it holds.
//
// A new operator: an Op here, what it depends on in facts_of() and its identity in key_of()
// (code_builder.cpp), its numbers in Linker::copy() when it names something in one of the tables
// of Code, and a case in evaluator.cpp.
//
// Pure data, immutable once compiled; any thread. Made by CodeBuilder (code_builder.h), read by
// evaluator.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rule/checked.h"
#include "rule/pattern.h"
#include "rule/program.h"
#include "rule/value.h"

namespace cicd {

// Slots that variables of exists() are kept in while a rule is evaluated. Facts have a bit for
// each.
inline constexpr std::size_t kMaxSlots = kMaxVariables;
static_assert(kMaxSlots <= 8);

enum class Op : std::uint8_t {
  kConstant,   // number[0]
  kBoolField,  // field
  kNot,
  kAnd,
  kOr,
  kTextIn,       // text[0] fits a pattern of sets[index]; every test against known text is one
  kTextCompare,  // text[0] <compare> text[1]
  kStartsWith,
  kEndsWith,
  kContains,
  kIntCompare,   // number or field on either side
  kBoolCompare,  // child 0 <compare> child 1
  kInIpRange,    // text[0] in prefixes[index]
  kExists,       // some element of the list makes child 0 true
  kExistsOne,    // exactly one element of it does
  kExactlyOne,   // of the children is true
  kListCompare,  // list == other_list, or !=; text by text, in order
  kMatches,      // patterns[index] matches text[0]
  // These have as children what their values ask for.
  kValueCompare,  // values[value[0]] <compare> values[value[1]]; false when one is an error
  kHasValue,      // values[value[0]] is no error
};

struct IntSource {
  bool is_field = false;
  std::uint8_t field = 0;
  std::int64_t number = 0;
};

// How long the answer of an instruction holds.
enum class Memo : std::uint8_t {
  kNone,
  kEvent,     // until the next event
  kProcess,   // depends on the process and its ancestors only
  kOwnImage,  // depends on the image (program and arguments) of the event's process only
  kImage,     // depends on the image of the process in `memo_slot` only
  kAbove,     // exists() over the ancestors that asks of their images only: holds for the parent
              // and all that is above it, so what was found for one child serves the next
};

struct Instruction {
  Op op = Op::kConstant;
  CompareOp compare = CompareOp::kEqual;
  std::uint8_t field = 0;
  std::uint8_t slot = 0;  // kExists: where the element goes
  Memo memo = Memo::kNone;
  std::uint8_t memo_slot = 0;
  std::uint32_t index = 0;
  std::uint32_t first_child = 0;  // in Code::children
  std::uint32_t child_count = 0;
  ListSource list;
  ListSource other_list;
  std::array<std::uint32_t, 2> value{};
  std::array<TextSource, 2> text;
  std::array<IntSource, 2> number;
};

// What a text is compared with.
struct TextPattern {
  enum class Kind : std::uint8_t { kEqual, kPrefix, kSuffix, kContains };
  Kind kind = Kind::kEqual;
  std::uint32_t literal = 0;  // literals[literal]; empty for kEqual only

  auto operator<=>(const TextPattern&) const = default;
};

struct Code {
  std::vector<Instruction> instructions;
  std::vector<std::uint32_t> children;
  std::vector<std::string> literals;            // in normal form
  std::vector<std::vector<std::string>> lists;  // in normal form
  std::vector<std::vector<TextPattern>> sets;   // sorted, without repeats, not empty
  std::vector<IpPrefix> prefixes;
  std::vector<std::shared_ptr<const Pattern>> patterns;
  std::vector<ValueNode> values;   // those that a value asks for come before it
  std::uint32_t number_texts = 0;  // buffers that values need
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
