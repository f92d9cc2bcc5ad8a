// SPDX-License-Identifier: Apache-2.0
// Correlation: a rule over the counts of the event rules of its set, `rule.<rule_id>.total_count`.
// The extended language has also
//   within("30s", condition)  there is a hit of a rule that `condition` names, so that it is true
//                             for the hits of the 30 s up to that one; by event time
//   sequence(a, b, c)         the rules fired in this order in one tree of processes
// Once true, these stay true. The answer of within() does not depend on the order in which events
// come when more hits cannot make `condition` false; that of sequence() follows the order.
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

#include "event/event_record.h"
#include "rule/act_sequence.h"
#include "rule/ast.h"
#include "rule/hit_times.h"

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
    kChoose,    // child 0 ? child 1 : child 2
    kWithin,    // withins[rule] has been true
    kSequence,  // sequences[rule] is complete
  };
  Op op = Op::kNumber;
  CompareOp compare = CompareOp::kEqual;
  std::uint32_t rule = 0;  // index in Program::rules(), or of the CorrelationCode
  std::int64_t number = 0;
  std::vector<std::uint32_t> children;
};

// One condition. Its depth is that of the Ast, which is bounded.
struct CorrelationCode {
  struct Within {
    std::int64_t window_ns = 0;
    std::uint32_t condition = 0;       // its node; counts below it are those of the window
    std::vector<std::uint32_t> rules;  // that it counts
  };
  std::vector<CorrelationNode> nodes;
  std::vector<Within> withins;
  std::vector<std::vector<std::uint32_t>> sequences;  // of rules, in order
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
CorrelationCode check_correlation(const Ast& ast, const CountedRules& rules, RuleLanguage language,
                                  std::vector<CodeMistake>& mistakes);

class CorrelationState {
 public:
  // `program` may be null: nothing ever fires.
  explicit CorrelationState(std::shared_ptr<const Program> program);

  // Counts one hit for each of the rules `fired` by an event (in ascending order), all before
  // looking at correlations. Indices of the correlations that fire now, as in Program::rules();
  // valid until the next call.
  std::span<const std::uint32_t> count(const EventRecord& record,
                                       std::span<const std::uint32_t> fired);

  // How often a correlation was looked at.
  std::uint64_t evaluations() const { return evaluations_; }
  // Hits and trees that within() and sequence() had no room for (hit_times.h, act_sequence.h).
  std::uint64_t forgotten() const;

 private:
  // Counts are those of hits in this time, both ends included; without one, of all.
  struct Window {
    std::uint64_t from_ns = 0;
    std::uint64_t until_ns = 0;
  };
  // What is remembered for one condition.
  struct Memory {
    const CorrelationCode* code = nullptr;
    std::vector<bool> has_held;  // of its withins
    std::vector<ActSequence> sequences;
  };
  void remember(const CorrelationCode& code, std::uint32_t correlation);
  void update(Memory& memory, const EventRecord& record, std::span<const std::uint32_t> fired);
  bool holds(const Memory& memory, const CorrelationCode::Within& within,
             std::uint64_t time_ns) const;
  std::int64_t count_of(std::uint32_t rule, const Window* window) const;
  std::int64_t value(const Memory& memory, std::uint32_t index, const Window* window) const;
  bool is_true(std::uint32_t correlation) const;

  std::shared_ptr<const Program> program_;
  std::vector<std::int64_t> counts_;  // indexed as Program::rules()
  std::vector<HitTimes> times_;       // the same, of rules that a within() counts; or empty
  std::vector<std::vector<std::uint32_t>> users_;  // of a rule: correlations that name it
  std::vector<std::vector<Memory>> memories_;      // of a correlation: condition, then exceptions
  std::vector<bool> has_fired_;                    // indexed as Program::correlations()
  std::vector<bool> is_waiting_;                   // the same: to be looked at
  std::vector<std::uint32_t> waiting_;
  std::vector<std::uint32_t> out_;
  std::uint64_t evaluations_ = 0;
};

}  // namespace cicd
