// SPDX-License-Identifier: Apache-2.0
// What an event says of the process behind it: an immutable picture, made by the tracker at fork
// and exec and shared by all events of that process and its children.
//
// Threads: made on the pipeline thread, read on any; immutable once published, so sharing needs no
// lock (shared_ptr<const ...>). Lifetime: by reference count; a parent lives as long as a child's
// picture of it. The tracker bounds the length of a chain (kMaxAncestorDepth), so destruction
// recurses no deeper than that.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "event/step.h"

namespace cicd {

// Longest chain of parents kept behind a process; farther ones are let go.
inline constexpr int kMaxAncestorDepth = 64;

// What one execve brought. Shared by forks of the process until they exec themselves.
struct ExecImage {
  std::string exec_path;  // empty: unknown (said by `is_known`)
  std::vector<std::string> argv;
  std::string cwd;
  std::string script_path;  // empty when it is no script
  bool is_memfd = false;
  bool argv_truncated = false;
  bool exec_path_truncated = false;
  bool exec_path_unreachable = false;  // not below the root of the process
  bool is_known = true;  // false: seen without its exec, filled from /proc as far as possible
};

struct Process {
  std::uint32_t pid = 0;  // in the initial pid namespace
  std::uint32_t uid = 0;
  std::uint64_t start_time_ns = 0;  // CLOCK_BOOTTIME; (pid, start time) is unique until reboot
  std::uint32_t exec_id = 0;        // which of its images this is
  int depth = 0;                    // length of the chain behind it
  std::uint64_t id = 0;             // dense, unique in a tracker, in order of appearance
  StepRef step;                     // null: none is known
  std::shared_ptr<const ExecImage> image;  // never null
  std::shared_ptr<const Process> parent;   // picture of the parent at fork; null at the top

  const std::string& exec_path() const { return image->exec_path; }
};
using ProcessRef = std::shared_ptr<const Process>;

}  // namespace cicd
