// SPDX-License-Identifier: Apache-2.0
#include "report/step_summary.h"

#include <algorithm>
#include <cctype>

#include "base/time_format.h"
#include "report/domain_groups.h"
#include "report/egress_text.h"
#include "report/process_chain.h"
#include "report/terminal_text.h"

namespace cicd {

namespace {

constexpr std::size_t kMostRows = 50;
constexpr int kMostColumns = 200;

// All ASCII that any flavour of Markdown or HTML could find a meaning in becomes a reference.
void append_escaped(std::string& out, std::string_view escaped) {
  constexpr std::string_view kPlain = " /-,";
  for (const char c : escaped) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::isalnum(byte) != 0 || kPlain.find(c) != std::string_view::npos) {
      out.push_back(c);
    } else {
      out.append("&#").append(std::to_string(byte)).append(";");
    }
  }
}

std::string shown(std::string_view text) {
  std::string out;
  append_escaped(out, fit(text, kMostColumns));
  return out;
}

std::string code(std::string_view text) { return "<code>" + shown(text) + "</code>"; }

std::string names_of(const std::vector<std::string>& exec_paths, std::uint64_t overflow) {
  std::string out;
  for (const std::string& path : exec_paths) {
    out.append(out.empty() ? "" : ", ").append(shown(program_name(path)));
  }
  return out + (overflow > 0 ? ", ..." : "");
}

// A table, cut at kMostRows; `row` gives the cells of an item with | between them.
template <typename Items, typename Row>
void append_table(std::string& out, std::string_view title, std::string_view head,
                  const Items& items, Row row) {
  if (items.empty()) return;
  out.append("\n### ").append(title).append("\n| ").append(head).append(" |\n|");
  for (auto columns = std::ranges::count(head, '|') + 1; columns > 0; --columns) out.append("---|");
  out.append("\n");
  const std::size_t count = std::min(items.size(), kMostRows);
  for (std::size_t i = 0; i < count; ++i) out.append("| ").append(row(items[i])).append(" |\n");
  if (count < items.size()) {
    out.append("\nand ").append(with_separators(items.size() - count)).append(" more\n");
  }
}

void append_head(std::string& out, const JobSummary& summary) {
  out.append("## cicd-sensor: ").append(name_of(summary.result)).append("\n\n");
  out.append(code(summary.identity.project_path));
  if (!summary.identity.github_job.empty())
    out.append(", ").append(shown(summary.identity.github_job));
  const std::uint64_t start_ns = summary.start_time_ns / 1'000'000'000 * 1'000'000'000;
  if (is_report_url(summary.metadata.job_link)) {
    out.append(", [the job](<").append(summary.metadata.job_link).append(">)");
  }
  out.append(". Watched since ").append(format_rfc3339(start_ns)).append(" with ");
  out.append(with_separators(summary.rule_count)).append(" rules.");
  if (summary.events_dropped > 0) {
    out.append(" **Lost: ").append(with_separators(summary.events_dropped)).append(" events.**");
  }
  out.append("\n");
}

void append_detections(std::string& out, const JobSummary& summary) {
  append_table(out, "Detections", "Action | Rule | Hits | First at | By", summary.detections,
               [](const DetectionSummary& hit) {
                 const Rule& rule = hit.rule.rule;
                 std::string row(name_of(rule.action));
                 row += " | " + code(rule.rule_id);
                 if (!rule.rule_name.empty()) row += " " + shown(rule.rule_name);
                 row += " | " + with_separators(hit.count) + " | ";
                 if (hit.alerts.empty()) return row + " | ";
                 const AlertSummary& first = hit.alerts.front();
                 row += code(first.subject) + " | ";
                 append_escaped(row, process_chain(*first.process, kMostColumns));
                 return row;
               });
}

void append_egress(std::string& out, const EgressSummary& egress) {
  out.append("\n### Egress\n").append(shown(egress_mode_text(egress)));
  for (const std::string& text : {violations_text(egress), learning_text(egress)}) {
    if (!text.empty()) out.append(". ").append(shown(text));
  }
  out.append(".\n");
  append_table(out, "Against the egress policy", "Verdict | Destination | Why | How often | By",
               egress.top, [](const ViolationUse& use) {
                 std::string row(verdict_text(use.verdict));
                 row += " | " + code(target_text(use)) + " | " + shown(reason_text(use.reason));
                 if (!use.rule_id.empty()) row += " by " + code(use.rule_id);
                 row += " | " + with_separators(use.count) + " | ";
                 return row + names_of(use.exec_paths, use.process_overflow_count);
               });
}

void append_network(std::string& out, const JobSummary& summary) {
  append_table(out, "Where it went", "Destination | By", summary.destinations,
               [](const DestinationUse& use) {
                 const bool is_v6 = use.remote_ip.find(':') != std::string::npos;
                 std::string row = use.domain.empty() ? "" : "**" + shown(use.domain) + "** ";
                 row += code((is_v6 ? "[" + use.remote_ip + "]" : use.remote_ip) + ":" +
                             std::to_string(use.remote_port) + "/" + use.protocol);
                 if (const std::string traffic = traffic_text(use.traffic); !traffic.empty()) {
                   row += " " + shown(traffic);
                 }
                 return row + " | " + names_of(use.exec_paths, use.process_overflow_count);
               });
  append_table(out, "Names it asked for", "Name | By", group_domains(summary.domains),
               [](const DomainGroup& group) {
                 std::string row = code(group.name);
                 if (group.names > 1)
                   row += ", " + with_separators(group.names) + " names below it";
                 return row + " | " + names_of(group.exec_paths, group.process_overflow_count);
               });
}

}  // namespace

bool is_report_url(std::string_view url) {
  constexpr std::string_view kPlain = "-._~:/?#[@]!$&'*+,;=%";
  const bool is_web = url.starts_with("https://") || url.starts_with("http://");
  return is_web && url.size() <= 2048 && std::ranges::all_of(url, [&](unsigned char c) {
           return c < 0x80 &&
                  (std::isalnum(c) != 0 || kPlain.find(static_cast<char>(c)) != kPlain.npos);
         });
}

std::string step_summary(const JobSummary* summary, const StepSummaryOptions& options) {
  std::string out;
  if (summary != nullptr) {
    append_head(out, *summary);
  } else {
    out.append("## cicd-sensor: no result\n");
  }
  if (options.health_failed) {
    out.append(
        "\n> [!CAUTION]\n> The agent did not know this job any more when it ended: its "
        "watching was ended early, or the agent was restarted. What happened after that was "
        "not seen.\n");
  }
  if (!options.html_url.empty()) {
    out.append("\n[The whole report](<").append(options.html_url).append(">)\n");
  }
  if (summary == nullptr) return out;
  if (summary->detections.empty()) out.append("\nNo rule fired.\n");
  append_detections(out, *summary);
  if (summary->egress) append_egress(out, *summary->egress);
  append_network(out, *summary);
  return out;
}

}  // namespace cicd
