// SPDX-License-Identifier: Apache-2.0
// RunFolder: summary.json, detections.jsonl and events.jsonl of a run, read back into what reports
// are made of.
//
// Which process was the parent is told by report/told_processes.h. Rules are in the rows without
// their conditions; those of the baseline are filled in when the revision is the one of this
// program.
//
// Threads: belongs to one thread. A row that cannot be read is counted and left out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "job/summary.h"
#include "report/report_model.h"

namespace cicd::ctl {

struct RunFolder {
  JobSummary summary;
  std::unique_ptr<ReportModel> model;
  std::uint64_t bad_rows = 0;
};

Result<RunFolder> read_run_folder(const std::string& path);

}  // namespace cicd::ctl
