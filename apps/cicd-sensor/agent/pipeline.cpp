// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline.h"

#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <thread>
#include <utility>

#include "base/priority.h"
#include "base/time_format.h"
#include "job/ci_platform.h"
#include "job/egress_facts.h"
#include "kernel/egress_samples.h"
#include "wire/loss.h"
#include "wire/sample.h"

namespace cicd {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A wait ends by itself only as seldom as this; samples and tasks end it at once.
constexpr milliseconds kWaitWithJobs{250};
constexpr milliseconds kWaitWithoutJobs{60'000};
// A job that runs for a day must not fill the disk; what comes after that is not known to an agent
// that takes over, and it says so.
constexpr std::uint64_t kMostJournalBytes = std::uint64_t{2} << 30;

// All that is in the rings is taken at once, but for what stands behind a sample that is being
// written; what is found again is mostly of other jobs.
constexpr int kLooksAtEnd = 3;
// While the workers of all jobs together are this far behind, samples wait in the rings: there they
// take a third of the room, and what waits for long has to be fetched from memory again. A worker
// that hangs must not hold up the others: when none gets on for a while, the rings are read all the
// same. Pauses are short because each lets the scheduler choose anew: with hundreds of busy jobs on
// a CPU the workers had their turn too seldom otherwise.
constexpr std::size_t kMostBacklog = 65'536;
constexpr milliseconds kLongestStandstill{100};
constexpr int kBacklogPauseMs = 2;
static_assert(kMostBacklog + Pipeline::kSamplesOfLook <= Pipeline::kQueueRecords * 3 / 4,
              "one look more fits into the queue of a single job, opens too");
// Memory for batches and journals that stays when there is nothing to do.
constexpr std::size_t kIdleBlockBytes = std::size_t{4} << 20;
// What is in the rings, each of 64 MiB at most, in looks; in case they fill as fast as they are
// read.
constexpr int kMostLooksAtRings = 64;

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
    : Pipeline(source,
               std::make_unique<NotingProcReader>(make_proc_reader("/proc", step_variables()))) {}

Pipeline::Pipeline(LiveSource& source, std::unique_ptr<NotingProcReader> proc_reader)
    : source_(source),
      proc_reader_(proc_reader.get()),
      tracker_(source.clock(),
               {.proc_reader = std::move(proc_reader), .limits = {}, .step_of = step_of_start}),
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
    if (has_failed_ || !is_reading_) {
      pollfd wake{.fd = wake_.get(), .events = POLLIN, .revents = 0};
      ::poll(&wake, 1, -1);
      continue;
    }
    wait_for_workers();
    if (is_stopping_) return;
    const auto looked = look(jobs_ > 0 ? kWaitWithJobs : kWaitWithoutJobs);
    if (looked) continue;
    has_failed_ = true;
    on_failure_(looked.error());
  }
}

void Pipeline::begin() {
  run_between([this] {
    is_reading_ = true;
    // Hundreds of busy jobs leave one process among them next to nothing.
    [[maybe_unused]] const bool is_first = go_before_all();
  });
}

Result<std::size_t> Pipeline::look(milliseconds max_wait) {
  CICD_ASSIGN(const std::size_t count,
              source_.poll(max_wait, [this](SampleBytes sample) { handle(sample); }));
  submit_all();
  end_blocks();
  if (count < kSamplesOfLook) is_catching_up_ = false;  // all that was in the rings has been seen
  source_.commit();
  // Nothing has happened for a while: what a burst took goes back to the system.
  const bool is_idle = count == 0 && max_wait > milliseconds(0);
  if (is_idle && blocks_->keep_at_most(kIdleBlockBytes) > 0) ::malloc_trim(0);
  return count;
}

