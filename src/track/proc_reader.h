// SPDX-License-Identifier: Apache-2.0
// ProcReader: what /proc knows of a process whose start was not seen (it was there before us, or
// its samples were lost). Live only: a replay has none, so that it gives the same result always.
//
// Thread: the pipeline thread. Races: the pid may be another process by now; an answer counts only
// when the start time fits.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "event/step.h"

namespace cicd {

struct ProcFacts {
  std::uint32_t parent_pid = 0;
  std::uint32_t uid = 0;
  std::string exec_path;  // empty: unreadable
  std::string cwd;
  std::vector<std::string> argv;
  bool argv_truncated = false;
  std::string environment;  // as StepOf takes it
};

class ProcReader {
 public:
  virtual ~ProcReader() = default;
  // nullopt: that process has gone.
  virtual std::optional<ProcFacts> read(std::uint32_t pid, std::uint64_t start_time_ns) = 0;
};

// Reads below `proc_root` ("/proc"). Of environments `variables` alone, whose names must outlive
// it; none: environments are not opened.
std::unique_ptr<ProcReader> make_proc_reader(const std::string& proc_root = "/proc",
                                             std::span<const StepVariable> variables = {});

}  // namespace cicd
