// SPDX-License-Identifier: Apache-2.0
// Mounts of the old and the new API. Each test acts in a mount namespace that ends with its
// process.
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>

#include "support.h"
#include "this_kernel.h"

// <sys/mount.h> and <linux/mount.h> declare the same names in some releases of the C library.
extern "C" {
int mount(const char* source, const char* target, const char* type, unsigned long flags,
          const void* data) noexcept;
int umount2(const char* target, int flags) noexcept;
}

namespace cicd::test {

namespace {

constexpr int kDetach = 2;
constexpr unsigned kAtRecursive = 0x8000;
#ifndef MOUNT_ATTR_RDONLY
constexpr unsigned MOUNT_ATTR_RDONLY = 1;
#endif

struct MountAttributes {
  std::uint64_t set, clear, propagation, user_namespace;
};

class MountHooks : public HookTest {
 protected:
  void SetUp() override {
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::filesystem::create_directories(scratch() + "/from/part");
    std::filesystem::create_directories(scratch() + "/to");
  }
  std::string from() const { return scratch() + "/from"; }
  std::string to() const { return scratch() + "/to"; }

  // Mounts of the act, after the one that makes the namespace private.
  std::vector<SeenPaths> mounts(const Act& act) {
    auto seen = observe([&] {
                  if (::unshare(CLONE_NEWNS) != 0) return 100;
                  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 101;
                  return act();
                }).paths(CICD_SAMPLE_MOUNT);
    EXPECT_EQ(finished().status, 0);
    EXPECT_FALSE(seen.empty());
    if (seen.empty()) return seen;
    EXPECT_EQ(seen[0].fixed.operation, CICD_MOUNT_PROPAGATION);
    EXPECT_EQ(seen[0].path.bytes, "/");
    EXPECT_EQ(seen[0].other.bytes, "");
    EXPECT_EQ(seen[0].fixed.mount_flags, std::uint64_t{MS_REC | MS_PRIVATE});
    seen.erase(seen.begin());
    return seen;
  }
};

TEST_F(MountHooks, EveryOperationOfMount) {
  const auto seen = mounts([&] {
    if (::chdir(scratch().c_str()) != 0) return 1;
    if (::mount("any text", "to", "tmpfs", MS_NOSUID, nullptr) != 0) return 2;
    if (::mount(nullptr, from().c_str(), "tmpfs", 0, nullptr) != 0) return 3;
    if (::umount2("from", 0) != 0) return 4;
    if (::mount("from", to().c_str(), nullptr, MS_BIND, nullptr) != 0) return 5;
    if (::mount(nullptr, "to", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) return 6;
    if (::mount(to().c_str(), "from", nullptr, MS_MOVE, nullptr) != 0) return 7;
    return ::umount2(from().c_str(), kDetach) == 0 ? 0 : 8;
  });
  ASSERT_EQ(seen.size(), 7u);
  EXPECT_EQ(seen[0].fixed.operation, CICD_MOUNT_NEW);
  EXPECT_EQ(seen[0].path.bytes, "to");
  EXPECT_EQ(seen[0].base.path(), scratch());
  EXPECT_EQ(seen[0].other.bytes, "any text");
  EXPECT_EQ(seen[0].other_base.bytes, "");
  EXPECT_EQ(seen[0].fixed.mount_flags, std::uint64_t{MS_NOSUID});
  EXPECT_EQ(seen[1].path.bytes, from());
  EXPECT_EQ(seen[1].other.bytes, "tmpfs") << "no source: the type";
  EXPECT_EQ(seen[2].fixed.operation, CICD_MOUNT_UMOUNT);
  EXPECT_EQ(seen[2].path.bytes, "from");
  EXPECT_EQ(seen[2].base.path(), scratch());
  EXPECT_EQ(seen[3].fixed.operation, CICD_MOUNT_BIND);
  EXPECT_EQ(seen[3].other.bytes, "from");
  EXPECT_EQ(seen[3].other_base.path(), scratch());
  EXPECT_EQ(seen[3].path.bytes, to());
  EXPECT_EQ(seen[4].fixed.operation, CICD_MOUNT_REMOUNT);
  EXPECT_EQ(seen[4].other.bytes, "");
  EXPECT_EQ(seen[5].fixed.operation, CICD_MOUNT_MOVE);
  EXPECT_EQ(seen[5].other.bytes, to());
  EXPECT_EQ(seen[5].path.bytes, "from");
  EXPECT_EQ(seen[6].fixed.operation, CICD_MOUNT_UMOUNT);
  EXPECT_EQ(seen[6].path.bytes, from());
  EXPECT_EQ(seen[6].fixed.mount_flags, std::uint64_t{kDetach});
  EXPECT_EQ(seen[6].fixed.header.cgroup_id, job().id());
  EXPECT_EQ(seen[6].fixed.header.pid, static_cast<std::uint32_t>(finished().pid));
}

TEST_F(MountHooks, WhatFailsMakesNothing) {
  const auto seen = mounts([&] {
    ::mount("x", (scratch() + "/none").c_str(), "tmpfs", 0, nullptr);
    ::mount("x", to().c_str(), "no such type", 0, nullptr);
    ::umount2(to().c_str(), 0);
    ::syscall(SYS_pivot_root, "/none", "/none");
    ::syscall(SYS_move_mount, -1, "", AT_FDCWD, to().c_str(), MOVE_MOUNT_F_EMPTY_PATH);
    return 0;
  });
  EXPECT_TRUE(seen.empty());
}

TEST_F(MountHooks, PivotRoot) {
  const auto seen = mounts([&] {
    if (::mount("none", to().c_str(), "tmpfs", 0, nullptr) != 0) return 1;
    if (::chdir(to().c_str()) != 0 || ::mkdir("old", 0700) != 0) return 2;
    return ::syscall(SYS_pivot_root, to().c_str(), "old") == 0 ? 0 : 3;
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].fixed.operation, CICD_MOUNT_PIVOT_ROOT);
  EXPECT_EQ(seen[1].other.bytes, to());
  EXPECT_EQ(seen[1].path.bytes, "old");
  EXPECT_EQ(seen[1].base.path(), "/") << "the working directory is the new root now";
}

TEST_F(MountHooks, NewApiNewFileSystem) {
  const auto seen = mounts([&] {
    const auto context = static_cast<int>(::syscall(SYS_fsopen, "tmpfs", 0));
    if (context < 0) return 1;
    if (::syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "source", "my source", 0) != 0) {
      return 2;
    }
    if (::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return 3;
    const auto tree = static_cast<int>(::syscall(SYS_fsmount, context, 0, 0));
    if (tree < 0) return 4;
    if (::chdir(scratch().c_str()) != 0) return 5;
    return ::syscall(SYS_move_mount, tree, "", AT_FDCWD, "from/../to", MOVE_MOUNT_F_EMPTY_PATH) == 0
               ? 0
               : 6;
  });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].fixed.operation, CICD_MOUNT_NEW);
  EXPECT_EQ(seen[0].other.bytes, "my source");
  EXPECT_EQ(seen[0].path.path(), to()) << "where the mount really is";
  EXPECT_EQ(seen[0].base.bytes, "");
}

TEST_F(MountHooks, NewApiBindAndMove) {
  if (!kernel_has_call(SYS_mount_setattr)) GTEST_SKIP() << kNotInThisKernel << "mount_setattr";
  const auto seen = mounts([&] {
    const auto tree = static_cast<int>(
        ::syscall(SYS_open_tree, AT_FDCWD, (from() + "/part").c_str(), OPEN_TREE_CLONE));
    if (tree < 0) return 1;
    // Nowhere yet: this is nobody's business until it is moved.
    MountAttributes read_only{MOUNT_ATTR_RDONLY, 0, 0, 0};
    if (::syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) != 0) {
      return 2;
    }
    if (::syscall(SYS_move_mount, tree, "", AT_FDCWD, to().c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      return 3;
    }
    if (::syscall(SYS_mount_setattr, AT_FDCWD, to().c_str(), 0, &read_only, sizeof(read_only)) !=
        0) {
      return 4;
    }
    MountAttributes shared{0, 0, MS_PRIVATE, 0};
    if (::syscall(SYS_mount_setattr, AT_FDCWD, to().c_str(), kAtRecursive, &shared,
                  sizeof(shared)) != 0) {
      return 5;
    }
    return ::syscall(SYS_move_mount, AT_FDCWD, to().c_str(), AT_FDCWD, from().c_str(), 0) == 0 ? 0
                                                                                               : 6;
  });
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].fixed.operation, CICD_MOUNT_BIND);
  EXPECT_EQ(seen[0].path.path(), to());
  EXPECT_TRUE((from() + "/part").ends_with(seen[0].other.path())) << seen[0].other.path();
  EXPECT_TRUE(seen[0].other.path().ends_with("/from/part"));
  EXPECT_EQ(seen[1].fixed.operation, CICD_MOUNT_REMOUNT);
  EXPECT_EQ(seen[1].path.bytes, to());
  EXPECT_EQ(seen[2].fixed.operation, CICD_MOUNT_PROPAGATION);
  EXPECT_EQ(seen[3].fixed.operation, CICD_MOUNT_MOVE);
  EXPECT_EQ(seen[3].other.bytes, to());
  EXPECT_EQ(seen[3].path.bytes, from());
}

TEST_F(MountHooks, FourThousandBytesAndAnyBytes) {
  std::string path = scratch();
  while (path.size() < 4000) path += "/to/..";
  path += "/to";
  const std::string source = "new\nline\xff";
  const auto seen = mounts(
      [&] { return ::mount(source.c_str(), path.c_str(), "tmpfs", 0, nullptr) == 0 ? 0 : 1; });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].path.bytes, path);
  EXPECT_EQ(seen[0].other.bytes, source);
}

}  // namespace

}  // namespace cicd::test
