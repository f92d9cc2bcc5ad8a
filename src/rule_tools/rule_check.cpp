// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/rule_check.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <tuple>
#include <utility>

#include "rule/baseline.h"
#include "rule/program.h"

namespace cicd {

namespace {

// A modifier may be for the baseline, which a sensor has without naming its files.
void add_baseline(std::vector<RuleSet>& rule_sets) {
  LoadedRules baseline = baseline_rules();
  for (RuleSet& set : baseline.rule_sets) {
    const bool is_there = std::ranges::any_of(
        rule_sets, [&](const RuleSet& other) { return other.ruleset_id == set.ruleset_id; });
    if (!is_there) rule_sets.push_back(std::move(set));
  }
}

}  // namespace

RuleFindings check_rules(LoadedRules loaded) {
  RuleFindings out;
  out.rule_sets = loaded.rule_sets.size();
  out.rule_modifiers = loaded.rule_modifiers.size();
  for (const RuleSet& set : loaded.rule_sets) out.rules += set.rules.size();
  out.diagnostics = std::move(loaded.diagnostics);
  if (!loaded.rule_modifiers.empty()) add_baseline(loaded.rule_sets);
  CompileOptions options;
  options.checks_only = true;
  options.modifiers = std::move(loaded.rule_modifiers);
  CompileResult compiled = compile(loaded.rule_sets, options);
  std::move(compiled.diagnostics.begin(), compiled.diagnostics.end(),
            std::back_inserter(out.diagnostics));
  std::vector<std::string> files;
  for (const Diagnostic& diagnostic : out.diagnostics) {
    if (std::find(files.begin(), files.end(), diagnostic.file) == files.end()) {
      files.push_back(diagnostic.file);
    }
    ++(diagnostic.severity == Diagnostic::Severity::kError ? out.errors : out.warnings);
  }
  const auto key = [&](const Diagnostic& diagnostic) {
    return std::tuple(std::find(files.begin(), files.end(), diagnostic.file) - files.begin(),
                      diagnostic.line, diagnostic.column);
  };
  std::stable_sort(out.diagnostics.begin(), out.diagnostics.end(),
                   [&](const Diagnostic& a, const Diagnostic& b) { return key(a) < key(b); });
  return out;
}

}  // namespace cicd
