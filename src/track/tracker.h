// SPDX-License-Identifier: Apache-2.0
// Tracker: samples in, records of jobs out. Owns what is known of cgroups and processes: the
// process tree with a picture of each program that ran, which job a cgroup belongs to, and when a
// job has nothing left that runs.
//
// Thread: the pipeline thread only. Nothing of it is shared but the immutable Process pictures.
// Order traps: bulk samples (opens) can come after the exec or exit that followed them, because
// they travel in another ring; header.exec_id says which program they belong to, and ended
// processes are kept for a while (ProcessLimits).
// Samples of a slot that is not registered make no record and leave no trace.
//
// Opens and connects of known processes allocate nothing once the batch has grown to its size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "event/event_record.h"
#include "kernel/event_source.h"
#include "kernel/loss.h"
#include "track/proc_reader.h"
#include "track/process_table.h"

namespace cicd {

struct TrackerOptions {
  // Asked about processes whose start was not seen; null (replay): they stay unknown.
  std::unique_ptr<ProcReader> proc_reader;
  ProcessLimits limits;
  StepOf step_of = nullptr;  // null: no record has a step
};

struct JobActivity {
  std::uint64_t processes = 0;  // alive now, as far as samples tell: a lost exit leaves one
  std::uint64_t processes_seen = 0;
  std::uint64_t max_processes = 0;  // most alive at once
  std::uint64_t escaped = 0;        // tasks that left the job's cgroups
};

class Tracker {
 public:
  // How the tracker finds the batch that a job's records go to; null for a slot nobody wants.
  using BatchOf = FunctionRef<EventBatch*(std::uint32_t slot)>;

  explicit Tracker(ClockInfo clock, TrackerOptions options = {});
  ~Tracker();
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  // `slot`: 1 .. CICD_SLOTS_MAX - 1; others are ignored. `root_path` is below the v2 root ("/a/b").
  // Cgroup 0: the job has no root; its cgroups show up by their mkdir samples.
  void register_job(std::uint32_t slot, std::uint64_t root_cgroup_id, const std::string& root_path);
  // One that no mkdir sample tells of.
  void add_cgroup(std::uint32_t slot, std::uint64_t cgroup_id, const std::string& path);
  void remove_job(std::uint32_t slot);

  // Bytes of one sample. Malformed bytes are counted (loss reason "malformed"), never fatal.
  void handle(SampleBytes bytes, BatchOf batch_of);

  JobActivity activity(std::uint32_t slot) const;
  // Cgroups of a job that are known and were not removed, its root among them.
  std::vector<std::uint64_t> cgroups(std::uint32_t slot) const;
  // Losses inside the tracker for a slot: malformed samples, unknown processes. Slot 0: those of
  // samples that name no registered job.
  LossReport losses(std::uint32_t slot) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cicd
