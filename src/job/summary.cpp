// SPDX-License-Identifier: Apache-2.0
#include "job/summary.h"

#include <numeric>
#include <utility>

namespace cicd {

void JobSummary::set_terminated(TerminationSummary how) {
  result = JobResult::kTerminated;
  finalize_reason = "terminate";
  termination = std::move(how);
}

std::uint64_t EgressSummary::count(EgressVerdict verdict) const {
  const EgressReasonCounts& counts = violations[static_cast<std::size_t>(verdict)];
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t EgressSummary::count() const {
  return count(EgressVerdict::kAllow) + count(EgressVerdict::kAudit) + count(EgressVerdict::kBlock);
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
