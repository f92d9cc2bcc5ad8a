// SPDX-License-Identifier: Apache-2.0
// Lowering: checked conditions -> Code. Shares equal sub-expressions between all rules, puts cheap
// operands of && and || first (no operator of the language can fail, so order is free), and
// decides which answers are worth keeping. One use per Program; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "rule/code.h"

namespace cicd {

class Lowering {
 public:
  explicit Lowering(Code& code) : code_(code) {}

  // The instruction that is true when the rule fires: `condition` and none of `exceptions`.
  std::uint32_t rule(const Checked& condition, std::span<const Checked> exceptions,
                     const NamedLists& lists);
  // After the last rule: assigns memory for kept answers.
  void finish();

 private:
  // What the answer of an instruction depends on, and what it costs to find.
  struct Facts {
    bool event = false;          // payload fields
    bool process = false;        // image of the event's process
    bool chain = false;          // its ancestors
    std::uint8_t strings = 0;    // slots that hold a string, as bits
    std::uint8_t processes = 0;  // slots that hold a process, as bits
    std::uint32_t cost = 1;      // about nanoseconds, without kept answers
    std::uint32_t users = 0;
  };

  std::uint32_t lower(const Checked& checked, std::uint32_t index, const NamedLists& lists);
  std::uint32_t lower_logic(const Checked& checked, const CheckedNode& node,
                            const NamedLists& lists);
  std::uint32_t lower_compare(const Checked& checked, const CheckedNode& node,
                              const NamedLists& lists);
  std::uint32_t lower_text_test(const Checked& checked, const CheckedNode& node);
  std::uint32_t lower_exists(const Checked& checked, const CheckedNode& node,
                             const NamedLists& lists);
  std::uint32_t constant(bool value);
  std::uint32_t negate(std::uint32_t child);
  std::uint32_t join(Op op, const std::vector<std::uint32_t>& children);
  TextSource text_source(const CheckedNode& node, Facts& facts);
  IntSource int_source(const CheckedNode& node, Facts& facts);
  ListSource list_source(const CheckedNode& node, const NamedLists& lists, Facts& facts,
                         std::uint32_t& length);
  std::uint32_t literal(const std::string& text);
  std::uint32_t named_list(const std::vector<std::string>& values);
  // The instruction equal to this one, made when there is none yet.
  std::uint32_t intern(Instruction instruction, const std::vector<std::uint32_t>& children,
                       Facts facts);
  std::uint32_t effective_cost(std::uint32_t instruction) const;

  Code& code_;
  std::vector<Facts> facts_;
  std::unordered_map<std::string, std::uint32_t> interned_;
  std::unordered_map<std::string, std::uint32_t> literals_;
  std::map<std::vector<std::string>, std::uint32_t> lists_;
  std::map<std::pair<IpBytes, int>, std::uint32_t> prefixes_;
};

}  // namespace cicd
