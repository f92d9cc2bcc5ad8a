// SPDX-License-Identifier: Apache-2.0
#include "rule_validate.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "path_arguments.h"
#include "rule_tools/rule_check.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "rule validate";

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl rule validate [--format text|json] PATH...

Checks rule files, and directories of .yaml and .yml files, without running them.
Every mistake is reported with file, line and column; nothing is changed.

Options:
  --format text|json   How findings are written to stdout (default: text)
  -h, --help           This help

Exit codes:
  0  every file is valid (there may be warnings)
  1  there are errors
  2  wrong usage

Examples:
  cicd-sensorctl rule validate rules/
  cicd-sensorctl rule validate my-rules.yaml team-rules.yaml
  cicd-sensorctl rule validate --format json rules/ | jq '.diagnostics[]'

All files named together are checked together: a rule set id that stands twice is found, and a
modifier that names a rule which is neither in these files nor in the baseline.
docs/rules.md tells how rules are written.
)";

void print_text(const RuleFindings& findings) {
  for (const Diagnostic& diagnostic : findings.diagnostics) {
    std::printf("%s\n", diagnostic.format().c_str());
  }
  std::printf("rule sets: %zu, rules: %zu, ", findings.rule_sets, findings.rules);
  if (findings.rule_modifiers > 0) std::printf("modifiers: %zu, ", findings.rule_modifiers);
  std::printf("errors: %zu, warnings: %zu\n", findings.errors, findings.warnings);
}

void print_json(const RuleFindings& findings) {
  nlohmann::ordered_json out;
  out["valid"] = findings.errors == 0;
  out["rule_sets"] = findings.rule_sets;
  out["rules"] = findings.rules;
  out["rule_modifiers"] = findings.rule_modifiers;
  out["errors"] = findings.errors;
  out["warnings"] = findings.warnings;
  out["diagnostics"] = nlohmann::ordered_json::array();
  for (const Diagnostic& diagnostic : findings.diagnostics) {
    const bool error = diagnostic.severity == Diagnostic::Severity::kError;
    out["diagnostics"].push_back({{"severity", error ? "error" : "warning"},
                                  {"file", diagnostic.file},
                                  {"line", diagnostic.line},
                                  {"column", diagnostic.column},
                                  {"rule_id", diagnostic.rule_id},
                                  {"text", diagnostic.text}});
  }
  // File names need not be UTF-8.
  std::printf("%s\n",
              out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

}  // namespace

int rule_validate(const std::vector<std::string>& arguments) {
  PathArguments options;
  if (const auto mistake = read_path_arguments(arguments, options))
    return usage_error(kCommand, *mistake);
  if (!options.help && options.paths.empty()) return usage_error(kCommand, "no PATH given");
  if (options.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  const RuleFindings findings = check_rules(load_rules(options.paths, {.strict = true}));
  if (options.json) {
    print_json(findings);
  } else {
    print_text(findings);
  }
  return finish_output(kCommand, findings.errors == 0 ? kExitOk : kExitFindings);
}

}  // namespace cicd::ctl
