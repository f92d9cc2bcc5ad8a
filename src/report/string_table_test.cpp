// SPDX-License-Identifier: Apache-2.0
#include "report/string_table.h"

#include <gtest/gtest.h>

namespace cicd {
namespace {

std::string whole(const StringTable& table, std::uint32_t index) {
  const std::uint32_t folder = table.folder_of(index);
  const std::string name(table.json_of(index));
  return folder == 0 ? name : whole(table, folder) + "/" + name;
}

TEST(StringTable, ATextIsThereOnce) {
  StringTable table;
  EXPECT_EQ(table.intern(""), 0u);
  const std::uint32_t a = table.intern("a");
  EXPECT_EQ(table.intern("a"), a);
  EXPECT_NE(table.intern("b"), a);
  EXPECT_EQ(table.size(), 3u);
}

TEST(StringTable, PathsShareTheirFolder) {
  StringTable table;
  const std::uint32_t a = table.intern_path("/usr/include/stdio.h");
  const std::uint32_t b = table.intern_path("/usr/include/stdlib.h");
  EXPECT_EQ(table.folder_of(a), table.folder_of(b));
  EXPECT_EQ(whole(table, a), "/usr/include/stdio.h");
  EXPECT_EQ(table.json_of(b), "stdlib.h");
  EXPECT_EQ(table.intern_path("/usr/include/stdio.h"), a);
}

TEST(StringTable, OddPathsComeBackWhole) {
  StringTable table;
  for (const char* path : {"/", "/a", "/a/", "a", "a/b", "//", "/a//b", "@x", "/etc/passwd"}) {
    EXPECT_EQ(whole(table, table.intern_path(path)), path);
  }
}

TEST(StringTable, ANameIsNotMixedUpWithOneInAnotherFolder) {
  StringTable table;
  EXPECT_NE(table.intern_path("/a/x"), table.intern_path("/b/x"));
  EXPECT_NE(table.intern_path("/a/x"), table.intern("x"));
}

TEST(StringTable, LongTextsAreCutAndSeenToBe) {
  StringTable table;
  const std::string_view kept = table.json_of(table.intern(std::string(5'000, 'x')));
  EXPECT_LT(kept.size(), StringTable::kMaxTextBytes + 20);
  EXPECT_TRUE(kept.ends_with("...\xEE\x80\x81"));
  const std::string path = "/" + std::string(600, 'a') + "/" + std::string(600, 'b');
  EXPECT_TRUE(table.json_of(table.intern_path(path)).ends_with("...\xEE\x80\x81"));
}

TEST(StringTable, CountsWhatThePageWillHold) {
  StringTable table;
  for (int i = 0; i < 10'000; ++i) table.intern_path("/f/\x01" + std::to_string(i));
  std::size_t bytes = 0;
  for (std::uint32_t i = 1; i < table.size(); ++i) {
    const auto folder = static_cast<int>(table.folder_of(i));
    const auto before = static_cast<int>(table.folder_of(i - 1));
    bytes += table.json_of(i).size() + std::to_string(folder - before).size() + 4;
  }
  EXPECT_EQ(table.page_bytes(), bytes);
  EXPECT_EQ(table.size(), 10'002u);
}

}  // namespace
}  // namespace cicd
