// SPDX-License-Identifier: Apache-2.0
// Users, groups and capabilities that change: every call, exec, and what must not be reported.
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>

#include "support.h"

namespace cicd::test {

namespace {

constexpr uid_t kUser = 65534;
constexpr gid_t kGroup = 65533;

struct CapabilitySets {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  bool get() { return ::syscall(SYS_capget, &header, data) == 0; }
  bool set() { return ::syscall(SYS_capset, &header, data) == 0; }
};

std::uint64_t own_capabilities() {
  CapabilitySets sets;
  EXPECT_TRUE(sets.get());
  return sets.data[0].effective | std::uint64_t{sets.data[1].effective} << 32;
}

class PrivilegeHooks : public HookTest {
 protected:
  std::vector<cicd_sample_privilege> changes(const Act& act) {
    auto out = observe(act).fixed<cicd_sample_privilege>(CICD_SAMPLE_PRIVILEGE, finished().pid);
    EXPECT_EQ(finished().status, 0);
    return out;
  }
  cicd_sample_privilege the_change(const Act& act) {
    const auto all = changes(act);
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? cicd_sample_privilege{} : all[0];
  }
  // A copy of `program` in scratch with these mode bits.
  std::string copy_of(const std::string& program, mode_t mode) {
    const std::string copy = scratch() + "/copy";
    std::filesystem::copy_file(program, copy, std::filesystem::copy_options::overwrite_existing);
    EXPECT_EQ(::chmod(copy.c_str(), mode), 0);
    return copy;
  }
};

TEST_F(PrivilegeHooks, SetuidFromRootLosesCapabilities) {
  const auto seen = the_change([] { return ::syscall(SYS_setuid, kUser) == 0 ? 0 : 1; });
  EXPECT_EQ(seen.kind, static_cast<unsigned>(CICD_PRIVILEGE_SETUID));
  EXPECT_EQ(seen.uid_from, 0u);
  EXPECT_EQ(seen.uid_to, kUser);
  EXPECT_EQ(seen.gid_from, 0u);
  EXPECT_EQ(seen.gid_to, 0u);
  EXPECT_EQ(seen.capabilities_from, own_capabilities());
  EXPECT_EQ(seen.capabilities_to, 0u);
  EXPECT_EQ(seen.header.cgroup_id, job().id());
  EXPECT_EQ(seen.header.pid, static_cast<unsigned>(finished().pid));
}

TEST_F(PrivilegeHooks, BackToRootGainsThemAgain) {
  const auto seen = changes([] {
    if (::syscall(SYS_setresuid, -1, kUser, 0) != 0) return 1;
    return ::syscall(SYS_setresuid, -1, 0, -1) == 0 ? 0 : 2;
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].uid_to, kUser);
  EXPECT_EQ(seen[1].uid_from, kUser);
  EXPECT_EQ(seen[1].uid_to, 0u);
  EXPECT_EQ(seen[1].capabilities_from, 0u);
  EXPECT_EQ(seen[1].capabilities_to, own_capabilities());
}

TEST_F(PrivilegeHooks, EveryCallOfTheFamilies) {
  struct Case {
    const char* name;
    long number;
    long args[3];
    cicd_privilege_kind kind;
  };
  static const gid_t groups[] = {5, 7};
  const Case cases[] = {
      {"setreuid", SYS_setreuid, {-1, kUser, 0}, CICD_PRIVILEGE_SETUID},
      {"setresuid", SYS_setresuid, {-1, kUser, -1}, CICD_PRIVILEGE_SETUID},
      {"setfsuid", SYS_setfsuid, {kUser, 0, 0}, CICD_PRIVILEGE_SETUID},
      {"setgid", SYS_setgid, {kGroup, 0, 0}, CICD_PRIVILEGE_SETGID},
      {"setregid", SYS_setregid, {-1, kGroup, 0}, CICD_PRIVILEGE_SETGID},
      {"setresgid", SYS_setresgid, {-1, kGroup, -1}, CICD_PRIVILEGE_SETGID},
      {"setfsgid", SYS_setfsgid, {kGroup, 0, 0}, CICD_PRIVILEGE_SETGID},
      {"setgroups", SYS_setgroups, {2, reinterpret_cast<long>(groups), 0}, CICD_PRIVILEGE_SETGID},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    const auto seen = the_change([&] {
      return ::syscall(each.number, each.args[0], each.args[1], each.args[2]) >= 0 ? 0 : 1;
    });
    EXPECT_EQ(seen.kind, static_cast<unsigned>(each.kind));
  }
}

TEST_F(PrivilegeHooks, EffectiveGroup) {
  const auto seen = the_change([] { return ::syscall(SYS_setgid, kGroup) == 0 ? 0 : 1; });
  EXPECT_EQ(seen.gid_from, 0u);
  EXPECT_EQ(seen.gid_to, kGroup);
  EXPECT_EQ(seen.uid_to, 0u);
}

TEST_F(PrivilegeHooks, CapsetTakesAndGives) {
  const auto seen = changes([] {
    CapabilitySets sets;
    if (!sets.get()) return 1;
    sets.data[0].effective &= ~(1u << CAP_NET_RAW);
    if (!sets.set()) return 2;
    sets.data[0].effective |= 1u << CAP_NET_RAW;
    return sets.set() ? 0 : 3;
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].kind, static_cast<unsigned>(CICD_PRIVILEGE_CAPSET));
  EXPECT_EQ(seen[0].capabilities_from & ~seen[0].capabilities_to, 1u << CAP_NET_RAW);
  EXPECT_EQ(seen[1].capabilities_to & ~seen[1].capabilities_from, 1u << CAP_NET_RAW);
}

TEST_F(PrivilegeHooks, NothingChangedIsNothing) {
  EXPECT_TRUE(changes([] {
                ::syscall(SYS_setuid, 0);
                ::syscall(SYS_setresgid, -1, -1, -1);
                ::syscall(SYS_setfsuid, 0);
                gid_t groups[64];
                const int count = ::getgroups(64, groups);
                if (count < 0 || ::syscall(SYS_setgroups, count, groups) != 0) return 1;
                CapabilitySets sets;
                return sets.get() && sets.set() ? 0 : 2;
              }).empty());
}

TEST_F(PrivilegeHooks, RefusedIsNothing) {
  const auto seen = changes([] {
    if (::syscall(SYS_setuid, kUser) != 0) return 1;
    return ::syscall(SYS_setuid, 0) != 0 && ::syscall(SYS_setgid, kGroup) != 0 ? 0 : 2;
  });
  EXPECT_EQ(seen.size(), 1u) << "only the one that succeeded";
}

TEST_F(PrivilegeHooks, CapabilitiesOfAnOwnUserNamespaceAreNone) {
  const auto seen = changes([] {
    if (::syscall(SYS_setuid, kUser) != 0) return 1;
    if (::unshare(CLONE_NEWUSER) != 0) return 2;
    CapabilitySets sets;
    if (!sets.get() || sets.data[0].effective == 0) return 3;
    sets.data[0].effective &= ~(1u << CAP_NET_RAW);
    return sets.set() ? 0 : 4;
  });
  EXPECT_EQ(seen.size(), 1u) << "the setuid only";
}

TEST_F(PrivilegeHooks, ExecOfASetuidProgram) {
  const std::string program = copy_of("/bin/true", 04755);
  const auto seen = changes([&] {
    if (::syscall(SYS_setresgid, kGroup, kGroup, kGroup) != 0) return 1;
    if (::syscall(SYS_setuid, kUser) != 0) return 2;
    return exec(program, {"copy"});
  });
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[2].kind, static_cast<unsigned>(CICD_PRIVILEGE_EXEC));
  EXPECT_EQ(seen[2].uid_from, kUser);
  EXPECT_EQ(seen[2].uid_to, 0u);
  EXPECT_EQ(seen[2].gid_from, kGroup);
  EXPECT_EQ(seen[2].gid_to, kGroup);
  EXPECT_EQ(seen[2].capabilities_from, 0u);
  EXPECT_EQ(seen[2].capabilities_to, own_capabilities());
}

TEST_F(PrivilegeHooks, ExecOfASetgidProgram) {
  const std::string program = copy_of("/bin/true", 02755);
  const auto seen = changes([&] {
    if (::syscall(SYS_setresgid, kGroup, kGroup, kGroup) != 0) return 1;
    if (::syscall(SYS_setuid, kUser) != 0) return 2;
    return exec(program, {"copy"});
  });
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[2].gid_from, kGroup);
  EXPECT_EQ(seen[2].gid_to, 0u);
  EXPECT_EQ(seen[2].uid_to, kUser);
}

