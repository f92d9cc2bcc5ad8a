// SPDX-License-Identifier: Apache-2.0
#include "report/time_histogram.h"

#include <algorithm>

namespace cicd {

ReportLane lane_of(EventType type, bool is_write) {
  switch (type) {
    case EventType::kProcessExec:
    case EventType::kProcessExit:
      return ReportLane::kProcesses;
    case EventType::kFileOpen:
      return is_write ? ReportLane::kChanges : ReportLane::kReads;
    case EventType::kFileRemove:
    case EventType::kFileMove:
    case EventType::kFileLink:
      return ReportLane::kChanges;
    case EventType::kNetworkConnect:
    case EventType::kUnixSocketConnect:
    case EventType::kEgressViolation:
      return ReportLane::kNetwork;
    case EventType::kDomain:
    case EventType::kHttpRequest:
      return ReportLane::kNames;
    default:
      return ReportLane::kSystem;
  }
}

void TimeHistogram::join_pairs() {
  for (auto& lane : counts_) {
    for (std::size_t i = 0; i < kSlices / 2; ++i) lane[i] = lane[2 * i] + lane[2 * i + 1];
    std::fill(lane.begin() + kSlices / 2, lane.end(), 0u);
  }
  slice_us_ *= 2;
  used_ = (used_ + 1) / 2;
}

void TimeHistogram::add(ReportLane lane, std::uint64_t time_us) {
  while (time_us / slice_us_ >= kSlices) join_pairs();
  const auto slice = static_cast<std::size_t>(time_us / slice_us_);
  ++counts_[static_cast<std::size_t>(lane)][slice];
  used_ = std::max(used_, slice + 1);
}

}  // namespace cicd
