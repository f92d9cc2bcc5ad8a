// SPDX-License-Identifier: Apache-2.0
// fork, exec and exit: the real act, the exact sample.
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "support.h"

namespace cicd::test {

namespace {

std::string arguments(const std::vector<std::string>& argv) {
  std::string out;
  for (const std::string& each : argv) out += each + '\0';
  return out;
}

std::string real(const char* path) { return std::filesystem::canonical(path); }

class ProcessHooks : public HookTest {};

TEST_F(ProcessHooks, ExecHasProgramArgumentsCwdAndIdentity) {
  const Samples samples = observe([&] {
    if (::chdir(scratch().c_str()) != 0) return 1;
    return exec("/bin/true", {"truth", "a b", "", "c"});
  });
  const auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  const SeenExec& seen = execs[0];
  EXPECT_EQ(seen.exec_path.path(), real("/bin/true"));
  EXPECT_EQ(seen.exec_path.flags, CICD_STRING_COMPONENTS);
  EXPECT_EQ(seen.filename.bytes, "/bin/true");
  EXPECT_EQ(seen.cwd.path(), scratch());
  EXPECT_EQ(seen.argv.bytes, arguments({"truth", "a b", "", "c"}));
  EXPECT_EQ(seen.argv.flags, 0u);
  EXPECT_EQ(seen.fixed.header.flags, 0);
  EXPECT_EQ(seen.fixed.header.cgroup_id, job().id());
  EXPECT_EQ(seen.fixed.header.tid, seen.fixed.header.pid);
  EXPECT_EQ(seen.fixed.old_tid, seen.fixed.header.pid);
  EXPECT_EQ(seen.fixed.uid, 0u);
  struct stat status{};
  ASSERT_EQ(::stat("/bin/true", &status), 0);
  EXPECT_EQ(seen.fixed.inode, status.st_ino);
  EXPECT_EQ(seen.fixed.device, (major(status.st_dev) << 20) | minor(status.st_dev));
}

TEST_F(ProcessHooks, ExecTellsUserAndGroup) {
  const Samples samples = observe([] {
    if (::setgid(4321) != 0 || ::setuid(1234) != 0) return 1;
    return exec("/bin/true", {"true"});
  });
  const auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].fixed.uid, 1234u);
  EXPECT_EQ(execs[0].fixed.gid, 4321u);
}

TEST_F(ProcessHooks, ScriptHasInterpreterAndScript) {
  const std::string script = scratch() + "/script";
  std::ofstream(script) << "#!/bin/sh\nexit 5\n";
  ::chmod(script.c_str(), 0755);
  const Samples samples = observe([&] { return exec(script, {script, "x"}); });
  const auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].exec_path.path(), real("/bin/sh"));
  EXPECT_EQ(execs[0].filename.bytes, script);
  EXPECT_EQ(execs[0].argv.bytes, arguments({"/bin/sh", script, "x"}));
  EXPECT_EQ(execs[0].fixed.header.flags, CICD_EXEC_SCRIPT);
  EXPECT_EQ(WEXITSTATUS(finished().status), 5);
}

TEST_F(ProcessHooks, ProgramInMemoryIsMarked) {
  const int program = ::open("/bin/true", O_RDONLY | O_CLOEXEC);
  const int memory = ::memfd_create("hidden", MFD_CLOEXEC);
  char buffer[65536];
  for (ssize_t n = 0; (n = ::read(program, buffer, sizeof(buffer))) > 0;) {
    ASSERT_EQ(::write(memory, buffer, static_cast<std::size_t>(n)), n);
  }
  ::close(program);
  // As a file it must be closed for writing; the kernel opens it anew through /proc.
  const int readable =
      ::open(("/proc/self/fd/" + std::to_string(memory)).c_str(), O_RDONLY | O_CLOEXEC);
  ::close(memory);
  const Samples samples = observe([&] {
    char name[] = "nobody";
    char* argv[] = {name, nullptr};
    char* envp[] = {nullptr};
    ::syscall(SYS_execveat, readable, "", argv, envp, AT_EMPTY_PATH);
    return 127;
  });
  ::close(readable);
  const auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].fixed.header.flags, CICD_EXEC_MEMFD);
  EXPECT_EQ(execs[0].exec_path.flags, CICD_STRING_MEMFD);
  EXPECT_EQ(execs[0].exec_path.bytes, "memfd:hidden");
  EXPECT_EQ(execs[0].filename.bytes, "/dev/fd/" + std::to_string(readable));
}

