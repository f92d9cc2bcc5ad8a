// SPDX-License-Identifier: Apache-2.0
// Correlation: a rule over the counts of the event rules of its set, `rule.<rule_id>.total_count`.
//
// A Correlation is immutable and shared, part of a Program. A CorrelationState belongs to one
// scope of one job and its worker: counts are those of the scope. A correlation is looked at only
// when a count it names changed, and fires once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "rule/ast.h"

namespace cicd {

class Program;

struct CorrelationNode {
  enum class Op : std::uint8_t {
    kNumber,  // number; of a bool 0 or 1
    kCount,   // of rule `rule`
    kAdd,     // child 0 + child 1; stops at the limits of 64 bits
    kSubtract,
    kCompare,
    kNot,
    kAnd,  // two children or more
    kOr,
    kChoose,  // child 0 ? child 1 : child 2
  };
  Op op = Op::kNumber;
  CompareOp compare = CompareOp::kEqual;
  std::uint32_t rule = 0;  // index in Program::rules()
  std::int64_t number = 0;
  std::vector<std::uint32_t> children;
};

// One condition. Its depth is that of the Ast, which is bounded.
struct CorrelationCode {
  std::vector<CorrelationNode> nodes;
  std::uint32_t root = 0;
};

struct Correlation {
  std::uint32_t rule = 0;  // index in Program::rules()
  CorrelationCode condition;
  std::vector<CorrelationCode> exceptions;
};

// A rule of the set, as a correlation may name it.
struct CountedRule {
  bool is_correlation = false;         // then it has no count
  std::optional<std::uint32_t> index;  // nothing: not in the program, its count stays 0
};
using CountedRules = std::unordered_map<std::string, CountedRule>;

// Looks up names and types; mistakes are appended to `mistakes`. `ast` must be complete.
CorrelationCode check_correlation(const Ast& ast, const CountedRules& rules,
                                  std::vector<CodeMistake>& mistakes);

class CorrelationState {
 public:
  // `program` may be null: nothing ever fires.
  explicit CorrelationState(std::shared_ptr<const Program> program);

  // Counts one hit for each of the rules `fired` by an event, all before looking at correlations.
  // Indices of the correlations that fire now, as in Program::rules(); valid until the next call.
  std::span<const std::uint32_t> count(std::span<const std::uint32_t> fired);

  // How often a correlation was looked at.
  std::uint64_t evaluations() const { return evaluations_; }

 private:
  std::int64_t value(const CorrelationCode& code, std::uint32_t index) const;
  bool is_true(const Correlation& correlation) const;

  std::shared_ptr<const Program> program_;
  std::vector<std::int64_t> counts_;               // indexed as Program::rules()
  std::vector<std::vector<std::uint32_t>> users_;  // of a rule: correlations that name it
  std::vector<bool> has_fired_;                    // indexed as Program::correlations()
  std::vector<bool> is_waiting_;                   // the same: to be looked at
  std::vector<std::uint32_t> waiting_;
  std::vector<std::uint32_t> out_;
  std::uint64_t evaluations_ = 0;
};

}  // namespace cicd
