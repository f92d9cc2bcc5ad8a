// SPDX-License-Identifier: Apache-2.0
// CodeBuilder: makes Code. Shares what is equal (instructions, literals, lists, sets, ranges), puts
// cheap operands of && and || first (an error on one side of them is passed over when the other
// side tells, whichever comes first, so order is free), makes one set of the tests of one text that
// are joined by ||, and knows what each instruction depends on. One use per Code; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "rule/code.h"

namespace cicd {

// What the answer of an instruction depends on, and what it costs to find.
struct Facts {
  bool event = false;          // payload fields
  bool process = false;        // image of the event's process
  bool chain = false;          // its ancestors
  std::uint8_t strings = 0;    // slots that hold a string, as bits
  std::uint8_t processes = 0;  // slots that hold a process, as bits
  std::uint32_t cost = 1;      // about nanoseconds, without kept answers
  std::uint32_t users = 0;

  bool has_slots() const { return strings != 0 || processes != 0; }
};

inline constexpr std::uint32_t kMostCost = 1'000'000;

// What depends on `more` depends on all that it does; the cost adds up.
void add_facts(Facts& facts, const Facts& more);

class CodeBuilder {
 public:
  explicit CodeBuilder(Code& code) : code_(code) {}

  std::uint32_t constant(bool value);
  std::uint32_t negate(std::uint32_t child);
  // && or || of the children.
  std::uint32_t join(Op op, const std::vector<std::uint32_t>& children);
  // `source` fits one of the patterns.
  std::uint32_t text_in(const TextSource& source, std::vector<TextPattern> patterns);
  std::uint32_t text_in(const TextSource& source, std::uint32_t set);  // no empty prefix or suffix
  // The instruction equal to this one, made when there is none yet. Of `in` everything but the
  // place of the children counts. Where it asks for values, their instructions are its children.
  std::uint32_t intern(Instruction in, const std::vector<std::uint32_t>& operands);

  std::uint32_t literal(const std::string& text);
  std::uint32_t list(std::vector<std::string> values);  // sorted, without repeats, in normal form
  std::uint32_t set(std::vector<TextPattern> patterns);
  std::uint32_t prefix(const IpPrefix& prefix);
  std::uint32_t pattern(const std::string& text);
  std::uint32_t pattern(std::shared_ptr<const Pattern> pattern);
  // The value equal to this one, made when there is none yet. What it asks for is there already.
  std::uint32_t value(ValueNode node);
  const Facts& facts_of_value(std::uint32_t value) const { return values_[value].facts; }

  const Code& code() const { return code_; }
  const Instruction& at(std::uint32_t index) const { return code_.instructions[index]; }
  const Facts& facts(std::uint32_t index) const { return facts_[index]; }
  std::vector<std::uint32_t> children_of(std::uint32_t index) const;
  // After the last instruction: decides which answers are worth keeping.
  void assign_memos();

 private:
  // What is known of a value.
  struct ValueInfo {
    Facts facts;
    std::vector<std::uint32_t> instructions;  // that it asks for, sorted
  };
  void add_value_parts(const ValueNode& node, ValueInfo& info) const;
  std::vector<std::uint32_t> instructions_of_values(const Instruction& in) const;
  void add_text_facts(const TextSource& text, Facts& facts) const;
  void add_facts_of_list(const ListSource& list, Facts& facts) const;
  Facts facts_of(const Instruction& in, const std::vector<std::uint32_t>& children) const;
  void bind_element(const Instruction& in, Facts& facts) const;
  std::uint32_t effective_cost(std::uint32_t instruction) const;
  Memo memo_of(std::uint32_t index) const;
  void merge_text_tests(std::vector<std::uint32_t>& operands);

  Code& code_;
  std::vector<Facts> facts_;
  std::unordered_map<std::string, std::uint32_t> interned_;
  std::unordered_map<std::string, std::uint32_t> literals_;
  std::map<std::vector<std::string>, std::uint32_t> lists_;
  std::unordered_map<std::string, std::uint32_t> sets_;
  std::map<std::pair<IpBytes, int>, std::uint32_t> prefixes_;
  std::unordered_map<std::string, std::uint32_t> patterns_;
  std::vector<ValueInfo> values_;  // as Code::values
  std::unordered_map<std::string, std::uint32_t> known_values_;
};

}  // namespace cicd
