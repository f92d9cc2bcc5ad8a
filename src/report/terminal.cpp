// SPDX-License-Identifier: Apache-2.0
#include "report/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/time_format.h"
#include "event/redact.h"
#include "report/domain_groups.h"
#include "report/egress_text.h"
#include "report/process_chain.h"
#include "report/terminal_text.h"

namespace cicd {

namespace {

constexpr std::size_t kMaxRules = 20;
constexpr std::size_t kMaxAlertsPerRule = 3;
constexpr std::size_t kMaxPrograms = 8;
constexpr std::size_t kMaxDestinations = 10;
constexpr std::size_t kMaxDomains = 10;
constexpr std::size_t kMaxSensitiveFiles = 10;
constexpr std::size_t kMaxLosses = 20;

enum class Style { kPlain, kBold, kDim, kRed, kGreen, kYellow };

std::string_view code_of(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kRed:
      return "\x1b[1;31m";
    case Style::kGreen:
      return "\x1b[1;32m";
    case Style::kYellow:
      return "\x1b[33m";
  }
  return "";
}

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", with_separators(count), count == 1 ? one : many);
}

// Writes the lines. Whatever goes through text() was fitted, so no line gets wider than the page.
class Page {
 public:
  explicit Page(const TerminalReportOptions& options)
      : width_(std::max(60, options.width)), colour_(options.colour) {}

  int width() const { return width_; }

  Page& text(std::string_view fitted, Style style = Style::kPlain) {
    const bool paint = colour_ && style != Style::kPlain && !fitted.empty();
    if (paint) out_.append(code_of(style));
    out_.append(fitted);
    if (paint) out_.append("\x1b[0m");
    return *this;
  }
  void end_line() {
    while (!out_.empty() && out_.back() == ' ') out_.pop_back();
    out_.push_back('\n');
  }
  void title(std::string_view name, std::string_view note = {}) {
    out_.push_back('\n');
    text(name, Style::kBold);
    if (!note.empty()) {
      const int room = width_ - static_cast<int>(name.size());
      text(fit_right(note, room), Style::kDim);
    }
    end_line();
  }
  // A line of words of ours and of the job's, indented.
  void line(int indent, std::string_view words, Style style = Style::kPlain) {
    out_.append(static_cast<std::size_t>(indent), ' ');
    text(fit(words, width_ - indent), style);
    end_line();
  }
  void line_if(int indent, std::string_view words, Style style) {
    if (!words.empty()) line(indent, words, style);
  }
  // Words of ours over as many lines as they need.
  void wrapped(int indent, std::string_view words, Style style = Style::kDim) {
    const auto room = static_cast<std::size_t>(width_ - indent);
    while (!words.empty()) {
      std::size_t cut = words.size();
      if (cut > room) {
        cut = words.rfind(' ', room);
        if (cut == std::string_view::npos || cut == 0) cut = room;
      }
      line(indent, words.substr(0, cut), style);
      words.remove_prefix(cut);
      while (words.starts_with(' ')) words.remove_prefix(1);
    }
  }
  void more(int indent, std::size_t shown, std::size_t all, std::string_view what) {
    if (all <= shown) return;
    line(indent, fmt::format("and {} more {}", with_separators(all - shown), what), Style::kDim);
  }

  std::string take() { return std::move(out_); }

 private:
  int width_;
  bool colour_;
  std::string out_;
};

