// SPDX-License-Identifier: Apache-2.0
#include "run/heartbeat.h"

#include <sys/mman.h>

#include <cerrno>
#include <new>

namespace cicd {

Result<Heartbeat> Heartbeat::make() {
  void* memory = ::mmap(nullptr, sizeof(std::atomic<std::uint64_t>), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "map memory to share with the engine");
  Heartbeat heartbeat;
  heartbeat.beats_ = new (memory) std::atomic<std::uint64_t>(0);
  return heartbeat;
}

bool Heartbeat::look() {
  const std::uint64_t beats = beats_->load(std::memory_order_relaxed);
  missed_ = beats == last_ ? missed_ + 1 : 0;
  last_ = beats;
  return missed_ >= kLooks;
}

}  // namespace cicd
