// SPDX-License-Identifier: Apache-2.0
// ViolationMerger: repeats of a violation become one row with a count. The first one of a (process,
// what it did) is told at once, later ones together after kMergeWindowNs; what is told sums up to
// what happened, to the last one, as long as the owner calls take_due() at the end.
//
// Thread: the job's worker. A violation that is told points into the record it was made from, or,
// when it is told later, into the merger: use it before the next call.
// Memory: kMaxMerged entries, which are reused; none is allocated for a repeat. When all are taken
// the one that was told first makes room, with what it had pending.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/function_ref.h"
#include "egress/violation.h"

namespace cicd {

inline constexpr std::size_t kMaxMerged = 1'024;
inline constexpr std::uint64_t kMergeWindowNs = 10'000'000'000;

class ViolationMerger {
 public:
  using Tell = FunctionRef<void(const Violation& violation)>;

  void add(const Violation& violation, Tell tell);
  // Tells what is pending and whose window is over at `now_ns` (the clock of EventRecord::time_ns);
  // UINT64_MAX: all.
  void take_due(std::uint64_t now_ns, Tell tell);

 private:
  struct Entry {
    std::string key;
    EventRecord record;  // of the latest repeat, without its fields
    Violation violation;
    std::string host, ip, protocol;  // what `violation` points to
    std::uint64_t told_ns = 0;
    std::uint64_t count = 0, bytes = 0, packets = 0;  // pending
  };
  using Entries = std::list<Entry>;  // in the order of told_ns

  void tell_pending(Entry& entry, Tell tell);
  Entry& take_entry(Tell tell);

  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> by_key_;
  std::string key_;
  std::uint64_t pending_ = 0;  // of all entries
};

}  // namespace cicd
