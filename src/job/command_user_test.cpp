// SPDX-License-Identifier: Apache-2.0
#include "job/command_user.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace cicd {
namespace {

using testing::Contains;
using testing::ElementsAre;

bool is_root() { return ::getuid() == 0 && ::geteuid() == 0; }

TEST(InvokingUser, IsTheCallerWithoutSudo) {
  const auto user = invoking_user("", "");
  ASSERT_TRUE(user);
  EXPECT_EQ(user->uid, ::getuid());
  EXPECT_FALSE(user->is_switched);
  EXPECT_EQ(user->drops_capabilities, ::getuid() != 0);
}

TEST(InvokingUser, IsTheOneBehindSudo) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  const auto user = invoking_user("65534", "65534");
  ASSERT_TRUE(user);
  EXPECT_EQ(user->uid, 65534u);
  EXPECT_TRUE(user->is_switched);
  EXPECT_THAT(user->groups, Contains(65534u));
  EXPECT_EQ(user->name, "nobody");
  // root's own sudo changes nothing.
  EXPECT_FALSE(invoking_user("0", "0")->is_switched);
}

TEST(InvokingUser, RefusesWhatIsNoNumber) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  for (const char* uid : {"x", "-1", "4294967295", "1 ", "1x", "99999999999"}) {
    const auto user = invoking_user(uid, "1");
    ASSERT_FALSE(user) << uid;
    EXPECT_EQ(user.error().code, ErrorCode::kUsage);
  }
  EXPECT_FALSE(invoking_user("1", ""));
}

TEST(UserByName, TakesNamesAndNumbers) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(user_by_name("nobody")->uid, 65534u);
  EXPECT_EQ(user_by_name("65534")->name, "nobody");
  EXPECT_EQ(user_by_name("4242424")->gid, 4242424u);
  EXPECT_EQ(user_by_name("no-such-user").error().code, ErrorCode::kUsage);
  EXPECT_EQ(user_by_name("").error().code, ErrorCode::kUsage);
}

TEST(EnvironmentOf, SetsTheThreeNamesOnce) {
  CommandUser user;
  EXPECT_THAT(environment_of(user, {"HOME=/root", "A=1"}), ElementsAre("HOME=/root", "A=1"));
  user.name = "ann";
  user.home = "/home/ann";
  EXPECT_THAT(environment_of(user, {"HOME=/root", "A=1", "USER=root", "HOMES=2", "LOGNAME=root"}),
              ElementsAre("A=1", "HOMES=2", "HOME=/home/ann", "USER=ann", "LOGNAME=ann"));
}

TEST(ActAs, FilesBelongToTheUserAndRootsRightsAreGone) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  char name[] = "/tmp/cicd-actas-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const std::string root = name;
  ::chmod(name, 0777);
  std::filesystem::create_directory(root + "/closed");
  ::chmod((root + "/closed").c_str(), 0700);
  {
    const CommandUser nobody = invoking_user("65534", "65534").value();
    const ActAs as_nobody(nobody);
    std::ofstream(root + "/mine") << "x";
    EXPECT_FALSE(std::ofstream(root + "/closed/file"));
  }
  EXPECT_TRUE(std::ofstream(root + "/closed/file"));
  struct stat info{};
  ASSERT_EQ(::stat((root + "/mine").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 65534u);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace cicd
