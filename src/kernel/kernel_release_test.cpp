// SPDX-License-Identifier: Apache-2.0
#include "kernel/kernel_release.h"

#include <gtest/gtest.h>

namespace cicd {
namespace {

TEST(KernelRelease, TakesTheFirstTwoNumbers) {
  EXPECT_EQ(parse_kernel_release("6.18.44-cloud"), (KernelRelease{6, 18}));
  EXPECT_EQ(parse_kernel_release("5.10.0-30-amd64"), (KernelRelease{5, 10}));
  EXPECT_EQ(parse_kernel_release("7.2-rc1"), (KernelRelease{7, 2}));
}

TEST(KernelRelease, NothingElse) {
  for (const char* text : {"", "6", "6.", "x.1", ".5", "6-1"}) {
    EXPECT_EQ(parse_kernel_release(text), KernelRelease{}) << text;
  }
}

TEST(KernelRelease, Orders) {
  EXPECT_LT((KernelRelease{5, 9}), (KernelRelease{5, 10}));
  EXPECT_LT((KernelRelease{5, 15}), (KernelRelease{6, 1}));
  EXPECT_GT(running_kernel(), (KernelRelease{}));
}

}  // namespace
}  // namespace cicd
