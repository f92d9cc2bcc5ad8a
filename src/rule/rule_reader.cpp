// SPDX-License-Identifier: Apache-2.0
#include "rule/rule_reader.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace cicd {

namespace {

using Kind = YamlNode::Kind;

// Twice what a file without aliases can hold: only aliases of aliases get there.
constexpr std::size_t kMaxVisits = 2 * kMaxYamlNodes;
constexpr int kMaxMergeDepth = 16;
// Far more than a file holds: only aliases of long texts get there.
constexpr std::size_t kMaxCopiedBytes = 8 * kMaxRuleFileBytes;

const char* name_of_kind(Kind kind) {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return "a single value";
    case Kind::kSequence:
      return "a list";
    case Kind::kMap:
      return "a map";
  }
  return "";
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

bool is_identifier(std::string_view text) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

RuleReader::RuleReader(std::string_view text, std::string file, std::string revision,
                       const LoadOptions& options, LoadedRules& out)
    : text_(text),
      file_(std::move(file)),
      revision_(std::move(revision)),
      options_(options),
      out_(out),
      lines_(text) {}

void RuleReader::read() {
  tree_ = parse_yaml(text_);
  for (const YamlMistake& mistake : tree_.mistakes) {
    const LineIndex::Position at = lines_.at(mistake.offset);
    add_diagnostic(out_.diagnostics,
                   {Diagnostic::Severity::kError, file_, at.line, at.column, "", mistake.text});
  }
  for (const std::uint32_t root : tree_.documents) read_document(tree_.nodes[root]);
}

void RuleReader::read_document(const YamlNode& root) {
  if (root.kind == Kind::kNull) return;
  if (!expect(root, Kind::kMap, "a document of a rule file")) return;
  const YamlNode* sets = nullptr;
  const YamlNode* modifiers = nullptr;
  for (const Entry& entry : entries_of(root)) {
    const bool is_sets = entry.key->text == "rule_sets";
    if (is_sets || entry.key->text == "rule_modifiers") {
      (is_sets ? sets : modifiers) = entry.value;
      if (sets != nullptr && modifiers != nullptr) {
        error(*entry.key,
              "a document holds rule_sets or rule_modifiers, never both; part them with a line "
              "\"---\"");
        return;
      }
    } else {
      warn(*entry.key, "unknown key \"" + shown(entry.key->text) +
                           "\" is ignored; known here: rule_sets, rule_modifiers");
    }
  }
  if (sets == nullptr && modifiers == nullptr) {
    error(root, "the document has neither rule_sets nor rule_modifiers");
    return;
  }
  const YamlNode& list = sets != nullptr ? *sets : *modifiers;
  if (list.kind == Kind::kNull) return;
  if (!expect(list, Kind::kSequence, sets != nullptr ? "rule_sets" : "rule_modifiers")) return;
  for (const std::uint32_t item : list.items) {
    const YamlNode& node = tree_.nodes[item];
    if (!visit(node)) return;
    sets != nullptr ? read_rule_set(node) : read_modifier(node);
  }
}

void RuleReader::read_rule_set(const YamlNode& node) {
  if (!expect(node, Kind::kMap, "an entry of rule_sets")) return;
  RuleSet set;
  set.revision = revision_;
  set.place = place(node);
  const YamlNode* rules = nullptr;
  for (const Entry& entry : entries_of(node)) {
    const std::string& key = entry.key->text;
    if (key == "ruleset_id") {
      set.ruleset_id = scalar(*entry.value, key).value_or("");
      set.place = place(*entry.value);
    } else if (key == "lists") {
      read_lists(*entry.value, set);
    } else if (key == "rules") {
      rules = entry.value;
    } else if (key == "language") {
      read_language(*entry.value, set);
    } else if (!is_one_of(key, {"revision", "description"})) {
      warn(*entry.key,
           "unknown key \"" + shown(key) +
               "\" is ignored; known in a rule set: ruleset_id, language, lists, rules");
    }
  }
  if (set.ruleset_id.empty()) error(node, "the rule set has no ruleset_id");
  if (rules != nullptr && rules->kind != Kind::kNull) read_rules(*rules, set);
  out_.rule_sets.push_back(std::move(set));
}

void RuleReader::read_language(const YamlNode& node, RuleSet& set) {
  const auto word = scalar(node, "language");
  if (word == "extended") {
    set.language = RuleLanguage::kExtended;
  } else if (word && !word->empty()) {
    error(node, "unknown language \"" + shown(*word) +
                    "\"; allowed: extended, or leave it out for rules that every sensor reads");
  }
}

void RuleReader::read_lists(const YamlNode& node, RuleSet& set) {
  if (node.kind == Kind::kNull || !expect(node, Kind::kMap, "lists")) return;
  for (const Entry& entry : entries_of(node)) {
    const std::string& name = entry.key->text;
    if (!is_identifier(name)) {
      error(*entry.key,
            "list name \"" + shown(name) +
                "\" must be letters, digits and underscores, not starting with a digit");
    }
    std::vector<std::string>& values = set.lists[name];
    if (entry.value->kind == Kind::kNull) continue;
    if (!expect(*entry.value, Kind::kSequence, "list " + shown(name))) continue;
    for (const std::uint32_t item : entry.value->items) {
      const YamlNode& value = tree_.nodes[item];
      if (!visit(value)) return;
      if (auto text = scalar(value, "an entry of list " + shown(name))) {
        values.push_back(std::move(*text));
      }
    }
  }
}

void RuleReader::read_rules(const YamlNode& node, RuleSet& set) {
  if (!expect(node, Kind::kSequence, "rules")) return;
  std::unordered_set<std::string> ids;
  for (const std::uint32_t item : node.items) {
    if (visit(tree_.nodes[item])) read_rule(tree_.nodes[item], set, ids);
    rule_id_.clear();
  }
}

void RuleReader::read_rule(const YamlNode& node, RuleSet& set,
                           std::unordered_set<std::string>& ids) {
  if (!expect(node, Kind::kMap, "an entry of rules")) return;
  const Entries entries = entries_of(node);
  Rule rule;
  rule.place = place(node);
  for (const Entry& entry : entries) {
    if (entry.key->text != "rule_id") continue;
    rule_id_ = rule.rule_id = scalar(*entry.value, "rule_id").value_or("");
    rule.place = place(*entry.value);
    if (!rule.rule_id.empty() && !is_identifier(rule.rule_id)) {
      error(*entry.value,
            "rule_id must be letters, digits and underscores, not starting with a digit");
    } else if (!rule.rule_id.empty() && !ids.insert(rule.rule_id).second) {
      error(*entry.value, "rule_id stands twice in this rule set");
    }
  }
  bool has_action = false, has_event_type = false, has_condition = false;
  for (const Entry& entry : entries) {
    const std::string& key = entry.key->text;
    if (!read_rule_field(entry, rule)) {
      warn(*entry.key,
           "unknown key \"" + shown(key) +
               "\" is ignored; known in a rule: rule_id, rule_name, description, type, event_type, "
               "condition, exceptions, action, max_alerts, tags, target");
    }
    has_action |= key == "action";
    has_event_type |= key == "event_type";
    has_condition |= key == "condition";
  }
  if (rule.rule_id.empty()) error(node, "the rule has no rule_id");
  if (!has_action) error(node, "the rule has no action (detect, collect or terminate)");
  if (!has_event_type && !rule.is_correlation) error(node, "the rule has no event_type");
  if (!has_condition) error(node, "the rule has no condition");
  set.rules.push_back(std::move(rule));
}

bool RuleReader::read_rule_field(const Entry& entry, Rule& rule) {
  const std::string& key = entry.key->text;
  const YamlNode& value = *entry.value;
  if (key == "rule_name") {
    rule.rule_name = scalar(value, key).value_or("");
  } else if (key == "description") {
    rule.description = scalar(value, key).value_or("");
  } else if (key == "type") {
    const std::string type = scalar(value, key).value_or("");
    rule.is_correlation = type == "correlation";
    if (!type.empty() && type != "event" && !rule.is_correlation) {
      error(value, "unknown type \"" + shown(type) + "\"; allowed: event, correlation");
    }
  } else if (key == "event_type") {
    read_event_type(value, rule);
  } else if (key == "condition") {
    if (auto code = read_code(value, key)) {
      if (code->text.find_first_not_of(" \t\r\n") == std::string::npos) {
        error(value, "the condition is empty");
      }
      rule.condition = std::move(*code);
    }
  } else if (key == "exceptions") {
    auto code = read_code(value, key);
    if (code && code->text.find_first_not_of(" \t\r\n") != std::string::npos) {
      rule.exceptions = std::move(code);
    }
  } else if (key == "action") {
    if (const auto action = read_action(value, key)) rule.action = *action;
  } else if (key == "max_alerts") {
    read_max_alerts(value, rule);
  } else if (key == "tags") {
    read_tags(value, rule);
  } else if (key == "target") {
    read_target(value, rule);
  } else {
    return key == "rule_id";
  }
  return true;
}

std::optional<RuleAction> RuleReader::read_action(const YamlNode& node, std::string_view key) {
  const auto word = scalar(node, key);
  if (!word) return std::nullopt;
  for (const RuleAction action :
       {RuleAction::kDetect, RuleAction::kCollect, RuleAction::kTerminate}) {
    if (*word == name_of(action)) return action;
  }
  error(node, "unknown " + std::string(key) + " \"" + shown(*word) +
                  "\"; allowed: detect, collect, terminate");
  return std::nullopt;
}

void RuleReader::read_event_type(const YamlNode& node, Rule& rule) {
  const auto word = scalar(node, "event_type");
  if (!word) return;
  if (const auto type = event_type_by_name(*word)) {
    rule.event_type = *type;
    return;
  }
  std::string known;
  for (const EventTypeInfo& info : event_types()) {
    known += (known.empty() ? "" : ", ") + std::string(info.name);
  }
  error(node, "unknown event_type \"" + shown(*word) + "\"; this version has: " + known);
}

void RuleReader::read_max_alerts(const YamlNode& node, Rule& rule) {
  if (node.kind == Kind::kNull) return;
  int value = -1;
  const char* end = node.text.data() + node.text.size();
  const auto [stop, failure] = std::from_chars(node.text.data(), end, value);
  if (node.kind != Kind::kScalar || !node.is_plain || failure != std::errc() || stop != end ||
      value < 0) {
    error(node, "max_alerts must be a whole number from 0 (the default of 10) to 100");
    return;
  }
  if (value > kMostMaxAlerts) {
    report(options_.strict ? Diagnostic::Severity::kError : Diagnostic::Severity::kWarning, node,
           "max_alerts is above 100; a sensor falls back to 10");
    value = kDefaultMaxAlerts;
  }
  rule.max_alerts = value;
}

void RuleReader::read_tags(const YamlNode& node, Rule& rule) {
  if (node.kind == Kind::kNull || !expect(node, Kind::kMap, "tags")) return;
  for (const Entry& entry : entries_of(node)) {
    if (auto value = scalar(*entry.value, "tag " + shown(entry.key->text))) {
      rule.tags[entry.key->text] = std::move(*value);
    }
  }
}

void RuleReader::read_target(const YamlNode& node, Rule& rule) {
  if (node.kind == Kind::kNull || !expect(node, Kind::kMap, "target")) return;
  RuleTarget target;
  for (const Entry& entry : entries_of(node)) {
    if (entry.key->text == "include") {
      read_target_entries(*entry.value, target.include);
    } else if (entry.key->text == "exclude") {
      read_target_entries(*entry.value, target.exclude);
    } else {
      warn(*entry.key, "unknown key \"" + shown(entry.key->text) +
                           "\" is ignored; known in a target: include, exclude");
    }
  }
  if (!target.include.empty() || !target.exclude.empty()) rule.target = std::move(target);
}

void RuleReader::read_target_entries(const YamlNode& node, std::vector<TargetEntry>& out) {
  if (node.kind == Kind::kNull || !expect(node, Kind::kSequence, "a target's list")) return;
  for (const std::uint32_t item : node.items) {
    const YamlNode& value = tree_.nodes[item];
    if (!visit(value) || !expect(value, Kind::kMap, "an entry of a target")) continue;
    TargetEntry entry;
    for (const Entry& field : entries_of(value)) {
      const std::string& key = field.key->text;
      if (key == "provider_host") {
        entry.provider_host = scalar(*field.value, key).value_or("");
      } else if (key == "path") {
        entry.path = scalar(*field.value, key).value_or("");
      } else {
        warn(*field.key, "unknown key \"" + shown(key) +
                             "\" is ignored; known in a target's entry: provider_host, path");
      }
    }
    if (entry.provider_host.empty() && entry.path.empty()) {
      error(value, "an entry of a target needs provider_host or path");
    }
    out.push_back(std::move(entry));
  }
}

std::optional<SourceText> RuleReader::read_code(const YamlNode& node, std::string_view key) {
  if (node.kind == Kind::kNull)
    return SourceText{"", file_, place(node).line, place(node).column, {}};
  if (!expect(node, Kind::kScalar, key) || !may_copy(node)) return std::nullopt;
  return place_scalar(text_, lines_, node, file_);
}

bool RuleReader::visit(const YamlNode& node) {
  if (++visits_ > kMaxVisits) give_up(node);
  return visits_ <= kMaxVisits;
}

bool RuleReader::may_copy(const YamlNode& node) {
  copied_bytes_ += node.text.size();
  if (copied_bytes_ > kMaxCopiedBytes) give_up(node);
  return copied_bytes_ <= kMaxCopiedBytes;
}

void RuleReader::give_up(const YamlNode& node) {
  if (!gave_up_) error(node, "aliases (*name) make this file too large when they are followed");
  gave_up_ = true;
}

RuleReader::Entries RuleReader::entries_of(const YamlNode& map) {
  Entries out;
  std::unordered_set<std::string_view> seen;
  collect(map, 0, out, seen);
  return out;
}

// Own keys first: they win over merged ones.
void RuleReader::collect(const YamlNode& map, int depth, Entries& out,
                         std::unordered_set<std::string_view>& seen) {
  const auto is_merge = [](const YamlNode& key) { return key.is_plain && key.text == "<<"; };
  for (std::size_t i = 0; i + 1 < map.items.size(); i += 2) {
    const YamlNode& key = tree_.nodes[map.items[i]];
    if (!visit(key)) return;
    if (key.kind != Kind::kScalar || is_merge(key) || !seen.insert(key.text).second) continue;
    out.push_back({&key, &tree_.nodes[map.items[i + 1]]});
  }
  for (std::size_t i = 0; i + 1 < map.items.size(); i += 2) {
    if (!is_merge(tree_.nodes[map.items[i]])) continue;
    const YamlNode& merged = tree_.nodes[map.items[i + 1]];
    if (depth >= kMaxMergeDepth) {
      error(merged, "merge keys (<<) are nested deeper than 16 levels");
    } else if (merged.kind == Kind::kMap) {
      collect(merged, depth + 1, out, seen);
    } else if (merged.kind == Kind::kSequence) {
      for (const std::uint32_t item : merged.items) {
        if (!visit(merged) || !expect(tree_.nodes[item], Kind::kMap, "a merged value")) return;
        collect(tree_.nodes[item], depth + 1, out, seen);
      }
    } else {
      error(merged, "a merge key (<<) needs a map or a list of maps");
    }
  }
}

bool RuleReader::expect(const YamlNode& node, Kind kind, std::string_view what) {
  if (node.kind == kind) return true;
  error(node, std::string(what) + " must be " + name_of_kind(kind) + ", here it is " +
                  name_of_kind(node.kind));
  return false;
}

std::optional<std::string> RuleReader::scalar(const YamlNode& node, std::string_view key) {
  if (node.kind == Kind::kNull) return std::string();
  if (!expect(node, Kind::kScalar, key) || !may_copy(node)) return std::nullopt;
  return node.text;
}

SourcePlace RuleReader::place(const YamlNode& node) const {
  const LineIndex::Position at = lines_.at(node.offset);
  return {file_, at.line, at.column};
}

void RuleReader::report(Diagnostic::Severity severity, const YamlNode& node, std::string text) {
  const SourcePlace at = place(node);
  add_diagnostic(out_.diagnostics,
                 {severity, file_, at.line, at.column, rule_id_, std::move(text)});
}

}  // namespace cicd
