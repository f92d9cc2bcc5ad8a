// SPDX-License-Identifier: Apache-2.0
// ptrace and its relatives, the memory of other processes, and how the target of a call is found:
// by pids of every size, in nested namespaces, threads, pidfds, files of procfs.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <atomic>
#include <thread>

#include "this_kernel.h"
#include "victim.h"

namespace cicd::test {

namespace {

long pidfd_open(pid_t pid) { return ::syscall(SYS_pidfd_open, pid, 0); }

int become_nobody() { return ::setgid(65534) != 0 || ::setuid(65534) != 0 ? 1 : 0; }

// Reads a byte of a process that is a copy of this one; 0 or errno.
char memory_to_read = 'm';
int read_memory_of(pid_t pid, bool write = false) {
  char byte = 'm';
  iovec local{&byte, 1};
  iovec remote{&memory_to_read, 1};
  const ssize_t bytes = write ? ::process_vm_writev(pid, &local, 1, &remote, 1, 0)
                              : ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
  return bytes == 1 ? 0 : errno;
}

class PtraceHooks : public HookTest {
 protected:
  std::vector<SeenTarget> ptraces(const Act& act) {
    const Samples samples = observe(act);
    EXPECT_EQ(finished().status, 0);
    return targets(samples, CICD_SAMPLE_PTRACE, finished().pid);
  }
};

// Takes hold of a process, does what `then` says and lets it go.
int with_seized(pid_t pid, const std::function<int()>& then) {
  if (::ptrace(PTRACE_SEIZE, pid, 0, 0) != 0) return 1;
  if (::ptrace(PTRACE_INTERRUPT, pid, 0, 0) != 0) return 2;
  if (::waitpid(pid, nullptr, __WALL) != pid) return 3;
  const int result = then();
  return ::ptrace(PTRACE_DETACH, pid, 0, 0) != 0 ? 4 : result;
}

TEST_F(PtraceHooks, EachKindOfRequestOnceForATarget) {
  const Victim victim;
  const std::uint64_t before = source().losses(kSlot)->repeated_acts;
  const auto seen = ptraces([&] {
    return with_seized(victim.pid(), [&] {
      for (int i = 0; i < 100; ++i) {
        errno = 0;
        if (::ptrace(PTRACE_PEEKDATA, victim.pid(), &memory_to_read, 0) == -1 && errno) return 5;
      }
      const long word = ::ptrace(PTRACE_PEEKDATA, victim.pid(), &memory_to_read, 0);
      return ::ptrace(PTRACE_POKEDATA, victim.pid(), &memory_to_read, word) == 0 ? 0 : 6;
    });
  });
  ASSERT_EQ(seen.size(), 3u) << "not INTERRUPT, not DETACH";
  expect_target(seen[0], PTRACE_SEIZE, victim.pid());
  expect_target(seen[1], PTRACE_PEEKDATA, victim.pid());
  expect_target(seen[2], PTRACE_POKEDATA, victim.pid());
  for (const SeenTarget& each : seen) {
    EXPECT_EQ(each.fixed.target_named, static_cast<std::uint32_t>(victim.pid()));
    EXPECT_EQ(each.fixed.target_slot, 0u);
  }
  EXPECT_EQ(source().losses(kSlot)->repeated_acts - before, 100u);
  EXPECT_EQ(without_recursion(*source().losses(kSlot)).total(), 0u) << "a repeat is no loss";
}

TEST_F(PtraceHooks, TargetInTheJob) {
  const Victim victim(&job());
  const auto seen = ptraces([&] { return with_seized(victim.pid(), [] { return 0; }); });
  ASSERT_EQ(seen.size(), 1u);
  expect_target(seen[0], PTRACE_SEIZE, victim.pid());
  EXPECT_EQ(seen[0].fixed.target_slot, kSlot);
}

TEST_F(PtraceHooks, RefusedAttach) {
  const Victim victim;
  const auto seen = ptraces([&] {
    if (become_nobody() != 0) return 1;
    return ::ptrace(PTRACE_ATTACH, victim.pid(), 0, 0) == -1 && errno == EPERM ? 0 : 2;
  });
  ASSERT_EQ(seen.size(), 1u);
  expect_target(seen[0], PTRACE_ATTACH, victim.pid(), EPERM);
}

TEST_F(PtraceHooks, TracemeGivesControlToTheParent) {
  const auto seen = ptraces([] { return ::ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? 0 : 1; });
  ASSERT_EQ(seen.size(), 1u);
  expect_target(seen[0], PTRACE_TRACEME, ::getpid());
  EXPECT_EQ(seen[0].fixed.target_named, 0u);
}

TEST_F(PtraceHooks, ADescriptorTakenOutOfAnotherProcess) {
  const Victim victim;
  const auto seen = ptraces([&] {
    const long pidfd = pidfd_open(victim.pid());
    return ::syscall(SYS_pidfd_getfd, pidfd, 2, 0) >= 0 ? 0 : 1;
  });
  ASSERT_EQ(seen.size(), 1u);
  expect_target(seen[0], CICD_PTRACE_PIDFD_GETFD, victim.pid());
}

TEST_F(PtraceHooks, AZombieHasNoProgramButIsFound) {
  const pid_t zombie = start(nullptr, [] { return 0; });
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(zombie), &info, WEXITED | WNOWAIT);
  const auto seen = ptraces([&] { return ::ptrace(PTRACE_SEIZE, zombie, 0, 0) == -1 ? 0 : 1; });
  ::waitpid(zombie, nullptr, 0);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].fixed.target_pid, static_cast<std::uint32_t>(zombie));
  EXPECT_EQ(seen[0].fixed.error, static_cast<std::uint32_t>(EPERM));
  EXPECT_EQ(seen[0].exec_path.bytes, "");
  EXPECT_EQ(seen[0].exec_path.flags, 0u);
}

