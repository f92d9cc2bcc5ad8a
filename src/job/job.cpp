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

// Places of the scopes in a plan (rule/program.h).
constexpr auto kHost = static_cast<std::size_t>(ScopeKind::kHost);
constexpr auto kProject = static_cast<std::size_t>(ScopeKind::kProject);
constexpr std::size_t kScopes = 2;

struct SnapshotRequest {
  ScopeKind kind = ScopeKind::kHost;
  Job::End end;
  Job::SnapshotHandler handler;
};

// What the worker does next: one of the two.
struct Task {
  std::unique_ptr<EventBatch> batch;
  std::unique_ptr<SnapshotRequest> snapshot;  // weighs nothing
};

}  // namespace

struct Job::Impl {
  explicit Impl(JobOptions given) : options(std::move(given)), queue(options.queue_records) {
    if (options.host) options.host->kind = ScopeKind::kHost;
    if (options.host) scopes[kHost].emplace(std::move(*options.host));
    if (options.project) options.project->kind = ScopeKind::kProject;
    if (options.project) scopes[kProject].emplace(std::move(*options.project));
    if (!options.batches) {
      options.batches = std::make_shared<BatchPool>(std::make_shared<BlockPool>(kBatchBytes));
    }
    if (!options.backlog) options.backlog = std::make_shared<Backlog>(0);
    has_host = options.host.has_value();
    has_project = options.project.has_value();
    link_rules();
  }

  void link_rules();
  void attach_waiting_project();
  void run();
  void handle(const EventBatch& batch);
  void tell_progress();
  JobSummary summarize(std::size_t place, const End& end) const;
  // Takes out of a batch what the queue has no room for, and counts it.
  void trim(EventBatch& batch);
  void count_dropped(EventType type, std::uint64_t count) {
    dropped[static_cast<std::size_t>(type)].fetch_add(count, std::memory_order_relaxed);
    dropped_total.fetch_add(count, std::memory_order_relaxed);
  }
  LossReport queue_losses() const;

  JobOptions options;
  // The worker's.
  std::array<std::optional<Scope>, kScopes> scopes;
  std::unique_ptr<Evaluator> evaluator;             // null: no scope has rules
  std::array<std::uint64_t, kScopes> cut_before{};  // evaluations that earlier evaluators cut off

  bool has_host = false;  // from the start or never
  std::atomic<bool> has_project = false;
  std::atomic<bool> is_project_waiting = false;
  std::mutex project_mutex;
  std::optional<ScopeOptions> waiting_project;

  BoundedQueue<Task> queue;

  std::array<std::atomic<std::uint64_t>, kEventTypeCount> dropped{};
  std::atomic<std::uint64_t> dropped_total = 0;
  std::uint64_t handled = 0;  // the worker's
  std::atomic<std::uint64_t> events = 0;
  std::atomic<std::uint64_t> detections = 0;
  std::atomic<std::uint64_t> rows_lost = 0;
  Worker worker;  // last: it uses all of the above
};

void Job::Impl::link_rules() {
  JobOptions::Programs programs(kScopes);
  for (std::size_t place = 0; place < kScopes; ++place) {
    if (evaluator) cut_before[place] += evaluator->cut_evaluations(place);
    if (scopes[place]) programs[place] = scopes[place]->program();
  }
  evaluator.reset();
  if (!programs[kHost] && !programs[kProject]) return;
  evaluator =
      options.evaluator ? options.evaluator(programs) : make_evaluator(link(std::move(programs)));
}

