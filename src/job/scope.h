// SPDX-License-Identifier: Apache-2.0
// Scope: one owner's view of a job: its rules, counts, caps, observations and rows. A project
// scope is all there is here; the host scope comes with the agent and shares nothing with it.
//
// Thread: the job's worker; summarize() once the worker has ended. Order per record: observations,
// the event's row, then its hits, in the order of the rules, then correlations they make true.
// Steady state: no allocation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "job/observations.h"
#include "job/scope_sink.h"
#include "job/summary.h"
#include "rule/program.h"

namespace cicd {

// A rule with the action `terminate` fired: the job is to be ended. Called on the worker, before
// the hit's row, at every hit; it must not block.
using TerminateHandler = std::function<void(const EventRecord& record, const CompiledRule& rule)>;

class Scope {
 public:
  // Each may be null: no rules, no rows, nobody who ends the job. `evaluator` is one of `program`.
  Scope(std::shared_ptr<const Program> program, std::unique_ptr<Evaluator> evaluator,
        std::unique_ptr<ScopeSink> sink, TerminateHandler on_terminate = {});

  void handle(const EventRecord& record);
  // End of a batch: rows are handed on.
  void flush();

  std::uint64_t events() const { return events_total_; }
  std::uint64_t detections() const { return detections_; }  // hits of detect and terminate
  LossReport sink_losses() const;

  // Fills in what the scope knows: rule sets, detections, observations, events, result, and the
  // sink's losses (added to those that are there).
  void summarize(JobSummary& summary) const;

 private:
  struct Hits {
    std::uint64_t count = 0;
    std::uint64_t first_seen = 0;  // order among all hits
    std::vector<AlertSummary> alerts;
  };
  void hit(const EventRecord& record, std::uint32_t rule_index);

  std::shared_ptr<const Program> program_;
  std::unique_ptr<Evaluator> evaluator_;
  CorrelationState correlations_;
  std::unique_ptr<ScopeSink> sink_;
  TerminateHandler on_terminate_;
  Observations observations_;
  std::vector<Hits> hits_;  // indexed as Program::rules()
  std::vector<std::uint64_t> events_by_type_;
  std::uint64_t events_total_ = 0;
  std::uint64_t detections_ = 0;
  std::uint64_t hits_total_ = 0;
};

// Adds `more` to `losses`, one entry per (what, reason).
void merge_losses(LossReport& losses, const LossReport& more);

}  // namespace cicd
