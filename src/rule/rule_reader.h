// SPDX-License-Identifier: Apache-2.0
// RuleReader: the nodes of one rule file -> RuleSets and RuleModifiers, with a diagnostic for every
// mistake. Used by load_rules() only. One use per object; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "rule/rule_set.h"
#include "rule/yaml_tree.h"

namespace cicd {

class RuleReader {
 public:
  // `text` (without byte order mark) and `out` must outlive the reader.
  RuleReader(std::string_view text, std::string file, std::string revision,
             const LoadOptions& options, LoadedRules& out);
  void read();

 private:
  // A key of a map with its value; merge keys (`<<`) are resolved already.
  struct Entry {
    const YamlNode* key;
    const YamlNode* value;
  };
  using Entries = std::vector<Entry>;

  void read_document(const YamlNode& root);
  void read_rule_set(const YamlNode& node);
  void read_language(const YamlNode& node, RuleSet& set);
  void read_lists(const YamlNode& node, RuleSet& set);
  void read_rules(const YamlNode& node, RuleSet& set);
  void read_rule(const YamlNode& node, RuleSet& set, std::unordered_set<std::string>& ids);
  bool read_rule_field(const Entry& entry, Rule& rule);
  std::optional<RuleAction> read_action(const YamlNode& node, std::string_view key);
  void read_event_type(const YamlNode& node, Rule& rule);
  void read_max_alerts(const YamlNode& node, Rule& rule);
  void read_tags(const YamlNode& node, Rule& rule);
  void read_target(const YamlNode& node, Rule& rule);
  void read_target_entries(const YamlNode& node, std::vector<TargetEntry>& out);
  std::optional<SourceText> read_code(const YamlNode& node, std::string_view key);

  // modifier_reader.cpp
  void read_modifier(const YamlNode& node);
  bool read_modifier_field(const Entry& entry, RuleModifier& modifier);
  void read_modifier_targets(const YamlNode& node, RuleModifier& modifier);
  void read_modifier_target(const YamlNode& node, RuleModifier& modifier);
  void read_override_max_alerts(const YamlNode& node, RuleModifier& modifier);
  void read_added_exceptions(const YamlNode& node, RuleModifier& modifier);
  bool read_bool(const YamlNode& node, std::string_view key);

  // Counts a visit; false when the file was walked too long (aliases of aliases).
  bool visit(const YamlNode& node);
  // The same for the text of a scalar, which an alias copies.
  bool may_copy(const YamlNode& node);
  void give_up(const YamlNode& node);
  Entries entries_of(const YamlNode& map);
  void collect(const YamlNode& map, int depth, Entries& out,
               std::unordered_set<std::string_view>& seen);
  bool expect(const YamlNode& node, YamlNode::Kind kind, std::string_view what);
  std::optional<std::string> scalar(const YamlNode& node, std::string_view key);
  SourcePlace place(const YamlNode& node) const;
  void report(Diagnostic::Severity severity, const YamlNode& node, std::string text);
  void error(const YamlNode& node, std::string text) {
    report(Diagnostic::Severity::kError, node, std::move(text));
  }
  void warn(const YamlNode& node, std::string text) {
    report(Diagnostic::Severity::kWarning, node, std::move(text));
  }

  std::string_view text_;
  std::string file_;
  std::string revision_;
  const LoadOptions& options_;
  LoadedRules& out_;
  LineIndex lines_;
  YamlTree tree_;
  std::string rule_id_;  // of the rule being read, for diagnostics
  std::size_t visits_ = 0;
  std::size_t copied_bytes_ = 0;
  bool gave_up_ = false;
};

// True for [a-zA-Z_][a-zA-Z0-9_]*.
bool is_identifier(std::string_view text);

}  // namespace cicd