void Pipeline::handle(SampleBytes sample) {
  cicd_sample_header header{};
  if (sample.size() >= sizeof(header)) std::memcpy(&header, sample.data(), sizeof(header));
  Lane* lane =
      header.slot < lanes_.size() && lanes_[header.slot].job ? &lanes_[header.slot] : nullptr;
  if (lane != nullptr) {
    if (is_catching_up_ && source_.is_before(sample, lane->read_up_to)) return;
    if (lane->journal) {
      if (!lane->has_block) written_.push_back(header.slot);
      lane->has_block = true;
      lane->journal->append(sample);
    }
  }
  proc_reader_->set_notes(lane != nullptr ? lane->notes.get() : nullptr);
  tracker_.handle(sample, [this](std::uint32_t slot) { return batch_of(slot); });
}

void Pipeline::end_blocks() {
  for (const std::uint32_t slot : written_) {
    Lane& lane = lanes_[slot];
    lane.has_block = false;
    if (!lane.journal) continue;
    const Result<void> written = lane.journal->end_block(source_.positions());
    if (!written) {
      end_journal(lane, written.error());
    } else if (lane.journal->bytes_written() > kMostJournalBytes) {
      end_journal(lane, {ErrorCode::kResource, 0, "it is as long as it may get", {}});
    }
  }
  written_.clear();
}

void Pipeline::end_journal(Lane& lane, const Error& error) {
  lane.journal.reset();
  if (lane.on_journal_end) lane.on_journal_end(error);
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

// Whoever asks for something has an answer meanwhile.
void Pipeline::wait_for_workers() {
  std::size_t least = backlog_->load(std::memory_order_relaxed);
  auto end = steady_clock::now() + kLongestStandstill;
  while (least > kMostBacklog && !is_stopping_ && steady_clock::now() < end) {
    pollfd wake{.fd = wake_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&wake, 1, kBacklogPauseMs) > 0) run_tasks();
    const std::size_t now = backlog_->load(std::memory_order_relaxed);
    if (now >= least) continue;
    least = now;
    end = steady_clock::now() + kLongestStandstill;
  }
}

void Pipeline::set_lane(JobLane& given) {
  tracker_.register_job(given.slot, given.cgroup_id, given.cgroup_path);
  Lane& lane = lanes_[given.slot];
  lane = {};
  lane.job = std::move(given.job);
  lane.cgroup_id = given.cgroup_id;
  lane.journal = std::move(given.journal);
  if (lane.journal) lane.journal->share_memory(blocks_);
  lane.notes = std::move(given.notes);
  lane.on_journal_end = std::move(given.on_journal_end);
  ++jobs_;
}

Result<void> Pipeline::add(JobLane& lane) {
  Result<void> result;
  run_between([&] {
    const std::uint32_t slot = lane.slot;
    if (jobs_ == 0) result = source_.start_job_hooks();
    if (result) {
      result = lane.cgroup_id == 0 ? source_.claim_slot(slot)
                                   : source_.track_cgroup(lane.cgroup_id, slot);
    }
    if (!result) {
      source_.untrack_slot(slot);
      if (jobs_ == 0) source_.stop_job_hooks();
      return;
    }
    set_lane(lane);
    lanes_[slot].before = source_.losses(slot).value_or(LossReport());
  });
  return result;
}

// The worker has handled all that it was given; a replay must not overrun it.
void Pipeline::settle(std::uint32_t slot) {
  submit_all();
  const Lane& lane = lanes_[slot];
  for (;;) {
    const JobProgress progress = lane.job->progress();
    if (progress.events + progress.dropped >= lane.submitted) return;
    std::this_thread::sleep_for(milliseconds(1));
  }
}

void Pipeline::take(std::uint32_t slot, const JournalStep& step) {
  settle(slot);
  if (step.gap) add_gap_record(*batch_of(slot), *step.gap, source_.clock(), lanes_[slot].cgroup_id);
  if (step.act) step.act();
}

