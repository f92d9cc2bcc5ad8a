// SPDX-License-Identifier: Apache-2.0
// Namespaces that are made and entered: unshare, setns, clone and clone3, and what failed.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

namespace cicd::test {

namespace {

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

class NamespaceHooks : public HookTest {
 protected:
  std::vector<cicd_sample_namespace> changes(const Act& act) {
    auto out = observe(act).fixed<cicd_sample_namespace>(CICD_SAMPLE_NAMESPACE, finished().pid);
    EXPECT_EQ(finished().status, 0);
    return out;
  }
  void expect(const std::vector<cicd_sample_namespace>& seen, cicd_namespace_operation operation,
              std::uint64_t flags, int error = 0) {
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].operation, static_cast<unsigned>(operation));
    EXPECT_EQ(seen[0].flags, flags);
    EXPECT_EQ(seen[0].error, static_cast<unsigned>(error));
    EXPECT_EQ(seen[0].header.cgroup_id, job().id());
  }
};

TEST_F(NamespaceHooks, UnshareEveryKind) {
  constexpr int kAll = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET |
                       CLONE_NEWCGROUP | CLONE_NEWUSER | CLONE_NEWTIME;
  expect(changes([] { return ::unshare(kAll) == 0 ? 0 : 1; }), CICD_NAMESPACE_UNSHARE,
         static_cast<std::uint64_t>(kAll));
}

TEST_F(NamespaceHooks, UnshareOfOtherThingsIsNothing) {
  EXPECT_TRUE(changes([] { return ::unshare(CLONE_FS | CLONE_FILES) == 0 ? 0 : 1; }).empty());
}

TEST_F(NamespaceHooks, UnshareRefused) {
  expect(changes([] {
           if (::syscall(SYS_setuid, 65534) != 0) return 1;
           return ::unshare(CLONE_NEWNS) != 0 ? 0 : 2;
         }),
         CICD_NAMESPACE_UNSHARE, CLONE_NEWNS, EPERM);
}

TEST_F(NamespaceHooks, SetnsWithItsType) {
  expect(changes([] {
           const int fd = ::open("/proc/self/ns/uts", O_RDONLY);
           return ::setns(fd, CLONE_NEWUTS) == 0 ? 0 : 1;
         }),
         CICD_NAMESPACE_SETNS, CLONE_NEWUTS);
}

TEST_F(NamespaceHooks, SetnsWithoutATypeTellsItFromTheFile) {
  const std::pair<const char*, std::uint64_t> files[] = {
      {"mnt", CLONE_NEWNS},   {"uts", CLONE_NEWUTS},       {"ipc", CLONE_NEWIPC},
      {"net", CLONE_NEWNET},  {"cgroup", CLONE_NEWCGROUP}, {"pid", CLONE_NEWPID},
      {"time", CLONE_NEWTIME}};
  for (const auto& [name, flag] : files) {
    SCOPED_TRACE(name);
    expect(changes([file = std::string("/proc/self/ns/") + name] {
             const int fd = ::open(file.c_str(), O_RDONLY);
             return ::setns(fd, 0) == 0 ? 0 : 1;
           }),
           CICD_NAMESPACE_SETNS, flag);
  }
}

TEST_F(NamespaceHooks, SetnsOfAPidfd) {
  expect(changes([] {
           const long fd = ::syscall(SYS_pidfd_open, ::getppid(), 0);
           return ::setns(static_cast<int>(fd), CLONE_NEWNET | CLONE_NEWIPC) == 0 ? 0 : 1;
         }),
         CICD_NAMESPACE_SETNS, CLONE_NEWNET | CLONE_NEWIPC);
}

TEST_F(NamespaceHooks, SetnsRefused) {
  expect(changes([] {
           // Nobody enters the user namespace it is in.
           const int fd = ::open("/proc/self/ns/user", O_RDONLY);
           return ::setns(fd, 0) != 0 ? 0 : 1;
         }),
         CICD_NAMESPACE_SETNS, CLONE_NEWUSER, EINVAL);
  expect(changes([] { return ::setns(1234, 0) != 0 ? 0 : 1; }), CICD_NAMESPACE_SETNS, 0, EBADF);
}

int wait_for(long child) {
  int status = 0;
  if (child < 0 || ::waitpid(static_cast<pid_t>(child), &status, 0) != child) return 1;
  return status;
}

TEST_F(NamespaceHooks, Clone) {
  constexpr unsigned long kFlags = CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUSER;
  expect(changes([] {
           const long child = ::syscall(SYS_clone, kFlags | SIGCHLD, 0, 0, 0, 0);
           if (child == 0) ::_exit(0);
           return wait_for(child);
         }),
         CICD_NAMESPACE_CLONE, kFlags);
}

TEST_F(NamespaceHooks, Clone3) {
  constexpr unsigned long kFlags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;
  expect(changes([] {
           clone_args args{};
           args.flags = kFlags;
           args.exit_signal = SIGCHLD;
           const long child = ::syscall(SYS_clone3, &args, sizeof(args));
           if (child == 0) ::_exit(0);
           return wait_for(child);
         }),
         CICD_NAMESPACE_CLONE, kFlags);
}

TEST_F(NamespaceHooks, CloneRefused) {
  const auto as_nobody = [](const Act& act) {
    return [act] { return ::syscall(SYS_setuid, 65534) == 0 ? act() : 9; };
  };
  expect(changes(as_nobody(
             [] { return ::syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0) < 0 ? 0 : 1; })),
         CICD_NAMESPACE_CLONE, CLONE_NEWNET, EPERM);
  expect(changes(as_nobody([] {
           clone_args args{};
           args.flags = CLONE_NEWNS;
           args.exit_signal = SIGCHLD;
           return ::syscall(SYS_clone3, &args, sizeof(args)) < 0 ? 0 : 1;
         })),
         CICD_NAMESPACE_CLONE, CLONE_NEWNS, EPERM);
}

TEST_F(NamespaceHooks, AnOrdinaryForkIsNothing) {
  EXPECT_TRUE(changes([] {
                const pid_t child = ::fork();
                if (child == 0) ::_exit(0);
                return wait_for(child);
              }).empty());
}

}  // namespace

}  // namespace cicd::test
