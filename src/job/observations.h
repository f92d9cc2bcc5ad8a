// SPDX-License-Identifier: Apache-2.0
// Observations: what a scope remembers of all events for its summary: programs, destinations,
// names asked for, sensitive files, and which processes it were. Each kind is capped at
// kMaxObservations, processes at kMaxObservedProcesses an entry; what comes on top is counted.
// Thread: the job's worker. Allocates only when something is seen for the first time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "egress/violation.h"
#include "event/event_record.h"
#include "job/process_traces.h"
#include "job/summary.h"

namespace cicd {

inline constexpr std::size_t kMaxObservations = 1'000;
inline constexpr std::size_t kMaxObservedProcesses = 10;

class Observations {
 public:
  void add(const EventRecord& record);
  void add(const Violation& violation);

  // Most used first, then by name: the same job gives the same lists.
  std::vector<ProgramUse> programs() const;
  std::vector<DestinationUse> destinations() const;
  std::vector<DomainUse> domains() const;
  std::vector<SensitiveFileUse> sensitive_files() const;  // by path
  std::vector<ViolationUse> violations() const;
  const ProcessTraces& traces() const { return traces_.data(); }
  // Events that belong to something beyond the caps.
  std::uint64_t overflow() const { return overflow_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  template <typename V>
  using Map = std::unordered_map<std::string, V, Hash, std::equal_to<>>;

  void add_program(const EventRecord& record);
  void add_destination(const EventRecord& record);
  void add_domain(const EventRecord& record);
  void add_open(const EventRecord& record);
  void add_process(ProcessUse& use, const Process& process);
  // The entry of `key`, made when there is room; null (and counted) when there is none.
  template <typename V>
  V* entry(Map<V>& map, std::string_view key, bool& is_new);

  Map<std::uint64_t> programs_;
  Map<DestinationUse> destinations_;  // "protocol port address domain"
  Map<DomainUse> domains_;
  Map<SensitiveFileUse> sensitive_files_;
  Map<ViolationUse> violations_;  // "verdict reason protocol port address host rule"
  ProcessTraceTable traces_;
  std::string key_;
  std::uint64_t overflow_ = 0;
};

// Gives each destination its traffic; of those with several names the first. Traffic with another
// address makes a destination of its own, as long as there is room in the list.
void add_traffic(std::vector<DestinationUse>& destinations, const std::vector<FlowTraffic>& flows);

}  // namespace cicd
