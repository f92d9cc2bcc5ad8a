// SPDX-License-Identifier: Apache-2.0
#include "run/front_signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace cicd {

Result<FrontSignals> FrontSignals::open() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2}) {
    ::sigaddset(&set, signal);
  }
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno(errno, "sigprocmask");
  // A closed pipe behind standard error must not end us; a parent's "ignore" must not hide our
  // children's end from us. The command gets both back as they were.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
  FrontSignals signals;
  signals.fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.fd_) return fail_errno(errno, "signalfd");
  return signals;
}

std::optional<FrontSignals::Received> FrontSignals::next() const {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof(info)) != static_cast<ssize_t>(sizeof(info))) {
    return std::nullopt;
  }
  Received received;
  received.signal = static_cast<int>(info.ssi_signo);
  received.is_from_terminal = info.ssi_code > 0;  // SI_KERNEL; those of processes are 0 or less
  received.sender = static_cast<pid_t>(info.ssi_pid);
  return received;
}

}  // namespace cicd
