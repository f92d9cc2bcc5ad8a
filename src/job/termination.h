// SPDX-License-Identifier: Apache-2.0
// Termination: ends every process of a job, and nothing else. The Scope decides (a rule with the
// action `terminate` fired), whoever owns the job's cgroup executes.
//
// How: the cgroup is frozen at once, so that nothing in it does another step; then cgroup.kill, or,
// where it is missing (before 5.14) or the cgroup holds somebody who is not to die, each process
// through a pidfd; the job's containers the same way (container_end.h); and each process that is
// elsewhere through a pidfd whose start time was compared, so that a pid given away is never hit.
// Again until nothing of the job lives: processes outside can fork while they are hunted.
//
// Who belongs to the job is decided by cgroup: a process that somebody moved into it dies with it.
// Only the sensor's own processes do not; they are moved out first.
//
// Threads: strike() from any thread, it freezes and returns; the hunt has a thread of its own, with
// a raised priority, so that a fork bomb cannot starve it. Lifetime: what `tracked` uses must
// outlive the Terminator.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/worker.h"
#include "job/container_end.h"
#include "job/job_cgroup.h"
#include "kernel/tracked_process.h"

namespace cicd {

struct TerminationTarget {
  TerminationTarget() = default;  // of a job that has no cgroup of its own
  explicit TerminationTarget(JobCgroup group) : cgroup(std::move(group)) {}

  std::optional<JobCgroup> cgroup;
  std::string cgroup_path;      // of it, below the v2 root
  bool is_made_for_job = true;  // false: it may hold processes that are not the job's
  std::string refuge_dir;       // cgroup that the sensor's own processes are moved to
  std::vector<pid_t> own;       // the sensor's own processes
  // The job's processes, inside and outside; empty when they cannot be told. Called on the hunting
  // thread.
  std::function<std::vector<TrackedProcess>()> tracked;
  // Cgroups elsewhere that hold only the job's, at the moment; null: none. On any thread.
  ContainerEnd::Find containers;
  bool may_use_kill_file = true;
  std::chrono::milliseconds limit{10'000};  // how long to hunt
};

// What is in the cgroup at one moment, and what is to be done about it.
struct TerminationPlan {
  bool kills_cgroup = false;            // freeze and cgroup.kill: only the job's are in it
  std::vector<pid_t> inside;            // to be signalled one by one
  std::vector<TrackedProcess> escaped;  // tracked, not in the cgroup
};
// `in_cgroup` sorted; a 0 in it is a process that this pid namespace does not show.
TerminationPlan plan_termination(const std::vector<pid_t>& in_cgroup,
                                 const std::vector<TrackedProcess>& tracked,
                                 const TerminationTarget& target);

struct TerminationReport {
  std::uint64_t processes = 0;  // that were ended inside the cgroup, as far as they were counted
  std::uint64_t escaped = 0;    // that were ended outside
  std::uint64_t left = 0;       // that lived at the end of the hunt (uninterruptible sleep)
  std::chrono::nanoseconds duration{};  // from strike() to the end of the last one
  bool used_kill_file = false;
};

// SIGKILL to this process if it still is the one that started then. False: it is gone.
bool kill_tracked(const TrackedProcess& process);

class Terminator {
 public:
  explicit Terminator(TerminationTarget target);
  ~Terminator() = default;
  Terminator(const Terminator&) = delete;
  Terminator& operator=(const Terminator&) = delete;

  // Freezes the job and starts the hunt, on a thread of its own; false when that was done before.
  bool strike();
  bool is_struck() const { return is_struck_.load(std::memory_order_acquire); }
  // Nothing of the job lives, or the limit is over.
  bool is_done() const { return is_done_.load(std::memory_order_acquire); }
  void wait() const { is_done_.wait(false, std::memory_order_acquire); }
  TerminationReport report() const { return report_; }  // once it is done

 private:
  using Clock = std::chrono::steady_clock;

  void hunt();
  void begin();
  void kill_inside(const TerminationPlan& plan);
  void kill_escaped(const std::vector<TrackedProcess>& escaped);
  bool round();
  bool is_populated() const;
  // Sorted: who is in the job's own cgroup.
  std::vector<pid_t> members() const;
  std::size_t count_alive() const;

  TerminationTarget target_;
  std::atomic<bool> is_claimed_ = false;
  std::atomic<bool> is_struck_ = false;
  std::atomic<bool> is_done_ = false;
  Clock::time_point struck_at_{};
  ContainerEnd containers_;
  bool is_whole_ = false;                  // nobody in the cgroup is spared
  std::vector<pid_t> frozen_;              // who was in the cgroup at the beginning, sorted
  std::vector<pid_t> contained_;           // who was in containers that were ended, sorted
  std::vector<TrackedProcess> signalled_;  // outside, sorted
  Clock::time_point next_sweep_{};
  TerminationReport report_;
  Worker worker_;  // last: it uses all of the above
};

}  // namespace cicd
