// SPDX-License-Identifier: Apache-2.0
// Any samples in any order: every record is complete, chains are bounded, counts add up, and the
// same samples give the same records again.
#include <cstdlib>

#include "sample_input.h"
#include "track/tracker.h"

namespace {

using namespace cicd;

void must(bool holds) {
  if (!holds) std::abort();
}

std::uint64_t digest(std::uint64_t sum, std::string_view text) {
  for (const char c : text) sum = sum * 1099511628211u ^ static_cast<unsigned char>(c);
  return sum;
}

std::uint64_t check(const EventRecord& record, std::uint64_t sum) {
  must(record.process != nullptr && record.process->image != nullptr);
  int depth = 0;
  for (const Process* at = record.process->parent.get(); at != nullptr; at = at->parent.get()) {
    ++depth;
  }
  must(depth == record.process->depth && depth <= kMaxAncestorDepth);
  for (std::size_t i = 0; i < info_of(record.type).fields.size(); ++i) {
    const FieldValue& value = record.fields[i];
    sum = digest(sum * 31 + static_cast<std::uint64_t>(value.number()), value.text());
  }
  must(record.step == record.process->step);
  if (record.step) sum = digest(sum * 31, record.step->id);
  return digest(sum * 31 + record.marks + record.process->id, record.process->exec_path());
}

std::uint64_t run(const std::uint8_t* data, std::size_t size) {
  TrackerOptions options;
  options.limits = {
      .max_live = 12, .max_ended = 6, .max_ended_bytes = 8'000, .max_image_bytes = 4'000};
  options.step_of = [](std::string_view environment, std::span<const std::string>) {
    return environment.size() < 2 ? std::optional<Step>() : Step{std::string(environment), "s"};
  };
  Tracker tracker({.realtime_offset_ns = -1}, std::move(options));
  tracker.register_job(1, 40, "/one");
  tracker.register_job(2, 44, "/two");
  EventBatch batch;
  std::uint64_t sum = 0;
  for (SampleInput input(data, size); !input.empty();) {
    tracker.handle(input.next(), [&](std::uint32_t) { return &batch; });
    for (const EventRecord& record : batch.records) sum = check(record, sum);
    batch.reset();
    for (const std::uint32_t slot : {1u, 2u}) {
      const JobActivity activity = tracker.activity(slot);
      must(activity.processes <= activity.processes_seen);
      must(activity.processes <= activity.max_processes);
    }
    must(tracker.activity(1).processes + tracker.activity(2).processes <= 12);
  }
  tracker.remove_job(1);
  must(tracker.activity(1).processes_seen == 0);
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  must(run(data, size) == run(data, size));
  return 0;
}
