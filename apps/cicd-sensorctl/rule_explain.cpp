// SPDX-License-Identifier: Apache-2.0
#include "rule_explain.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "path_arguments.h"
#include "report/process_chain.h"
#include "report/terminal_text.h"
#include "rule/modifiers.h"
#include "rule_tools/event_file.h"
#include "rule_tools/explain.h"
#include "rule_tools/test_runner.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

using nlohmann::ordered_json;

constexpr const char* kCommand = "rule explain";
constexpr int kChainColumns = 80;
// What is longer has its middle taken out; its parts follow below it.
constexpr int kSourceColumns = 110;
constexpr int kLeastSourceColumns = 50;

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl rule explain RULE --event FILE[:LINE] [--rules PATH]... [--format text|json]

Tells why a rule fires for an event, or why not: each part of its condition and exceptions, with
what it was for this event. Text is shown as rules compare it: in lower case.

RULE is a rule_id, or ruleset_id/rule_id when several rules have the id.

Options:
  --event FILE[:LINE]  The event: a row of events.jsonl or detections.jsonl (LINE of the file, or a
                       file with one row; - is standard input), or a case of a rule test file
                       (.yaml; LINE where it stands). Required.
  --rules PATH         A rule file, a directory of them, or the word baseline; may be given again
                       (default: those of the test file; for a row: baseline)
  --format text|json   How the outcome is written to stdout (default: text)
  -h, --help           This help

Exit codes:
  0  explained, whether or not the rule fires
  1  the rules or the event are wrong, or there is no such rule
  2  wrong usage

Examples:
  cicd-sensorctl rule explain deploy_key_read --rules my-rules.yaml --event events.jsonl:120
  cicd-sensorctl rule explain deploy_key_read --event my-tests.yaml:15
  grep -m1 deploy events.jsonl | cicd-sensorctl rule explain shadow_file_opened --event -
)";

int complain(const Error& error) {
  std::fprintf(stderr, "cicd-sensorctl %s: %s\n", kCommand, error.text.c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "%s\n", error.hint.c_str());
  return kExitFindings;
}

// With modifiers applied: their exceptions count.
std::optional<LoadedRules> load(const std::vector<std::string>& names) {
  LoadedRules loaded = load_named_rules(names);
  std::vector<Diagnostic> mistakes = loaded.diagnostics;
  if (!has_errors(mistakes)) mistakes = compile_all(loaded).diagnostics;
  for (const Diagnostic& diagnostic : mistakes) {
    if (diagnostic.severity == Diagnostic::Severity::kError) {
      std::fprintf(stderr, "%s\n", diagnostic.format().c_str());
    }
  }
  if (has_errors(mistakes)) return std::nullopt;
  drop_duplicate_sets(loaded.rule_sets);
  std::vector<Diagnostic> warnings;
  apply_modifiers(loaded.rule_modifiers, loaded.rule_sets, warnings);
  loaded.rule_modifiers.clear();  // once is enough
  return loaded;
}

void print_conditions(const Explanation& explanation) {
  for (const ExplainedCondition& condition : explanation.conditions) {
    std::printf("\n%s (%s:%d): %s\n", condition.role.c_str(),
                escape_for_terminal(condition.place.file).c_str(), condition.place.line,
                std::string(name_of(condition.verdict)).c_str());
    for (const ExplainedPart& part : condition.parts) {
      const int columns = std::max(kSourceColumns - part.depth * 2, kLeastSourceColumns);
      std::printf("  %-7s  %s%s\n", std::string(name_of(part.verdict)).c_str(),
                  std::string(static_cast<std::size_t>(part.depth) * 2, ' ').c_str(),
                  fit(part.source, columns).c_str());
      if (part.detail.empty()) continue;
      std::printf("           %s  [%s]\n",
                  std::string(static_cast<std::size_t>(part.depth) * 2, ' ').c_str(),
                  part.detail.c_str());
    }
    if (condition.parts.size() >= kMaxExplainedParts) std::puts("  ... and more parts");
    if (condition.is_exhausted) {
      std::puts(
          "  the condition looks at too many list elements; what is unknown was not looked at");
    }
  }
}

