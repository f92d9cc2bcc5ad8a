// SPDX-License-Identifier: Apache-2.0
// ProcessTraces: processes that observations name, each with the programs it descends from and
// without arguments. An ancestor that many share is kept once, and so is the path of a program; a
// Process would hold the command lines of its whole chain for as long as the job runs.
//
// ProcessTraces is pure data, copied into a summary. ProcessTraceTable belongs to the job's worker;
// it allocates only for a process that it does not know, and never beyond the limits below.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "event/process.h"

namespace cicd {

inline constexpr std::size_t kMaxTraces = 16'384;
inline constexpr std::size_t kMaxTracePathBytes = std::size_t{1} << 20;

struct ProcessTraces {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Trace {
    std::uint32_t pid = 0;
    std::uint32_t path = 0;           // in `paths`
    std::uint32_t parent = kNone;     // in `traces`
    std::uint64_t start_time_ns = 0;  // CLOCK_BOOTTIME
  };
  std::vector<Trace> traces;
  std::vector<std::string> paths;

  const std::string& exec_path(std::uint32_t trace) const { return paths[traces[trace].path]; }
};

class ProcessTraceTable {
 public:
  // The trace of this picture of a process, made when there is none; kNone: there is no room.
  std::uint32_t find_or_add(const Process& process);

  const ProcessTraces& data() const { return data_; }

 private:
  std::uint32_t find(const Process& process) const;  // kNone: it has none
  std::uint32_t add(const Process& process, std::uint32_t parent);
  std::uint32_t path_of(const std::string& path);  // kNone: no room

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  ProcessTraces data_;
  std::unordered_map<std::uint64_t, std::uint32_t> by_id_;  // Process::id -> trace
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> paths_;
  std::size_t path_bytes_ = 0;
};

}  // namespace cicd
