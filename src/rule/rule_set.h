// SPDX-License-Identifier: Apache-2.0
// Rule files as data: what load_rules() reads and compile() takes. Format: docs/rules.md.
// Pure data; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "event/event_type.h"
#include "rule/diagnostic.h"

namespace cicd {

enum class RuleAction { kDetect, kCollect, kTerminate };
std::string_view name_of(RuleAction action);

// A piece of text and where it stands, so that mistakes inside it can be placed.
struct SourceText {
  std::string text;
  std::string file;
  int line = 0;
  int column = 0;
};

struct Rule {
  std::string rule_id;
  std::string rule_name;
  std::string description;
  EventType event_type = EventType::kProcessExec;
  SourceText condition;
  std::optional<SourceText> exceptions;
  RuleAction action = RuleAction::kDetect;
  int max_alerts = 0;  // 0: the default of 10
  std::map<std::string, std::string> tags;
};

struct RuleSet {
  std::string ruleset_id;
  std::string revision;
  std::map<std::string, std::vector<std::string>> lists;
  std::vector<Rule> rules;
};

struct LoadedRules {
  std::vector<RuleSet> rule_sets;
  std::vector<Diagnostic> diagnostics;
};

// Reads files and (flat) directories of .yaml and .yml. Never throws; mistakes of every kind,
// unreadable files too, are diagnostics.
LoadedRules load_rules(const std::vector<std::string>& paths);
// The same from text; `name` stands for the file.
LoadedRules load_rules_from_text(const std::string& text, const std::string& name);

}  // namespace cicd
