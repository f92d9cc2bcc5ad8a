// SPDX-License-Identifier: Apache-2.0
// JobTermination: what a hit of a rule with the action `terminate` does: strikes
// (job/termination.h), tells whoever owns the job, and keeps what the summary says of it.
//
// Threads: hit() on the job's worker, everything else on the owner's thread. Lifetime: outlives the
// Job whose worker calls it.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "event/event_record.h"
#include "job/summary.h"
#include "job/termination.h"
#include "rule/program.h"

namespace cicd {

// Which rule it was, and when.
struct TerminationCause {
  std::string ruleset_id;
  std::string rule_id;
  std::uint64_t time_ns = 0;  // CLOCK_REALTIME
};

// Events have pids of the initial namespace; in another one the same number is another process.
bool is_in_initial_pid_namespace();

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
