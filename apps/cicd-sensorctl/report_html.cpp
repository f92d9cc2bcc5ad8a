// SPDX-License-Identifier: Apache-2.0
#include "report_html.h"

#include <cstdio>
#include <memory>
#include <utility>

#include "path_arguments.h"
#include "report/html_report.h"
#include "report/result_reader.h"
#include "result_input.h"
#include "rule_validate.h"
#include "run_folder.h"

namespace cicd::ctl {

namespace {

constexpr const char* kCommand = "report html";
constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl report html [--output-file FILE] [DIR | -]

Makes the HTML report of a job: of a result document (`cicd-sensor project result`) on standard
input, or of the files that a run left in DIR: summary.json, events.jsonl and detections.jsonl.
`cicd-sensor run` makes that page itself; the latter is for folders without one.

Options:
  --output-file FILE   Where the page goes; - is standard output (default: -)
  -h, --help           This help

Exit codes:
  0  written
  1  a file is missing or damaged (a page of what could be read is written all the same when there is
     a summary), standard input is no result document, or the page cannot be written
  2  wrong usage

Examples:
  cicd-sensorctl report html --output-file report.html < result.json
  cicd-sensorctl report html --output-file report.html cicd-sensor-out
)";

// What a page is made of.
struct Input {
  JobSummary summary;
  std::unique_ptr<ReportModel> model;
  std::uint64_t bad_rows = 0;
};

// "-": a result document on standard input.
Result<Input> read_input(const std::string& path) {
  if (path != "-") {
    CICD_ASSIGN(RunFolder folder, read_run_folder(path));
    return Input{std::move(folder.summary), std::move(folder.model), folder.bad_rows};
  }
  CICD_ASSIGN(const std::string text, read_standard_input());
  auto summary = read_result_document(text);
  if (!summary) return std::unexpected(std::move(summary.error()).with_context("standard input"));
  auto model = model_of_result(*summary);
  // Documents of other implementations do not say: at least those that are on the page.
  if (summary->events_total == 0) summary->events_total = model->events().size();
  return Input{std::move(*summary), std::move(model), 0};
}

bool write_page(const Input& input, std::FILE* file) {
  bool is_written = true;
  write_html_report(
      *input.model, input.summary,
      [&](std::string_view piece) {
        if (std::fwrite(piece.data(), 1, piece.size(), file) != piece.size()) is_written = false;
      },
      false);
  return std::fflush(file) == 0 && is_written;
}

}  // namespace

int report_html(const std::vector<std::string>& words) {
  PathArguments arguments;
  if (const auto mistake = read_path_arguments(words, arguments, {{"--output-file"}, {}})) {
    return usage_error(kCommand, *mistake);
  }
  if (arguments.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  if (arguments.paths.size() > 1) return usage_error(kCommand, "one folder only");
  const std::vector<std::string>& files = arguments.values_of("--output-file");
  const std::string output_file = files.empty() ? "-" : files.back();
  const auto input = read_input(arguments.paths.empty() ? "-" : arguments.paths.front());
  if (!input) {
    std::fprintf(stderr, "cicd-sensorctl %s: %s\n", kCommand, input.error().text.c_str());
    if (!input.error().hint.empty()) std::fprintf(stderr, "%s\n", input.error().hint.c_str());
    return kExitFindings;
  }
  const bool to_stdout = output_file == "-";
  std::FILE* file = to_stdout ? stdout : std::fopen(output_file.c_str(), "wbe");
  bool is_written = file != nullptr && write_page(*input, file);
  if (file != nullptr && !to_stdout) is_written = std::fclose(file) == 0 && is_written;
  if (!is_written) {
    std::fprintf(stderr, "cicd-sensorctl %s: cannot write %s\n", kCommand,
                 to_stdout ? "to standard output" : output_file.c_str());
    return kExitFindings;
  }
  if (input->bad_rows == 0) return kExitOk;
  std::fprintf(stderr, "cicd-sensorctl %s: rows that could not be read: %llu\n", kCommand,
               static_cast<unsigned long long>(input->bad_rows));
  return kExitFindings;
}

}  // namespace cicd::ctl
