// SPDX-License-Identifier: Apache-2.0
#include "base/worker.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace cicd {

void Worker::start(const char* name, std::function<void()> body) {
  // Blocked around the start: the new thread inherits the mask, so there is no window.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread(std::move(body));
  ::pthread_setname_np(thread_.native_handle(), name);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace cicd