class MemoryHooks : public HookTest {
 protected:
  std::vector<SeenTarget> memory(const Act& act) {
    const Samples samples = observe(act);
    EXPECT_EQ(finished().status, 0);
    return targets(samples, CICD_SAMPLE_MEMORY, finished().pid);
  }
};

TEST_F(MemoryHooks, ReadAndWrite) {
  const Victim victim;
  const std::uint64_t before = source().losses(kSlot)->repeated_acts;
  const auto seen = memory([&] {
    for (int i = 0; i < 20; ++i) {
      if (read_memory_of(victim.pid()) != 0) return 1;
    }
    return read_memory_of(victim.pid(), true);
  });
  ASSERT_EQ(seen.size(), 2u);
  expect_target(seen[0], CICD_MEMORY_VM_READV, victim.pid());
  expect_target(seen[1], CICD_MEMORY_VM_WRITEV, victim.pid());
  EXPECT_EQ(seen[0].fixed.target_named, static_cast<std::uint32_t>(victim.pid()));
  EXPECT_EQ(source().losses(kSlot)->repeated_acts - before, 19u);
}

TEST_F(MemoryHooks, RefusedRead) {
  const Victim victim;
  const auto seen = memory([&] {
    if (become_nobody() != 0) return 1;
    return read_memory_of(victim.pid()) == EPERM ? 0 : 2;
  });
  ASSERT_EQ(seen.size(), 1u);
  expect_target(seen[0], CICD_MEMORY_VM_READV, victim.pid(), EPERM);
}

TEST_F(MemoryHooks, TheOwnProcessIsNobodysBusiness) {
  const auto seen = memory([] {
    if (read_memory_of(::getpid()) != 0) return 1;
    int result = 0;
    std::thread([&] {
      const auto tid = static_cast<pid_t>(::syscall(SYS_gettid));
      result = read_memory_of(tid);
      const std::string path = "/proc/self/task/" + std::to_string(tid) + "/mem";
      if (::open(path.c_str(), O_RDONLY) < 0) result = 2;
    }).join();
    for (const char* path : {"/proc/self/mem", "/proc/self/maps", "/proc/thread-self/environ"}) {
      if (::open(path, O_RDONLY) < 0) return 3;
    }
    return result;
  });
  EXPECT_EQ(seen.size(), 0u);
}

TEST_F(MemoryHooks, OpensInProc) {
  const Victim victim;
  const std::string proc = "/proc/" + std::to_string(victim.pid());
  const auto seen = memory([&] {
    for (const char* name : {"/status", "/cmdline", "/stat", "/mem", "/environ", "/maps"}) {
      if (::open((proc + name).c_str(), O_RDONLY) < 0) return 1;
    }
    return ::open((proc + "/mem").c_str(), O_PATH) < 0 ? 2 : 0;
  });
  ASSERT_EQ(seen.size(), 3u);
  expect_target(seen[0], CICD_MEMORY_PROC_MEM, victim.pid());
  expect_target(seen[1], CICD_MEMORY_PROC_ENVIRON, victim.pid());
  expect_target(seen[2], CICD_MEMORY_PROC_MAPS, victim.pid());
  EXPECT_EQ(seen[0].fixed.target_named, 0u);
}

