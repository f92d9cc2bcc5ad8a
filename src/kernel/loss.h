// SPDX-License-Identifier: Apache-2.0
// LossReport: what was lost on the way, by reason. "No event" may only mean "nothing happened", so
// every place that can lose something adds to one of these and every output shows it.
// Pure data; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cicd {

struct LossEntry {
  std::string what;    // event type or resource: "file_open", "process_exec", "tracked_cgroups"
  std::string reason;  // "ring_full", "recursion", "queue_full", "map_full", "output_error", ...
  std::uint64_t count = 0;
};

struct LossReport {
  std::vector<LossEntry> entries;      // only counts above zero
  std::uint64_t repeated_sendmsg = 0;  // datagrams not reported one by one; no loss
  std::uint64_t repeated_acts = 0;     // ptrace, memory_read, bpf_use, ...: likewise
  std::uint64_t repeated_opens = 0;    // of files that the same program had opened that way before
  std::uint64_t slowed_acts = 0;       // that waited because a ring was half full; no loss

  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const LossEntry& entry : entries) sum += entry.count;
    return sum;
  }
};

}  // namespace cicd
