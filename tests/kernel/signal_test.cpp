// SPDX-License-Identifier: Apache-2.0
// Signals to processes outside the job, by every way there is, and those that are none of it.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include <chrono>

#include "victim.h"

namespace cicd::test {

namespace {

class SignalHooks : public HookTest {
 protected:
  std::vector<SeenTarget> signals(const Act& act) {
    const Samples samples = observe(act);
    EXPECT_EQ(finished().status, 0);
    return targets(samples, CICD_SAMPLE_SIGNAL);
  }
  void expect_one(pid_t target, int signal, const Act& act) {
    const auto seen = signals(act);
    ASSERT_EQ(seen.size(), 1u);
    expect_target(seen[0], static_cast<std::uint64_t>(signal), target);
    EXPECT_EQ(seen[0].fixed.header.pid, static_cast<std::uint32_t>(finished().pid));
    EXPECT_EQ(seen[0].fixed.target_slot, 0u);
  }
};

TEST_F(SignalHooks, EachWayOfSending) {
  const Victim victim;
  const pid_t pid = victim.pid();
  expect_one(pid, SIGUSR1, [&] { return ::kill(pid, SIGUSR1); });
  expect_one(pid, SIGUSR1, [&] { return ::syscall(SYS_tkill, pid, SIGUSR1) == 0 ? 0 : 1; });
  expect_one(pid, SIGUSR1, [&] { return ::syscall(SYS_tgkill, pid, pid, SIGUSR1) == 0 ? 0 : 1; });
  expect_one(pid, SIGUSR1, [&] {
    const long pidfd = ::syscall(SYS_pidfd_open, pid, 0);
    return ::syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, nullptr, 0) == 0 ? 0 : 1;
  });
}

// The sender of a queued signal writes its siginfo, so it can say that a timer sent it.
TEST_F(SignalHooks, AForgedOriginHelpsNobody) {
  const Victim victim;
  for (const int code : {int{SI_QUEUE}, int{SI_TIMER}, int{SI_MESGQ}, int{SI_SIGIO}, -60}) {
    expect_one(victim.pid(), SIGUSR1, [&] {
      siginfo_t info{};
      info.si_code = code;
      return ::syscall(SYS_rt_sigqueueinfo, victim.pid(), SIGUSR1, &info) == 0 ? 0 : 1;
    });
  }
}

// A descriptor that signals its owner: past every filter on kill.
TEST_F(SignalHooks, ThroughADescriptor) {
  const Victim victim;
  for (const int number : {SIGUSR1, 0}) {
    expect_one(victim.pid(), number == 0 ? SIGIO : number, [&] {
      int ends[2];
      if (::pipe2(ends, O_NONBLOCK) != 0) return 1;
      if (::fcntl(ends[0], F_SETOWN, victim.pid()) != 0) return 2;
      if (number != 0 && ::fcntl(ends[0], F_SETSIG, number) != 0) return 3;
      if (::fcntl(ends[0], F_SETFL, O_ASYNC) != 0) return 4;
      return ::write(ends[1], "x", 1) == 1 ? 0 : 5;
    });
  }
}

// The same when the descriptor is closed by the end of its process, which a fault brought about.
TEST_F(SignalHooks, ThroughADescriptorOfADyingProcess) {
  const Victim victim;
  const Samples samples = observe([&] {
    int ends[2];
    const rlimit none{};
    ::setrlimit(RLIMIT_CORE, &none);
    if (::pipe2(ends, O_NONBLOCK) != 0) return 1;
    if (::fcntl(ends[0], F_SETOWN, victim.pid()) != 0) return 2;
    if (::fcntl(ends[0], F_SETSIG, SIGUSR1) != 0) return 3;
    if (::fcntl(ends[0], F_SETFL, O_ASYNC) != 0) return 4;
    ::signal(SIGSEGV, SIG_DFL);
    volatile int* volatile nowhere = nullptr;
    *nowhere = 1;
    return 5;
  });
  EXPECT_EQ(WTERMSIG(finished().status), SIGSEGV);
  const auto seen = targets(samples, CICD_SAMPLE_SIGNAL);
  ASSERT_EQ(seen.size(), 1u);
  expect_target(seen[0], SIGUSR1, victim.pid());
}

TEST_F(SignalHooks, ToItselfAndInTheJobIsNotReported) {
  const auto seen = signals([] {
    ::signal(SIGUSR1, SIG_IGN);
    if (::raise(SIGUSR1) != 0) return 1;
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) ::pause();
    }
    return ::kill(child, SIGKILL) == 0 && ::waitpid(child, nullptr, 0) == child ? 0 : 2;
  });
  EXPECT_EQ(seen.size(), 0u);
}

TEST_F(SignalHooks, SentIntoTheJobFromOutsideIsNotReported) {
  const Victim victim(&job());
  ASSERT_EQ(::kill(victim.pid(), SIGUSR1), 0);
  EXPECT_EQ(signals([] { return 0; }).size(), 0u);
}

TEST_F(SignalHooks, ProbingIsNoSignal) {
  const Victim victim;
  EXPECT_EQ(signals([&] { return ::kill(victim.pid(), 0); }).size(), 0u);
}

