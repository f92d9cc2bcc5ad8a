// SPDX-License-Identifier: Apache-2.0
#include "report/domain_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cicd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(DomainGroups, NamesBelowOneParentAreTogether) {
  const auto groups = group_domains({{"a.x.tunnel.test", 2, {"/bin/dig"}},
                                     {"b.tunnel.test", 3, {"/bin/dig", "/bin/sh"}},
                                     {"tunnel.test", 1, {}},
                                     {"www.other.test", 1, {"/bin/curl"}},
                                     {"localhost", 1, {}}});
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].name, "tunnel.test");
  EXPECT_EQ(groups[0].names, 3u);
  EXPECT_EQ(groups[0].count, 6u);
  EXPECT_THAT(groups[0].exec_paths, ElementsAre("/bin/dig", "/bin/sh"));
  EXPECT_EQ(groups[1].name, "localhost");
  EXPECT_EQ(groups[2].name, "www.other.test") << "a single one is shown whole";
}

TEST(DomainGroups, StrangeNamesAndNone) {
  EXPECT_THAT(group_domains({}), IsEmpty());
  for (const char* name : {".", ".a", "a.", "..", ""}) {
    EXPECT_EQ(group_domains({{name, 1, {}}}).at(0).name, name);
  }
}

TEST(DomainGroups, TenProgramsOfAGroup) {
  std::vector<DomainUse> uses;
  for (int i = 0; i < 12; ++i) {
    uses.push_back({std::to_string(i) + ".t.test", 1, {"/bin/" + std::to_string(i)}, 1});
  }
  const auto groups = group_domains(uses);
  EXPECT_EQ(groups.at(0).exec_paths.size(), 10u);
  EXPECT_EQ(groups.at(0).process_overflow_count, 12u + 2u);
}

}  // namespace
}  // namespace cicd
