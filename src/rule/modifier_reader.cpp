// SPDX-License-Identifier: Apache-2.0
// The part of RuleReader that reads documents of rule_modifiers.
#include <algorithm>
#include <charconv>
#include <utility>

#include "rule/rule_reader.h"

namespace cicd {

namespace {

using Kind = YamlNode::Kind;

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

bool changes_something(const RuleModifier& modifier) {
  return modifier.disable || modifier.override_action || modifier.override_max_alerts ||
         !modifier.add_exceptions.empty() || !modifier.add_target_exclude.empty();
}

}  // namespace

void RuleReader::read_modifier(const YamlNode& node) {
  if (!expect(node, Kind::kMap, "an entry of rule_modifiers")) return;
  RuleModifier modifier;
  modifier.place = place(node);
  const std::size_t before = out_.diagnostics.size();
  for (const Entry& entry : entries_of(node)) {
    if (read_modifier_field(entry, modifier)) continue;
    warn(*entry.key,
         "unknown key \"" + shown(entry.key->text) +
             "\" is ignored; known in a modifier: modifier_id, targets, disable, override_action, "
             "override_max_alerts, add_exceptions, add_target_exclude");
  }
  if (modifier.modifier_id.empty()) error(node, "the modifier has no modifier_id");
  const bool is_clean = out_.diagnostics.size() == before;
  if (is_clean && modifier.targets.empty()) {
    warn(node, "the modifier has no targets, so it changes nothing");
  } else if (is_clean && !changes_something(modifier)) {
    warn(node,
         "the modifier changes nothing; give it disable, override_action, override_max_alerts, "
         "add_exceptions or add_target_exclude");
  }
  out_.rule_modifiers.push_back(std::move(modifier));
}

bool RuleReader::read_modifier_field(const Entry& entry, RuleModifier& modifier) {
  const std::string& key = entry.key->text;
  const YamlNode& value = *entry.value;
  const bool is_null = value.kind == Kind::kNull;
  if (key == "modifier_id") {
    modifier.modifier_id = scalar(value, key).value_or("");
    modifier.place = place(value);
  } else if (key == "targets") {
    if (!is_null) read_modifier_targets(value, modifier);
  } else if (key == "disable") {
    modifier.disable = read_bool(value, key);
  } else if (key == "override_action") {
    if (!is_null) modifier.override_action = read_action(value, key);
  } else if (key == "override_max_alerts") {
    if (!is_null) read_override_max_alerts(value, modifier);
  } else if (key == "add_exceptions") {
    read_added_exceptions(value, modifier);
  } else if (key == "add_target_exclude") {
    read_target_entries(value, modifier.add_target_exclude);
  } else {
    return key == "description";
  }
  return true;
}

void RuleReader::read_modifier_targets(const YamlNode& node, RuleModifier& modifier) {
  if (!expect(node, Kind::kSequence, "targets")) return;
  for (const std::uint32_t item : node.items) {
    if (!visit(tree_.nodes[item])) return;
    read_modifier_target(tree_.nodes[item], modifier);
  }
}

void RuleReader::read_modifier_target(const YamlNode& node, RuleModifier& modifier) {
  if (!expect(node, Kind::kMap, "an entry of targets")) return;
  ModifierTarget target;
  target.place = place(node);
  for (const Entry& field : entries_of(node)) {
    const std::string& key = field.key->text;
    if (key == "ruleset_id") {
      target.ruleset_id = scalar(*field.value, key).value_or("");
    } else if (key == "rule_id") {
      target.rule_id = scalar(*field.value, key).value_or("");
      if (!target.rule_id.empty()) target.place = place(*field.value);
    } else {
      warn(*field.key, "unknown key \"" + shown(key) +
                           "\" is ignored; known in an entry of targets: ruleset_id, rule_id");
    }
  }
  if (target.ruleset_id.empty()) {
    error(node, "an entry of targets needs ruleset_id (and may have rule_id)");
    return;
  }
  modifier.targets.push_back(std::move(target));
}

void RuleReader::read_override_max_alerts(const YamlNode& node, RuleModifier& modifier) {
  int value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, failure] = std::from_chars(node.text.data(), end, value);
  if (node.kind != Kind::kScalar || !node.is_plain || failure != std::errc() || stop != end ||
      value < 1 || value > kMostMaxAlerts) {
    error(node, "override_max_alerts must be a whole number from 1 to 100");
    return;
  }
  modifier.override_max_alerts = value;
}

void RuleReader::read_added_exceptions(const YamlNode& node, RuleModifier& modifier) {
  const auto code = read_code(node, "add_exceptions");
  if (code && code->text.find_first_not_of(" \t\r\n") != std::string::npos) {
    modifier.add_exceptions.push_back(*code);
  }
}

bool RuleReader::read_bool(const YamlNode& node, std::string_view key) {
  const auto word = scalar(node, key);
  if (!word || word->empty()) return false;
  if (node.is_plain && is_one_of(*word, {"true", "True", "TRUE"})) return true;
  if (node.is_plain && is_one_of(*word, {"false", "False", "FALSE"})) return false;
  error(node, std::string(key) + " must be true or false");
  return false;
}

}  // namespace cicd
