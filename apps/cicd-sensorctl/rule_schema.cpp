// SPDX-License-Identifier: Apache-2.0
#include "rule_schema.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "event/event_docs.h"
#include "path_arguments.h"
#include "rule_tools/json_schema.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "rule schema";

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl rule schema [events|rules|tests] [--format text|json]

Writes what rules can look at and how files are to look:
  events   the event types with their fields and types (the default)
  rules    the JSON Schema (draft 7) of rule files, for editors and linters
  tests    the same of rule test files

Options:
  --format text|json   Of events: Markdown, or one JSON object (default: text). Schemas are JSON.
  -h, --help           This help

Exit codes:
  0  written
  1  stdout cannot be written
  2  wrong usage

Examples:
  cicd-sensorctl rule schema > events.md
  cicd-sensorctl rule schema --format json | jq -r '.event_types[].name'
  cicd-sensorctl rule schema rules > rules.schema.json

An editor with the YAML language server takes a schema from a comment at the top of a file:
  # yaml-language-server: $schema=rules.schema.json
)";

std::string json_text() {
  nlohmann::ordered_json out;
  out["event_types"] = nlohmann::ordered_json::array();
  for (const EventTypeInfo& info : event_types()) {
    nlohmann::ordered_json fields = nlohmann::ordered_json::array();
    for (const FieldInfo& field : info.fields) {
      fields.push_back({{"name", field.name},
                        {"log_name", field.json_name},
                        {"type", name_of(field.type)},
                        {"in_rules", field.in_rules},
                        {"in_extended_rules", field.in_rules || field.in_extended},
                        {"description", field.doc}});
    }
    out["event_types"].push_back(
        {{"name", info.name}, {"description", info.doc}, {"fields", std::move(fields)}});
  }
  out["languages"] = {
      {{"name", "extended"},
       {"key", "language"},
       {"description", "What rule sets with `language: extended` have besides."},
       {"names", {"process.uid", "process.cwd", "step.id", "step.name"}},
       {"functions", {"matches", "size", "all", "exists_one", "in", "within", "sequence"}}}};
  return out.dump(2) + "\n";
}

}  // namespace

int rule_schema(const std::vector<std::string>& arguments) {
  PathArguments options;
  if (const auto mistake = read_path_arguments(arguments, options)) {
    return usage_error(kCommand, *mistake);
  }
  const std::string what = options.paths.empty() ? "events" : options.paths[0];
  const bool is_known = what == "events" || what == "rules" || what == "tests";
  if (options.paths.size() > 1 || !is_known) {
    return usage_error(kCommand, "takes one of events, rules, tests");
  }
  const std::string text = options.help      ? kHelp
                           : what == "rules" ? rule_file_schema()
                           : what == "tests" ? test_file_schema()
                           : options.json    ? json_text()
                                             : event_reference_page();
  std::fputs(text.c_str(), stdout);
  return finish_output(kCommand, kExitOk);
}

}  // namespace cicd::ctl
