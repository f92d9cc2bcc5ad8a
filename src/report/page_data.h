// SPDX-License-Identifier: Apache-2.0
// The data of the HTML report as JSON, in columns; src/report/html/model.js reads them.
// Threads: as html_report.h.
#pragma once

#include <string>
#include <vector>

#include "job/summary.h"
#include "report/page_writer.h"
#include "report/report_model.h"

namespace cicd {

// `command`: as it is to be shown.
void write_page_data(PageWriter& out, const ReportModel& model, const JobSummary& summary,
                     const std::vector<std::string>& command);

}  // namespace cicd
