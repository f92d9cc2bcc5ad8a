// SPDX-License-Identifier: Apache-2.0
#include "rule/baseline.h"

#include <iterator>
#include <string>
#include <utility>

#include "rule/embedded_rules.h"

namespace cicd {

LoadedRules baseline_rules() {
  LoadedRules out;
  for (const detail::EmbeddedRules& file : detail::embedded_rules()) {
    LoadedRules loaded =
        load_rules_from_text(std::string(file.text), "baseline/" + std::string(file.name));
    std::move(loaded.rule_sets.begin(), loaded.rule_sets.end(), std::back_inserter(out.rule_sets));
    std::move(loaded.diagnostics.begin(), loaded.diagnostics.end(),
              std::back_inserter(out.diagnostics));
  }
  return out;
}

}  // namespace cicd
