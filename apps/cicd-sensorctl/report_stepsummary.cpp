// SPDX-License-Identifier: Apache-2.0
#include "report_stepsummary.h"

#include <cstdio>
#include <optional>

#include "path_arguments.h"
#include "report/result_reader.h"
#include "report/step_summary.h"
#include "result_input.h"
#include "rule_validate.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "report stepsummary";
constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl report stepsummary [flags] < result.json

Makes Markdown for $GITHUB_STEP_SUMMARY of what `cicd-sensor project result` wrote, which is read
from standard input.

Options:
  --html-url URL    A link to the whole report
  --health-failed   `cicd-sensor job health` had failed when the job ended: say so, also when there is
                    no document
  -h, --help        This help

Exit codes:
  0  written
  1  standard input is no result document
  2  wrong usage

Example:
  cicd-sensorctl report stepsummary < result.json >> "$GITHUB_STEP_SUMMARY"
)";

}  // namespace

int report_stepsummary(const std::vector<std::string>& words) {
  PathArguments arguments;
  if (const auto mistake =
          read_path_arguments(words, arguments, {{"--html-url"}, {"--health-failed"}})) {
    return usage_error(kCommand, *mistake);
  }
  if (arguments.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  StepSummaryOptions options;
  options.health_failed = arguments.switches.contains("--health-failed");
  if (!arguments.paths.empty())
    return usage_error(kCommand, "the document comes on standard input");
  for (const std::string& url : arguments.values_of("--html-url")) {
    if (!is_report_url(url))
      return usage_error(kCommand, "--html-url takes a http or https address");
    options.html_url = url;
  }
  const auto text = read_standard_input();
  auto summary = text ? read_result_document(*text) : std::unexpected(text.error());
  if (!summary && !(options.health_failed && text && text->empty())) {
    std::fprintf(stderr, "cicd-sensorctl %s: %s\n%s\n", kCommand, summary.error().text.c_str(),
                 summary.error().hint.c_str());
    return kExitFindings;
  }
  std::fputs(step_summary(summary ? &*summary : nullptr, options).c_str(), stdout);
  return finish_output(kCommand, kExitOk);
}

}  // namespace cicd::ctl
