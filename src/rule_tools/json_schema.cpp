// SPDX-License-Identifier: Apache-2.0
#include "rule_tools/json_schema.h"

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "event/event_type.h"
#include "rule/rule_set.h"

namespace cicd {

namespace {

using nlohmann::ordered_json;

using Properties = std::initializer_list<std::pair<std::string_view, ordered_json>>;

constexpr const char* kDraft = "http://json-schema.org/draft-07/schema#";
constexpr const char* kIdentifier = "^[a-zA-Z_][a-zA-Z0-9_]*$";

// A map with these keys and no other.
ordered_json object(Properties properties, std::initializer_list<const char*> required = {}) {
  ordered_json out = {{"type", "object"}, {"additionalProperties", false}};
  for (const auto& [name, schema] : properties) out["properties"][std::string(name)] = schema;
  for (const char* name : required) out["required"].push_back(name);
  return out;
}

ordered_json list_of(ordered_json items) {
  return {{"type", "array"}, {"items", std::move(items)}};
}

// YAML takes `1` and `true` for a number and a truth value where a text is meant.
ordered_json text(const char* doc) {
  return {{"type", {"string", "number", "boolean"}}, {"description", doc}};
}

// Where nothing is as good as nothing at all.
ordered_json or_nothing(ordered_json schema) {
  if (schema["type"].is_string()) schema["type"] = ordered_json::array({schema["type"]});
  schema["type"].push_back("null");
  return schema;
}

ordered_json described(ordered_json schema, std::string_view doc) {
  schema["description"] = doc;
  return schema;
}

ordered_json reference(const char* name) {
  return {{"$ref", std::string("#/definitions/") + name}};
}

ordered_json condition(const char* doc) {
  return {{"type", {"string", "boolean"}}, {"description", doc}};
}

ordered_json identifier(const char* doc) {
  return {{"type", "string"}, {"pattern", kIdentifier}, {"description", doc}};
}

ordered_json actions() {
  return {{"enum",
           {name_of(RuleAction::kDetect), name_of(RuleAction::kCollect),
            name_of(RuleAction::kTerminate)}},
          {"description", "What a hit does."}};
}

ordered_json event_type_names() {
  ordered_json out = ordered_json::array();
  for (const EventTypeInfo& info : event_types()) out.push_back(info.name);
  return out;
}

ordered_json targets() {
  ordered_json entry = object({{"provider_host", text("Host of the CI, exactly.")},
                               {"path", text("How the project's path begins.")}});
  entry["minProperties"] = 1;
  return or_nothing(list_of(std::move(entry)));
}

ordered_json rule() {
  ordered_json out = object(
      {{"rule_id", identifier("Name of the rule, once in its set.")},
       {"rule_name", or_nothing(text("Name for people."))},
       {"description", or_nothing(text("What it sees, why that matters, what it does not see."))},
       {"type", {{"enum", {"event", "correlation"}}}},
       {"event_type", {{"enum", event_type_names()}, {"description", "What it looks at."}}},
       {"condition", condition("When it fires.")},
       {"exceptions", or_nothing(condition("When it does not fire all the same."))},
       {"action", actions()},
       {"max_alerts",
        {{"type", {"integer", "null"}},
         {"minimum", 0},
         {"maximum", kMostMaxAlerts},
         {"description", "Alerts per job; 0 or absent: 10."}}},
       {"tags",
        {{"type", {"object", "null"}}, {"additionalProperties", text("Written as name:value.")}}},
       {"target", or_nothing(object({{"include", targets()}, {"exclude", targets()}}))}},
      {"rule_id", "condition", "action"});
  out["if"] = {{"properties", {{"type", {{"const", "correlation"}}}}}, {"required", {"type"}}};
  out["else"] = {{"required", {"event_type"}}};
  return out;
}

ordered_json rule_set() {
  ordered_json lists = {{"type", {"object", "null"}},
                        {"propertyNames", {{"pattern", "^[a-zA-Z0-9_]+$"}}},
                        {"additionalProperties", or_nothing(list_of(text("")))},
                        {"description", "Named lists of texts: list.<name> in conditions."}};
  return object({{"ruleset_id", text("Name of the set.")},
                 {"description", or_nothing(text("For people."))},
                 {"revision", or_nothing(text("Not used: the revision is the hash of the file."))},
                 {"language",
                  {{"enum", {"extended", "", nullptr}},
                   {"description", "extended: its conditions may use the extended language."}}},
                 {"lists", std::move(lists)},
                 {"rules", or_nothing(list_of(reference("rule")))}},
                {"ruleset_id"});
}

ordered_json modifier() {
  ordered_json target = object({{"ruleset_id", text("The set.")},
                                {"rule_id", or_nothing(identifier("Absent: all its rules."))}},
                               {"ruleset_id"});
  return object(
      {{"modifier_id", text("Name of the modifier.")},
       {"description", or_nothing(text("For people."))},
       {"targets", or_nothing(list_of(std::move(target)))},
       {"disable", {{"type", {"boolean", "null"}}, {"description", "Takes the rules out."}}},
       {"override_action", {{"enum", {"detect", "collect", "terminate", nullptr}}}},
       {"override_max_alerts",
        {{"type", {"integer", "null"}}, {"minimum", 1}, {"maximum", kMostMaxAlerts}}},
       {"add_exceptions", or_nothing(condition("When the rules do not fire."))},
       {"add_target_exclude", targets()}},
      {"modifier_id"});
}

ordered_json field(const FieldInfo& info) {
  switch (info.type) {
    case FieldType::kString:
      return text(std::string(info.doc).c_str());
    case FieldType::kBool:
      return {{"type", "boolean"}, {"description", info.doc}};
    case FieldType::kInt:
      return {{"type", "integer"}, {"description", info.doc}};
  }
  return {};
}

// One type with its fields, and what every event may have.
ordered_json event() {
  ordered_json out =
      object({{"process", reference("chain")},
              {"step", object({{"id", text("As the CI platform writes it.")},
                               {"name", text("What people see.")}})},
              {"time", text("How long after the start of the job: \"1m30s\".")},
              {"times", {{"type", "integer"}, {"minimum", 1}, {"maximum", 10'000}}}});
  for (const EventTypeInfo& info : event_types()) {
    ordered_json payload = {
        {"type", {"object", "null"}}, {"additionalProperties", false}, {"description", info.doc}};
    for (const FieldInfo& one : info.fields) {
      payload["properties"][std::string(one.name)] = field(one);
    }
    out["properties"][std::string(info.name)] = std::move(payload);
    out["oneOf"].push_back({{"required", {info.name}}});
  }
  return out;
}

ordered_json process() {
  return object({{"exec_path", text("Path of the program.")},
                 {"argv", list_of(text("An argument; the first is the name it was called by."))},
                 {"cwd", text("Working directory.")},
                 {"uid", {{"type", "integer"}, {"minimum", 0}, {"maximum", 4'294'967'295}}}},
                {"exec_path"});
}

ordered_json chain() {
  const ordered_json name = {{"type", "string"}, {"description", "A name of processes or chains."}};
  const ordered_json link = {{"anyOf", {name, reference("process")}}};
  ordered_json links = list_of(link);
  links["minItems"] = 1;
  return {{"anyOf", {name, reference("process"), std::move(links)}},
          {"description", "A process, or a chain of them, newest first."}};
}

ordered_json test() {
  ordered_json job = object({{"job", list_of(reference("event"))}}, {"job"});
  job["properties"]["job"]["minItems"] = 1;
  const ordered_json cases = list_of({{"anyOf", {reference("event"), std::move(job)}}});
  ordered_json out =
      object({{"name", text("For people.")},
              {"rule", text("rule_id, or ruleset_id/rule_id.")},
              {"fires", described(cases, "Cases in which the rule must fire.")},
              {"quiet", described(cases, "Cases in which it must not.")},
              {"event", reference("event")},
              {"events", described(list_of(reference("event")), "A job.")},
              {"expect", described(list_of(text("A rule.")), "Exactly the rules that fire.")},
              {"process", reference("chain")}});
  const auto without = [](std::initializer_list<const char*> names) {
    ordered_json any = ordered_json::array();
    for (const char* name : names) any.push_back({{"required", {name}}});
    return ordered_json{{"anyOf", std::move(any)}};
  };
  out["oneOf"] = {
      {{"required", {"rule"}},
       {"anyOf", {{{"required", {"fires"}}}, {{"required", {"quiet"}}}}},
       {"not", without({"event", "events", "expect"})}},
      {{"required", {"event", "expect"}}, {"not", without({"rule", "fires", "quiet", "events"})}},
      {{"required", {"events", "expect"}}, {"not", without({"rule", "fires", "quiet", "event"})}}};
  return out;
}

}  // namespace

std::string rule_file_schema() {
  ordered_json out = {{"$schema", kDraft}, {"title", "Rule file of cicd-sensor"}};
  out.update(or_nothing(object({{"rule_sets", or_nothing(list_of(reference("rule_set")))},
                                {"rule_modifiers", or_nothing(list_of(reference("modifier")))}})));
  out["if"] = {{"type", "object"}};  // an empty document is one
  out["then"] = {{"oneOf", {{{"required", {"rule_sets"}}}, {{"required", {"rule_modifiers"}}}}}};
  out["definitions"] = {{"rule_set", rule_set()}, {"rule", rule()}, {"modifier", modifier()}};
  return out.dump(2) + "\n";
}

std::string test_file_schema() {
  ordered_json out = {{"$schema", kDraft}, {"title", "Rule test file of cicd-sensor"}};
  const ordered_json path = {{"type", "string"},
                             {"description", "A file, a directory, or the word baseline."}};
  ordered_json paths = list_of(path);
  paths["minItems"] = 1;
  ordered_json tests = list_of(reference("test"));
  tests["minItems"] = 1;
  out.update(
      object({{"rules", {{"anyOf", {path, std::move(paths)}}}},
              {"project", object({{"provider_host", text("Host of the CI.")},
                                  {"path", text("Path of the project.")}})},
              {"processes", {{"type", "object"}, {"additionalProperties", reference("process")}}},
              {"chains", {{"type", "object"}, {"additionalProperties", reference("chain")}}},
              {"process", reference("chain")},
              {"tests", std::move(tests)}},
             {"rules", "tests"}));
  out["definitions"] = {
      {"process", process()}, {"chain", chain()}, {"event", event()}, {"test", test()}};
  return out.dump(2) + "\n";
}

}  // namespace cicd
