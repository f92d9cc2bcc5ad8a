// SPDX-License-Identifier: Apache-2.0
#include "kernel/fake_source.h"

#include <utility>

namespace cicd {

Result<std::size_t> FakeSource::poll(std::chrono::milliseconds /*max_wait*/, SampleSink sink) {
  // The sink may push more: those are for the next poll.
  const std::size_t count = queue_.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<std::byte> sample = std::move(queue_.front());
    queue_.pop_front();
    sink(sample);
  }
  polled_ += count;
  if (count == 0 && error_) {
    Error error = std::move(*std::exchange(error_, std::nullopt));
    return std::unexpected(std::move(error));
  }
  return count;
}

void FakeSource::commit() { committed_ = polled_; }

Result<LossReport> FakeSource::losses(std::uint32_t slot) {
  const auto found = losses_.find(slot);
  return found == losses_.end() ? LossReport{} : found->second;
}

}  // namespace cicd
