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

  std::uint32_t lower(const Checked& checked, std::uint32_t index, const NamedLists& lists);
  std::uint32_t lower_logic(const Checked& checked, const CheckedNode& node,
                            const NamedLists& lists);
  std::uint32_t lower_compare(const Checked& checked, const CheckedNode& node,
                              const NamedLists& lists);
  std::uint32_t lower_text_compare(const CheckedNode& left, const CheckedNode& right,
                                   CompareOp compare);
  std::uint32_t lower_text_test(const Checked& checked, const CheckedNode& node);
  std::uint32_t lower_exists(const Checked& checked, const CheckedNode& node,
                             const NamedLists& lists);
  // Some value of the list, put into string slot `slot`, makes `body` true.
  std::uint32_t exists_in(ValueList& list, std::uint8_t slot, std::uint32_t body);
  std::uint32_t exists_all_of(ValueList& list, std::uint8_t slot, std::uint32_t body);
  std::optional<std::uint32_t> exists_test(ValueList& list, std::uint8_t slot,
                                           const Instruction& test);
  // What the instruction says when the slot holds `value`; nothing when that is not all it needs.
  std::optional<bool> known_answer(std::uint32_t instruction, std::uint8_t slot,
                                   const std::string& value) const;
  TextSource text_source(const CheckedNode& node);
  ListSource list_source(const CheckedNode& node);
  ValueList& values_of(const NamedLists& lists, const std::string& name);
  // The set of the patterns of one kind that the values are.
  std::uint32_t set_of(ValueList& list, TextPattern::Kind kind);

  CodeBuilder builder_;
  // By the address of a rule set's list, which stays until the last rule.
  std::unordered_map<const void*, ValueList> lists_;
};

}  // namespace cicd
