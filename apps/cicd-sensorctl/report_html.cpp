// SPDX-License-Identifier: Apache-2.0
#include "report_html.h"

#include <cstdio>

#include "report/html_report.h"
#include "rule_validate.h"
#include "run_folder.h"

namespace cicd::ctl {

namespace {

constexpr const char* kHelp =
    R"(Usage: cicd-sensorctl report html [--output-file FILE] DIR

Makes the HTML report of a run anew from the files it left in DIR: summary.json, events.jsonl and
detections.jsonl. `cicd-sensor run` makes that page itself; this is for folders without one.

Options:
  --output-file FILE   Where the page goes; - is standard output (default: -)
  -h, --help           This help

Exit codes:
  0  written
  1  a file is missing or damaged (a page of what could be read is written all the same when there is
     a summary), or the page cannot be written
  2  wrong usage

Example:
  cicd-sensorctl report html --output-file report.html cicd-sensor-out
)";

struct Arguments {
  bool help = false;
  std::string folder;
  std::string output_file = "-";
};

// What is wrong, or nothing.
std::string read_arguments(const std::vector<std::string>& words, Arguments& arguments) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool is_flag = word.size() > 1 && word[0] == '-';
    const std::string name = is_flag && !word.starts_with("--") ? "-" + word : word;
    if (word == "-h" || name == "--help") {
      arguments.help = true;
    } else if (name == "--output-file") {
      if (i + 1 == words.size()) return "--output-file takes a file";
      arguments.output_file = words[++i];
    } else if (name.starts_with("--output-file=")) {
      arguments.output_file = name.substr(name.find('=') + 1);
    } else if (is_flag) {
      return "unknown flag " + word;
    } else if (!arguments.folder.empty()) {
      return "one folder only";
    } else {
      arguments.folder = word;
    }
  }
  return arguments.help || !arguments.folder.empty() ? "" : "name the output folder of a run";
}

bool write_page(const RunFolder& folder, std::FILE* file) {
  bool is_written = true;
  write_html_report(
      *folder.model, folder.summary,
      [&](std::string_view piece) {
        if (std::fwrite(piece.data(), 1, piece.size(), file) != piece.size()) is_written = false;
      },
      false);
  return std::fflush(file) == 0 && is_written;
}

}  // namespace

int report_html(const std::vector<std::string>& words) {
  Arguments arguments;
  if (const std::string mistake = read_arguments(words, arguments); !mistake.empty()) {
    std::fprintf(stderr, "cicd-sensorctl report html: %s\nTry: cicd-sensorctl report html --help\n",
                 mistake.c_str());
    return kExitUsage;
  }
  if (arguments.help) {
    std::fputs(kHelp, stdout);
    return kExitOk;
  }
  const auto folder = read_run_folder(arguments.folder);
  if (!folder) {
    std::fprintf(stderr, "cicd-sensorctl report html: %s\n", folder.error().text.c_str());
    if (!folder.error().hint.empty()) std::fprintf(stderr, "%s\n", folder.error().hint.c_str());
    return kExitFindings;
  }
  const bool to_stdout = arguments.output_file == "-";
  std::FILE* file = to_stdout ? stdout : std::fopen(arguments.output_file.c_str(), "wbe");
  bool is_written = file != nullptr && write_page(*folder, file);
  if (file != nullptr && !to_stdout) is_written = std::fclose(file) == 0 && is_written;
  if (!is_written) {
    std::fprintf(stderr, "cicd-sensorctl report html: cannot write %s\n",
                 to_stdout ? "to standard output" : arguments.output_file.c_str());
    return kExitFindings;
  }
  if (folder->bad_rows == 0) return kExitOk;
  std::fprintf(stderr, "cicd-sensorctl report html: rows that could not be read: %llu\n",
               static_cast<unsigned long long>(folder->bad_rows));
  return kExitFindings;
}

}  // namespace cicd::ctl
