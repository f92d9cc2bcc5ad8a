// SPDX-License-Identifier: Apache-2.0
#include "rule_validate.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <utility>

#include "path_arguments.h"
#include "rule/baseline.h"
#include "rule/program.h"
#include "rule/rule_set.h"

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

struct Findings {
  std::size_t rule_sets = 0;
  std::size_t rules = 0;
  std::size_t rule_modifiers = 0;
  std::size_t errors = 0;
  std::size_t warnings = 0;
  std::vector<Diagnostic> diagnostics;
};

// A modifier may be for the baseline, which a sensor has without naming its files.
void add_baseline(std::vector<RuleSet>& rule_sets) {
  LoadedRules baseline = baseline_rules();
  for (RuleSet& set : baseline.rule_sets) {
    const bool is_there = std::ranges::any_of(
        rule_sets, [&](const RuleSet& other) { return other.ruleset_id == set.ruleset_id; });
    if (!is_there) rule_sets.push_back(std::move(set));
  }
}

Findings check(const std::vector<std::string>& paths) {
  LoadedRules loaded = load_rules(paths, {.strict = true});
  Findings out;
  out.rule_sets = loaded.rule_sets.size();
  out.rule_modifiers = loaded.rule_modifiers.size();
  for (const RuleSet& set : loaded.rule_sets) out.rules += set.rules.size();
  out.diagnostics = std::move(loaded.diagnostics);
  if (!loaded.rule_modifiers.empty()) add_baseline(loaded.rule_sets);
  CompileOptions options;
  options.checks_only = true;
  options.modifiers = std::move(loaded.rule_modifiers);
  CompileResult compiled = compile(loaded.rule_sets, options);
  std::move(compiled.diagnostics.begin(), compiled.diagnostics.end(),
            std::back_inserter(out.diagnostics));
  // In the order of the files as they were named, from top to bottom in each.
  std::vector<std::string> files;
  for (const Diagnostic& diagnostic : out.diagnostics) {
    if (std::find(files.begin(), files.end(), diagnostic.file) == files.end()) {
      files.push_back(diagnostic.file);
    }
    ++(diagnostic.severity == Diagnostic::Severity::kError ? out.errors : out.warnings);
  }
  const auto key = [&](const Diagnostic& diagnostic) {
    return std::tuple(std::find(files.begin(), files.end(), diagnostic.file) - files.begin(),
                      diagnostic.line, diagnostic.column);
  };
  std::stable_sort(out.diagnostics.begin(), out.diagnostics.end(),
                   [&](const Diagnostic& a, const Diagnostic& b) { return key(a) < key(b); });
  return out;
}

void print_text(const Findings& findings) {
  for (const Diagnostic& diagnostic : findings.diagnostics) {
    std::printf("%s\n", diagnostic.format().c_str());
  }
  std::printf("rule sets: %zu, rules: %zu, ", findings.rule_sets, findings.rules);
  if (findings.rule_modifiers > 0) std::printf("modifiers: %zu, ", findings.rule_modifiers);
  std::printf("errors: %zu, warnings: %zu\n", findings.errors, findings.warnings);
}

void print_json(const Findings& findings) {
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
  const Findings findings = check(options.paths);
  if (options.json) {
    print_json(findings);
  } else {
    print_text(findings);
  }
  return finish_output(kCommand, findings.errors == 0 ? kExitOk : kExitFindings);
}

}  // namespace cicd::ctl
