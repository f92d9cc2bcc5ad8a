// SPDX-License-Identifier: Apache-2.0
// summary.json as a JobSummary. Pure function.
#pragma once

#include <string>

#include "base/result.h"
#include "job/summary.h"

namespace cicd::ctl {

// `text` is the file. Members that are missing or of another type keep their zero value; detections
// have no names and alerts, which are in the rows.
Result<JobSummary> read_summary(const std::string& text);

}  // namespace cicd::ctl
