// SPDX-License-Identifier: Apache-2.0
#include "kernel/replay_source.h"

namespace cicd {

Result<std::unique_ptr<ReplaySource>> ReplaySource::open(const std::string& path) {
  CICD_ASSIGN(RecordingReader reader, RecordingReader::open(path));
  return std::unique_ptr<ReplaySource>(new ReplaySource(std::move(reader)));
}

Result<std::size_t> ReplaySource::poll(std::chrono::milliseconds /*max_wait*/, SampleSink sink) {
  if (is_at_end_) return 0;
  auto block = reader_.next_block();
  if (!block) {
    is_at_end_ = true;
    return std::unexpected(std::move(block).error());
  }
  if (!*block) {
    is_at_end_ = true;
    return 0;
  }
  for (const SampleBytes sample : **block) sink(sample);
  return (*block)->size();
}

Result<LossReport> ReplaySource::losses(std::uint32_t /*slot*/) { return LossReport{}; }

std::vector<Coverage> ReplaySource::coverage() const {
  std::vector<Coverage> all;
  for (const EventTypeInfo& info : event_types()) {
    all.push_back({info.type, "replay", true, "What the recording sensor did not see is missing.",
                   "events come from a recording"});
  }
  return all;
}

}  // namespace cicd
