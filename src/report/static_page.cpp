// SPDX-License-Identifier: Apache-2.0
#include "report/static_page.h"

#include <algorithm>

#include "base/time_format.h"
#include "report/domain_groups.h"
#include "report/egress_text.h"
#include "report/process_chain.h"
#include "report/terminal_text.h"

namespace cicd {

namespace {

constexpr std::size_t kMaxRules = 100;
constexpr std::size_t kMaxAlertsPerRule = 10;
constexpr std::size_t kMaxRows = 300;
constexpr int kChainColumns = 200;

// A list of rows of ours, cut at kMaxRows, which is said.
template <typename Items, typename Write>
void write_rows(PageWriter& out, std::string_view title, const Items& items, Write write) {
  if (items.empty()) return;
  out.raw("<section class=\"card\"><h2>").raw(title).raw("</h2><ul class=\"plain\">");
  const std::size_t shown = std::min(items.size(), kMaxRows);
  for (std::size_t i = 0; i < shown; ++i) {
    out.raw("<li>");
    write(items[i]);
    out.raw("</li>");
  }
  if (shown < items.size()) {
    out.raw("<li>and ").number(items.size() - shown).raw(" more; summary.json has them</li>");
  }
  out.raw("</ul></section>");
}

void write_names(PageWriter& out, const std::vector<std::string>& exec_paths,
                 std::uint64_t overflow) {
  out.raw("<span class=\"by\">");
  for (std::size_t i = 0; i < exec_paths.size(); ++i) {
    out.raw(i == 0 ? " by " : ", ").html(program_name(exec_paths[i]));
  }
  out.raw(overflow > 0 ? ", ...</span>" : "</span>");
}

void write_head(PageWriter& out, const JobSummary& summary,
                const std::vector<std::string>& command) {
  out.raw("<section class=\"verdict ").raw(name_of(summary.result)).raw("\"><div><h1>");
  out.raw(name_of(summary.result)).raw("</h1><p>");
  out.html(summary.identity.project_path).raw("</p></div><p><code>");
  for (const std::string& word : command) out.html(word).raw(" ");
  out.raw("</code></p><p>");
  if (summary.command_known) {
    out.raw("Exit code ").number(summary.command_status);
  } else {
    out.raw("The end of the command was not seen");
  }
  out.raw(" (").html(summary.finalize_reason).raw("). Began ");
  out.raw(format_rfc3339(summary.start_time_ns / 1'000'000'000 * 1'000'000'000)).raw(". ");
  out.raw(with_separators(summary.processes_total)).raw(" processes, ");
  out.raw(with_separators(summary.events_total)).raw(" events. ");
  const std::uint64_t lost = summary.losses.total();
  out.raw("Lost: ").raw(lost == 0 ? "nothing" : with_separators(lost)).raw(".</p></section>");
}

void write_detection(PageWriter& out, const DetectionSummary& detection) {
  const Rule& rule = detection.rule.rule;
  out.raw("<section class=\"card\"><h3>")
      .html(rule.rule_name.empty() ? rule.rule_id : rule.rule_name);
  out.raw("</h3><p><b>").raw(name_of(rule.action)).raw("</b> <code>").html(rule.rule_id);
  out.raw("</code>, hits: ").raw(with_separators(detection.count)).raw("</p><ul class=\"plain\">");
  const std::size_t shown = std::min(detection.alerts.size(), kMaxAlertsPerRule);
  for (std::size_t i = 0; i < shown; ++i) {
    const AlertSummary& alert = detection.alerts[i];
    out.raw("<li>").raw(format_rfc3339(alert.time_ns).substr(11, 8)).raw(" ");
    out.raw(info_of(alert.event_type).name).raw(" <code>").html(alert.subject);
    // The chain is made for terminals: escaped already, but not for HTML.
    out.raw("</code><br><span class=\"by\">by ");
    out.html(process_chain(*alert.process, kChainColumns)).raw("</span></li>");
  }
  out.raw("</ul><details><summary>Condition</summary><pre>");
  for (std::string_view rest = rule.condition.text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    out.html(line).raw("\n");
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  out.raw("</pre></details></section>");
}

void write_destination(PageWriter& out, const DestinationUse& use) {
  const bool is_v6 = use.remote_ip.find(':') != std::string::npos;
  if (!use.domain.empty()) out.raw("<b>").html(use.domain).raw("</b> ");
  out.raw("<code>").raw(is_v6 ? "[" : "").html(use.remote_ip).raw(is_v6 ? "]:" : ":");
  out.number(use.remote_port).raw("/").html(use.protocol).raw("</code> ");
  out.raw(with_separators(use.count));
  if (const std::string traffic = traffic_text(use.traffic); !traffic.empty()) {
    out.raw(" (").raw(traffic).raw(")");
  }
  write_names(out, use.exec_paths, use.process_overflow_count);
}

void write_egress(PageWriter& out, const EgressSummary& egress) {
  out.raw("<section class=\"card\"><h2>Egress</h2><p>Mode: ").html(egress_mode_text(egress));
  out.raw("</p><p>").html(violations_text(egress)).raw("</p><p>").html(learning_text(egress));
  out.raw("</p></section>");
  write_rows(out, "Against the egress policy", egress.top, [&](const ViolationUse& use) {
    out.raw(verdict_text(use.verdict)).raw(" <code>").html(target_text(use)).raw("</code> ");
    out.raw(reason_text(use.reason)).raw(" ");
    if (!use.rule_id.empty()) out.raw("by ").html(use.rule_id).raw(" ");
    out.raw(with_separators(use.count));
    write_names(out, use.exec_paths, use.process_overflow_count);
  });
}

void write_sensitive(PageWriter& out, const SensitiveFileUse& use) {
  out.raw(use.writes == 0 ? "read " : use.reads == 0 ? "written " : "read and written ");
  out.raw("<code>").html(use.path).raw("</code> (").html(use.kind).raw(")");
  write_names(out, use.exec_paths, 0);
}

}  // namespace

void write_static_page(PageWriter& out, const JobSummary& summary,
                       const std::vector<std::string>& command) {
  out.raw("<main class=\"static\">");
  write_head(out, summary, command);
  out.raw("<p class=\"note\">Timeline, process tree and search need JavaScript, which is off.</p>");
  write_rows(out, "Problems of the monitoring", summary.problems,
             [&](const std::string& problem) { out.html(problem); });
  const std::size_t shown = std::min(summary.detections.size(), kMaxRules);
  if (shown > 0) out.raw("<h2>What happened</h2>");
  for (std::size_t i = 0; i < shown; ++i) write_detection(out, summary.detections[i]);
  if (summary.egress) write_egress(out, *summary.egress);
  write_rows(out, "Where it went", summary.destinations,
             [&](const DestinationUse& use) { write_destination(out, use); });
  write_rows(out, "Names it asked for", group_domains(summary.domains),
             [&](const DomainGroup& group) {
               if (group.names > 1) out.raw(with_separators(group.names)).raw(" names below ");
               out.html(group.name);
               write_names(out, group.exec_paths, group.process_overflow_count);
             });
  write_rows(out, "Sensitive files", summary.sensitive_files,
             [&](const SensitiveFileUse& use) { write_sensitive(out, use); });
  write_rows(out, "Lost", summary.losses.entries, [&](const LossEntry& entry) {
    out.raw(with_separators(entry.count)).raw(" ").html(entry.what).raw(" (");
    out.html(entry.reason).raw(")");
  });
  write_rows(out, "Coverage", summary.coverage, [&](const Coverage& coverage) {
    out.raw(info_of(coverage.type).name).raw(": ");
    out.html(coverage.available ? coverage.backend : "not watched, " + coverage.reason);
  });
  out.raw("</main>");
}

}  // namespace cicd
