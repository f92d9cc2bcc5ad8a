// SPDX-License-Identifier: Apache-2.0
// Rules as the tools take them: from paths or the word `baseline`, ready to be named by
// `rule_id` or `ruleset_id/rule_id`.
// Threads: one. Lifetime: a RuleNames points into the rule sets it was made of.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rule/program.h"
#include "rule/rule_set.h"

namespace cicd {

// The word that stands for the rules inside the program.
inline constexpr std::string_view kBaselineName = "baseline";

// As load_rules(), with `baseline` as one more thing to name.
LoadedRules load_named_rules(const std::vector<std::string>& names);

// With its modifiers and for every project: what the rules are, and what is wrong with them.
CompileResult compile_all(const LoadedRules& loaded);

// Of two sets with one id the first, as everywhere.
void drop_duplicate_sets(std::vector<RuleSet>& rule_sets);

struct NamedRule {
  const RuleSet* set = nullptr;
  const Rule* rule = nullptr;

  std::string full_name() const { return set->ruleset_id + "/" + rule->rule_id; }
};

class RuleNames {
 public:
  explicit RuleNames(const std::vector<RuleSet>& rule_sets);

  // An error says what there is instead, or which rules share the name.
  Result<NamedRule> find(const std::string& name) const;
  // The shortest name that find() takes for this rule.
  std::string short_name(const std::string& ruleset_id, const std::string& rule_id) const;
  const std::vector<NamedRule>& all() const { return all_; }

 private:
  std::string similar(const std::string& rule_id, bool is_whole) const;

  std::vector<NamedRule> all_;
  std::multimap<std::string, std::size_t, std::less<>> by_id_;  // rule_id -> all_
};

}  // namespace cicd
