// SPDX-License-Identifier: Apache-2.0
// A process of a job as the kernel side has it. Pure data.
#pragma once

#include <cstdint>

namespace cicd {

struct TrackedProcess {
  std::uint32_t pid = 0;            // in the initial pid namespace
  std::uint64_t start_time_ns = 0;  // CLOCK_BOOTTIME; 0: it was there before the job was watched

  bool operator==(const TrackedProcess&) const = default;
};

}  // namespace cicd
