// SPDX-License-Identifier: Apache-2.0
#include "rule/hit_times.h"

namespace cicd {

void HitTimes::add(std::uint64_t time_ns) {
  if (times_.size() == kMost) {
    const std::uint64_t oldest = times_[first_];
    const std::uint64_t newest = times_[slot(kMost - 1)];
    const std::uint64_t gone = time_ns < oldest ? time_ns : oldest;
    if (newest < gone + longest_window_ns_) ++forgotten_;
    if (time_ns < oldest) return;
    // The oldest one's place is behind the newest.
    first_ = (first_ + 1) % kMost;
  } else {
    times_.push_back(0);
  }
  std::size_t at = times_.size() - 1;
  for (; at > 0 && times_[slot(at - 1)] > time_ns; --at) times_[slot(at)] = times_[slot(at - 1)];
  times_[slot(at)] = time_ns;
}

std::size_t HitTimes::first_after(std::uint64_t time_ns) const {
  std::size_t low = 0;
  std::size_t high = times_.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (times_[slot(middle)] <= time_ns) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace cicd
