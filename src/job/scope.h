// SPDX-License-Identifier: Apache-2.0
// Scope: one owner's view of a job: its rules, counts, caps, observations and rows. A job has up to
// two, the host's and the project's, which share nothing; the Job evaluates the rules of both at
// once and gives each scope its own hits.
//
// Thread: the job's worker, or once that has ended any. Order per record: observations,
// the event's row, what its egress policy says, then its hits, in the order of the rules, then
// correlations they make true.
// Steady state: no allocation.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "egress/scope_egress.h"
#include "egress/violation_merger.h"
#include "job/observations.h"
#include "job/scope_sink.h"
#include "job/summary.h"
#include "rule/program.h"

namespace cicd {

// A rule with the action `terminate` fired: the job is to be ended. Called on the worker, before
// the hit's row, at every hit; it must not block.
using TerminateHandler = std::function<void(const EventRecord& record, const CompiledRule& rule)>;

struct ScopeOptions {
  std::shared_ptr<const Program> program;  // null: no rules
  std::unique_ptr<ScopeSink> sink;         // null: no rows
  TerminateHandler on_terminate;           // null: hits of `terminate` are only detections
  std::uint64_t rule_warnings = 0;         // that compiling the program gave
  ScopeEgress egress;                      // no policy: nothing is a violation
  ScopeKind kind = ScopeKind::kProject;
};

class Scope {
 public:
  explicit Scope(ScopeOptions options);

  // `fired`: indices of the rules of `program` that the record fires, correlations aside.
  void handle(const EventRecord& record, std::span<const std::uint32_t> fired);
  // End of a batch: rows are handed on.
  void flush();
  // No record comes any more: what waits for repeats is told.
  void end();

  std::uint64_t events() const { return events_total_; }
  std::uint64_t detections() const { return detections_; }  // hits of detect and terminate
  std::uint64_t violations() const { return violations_total_; }
  LossReport sink_losses() const;

  const std::shared_ptr<const Program>& program() const { return program_; }

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
  void judge(const EventRecord& record);
  void tell_due(std::uint64_t now_ns);
  void summarize_egress(JobSummary& summary) const;

  std::shared_ptr<const Program> program_;
  std::uint64_t rule_warnings_ = 0;
  CorrelationState correlations_;
  std::unique_ptr<ScopeSink> sink_;
  TerminateHandler on_terminate_;
  EgressJudge judge_;
  PolicyRef policy_ref_;  // of judge_
  ViolationMerger merger_;
  std::array<EgressReasonCounts, kEgressVerdictCount> violations_{};
  std::uint64_t violations_total_ = 0;
  std::uint64_t last_time_ns_ = 0;  // of a record
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
