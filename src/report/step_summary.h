// SPDX-License-Identifier: Apache-2.0
// A job in Markdown, for $GITHUB_STEP_SUMMARY: verdict, detections, where it went. Text of a job is
// written so that no renderer takes it for markup, a link or a mention. Lists are cut, which is
// said; all of it stays far below the megabyte that GitHub takes.
// Pure; any thread.
#pragma once

#include <string>

#include "job/summary.h"

namespace cicd {

struct StepSummaryOptions {
  std::string html_url;        // of the whole report; empty: none. is_report_url()
  bool health_failed = false;  // the job's watching had ended before the job did
};

// Whether it may stand in Markdown as an address: http or https, and nothing that ends a link.
bool is_report_url(std::string_view url);

// `summary` null: there is no document, which health_failed explains.
std::string step_summary(const JobSummary* summary, const StepSummaryOptions& options);

}  // namespace cicd
