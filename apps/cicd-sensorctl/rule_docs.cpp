// SPDX-License-Identifier: Apache-2.0
#include "rule_docs.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "path_arguments.h"
#include "rule/baseline.h"
#include "rule/rule_set.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "rule docs";

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl rule docs [--format text|json] [PATH...]

Writes what rules there are, for people: a Markdown table for each rule set. Without PATH the
baseline that comes inside the program. Rules as they stand in the files: modifiers are not applied.

Options:
  --format text|json   Markdown, or one JSON object (default: text)
  -h, --help           This help

Exit codes:
  0  written
  1  there are errors in the files (rule validate tells more), or stdout cannot be written
  2  wrong usage

Examples:
  cicd-sensorctl rule docs > baseline.md
  cicd-sensorctl rule docs my-rules.yaml team-rules/
  cicd-sensorctl rule docs --format json | jq -r '.rules[].rule_id'
)";

std::string_view looks_at(const Rule& rule) {
  return rule.is_correlation ? "correlation" : info_of(rule.event_type).name;
}

// Text in a cell of a table: one line, nothing in it is markup.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_blank = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (is_blank) {
      if (!out.empty() && out.back() != ' ') out += ' ';
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      if (std::string_view("|\\`*_[]").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

void print_markdown(const std::vector<RuleSet>& rule_sets) {
  for (const RuleSet& set : rule_sets) {
    std::printf("## %s\n\n", cell(set.ruleset_id).c_str());
    std::fputs("| Rule | Looks at | Action | What it is about | Tags |\n|---|---|---|---|---|\n",
               stdout);
    for (const Rule& rule : set.rules) {
      std::string about = cell(rule.rule_name);
      if (!about.empty() && !rule.description.empty()) about += ": ";
      about += cell(rule.description);
      std::string tags;
      for (const auto& [name, value] : rule.tags) {
        tags += (tags.empty() ? "" : ", ") + cell(name) + ": " + cell(value);
      }
      std::printf("| %s | %s | %s | %s | %s |\n", cell(rule.rule_id).c_str(),
                  cell(looks_at(rule)).c_str(), std::string(name_of(rule.action)).c_str(),
                  about.c_str(), tags.c_str());
    }
    std::fputs("\n", stdout);
  }
}

void print_json(const std::vector<RuleSet>& rule_sets) {
  nlohmann::ordered_json out;
  out["rules"] = nlohmann::ordered_json::array();
  for (const RuleSet& set : rule_sets) {
    for (const Rule& rule : set.rules) {
      nlohmann::ordered_json entry;
      entry["ruleset_id"] = set.ruleset_id;
      entry["rule_id"] = rule.rule_id;
      entry["rule_name"] = rule.rule_name;
      entry["description"] = rule.description;
      entry["type"] = rule.is_correlation ? "correlation" : "event";
      if (!rule.is_correlation) entry["event_type"] = looks_at(rule);
      entry["action"] = name_of(rule.action);
      entry["tags"] = rule.tags;
      out["rules"].push_back(std::move(entry));
    }
  }
  std::printf("%s\n", out.dump(2).c_str());
}

}  // namespace

int rule_docs(const std::vector<std::string>& arguments) {
  PathArguments options;
  if (const auto mistake = read_path_arguments(arguments, options)) {
    return usage_error(kCommand, *mistake);
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  const LoadedRules loaded = options.paths.empty() ? baseline_rules() : load_rules(options.paths);
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    std::fprintf(stderr, "%s\n", diagnostic.format().c_str());
  }
  if (has_errors(loaded.diagnostics)) return kExitFindings;
  options.json ? print_json(loaded.rule_sets) : print_markdown(loaded.rule_sets);
  return finish_output(kCommand, kExitOk);
}

}  // namespace cicd::ctl
