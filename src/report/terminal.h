// SPDX-License-Identifier: Apache-2.0
// The terminal report: result, what ran, destinations, sensitive files, detections with their
// process chain, losses and coverage; fits 80 columns. Everything a job controls (names, paths,
// arguments) is escaped, so that it cannot steer the terminal.
#pragma once

#include <string>

#include "job/summary.h"

namespace cicd {

struct TerminalReportOptions {
  bool colour = false;                     // only for a TTY
  int width = 80;                          // columns, at least 60
  std::vector<std::string> files_written;  // named at the end
};

std::string render_terminal_report(const JobSummary& summary, const TerminalReportOptions& options);

}  // namespace cicd