void Job::Impl::attach_waiting_project() {
  if (!is_project_waiting.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(project_mutex);
  if (!waiting_project) return;
  waiting_project->kind = ScopeKind::kProject;
  scopes[kProject].emplace(std::move(*waiting_project));
  waiting_project.reset();
  is_project_waiting.store(false, std::memory_order_relaxed);
  link_rules();
}

void Job::Impl::run() {
  while (auto task = queue.pop()) {
    attach_waiting_project();
    if (const SnapshotRequest* request = task->snapshot.get()) {
      const auto place = static_cast<std::size_t>(request->kind);
      if (scopes[place]) request->handler(summarize(place, request->end));
      continue;
    }
    const std::size_t weight = task->batch->records.size();
    handle(*task->batch);
    options.batches->give(std::move(task->batch));
    queue.done(weight);
    options.backlog->fetch_sub(weight, std::memory_order_relaxed);
  }
  attach_waiting_project();
  for (std::optional<Scope>& scope : scopes) {
    if (scope) scope->end();
  }
  tell_progress();
}

void Job::Impl::handle(const EventBatch& batch) {
  for (const EventRecord& record : batch.records) {
    if (evaluator) evaluator->evaluate(record);
    for (std::size_t place = 0; place < kScopes; ++place) {
      if (!scopes[place]) continue;
      scopes[place]->handle(record,
                            evaluator ? evaluator->hits(place) : std::span<const std::uint32_t>());
    }
  }
  for (std::optional<Scope>& scope : scopes) {
    if (scope) scope->flush();
  }
  handled += batch.records.size();
  tell_progress();
}

void Job::Impl::tell_progress() {
  std::uint64_t found = 0, lost = 0;
  for (const std::optional<Scope>& scope : scopes) {
    if (!scope) continue;
    found += scope->detections();
    lost += scope->sink_losses().total();
  }
  events.store(handled, std::memory_order_relaxed);
  detections.store(found, std::memory_order_relaxed);
  rows_lost.store(lost, std::memory_order_relaxed);
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
  batch.records.shrink(kept);
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

std::unique_ptr<EventBatch> Job::take_batch() { return impl_->options.batches->take(); }

void Job::submit(std::unique_ptr<EventBatch> batch) {
  impl_->trim(*batch);
  const std::size_t weight = batch->records.size();
  if (weight == 0) return impl_->options.batches->give(std::move(batch));
  // There is room: trim() made it fit, and only the worker changes the load meanwhile.
  Task task{std::move(batch), nullptr};
  // Before the worker can have done with it.
  impl_->options.backlog->fetch_add(weight, std::memory_order_relaxed);
  if (impl_->queue.push(std::move(task), weight)) return;
  impl_->options.backlog->fetch_sub(weight, std::memory_order_relaxed);
  // A push that fails has not moved. NOLINTNEXTLINE(bugprone-use-after-move)
  for (const EventRecord& record : task.batch->records) impl_->count_dropped(record.type, 1);
}

JobProgress Job::progress() const {
  return {impl_->events.load(std::memory_order_relaxed),
          impl_->detections.load(std::memory_order_relaxed),
          impl_->dropped_total.load(std::memory_order_relaxed) +
              impl_->rows_lost.load(std::memory_order_relaxed)};
}

bool Job::attach_project(ScopeOptions options) {
  if (impl_->has_project.exchange(true)) return false;
  const std::lock_guard lock(impl_->project_mutex);
  impl_->waiting_project.emplace(std::move(options));
  impl_->is_project_waiting.store(true, std::memory_order_release);
  return true;
}

bool Job::snapshot(ScopeKind kind, End end, SnapshotHandler handler) {
  auto request = std::make_unique<SnapshotRequest>(kind, std::move(end), std::move(handler));
  return impl_->queue.push(Task{nullptr, std::move(request)}, 0);
}

bool Job::has_scope(ScopeKind kind) const {
  return kind == ScopeKind::kHost ? impl_->has_host : impl_->has_project.load();
}

JobSummary Job::Impl::summarize(std::size_t place, const End& end) const {
  JobSummary summary;
  summary.identity = options.identity;
  summary.metadata = options.metadata;
  summary.runner_type = options.runner_type;
  summary.finalize_reason = end.finalize_reason;
  summary.start_time_ns = end.start_time_ns;
  summary.end_time_ns = end.end_time_ns;
  summary.command = end.command;
  summary.command_status = end.command_status;
  summary.command_known = end.command_known;
  summary.coverage = end.coverage;
  summary.processes_total = end.processes_total;
  summary.processes_left = end.processes_left;
  summary.sensor_restarts = end.sensor_restarts;
  merge_losses(summary.losses, end.source_losses);
  merge_losses(summary.losses, queue_losses());
  summary.problems = end.problems;
  scopes[place]->summarize(summary);
  if (summary.egress) summary.egress->kernel_totals = end.egress_totals;
  add_traffic(summary.destinations, end.flows);
  const std::uint64_t cut = cut_before[place] + (evaluator ? evaluator->cut_evaluations(place) : 0);
  if (cut > 0) merge_losses(summary.losses, {.entries = {{"rule", "evaluation_cut", cut}}});
  summary.events_dropped = summary.losses.total();
  return summary;
}

JobSummaries Job::finish(const End& end) {
  impl_->queue.close();
  impl_->worker.join();
  JobSummaries summaries;
  if (impl_->scopes[kHost]) summaries.host = impl_->summarize(kHost, end);
  if (impl_->scopes[kProject]) summaries.project = impl_->summarize(kProject, end);
  return summaries;
}

}  // namespace cicd
