// SPDX-License-Identifier: Apache-2.0
// Modifiers: changes to rules that are kept apart from the rules, so that a project can tune a
// rule set it does not own. Any thread.
#pragma once

#include <span>
#include <vector>

#include "rule/rule_set.h"

namespace cicd {

// Changes `rule_sets` (of distinct ids) in place, in the order of the modifiers. A modifier whose
// id was there before is left out, and a target that names nothing is skipped; both are warnings.
void apply_modifiers(std::span<const RuleModifier> modifiers, std::vector<RuleSet>& rule_sets,
                     std::vector<Diagnostic>& diagnostics);

}  // namespace cicd