TEST_F(ProcessHooks, DeletedProgramIsMarked) {
  const std::string program = scratch() + "/gone";
  const auto act = [&] {
    std::filesystem::copy_file("/bin/true", program);
    const int file = ::open(program.c_str(), O_RDONLY | O_CLOEXEC);
    ::unlink(program.c_str());
    char name[] = "gone";
    char* argv[] = {name, nullptr};
    char* envp[] = {nullptr};
    ::syscall(SYS_execveat, file, "", argv, envp, AT_EMPTY_PATH);
    return 127;
  };
  const Samples samples = observe(act);
  const auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].exec_path.flags, CICD_STRING_COMPONENTS | CICD_STRING_DELETED);
  EXPECT_EQ(execs[0].exec_path.path(), program);
}

TEST_F(ProcessHooks, LongArgumentsAreCutAndMarked) {
  const std::string exact(CICD_ARGV_MAX - 6, 'x');  // with "true\0" and its own NUL: the limit
  Samples samples = observe([&] { return exec("/bin/true", {"true", exact}); });
  auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].argv.bytes, arguments({"true", exact}));
  EXPECT_EQ(execs[0].argv.flags, 0u);

  const std::string longer = exact + "yz";
  samples = observe([&] { return exec("/bin/true", {"true", longer}); });
  execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_EQ(execs[0].argv.bytes, arguments({"true", longer}).substr(0, CICD_ARGV_MAX));
  EXPECT_EQ(execs[0].argv.flags, CICD_STRING_TRUNCATED);
}

TEST_F(ProcessHooks, ExecByAnotherThreadKeepsThePid) {
  const Samples samples = observe([] {
    pthread_t thread;
    const auto run_exec = [](void*) -> void* {
      exec("/bin/true", {"true"});
      return nullptr;
    };
    if (::pthread_create(&thread, nullptr, run_exec, nullptr) != 0) return 1;
    ::pthread_join(thread, nullptr);
    return 2;
  });
  const auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 1u);
  EXPECT_NE(execs[0].fixed.old_tid, execs[0].fixed.header.pid);
  EXPECT_EQ(execs[0].fixed.header.tid, execs[0].fixed.header.pid);
  const auto exits = samples.fixed<cicd_sample_exit>(CICD_SAMPLE_EXIT, finished().pid);
  ASSERT_EQ(exits.size(), 1u) << "threads that exec ended make no exit";
  EXPECT_EQ(exits[0].status, 0u);
  EXPECT_EQ(samples.of(CICD_SAMPLE_FORK).size(), 1u) << "the thread makes no fork sample";
}

TEST_F(ProcessHooks, FailedExecMakesNoSample) {
  const Samples samples = observe([] { return exec("/nonexistent/program", {"x"}); });
  EXPECT_TRUE(samples.execs().empty());
}

