// SPDX-License-Identifier: Apache-2.0
// JobTermination: what a hit of a rule with the action `terminate` does to a run: strikes
// (job/termination.h), tells the front, and keeps what the summary says of it.
//
// Threads: hit() on the job's worker, everything else on the pipeline thread. Lifetime: outlives
// the Engine whose worker calls it; the source outlives it.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "event/event_record.h"
#include "job/summary.h"
#include "job/termination.h"
#include "kernel/live_source.h"
#include "rule/program.h"
#include "run/run_state.h"

namespace cicd {

// Which rule it was, and when.
struct TerminationCause {
  std::string ruleset_id;
  std::string rule_id;
  std::uint64_t time_ns = 0;  // CLOCK_REALTIME
};

// Events have pids of the initial namespace; in another one the same number is another process.
bool is_in_initial_pid_namespace();

// The job of a run, which made its cgroup itself. `front_pid`: the other process of the sensor.
Result<TerminationTarget> termination_target(const RunNames& names, const LiveSource& source,
                                             std::uint32_t slot, pid_t front_pid);

class JobTermination {
 public:
  // `on_strike` on the worker, once, right after the job was frozen.
  explicit JobTermination(TerminationTarget target,
                          std::function<void(const TerminationCause&)> on_strike = {});

  void hit(const CompiledRule& rule);
  // An engine before this one had struck.
  void resume(const TerminationCause& cause);

  bool is_struck() const { return terminator_.is_struck(); }
  bool is_done() const { return terminator_.is_done(); }
  void wait() const { terminator_.wait(); }
  TerminationCause cause() const;
  // Once it is done.
  TerminationSummary summary() const;

 private:
  void strike(const TerminationCause& cause);

  std::function<void(const TerminationCause&)> on_strike_;
  mutable std::mutex mutex_;
  std::optional<TerminationCause> cause_;
  Terminator terminator_;
};

}  // namespace cicd
