// SPDX-License-Identifier: Apache-2.0
#include "kernel/told_samples.h"

#include <utility>

namespace cicd {

void ToldSamples::add(std::uint32_t slot, std::vector<std::byte> sample) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= kMaxWaiting) {
    ++dropped_[slot];
    return;
  }
  waiting_.push_back({slot, std::move(sample)});
}

std::size_t ToldSamples::drain(SampleSink sink) {
  std::vector<Waiting> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(waiting_);
  }
  for (const Waiting& each : taken) sink(each.sample);
  return taken.size();
}

std::uint64_t ToldSamples::dropped(std::uint32_t slot) const {
  const std::lock_guard lock(mutex_);
  const auto found = dropped_.find(slot);
  return found == dropped_.end() ? 0 : found->second;
}

void ToldSamples::forget(std::uint32_t slot) {
  const std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [slot](const Waiting& each) { return each.slot == slot; });
  dropped_.erase(slot);
}

}  // namespace cicd
