// SPDX-License-Identifier: Apache-2.0
#include "listener/project_request.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "listener/job_request.h"
#include "rule/yaml_tree.h"

namespace cicd {

namespace {

using nlohmann::json;

std::unexpected<Error> refuse(std::string why) {
  return fail(ErrorCode::kInvalidInput, std::move(why));
}

std::string shown_name(std::string_view name) {
  return json(name.substr(0, 64)).dump(-1, ' ', true, json::error_handler_t::replace);
}

// Copying and writing a value recurse, so a deep one would end the agent: whoever can reach the
// socket could. A rule file has no more levels either, and a body has two around it.
constexpr int kMostDepth = 66;

// One object; no member of an object twice; what is too deep is not built.
Result<json> parse_body(std::string_view body) {
  std::vector<std::set<std::string>> seen;
  std::string repeated;
  bool is_too_deep = false;
  json document = json::parse(
      body.begin(), body.end(),
      [&](int depth, json::parse_event_t event, json& value) {
        if (depth > kMostDepth) {
          is_too_deep = true;
          return false;
        }
        if (event == json::parse_event_t::object_start) seen.emplace_back();
        if (event == json::parse_event_t::object_end) seen.pop_back();
        if (event == json::parse_event_t::key && repeated.empty() &&
            !seen.back().insert(value.get<std::string>()).second) {
          repeated = value.get<std::string>();
        }
        return true;
      },
      false);
  if (is_too_deep) {
    return refuse("the body is nested deeper than " + std::to_string(kMostDepth) + " levels");
  }
  if (!document.is_object()) return refuse("the body must be one JSON object");
  if (!repeated.empty()) return refuse("the member " + shown_name(repeated) + " is there twice");
  return document;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// What a rule file calls a member of a source; empty when it is none.
std::string_view list_name(const std::string& name) {
  const std::string plain = lower(name);
  if (plain == "rulesets" || plain == "rule_sets") return "rule_sets";
  if (plain == "rulemodifiers" || plain == "rule_modifiers") return "rule_modifiers";
  return {};
}

template <typename T>
void append(std::vector<T>& to, std::vector<T>& from) {
  std::ranges::move(from, std::back_inserter(to));
}

// JSON is YAML, so the reader of rule files reads it, with its limits and its words.
Result<void> read_source(const json& source, std::size_t number, LoadedRules& rules) {
  const std::string place = "rule_sources[" + std::to_string(number) + "]";
  if (!source.is_object()) return refuse(place + " must be an object");
  for (const auto& [name, list] : source.items()) {
    const std::string_view known = list_name(name);
    if (known.empty()) return refuse("unknown member " + shown_name(name) + " of " + place);
    if (list.is_null()) continue;
    if (!list.is_array()) return refuse(place + "." + name + " must be a list");
    if (list.empty()) continue;
    const json file = {{std::string(known), list}};
    LoadedRules read = load_rules_from_text(file.dump(), place);
    const auto error =
        std::ranges::find(read.diagnostics, Diagnostic::Severity::kError, &Diagnostic::severity);
    if (error != read.diagnostics.end()) return refuse(error->format());
    append(rules.rule_sets, read.rule_sets);
    append(rules.rule_modifiers, read.rule_modifiers);
  }
  return {};
}

Result<void> read_texts(const json& object, JobMetadata& metadata) {
  if (!object.is_object()) return refuse("metadata must be an object");
  for (const auto& [name, value] : object.items()) {
    const auto field = std::ranges::find(metadata_fields(), name, &MetadataField::name);
    if (field == metadata_fields().end()) return refuse("unknown member " + shown_name(name));
    if (!value.is_string()) return refuse(name + " must be a string");
    metadata.*field->member = value.get<std::string>();
    if ((metadata.*field->member).size() > kMostMetadataBytes) {
      return refuse(name + " has more than " + std::to_string(kMostMetadataBytes) + " bytes");
    }
  }
  return {};
}

Result<bool> read_switch(const std::string& name, const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  return refuse(name + " must be true or false");
}

Result<int> read_max_alerts(const json& value) {
  if (value.is_number_integer() && value >= 0 && value <= kMostMaxAlerts) return value.get<int>();
  return refuse("default_max_alerts_per_rule must be a number from 0 to " +
                std::to_string(kMostMaxAlerts));
}

Result<void> read_member(const std::string& name, const json& value, ProjectStartCall& call) {
  const auto field = std::ranges::find(identity_fields(), name, &IdentityField::name);
  if (field != identity_fields().end()) {
    if (!value.is_string()) return refuse(name + " must be a string");
    call.identity.*field->member = value.get<std::string>();
    return {};
  }
  if (name == "metadata") return read_texts(value, call.metadata);
  if (name == "default_max_alerts_per_rule") {
    CICD_ASSIGN(call.settings.default_max_alerts, read_max_alerts(value));
    return {};
  }
  if (name == "rule_sources") {
    if (!value.is_array() && !value.is_null()) return refuse("rule_sources must be a list");
    for (std::size_t i = 0; i < value.size(); ++i) CICD_TRY(read_source(value[i], i, call.rules));
    return {};
  }
  if (name == "egress_policy") {
    if (!value.is_string()) return refuse("egress_policy must be a string, the text of a policy");
    call.settings.egress_policy = value.get<std::string>();
    return {};
  }
  if (name == "mode") {
    const auto mode = value.is_string() ? egress_mode_of(value.get<std::string>()) : std::nullopt;
    if (!mode) return refuse("mode must be observe, learn or enforce");
    call.settings.mode = *mode;
    return {};
  }
  if (name == "manager_url" || name == "manager_token") {
    if (value.is_string() && value.get<std::string>().empty()) return {};
    return refuse(name + ": this agent has no manager; leave it out");
  }
  bool ignored = false;  // debug_enabled: this agent logs what it was started to log
  bool* const target = name == "disable_baseline_rules" ? &call.settings.disable_baseline_rules
                       : name == "monitor_mode"         ? &call.settings.monitor_mode
                       : name == "debug_enabled"        ? &ignored
                                                        : nullptr;
  if (target == nullptr) return refuse("unknown member " + shown_name(name));
  CICD_ASSIGN(*target, read_switch(name, value));
  return {};
}

// A scalar as JSON has it: what YAML takes for a number or a switch becomes one.
json scalar_of(const YamlNode& node) {
  if (!node.is_plain) return node.text;
  if (node.text == "true" || node.text == "false") return node.text == "true";
  std::int64_t number = 0;
  const char* const end = node.text.data() + node.text.size();
  const auto [last, error] = std::from_chars(node.text.data(), end, number);
  if (error == std::errc() && last == end) return number;
  return node.text;
}

// The tree is bounded by its reader, in depth too.
json json_of(const YamlTree& tree, std::uint32_t index) {
  const YamlNode& node = tree.nodes[index];
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return nullptr;
    case YamlNode::Kind::kScalar:
      return scalar_of(node);
    case YamlNode::Kind::kSequence: {
      json list = json::array();
      for (const std::uint32_t item : node.items) list.push_back(json_of(tree, item));
      return list;
    }
    case YamlNode::Kind::kMap: {
      json map = json::object();
      for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
        map[tree.nodes[node.items[i]].text] = json_of(tree, node.items[i + 1]);
      }
      return map;
    }
  }
  return nullptr;
}

Result<std::vector<json>> documents_of(std::string_view text) {
  const YamlTree tree = parse_yaml(text);
  if (!tree.mistakes.empty()) return refuse(tree.mistakes.front().text);
  std::vector<json> documents;
  for (const std::uint32_t root : tree.documents) documents.push_back(json_of(tree, root));
  return documents;
}

}  // namespace

