// SPDX-License-Identifier: Apache-2.0
#include "rule_schema.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "event/event_docs.h"
#include "path_arguments.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "rule schema";

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl rule schema [--format text|json]

Writes what rules can look at: the event types with their fields and types.

Options:
  --format text|json   Markdown, or one JSON object (default: text)
  -h, --help           This help

Exit codes:
  0  written
  1  stdout cannot be written
  2  wrong usage

Examples:
  cicd-sensorctl rule schema > events.md
  cicd-sensorctl rule schema --format json | jq -r '.event_types[].name'
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
  out["languages"] = {{{"name", "extended"},
                       {"key", "language"},
                       {"description", "What rule sets with `language: extended` have besides."},
                       {"names", {"process.uid", "process.cwd", "step.id", "step.name"}},
                       {"functions",
                        {"matches", "size", "all", "exists_one", "in", "within", "sequence"}}}};
  return out.dump(2) + "\n";
}

}  // namespace

int rule_schema(const std::vector<std::string>& arguments) {
  PathArguments options;
  std::optional<std::string> mistake = read_path_arguments(arguments, options);
  if (!mistake && !options.paths.empty()) mistake = "takes no path: " + options.paths.front();
  if (mistake) return usage_error(kCommand, *mistake);
  const std::string text = options.help   ? kHelp
                           : options.json ? json_text()
                                          : event_reference_page();
  std::fputs(text.c_str(), stdout);
  return finish_output(kCommand, kExitOk);
}

}  // namespace cicd::ctl
