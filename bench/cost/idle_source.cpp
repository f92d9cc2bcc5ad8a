// SPDX-License-Identifier: Apache-2.0
// idle_source: what an agent without a job does: a live source is open, its rings are watched, no
// cgroup is tracked and no job hook is attached. For bench/cost, while there is no agent.
//
// Prints "ready" and polls until standard input ends.
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "kernel/live_source.h"

int main() {
  auto source = cicd::LiveSource::open({});
  if (!source) {
    std::fprintf(stderr, "idle_source: %s\n", source.error().text.c_str());
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  // As long as a wait may last at once; a sample would end it.
  constexpr std::chrono::milliseconds kWait{500};
  for (;;) {
    const auto polled = (*source)->poll(kWait, [](cicd::SampleBytes) {});
    if (!polled) return 1;
    (*source)->commit();
    pollfd input{STDIN_FILENO, POLLIN | POLLHUP, 0};
    if (::poll(&input, 1, 0) == 1) return 0;
  }
}