Result<ProjectStartCall> read_project_request(std::string_view body) {
  CICD_ASSIGN(const json document, parse_body(body));
  ProjectStartCall call;
  call.settings.request = body;
  for (const auto& [name, value] : document.items()) CICD_TRY(read_member(name, value, call));
  CICD_TRY(validate(call.identity));
  return call;
}

Result<std::string> write_project_request(const JobIdentity& identity, const JobMetadata& metadata,
                                          const ProjectSettings& settings,
                                          std::string_view rule_file) {
  json body = json::object();
  for (const IdentityField& field : identity_fields()) {
    if (!(identity.*field.member).empty()) body[std::string(field.name)] = identity.*field.member;
  }
  json texts = json::object();
  for (const MetadataField& field : metadata_fields()) {
    if (!(metadata.*field.member).empty()) texts[std::string(field.name)] = metadata.*field.member;
  }
  body["metadata"] = texts;
  if (settings.default_max_alerts) {
    body["default_max_alerts_per_rule"] = *settings.default_max_alerts;
  }
  body["disable_baseline_rules"] = settings.disable_baseline_rules;
  body["monitor_mode"] = settings.monitor_mode;
  // Another agent of this protocol does not know them.
  if (!settings.egress_policy.empty()) body["egress_policy"] = settings.egress_policy;
  if (settings.mode != EgressMode::kObserve) body["mode"] = name_of(settings.mode);
  json sources = json::array();
  CICD_ASSIGN(const std::vector<json> documents, documents_of(rule_file));
  for (const json& document : documents) {
    if (document.is_null()) continue;
    if (!document.is_object()) return refuse("a rule file is a map: rule_sets or rule_modifiers");
    json source = json::object();
    if (document.contains("rule_sets")) source["RuleSets"] = document["rule_sets"];
    if (document.contains("rule_modifiers")) source["RuleModifiers"] = document["rule_modifiers"];
    sources.push_back(std::move(source));
  }
  body["rule_sources"] = sources;
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<ProjectSettings> read_project_settings(const std::string& text) {
  CICD_ASSIGN(const std::vector<json> documents, documents_of(text));
  ProjectSettings settings;
  if (documents.empty() || documents.front().is_null()) return settings;
  if (documents.size() > 1 || !documents.front().is_object()) {
    return refuse("a project's settings are one map");
  }
  for (const auto& [name, value] : documents.front().items()) {
    if (name == "default_max_alerts_per_rule") {
      CICD_ASSIGN(settings.default_max_alerts, read_max_alerts(value));
    } else if (name == "disable_baseline_rules") {
      CICD_ASSIGN(settings.disable_baseline_rules, read_switch(name, value));
    } else if (name == "monitor_mode") {
      CICD_ASSIGN(settings.monitor_mode, read_switch(name, value));
    } else {
      return fail(ErrorCode::kInvalidInput, "unknown member " + shown_name(name),
                  "there are: default_max_alerts_per_rule, disable_baseline_rules, monitor_mode");
    }
  }
  return settings;
}

}  // namespace cicd
