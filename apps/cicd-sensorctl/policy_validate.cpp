// SPDX-License-Identifier: Apache-2.0
#include "policy_validate.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "egress/policy_explain.h"
#include "path_arguments.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

using nlohmann::ordered_json;

constexpr const char* kCommand = "policy validate";

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl policy validate [--format text|json] FILE...

Checks egress policies, each with all that it extends, without applying them.
Every mistake is reported with file, line and column; nothing is changed.

Options:
  --format text|json   How findings are written to stdout (default: text)
  -h, --help           This help

Exit codes:
  0  every policy is valid (there may be warnings)
  1  there are errors
  2  wrong usage

Examples:
  cicd-sensorctl policy validate policy.yaml
  cicd-sensorctl policy validate --format json policy.yaml | jq '.diagnostics[]'

docs/policy.md tells how policies are written.
)";

struct Findings {
  std::vector<Diagnostic> diagnostics;
  std::size_t policies = 0, rules = 0, errors = 0, warnings = 0;
};

void check(const std::string& path, Findings& findings) {
  LoadedPolicy loaded = load_policy_file(path);
  ++findings.policies;
  if (loaded.document != nullptr) {
    findings.rules += loaded.document->rules.size();
    if (const auto fits = check_policy_fits(*loaded.document); !fits) {
      const Error& error = fits.error();
      loaded.diagnostics.push_back({Diagnostic::Severity::kError, path, 0, 0, "",
                                    error.text + (error.hint.empty() ? "" : "; " + error.hint)});
    }
  }
  for (Diagnostic& diagnostic : loaded.diagnostics) {
    const bool is_error = diagnostic.severity == Diagnostic::Severity::kError;
    ++(is_error ? findings.errors : findings.warnings);
    findings.diagnostics.push_back(std::move(diagnostic));
  }
}

void print_text(const Findings& findings) {
  for (const Diagnostic& diagnostic : findings.diagnostics) {
    std::printf("%s\n", diagnostic.format().c_str());
  }
  std::printf("policies: %zu, rules: %zu, errors: %zu, warnings: %zu\n", findings.policies,
              findings.rules, findings.errors, findings.warnings);
}

void print_json(const Findings& findings) {
  ordered_json out = {{"valid", findings.errors == 0}, {"policies", findings.policies},
                      {"rules", findings.rules},       {"errors", findings.errors},
                      {"warnings", findings.warnings}, {"diagnostics", ordered_json::array()}};
  for (const Diagnostic& diagnostic : findings.diagnostics) {
    const bool is_error = diagnostic.severity == Diagnostic::Severity::kError;
    out["diagnostics"].push_back({{"severity", is_error ? "error" : "warning"},
                                  {"file", diagnostic.file},
                                  {"line", diagnostic.line},
                                  {"column", diagnostic.column},
                                  {"rule_id", diagnostic.rule_id},
                                  {"text", diagnostic.text}});
  }
  std::printf("%s\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

}  // namespace

int policy_validate(const std::vector<std::string>& arguments) {
  PathArguments options;
  if (const auto mistake = read_path_arguments(arguments, options)) {
    return usage_error(kCommand, *mistake);
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  if (options.paths.empty()) return usage_error(kCommand, "no FILE given");
  Findings findings;
  for (const std::string& path : options.paths) check(path, findings);
  options.json ? print_json(findings) : print_text(findings);
  return finish_output(kCommand, findings.errors == 0 ? kExitOk : kExitFindings);
}

}  // namespace cicd::ctl
