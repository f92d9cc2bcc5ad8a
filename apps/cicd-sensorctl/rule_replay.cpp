// SPDX-License-Identifier: Apache-2.0
#include "rule_replay.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/time_format.h"
#include "base/unique_fd.h"
#include "path_arguments.h"
#include "report/terminal_text.h"
#include "rule_tools/log_replay.h"
#include "rule_tools/rule_names.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "rule replay";
constexpr std::size_t kMostHits = 1'000;
constexpr int kSubjectColumns = 100;

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl rule replay [--rules PATH]... [--hits N] [--format text|json] LOG...

Runs rules over what jobs did before, as it stands in their logs, and tells what would have fired.
LOG is an events.jsonl, the folder of a run (its events.jsonl is read), or - for standard input.
A log may hold many jobs: counts, correlations and max_alerts are per job, as in the sensor.

Options:
  --rules PATH         A rule file, a directory of them, or the word baseline; may be given again
                       (default: baseline)
  --hits N             Hits to show of each rule, 0 to 1000 (default: 3); never more than its alerts
  --format text|json   How the outcome is written to stdout (default: text)
  -h, --help           This help

Exit codes:
  0  every row was read, whether or not a rule fired
  1  the rules are wrong, a log could not be read, or some of its rows could not (the outcome is
     written all the same; the first bad rows are named on stderr)
  2  wrong usage

