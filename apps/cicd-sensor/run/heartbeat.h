// SPDX-License-Identifier: Apache-2.0
// Heartbeat: a number in memory that front and engine share. The engine counts it up while it gets
// on; the front looks now and then whether it does. What counts is how often the front looked in
// vain, not a clock, so that a machine, container or terminal that was stopped and goes on is no
// hang.
//
// Threads and processes: beat() in the engine, one thread; the rest in the front. Lifetime: the
// memory stays mapped until both processes are gone.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/result.h"

namespace cicd {

class Heartbeat {
 public:
  static constexpr int kLookMs = 1000;
  static constexpr int kLooks = 10;  // so many in vain are a hang

  static Result<Heartbeat> make();

  void beat() const {
    if (beats_ != nullptr) beats_->fetch_add(1, std::memory_order_relaxed);
  }
  // Once every kLookMs. True: the engine hangs.
  bool look();
  // A new engine starts.
  void reset() { missed_ = 0; }

 private:
  std::atomic<std::uint64_t>* beats_ = nullptr;
  std::uint64_t last_ = 0;
  int missed_ = 0;
};

}  // namespace cicd
