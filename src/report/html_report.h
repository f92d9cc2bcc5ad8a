// SPDX-License-Identifier: Apache-2.0
// The HTML report: one page that needs nothing but itself. Style and script are in the page and
// named by their hashes in its Content-Security-Policy, which allows nothing else; the data are
// JSON in a script element that is not run. Without JavaScript a static summary shows.
//
// Thread: any; model and summary must not change meanwhile. The page is handed out in pieces, so
// that a large one does not stand in memory.
#pragma once

#include <string_view>

#include "base/function_ref.h"
#include "job/summary.h"
#include "report/report_model.h"

namespace cicd {

using PageOutput = FunctionRef<void(std::string_view piece)>;

// `redact_command` false: the summary's command comes from a file where that was done.
void write_html_report(const ReportModel& model, const JobSummary& summary, PageOutput output,
                       bool redact_command = true);

}  // namespace cicd
