// SPDX-License-Identifier: Apache-2.0
// What the HTML report shows where no script runs: result, detections, destinations, names,
// sensitive files, losses, coverage. Threads: as html_report.h.
#pragma once

#include <string>
#include <vector>

#include "job/summary.h"
#include "report/page_writer.h"

namespace cicd {

// `command`: as it is to be shown.
void write_static_page(PageWriter& out, const JobSummary& summary,
                       const std::vector<std::string>& command);

}  // namespace cicd
