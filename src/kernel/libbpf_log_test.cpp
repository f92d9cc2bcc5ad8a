// SPDX-License-Identifier: Apache-2.0
#include "kernel/libbpf_log.h"

#include <gtest/gtest.h>

#include <string_view>

namespace cicd {
namespace {

std::string last_lines_of(std::string_view text) {
  LibbpfLog log;
  log.append(text.data(), text.size());
  return log.last_lines();
}

TEST(LibbpfLog, NothingSaidIsNothing) {
  EXPECT_EQ(last_lines_of(""), "");
  EXPECT_EQ(last_lines_of("\n\n"), "");
}

TEST(LibbpfLog, KeepsTheLastLinesThatSaySomething) {
  EXPECT_EQ(last_lines_of("a\nb\nc\nd\ne\n"), " (b; c; d; e)");
  EXPECT_EQ(last_lines_of("R1 type=scalar expected=ctx\n"
                          "processed 12 insns (limit 1000000)\n"
                          "-- END PROG LOAD LOG --\n"
                          "libbpf: failed to load object 'x'\n"),
            " (R1 type=scalar expected=ctx)");
}

TEST(LibbpfLog, IsBounded) {
  LibbpfLog log;
  const std::string line = std::string(99, 'x') + "\n";
  for (int i = 0; i < 10'000; ++i) log.append(line.data(), line.size());
  EXPECT_LT(log.last_lines().size(), 1000u);
}

}  // namespace
}  // namespace cicd
