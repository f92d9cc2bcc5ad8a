// SPDX-License-Identifier: Apache-2.0
// Lowering: checked conditions -> Code. Text that is known when the rule is compiled is put into
// sets: `path.endsWith("/a") || list.names.exists(n, path == n)` becomes one question to one set,
// whatever the list is long. One use per Program; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "rule/checked.h"
#include "rule/code_builder.h"

namespace cicd {

class Lowering {
 public:
  explicit Lowering(Code& code) : builder_(code) {}

  // The instruction that is true when the rule fires: `condition` and none of `exceptions`. `lists`
  // must stay where they are as long as this does.
  std::uint32_t rule(const Checked& condition, std::span<const Checked> exceptions,
                     const NamedLists& lists);

 private:
  // A named list, or a part of one.
  struct ValueList {
    std::vector<std::string> values;                   // in normal form, sorted, without repeats
    std::array<std::optional<std::uint32_t>, 4> sets;  // by TextPattern::Kind, once made
  };

  // The condition that is lowered and what it is looked up in.
  struct Source {
    const Checked& checked;
    const NamedLists& lists;
    // What is lowered already: instructions by 2 * node + wanted, values by node.
    mutable std::unordered_map<std::uint64_t, std::uint32_t> lowered = {};
    mutable std::unordered_map<std::uint32_t, std::uint32_t> values = {};

    const CheckedNode& operator[](std::uint32_t index) const { return checked[index]; }
  };

  // The instruction that is true when the node is `wanted`. Of a node that can be an error, neither
  // of the two need be true; of any other, one is the negation of the other. So an Evaluator knows
  // true and false only.
  std::uint32_t lower(const Source& source, std::uint32_t index, bool wanted = true);
  std::uint32_t lower_node(const Source& source, std::uint32_t index, bool wanted);
  std::uint32_t lower_logic(const Source& source, const CheckedNode& node, bool wanted);
  std::uint32_t lower_choose(const Source& source, const CheckedNode& node, bool wanted);
  std::uint32_t lower_require(const Source& source, const CheckedNode& node, bool wanted);
  std::uint32_t lower_compare(const Source& source, const CheckedNode& node, bool wanted);
  std::uint32_t lower_text_compare(TextSource a, TextSource b, CompareOp compare);
  std::uint32_t lower_text_test(const Source& source, const CheckedNode& node);
  std::uint32_t lower_macro(const Source& source, const CheckedNode& node, bool wanted);
  std::uint32_t lower_exactly_one(const Source& source, const CheckedNode& node, bool wanted);
  // Some element makes `body` true.
  std::uint32_t exists(const Source& source, const CheckedNode& node, std::uint32_t body);
  std::uint32_t exists_one(const Source& source, const CheckedNode& node, std::uint32_t body);

  // value_lowering.cpp
  std::uint32_t compare_values(const Source& source, const CheckedNode& node, bool wanted);
  std::uint32_t compare_lists(const Source& source, const CheckedNode& node);
  std::uint32_t truth_of_value(const Source& source, std::uint32_t index, bool wanted);
  std::uint32_t has_value(const Source& source, std::uint32_t index);
  // `instruction`, or its negation, where none of the operands of the node is an error.
  std::uint32_t guard(const Source& source, const CheckedNode& node, std::uint32_t instruction,
                      bool wanted);
  std::uint32_t value(const Source& source, std::uint32_t index);
  ValueNode value_node(const Source& source, std::uint32_t index);
  TextSource text_source(const Source& source, std::uint32_t index);
  ListSource list_source(const Source& source, std::uint32_t index);
  std::optional<std::vector<std::string>> written_values(const Source& source,
                                                         const CheckedNode& list);

  // Some value of the list, put into string slot `slot`, makes `body` true.
  std::uint32_t exists_in(ValueList& list, std::uint8_t slot, std::uint32_t body);
  std::uint32_t exists_all_of(ValueList& list, std::uint8_t slot, std::uint32_t body);
  std::optional<std::uint32_t> exists_test(ValueList& list, std::uint8_t slot,
                                           const Instruction& test);
  // What the instruction says when the slot holds `value`; nothing when that is not all it needs.
  std::optional<bool> known_answer(std::uint32_t instruction, std::uint8_t slot,
                                   const std::string& value) const;
  ValueList& values_of(const std::vector<std::string>& given);
  // The set of the patterns of one kind that the values are.
  std::uint32_t set_of(ValueList& list, TextPattern::Kind kind);

  CodeBuilder builder_;
  // By the address of a rule set's list, which stays until the last rule.
  std::unordered_map<const void*, ValueList> lists_;
};

}  // namespace cicd
