// SPDX-License-Identifier: Apache-2.0
// Program: rule sets, checked and compiled, and their evaluation over events.
//
// Threads: a Program is immutable and shared; an Evaluator belongs to one job's worker.
// Semantics: a rule fires when its condition is true and its exceptions are not. Strings are
// compared lower-cased and NFC-normalised. Failed opens (file_open with `error`) are not evaluated.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "event/event_record.h"
#include "rule/correlation.h"
#include "rule/rule_set.h"

namespace cicd {

inline constexpr int kMaxRuleSteps = 200'000;

// A rule of a Program, with what the outputs need of it. Index in Program::rules() names it.
struct CompiledRule {
  std::string ruleset_id;
  std::string ruleset_revision;
  Rule rule;
  int max_alerts = 10;  // resolved
};

class Program {
 public:
  virtual ~Program() = default;
  virtual std::span<const CompiledRule> rules() const = 0;
  // Rules over the counts of other rules. They never come out of an Evaluator: whoever counts its
  // hits feeds them to a CorrelationState (correlation.h).
  virtual std::span<const Correlation> correlations() const { return {}; }
};

struct CompileResult {
  std::shared_ptr<const Program> program;  // null when a diagnostic is an error
  std::vector<Diagnostic> diagnostics;
};

// The project whose job the program is for: decides which rules with a `target` are in it.
struct RuleScope {
  std::string provider_host;
  std::string project_path;
};
struct CompileOptions {
  // Without it every rule is in the program, and a rule with a target gives a warning.
  std::optional<RuleScope> scope;
  bool checks_only = false;  // the program will not run: no such warnings
  // Applied in order, after duplicate sets are gone and before targets are looked at. Of two with
  // one id the first is used, with a warning.
  std::vector<RuleModifier> modifiers = {};
  // Nothing is ended: the action `terminate` becomes `detect`, after the modifiers.
  bool monitor_mode = false;
};
// Of two sets with one id the first wins, with a warning; so put the user's sets before or after
// the baseline's as they should win or lose.
CompileResult compile(const std::vector<RuleSet>& rule_sets, const CompileOptions& options = {});

// Programs made ready to be evaluated together, one for each scope of a job (plan.h). Immutable and
// shared, also between jobs.
struct Plan;
// A scope without rules may be null. At least one scope.
std::shared_ptr<const Plan> link(std::vector<std::shared_ptr<const Program>> programs);

class Evaluator {
 public:
  virtual ~Evaluator() = default;
  // Evaluates the rules of all scopes. Returns hits(0).
  virtual std::span<const std::uint32_t> evaluate(const EventRecord& record) = 0;
  // Indices of the rules of a scope that fired, in the order of its Program::rules(); valid until
  // the next evaluate().
  virtual std::span<const std::uint32_t> hits(std::size_t scope) const = 0;
  // How often a rule of the scope was cut off because exists() inside exists() took more than
  // kMaxRuleSteps list elements for one event. A rule that was cut off did not fire.
  virtual std::uint64_t cut_evaluations([[maybe_unused]] std::size_t scope = 0) const { return 0; }
};
std::unique_ptr<Evaluator> make_evaluator(std::shared_ptr<const Plan> plan);
// Of one scope.
std::unique_ptr<Evaluator> make_evaluator(std::shared_ptr<const Program> program);

}  // namespace cicd
