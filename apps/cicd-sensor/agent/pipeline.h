// SPDX-License-Identifier: Apache-2.0
// Pipeline: the thread that reads the rings for all jobs of an agent: samples -> Tracker -> each
// job's own batch -> its worker. Owns the tracker and, while it runs, the source.
//
// Every sample of a job is in the job's journal before its room in the rings is given back, so that
// an agent that is killed is continued by the next without a loss: restore() reads the journal, and
// what the rings still hold follows. A sample that is in a journal already is known by its place in
// the ring. One journal is not another's: each says how far it got.
//
// Threads: its own; run_between() from any other thread, which waits for its turn between two looks
// at the rings. Lifetime: the source outlives it. Without jobs it sleeps until it is asked
// something. Nothing is read before begin().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/process_notes.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "base/worker.h"
#include "job/job.h"
#include "job/monitoring_gap.h"
#include "kernel/live_source.h"
#include "kernel/recording.h"
#include "track/tracker.h"

namespace cicd {

// A job as the pipeline has it.
struct JobLane {
  std::uint32_t slot = 0;
  std::shared_ptr<Job> job;
  std::uint64_t cgroup_id = 0;
  std::string cgroup_path;
  std::unique_ptr<RecordingWriter> journal;  // null: nothing is kept for a next agent
  std::unique_ptr<ProcessNotes> notes;
  // The journal could not be written any further. On the pipeline's thread.
  std::function<void(const Error&)> on_journal_end = {};
};

// What is done when the journal has been read up to a place.
struct JournalStep {
  std::uint64_t at_bytes = 0;
  std::optional<MonitoringGap> gap = {};
  std::function<void()> act = {};
};

class Pipeline {
 public:
  // One look at the rings takes so many; the source is opened with it (LiveOptions::most_samples).
  static constexpr std::size_t kSamplesOfLook = 32'768;
  // Room in the queue of a job that is added.
  static constexpr std::size_t kQueueRecords = 131'072;
  // Memory for batches and journals that stays while there is something to do: what a look takes
  // and what may wait besides.
  static constexpr std::size_t kMostBlockBytes = std::size_t{48} << 20;

  // `on_failure`, on the pipeline's thread, once: the rings cannot be read any more.
  static Result<std::unique_ptr<Pipeline>> start(LiveSource& source,
                                                 std::function<void(const Error&)> on_failure);
  ~Pipeline();

  // From now on what happens in this cgroup and below goes to the job, and in those that will be
  // staged; cgroup 0: in these only. The first job attaches the hooks that are attached only while
  // there is one. `lane` is left as it was when that fails.
  Result<void> add(JobLane& lane);

  // Goes on with a job of an agent before this one: what its journal has, and then what comes. The
  // kernel side still has the slot when the source was adopted; else `cgroups`, which are the job's
  // still, are put under observation. An error says what is wrong with the journal; it is followed
  // up to there, and the job goes on.
  struct Restored {
    Result<void> journal;       // how far it could be read
    std::uint64_t last_ns = 0;  // CLOCK_REALTIME of the last record in it
  };
  Restored restore(JobLane& lane, const std::string& journal_path,
                   std::span<const JournalStep> steps, std::span<const LossEntry> losses_before);
  // For a source that was not adopted: the cgroups of the job that are known, and these.
  Result<void> watch(std::uint32_t slot, std::span<const std::uint64_t> cgroup_ids);
  void add_gap(std::uint32_t slot, const MonitoringGap& gap);

  // Begins to read the rings.
  void begin();
  // Calls `act` between two blocks of the job's journal, and says at which byte that is.
  std::uint64_t between_blocks(std::uint32_t slot, const std::function<void()>& act);
  // What the kernel side counts for all jobs together had been counted when this job began.
  std::vector<LossEntry> losses_before(std::uint32_t slot);

