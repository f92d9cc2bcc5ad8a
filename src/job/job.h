// SPDX-License-Identifier: Apache-2.0
// Job: one CI job under observation. Owns identity, metadata, one worker thread with a bounded
// queue of event batches, and its scopes: the host's (who runs the machine) and the project's (who
// wrote the workflow). The rules of both are evaluated in one pass; each scope gets its own hits.
//
// Threads: submit() from the pipeline thread; attach_project(), snapshot() and progress() from any;
// everything that touches a scope runs on the worker; finish() joins it. Order: start, submit...,
// finish once. Loss: when the queue is nearly full, file opens are dropped and counted; the last
// quarter is kept for process, cgroup and network records, which are dropped (and counted) only
// when it is really full.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "event/batch_pool.h"
#include "event/event_record.h"
#include "job/identity.h"
#include "job/scope.h"
#include "job/scope_sink.h"
#include "job/summary.h"
#include "rule/program.h"

namespace cicd {

// Records that wait for the workers of all jobs that share it, or are being handled.
using Backlog = std::atomic<std::size_t>;

struct JobOptions {
  JobIdentity identity;
  JobMetadata metadata;
  std::string runner_type = "machine";
  std::optional<ScopeOptions> host, project;
  // Of the programs of the host scope and the project scope (null: no rules), in this order; empty:
  // make_evaluator(link(...)). An agent shares what is linked between its jobs here. On the worker
  // too.
  using Programs = std::vector<std::shared_ptr<const Program>>;
  std::function<std::unique_ptr<Evaluator>(const Programs& programs)> evaluator;
  std::size_t queue_records = 65'536;
  // Null: the job has one of its own. An agent's jobs share one.
  std::shared_ptr<BatchPool> batches;
  std::shared_ptr<Backlog> backlog;
};

struct JobSummaries {
  std::optional<JobSummary> host, project;  // of the scopes that there are
};

// Live figures for a progress line.
struct JobProgress {
  std::uint64_t events = 0;
  std::uint64_t detections = 0;
  std::uint64_t dropped = 0;
};

class Job {
 public:
  explicit Job(JobOptions options);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // A cleared batch to fill, recycled when there is one. Pipeline thread.
  std::unique_ptr<EventBatch> take_batch();
  // Hands a filled batch over. Never blocks.
  void submit(std::unique_ptr<EventBatch> batch);

  // Gives a job the project scope that it does not have; it sees what is submitted from now on and
  // may see what waits in the queue. False: it has one.
  bool attach_project(ScopeOptions options);
  bool has_scope(ScopeKind kind) const;  // any thread

  JobProgress progress() const;  // any thread; of both scopes together

  // What only the caller knows of the end of the job; the rest the scope fills in.
  struct End {
    std::string finalize_reason;
    std::uint64_t start_time_ns = 0, end_time_ns = 0;
    std::vector<std::string> command;
    int command_status = 0;
    bool command_known = false;
    LossReport source_losses;  // kernel, tracker
    std::vector<Coverage> coverage;
    std::uint64_t processes_total = 0, processes_left = 0, sensor_restarts = 0;
    std::vector<std::string> problems;  // of the monitoring, one sentence each
    std::optional<EgressKernelTotals> egress_totals;
    std::vector<FlowTraffic> flows;
  };
  // What a scope has found so far, given on the worker when all that was submitted before is dealt
  // with; its part of a batch, a few milliseconds at most, waits meanwhile. False: the job has
  // ended. Trap: each call waits in the queue, which does not bound them; the caller must.
  using SnapshotHandler = std::function<void(JobSummary summary)>;
  bool snapshot(ScopeKind kind, End end, SnapshotHandler handler);

  // Drains the queue, joins the worker.
  JobSummaries finish(const End& end);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cicd