TEST_F(SignalHooks, RepeatsAreCounted) {
  const Victim victim;
  const std::uint64_t before = source().losses(kSlot)->repeated_acts;
  const auto seen = signals([&] {
    for (int i = 0; i < 50; ++i) {
      if (::kill(victim.pid(), SIGUSR1) != 0) return 1;
    }
    return ::kill(victim.pid(), SIGIO);
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].fixed.value, static_cast<std::uint64_t>(SIGUSR1));
  EXPECT_EQ(seen[1].fixed.value, static_cast<std::uint64_t>(SIGIO));
  EXPECT_EQ(source().losses(kSlot)->repeated_acts - before, 49u);
}

TEST_F(SignalHooks, WhatTheKernelSendsIsNotReported) {
  // SIGCHLD to us is in each of these; here also SIGPIPE, and a child's own exit signal.
  const auto seen = signals([] {
    int ends[2];
    if (::pipe(ends) != 0) return 1;
    ::close(ends[0]);
    ::signal(SIGPIPE, SIG_IGN);
    return ::write(ends[1], "x", 1) < 0 ? 0 : 2;
  });
  EXPECT_EQ(seen.size(), 0u);

  ::signal(SIGUSR2, SIG_IGN);
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGUSR2;
  args.cgroup = static_cast<std::uint64_t>(job().fd());
  const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
  ASSERT_GE(pid, 0);
  if (pid == 0) ::_exit(0);
  ::waitpid(static_cast<pid_t>(pid), nullptr, __WALL);
  const Samples samples = collect_until_exit(static_cast<pid_t>(pid));
  EXPECT_EQ(targets(samples, CICD_SAMPLE_SIGNAL).size(), 0u);
}

int pin_to_first_cpu() {
  cpu_set_t set;
  ::sched_getaffinity(0, sizeof(set), &set);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return ::sched_setaffinity(0, sizeof(set), &set);
  }
  return 1;
}

std::uint64_t timer_signals_of(int from) {
  std::uint64_t count = 0;
  return ::read(from, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

// A timer of another process goes off while a process of the job runs on its CPU.
TEST_F(SignalHooks, ATimerThatInterruptsTheJobIsNotTheJobs) {
  int ready[2], answer[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(answer), 0);
  const pid_t timed = start(nullptr, [&] {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGUSR1);
    ::sigaddset(&set, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    if (pin_to_first_cpu() != 0) return 1;
    timer_t timer;
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return 2;
    const itimerspec every{{0, 1'000'000}, {0, 1'000'000}};
    if (::timer_settime(timer, 0, &every, nullptr) != 0) return 3;
    if (::write(ready[1], "r", 1) != 1) return 4;
    std::uint64_t count = 0;
    int signal = 0;
    while (::sigwait(&set, &signal) == 0 && signal == SIGUSR1) ++count;
    return ::write(answer[1], &count, sizeof(count)) == sizeof(count) ? 0 : 5;
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  for (const bool in_the_kernel : {false, true}) {
    const auto seen = signals([&] {
      if (pin_to_first_cpu() != 0) return 1;
      static char buffer[1 << 20];
      const int zeros = ::open("/dev/zero", O_RDONLY);
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
      while (std::chrono::steady_clock::now() < end) {
        if (in_the_kernel && ::read(zeros, buffer, sizeof(buffer)) < 0) return 2;
      }
      return 0;
    });
    EXPECT_EQ(seen.size(), 0u) << in_the_kernel;
  }
  ::kill(timed, SIGTERM);
  EXPECT_GT(timer_signals_of(answer[0]), 100u) << "it did go off";
  ::waitpid(timed, nullptr, 0);
  for (const int fd : {ready[0], ready[1], answer[0], answer[1]}) ::close(fd);
}

TEST_F(SignalHooks, RefusedSignals) {
  const Victim victim;
  const pid_t pid = victim.pid();
  const auto refused = [&](const std::function<long()>& send) {
    const auto seen = signals([&] {
      const long pidfd = ::syscall(SYS_pidfd_open, pid, 0);
      ::dup2(static_cast<int>(pidfd), 100);
      if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
      return send() == -1 && errno == EPERM ? 0 : 2;
    });
    ASSERT_EQ(seen.size(), 1u);
    expect_target(seen[0], SIGTERM, pid, EPERM);
  };
  refused([&] { return ::kill(pid, SIGTERM); });
  refused([&] { return ::syscall(SYS_tkill, pid, SIGTERM); });
  refused([&] { return ::syscall(SYS_tgkill, pid, pid, SIGTERM); });
  refused([&] { return ::syscall(SYS_pidfd_send_signal, 100, SIGTERM, nullptr, 0); });
  refused([&] {
    siginfo_t info{};
    info.si_code = SI_QUEUE;
    return ::syscall(SYS_rt_sigqueueinfo, pid, SIGTERM, &info);
  });
  EXPECT_EQ(signals([&] {
              if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
              return ::kill(pid, 0) == -1 ? 0 : 2;
            }).size(),
            0u)
      << "a refused question";
}

}  // namespace

}  // namespace cicd::test
