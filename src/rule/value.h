// SPDX-License-Identifier: Apache-2.0
// Values: what conditions reckon with beside plain texts and fields: conversions, sizes, choices,
// doubles. A ValueNode is an immutable part of Code, made by Lowering; find_value() asks for its
// value in an event. A value can be an error (int("x")); whoever needs it asks first
// (Op::kHasValue).
//
// Any thread; allocates nothing.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "rule/checked.h"

namespace cicd {

struct TextSource {
  enum class Kind : std::uint8_t {
    kLiteral,          // literals[literal]
    kField,            // payload field `index`
    kExecPath,         // of the event's process
    kElement,          // the string in slot `index`
    kElementExecPath,  // of the process in slot `index`
    kCwd,              // of the event's process
    kElementCwd,       // of the process in slot `index`
    kStepId,
    kStepName,
    kValue,  // values[literal], a string
  };
  Kind kind = Kind::kLiteral;
  std::uint8_t index = 0;
  std::uint32_t literal = 0;
};

struct ListSource {
  enum class Kind : std::uint8_t { kArgv, kElementArgv, kAncestors, kDescendants, kNamed };
  Kind kind = Kind::kArgv;
  std::uint8_t slot = 0;    // of the process whose argv or descendants these are
  std::uint32_t named = 0;  // lists[named]
};

struct ValueNode {
  enum class Op : std::uint8_t {
    kNumber,    // number, of any type that is no string
    kField,     // payload field `index`
    kUid,       // of the event's process, or of the one in slot `index`
    kText,      // text
    kBool,      // instruction `first` is true, or instruction `second` is; else it is an error
    kTextSize,  // of value `first`
    kListSize,  // of list
    kConvert,   // value `first` as `type`; a string is kept in buffer `second`
    kNegate,    // of value `first`
    kChoose,    // value `first` when instruction `question` is true, `second` when `otherwise` is
  };
  Op op = Op::kNumber;
  ValueType type = ValueType::kInt;
  std::uint8_t index = kNoVariable;
  std::int64_t number = 0;
  TextSource text;
  ListSource list;
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  std::uint32_t question = 0;
  std::uint32_t otherwise = 0;
};

struct Value {
  ValueType type = ValueType::kInt;
  std::int64_t number = 0;  // as CheckedNode::number
  std::string_view text;
};

// Room for a number as text; those of doubles are written out without an exponent.
using NumberText = std::array<char, 352>;

// What values are made of in the event at hand.
class ValueSource {
 public:
  virtual bool is_true(std::uint32_t instruction) = 0;
  virtual std::string_view text_of(const TextSource& source) = 0;
  virtual std::int64_t field_number(std::uint8_t field) = 0;
  virtual std::uint32_t uid_of(std::uint8_t slot) = 0;  // kNoVariable: the event's process
  virtual std::size_t size_of(const ListSource& list) = 0;

 protected:
  ~ValueSource() = default;
};

// Nothing: an error. The text of a conversion lives in `buffers` until it is asked for again.
std::optional<Value> find_value(std::span<const ValueNode> nodes, std::uint32_t index,
                                ValueSource& source, std::span<NumberText> buffers);
// Of one type, or two numbers; these are compared as doubles when they differ in type.
std::partial_ordering compare_values(const Value& left, const Value& right);
bool holds(CompareOp op, std::partial_ordering order);

// `value` as `type`; nothing when it has no such value. A text made of a number is put into
// `buffer`, which may be null for all other types.
std::optional<Value> convert(const Value& value, ValueType type, NumberText* buffer);
// Code points; a byte that is not part of UTF-8 counts as one.
std::int64_t count_characters(std::string_view text);

}  // namespace cicd