std::string duration_text(std::uint64_t start_ns, std::uint64_t end_ns) {
  if (end_ns <= start_ns) return "0.0 s";
  const std::uint64_t tenths = (end_ns - start_ns) / 100'000'000;
  if (tenths < 600) return fmt::format("{}.{} s", tenths / 10, tenths % 10);
  const std::uint64_t seconds = tenths / 10;
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

std::string status_text(const JobSummary& summary) {
  if (!summary.command_known) return "its end was not seen";
  const int status = summary.command_status;
  if (status <= 128 || status > 128 + 64) return fmt::format("exit code {}", status);
  const char* name = ::sigabbrev_np(status - 128);
  if (name == nullptr) return fmt::format("exit code {} (signal {})", status, status - 128);
  return fmt::format("exit code {} (SIG{})", status, name);
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

std::string result_text(const JobSummary& summary) {
  std::uint64_t rules = 0;
  std::uint64_t hits = 0;
  std::uint64_t collected = 0;
  for (const DetectionSummary& detection : summary.detections) {
    if (detection.rule.rule.action == RuleAction::kCollect) {
      collected += detection.count;
    } else {
      ++rules;
      hits += detection.count;
    }
  }
  std::string out;
  if (rules > 0) {
    out = plural(rules, "rule", "rules") + " fired, " + plural(hits, "hit", "hits");
  } else {
    out = summary.rule_sets.empty() ? "no rules were given" : "no rule fired";
  }
  if (collected > 0) out += ", " + with_separators(collected) + " collected";
  return out;
}

void write_head(Page& page, const JobSummary& summary) {
  page.text(fit_left("-- cicd-sensor ", 15), Style::kDim);
  page.text(std::string(static_cast<std::size_t>(page.width() - 15), '-'), Style::kDim).end_line();
  const bool passed = summary.result == JobResult::kPassed;
  std::string word(name_of(summary.result));
  for (char& c : word) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  const std::string words = fit("  " + result_text(summary), 44);
  page.text(word, passed ? Style::kGreen : Style::kRed).text(words);
  const int used = static_cast<int>(word.size()) + display_width(words);
  page.text(" ").text(fit_right(summary.identity.project_path, page.width() - used - 1),
                      Style::kBold);
  page.end_line();
  if (!summary.command.empty()) {
    std::vector<std::string> command = redact_argv(summary.command);
    command.front() = summary.command.front();  // which program it was is no secret
    page.line(2, "command   " + joined(command));
  }
  page.line(2, fmt::format("ended     {} after {} ({})", status_text(summary),
                           duration_text(summary.start_time_ns, summary.end_time_ns),
                           summary.finalize_reason));
  page.line(2,
            fmt::format("seen      {}, {}", plural(summary.processes_total, "process", "processes"),
                        plural(summary.events_total, "event", "events")));
  const std::uint64_t lost = summary.losses.total();
  page.line(2,
            lost == 0 ? "lost      nothing"
                      : fmt::format("lost      {}, see LOSSES", plural(lost, "record", "records")),
            lost == 0 ? Style::kPlain : Style::kYellow);
  if (summary.processes_left > 0) {
    page.line(2,
              fmt::format("left      {} still running at the end",
                          plural(summary.processes_left, "process", "processes")),
              Style::kYellow);
  }
  if (summary.sensor_restarts > 0) {
    page.line(2,
              fmt::format("restarts  the sensor was restarted {}",
                          plural(summary.sensor_restarts, "time", "times")),
              Style::kYellow);
  }
}

void write_alert(Page& page, const AlertSummary& alert) {
  constexpr int kIndent = 4;
  constexpr int kTime = 10;
  const std::string time = format_rfc3339(alert.time_ns).substr(11, 8);
  const std::string_view type = info_of(alert.event_type).name;
  page.text(std::string(kIndent, ' ')).text(fit_left(time, kTime), Style::kDim);
  const int room = page.width() - kIndent - kTime - static_cast<int>(type.size()) - 2;
  page.text(type).text("  ").text(fit(alert.subject, room));
  page.end_line();
  const int indent = kIndent + kTime;
  page.text(std::string(static_cast<std::size_t>(indent), ' '));
  page.text("by ", Style::kDim).text(process_chain(*alert.process, page.width() - indent - 3));
  page.end_line();
  if (alert.process->step) page.line(indent, "in step " + alert.process->step->name, Style::kDim);
}

// The first alerts that differ in what happened or in who did it.
std::vector<const AlertSummary*> telling_alerts(const DetectionSummary& detection) {
  std::vector<const AlertSummary*> out;
  std::vector<std::string> seen;
  for (const AlertSummary& alert : detection.alerts) {
    if (out.size() == kMaxAlertsPerRule) break;
    std::string key = alert.subject + '\n' + process_chain(*alert.process, 1'000);
    if (std::ranges::find(seen, key) != seen.end()) continue;
    seen.push_back(std::move(key));
    out.push_back(&alert);
  }
  return out;
}

void write_detection(Page& page, const DetectionSummary& detection) {
  const RuleAction action = detection.rule.rule.action;
  const std::string label = fmt::format("{:<9} ", name_of(action));
  const std::string hits = "  " + plural(detection.count, "hit", "hits");
  const int room = page.width() - 2 - static_cast<int>(label.size() + hits.size());
  page.text("  ").text(label, action == RuleAction::kCollect ? Style::kDim : Style::kRed);
  page.text(fit_left(detection.rule.rule.rule_id, room), Style::kBold).text(hits);
  page.end_line();
  if (!detection.rule.rule.rule_name.empty()) page.line(4, detection.rule.rule.rule_name);
  const std::vector<const AlertSummary*> alerts = telling_alerts(detection);
  for (const AlertSummary* alert : alerts) write_alert(page, *alert);
  page.more(4, alerts.size(), detection.count, "like these");
}

void write_detections(Page& page, const JobSummary& summary) {
  if (summary.detections.empty()) return;
  page.title("DETECTIONS");
  const std::size_t shown = std::min(summary.detections.size(), kMaxRules);
  for (std::size_t i = 0; i < shown; ++i) write_detection(page, summary.detections[i]);
  page.more(2, shown, summary.detections.size(), "rules that fired");
}

void write_programs(Page& page, const JobSummary& summary) {
  page.title("WHAT RAN", plural(summary.programs.size(), "program", "programs"));
  const std::size_t shown = std::min(summary.programs.size(), kMaxPrograms);
  for (std::size_t i = 0; i < shown; ++i) {
    const ProgramUse& use = summary.programs[i];
    page.text(fit_right(with_separators(use.count), 9)).text("  ");
    page.text(fit(use.exec_path.empty() ? "(unknown)" : use.exec_path, page.width() - 11));
    page.end_line();
  }
  page.more(11, shown, summary.programs.size(), "programs");
}

std::string names_of(const std::vector<std::string>& exec_paths, std::uint64_t overflow) {
  std::vector<std::string> names;
  for (const std::string& path : exec_paths) {
    std::string name = program_name(path);
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  if (overflow > 0) out += ", ...";
  return out;
}

std::string address_text(const DestinationUse& use) {
  const bool is_v6 = use.remote_ip.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}/{}", is_v6 ? "[" : "", use.remote_ip, is_v6 ? "]" : "",
                     use.remote_port, use.protocol);
}

void write_destinations(Page& page, const JobSummary& summary) {
  constexpr int kIndent = 11;
  page.title("WHERE IT WENT", summary.destinations.empty() ? "no connection was tried"
                                                           : plural(summary.destinations.size(),
                                                                    "destination", "destinations"));
  const std::size_t shown = std::min(summary.destinations.size(), kMaxDestinations);
  const int address = (page.width() - kIndent) * 2 / 3;
  for (std::size_t i = 0; i < shown; ++i) {
    const DestinationUse& use = summary.destinations[i];
    page.text(fit_right(with_separators(use.count), kIndent - 2)).text("  ");
    page.text(fit_left(address_text(use), address)).text(" ");
    page.text(fit(names_of(use.exec_paths, use.process_overflow_count),
                  page.width() - kIndent - address - 1));
    page.end_line();
    if (!use.domain.empty()) {
      page.line(kIndent, "= " + use.domain + (use.is_ambiguous ? " (or another name)" : ""));
    }
    page.line_if(kIndent, traffic_text(use.traffic), Style::kDim);
  }
  page.more(kIndent, shown, summary.destinations.size(), "destinations");
}

void write_egress(Page& page, const JobSummary& summary) {
  if (!summary.egress) return;
  constexpr int kIndent = 11;
  const EgressSummary& egress = *summary.egress;
  page.title("EGRESS", egress_mode_text(egress));
  const bool is_harmless = egress.count(EgressVerdict::kBlock) == 0;
  if (const std::string text = violations_text(egress); !text.empty()) {
    page.line(2, text,
              egress.count() == 0 ? Style::kPlain
              : is_harmless       ? Style::kYellow
                                  : Style::kRed);
  }
  page.line_if(2, learning_text(egress),
               egress.learn_problem.empty() ? Style::kPlain : Style::kRed);
  const std::size_t shown = std::min(egress.top.size(), kMaxDestinations);
  for (std::size_t i = 0; i < shown; ++i) {
    const ViolationUse& use = egress.top[i];
    page.text(fit_right(with_separators(use.count), kIndent - 2)).text("  ");
    page.text(fit(target_text(use), page.width() - kIndent)).end_line();
    std::string why(verdict_text(use.verdict));
    why += ", " + reason_text(use.reason);
    if (!use.rule_id.empty()) why += " by " + use.rule_id;
    page.line(kIndent, why + ", " + names_of(use.exec_paths, use.process_overflow_count),
              Style::kDim);
  }
  page.more(kIndent, shown, egress.top.size(), "violations");
}

void write_domains(Page& page, const JobSummary& summary) {
  if (summary.domains.empty()) return;
  constexpr int kIndent = 11;
  page.title("NAMES IT ASKED FOR", plural(summary.domains.size(), "name", "names"));
  const std::vector<DomainGroup> groups = group_domains(summary.domains);
  const std::size_t shown = std::min(groups.size(), kMaxDomains);
  const int name = (page.width() - kIndent) * 2 / 3;
  for (std::size_t i = 0; i < shown; ++i) {
    const DomainGroup& group = groups[i];
    const std::string text =
        group.names == 1 ? group.name : with_separators(group.names) + " names below " + group.name;
    page.text(fit_right(with_separators(group.count), kIndent - 2)).text("  ");
    page.text(fit_left(text, name)).text(" ");
    page.text(fit(names_of(group.exec_paths, group.process_overflow_count),
                  page.width() - kIndent - name - 1));
    page.end_line();
  }
  page.more(kIndent, shown, groups.size(), "groups of names");
}

void write_sensitive_files(Page& page, const JobSummary& summary) {
  if (summary.sensitive_files.empty()) return;
  constexpr int kHow = 12;
  constexpr int kKind = 23;
  page.title("SENSITIVE FILES", plural(summary.sensitive_files.size(), "file", "files"));
  const std::size_t shown = std::min(summary.sensitive_files.size(), kMaxSensitiveFiles);
  const int names = (page.width() - kHow - kKind) / 3;
  const int path = page.width() - kHow - kKind - names - 3;
  for (std::size_t i = 0; i < shown; ++i) {
    const SensitiveFileUse& use = summary.sensitive_files[i];
    const std::string_view how = use.writes == 0  ? "read"
                                 : use.reads == 0 ? "written"
                                                  : "read+write";
    page.text("  ").text(fit_left(how, kHow)).text(fit_left(use.kind, kKind), Style::kYellow);
    page.text(fit_left(use.path, path)).text(" ").text(fit(names_of(use.exec_paths, 0), names));
    page.end_line();
  }
  page.more(2, shown, summary.sensitive_files.size(), "files");
}

std::string milliseconds_text(std::uint64_t microseconds) {
  return fmt::format("{}.{} ms", with_separators(microseconds / 1000), microseconds % 1000 / 100);
}

void write_termination(Page& page, const JobSummary& summary) {
  if (!summary.termination) return;
  const TerminationSummary& ended = *summary.termination;
  page.title("TERMINATED");
  page.text("  the job was ended by the rule ");
  page.text(fit(ended.rule_id.empty() ? "(not known any more)" : ended.rule_id, page.width() - 32),
            Style::kBold);
  page.end_line();
  page.line(2, fmt::format(
                   "{} ended within {}, {} of them outside of the job's cgroup",
                   plural(ended.processes + ended.escaped_processes, "process", "processes"),
                   milliseconds_text(ended.duration_us), with_separators(ended.escaped_processes)));
  if (ended.processes_left == 0) return;
  page.line(2, plural(ended.processes_left, "process", "processes") + " could not be ended in time",
            Style::kRed);
}

void write_problems(Page& page, const JobSummary& summary) {
  if (summary.problems.empty()) return;
  page.title("MONITORING PROBLEMS");
  for (const std::string& problem : summary.problems) page.wrapped(2, problem, Style::kRed);
}

void write_losses(Page& page, const JobSummary& summary) {
  const std::vector<LossEntry>& entries = summary.losses.entries;
  if (!entries.empty() || summary.observation_overflow > 0) {
    page.title("LOSSES");
    const std::size_t shown = std::min(entries.size(), kMaxLosses);
    for (std::size_t i = 0; i < shown; ++i) {
      const LossEntry& entry = entries[i];
      page.line(
          2, fmt::format("{:>12}  {} ({})", with_separators(entry.count), entry.what, entry.reason),
          Style::kYellow);
    }
    page.more(2, shown, entries.size(), "kinds");
    if (summary.observation_overflow > 0) {
      page.line(2, fmt::format("{:>12}  beyond the lists above; events.jsonl has them",
                               with_separators(summary.observation_overflow)));
    }
  }
}

// What a backend cannot see is long and the same every time: doctor and summary.json have it.
bool same_backend(const Coverage& a, const Coverage& b) {
  return a.backend == b.backend && a.available == b.available &&
         (a.available || a.reason == b.reason);
}

void write_coverage_group(Page& page, const std::string& types, const Coverage& coverage) {
  page.line(2, coverage.available ? coverage.backend : "NOT WATCHED",
            coverage.available ? Style::kPlain : Style::kRed);
  page.wrapped(4, types);
  if (!coverage.available) page.wrapped(4, coverage.reason);
}

void write_coverage(Page& page, const JobSummary& summary) {
  if (summary.coverage.empty()) return;
  page.title("COVERAGE");
  std::vector<bool> done(summary.coverage.size());
  for (std::size_t i = 0; i < summary.coverage.size(); ++i) {
    if (done[i]) continue;
    std::string types;
    for (std::size_t k = i; k < summary.coverage.size(); ++k) {
      if (done[k] || !same_backend(summary.coverage[i], summary.coverage[k])) continue;
      done[k] = true;
      types += (types.empty() ? "" : ", ");
      types += info_of(summary.coverage[k].type).name;
    }
    write_coverage_group(page, types, summary.coverage[i]);
  }
  page.wrapped(2, "What each cannot see: cicd-sensor doctor, summary.json");
}

}  // namespace

std::string render_terminal_report(const JobSummary& summary,
                                   const TerminalReportOptions& options) {
  Page page(options);
  write_head(page, summary);
  write_termination(page, summary);
  write_problems(page, summary);
  write_detections(page, summary);
  write_programs(page, summary);
  write_egress(page, summary);
  write_destinations(page, summary);
  write_domains(page, summary);
  write_sensitive_files(page, summary);
  write_losses(page, summary);
  write_coverage(page, summary);
  if (!options.files_written.empty()) {
    page.title("FILES");
    for (const std::string& file : options.files_written) page.line(2, file);
  }
  return page.take();
}

}  // namespace cicd
