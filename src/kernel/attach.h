// SPDX-License-Identifier: Apache-2.0
// Attaching a loaded program; each call returns the descriptor(s) that hold the attachment.
// Threads: any. Errors name the hook.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

Result<UniqueFd> attach_tracing(int program_fd);
Result<UniqueFd> attach_cgroup(int program_fd, int cgroup_fd, int attach_type);

// Syscall tracepoints, found in a tracefs of our own when none is mounted.
class SyscallTracepoints {
 public:
  static Result<SyscallTracepoints> open();

  // `name` is below events/syscalls. kNotFound: this architecture or kernel does not have it.
  Result<UniqueFd> attach(std::string_view name, int program_fd) const;

 private:
  explicit SyscallTracepoints(UniqueFd root) : root_(std::move(root)) {}
  Result<unsigned long> id_of(std::string_view name) const;

  UniqueFd root_;
};

// Probes at a place of a file, in every process that maps it. `path` must lead to the file in this
// process's view, /proc/self/fd/N included.
class Uprobes {
 public:
  static Result<Uprobes> open();

  Result<UniqueFd> attach(int program_fd, const std::string& path, std::uint64_t offset,
                          bool is_return) const;

 private:
  std::uint32_t type_ = 0;        // of the kernel's event source
  std::uint64_t return_bit_ = 1;  // in its configuration
};

}  // namespace cicd
