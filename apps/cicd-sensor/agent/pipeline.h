// SPDX-License-Identifier: Apache-2.0
// Pipeline: the thread that reads the rings for all jobs of an agent: samples -> Tracker -> each
// job's own batch -> its worker. Owns the tracker and, while it runs, the source.
//
// Threads: its own; run_between() from any other thread, which waits for its turn between two looks
// at the rings. Lifetime: the source outlives it. Without jobs it sleeps until it is asked
// something.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/worker.h"
#include "job/job.h"
#include "kernel/live_source.h"
#include "track/tracker.h"

namespace cicd {

class Pipeline {
 public:
  // `on_failure`, on the pipeline's thread, once: the rings cannot be read any more.
  static Result<std::unique_ptr<Pipeline>> start(LiveSource& source,
                                                 std::function<void(const Error&)> on_failure);
  ~Pipeline();

  // From now on what happens in this cgroup and below goes to `job`, and in those that will be
  // staged; cgroup 0: in these only. The first job attaches the hooks that are attached only while
  // there is one.
  Result<void> add(std::uint32_t slot, std::shared_ptr<Job> job, std::uint64_t cgroup_id,
                   const std::string& cgroup_path);

  struct Left {
    LossReport losses;  // of the kernel side and the tracker
    JobActivity activity;
    std::vector<Coverage> coverage;
  };
  // Hands the job all that has happened up to now, then forgets the slot.
  Left remove(std::uint32_t slot);

  // LiveSource::report_opens_anew
  Result<void> report_opens_anew();
  // LiveSource::stage_cgroup
  Result<void> stage(std::uint32_t slot, const std::string& basename);
  // Another cgroup of the job, that was made before it could be staged.
  Result<void> add_cgroup(std::uint32_t slot, std::uint64_t cgroup_id, const std::string& path);
  // What is made below this cgroup from now on is the slot's; 0: nobody's.
  Result<void> give_cgroup(std::uint64_t cgroup_id, std::uint32_t slot);

  std::vector<Coverage> coverage();

 private:
  struct Lane {
    std::shared_ptr<Job> job;
    std::unique_ptr<EventBatch> batch;  // null: nothing waits
    std::uint64_t submitted = 0;
    // What the kernel side counts for all jobs together (programs that were skipped), at its start.
    LossReport before;
  };

  explicit Pipeline(LiveSource& source);
  void run_between(const std::function<void()>& task);
  void run();
  void run_tasks();
  Result<std::size_t> look(std::chrono::milliseconds max_wait);
  EventBatch* batch_of(std::uint32_t slot);
  void submit_all();
  void wait_for_workers() const;

  LiveSource& source_;
  std::function<void(const Error&)> on_failure_;
  UniqueFd wake_;
  bool has_started_ = false;
  // The pipeline's own.
  Tracker tracker_;
  std::vector<Lane> lanes_;          // by slot
  std::vector<std::uint32_t> busy_;  // slots with a batch
  std::size_t jobs_ = 0;
  bool has_failed_ = false;

  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  bool is_stopping_ = false;
  Worker worker_;  // last: it uses all of the above
};

}  // namespace cicd
