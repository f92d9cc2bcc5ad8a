// SPDX-License-Identifier: Apache-2.0
// Rule files as data: what load_rules() reads and compile() takes. Format: docs/rules.md.
// Pure data; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/event_type.h"
#include "rule/diagnostic.h"

namespace cicd {

inline constexpr std::size_t kMaxRuleFileBytes = 4u << 20;
inline constexpr int kDefaultMaxAlerts = 10;
inline constexpr int kMostMaxAlerts = 100;

// What the conditions of a rule set may say: what every sensor knows, or ours too.
enum class RuleLanguage : std::uint8_t { kPortable, kExtended };

enum class RuleAction { kDetect, kCollect, kTerminate };
std::string_view name_of(RuleAction action);

// From this byte of a SourceText on, the text stands at this place of the file.
struct SourcePoint {
  std::uint32_t offset = 0;
  int line = 0;
  int column = 0;
};

// A piece of text and where it stands, so that mistakes inside it can be placed. `line` and
// `column` are those of its start; `points` follow it over line breaks, indentation and quotes
// (empty: the text stands in one piece).
struct SourceText {
  std::string text;
  std::string file;
  int line = 0;
  int column = 0;
  std::vector<SourcePoint> points;

  SourcePlace place_of(std::size_t offset) const;
};

// One line of a target: a project of a host. Empty members match everything.
struct TargetEntry {
  std::string provider_host;  // exact
  std::string path;           // prefix of the project's path
};
// For which projects a rule is meant: none excluded, and one included unless `include` is empty.
struct RuleTarget {
  std::vector<TargetEntry> include;
  std::vector<TargetEntry> exclude;

  bool matches(std::string_view provider_host, std::string_view project_path) const;
};

struct Rule {
  std::string rule_id;
  std::string rule_name;
  std::string description;
  bool is_correlation = false;  // over the counts of other rules; event_type means nothing then
  EventType event_type = EventType::kProcessExec;
  SourceText condition;
  std::optional<SourceText> exceptions;
  RuleAction action = RuleAction::kDetect;
  int max_alerts = 0;  // 0: the default of 10
  std::map<std::string, std::string> tags;
  std::optional<RuleTarget> target;
  SourcePlace place;  // of the rule_id

  // What modifiers did to it; a reader of files leaves these alone.
  std::vector<SourceText> added_exceptions;  // each by itself keeps the rule from firing
  bool is_disabled = false;
};

struct RuleSet {
  std::string ruleset_id;
  std::string revision;  // "sha256:" and the hash of the file
  RuleLanguage language = RuleLanguage::kPortable;
  std::map<std::string, std::vector<std::string>> lists;
  std::vector<Rule> rules;
  SourcePlace place;  // of the ruleset_id
};

// Whom a modifier changes: one rule, or every rule of a set when rule_id is empty.
struct ModifierTarget {
  std::string ruleset_id;
  std::string rule_id;
  SourcePlace place;
};

// Changes rules without touching their file. What is absent stays as it was.
struct RuleModifier {
  std::string modifier_id;
  std::vector<ModifierTarget> targets;
  bool disable = false;
  std::optional<RuleAction> override_action;
  std::optional<int> override_max_alerts;  // 1 to 100
  std::vector<SourceText> add_exceptions;
  std::vector<TargetEntry> add_target_exclude;
  SourcePlace place;  // of the modifier_id
};

struct LoadedRules {
  std::vector<RuleSet> rule_sets;
  std::vector<RuleModifier> rule_modifiers;  // in the order they apply
  std::vector<Diagnostic> diagnostics;
};

struct LoadOptions {
  // As `rule validate` reads: what a running sensor mends with a warning is an error.
  bool strict = false;
};

// Reads files and (flat) directories of .yaml and .yml. Never throws; mistakes of every kind,
// unreadable files too, are diagnostics.
LoadedRules load_rules(const std::vector<std::string>& paths, const LoadOptions& options = {});
// The same from text; `name` stands for the file.
LoadedRules load_rules_from_text(const std::string& text, const std::string& name,
                                 const LoadOptions& options = {});

}  // namespace cicd
