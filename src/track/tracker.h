// SPDX-License-Identifier: Apache-2.0
// Tracker: samples in, records of jobs out. Owns what is known of cgroups and processes: the
// process tree with a picture of each program that ran, which job a cgroup belongs to, and when a
// job has nothing left that runs.
//
// Thread: the pipeline thread only. Nothing of it is shared but the immutable Process pictures.
// Order traps: bulk samples (opens) can come after the exec or exit that followed them, because
// they travel in another ring; header.exec_id says which program they belong to, and ended
// processes are kept for kExitedGrace.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/function_ref.h"
#include "base/result.h"
#include "event/event_record.h"
#include "kernel/event_source.h"
#include "kernel/loss.h"

namespace cicd {

struct JobActivity {
  std::uint64_t processes = 0;       // alive now
  std::uint64_t processes_seen = 0;
  std::uint64_t max_processes = 0;   // most alive at once
  std::uint64_t escaped = 0;         // tasks that left the job's cgroups
};

class Tracker {
 public:
  // How the tracker finds the batch that a job's records go to; null for a slot nobody wants.
  using BatchOf = FunctionRef<EventBatch*(std::uint32_t slot)>;

  explicit Tracker(ClockInfo clock);
  ~Tracker();
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  void register_job(std::uint32_t slot, std::uint64_t root_cgroup_id, std::string root_path);
  void remove_job(std::uint32_t slot);

  // Bytes of one sample. Malformed bytes are counted (loss reason "malformed"), never fatal.
  void handle(SampleBytes bytes, BatchOf batch_of);

  JobActivity activity(std::uint32_t slot) const;
  // Losses inside the tracker for a slot: malformed samples, unknown processes.
  LossReport losses(std::uint32_t slot) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cicd
