// SPDX-License-Identifier: Apache-2.0
// Processes: fork, exec, exit, and whose picture a sample belongs to.
#include <algorithm>
#include <utility>

#include "track/exec_image.h"
#include "track/path_text.h"
#include "track/tracker_impl.h"

namespace cicd {

namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

bool is_newer(std::uint32_t exec_id, std::uint32_t than) {
  return static_cast<std::int32_t>(exec_id - than) > 0;
}

}  // namespace

ProcessEntry& Tracker::Impl::add_process(std::shared_ptr<Process> picture, const Context& context,
                                         bool is_gone) {
  const std::uint32_t pid = picture->pid;
  const std::uint64_t start_time_ns = picture->start_time_ns;
  picture->id = next_id_++;
  if (ProcessEntry* other = processes_.find_live(pid)) {
    // One pid, two processes: the earlier one is gone, though its exit was lost.
    if (other->start_time_ns < start_time_ns) {
      end_process(*other);
    } else {
      is_gone = true;
    }
  }
  if (ProcessEntry* oldest = processes_.evictee()) {
    if (JobState* job = job_of(oldest->slot)) ++job->evicted;
    end_process(*oldest);
  }
  JobActivity& activity = context.job.activity;
  ++activity.processes_seen;
  ProcessEntry& entry = processes_.add(pid, start_time_ns, context.header.slot, std::move(picture));
  // Nobody will see it end: it must not count as alive for ever.
  if (is_gone) {
    processes_.end(entry, now_ns_);
  } else {
    count_alive(activity);
  }
  return entry;
}

void Tracker::Impl::count_alive(JobActivity& activity) {
  ++activity.processes;
  activity.max_processes = std::max(activity.max_processes, activity.processes);
}

void Tracker::Impl::move_process(ProcessEntry& entry, const Context& context) {
  if (entry.slot == context.header.slot) return;
  JobState* before = job_of(entry.slot);
  entry.slot = context.header.slot;
  if (entry.is_ended) return;
  if (before != nullptr && before->activity.processes > 0) --before->activity.processes;
  ++context.job.activity.processes_seen;
  count_alive(context.job.activity);
}

void Tracker::Impl::end_process(ProcessEntry& entry) {
  if (entry.is_ended) return;
  processes_.end(entry, now_ns_);
  if (JobState* job = job_of(entry.slot); job != nullptr && job->activity.processes > 0) {
    --job->activity.processes;
  }
}

ProcessRef Tracker::Impl::as_parent(ProcessEntry& entry, const ProcessRef& picture) {
  if (picture->depth < kMaxAncestorDepth) return picture;
  // Half of it goes, so that the next cut is as many generations away. The entry shows the cut
  // picture from now on: its other children need not cut again.
  const ProcessRef cut = cut_chain(picture, kMaxAncestorDepth / 2);
  const Process* const before = picture.get();  // `picture` may be what is replaced
  if (entry.current.get() == before) entry.current = cut;
  for (ProcessRef& older : entry.older) {
    if (older.get() == before) older = cut;
  }
  return cut;
}

// A process that is in the job though nobody saw it start.
ProcessEntry& Tracker::Impl::adopt(std::uint32_t pid, std::uint64_t start_time_ns,
                                   std::uint32_t exec_id, const Context& context,
                                   Appearance appearance) {
  auto picture = std::make_shared<Process>();
  picture->pid = pid;
  picture->start_time_ns = start_time_ns;
  picture->exec_id = exec_id;
  picture->image = unknown_image_;
  bool is_gone = false;
  if (proc_reader_) {
    if (const std::optional<ProcFacts> facts = proc_reader_->read(pid, start_time_ns)) {
      picture->uid = facts->uid;
      picture->image = make_image(*facts, image_budget_);
      ProcessEntry* parent = processes_.find_live(facts->parent_pid);
      if (parent != nullptr && parent->slot == context.header.slot && parent->pid != pid) {
        picture->parent = as_parent(*parent, parent->current);
        picture->depth = picture->parent->depth + 1;
        picture->step = picture->parent->step;
      }
      if (StepRef step = step_of(facts->environment, facts->argv, context.job)) {
        picture->step = std::move(step);
      }
    } else {
      is_gone = true;
    }
  }
  if (appearance == Appearance::kUnexplained) ++context.job.unknown_processes;
  return add_process(std::move(picture), context, is_gone);
}

const ProcessRef& Tracker::Impl::picture_of(ProcessEntry& entry, std::uint32_t exec_id,
                                            JobState& job) {
  if (entry.current->exec_id == exec_id) return entry.current;
  for (const ProcessRef& picture : entry.older) {
    if (picture->exec_id == exec_id) return picture;
  }
  // An exec that nobody saw. What /proc says may be later still, so only of the newest is it asked.
  auto picture = std::make_shared<Process>(*entry.current);
  const bool is_latest = is_newer(exec_id, entry.current->exec_id);
  picture->exec_id = exec_id;
  picture->id = next_id_++;
  picture->image = unknown_image_;
  ++job.unknown_images;
  if (!is_latest) {
    processes_.add_older(entry, std::move(picture));
    return entry.older.back();
  }
  if (proc_reader_ && !entry.is_ended) {
    if (const auto facts = proc_reader_->read(entry.pid, entry.start_time_ns)) {
      picture->uid = facts->uid;
      picture->image = make_image(*facts, image_budget_);
      if (StepRef step = step_of(facts->environment, facts->argv, job)) {
        picture->step = std::move(step);
      }
    }
  }
  processes_.replace(entry, std::move(picture));
  return entry.current;
}

