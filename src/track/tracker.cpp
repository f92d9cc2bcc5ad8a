// SPDX-License-Identifier: Apache-2.0
#include "track/tracker.h"

#include <array>
#include <string_view>
#include <type_traits>
#include <utility>

#include "track/tracker_impl.h"
#include "wire/decode.h"

namespace cicd {

Tracker::Tracker(ClockInfo clock, TrackerOptions options)
    : impl_(std::make_unique<Impl>(clock, std::move(options))) {}
Tracker::~Tracker() = default;

void Tracker::register_job(std::uint32_t slot, std::uint64_t root_cgroup_id,
                           const std::string& root_path) {
  impl_->register_job(slot, root_cgroup_id, root_path);
}

void Tracker::add_cgroup(std::uint32_t slot, std::uint64_t cgroup_id, const std::string& path) {
  impl_->add_cgroup(slot, cgroup_id, path);
}

void Tracker::remove_job(std::uint32_t slot) { impl_->remove_job(slot); }

void Tracker::handle(SampleBytes bytes, BatchOf batch_of) { impl_->handle(bytes, batch_of); }

JobActivity Tracker::activity(std::uint32_t slot) const { return impl_->activity(slot); }

std::vector<std::uint64_t> Tracker::cgroups(std::uint32_t slot) const {
  return impl_->cgroups(slot);
}
LossReport Tracker::losses(std::uint32_t slot) const { return impl_->losses(slot); }

void Tracker::Impl::register_job(std::uint32_t slot, std::uint64_t root_cgroup_id,
                                 std::string_view root_path) {
  if (slot == 0 || slot >= jobs_.size()) return;
  remove_job(slot);
  jobs_[slot] = std::make_unique<JobState>();
  if (root_cgroup_id != 0) cgroups_.add(root_cgroup_id, slot, root_path);
}

void Tracker::Impl::add_cgroup(std::uint32_t slot, std::uint64_t cgroup_id, std::string_view path) {
  JobState* job = job_of(slot);
  if (job != nullptr && !cgroups_.add(cgroup_id, slot, path)) ++job->cgroups_dropped;
}

void Tracker::Impl::remove_job(std::uint32_t slot) {
  if (job_of(slot) == nullptr) return;
  processes_.erase_slot(slot);
  cgroups_.erase_slot(slot);
  jobs_[slot].reset();
}

void Tracker::Impl::handle(SampleBytes bytes, BatchOf batch_of) {
  const auto sample = decode(bytes);
  if (!sample) {
    count_malformed(bytes, sample.error());
    return;
  }
  const cicd_sample_header& header = header_of(*sample);
  JobState* job = job_of(header.slot);
  if (job == nullptr) {
    ++unregistered_;
    return;
  }
  if (header.time_ns > now_ns_) now_ns_ = header.time_ns;
  const Context context{header, *job, batch_of(header.slot)};
  std::visit([&](const auto& typed) { on(typed, context); }, *sample);
  processes_.prune(now_ns_);
}

void Tracker::Impl::count_malformed(SampleBytes bytes, DecodeError error) {
  const auto header = peek_header(bytes);
  JobState* job = header ? job_of(header->slot) : nullptr;
  DecodeLosses& losses = job != nullptr ? job->decode_losses : stray_losses_;
  if (error == DecodeError::kUnknownType) {
    ++losses.unknown_type;
  } else {
    ++losses.malformed[header && header->type < CICD_SAMPLE_TYPES ? header->type : 0];
  }
}

// Outside is what an escape named, or where a task sits that escaped: a cgroup that is merely not
// known may be one of the job's whose mkdir was lost.
bool Tracker::Impl::is_outside(const Context& context, const ProcessEntry& entry) const {
  if (!entry.is_escaped && context.job.outside.empty()) return false;
  const std::uint64_t cgroup = context.header.cgroup_id;
  if (cgroups_.contains(cgroup, context.header.slot)) return false;
  return entry.is_escaped || context.job.outside.contains(cgroup);
}

EventRecord* Tracker::Impl::add_record(EventType type, const Context& context,
                                       const ProcessEntry& entry, const ProcessRef& picture) {
  if (context.batch == nullptr) return nullptr;
  EventRecord& record = context.batch->add(type);
  record.tid = context.header.tid;
  record.boot_time_ns = context.header.time_ns;
  record.time_ns = context.header.time_ns + static_cast<std::uint64_t>(clock_.realtime_offset_ns);
  record.cgroup_id = context.header.cgroup_id;
  record.process = picture;
  record.step = picture->step;
  record.container = cgroups_.container_of(context.header.cgroup_id);
  if (!picture->image->is_known) record.marks |= kMarkUnknownProcess;
  if (is_outside(context, entry)) record.marks |= kMarkEscaped;
  return &record;
}

JobActivity Tracker::Impl::activity(std::uint32_t slot) const {
  const JobState* job = job_of(slot);
  return job == nullptr ? JobActivity{} : job->activity;
}

LossReport Tracker::Impl::losses(std::uint32_t slot) const {
  LossReport report;
  const auto add = [&](std::string_view what, std::string_view reason, std::uint64_t count) {
    if (count > 0) report.entries.push_back({std::string(what), std::string(reason), count});
  };
  const auto add_decode = [&](const DecodeLosses& losses) {
    for (std::uint32_t type = 0; type < losses.malformed.size(); ++type) {
      add(name_of_sample_type(type), "malformed", losses.malformed[type]);
    }
    add("sample", "unknown_type", losses.unknown_type);
  };
  if (slot == 0) {
    add_decode(stray_losses_);
    add("sample", "unknown_job", unregistered_);
  } else if (const JobState* job = job_of(slot)) {
    add_decode(job->decode_losses);
    add("process", "start_not_seen", job->unknown_processes);
    add("process_exec", "not_seen", job->unknown_images);
    add("process", "table_full", job->evicted);
    add("cgroup", "table_full", job->cgroups_dropped);
    add("step", "table_full", job->steps_dropped);
    add("step", "environment_cut", job->steps_cut);
    add_name_losses(job->names, report);
  }
  return report;
}

}  // namespace cicd
