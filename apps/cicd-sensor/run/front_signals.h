// SPDX-License-Identifier: Apache-2.0
// FrontSignals: the signals that the front hands on, read from a descriptor. They are blocked from
// construction on, so that none ends the front in the middle of something. The terminal's own
// (Ctrl-C, hang-up) reach the command without us; those that a process sent to the front alone do
// not. Stopping (Ctrl-Z) keeps its default effect: the shell's job control works on.
// Threads: a process with one thread.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

class FrontSignals {
 public:
  static Result<FrontSignals> open();

  int fd() const { return fd_.get(); }

  struct Received {
    int signal = 0;
    bool is_from_terminal = false;
    pid_t sender = 0;
    bool ends_job() const { return signal != SIGUSR1 && signal != SIGUSR2; }
  };
  // The next one that waits, if any.
  std::optional<Received> next() const;

 private:
  FrontSignals() = default;
  UniqueFd fd_;
};

}  // namespace cicd
