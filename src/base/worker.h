// SPDX-License-Identifier: Apache-2.0
// Worker: a named thread that is joined when its owner goes. Signals are blocked in it, so that
// they always reach the thread that handles them. The body must end by itself once its input is
// closed; the owner closes the input before the Worker is destroyed.
// Threads: start and join from the owner's thread.
#pragma once

#include <functional>
#include <thread>

namespace cicd {

class Worker {
 public:
  Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() { join(); }

  // Once. `name`: at most 15 bytes, as the kernel keeps it.
  void start(const char* name, std::function<void()> body);
  // Waits for the body to end. Further calls do nothing.
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

}  // namespace cicd