// Whatever the path is, it is the same file.
TEST_F(MemoryHooks, OpensInProcByOtherWays) {
  const Victim victim;
  const std::string pid = std::to_string(victim.pid());
  std::ofstream(scratch() + "/bound") << "";
  ASSERT_EQ(::mkdir((scratch() + "/proc").c_str(), 0755), 0);
  const std::vector<std::pair<std::string, std::uint64_t>> ways = {
      {"/proc/self/root/proc/" + pid + "/mem", CICD_MEMORY_PROC_MEM},
      {"/proc/" + pid + "/task/" + pid + "/environ", CICD_MEMORY_PROC_ENVIRON},
      {"/proc/" + pid + "/smaps", CICD_MEMORY_PROC_MAPS},
      {"/proc/" + pid + "/smaps_rollup", CICD_MEMORY_PROC_MAPS},
      {"/proc/" + pid + "/numa_maps", CICD_MEMORY_PROC_MAPS},
      {scratch() + "/bound", CICD_MEMORY_PROC_MEM},
      {scratch() + "/proc/" + pid + "/mem", CICD_MEMORY_PROC_MEM},
  };
  for (const auto& [path, method] : ways) {
    const auto seen = memory([&] {
      if (::unshare(CLONE_NEWNS) != 0) return 1;
      if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 2;
      if (::mount(("/proc/" + pid + "/mem").c_str(), (scratch() + "/bound").c_str(), nullptr,
                  MS_BIND, nullptr) != 0) {
        return 3;
      }
      if (::mount("proc", (scratch() + "/proc").c_str(), "proc", 0, nullptr) != 0) return 4;
      const int fd = ::open(path.c_str(), O_RDONLY);
      return fd < 0 ? (path.ends_with("numa_maps") ? 0 : 5) : 0;
    });
    if (path.ends_with("numa_maps") && !std::filesystem::exists("/proc/self/numa_maps")) continue;
    ASSERT_EQ(seen.size(), 1u) << path;
    expect_target(seen[0], method, victim.pid());
  }
}

TEST_F(MemoryHooks, AFileOfAnotherFileSystemWithThatNameIsNone) {
  std::ofstream(scratch() + "/mem") << "x";
  const auto seen =
      memory([&] { return ::open((scratch() + "/mem").c_str(), O_RDONLY) < 0 ? 1 : 0; });
  EXPECT_EQ(seen.size(), 0u);
}

// How the target is found. Each act reads the memory of a process by its number.
class FindTask : public HookTest {
 protected:
  // Sleeping child of the caller, with this number in the caller's namespace (0: any).
  static pid_t sleeper(pid_t number) {
    clone_args args{};
    args.exit_signal = SIGCHLD;
    if (number != 0) {
      args.set_tid = reinterpret_cast<std::uint64_t>(&number);
      args.set_tid_size = 1;
    }
    const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0) {
      for (;;) ::pause();
    }
    return static_cast<pid_t>(pid);
  }
  // Runs `act` as pid 1 of a new namespace, `depth` namespaces down; what it leaves dies with it.
  static int in_namespaces(int depth, const Act& act) {
    if (depth == 0) return act();
    if (::unshare(CLONE_NEWPID) != 0) return 101;
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(in_namespaces(depth - 1, act));
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
  }
  // Children of a process, in order, by their pids in the first namespace.
  static std::vector<std::uint32_t> children(const Samples& samples, std::uint32_t parent) {
    std::vector<std::uint32_t> out;
    for (const auto& fork : samples.fixed<cicd_sample_fork>(CICD_SAMPLE_FORK)) {
      if (fork.parent_pid == parent) out.push_back(fork.header.pid);
    }
    return out;
  }
};

TEST_F(FindTask, InNestedNamespaces) {
  for (const int depth : {1, 2, 5}) {
    const Samples samples = observe([&] {
      return in_namespaces(depth, [] {
        const pid_t children[] = {sleeper(0), sleeper(0), sleeper(0)};
        if (children[1] != 3) return 1;
        if (read_memory_of(3) != 0) return 2;
        const pid_t reader = ::fork();
        if (reader == 0) ::_exit(read_memory_of(1));
        int status = 0;
        ::waitpid(reader, &status, 0);
        return status == 0 ? 0 : 3;
      });
    });
    EXPECT_EQ(finished().status, 0);
    const auto seen = targets(samples, CICD_SAMPLE_MEMORY);
    ASSERT_EQ(seen.size(), 2u) << depth;
    const std::uint32_t first = seen[0].fixed.header.pid;
    EXPECT_EQ(seen[0].fixed.target_named, 3u);
    EXPECT_EQ(seen[0].fixed.target_pid, children(samples, first).at(1)) << depth;
    EXPECT_EQ(seen[1].fixed.target_named, 1u);
    EXPECT_EQ(seen[1].fixed.target_pid, first) << depth;
    EXPECT_EQ(seen[1].fixed.target_slot, kSlot);
  }
}

