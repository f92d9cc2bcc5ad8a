// SPDX-License-Identifier: Apache-2.0
#include "rule_test.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "path_arguments.h"
#include "report/terminal_text.h"
#include "rule/yaml_walk.h"
#include "rule_tools/test_runner.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "rule test";

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl rule test [--coverage] [--format text|json] PATH...

Runs rule tests: YAML files, or directories of them, with events and the rules that must fire.

Options:
  --coverage           List the rules that have no firing or no quiet case; such a rule is a failure
  --format text|json   How the outcome is written to stdout (default: text)
  -h, --help           This help

Exit codes:
  0  every test passed
  1  a test failed, or a file or one of its rules is wrong
  2  wrong usage

A test file:
  rules: my-rules.yaml             # beside the test file; or a list; or: baseline
  processes:
    cat: {exec_path: /usr/bin/cat, argv: [cat]}
    sh: {exec_path: /usr/bin/dash, argv: [sh, -e, step.sh]}
  tests:
    - rule: deploy_key_read
      fires:
        - {file_open: {path: /srv/deploy/key, is_read: true}, process: [cat, sh]}
      quiet:
        - {file_open: {path: /srv/deploy.txt, is_read: true}, process: [cat, sh]}

docs/rules.md has all of it. `cicd-sensorctl rule schema` lists event types and their fields.
)";

std::string name_list(const std::vector<std::string>& names) {
  return names.empty() ? "(none)" : joined(names);
}

std::string place_text(const SourcePlace& place) {
  return escape_for_terminal(place.file) + ":" + std::to_string(place.line) + ":" +
         std::to_string(place.column);
}

const char* wants_text(TestCase::Wants wants) {
  switch (wants) {
    case TestCase::Wants::kFires:
      return "fires";
    case TestCase::Wants::kQuiet:
      return "quiet";
    case TestCase::Wants::kExactly:
      return "expect";
  }
  return "";
}

std::string wanted_text(const TestFailure& failure) {
  switch (failure.wants) {
    case TestCase::Wants::kFires:
      return name_list(failure.expected) + " fires";
    case TestCase::Wants::kQuiet:
      return name_list(failure.expected) + " is quiet";
    case TestCase::Wants::kExactly:
      return name_list(failure.expected);
  }
  return "";
}

// The rule to look at first.
std::string blamed(const TestFailure& failure) {
  return failure.missing.empty() ? failure.surplus[0] : failure.missing[0];
}

void print_failure(const TestFailure& failure) {
  std::printf("FAIL %s: %s\n", place_text(failure.place).c_str(),
              escape_for_terminal(failure.test).c_str());
  std::string event = failure.event;
  if (failure.event_count > 1) {
    event += " (first of " + std::to_string(failure.event_count) + " events)";
  }
  std::printf("  event:    %s\n  expected: %s\n  fired:    %s\n",
              failure.event_count == 0 ? "(none)" : event.c_str(),
              escape_for_terminal(wanted_text(failure)).c_str(),
              escape_for_terminal(name_list(failure.actual)).c_str());
  if (failure.was_cut) {
    std::puts("  a rule looked at too many list elements and was cut off, so it did not fire");
  }
  std::printf("  look:     cicd-sensorctl rule explain '%s' --event '%s:%d'\n",
              escape_for_terminal(blamed(failure)).c_str(),
              escape_for_terminal(failure.place.file).c_str(), failure.place.line);
}

struct Lacking {
  std::string ruleset_id;
  std::string rule_id;
  SourcePlace place;
  bool firing = false;  // has none
  bool quiet = false;
};

std::vector<Lacking> lacking_rules(const TestReport& report) {
  std::vector<Lacking> out;
  for (const auto& [name, coverage] : report.coverage) {
    if (coverage.has_firing() && coverage.has_quiet()) continue;
    out.push_back(
        {name.first, name.second, coverage.place, !coverage.has_firing(), !coverage.has_quiet()});
  }
  return out;
}

void print_text(const TestReport& report, const std::vector<Lacking>& lacking, bool coverage) {
  for (const Diagnostic& diagnostic : report.diagnostics) {
    std::printf("%s\n", diagnostic.format().c_str());
  }
  for (const TestFailure& failure : report.failures) print_failure(failure);
  if (coverage) {
    for (const Lacking& rule : lacking) {
      std::printf("%s: %s has no %s\n", place_text(rule.place).c_str(),
                  escape_for_terminal(rule.ruleset_id + "/" + rule.rule_id).c_str(),
                  rule.firing && rule.quiet ? "test"
                  : rule.firing             ? "firing case"
                                            : "quiet case");
    }
  }
  std::printf("files: %zu, tests: %zu, cases: %zu, failed: %zu, errors: %zu\n", report.files,
              report.tests, report.cases, report.failures.size(), report.diagnostics.size());
  if (lacking.empty()) return;
  std::printf("rules: %zu, without a firing or a quiet case: %zu%s\n", report.coverage.size(),
              lacking.size(), coverage ? "" : " (--coverage lists them)");
}

nlohmann::ordered_json failure_json(const TestFailure& failure) {
  return {{"file", failure.place.file},
          {"line", failure.place.line},
          {"column", failure.place.column},
          {"test", failure.test},
          {"wants", wants_text(failure.wants)},
          {"expected", failure.expected},
          {"fired", failure.actual},
          {"missing", failure.missing},
          {"surplus", failure.surplus},
          {"events", failure.event_count},
          {"first_event", failure.event},
          {"was_cut", failure.was_cut}};
}

void print_json(const TestReport& report, const std::vector<Lacking>& lacking, bool passed) {
  nlohmann::ordered_json out;
  out["passed"] = passed;
  out["files"] = report.files;
  out["tests"] = report.tests;
  out["cases"] = report.cases;
  out["failures"] = nlohmann::ordered_json::array();
  for (const TestFailure& failure : report.failures) {
    out["failures"].push_back(failure_json(failure));
  }
  out["errors"] = nlohmann::ordered_json::array();
  for (const Diagnostic& diagnostic : report.diagnostics) {
    out["errors"].push_back({{"file", diagnostic.file},
                             {"line", diagnostic.line},
                             {"column", diagnostic.column},
                             {"rule_id", diagnostic.rule_id},
                             {"text", diagnostic.text}});
  }
  out["rules"] = report.coverage.size();
  out["lacking"] = nlohmann::ordered_json::array();
  for (const Lacking& rule : lacking) {
    out["lacking"].push_back({{"ruleset_id", rule.ruleset_id},
                              {"rule_id", rule.rule_id},
                              {"file", rule.place.file},
                              {"line", rule.place.line},
                              {"firing", !rule.firing},
                              {"quiet", !rule.quiet}});
  }
  std::printf("%s\n",
              out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

}  // namespace

int rule_test(const std::vector<std::string>& arguments) {
  PathArguments options;
  const FlagNames flags = {.switches = {"--coverage"}};
  if (const auto mistake = read_path_arguments(arguments, options, flags)) {
    return usage_error(kCommand, *mistake);
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  if (options.paths.empty()) return usage_error(kCommand, "no PATH given");
  const bool coverage = options.switches.contains("--coverage");
  const TestReport report = run_tests(options.paths);
  const std::vector<Lacking> lacking = lacking_rules(report);
  const bool passed = report.is_good() && (!coverage || lacking.empty());
  options.json ? print_json(report, lacking, passed) : print_text(report, lacking, coverage);
  return finish_output(kCommand, passed ? kExitOk : kExitFindings);
}

}  // namespace cicd::ctl
