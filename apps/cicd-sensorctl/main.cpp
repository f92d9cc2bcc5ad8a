// SPDX-License-Identifier: Apache-2.0
// cicd-sensorctl: tools for people who write rules and policies or read reports. Finds the command
// and hands over.
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy_explain.h"
#include "policy_learn.h"
#include "policy_validate.h"
#include "report_html.h"
#include "report_stepsummary.h"
#include "rule_bundle.h"
#include "rule_docs.h"
#include "rule_explain.h"
#include "rule_replay.h"
#include "rule_schema.h"
#include "rule_test.h"
#include "rule_validate.h"

namespace {

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl COMMAND ...

Commands:
  rule validate PATH...   Check rule files
  rule test PATH...       Run rule tests: events in, expected rules out
  rule explain RULE       Why a rule fires for an event, or why not
  rule replay LOG...      What rules would have fired for recorded jobs
  rule bundle ...         One rule file out of a directory of them
  rule docs [PATH...]     Rules as a Markdown table
  rule schema [WHAT]      Event types and their fields, JSON Schemas of rule and test files
  policy validate FILE... Check egress policies
  policy explain DEST     Why a policy allows or denies a destination
  policy learn [PATH...]  An egress policy of what jobs have reached, for review
  report html [DIR]       The page of a job: of a result document, or of the files of a run
  report stepsummary      A result document as Markdown for GitHub

Options:
  -h, --help              This help; each command has its own

Example:
  cicd-sensorctl rule validate rules/
)";

struct Command {
  const char* name;
  int (*run)(const std::vector<std::string>& arguments);  // gives the exit code
};

constexpr Command kRuleCommands[] = {
    {"validate", cicd::ctl::rule_validate}, {"test", cicd::ctl::rule_test},
    {"explain", cicd::ctl::rule_explain},   {"replay", cicd::ctl::rule_replay},
    {"bundle", cicd::ctl::rule_bundle},     {"docs", cicd::ctl::rule_docs},
    {"schema", cicd::ctl::rule_schema},
};

constexpr Command kPolicyCommands[] = {{"validate", cicd::ctl::policy_validate},
                                       {"explain", cicd::ctl::policy_explain},
                                       {"learn", cicd::ctl::policy_learn}};

constexpr Command kReportCommands[] = {
    {"html", cicd::ctl::report_html},
    {"stepsummary", cicd::ctl::report_stepsummary},
};

struct Group {
  std::string_view name;
  std::span<const Command> commands;
};
constexpr Group kGroups[] = {
    {"rule", kRuleCommands}, {"policy", kPolicyCommands}, {"report", kReportCommands}};

std::string names_of(std::span<const Command> commands) {
  std::string out;
  for (const Command& command : commands) out.append(out.empty() ? "" : ", ").append(command.name);
  return out;
}

bool is_help(const std::string& word) {
  return word == "-h" || word == "-help" || word == "--help" || word == "help";
}

int usage_error(const std::string& what) {
  std::fprintf(stderr, "cicd-sensorctl: %s\nTry: cicd-sensorctl --help\n", what.c_str());
  return cicd::ctl::kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (words.empty()) return usage_error("no command given");
  if (is_help(words[0])) {
    std::fputs(kHelp, stdout);
    return cicd::ctl::kExitOk;
  }
  for (const Group& group : kGroups) {
    if (words[0] != group.name) continue;
    if (words.size() < 2) {
      return usage_error(words[0] + " needs a command: " + names_of(group.commands));
    }
    if (words.size() == 2 && is_help(words[1])) {
      std::fputs(kHelp, stdout);
      return cicd::ctl::kExitOk;
    }
    for (const Command& command : group.commands) {
      if (words[1] == command.name) return command.run({words.begin() + 2, words.end()});
    }
    return usage_error("unknown command " + words[0] + " " + words[1] +
                       "; known: " + names_of(group.commands));
  }
  return usage_error("unknown command " + words[0]);
}
