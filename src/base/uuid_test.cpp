// SPDX-License-Identifier: Apache-2.0
#include "base/uuid.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>

namespace cicd {
namespace {

TEST(UuidV7, ShapeVersionVariantAndTime) {
  UuidV7Generator generator;
  // The time is the first 48 bits, big-endian.
  const std::uint64_t ms = 1'795'305'600'000;
  const std::string uuid(generator.next(ms * 1'000'000).view());
  EXPECT_TRUE(std::regex_match(
      uuid, std::regex("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")))
      << uuid;
  EXPECT_EQ(std::stoull(uuid.substr(0, 8) + uuid.substr(9, 4), nullptr, 16), ms);
}

TEST(UuidV7, SortsInOrderOfMakingEvenWithinAMillisecondAndWhenTheClockStepsBack) {
  UuidV7Generator generator;
  std::string last;
  std::uint64_t now = 1'795'305'600'000'000'000;
  for (int i = 0; i < 20'000; ++i) {
    if (i % 5'000 == 4'999) now -= 50'000'000;
    std::string uuid(generator.next(now).view());
    ASSERT_LT(last, uuid);
    last = std::move(uuid);
  }
}

TEST(UuidV7, TwoGeneratorsDoNotRepeatEachOther) {
  UuidV7Generator a;
  UuidV7Generator b;
  std::set<std::string> seen;
  for (int i = 0; i < 10'000; ++i) {
    seen.emplace(a.next(1'000'000).view());
    seen.emplace(b.next(1'000'000).view());
  }
  EXPECT_EQ(seen.size(), 20'000u);
}

}  // namespace
}  // namespace cicd
