// SPDX-License-Identifier: Apache-2.0
// A process and a cgroup of a job as the kernel side has them. Pure data.
#pragma once

#include <cstdint>
#include <string>

namespace cicd {

struct TrackedProcess {
  std::uint32_t pid = 0;            // in the initial pid namespace
  std::uint64_t start_time_ns = 0;  // CLOCK_BOOTTIME; 0: it was there before the job was watched

  bool operator==(const TrackedProcess&) const = default;
};

struct TrackedCgroup {
  std::uint64_t id = 0;
  std::string dir;  // where it is in the file system
};

// A container's cgroup that was made before its name was staged.
struct EarlierCgroup {
  std::uint64_t id = 0;
  std::string path;  // below the v2 root; empty: it is gone again
  std::uint64_t age_ns = 0;
};

}  // namespace cicd
