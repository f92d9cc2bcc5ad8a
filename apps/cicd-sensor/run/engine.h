// SPDX-License-Identifier: Apache-2.0
// Engine: the pipeline of one job: samples from an EventSource, through the journal and the
// tracker, to the Job's worker. It knows nothing of processes and signals around it
// (engine_process.h does).
//
// Thread: one, the pipeline thread; the Job has a worker of its own. Order in a step: samples are
// handed out, journalled and tracked; the block is written; only then the kernel side gets its room
// back. So an engine that dies at any moment is continued from its journal without a loss.
// Backpressure: while the worker is far behind, samples wait in the rings instead of the queue.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "job/job.h"
#include "job/monitoring_gap.h"
#include "kernel/event_source.h"
#include "kernel/recording.h"
#include "track/tracker.h"

namespace cicd {

struct EngineSettings {
  JobOptions job;
  std::uint32_t slot = 1;
  std::uint64_t root_cgroup_id = 0;
  std::string root_path;                     // of the job's cgroup below the v2 root
  std::unique_ptr<ProcReader> proc_reader;   // null: what was not seen stays unknown
  std::function<RingPositions()> positions;  // of the source, after a poll; may be empty
  std::function<void()> beat;                // whenever it got on; may be empty
};

class Engine {
 public:
  Engine(EventSource& source, EngineSettings settings);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Everything a recording holds goes through tracker and job, not into the journal. Damage ends it
  // there and is said by the answer; the blocks before count.
  Result<void> replay(RecordingReader& recording);
  // From now on every step is recorded.
  void set_journal(RecordingWriter journal) { journal_ = std::move(journal); }
  void add_gap(const MonitoringGap& gap);
  // Whose exit is the end of the command.
  void set_command(pid_t pid) { command_pid_ = pid; }

  // A replay does not know the command: it is the first process that shows.
  void follow_first_process() { follows_first_ = true; }

  // Takes what is there, waiting up to `max_wait` when there is nothing; how many samples.
  Result<std::size_t> step(std::chrono::milliseconds max_wait);
  // Steps until nothing comes any more, at most `limit` long.
  Result<void> drain(std::chrono::milliseconds limit);
  // Waits until the worker has handled all that it was given.
  void settle() const;

  // Wait status of the command, from its exit event.
  std::optional<int> command_status() const { return command_status_; }
  // Arguments of the process that is followed; empty when it ran no program.
  const std::vector<std::string>& first_command() const { return first_command_; }
  // CLOCK_REALTIME of the first and the latest record; 0 before there is one.
  std::uint64_t first_time_ns() const { return first_time_ns_; }
  std::uint64_t last_time_ns() const { return last_time_ns_; }
  // Why the journal ended before the job, when it did; steps go on without it.
  const std::optional<Error>& journal_error() const { return journal_error_; }
  JobProgress progress() const { return job_.progress(); }
  JobActivity activity() const { return tracker_.activity(settings_.slot); }

  // Samples that did not come through the rings.
  void add(std::span<const cicd_sample_egress> samples);

  // Ends the job. Fills in what the engine knows: losses, coverage, number of processes.
  JobSummary finish(Job::End end);

 private:
  void handle(SampleBytes sample);
  void submit_batch();
  void wait_for_worker() const;
  void beat() const {
    if (settings_.beat) settings_.beat();
  }
  void look_for_command();
  void look_for_command_exit();

  EventSource& source_;
  EngineSettings settings_;
  Tracker tracker_;
  Job job_;
  std::unique_ptr<EventBatch> batch_;
  std::optional<RecordingWriter> journal_;
  std::optional<Error> journal_error_;
  std::uint64_t submitted_ = 0;
  pid_t command_pid_ = 0;
  std::optional<int> command_status_;
  bool follows_first_ = false;
  std::vector<std::string> first_command_;
  std::uint64_t first_time_ns_ = 0;
  std::uint64_t last_time_ns_ = 0;
};

}  // namespace cicd
