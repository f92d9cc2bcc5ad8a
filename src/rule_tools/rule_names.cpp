// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/rule_names.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "rule/baseline.h"

namespace cicd {

namespace {

// Few enough for one line of a message.
constexpr std::size_t kMostNamesShown = 8;
// Looking for a similar name stays cheap however long names are and however many.
constexpr std::size_t kMostRulesCompared = 1'000;
constexpr std::size_t kLongestCompared = 100;

// How alike two names are: a mistyped one shares most of its pairs of letters with the right one.
std::size_t common_pairs(std::string_view a, std::string_view b) {
  std::multiset<std::string_view> pairs;
  for (std::size_t i = 0; i + 1 < a.size(); ++i) pairs.insert(a.substr(i, 2));
  std::size_t out = 0;
  for (std::size_t i = 0; i + 1 < b.size(); ++i) {
    const auto found = pairs.find(b.substr(i, 2));
    if (found == pairs.end()) continue;
    pairs.erase(found);
    ++out;
  }
  return out;
}

}  // namespace

LoadedRules load_named_rules(const std::vector<std::string>& names) {
  LoadedRules out;
  for (const std::string& name : names) {
    LoadedRules part = name == kBaselineName ? baseline_rules() : load_rules({name});
    std::ranges::move(part.rule_sets, std::back_inserter(out.rule_sets));
    std::ranges::move(part.rule_modifiers, std::back_inserter(out.rule_modifiers));
    std::ranges::move(part.diagnostics, std::back_inserter(out.diagnostics));
  }
  return out;
}

CompileResult compile_all(const LoadedRules& loaded) {
  CompileOptions options;
  options.modifiers = loaded.rule_modifiers;
  return compile(loaded.rule_sets, options);
}

void drop_duplicate_sets(std::vector<RuleSet>& rule_sets) {
  std::set<std::string> seen;
  std::erase_if(rule_sets, [&](const RuleSet& set) { return !seen.insert(set.ruleset_id).second; });
}

RuleNames::RuleNames(const std::vector<RuleSet>& rule_sets) {
  for (const RuleSet& set : rule_sets) {
    for (const Rule& rule : set.rules) {
      by_id_.emplace(rule.rule_id, all_.size());
      all_.push_back({&set, &rule});
    }
  }
}

Result<NamedRule> RuleNames::find(const std::string& name) const {
  // A rule_id has no slash, a ruleset_id may have some.
  const std::size_t slash = name.rfind('/');
  const std::string rule_id = slash == std::string::npos ? name : name.substr(slash + 1);
  std::vector<NamedRule> found;
  const auto [first, last] = by_id_.equal_range(rule_id);
  for (auto at = first; at != last; ++at) {
    const NamedRule& rule = all_[at->second];
    if (slash == std::string::npos || rule.set->ruleset_id == name.substr(0, slash)) {
      found.push_back(rule);
    }
  }
  if (found.size() == 1) return found[0];
  if (found.size() > 1) {
    std::string names;
    for (std::size_t i = 0; i < std::min(found.size(), kMostNamesShown); ++i) {
      names.append(i == 0 ? "" : i + 1 == found.size() ? " and " : ", ");
      names += shown(found[i].full_name());
    }
    if (found.size() > kMostNamesShown) names += ", ...";
    return fail(ErrorCode::kInvalidInput, "\"" + shown(name) + "\" names more than one rule: " +
                                              names + "; write the whole name");
  }
  return fail(ErrorCode::kNotFound, "there is no rule \"" + shown(name) + "\"",
              similar(rule_id, slash != std::string::npos));
}

std::string RuleNames::similar(const std::string& rule_id, bool is_whole) const {
  if (all_.empty()) return "there are no rules here";
  if (all_.size() > kMostRulesCompared || rule_id.size() > kLongestCompared) return "";
  std::string out;
  std::size_t best = rule_id.size() / 2;  // less in common is no help
  for (const NamedRule& rule : all_) {
    if (rule.rule->rule_id.size() > kLongestCompared) continue;
    const std::size_t common = common_pairs(rule_id, rule.rule->rule_id);
    if (common <= best) continue;
    best = common;
    out = "did you mean " + (is_whole ? shown(rule.full_name()) : rule.rule->rule_id) + "?";
  }
  return out;
}

std::string RuleNames::short_name(const std::string& ruleset_id, const std::string& rule_id) const {
  return by_id_.count(rule_id) > 1 ? ruleset_id + "/" + rule_id : rule_id;
}

}  // namespace cicd
