// SPDX-License-Identifier: Apache-2.0
#include "job/job.h"

#include <array>
#include <mutex>
#include <utility>
#include <vector>

#include "base/bounded_queue.h"
#include "base/worker.h"
#include "job/scope.h"

namespace cicd {

namespace {

// Batches kept for reuse; a burst's other ones are given back.
constexpr std::size_t kMaxFreeBatches = 64;
// A batch that grew beyond this is not kept.
constexpr std::size_t kMaxKeptRecords = 16'384;

std::unique_ptr<Evaluator> evaluator_of(JobOptions& options) {
  if (options.evaluator || !options.program) return std::move(options.evaluator);
  return make_evaluator(options.program);
}

}  // namespace

struct Job::Impl {
  explicit Impl(JobOptions given)
      : options(std::move(given)),
        scope(options.program, evaluator_of(options), std::move(options.project_sink),
              std::move(options.on_terminate)),
        queue(options.queue_records) {
    free_batches.reserve(kMaxFreeBatches);
  }

  void run();
  void handle(const EventBatch& batch);
  void recycle(std::unique_ptr<EventBatch> batch);
  // Takes out of a batch what the queue has no room for, and counts it.
  void trim(EventBatch& batch);
  void count_dropped(EventType type, std::uint64_t count) {
    dropped[static_cast<std::size_t>(type)].fetch_add(count, std::memory_order_relaxed);
    dropped_total.fetch_add(count, std::memory_order_relaxed);
  }
  LossReport queue_losses() const;

  JobOptions options;
  Scope scope;  // the worker's
  BoundedQueue<std::unique_ptr<EventBatch>> queue;
  std::mutex free_mutex;
  std::vector<std::unique_ptr<EventBatch>> free_batches;

  std::array<std::atomic<std::uint64_t>, kEventTypeCount> dropped{};
  std::atomic<std::uint64_t> dropped_total = 0;
  std::atomic<std::uint64_t> events = 0;
  std::atomic<std::uint64_t> detections = 0;
  std::atomic<std::uint64_t> rows_lost = 0;
  Worker worker;  // last: it uses all of the above
};

void Job::Impl::run() {
  while (auto batch = queue.pop()) {
    const std::size_t weight = (*batch)->records.size();
    handle(**batch);
    recycle(std::move(*batch));
    queue.done(weight);
  }
}

void Job::Impl::handle(const EventBatch& batch) {
  for (const EventRecord& record : batch.records) scope.handle(record);
  scope.flush();
  events.store(scope.events(), std::memory_order_relaxed);
  detections.store(scope.detections(), std::memory_order_relaxed);
  rows_lost.store(scope.sink_losses().total(), std::memory_order_relaxed);
}

void Job::Impl::recycle(std::unique_ptr<EventBatch> batch) {
  if (batch->records.capacity() > kMaxKeptRecords) return;
  batch->reset();
  const std::lock_guard lock(free_mutex);
  if (free_batches.size() < kMaxFreeBatches) free_batches.push_back(std::move(batch));
}

void Job::Impl::trim(EventBatch& batch) {
  const std::size_t capacity = queue.capacity();
  const std::size_t opens_end = capacity - capacity / 4;
  std::size_t level = queue.load();
  if (level + batch.records.size() <= opens_end) return;
  std::size_t kept = 0;
  for (EventRecord& record : batch.records) {
    const std::size_t end = record.type == EventType::kFileOpen ? opens_end : capacity;
    if (level >= end) {
      count_dropped(record.type, 1);
      continue;
    }
    ++level;
    EventRecord& to = batch.records[kept++];
    if (&to != &record) to = std::move(record);
  }
  batch.records.resize(kept);
}

LossReport Job::Impl::queue_losses() const {
  LossReport report;
  for (std::size_t i = 0; i < kEventTypeCount; ++i) {
    const std::uint64_t count = dropped[i].load(std::memory_order_relaxed);
    if (count == 0) continue;
    report.entries.push_back({std::string(event_types()[i].name), "queue_full", count});
  }
  return report;
}

Job::Job(JobOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  impl_->worker.start("cicd-job", [impl = impl_.get()] { impl->run(); });
}

Job::~Job() { impl_->queue.close(); }

std::unique_ptr<EventBatch> Job::take_batch() {
  {
    const std::lock_guard lock(impl_->free_mutex);
    if (!impl_->free_batches.empty()) {
      std::unique_ptr<EventBatch> batch = std::move(impl_->free_batches.back());
      impl_->free_batches.pop_back();
      return batch;
    }
  }
  return std::make_unique<EventBatch>();
}

void Job::submit(std::unique_ptr<EventBatch> batch) {
  impl_->trim(*batch);
  const std::size_t weight = batch->records.size();
  if (weight == 0) return impl_->recycle(std::move(batch));
  // There is room: trim() made it fit, and only the worker changes the load meanwhile.
  if (impl_->queue.push(std::move(batch), weight)) return;
  // A push that fails has not moved. NOLINTNEXTLINE(bugprone-use-after-move)
  for (const EventRecord& record : batch->records) impl_->count_dropped(record.type, 1);
}

JobProgress Job::progress() const {
  return {impl_->events.load(std::memory_order_relaxed),
          impl_->detections.load(std::memory_order_relaxed),
          impl_->dropped_total.load(std::memory_order_relaxed) +
              impl_->rows_lost.load(std::memory_order_relaxed)};
}

JobSummary Job::finish(End end) {
  impl_->queue.close();
  impl_->worker.join();

  JobSummary summary;
  summary.identity = impl_->options.identity;
  summary.metadata = impl_->options.metadata;
  summary.runner_type = impl_->options.runner_type;
  summary.finalize_reason = std::move(end.finalize_reason);
  summary.start_time_ns = end.start_time_ns;
  summary.end_time_ns = end.end_time_ns;
  summary.command = std::move(end.command);
  summary.command_status = end.command_status;
  summary.command_known = end.command_known;
  summary.coverage = std::move(end.coverage);
  summary.processes_total = end.processes_total;
  summary.processes_left = end.processes_left;
  summary.sensor_restarts = end.sensor_restarts;
  merge_losses(summary.losses, end.source_losses);
  merge_losses(summary.losses, impl_->queue_losses());
  summary.problems = std::move(end.problems);
  impl_->scope.summarize(summary);
  summary.events_dropped = summary.losses.total();
  return summary;
}

}  // namespace cicd
