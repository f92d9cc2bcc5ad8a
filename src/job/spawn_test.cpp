// SPDX-License-Identifier: Apache-2.0
// Real processes in real cgroups; needs root.
#include "job/spawn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <optional>
#include <sstream>

#include "job/job_cgroup.h"

namespace cicd {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// A cgroup of the test's own, emptied and removed with it.
class SpawnTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    place_ = find_own_cgroup().value();
    group_.emplace(
        JobCgroup::create(place_, "cicd-spawn-test-" + std::to_string(::getpid())).value());
  }
  void TearDown() override {
    if (!group_) return;
    for (const pid_t pid : group_->processes()) ::kill(pid, SIGKILL);
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    EXPECT_TRUE(group_->remove());
  }

  SpawnRequest shell(const std::string& script) const {
    SpawnRequest request;
    request.path = "/bin/sh";
    request.argv = {"sh", "-c", script};
    request.environment = {"PATH=/usr/bin:/bin"};
    request.cgroup_fd = group_->fd();
    request.inherited = InheritedState::capture();
    return request;
  }
  static int wait_for(const SpawnedCommand& command) {
    int status = -1;
    ::waitpid(command.pid(), &status, 0);
    return shell_exit_code(status);
  }
  int run(const SpawnRequest& request) const {
    auto command = SpawnedCommand::start(request);
    if (!command || !command->release()) return -1;
    return wait_for(*command);
  }

  CgroupPlace place_;
  std::optional<JobCgroup> group_;
};

TEST_F(SpawnTest, IsHeldInTheCgroupUntilItIsReleased) {
  auto command = SpawnedCommand::start(shell("exit 7")).value();
  EXPECT_THAT(group_->processes(), testing::ElementsAre(command.pid()));
  EXPECT_TRUE(group_->is_populated().value());
  ASSERT_TRUE(command.release());
  EXPECT_EQ(wait_for(command), 7);
  EXPECT_FALSE(group_->is_populated().value());
}

TEST_F(SpawnTest, EndsWhenItsStarterGoesBeforeTheRelease) {
  pid_t pid = -1;
  {
    const auto command = SpawnedCommand::start(shell("exit 7")).value();
    pid = command.pid();
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(shell_exit_code(status), 125);
}

TEST_F(SpawnTest, TellsWhatExecveSays) {
  SpawnRequest request = shell("");
  request.path = "/no/such/program";
  auto command = SpawnedCommand::start(request).value();
  const auto released = command.release();
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().sys_errno, ENOENT);
  EXPECT_FALSE(released.error().hint.empty());
  EXPECT_THAT(group_->processes(), IsEmpty());
}

TEST_F(SpawnTest, RunsAsTheUserWithHisGroupsOnly) {
  SpawnRequest request = shell("test \"$(id -u) $(id -g) $(id -G)\" = '65534 65534 65534 65533'");
  request.user.uid = 65534;
  request.user.gid = 65534;
  request.user.groups = {65534, 65533};
  request.user.is_switched = true;
  EXPECT_EQ(run(request), 0);
}

TEST_F(SpawnTest, GivesUpCapabilitiesThatTheUserHasNot) {
  SpawnRequest request =
      shell("grep -E 'Cap(Eff|Prm|Amb)' /proc/self/status | grep -qv 0000000000000000");
  request.user.uid = 65534;
  request.user.gid = 65534;
  request.user.drops_capabilities = true;
  EXPECT_EQ(run(request), 1);
}

TEST_F(SpawnTest, SignalsAndLimitsAreThoseThatWereInherited) {
  SpawnRequest request = shell("kill -PIPE $$; exit 3");
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const int code = run(request);
  ::signal(SIGPIPE, before);
  ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
  EXPECT_EQ(code, 128 + SIGPIPE);
}

// Makes clone3 fail as old container filters do. For the calling process, for good.
void refuse_clone3() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof(filter) / sizeof(filter[0]), filter};
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST_F(SpawnTest, WithoutClone3ItIsMovedWhileItIsHeld) {
  const pid_t tester = ::fork();
  if (tester == 0) {
    refuse_clone3();
    auto command = SpawnedCommand::start(shell("grep -q cicd-spawn-test /proc/self/cgroup"));
    const bool is_held_inside = command && group_->processes() == std::vector{command->pid()};
    const bool runs = is_held_inside && command->release() && wait_for(*command) == 0;
    ::_exit(runs ? 0 : 1);
  }
  int status = -1;
  ::waitpid(tester, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(SpawnTest, WhatIsLeftIsMovedAndCgroupsBelowAreRemoved) {
  auto command = SpawnedCommand::start(shell("exec sleep 30")).value();
  ASSERT_TRUE(command.release());
  const CgroupPlace inside{place_.mount_point, "", group_->dir()};
  auto below = JobCgroup::create(inside, "a").value();
  JobCgroup::create({place_.mount_point, "", below.dir()}, "b").value();
  ASSERT_TRUE(std::ofstream(below.dir() + "/cgroup.procs") << command.pid());
  EXPECT_THAT(group_->processes(), SizeIs(1));
  EXPECT_FALSE(group_->remove()) << "a cgroup with a process in it was removed";
  EXPECT_TRUE(group_->is_populated().value());

  EXPECT_EQ(group_->move_processes_to(place_.dir).value(), 1u);
  EXPECT_FALSE(group_->is_populated().value());
  ASSERT_TRUE(group_->remove());
  EXPECT_TRUE(group_->remove()) << "gone already is no error";
  EXPECT_FALSE(group_->is_populated().value());
  EXPECT_EQ(JobCgroup::open(group_->dir()).error().code, ErrorCode::kNotFound);
  std::stringstream own;
  own << std::ifstream("/proc/" + std::to_string(command.pid()) + "/cgroup").rdbuf();
  EXPECT_THAT(own.str(), HasSubstr("0::" + place_.path));
  ::kill(command.pid(), SIGKILL);
}

TEST(ShellExitCode, IsTheCodeOr128AndTheSignal) {
  EXPECT_EQ(shell_exit_code(7 << 8), 7);
  EXPECT_EQ(shell_exit_code(SIGKILL), 137);
  EXPECT_EQ(shell_exit_code(SIGSEGV | 0x80), 139);
}

TEST(JobCgroupOpen, RefusesWhatIsNone) {
  EXPECT_EQ(JobCgroup::open("/tmp").error().code, ErrorCode::kInvalidInput);
}

}  // namespace
}  // namespace cicd