Tracker::Impl::Owner Tracker::Impl::owner_of(const Context& context, Appearance appearance) {
  const cicd_sample_header& header = context.header;
  ProcessEntry* entry = processes_.find(header.pid, header.start_time_ns);
  if (entry == nullptr) {
    entry = &adopt(header.pid, header.start_time_ns, header.exec_id, context, appearance);
  }
  return {*entry, picture_of(*entry, header.exec_id, context.job)};
}

ProcessRef Tracker::Impl::parent_of(const ForkSample& sample, const Context& context) {
  const cicd_sample_fork& fork = sample.fixed;
  ProcessEntry* parent = processes_.find(fork.parent_pid, fork.parent_start_time_ns);
  if (parent == nullptr) {
    // Started from outside (clone3 into the cgroup): the job begins here.
    if (!cgroups_.contains(fork.parent_cgroup_id, context.header.slot)) return nullptr;
    parent = &adopt(fork.parent_pid, fork.parent_start_time_ns, fork.parent_exec_id, context,
                    Appearance::kUnexplained);
  }
  // What one job ran is no business of another.
  if (parent->slot != context.header.slot) return nullptr;
  return as_parent(*parent, picture_of(*parent, fork.parent_exec_id, context.job));
}

void Tracker::Impl::on(const ForkSample& sample, const Context& context) {
  const cicd_sample_header& header = context.header;
  ProcessEntry* entry = processes_.find(header.pid, header.start_time_ns);
  if (entry != nullptr && entry->is_start_seen) return;  // told twice
  const ProcessEntry* parent_entry =
      processes_.find(sample.fixed.parent_pid, sample.fixed.parent_start_time_ns);
  const bool is_escaped = parent_entry != nullptr && parent_entry->is_escaped &&
                          !cgroups_.contains(header.cgroup_id, header.slot);
  auto picture = std::make_shared<Process>();
  picture->pid = header.pid;
  picture->uid = sample.fixed.uid;
  picture->start_time_ns = header.start_time_ns;
  picture->exec_id = header.exec_id;
  picture->parent = parent_of(sample, context);
  picture->depth = picture->parent ? picture->parent->depth + 1 : 0;
  picture->image = picture->parent ? picture->parent->image : unknown_image_;
  if (picture->parent) picture->step = picture->parent->step;
  // A made-up sample may name the child as its own parent: look again.
  entry = processes_.find(header.pid, header.start_time_ns);
  if (entry == nullptr) {
    entry = &add_process(std::move(picture), context);
    entry->is_escaped = is_escaped;
  } else if (!entry->current->image->is_known && entry->current->exec_id == header.exec_id) {
    picture->id = entry->current->id;
    processes_.replace(*entry, std::move(picture));
  }
  entry->is_start_seen = true;
}

void Tracker::Impl::on(const ExecSample& sample, const Context& context) {
  const cicd_sample_header& header = context.header;
  scratch_.reset();
  MadeImage made = make_image(sample, image_budget_, scratch_);
  auto picture = std::make_shared<Process>();
  picture->pid = header.pid;
  picture->start_time_ns = header.start_time_ns;
  picture->exec_id = header.exec_id;
  picture->uid = sample.fixed.uid;
  picture->image = std::move(made.image);
  picture->step = step_of(sample.environment.bytes, picture->image->argv, context.job);
  ProcessEntry* entry = processes_.find(header.pid, header.start_time_ns);
  if (entry == nullptr) {
    // The exec tells what runs; only where the process comes from is not known.
    ++context.job.unknown_processes;
    entry = &add_process(std::move(picture), context);
  } else {
    picture->id = next_id_++;
    picture->parent = entry->current->parent;
    picture->depth = entry->current->depth;
    if (!picture->step) {
      picture->step = entry->current->step;
      const bool is_cut = sample.environment.has(CICD_STRING_TRUNCATED | CICD_STRING_FAULT);
      if (is_cut) ++context.job.steps_cut;
    }
    processes_.replace(*entry, std::move(picture));
  }
  const ProcessRef& current = entry->current;
  EventRecord* record = add_record(EventType::kProcessExec, context, *entry, current);
  if (record == nullptr) return;
  record->marks |= made.marks;
  const ExecImage& image = *current->image;
  record->fields[field::process_exec::kIsMemfd] = image.is_memfd ? 1 : 0;
  record->fields[field::process_exec::kScriptPath] = image.script_path;
  const std::string_view filename = raw_text(sample.filename);
  if (filename != image.exec_path) {
    record->fields[field::process_exec::kFilename] = context.batch->arena.store(filename);
  }
}

void Tracker::Impl::on(const ExitSample& sample, const Context& context) {
  const Owner owner = owner_of(context);
  const std::uint32_t status = sample.fixed.status;
  const std::uint32_t signal = status & 0x7f;
  if (EventRecord* record =
          add_record(EventType::kProcessExit, context, owner.entry, owner.picture)) {
    const std::uint64_t start = context.header.start_time_ns;
    const std::uint64_t end = context.header.time_ns;
    record->fields[field::process_exit::kExitCode] = signal == 0 ? (status >> 8) & 0xff : 0;
    record->fields[field::process_exit::kSignal] = signal;
    record->fields[field::process_exit::kDurationMs] =
        static_cast<std::int64_t>(end > start ? (end - start) / kNsPerMs : 0);
  }
  end_process(owner.entry);
}

}  // namespace cicd
