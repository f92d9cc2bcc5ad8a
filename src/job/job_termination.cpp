// SPDX-License-Identifier: Apache-2.0
#include "job/job_termination.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "base/time_format.h"

namespace cicd {

bool is_in_initial_pid_namespace() {
  constexpr ino_t kInitialPidNamespace = 0xEFFFFFFC;
  struct stat own{};
  return ::stat("/proc/self/ns/pid", &own) == 0 && own.st_ino == kInitialPidNamespace;
}

JobTermination::JobTermination(TerminationTarget target,
                               std::function<void(const TerminationCause&)> on_strike)
    : on_strike_(std::move(on_strike)), terminator_(std::move(target)) {}

void JobTermination::strike(const TerminationCause& cause) {
  {
    // Whoever sees that it was struck finds the cause.
    const std::lock_guard lock(mutex_);
    if (cause_) return;
    cause_ = cause;
  }
  terminator_.strike();
  if (on_strike_) on_strike_(cause);
}

void JobTermination::hit(const CompiledRule& rule) {
  if (is_struck()) return;
  strike({rule.ruleset_id, rule.rule.rule_id, realtime_now_ns()});
}

void JobTermination::resume(const TerminationCause& cause) { strike(cause); }

TerminationCause JobTermination::cause() const {
  const std::lock_guard lock(mutex_);
  return cause_.value_or(TerminationCause{});
}

TerminationSummary JobTermination::summary() const {
  const TerminationCause why = cause();
  const TerminationReport report = terminator_.report();
  TerminationSummary out;
  out.ruleset_id = why.ruleset_id;
  out.rule_id = why.rule_id;
  out.time_ns = why.time_ns;
  out.duration_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(report.duration).count());
  out.processes = report.processes;
  out.escaped_processes = report.escaped;
  out.processes_left = report.left;
  out.method = report.used_kill_file ? "cgroup.kill" : "signals";
  return out;
}

}  // namespace cicd