  struct Left {
    LossReport losses;  // of the kernel side and the tracker
    JobActivity activity;
    std::vector<Coverage> coverage;
    std::optional<EgressKernelTotals> egress_totals;
    std::vector<FlowTraffic> flows;
  };
  // Hands the job all that has happened up to now, then forgets the slot. Takes a while, which is
  // the caller's: other jobs have their turn meanwhile. The slot must not be added again before.
  Left remove(std::uint32_t slot);

  // Hands the job all that has happened up to now; what was lost of it.
  LossReport catch_up(std::uint32_t slot);

  // LiveSource::report_opens_anew
  Result<void> report_opens_anew();
  // LiveSource::stage_cgroup; `is_new`: and adopt_earlier.
  Result<std::optional<EarlierCgroup>> stage(std::uint32_t slot, const std::string& basename,
                                             bool is_new);
  // LiveSource::give_builds
  Result<void> give_builds(std::uint64_t parent_id, bool are_among_others, std::uint32_t slot);

  // Of all jobs that are added; their workers count in it what they have done.
  const std::shared_ptr<Backlog>& backlog() const { return backlog_; }
  const std::shared_ptr<BlockPool>& blocks() const { return blocks_; }

  std::vector<Coverage> coverage();
  // What was lost of a job before it reached the job's worker.
  std::uint64_t lost(std::uint32_t slot);

 private:
  struct Lane {
    std::shared_ptr<Job> job;
    std::uint64_t cgroup_id = 0;
    std::unique_ptr<RecordingWriter> journal;
    std::unique_ptr<ProcessNotes> notes;
    std::function<void(const Error&)> on_journal_end;
    bool has_block = false;             // samples that are not written yet
    RingPositions read_up_to;           // by an agent before this one
    std::unique_ptr<EventBatch> batch;  // null: nothing waits
    std::uint64_t submitted = 0;
    // What the kernel side counts for all jobs together (programs that were skipped), at its start.
    LossReport before;
  };

  explicit Pipeline(LiveSource& source);
  Pipeline(LiveSource& source, std::unique_ptr<NotingProcReader> proc_reader);
  void run_between(const std::function<void()>& task);
  void run();
  void run_tasks();
  Result<std::size_t> look(std::chrono::milliseconds max_wait);
  void handle(SampleBytes sample);
  void end_blocks();
  void end_journal(Lane& lane, const Error& error);
  void set_lane(JobLane& lane);
  Result<void> replay(std::uint32_t slot, RecordingReader& journal,
                      std::span<const JournalStep> steps, std::uint64_t& last_ns);
  void take(std::uint32_t slot, const JournalStep& step);
  void settle(std::uint32_t slot);
  EventBatch* batch_of(std::uint32_t slot);
  void submit_all();
  std::size_t look_again();
  void tell_untold(std::span<const cicd_sample_egress> untold);
  LossReport losses_of(std::uint32_t slot) const;
  void wait_for_workers();

  LiveSource& source_;
  std::function<void(const Error&)> on_failure_;
  UniqueFd wake_;
  bool has_started_ = false;
  // The pipeline's own.
  NotingProcReader* proc_reader_;  // the tracker's
  Tracker tracker_;
  std::vector<Lane> lanes_;             // by slot
  std::vector<std::uint32_t> busy_;     // slots with a batch
  std::vector<std::uint32_t> written_;  // slots with samples for their journal
  // Of all jobs, for batches and journals.
  const std::shared_ptr<BlockPool> blocks_ = std::make_shared<BlockPool>(kMostBlockBytes);
  const std::shared_ptr<Backlog> backlog_ = std::make_shared<Backlog>(0);
  bool is_reading_ = false;
  bool is_catching_up_ = false;  // some samples may be in a journal already
  std::size_t jobs_ = 0;
  bool has_failed_ = false;

  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  bool is_stopping_ = false;
  Worker worker_;  // last: it uses all of the above
};

}  // namespace cicd