TEST_F(ProcessHooks, ForkTiesChildToParentAndThreadsAreSilent) {
  int child_of_job[2];
  ASSERT_EQ(::pipe2(child_of_job, O_CLOEXEC), 0);
  const Samples samples = observe([&] {
    pthread_t thread;
    ::pthread_create(&thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
    ::pthread_join(thread, nullptr);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
    return ::write(child_of_job[1], &child, sizeof(child)) == sizeof(child) ? 0 : 1;
  });
  pid_t outside = 0;
  pid_t child = 0;
  ASSERT_EQ(::read(child_of_job[0], &outside, sizeof(outside)), ssize_t{sizeof(outside)});
  ASSERT_EQ(::read(child_of_job[0], &child, sizeof(child)), ssize_t{sizeof(child)});
  ::close(child_of_job[0]);
  ::close(child_of_job[1]);

  const auto forks = samples.fixed<cicd_sample_fork>(CICD_SAMPLE_FORK);
  ASSERT_EQ(forks.size(), 2u) << "the job's process and its child";
  EXPECT_EQ(forks[0].header.pid, static_cast<std::uint32_t>(finished().pid));
  EXPECT_EQ(forks[0].parent_pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(forks[0].header.cgroup_id, job().id());
  EXPECT_EQ(forks[1].header.pid, static_cast<std::uint32_t>(child));
  EXPECT_EQ(forks[1].header.tid, static_cast<std::uint32_t>(child));
  EXPECT_EQ(forks[1].parent_pid, static_cast<std::uint32_t>(finished().pid));
  EXPECT_EQ(forks[1].parent_start_time_ns, forks[0].header.start_time_ns);
  EXPECT_EQ(forks[1].parent_cgroup_id, job().id());
  EXPECT_EQ(forks[1].parent_exec_id, forks[0].header.exec_id);
  EXPECT_GE(forks[1].header.time_ns, forks[0].header.time_ns);
  EXPECT_GE(forks[1].header.start_time_ns, forks[0].header.start_time_ns);
  EXPECT_EQ(samples.of(CICD_SAMPLE_EXIT, child).size(), 1u);
}

TEST_F(ProcessHooks, ExecIdTellsProgramsOfOnePidApart) {
  const Samples samples =
      observe([] { return exec("/bin/sh", {"sh", "-c", "exec /bin/cat /dev/null"}); });
  const auto execs = samples.execs(finished().pid);
  ASSERT_EQ(execs.size(), 2u);
  EXPECT_EQ(execs[1].fixed.header.exec_id, execs[0].fixed.header.exec_id + 1);
  const auto forks = samples.fixed<cicd_sample_fork>(CICD_SAMPLE_FORK, finished().pid);
  ASSERT_EQ(forks.size(), 1u);
  EXPECT_EQ(execs[0].fixed.header.exec_id, forks[0].header.exec_id + 1);
}

// Exits: status word for word as the parent gets it from wait(2).
class ProcessExit : public HookTest {
 protected:
  void expect_same_status(const Act& act) {
    const Samples samples = observe(act);
    const auto exits = samples.fixed<cicd_sample_exit>(CICD_SAMPLE_EXIT, finished().pid);
    ASSERT_EQ(exits.size(), 1u);
    EXPECT_EQ(exits[0].status, static_cast<std::uint32_t>(finished().status));
    EXPECT_EQ(exits[0].header.cgroup_id, job().id());
  }
};

TEST_F(ProcessExit, Code) {
  expect_same_status([] { return 0; });
  expect_same_status([] { return 42; });
  expect_same_status([] { return 255; });
}

TEST_F(ProcessExit, Signal) {
  expect_same_status([] { return ::raise(SIGKILL); });
  EXPECT_EQ(WTERMSIG(finished().status), SIGKILL);
  expect_same_status([] { return ::raise(SIGTERM); });
}

TEST_F(ProcessExit, LeaderFirstThenThreads) {
  // Whose code wait(2) gives then differs between kernels (since 5.17 the last thread's): the
  // sample has the same, and comes when the last thread is gone.
  expect_same_status([] {
    pthread_t thread;
    const auto linger = [](void*) -> void* {
      ::usleep(30'000);
      ::syscall(SYS_exit, 9);
      return nullptr;
    };
    ::pthread_create(&thread, nullptr, linger, nullptr);
    ::syscall(SYS_exit, 3);
    return 0;
  });
}

TEST_F(ProcessExit, WholeGroupFromAThread) {
  expect_same_status([] {
    pthread_t thread;
    const auto leave = [](void*) -> void* {
      ::syscall(SYS_exit_group, 77);
      return nullptr;
    };
    ::pthread_create(&thread, nullptr, leave, nullptr);
    ::pause();
    return 0;
  });
  EXPECT_EQ(WEXITSTATUS(finished().status), 77);
}

TEST_F(ProcessExit, ManyThreadsOneSample) {
  for (int round = 0; round < 20; ++round) {
    expect_same_status([] {
      const auto leave = [](void*) -> void* {
        ::syscall(SYS_exit, 1);
        return nullptr;
      };
      for (int i = 0; i < 8; ++i) {
        pthread_t thread;
        ::pthread_create(&thread, nullptr, leave, nullptr);
      }
      ::syscall(SYS_exit, 6);
      return 0;
    });
  }
}

}  // namespace

}  // namespace cicd::test