TEST_F(PrivilegeHooks, ExecOfAProgramWithFileCapabilities) {
  const std::string program = copy_of("/bin/true", 0755);
  vfs_cap_data data{};
  data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  data.data[0].permitted = 1u << CAP_NET_RAW;
  ASSERT_EQ(::setxattr(program.c_str(), "security.capability", &data, XATTR_CAPS_SZ_2, 0), 0);
  const auto seen = changes([&] {
    if (::syscall(SYS_setuid, kUser) != 0) return 1;
    return exec(program, {"copy"});
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].kind, static_cast<unsigned>(CICD_PRIVILEGE_EXEC));
  EXPECT_EQ(seen[1].uid_from, kUser);
  EXPECT_EQ(seen[1].uid_to, kUser);
  EXPECT_EQ(seen[1].capabilities_from, 0u);
  EXPECT_EQ(seen[1].capabilities_to, 1u << CAP_NET_RAW);
}

TEST_F(PrivilegeHooks, OrdinaryExecIsNothing) {
  EXPECT_TRUE(changes([] { return exec("/bin/true", {"true"}); }).empty());
  const auto seen = changes([] {
    if (::syscall(SYS_setuid, kUser) != 0) return 1;
    return exec("/bin/true", {"true"});
  });
  EXPECT_EQ(seen.size(), 1u);
}

// The thread that calls exec gets the leader's id.
TEST_F(PrivilegeHooks, ExecOfASetuidProgramInAThread) {
  static std::string program;
  program = copy_of("/bin/true", 04755);
  const auto seen = changes([] {
    if (::syscall(SYS_setuid, kUser) != 0) return 1;
    pthread_t thread;
    const auto body = [](void*) -> void* {
      exec(program, {"copy"});
      return nullptr;
    };
    if (::pthread_create(&thread, nullptr, body, nullptr) != 0) return 2;
    ::pthread_join(thread, nullptr);
    return 3;
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].kind, static_cast<unsigned>(CICD_PRIVILEGE_EXEC));
  EXPECT_EQ(seen[1].uid_from, kUser);
  EXPECT_EQ(seen[1].uid_to, 0u);
}

}  // namespace

}  // namespace cicd::test
