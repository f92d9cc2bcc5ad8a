// SPDX-License-Identifier: Apache-2.0
#include "rule/modifiers.h"

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace cicd {

namespace {

// Whole sets times long exceptions multiply; a file that means well stays far below.
constexpr std::size_t kMaxChangeBytes = 64u << 20;

// About what one rule more costs that is changed by it.
std::size_t bytes_of(const RuleModifier& modifier) {
  std::size_t bytes = 64 + modifier.add_target_exclude.size() * sizeof(TargetEntry);
  for (const SourceText& exception : modifier.add_exceptions) bytes += exception.text.size();
  for (const TargetEntry& entry : modifier.add_target_exclude) {
    bytes += entry.provider_host.size() + entry.path.size();
  }
  return bytes;
}

void apply(const RuleModifier& modifier, Rule& rule) {
  if (modifier.disable) rule.is_disabled = true;
  if (modifier.override_action) rule.action = *modifier.override_action;
  if (modifier.override_max_alerts) rule.max_alerts = *modifier.override_max_alerts;
  rule.added_exceptions.insert(rule.added_exceptions.end(), modifier.add_exceptions.begin(),
                               modifier.add_exceptions.end());
  if (modifier.add_target_exclude.empty()) return;
  if (!rule.target) rule.target.emplace();
  rule.target->exclude.insert(rule.target->exclude.end(), modifier.add_target_exclude.begin(),
                              modifier.add_target_exclude.end());
}

class Modifiers {
 public:
  Modifiers(std::vector<RuleSet>& rule_sets, std::vector<Diagnostic>& diagnostics)
      : diagnostics_(diagnostics) {
    for (RuleSet& set : rule_sets) {
      Rules& rules = sets_[set.ruleset_id];
      for (Rule& rule : set.rules) {
        rules.all.push_back(&rule);
        rules.by_id.emplace(rule.rule_id, &rule);
      }
    }
  }

  void apply_all(const RuleModifier& modifier) {
    const std::size_t bytes = bytes_of(modifier);
    // A rule that is named twice, by itself and with its set, is changed once.
    std::unordered_set<Rule*> changed;
    for (const ModifierTarget& target : modifier.targets) {
      for (Rule* rule : rules_of(target)) {
        if (!changed.insert(rule).second) continue;
        bytes_ += bytes;
        if (bytes_ > kMaxChangeBytes) return give_up(modifier);
        apply(modifier, *rule);
      }
    }
  }

  bool gave_up() const { return gave_up_; }

  void warn(const SourcePlace& place, std::string text) {
    report(Diagnostic::Severity::kWarning, place, std::move(text));
  }

 private:
  struct Rules {
    std::vector<Rule*> all;
    std::unordered_map<std::string_view, Rule*> by_id;
  };

  std::vector<Rule*> rules_of(const ModifierTarget& target) {
    const auto set = sets_.find(target.ruleset_id);
    if (set == sets_.end()) {
      warn(target.place, "there is no rule set \"" + shown(target.ruleset_id) +
                             "\" here, so this target changes nothing");
      return {};
    }
    if (target.rule_id.empty()) return set->second.all;
    const auto rule = set->second.by_id.find(target.rule_id);
    if (rule != set->second.by_id.end()) return {rule->second};
    warn(target.place, "rule set \"" + shown(target.ruleset_id) + "\" has no rule \"" +
                           shown(target.rule_id) + "\", so this target changes nothing");
    return {};
  }

  void give_up(const RuleModifier& modifier) {
    gave_up_ = true;
    report(Diagnostic::Severity::kError, modifier.place,
           "the modifiers change too many rules by too much (64 MiB); name single rules instead of "
           "whole sets, or shorten add_exceptions");
  }

  void report(Diagnostic::Severity severity, const SourcePlace& place, std::string text) {
    add_diagnostic(diagnostics_,
                   {severity, place.file, place.line, place.column, "", std::move(text)});
  }

  std::unordered_map<std::string_view, Rules> sets_;
  std::size_t bytes_ = 0;
  bool gave_up_ = false;
  std::vector<Diagnostic>& diagnostics_;
};

}  // namespace

void apply_modifiers(std::span<const RuleModifier> modifiers, std::vector<RuleSet>& rule_sets,
                     std::vector<Diagnostic>& diagnostics) {
  if (modifiers.empty()) return;
  Modifiers rules(rule_sets, diagnostics);
  std::unordered_set<std::string_view> seen;
  for (const RuleModifier& modifier : modifiers) {
    if (rules.gave_up()) return;
    if (seen.insert(modifier.modifier_id).second) {
      rules.apply_all(modifier);
    } else {
      rules.warn(modifier.place, "modifier \"" + shown(modifier.modifier_id) +
                                     "\" was there before; the first one is used and this one is "
                                     "not");
    }
  }
}

}  // namespace cicd
