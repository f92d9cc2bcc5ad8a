// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "job/ci_platform.h"
#include "wire/loss.h"

namespace cicd {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A wait ends by itself only as seldom as this; samples and tasks end it at once.
constexpr milliseconds kWaitWithJobs{250};
constexpr milliseconds kWaitWithoutJobs{60'000};
// What is left in the rings when a job goes; more than this is another job's flood.
constexpr milliseconds kDrainLimit{500};
// A job whose worker is this far behind makes all wait a little: samples wait in the rings, where
// there is room as well. Not for long: jobs must not stand still for one.
constexpr std::uint64_t kMostBacklog = 32'768;
constexpr milliseconds kLongestWait{100};

// Programs that the kernel skipped are counted since they were loaded, for no job in particular.
constexpr std::string_view kSkipped = "recursion";

void leave_out(LossReport& report, const LossReport& before) {
  for (LossEntry& entry : report.entries) {
    if (entry.reason != kSkipped) continue;
    for (const LossEntry& earlier : before.entries) {
      if (earlier.what != entry.what || earlier.reason != kSkipped) continue;
      entry.count -= std::min(entry.count, earlier.count);
    }
  }
  std::erase_if(report.entries, [](const LossEntry& entry) { return entry.count == 0; });
}

}  // namespace

Pipeline::Pipeline(LiveSource& source)
    : source_(source),
      tracker_(source.clock(), {.proc_reader = make_proc_reader("/proc", step_variables()),
                                .limits = {},
                                .step_of = step_of_start}),
      lanes_(CICD_SLOTS_MAX) {}

Result<std::unique_ptr<Pipeline>> Pipeline::start(LiveSource& source,
                                                  std::function<void(const Error&)> on_failure) {
  std::unique_ptr<Pipeline> pipeline(new Pipeline(source));
  pipeline->on_failure_ = std::move(on_failure);
  pipeline->wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!pipeline->wake_) return fail_errno(errno, "eventfd");
  CICD_TRY(source.wake_also(pipeline->wake_.get()));
  pipeline->has_started_ = true;
  pipeline->worker_.start("cicd-pipeline", [own = pipeline.get()] { own->run(); });
  return pipeline;
}

Pipeline::~Pipeline() {
  if (!has_started_) return;
  run_between([this] { is_stopping_ = true; });
  worker_.join();
}

void Pipeline::run_between(const std::function<void()>& task) {
  std::promise<void> done;
  {
    const std::lock_guard lock(mutex_);
    tasks_.emplace_back([&] {
      task();
      done.set_value();
    });
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
  done.get_future().wait();
}

void Pipeline::run_tasks() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = ::read(wake_.get(), &count, sizeof(count));
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const std::function<void()>& task : tasks) task();
}

void Pipeline::run() {
  while (!is_stopping_) {
    run_tasks();
    if (is_stopping_) return;
    if (has_failed_) {
      std::this_thread::sleep_for(milliseconds(10));
      continue;
    }
    wait_for_workers();
    const auto looked = look(jobs_ > 0 ? kWaitWithJobs : kWaitWithoutJobs);
    if (looked) continue;
    has_failed_ = true;
    on_failure_(looked.error());
  }
}

Result<std::size_t> Pipeline::look(milliseconds max_wait) {
  CICD_ASSIGN(const std::size_t count, source_.poll(max_wait, [this](SampleBytes sample) {
    tracker_.handle(sample, [this](std::uint32_t slot) { return batch_of(slot); });
  }));
  submit_all();
  source_.commit();
  return count;
}

EventBatch* Pipeline::batch_of(std::uint32_t slot) {
  if (slot >= lanes_.size() || !lanes_[slot].job) return nullptr;
  Lane& lane = lanes_[slot];
  if (!lane.batch) {
    lane.batch = lane.job->take_batch();
    busy_.push_back(slot);
  }
  return lane.batch.get();
}

void Pipeline::submit_all() {
  for (const std::uint32_t slot : busy_) {
    Lane& lane = lanes_[slot];
    lane.submitted += lane.batch->records.size();
    lane.job->submit(std::move(lane.batch));
  }
  busy_.clear();
}

void Pipeline::wait_for_workers() const {
  if (jobs_ == 0) return;
  const auto end = steady_clock::now() + kLongestWait;
  for (const Lane& lane : lanes_) {
    if (!lane.job) continue;
    for (;;) {
      const JobProgress progress = lane.job->progress();
      if (lane.submitted < progress.events + progress.dropped + kMostBacklog) break;
      if (steady_clock::now() >= end) return;
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
}

Result<void> Pipeline::add(std::uint32_t slot, std::shared_ptr<Job> job, std::uint64_t cgroup_id,
                           const std::string& cgroup_path) {
  Result<void> result;
  run_between([&] {
    if (jobs_ == 0) result = source_.start_job_hooks();
    if (result) result = source_.track_cgroup(cgroup_id, slot);
    if (!result) {
      source_.untrack_slot(slot);
      if (jobs_ == 0) source_.stop_job_hooks();
      return;
    }
    tracker_.register_job(slot, cgroup_id, cgroup_path);
    lanes_[slot] = {std::move(job), nullptr, 0, source_.losses(slot).value_or(LossReport())};
    ++jobs_;
  });
  return result;
}

Pipeline::Left Pipeline::remove(std::uint32_t slot) {
  Left left;
  run_between([&] {
    const auto end = steady_clock::now() + kDrainLimit;
    while (!has_failed_ && steady_clock::now() < end) {
      const auto count = look(milliseconds(0));
      if (!count || *count == 0) break;
    }
    if (auto losses = source_.losses(slot)) {
      left.losses = std::move(*losses);
      leave_out(left.losses, lanes_[slot].before);
    }
    merge_losses(left.losses, tracker_.losses(slot));
    left.activity = tracker_.activity(slot);
    left.coverage = source_.coverage();
    source_.untrack_slot(slot);
    tracker_.remove_job(slot);
    lanes_[slot] = {};
    if (--jobs_ == 0) source_.stop_job_hooks();
  });
  return left;
}

Result<void> Pipeline::stage(std::uint32_t slot, const std::string& basename) {
  Result<void> result;
  run_between([&] { result = source_.stage_cgroup(basename, slot); });
  return result;
}

Result<void> Pipeline::report_opens_anew() {
  Result<void> result;
  run_between([&] { result = source_.report_opens_anew(); });
  return result;
}

std::vector<Coverage> Pipeline::coverage() {
  std::vector<Coverage> out;
  run_between([&] { out = source_.coverage(); });
  return out;
}

}  // namespace cicd