Result<void> Pipeline::replay(std::uint32_t slot, RecordingReader& journal,
                              std::span<const JournalStep> steps, std::uint64_t& last_ns) {
  proc_reader_->set_notes(lanes_[slot].notes.get());
  Result<void> result;
  for (;;) {
    while (!steps.empty() && steps.front().at_bytes <= journal.good_bytes()) {
      take(slot, steps.front());
      steps = steps.subspan(1);
    }
    const auto block = journal.next_block();
    if (!block) result = std::unexpected(block.error());
    if (!block || !*block) break;
    for (const SampleBytes sample : **block) {
      tracker_.handle(sample, [this](std::uint32_t own) { return batch_of(own); });
    }
    const auto& batch = lanes_[slot].batch;
    if (batch && !batch->records.empty()) last_ns = batch->records.back().time_ns;
    settle(slot);
  }
  for (const JournalStep& step : steps) take(slot, step);
  settle(slot);
  return result;
}

Pipeline::Restored Pipeline::restore(JobLane& given, const std::string& journal_path,
                                     std::span<const JournalStep> steps,
                                     std::span<const LossEntry> losses_before) {
  Restored restored;
  run_between([&] {
    if (jobs_ == 0) restored.journal = source_.start_job_hooks();
    set_lane(given);
    is_catching_up_ = true;
    Lane& lane = lanes_[given.slot];
    lane.before.entries.assign(losses_before.begin(), losses_before.end());
    auto reader = RecordingReader::open(journal_path);
    if (!reader) {
      restored.journal = std::unexpected(std::move(reader).error());
      for (const JournalStep& step : steps) take(given.slot, step);
      settle(given.slot);
      return;
    }
    const Result<void> read = replay(given.slot, *reader, steps, restored.last_ns);
    if (!read) restored.journal = read;
    lane.read_up_to = reader->positions();
    // What was not read is cut off: the next agent must not take it for what comes now.
    auto writer = RecordingWriter::resume(journal_path, reader->good_bytes());
    if (writer) {
      lane.journal = std::make_unique<RecordingWriter>(std::move(*writer));
      lane.journal->share_memory(blocks_);
    } else {
      end_journal(lane, writer.error());
    }
  });
  return restored;
}

Result<void> Pipeline::watch(std::uint32_t slot, std::span<const std::uint64_t> cgroup_ids) {
  Result<void> result;
  run_between([&] {
    std::vector<std::uint64_t> ids = tracker_.cgroups(slot);
    ids.insert(ids.end(), cgroup_ids.begin(), cgroup_ids.end());
    for (const std::uint64_t id : ids) {
      if (const Result<void> tracked = source_.track_cgroup(id, slot); !tracked) result = tracked;
    }
    lanes_[slot].before = source_.losses(slot).value_or(LossReport());
  });
  return result;
}

void Pipeline::add_gap(std::uint32_t slot, const MonitoringGap& gap) {
  run_between([&] {
    take(slot, {.gap = gap});
    settle(slot);
  });
}

std::uint64_t Pipeline::between_blocks(std::uint32_t slot, const std::function<void()>& act) {
  std::uint64_t bytes = 0;
  run_between([&] {
    act();
    if (lanes_[slot].journal) bytes = lanes_[slot].journal->bytes_written();
  });
  return bytes;
}

std::vector<LossEntry> Pipeline::losses_before(std::uint32_t slot) {
  std::vector<LossEntry> out;
  run_between([&] {
    for (const LossEntry& entry : lanes_[slot].before.entries) {
      if (entry.reason == kSkipped) out.push_back(entry);
    }
  });
  return out;
}

LossReport Pipeline::losses_of(std::uint32_t slot) const {
  LossReport report;
  if (auto losses = source_.losses(slot)) {
    report = std::move(*losses);
    leave_out(report, lanes_[slot].before);
  }
  merge_losses(report, tracker_.losses(slot));
  return report;
}

