// SPDX-License-Identifier: Apache-2.0
// A result document (evidence/result_document.h, also of other implementations) back into what
// reports are made of: a summary, and a model of events for the page.
//
// A document is hostile. Members that are missing or of another type keep their zero value; what is
// nested deeper than a document is, or chains of ancestors longer than the tracker's, are cut.
// Pure; any thread.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "job/summary.h"
#include "report/report_model.h"

namespace cicd {

inline constexpr std::size_t kMaxResultDocumentBytes = std::size_t{16} << 20;

// kInvalidInput: it is none, or larger than that. Counts of destinations and domains are those of
// their processes: a document does not say how often.
Result<JobSummary> read_result_document(std::string_view text);

// Events of alerts at their times; of each destination and domain one for each process, at the
// start of the job, as a document says no time.
std::unique_ptr<ReportModel> model_of_result(const JobSummary& summary);

}  // namespace cicd
