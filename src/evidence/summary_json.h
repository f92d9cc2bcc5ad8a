// SPDX-License-Identifier: Apache-2.0
// summary.json: the summary row of the log format, then what is ours on top. Threads: pure.
#pragma once

#include <string>

#include "evidence/file_sink.h"
#include "job/summary.h"

namespace cicd {

// One line of JSON with its newline.
std::string render_summary_json(const FileSinkOptions& options, const JobSummary& summary);

}  // namespace cicd
