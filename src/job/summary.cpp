// SPDX-License-Identifier: Apache-2.0
#include "job/summary.h"

#include <utility>

namespace cicd {

void JobSummary::set_terminated(TerminationSummary how) {
  result = JobResult::kTerminated;
  finalize_reason = "terminate";
  termination = std::move(how);
}

std::string_view name_of(ScopeKind kind) { return kind == ScopeKind::kHost ? "host" : "project"; }

std::string_view name_of(JobResult result) {
  switch (result) {
    case JobResult::kPassed:
      return "passed";
    case JobResult::kDetected:
      return "detected";
    case JobResult::kTerminated:
      return "terminated";
  }
  return "passed";
}

}  // namespace cicd