ordered_json conditions_json(const Explanation& explanation) {
  ordered_json out = ordered_json::array();
  for (const ExplainedCondition& condition : explanation.conditions) {
    ordered_json parts = ordered_json::array();
    for (const ExplainedPart& part : condition.parts) {
      parts.push_back({{"depth", part.depth},
                       {"verdict", name_of(part.verdict)},
                       {"source", part.source},
                       {"detail", part.detail}});
    }
    out.push_back({{"role", condition.role},
                   {"file", condition.place.file},
                   {"line", condition.place.line},
                   {"verdict", name_of(condition.verdict)},
                   {"parts", std::move(parts)}});
  }
  return out;
}

void print(const ordered_json& out) {
  std::printf("%s\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

void explain_one(const LoadedRules& rules, const NamedRule& named, const EventFile& file,
                 bool json) {
  const EventRecord& record = event_to_explain(rules, named, file.events, file.project).record;
  const Explanation explanation = explain_event(rules, named, record, file.project);
  const std::string chain = process_chain(*record.process, kChainColumns);
  const char* note =
      file.has_shortened_arguments
          ? "the log holds some arguments of this event only in part; what looks at argv may have "
            "been otherwise in the job"
          : "";
  if (json) {
    return print({{"rule", named.full_name()},
                  {"fires", explanation.fires},
                  {"why_not_evaluated", explanation.why_not_evaluated},
                  {"event", event_line(record)},
                  {"chain", chain},
                  {"note", note},
                  {"conditions", conditions_json(explanation)}});
  }
  std::printf("rule:    %s\nevent:   %s\nchain:   %s\nverdict: %s\n",
              escape_for_terminal(named.full_name()).c_str(), event_line(record).c_str(),
              chain.c_str(), explanation.fires ? "fires" : "does not fire");
  if (!explanation.why_not_evaluated.empty()) {
    std::printf("because: %s\n", explanation.why_not_evaluated.c_str());
  }
  if (note[0] != '\0') std::printf("note:    %s\n", note);
  print_conditions(explanation);
}

void explain_counts(const LoadedRules& rules, const NamedRule& named, const EventFile& file,
                    bool json) {
  const ExplainedCorrelation out = explain_correlation(rules, named, file.events, file.project);
  if (json) {
    ordered_json counts = ordered_json::object();
    for (const auto& count : out.counts) counts[count.rule_id] = count.count;
    return print({{"rule", named.full_name()},
                  {"fires", out.fires_at.has_value()},
                  {"fires_at_event", out.fires_at ? ordered_json(*out.fires_at) : ordered_json()},
                  {"events", out.events},
                  {"condition", out.condition},
                  {"exceptions", out.exceptions},
                  {"counts", std::move(counts)}});
  }
  std::printf("rule:    %s (a correlation)\nevents:  %zu\nverdict: ",
              escape_for_terminal(named.full_name()).c_str(), out.events);
  if (out.fires_at) {
    std::printf("fires at event %zu\n", *out.fires_at);
  } else {
    std::puts("does not fire");
  }
  std::printf("\ncondition:\n  %s\n", escape_for_terminal(out.condition).c_str());
  if (!out.exceptions.empty()) {
    std::printf("exceptions:\n  %s\n", escape_for_terminal(out.exceptions).c_str());
  }
  std::puts("counts after the last event:");
  for (const auto& count : out.counts) {
    std::printf("  %llu  rule.%s.total_count\n", static_cast<unsigned long long>(count.count),
                count.rule_id.c_str());
  }
}

}  // namespace

int rule_explain(const std::vector<std::string>& arguments) {
  PathArguments options;
  const FlagNames flags = {.with_value = {"--event", "--rules"}};
  if (const auto mistake = read_path_arguments(arguments, options, flags)) {
    return usage_error(kCommand, *mistake);
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  if (options.paths.size() != 1) return usage_error(kCommand, "name one RULE");
  const std::vector<std::string>& events = options.values_of("--event");
  if (events.size() != 1) return usage_error(kCommand, "name one event: --event FILE[:LINE]");
  const auto file = read_event_file(events[0]);
  if (!file) return complain(file.error());
  std::vector<std::string> names = options.values_of("--rules");
  if (names.empty()) names = file->rules;
  if (names.empty()) names = {std::string(kBaselineName)};
  const auto rules = load(names);
  if (!rules) return kExitFindings;
  const auto named = RuleNames(rules->rule_sets).find(options.paths[0]);
  if (!named) return complain(named.error());
  named->rule->is_correlation ? explain_counts(*rules, *named, *file, options.json)
                              : explain_one(*rules, *named, *file, options.json);
  return finish_output(kCommand, kExitOk);
}

}  // namespace cicd::ctl