// Between two looks of the thread, all that is there: how many samples that were.
std::size_t Pipeline::look_again() {
  if (has_failed_ || !is_reading_) return 0;
  std::size_t sum = 0;
  for (int i = 0; i < kMostLooksAtRings; ++i) {
    const std::size_t count = look(milliseconds(0)).value_or(0);
    sum += count;
    if (count < kSamplesOfLook) break;
  }
  return sum;
}

LossReport Pipeline::catch_up(std::uint32_t slot) {
  LossReport report;
  run_between([&] {
    look_again();  // once: what happens from here on may go on without end
    report = losses_of(slot);
  });
  return report;
}

// Repeats that the kernel side has not told, as the samples it would have told them in.
void Pipeline::tell_untold(std::span<const cicd_sample_egress> untold) {
  for (const cicd_sample_egress& sample : untold) handle(std::as_bytes(std::span(&sample, 1)));
  submit_all();
  end_blocks();
}

// To walk through the maps takes a while, which no other job is to wait for: that is done here, on
// the caller's thread. Not so where a key may become another job's meanwhile (stop_tracking()).
Pipeline::Left Pipeline::remove(std::uint32_t slot) {
  Left left;
  EgressControl* control = nullptr;
  run_between([&] { control = source_.egress().value_or(nullptr); });
  run_between([&] { source_.stop_tracking(slot); });
  bool is_empty = false;
  for (int looks = 0; looks < kLooksAtEnd && !is_empty; ++looks) {
    run_between([&] { is_empty = look_again() == 0; });
  }
  // Behind that: what is refused until then is in the totals, too.
  Job::End counted;
  std::vector<cicd_sample_egress> untold;
  if (control != nullptr) {
    const auto offset = static_cast<std::uint64_t>(source_.clock().realtime_offset_ns);
    untold = take_untold(*control, slot, realtime_now_ns() - offset);
    add_egress_facts(*control, slot, counted);
  }
  run_between([&] {
    tell_untold(untold);
    left.losses = losses_of(slot);
    left.activity = tracker_.activity(slot);
    left.coverage = source_.coverage();
    tracker_.remove_job(slot);
    proc_reader_->set_notes(nullptr);  // those of the lane may be what it has
    lanes_[slot] = {};
    if (--jobs_ == 0) source_.stop_job_hooks();
  });
  source_.forget_slot(slot);
  merge_losses(left.losses, counted.source_losses);
  left.egress_totals = counted.egress_totals;
  left.flows = std::move(counted.flows);
  return left;
}

Result<std::optional<EarlierCgroup>> Pipeline::stage(std::uint32_t slot,
                                                     const std::string& basename, bool is_new) {
  Result<std::optional<EarlierCgroup>> result;
  run_between([&] {
    const auto staged = source_.stage_cgroup(basename, slot);
    if (!staged) result = std::unexpected(staged.error());
    if (!staged || !is_new) return;
    result = source_.adopt_earlier(basename, slot);
    const EarlierCgroup* earlier = result && *result ? &**result : nullptr;
    if (earlier && !earlier->path.empty()) tracker_.add_cgroup(slot, earlier->id, earlier->path);
  });
  return result;
}

Result<void> Pipeline::give_builds(std::uint64_t parent_id, bool are_among_others,
                                   std::uint32_t slot) {
  Result<void> result;
  run_between([&] { result = source_.give_builds(parent_id, are_among_others, slot); });
  return result;
}

Result<void> Pipeline::report_opens_anew() {
  Result<void> result;
  run_between([&] { result = source_.report_opens_anew(); });
  return result;
}

std::uint64_t Pipeline::lost(std::uint32_t slot) {
  std::uint64_t total = 0;
  run_between([&] { total = losses_of(slot).total(); });
  return total;
}

std::vector<Coverage> Pipeline::coverage() {
  std::vector<Coverage> out;
  run_between([&] { out = source_.coverage(); });
  return out;
}

}  // namespace cicd
