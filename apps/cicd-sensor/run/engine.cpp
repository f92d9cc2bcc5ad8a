// SPDX-License-Identifier: Apache-2.0
#include "run/engine.h"

#include <thread>
#include <utility>

#include "job/ci_platform.h"

namespace cicd {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Half of the Job's queue: more waits in the rings, where there is room as well.
constexpr std::uint64_t kMaxBacklogRecords = 32'768;
// One poll can bring more than the queue holds; it is handed on in parts.
constexpr std::size_t kMaxBatchRecords = 8'192;
constexpr milliseconds kWorkerPause{1};
// A worker that hangs (a disk that does not answer) must not stop the pipeline for ever; the Job's
// queue then drops and counts.
constexpr milliseconds kLongestWorkerWait{2000};

}  // namespace

Engine::Engine(EventSource& source, EngineSettings settings)
    : source_(source),
      settings_(std::move(settings)),
      tracker_(source.clock(), {.proc_reader = std::move(settings_.proc_reader),
                                .limits = {},
                                .step_of = step_of_start}),
      job_(std::move(settings_.job)),
      batch_(job_.take_batch()) {
  tracker_.register_job(settings_.slot, settings_.root_cgroup_id, settings_.root_path);
}

void Engine::handle(SampleBytes sample) {
  tracker_.handle(sample, [this](std::uint32_t slot) -> EventBatch* {
    return slot == settings_.slot ? batch_.get() : nullptr;
  });
  if (batch_->records.size() < kMaxBatchRecords) return;
  submit_batch();
  wait_for_worker();
}

void Engine::look_for_command() {
  if (!follows_first_ || !first_command_.empty()) return;
  for (const EventRecord& record : batch_->records) {
    if (record.type != EventType::kProcessExec) continue;
    command_pid_ = static_cast<pid_t>(record.process->pid);
    first_command_ = record.process->image->argv;
    return;
  }
}

void Engine::look_for_command_exit() {
  if (command_pid_ == 0 || command_status_) return;
  for (const EventRecord& record : batch_->records) {
    if (record.type != EventType::kProcessExit) continue;
    if (record.process->pid != static_cast<std::uint32_t>(command_pid_)) continue;
    const auto code = static_cast<int>(record.number(field::process_exit::kExitCode));
    const auto signal = static_cast<int>(record.number(field::process_exit::kSignal));
    command_status_ = signal != 0 ? signal : code << 8;
    return;
  }
}

void Engine::submit_batch() {
  if (batch_->records.empty()) return;
  look_for_command();
  look_for_command_exit();
  if (first_time_ns_ == 0) first_time_ns_ = batch_->records.front().time_ns;
  last_time_ns_ = batch_->records.back().time_ns;
  submitted_ += batch_->records.size();
  job_.submit(std::move(batch_));
  batch_ = job_.take_batch();
}

void Engine::wait_for_worker() const {
  const auto start = steady_clock::now();
  for (;;) {
    const JobProgress progress = job_.progress();
    const std::uint64_t handled = progress.events + progress.dropped;
    if (submitted_ < handled + kMaxBacklogRecords) return;
    if (steady_clock::now() - start > kLongestWorkerWait) return;
    std::this_thread::sleep_for(kWorkerPause);
  }
}

void Engine::settle() const {
  std::uint64_t before = 0;
  for (;;) {
    const JobProgress progress = job_.progress();
    const std::uint64_t handled = progress.events + progress.dropped;
    if (handled >= submitted_) return;
    if (handled != before) beat();
    before = handled;
    std::this_thread::sleep_for(kWorkerPause);
  }
}

Result<void> Engine::replay(RecordingReader& recording) {
  for (;;) {
    beat();
    CICD_ASSIGN(const auto block, recording.next_block());
    if (!block) return {};
    wait_for_worker();
    for (const SampleBytes sample : *block) handle(sample);
    submit_batch();
  }
}

void Engine::add_gap(const MonitoringGap& gap) {
  add_gap_record(*batch_, gap, source_.clock(), settings_.root_cgroup_id);
  submit_batch();
}

Result<std::size_t> Engine::step(milliseconds max_wait) {
  beat();
  wait_for_worker();
  CICD_ASSIGN(const std::size_t count, source_.poll(max_wait, [this](SampleBytes sample) {
    if (journal_) journal_->append(sample);
    handle(sample);
  }));
  submit_batch();
  if (count == 0) return count;
  if (journal_) {
    const auto written =
        journal_->end_block(settings_.positions ? settings_.positions() : RingPositions{});
    if (!written) {
      journal_error_ = written.error();
      journal_.reset();
    }
  }
  source_.commit();
  return count;
}

Result<void> Engine::drain(milliseconds limit) {
  const auto end = steady_clock::now() + limit;
  while (steady_clock::now() < end) {
    CICD_ASSIGN(const std::size_t count, step(milliseconds(0)));
    if (count == 0) return {};
  }
  return {};
}

void Engine::add(std::span<const cicd_sample_egress> samples) {
  for (const cicd_sample_egress& sample : samples) handle(std::as_bytes(std::span(&sample, 1)));
  submit_batch();
}

JobSummary Engine::finish(Job::End end) {
  if (auto losses = source_.losses(settings_.slot)) merge_losses(end.source_losses, *losses);
  merge_losses(end.source_losses, tracker_.losses(settings_.slot));
  end.coverage = source_.coverage();
  end.processes_total = activity().processes_seen;
  return std::move(job_.finish(end).project).value_or(JobSummary());
}

}  // namespace cicd
