// SPDX-License-Identifier: Apache-2.0
#include "report/html_report.h"

#include <string>
#include <vector>

#include "base/utf8.h"
#include "event/redact.h"
#include "report/page_data.h"
#include "report/page_writer.h"
#include "report/report_assets.h"
#include "report/static_page.h"
#include "rule/sha256.h"

namespace cicd {

namespace {

// 'sha256-<base64>' as a Content-Security-Policy names what it allows.
std::string source_of(std::string_view content) {
  const std::string hex = sha256_hex(content);
  std::string digest;
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    digest.push_back(static_cast<char>(value(hex[i]) << 4 | value(hex[i + 1])));
  }
  std::string out = "'sha256-";
  append_base64(out, digest);
  return out + "'";
}

std::string policy() {
  return "default-src 'none'; style-src " + source_of(report_style()) + "; script-src " +
         source_of(report_script()) + "; base-uri 'none'; form-action 'none'";
}

void write_title(PageWriter& out, const JobSummary& summary) {
  out.html(summary.identity.project_path).raw(": ").raw(name_of(summary.result));
}

}  // namespace

void write_html_report(const ReportModel& model, const JobSummary& summary, PageOutput output,
                       bool redact_command) {
  std::vector<std::string> command =
      redact_command ? redact_argv(summary.command) : summary.command;
  // Which program it was is no secret.
  if (!command.empty()) command.front() = summary.command.front();
  PageWriter out(output);
  for (std::string_view rest = report_template(); !rest.empty();) {
    const std::size_t open = rest.find("{{");
    out.raw(rest.substr(0, open));
    if (open == std::string_view::npos) break;
    const std::size_t close = rest.find("}}", open);
    const std::string_view place = rest.substr(open + 2, close - open - 2);
    rest.remove_prefix(close + 2);
    if (place == "csp") out.raw(policy());
    if (place == "title") write_title(out, summary);
    if (place == "style") out.raw(report_style());
    if (place == "script") out.raw(report_script());
    if (place == "static") write_static_page(out, summary, command);
    if (place == "data") write_page_data(out, model, summary, command);
  }
  out.flush();
}

}  // namespace cicd