Examples:
  cicd-sensorctl rule replay --rules my-rules.yaml cicd-sensor-out
  cicd-sensorctl rule replay --rules baseline --rules my-modifiers.yaml last-week/*/events.jsonl
  zcat events.jsonl.gz | cicd-sensorctl rule replay --rules my-rules.yaml -

A row holds at most 12 bytes of an argument, nothing of one that looks like a secret, and 16
ancestors. A condition on arguments may therefore answer otherwise than it did, or would, in the
job; the outcome says which rules that concerns. `cicd-sensor replay` evaluates recordings
(run --record), which hold all of it.
)";

struct Outcome {
  ReplayReport report;
  bool all_read = true;
};

void complain(const std::string& text) {
  std::fprintf(stderr, "cicd-sensorctl %s: %s\n", kCommand, text.c_str());
}

bool replay_path(const std::string& path, LogReplay& replay) {
  std::string name = path;
  struct stat status = {};
  if (path != "-" && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    name = path + (path.ends_with('/') ? "" : "/") + "events.jsonl";
  }
  Result<void> read;
  if (path == "-") {
    read = replay_lines(STDIN_FILENO, "stdin", replay);
  } else {
    const UniqueFd fd(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    const int failure = errno;
    const std::string shown_name = escape_for_terminal(name);
    read = fd ? replay_lines(fd.get(), shown_name, replay)
              : Result<void>(fail_errno(failure, "cannot open " + shown_name));
  }
  if (!read) complain(read.error().text);
  return read.has_value();
}

std::string rule_line(const ReplayRule& rule) {
  std::string out = std::string(name_of(rule.action)) + " " +
                    escape_for_terminal(rule.ruleset_id + "/" + rule.rule_id) + ": " +
                    with_separators(rule.hits) + (rule.hits == 1 ? " hit, " : " hits, ") +
                    with_separators(rule.alerts) + (rule.alerts == 1 ? " alert" : " alerts");
  if (rule.jobs > 1) out += " in " + with_separators(rule.jobs) + " jobs";
  if (rule.capped_jobs > 0 && rule.hits > rule.alerts) {
    out += " (max_alerts is " + std::to_string(rule.max_alerts) + ")";
  }
  return out;
}

// What the log does not hold, where it can matter for the outcome.
std::vector<std::string> notes_of(const ReplayReport& report) {
  std::vector<std::string> out;
  const auto argv_rules = std::ranges::count_if(report.rules, &ReplayRule::reads_argv);
  const auto fired = [](const ReplayRule& rule) { return rule.hits > 0; };
  if (report.shortened_arguments > 0 && argv_rules > 0) {
    out.push_back(
        with_separators(report.shortened_arguments) + " of " + with_separators(report.events) +
        " events have arguments that the log holds only in part; " + std::to_string(argv_rules) +
        " rules look at arguments and may have fired less, or more, than in the job");
  }
  if (report.most_ancestors > 0) {
    out.push_back(
        with_separators(report.most_ancestors) +
        " events have 16 ancestors, the most a row holds; farther ones are not looked at");
  }
  if (std::ranges::any_of(report.rules, [&](const ReplayRule& rule) {
        return fired(rule) && rule.action == RuleAction::kTerminate;
      })) {
    out.push_back(
        "a rule with the action terminate would have ended its job at the first hit; the rest of "
        "the job is replayed all the same");
  }
  if (report.closed_jobs > 0) {
    out.push_back("more than 64 jobs stand between each other; " +
                  with_separators(report.closed_jobs) +
                  " of them were closed early, and a job that came back counts as a new one");
  }
  if (report.cut_evaluations > 0) {
    out.push_back(with_separators(report.cut_evaluations) +
                  " times a rule looked at too many list elements and was cut off: no hit");
  }
  return out;
}

void print_text(const ReplayReport& report) {
  std::vector<const ReplayRule*> fired;
  for (const ReplayRule& rule : report.rules) {
    if (rule.hits > 0) fired.push_back(&rule);
  }
  std::ranges::stable_sort(fired, std::ranges::greater(), [](const ReplayRule* rule) {
    return rule->action == RuleAction::kTerminate ? 2 : rule->action == RuleAction::kDetect ? 1 : 0;
  });
  for (const ReplayRule* rule : fired) {
    std::printf("%s\n", rule_line(*rule).c_str());
    for (const ReplayHit& hit : rule->first) {
      std::string line = "  " + format_rfc3339(hit.time_ns) + "  " + hit.process + "  " +
                         hit.event_type + " " + fit(hit.subject, kSubjectColumns);
      if (report.jobs > 1) line += "  (" + escape_for_terminal(hit.job) + ")";
      std::printf("%s\n", line.c_str());
    }
  }
  std::printf("rules: %zu, fired: %zu, jobs: %s, events: %s, other rows: %s, bad rows: %s\n",
              report.rules.size(), fired.size(), with_separators(report.jobs).c_str(),
              with_separators(report.events).c_str(), with_separators(report.other_rows).c_str(),
              with_separators(report.bad_rows).c_str());
  for (const std::string& note : notes_of(report)) std::printf("note: %s\n", note.c_str());
}

void print_json(const Outcome& outcome) {
  using nlohmann::ordered_json;
  const ReplayReport& report = outcome.report;
  ordered_json out;
  out["complete"] = outcome.all_read && report.bad_rows == 0;
  out["rows"] = report.rows;
  out["events"] = report.events;
  out["other_rows"] = report.other_rows;
  out["bad_rows"] = report.bad_rows;
  out["jobs"] = report.jobs;
  out["closed_jobs"] = report.closed_jobs;
  out["events_with_shortened_arguments"] = report.shortened_arguments;
  out["events_with_most_ancestors"] = report.most_ancestors;
  out["cut_evaluations"] = report.cut_evaluations;
  out["notes"] = notes_of(report);
  out["first_bad_rows"] = ordered_json::array();
  for (const BadRow& row : report.first_bad_rows) {
    out["first_bad_rows"].push_back({{"place", row.place}, {"reason", row.reason}});
  }
  out["rules"] = ordered_json::array();
  for (const ReplayRule& rule : report.rules) {
    ordered_json entry = {{"ruleset_id", rule.ruleset_id},
                          {"rule_id", rule.rule_id},
                          {"type", rule.is_correlation ? "correlation" : "event"},
                          {"action", name_of(rule.action)},
                          {"max_alerts", rule.max_alerts},
                          {"looks_at_arguments", rule.reads_argv},
                          {"hits", rule.hits},
                          {"alerts", rule.alerts},
                          {"jobs", rule.jobs},
                          {"first_hits", ordered_json::array()}};
    for (const ReplayHit& hit : rule.first) {
      entry["first_hits"].push_back({{"time", format_rfc3339(hit.time_ns)},
                                     {"job", hit.job},
                                     {"event_type", hit.event_type},
                                     {"process", hit.process},
                                     {"subject", hit.subject}});
    }
    out["rules"].push_back(std::move(entry));
  }
  std::printf("%s\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace).c_str());
}

// Rules that can be evaluated; nothing after their mistakes were written to stderr.
std::optional<LoadedRules> load(const std::vector<std::string>& names) {
  LoadedRules loaded =
      load_named_rules(names.empty() ? std::vector{std::string(kBaselineName)} : names);
  CompileResult compiled;
  if (!has_errors(loaded.diagnostics)) compiled = compile_all(loaded);
  for (const auto* list : {&loaded.diagnostics, &compiled.diagnostics}) {
    for (const Diagnostic& diagnostic : *list) {
      if (diagnostic.severity == Diagnostic::Severity::kError) {
        std::fprintf(stderr, "%s\n", diagnostic.format().c_str());
      }
    }
  }
  if (compiled.program == nullptr) return std::nullopt;
  return loaded;
}

std::optional<std::size_t> read_hits(const std::vector<std::string>& values) {
  std::size_t out = LogReplay::Options().hits_kept;
  if (values.empty()) return out;
  const std::string& text = values.back();
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (failure != std::errc() || end != text.data() + text.size() || out > kMostHits) {
    return std::nullopt;
  }
  return out;
}

}  // namespace

int rule_replay(const std::vector<std::string>& arguments) {
  PathArguments options;
  const FlagNames flags = {.with_value = {"--rules", "--hits"}};
  if (const auto mistake = read_path_arguments(arguments, options, flags)) {
    return usage_error(kCommand, *mistake);
  }
  if (options.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  if (options.paths.empty()) return usage_error(kCommand, "no LOG given");
  const auto hits = read_hits(options.values_of("--hits"));
  if (!hits) return usage_error(kCommand, "--hits takes a number from 0 to 1000");
  auto rules = load(options.values_of("--rules"));
  if (!rules) return kExitFindings;

  LogReplay replay(std::move(*rules), {.hits_kept = *hits});
  Outcome outcome;
  for (const std::string& path : options.paths) {
    outcome.all_read = replay_path(path, replay) && outcome.all_read;
  }
  outcome.report = replay.finish();
  const ReplayReport& report = outcome.report;
  for (const BadRow& row : report.first_bad_rows) {
    std::fprintf(stderr, "%s: %s\n", row.place.c_str(), row.reason.c_str());
  }
  if (report.bad_rows > report.first_bad_rows.size()) {
    std::fprintf(stderr, "... and more: %llu bad rows in all\n",
                 static_cast<unsigned long long>(report.bad_rows));
  }
  options.json ? print_json(outcome) : print_text(report);
  const bool complete = outcome.all_read && report.bad_rows == 0;
  return finish_output(kCommand, complete ? kExitOk : kExitFindings);
}

}  // namespace cicd::ctl