// The table of pids has a level more at 64, 4,096 and 262,144.
TEST_F(FindTask, PidsOfEverySize) {
  static constexpr pid_t kNumbers[] = {2,    63,   64,    65,     127,    128,    4095,
                                       4096, 4097, 32767, 262143, 262144, 4194303};
  int pid_max = 0;
  std::ifstream("/proc/sys/kernel/pid_max") >> pid_max;
  std::vector<pid_t> numbers;
  for (const pid_t number : kNumbers) {
    if (number < pid_max) numbers.push_back(number);
  }
  ASSERT_GT(numbers.size(), 9u);
  const Samples samples = observe([&] {
    return in_namespaces(1, [&] {
      for (const pid_t number : numbers) {
        if (sleeper(number) != number) return 1;
      }
      for (const pid_t number : numbers) {
        if (read_memory_of(number) != 0) return 2;
      }
      return 0;
    });
  });
  EXPECT_EQ(finished().status, 0);
  const auto seen = targets(samples, CICD_SAMPLE_MEMORY);
  ASSERT_EQ(seen.size(), numbers.size());
  const auto made = children(samples, seen[0].fixed.header.pid);
  ASSERT_EQ(made.size(), numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(seen[i].fixed.target_named, static_cast<std::uint32_t>(numbers[i]));
    EXPECT_EQ(seen[i].fixed.target_pid, made[i]) << numbers[i];
  }
}

TEST_F(FindTask, NumbersThatNobodyHas) {
  // Each by a process of its own: what repeats is not reported.
  static constexpr pid_t kNumbers[] = {0, -1, 3, 62, 66, 4000, 4097, 262145, 4194303, 0x7fffffff};
  const Samples samples = observe([&] {
    return in_namespaces(1, [&] {
      sleeper(64);
      sleeper(4096);
      for (const pid_t number : kNumbers) {
        clone_args args{};
        args.exit_signal = SIGCHLD;
        const pid_t own = 5000;
        args.set_tid = reinterpret_cast<std::uint64_t>(&own);
        args.set_tid_size = 1;
        const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
        if (pid == 0) ::_exit(read_memory_of(number) == ESRCH ? 0 : 1);
        int status = 0;
        ::waitpid(static_cast<pid_t>(pid), &status, 0);
        if (status != 0) return 1;
      }
      return 0;
    });
  });
  EXPECT_EQ(finished().status, 0);
  const auto seen = targets(samples, CICD_SAMPLE_MEMORY);
  ASSERT_EQ(seen.size(), std::size(kNumbers));
  for (std::size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].fixed.target_named, static_cast<std::uint32_t>(kNumbers[i]));
    EXPECT_EQ(seen[i].fixed.target_pid, 0u) << kNumbers[i];
    EXPECT_EQ(seen[i].fixed.error, static_cast<std::uint32_t>(ESRCH));
    EXPECT_EQ(seen[i].exec_path.bytes, "");
  }
}

// One process of many threads, and the job's reads by the number of one of them.
TEST_F(FindTask, AThreadStandsForItsProcess) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t victim = start(nullptr, [&] {
    std::thread([&] {
      const auto tid = static_cast<pid_t>(::syscall(SYS_gettid));
      if (::write(ends[1], &tid, sizeof(tid)) < 0) ::_exit(1);
      for (;;) ::pause();
    }).join();
    return 0;
  });
  pid_t tid = 0;
  ASSERT_EQ(::read(ends[0], &tid, sizeof(tid)), static_cast<ssize_t>(sizeof(tid)));
  const Samples samples = observe([&] { return read_memory_of(tid); });
  const auto seen = targets(samples, CICD_SAMPLE_MEMORY, finished().pid);
  if (seen.size() == 1) {
    expect_target(seen[0], CICD_MEMORY_VM_READV, victim);
    EXPECT_EQ(seen[0].fixed.target_named, static_cast<std::uint32_t>(tid));
  }
  EXPECT_EQ(seen.size(), 1u);
  ::kill(victim, SIGKILL);
  ::waitpid(victim, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(FindTask, TheTargetsProgramIsNamedBelowItsOwnRoot) {
  const std::string copy = scratch() + "/sleeper";
  std::filesystem::copy_file("/bin/sleep", copy);
  const pid_t victim = start(nullptr, [&] {
    if (::unshare(CLONE_NEWNS) != 0) return 1;
    return exec(copy, {"sleep", "60"});
  });
  while (std::filesystem::read_symlink("/proc/" + std::to_string(victim) + "/exe") != copy) {
    ::usleep(1000);
  }
  const Samples samples = observe([&] {
    return ::open(("/proc/" + std::to_string(victim) + "/environ").c_str(), O_RDONLY) < 0 ? 1 : 0;
  });
  ::kill(victim, SIGKILL);
  ::waitpid(victim, nullptr, 0);
  const auto seen = targets(samples, CICD_SAMPLE_MEMORY, finished().pid);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].exec_path.path(), copy);
}

}  // namespace

}  // namespace cicd::test
