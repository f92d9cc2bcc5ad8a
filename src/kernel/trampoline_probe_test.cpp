// SPDX-License-Identifier: Apache-2.0
#include "kernel/trampoline_probe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace cicd {
namespace {

TEST(SplitFunctions, OnlyTheNamedOnesAndOnlyWhatCallersPassBy) {
  const std::string path = "/tmp/cicd-symbols-" + std::to_string(::getpid());
  std::ofstream(path) << "ffffffff81000000 t vfs_rmdir.part.0\n"
                         "ffffffff81000010 T vfs_rmdir\n"
                         "ffffffff81000020 t vfs_unlink.cold\n"
                         "ffffffff81000030 t other.isra.0\n"
                         "ffffffff81000040 t vfs_link.constprop.0.isra.0\t[module]\n"
                         "broken.part.0\n";
  const auto found = split_functions({"vfs_rmdir", "vfs_unlink", "vfs_link"}, path.c_str());
  ::unlink(path.c_str());
  EXPECT_EQ(found, (std::set<std::string, std::less<>>{"vfs_link", "vfs_rmdir"}));
}

TEST(SplitFunctions, NoSymbolsNoneSplit) {
  EXPECT_TRUE(split_functions({"vfs_rmdir"}, "/nonexistent").empty());
}

}  // namespace
}  // namespace cicd
