// SPDX-License-Identifier: Apache-2.0
// What `rule validate` says of rules, and whoever must have valid ones.
// Threads: pure.
#pragma once

#include <cstddef>
#include <vector>

#include "rule/rule_set.h"

namespace cicd {

struct RuleFindings {
  std::size_t rule_sets = 0;
  std::size_t rules = 0;
  std::size_t rule_modifiers = 0;
  std::size_t errors = 0;
  std::size_t warnings = 0;
  // In the order of the files as they were named, from top to bottom in each.
  std::vector<Diagnostic> diagnostics;
};

// `loaded` was read with LoadOptions::strict. Modifiers may be for the baseline, too.
RuleFindings check_rules(LoadedRules loaded);

}  // namespace cicd
