// SPDX-License-Identifier: Apache-2.0
// TimeHistogram: how many events of each lane fell into each slice of a job whose length nobody
// knows: slices start short and are joined in pairs whenever time outgrows them, so their number
// and memory stay. Threads: belongs to one thread. Allocates nothing after it was made.
#pragma once

#include <array>
#include <cstdint>

#include "event/event_type.h"

namespace cicd {

// Rows of the timeline.
enum class ReportLane : std::uint8_t {
  kProcesses,
  kReads,
  kChanges,
  kNetwork,
  kNames,
  kSystem,
  kCount,
};
inline constexpr std::size_t kReportLanes = static_cast<std::size_t>(ReportLane::kCount);

ReportLane lane_of(EventType type, bool is_write);

class TimeHistogram {
 public:
  static constexpr std::size_t kSlices = 512;

  void add(ReportLane lane, std::uint64_t time_us);

  std::uint64_t slice_us() const { return slice_us_; }
  std::uint32_t count(ReportLane lane, std::size_t slice) const {
    return counts_[static_cast<std::size_t>(lane)][slice];
  }
  // Slices up to the last one that has something in it.
  std::size_t used_slices() const { return used_; }

 private:
  void join_pairs();

  std::array<std::array<std::uint32_t, kSlices>, kReportLanes> counts_{};
  std::uint64_t slice_us_ = 128;
  std::size_t used_ = 0;
};

}  // namespace cicd
