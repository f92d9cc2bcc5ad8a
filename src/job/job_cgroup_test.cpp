// SPDX-License-Identifier: Apache-2.0
// What needs a writable v2 hierarchy is in tests/e2e; here is what can be told from text.
#include "job/job_cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using testing::HasSubstr;

constexpr char kPure[] =
    "22 1 0:20 / / rw - ext4 /dev/vda rw\n"
    "31 22 0:28 / /sys/fs/cgroup rw,nosuid shared:9 master:3 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr char kHybrid[] =
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

TEST(LocateCgroup, PureHost) {
  const auto places = locate_cgroup(kPure, "0::/user.slice/session-1.scope\n");
  ASSERT_TRUE(places) << places.error().text;
  ASSERT_EQ(places->size(), 1u);
  EXPECT_EQ(places->front().mount_point, "/sys/fs/cgroup");
  EXPECT_EQ(places->front().path, "/user.slice/session-1.scope");
  EXPECT_EQ(places->front().dir, "/sys/fs/cgroup/user.slice/session-1.scope");
}

TEST(LocateCgroup, HybridHostInTheRoot) {
  const auto places = locate_cgroup(kHybrid, "9:name=systemd:/x\n4:memory:/a/b\n0::/\n");
  ASSERT_TRUE(places) << places.error().text;
  EXPECT_EQ(places->front().path, "/");
  EXPECT_EQ(places->front().dir, "/sys/fs/cgroup/unified");
}

TEST(LocateCgroup, ContainerWithoutNamespaceSeesOnlyItsPart) {
  const char mounts[] = "31 22 0:28 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
  EXPECT_EQ(locate_cgroup(mounts, "0::/docker/ab/x\n")->front().dir, "/sys/fs/cgroup/x");
  EXPECT_EQ(locate_cgroup(mounts, "0::/docker/ab\n")->front().dir, "/sys/fs/cgroup");
  // A neighbour whose name only begins the same way is not below the mount.
  EXPECT_FALSE(locate_cgroup(mounts, "0::/docker/abc\n"));
}

TEST(LocateCgroup, LaterMountsComeFirstAndNamesAreUnescaped) {
  const std::string mounts =
      std::string(kPure) + "50 22 0:28 / /mnt/my\\040cg\\134x rw - cgroup2 none rw\n";
  const auto places = locate_cgroup(mounts, "0::/a\n");
  ASSERT_EQ(places->size(), 2u);
  EXPECT_EQ(places->front().dir, "/mnt/my cg\\x/a");
}

TEST(LocateCgroup, SaysWhatIsMissing) {
  const auto unmounted = locate_cgroup("22 1 0:20 / / rw - ext4 /dev/vda rw\n", "0::/\n");
  ASSERT_FALSE(unmounted);
  EXPECT_EQ(unmounted.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(unmounted.error().text, HasSubstr("not mounted"));
  EXPECT_THAT(unmounted.error().hint, HasSubstr("mount -t cgroup2"));
  EXPECT_THAT(locate_cgroup(kHybrid, "4:memory:/a\n").error().text, HasSubstr("without cgroup v2"));
  EXPECT_THAT(locate_cgroup(kHybrid, "0::/../x\n").error().text, HasSubstr("namespace"));
}

TEST(LocateCgroup, TakesNothingOnTrust) {
  for (const char* mounts : {"", "\n\n", "x", "1 2 3 4", "1 2 0:3 / /m rw cgroup2", " - cgroup2 ",
                             "31 22 0:28 / /m\\0 rw - cgroup2 c rw\\"}) {
    const auto places = locate_cgroup(mounts, "0::/a");
    if (places) {
      EXPECT_EQ(places->front().dir, "/m\\0/a");
    }
  }
}

}  // namespace
}  // namespace cicd
