// SPDX-License-Identifier: Apache-2.0
// Program: rule sets, checked and compiled, and their evaluation over events.
//
// Threads: a Program is immutable and shared; an Evaluator belongs to one job's worker.
// Semantics: a rule fires when its condition is true and its exceptions are not. Strings are
// compared lower-cased and NFC-normalised. Failed opens (file_open with `error`) are not evaluated.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "event/event_record.h"
#include "rule/rule_set.h"

namespace cicd {

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
};

struct CompileResult {
  std::shared_ptr<const Program> program;  // null when a diagnostic is an error
  std::vector<Diagnostic> diagnostics;
};
CompileResult compile(const std::vector<RuleSet>& rule_sets);

class Evaluator {
 public:
  virtual ~Evaluator() = default;
  // Indices of the rules that fire, in the order of Program::rules(); valid until the next call.
  virtual std::span<const std::uint32_t> evaluate(const EventRecord& record) = 0;
};
std::unique_ptr<Evaluator> make_evaluator(std::shared_ptr<const Program> program);

}  // namespace cicd
