// SPDX-License-Identifier: Apache-2.0
// HitTimes: when a rule fired, for the windows of within(). Kept in order of event time, whatever
// order the hits come in; the last kMost of them.
//
// One thread. Allocates while it grows to kMost, then no more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cicd {

class HitTimes {
 public:
  static constexpr std::size_t kMost = 10'000;

  // Windows of at most this length will be asked for.
  void use_window(std::uint64_t window_ns) {
    if (window_ns > longest_window_ns_) longest_window_ns_ = window_ns;
  }
  bool is_used() const { return longest_window_ns_ > 0; }
  void add(std::uint64_t time_ns);
  // Hits from the first time up to the second one, both included.
  std::size_t count(std::uint64_t from_ns, std::uint64_t until_ns) const {
    return first_after(until_ns) - (from_ns == 0 ? 0 : first_after(from_ns - 1));
  }

  std::size_t size() const { return times_.size(); }
  std::uint64_t operator[](std::size_t index) const { return times_[slot(index)]; }
  // Position of the first hit later than this.
  std::size_t first_after(std::uint64_t time_ns) const;

  // Hits that were let go although a window could still have held them.
  std::uint64_t forgotten() const { return forgotten_; }

 private:
  std::size_t slot(std::size_t index) const { return (first_ + index) % times_.size(); }

  std::vector<std::uint64_t> times_;  // a ring once it is full
  std::size_t first_ = 0;
  std::uint64_t longest_window_ns_ = 0;
  std::uint64_t forgotten_ = 0;
};

}  // namespace cicd
