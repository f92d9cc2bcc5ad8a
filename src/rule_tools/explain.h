// SPDX-License-Identifier: Apache-2.0
// Why a rule fires for an event, or does not: each part of its condition and exceptions as it is
// written, with what it was for this event. Verdicts of parts come from the Interpreter, the
// verdict of the rule from the evaluator; a test holds them together. Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rule/program.h"
#include "rule_tools/rule_names.h"
#include "rule_tools/test_event.h"

namespace cicd {

enum class Verdict { kFalse, kTrue, kUnknown };
std::string_view name_of(Verdict verdict);

struct ExplainedPart {
  int depth = 0;
  Verdict verdict = Verdict::kUnknown;
  std::string source;  // one line
  std::string detail;  // the values that were compared, the element that made it true; may be empty
};

struct ExplainedCondition {
  std::string role;   // "condition", "exceptions", "exceptions added by a modifier"
  SourcePlace place;  // of its text
  Verdict verdict = Verdict::kUnknown;
  std::vector<ExplainedPart> parts;  // from the whole to its parts; the first is the whole
  bool is_exhausted = false;  // it took too many steps: what is unknown is so because of that
};

struct Explanation {
  bool fires = false;
  std::string why_not_evaluated;  // empty: it was
  std::vector<ExplainedCondition> conditions;
};

// Most parts shown of a condition.
inline constexpr std::size_t kMaxExplainedParts = 10'000;

// `named` is an event rule of `rules`, as it is after the modifiers; `project` that of the event,
// where it is known.
Explanation explain_event(const LoadedRules& rules, const NamedRule& named,
                          const EventRecord& record, const std::optional<RuleScope>& project);

// Of the events of a job the one worth explaining: the first that fires the rule, or else the first
// of its type, or else the first. `events` has one.
const TestEvent& event_to_explain(const LoadedRules& rules, const NamedRule& named,
                                  std::span<const TestEvent> events,
                                  const std::optional<RuleScope>& project);

// A correlation over the events of a job.
struct ExplainedCorrelation {
  std::string condition;  // one line
  std::string exceptions;
  std::optional<std::size_t> fires_at;  // number of the event, from 1
  std::size_t events = 0;
  struct Count {
    std::string rule_id;
    std::uint64_t count = 0;
  };
  std::vector<Count> counts;  // of the rules it names, at the end
};
ExplainedCorrelation explain_correlation(const LoadedRules& rules, const NamedRule& named,
                                         std::span<const TestEvent> events,
                                         const std::optional<RuleScope>& project);

}  // namespace cicd
