// SPDX-License-Identifier: Apache-2.0
#include "names/query_memory.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "support/dns_builder.h"

namespace cicd {
namespace {

using support::ip;

constexpr NameUser kDig{100, 5};

TEST(RecentNames, ARepeatInTheWindowIsKnown) {
  RecentNames recent;
  EXPECT_TRUE(recent.is_new(kDig, "a.test", 0, 1'000));
  EXPECT_FALSE(recent.is_new(kDig, "a.test", 0, 2'000));
  EXPECT_FALSE(recent.is_new(kDig, "a.test", 0, 999 + RecentNames::kWindowNs));
  EXPECT_TRUE(recent.is_new(kDig, "a.test", 0, 1'000 + RecentNames::kWindowNs));
}

TEST(RecentNames, OtherNamesProcessesAndKindsAreNew) {
  RecentNames recent;
  EXPECT_TRUE(recent.is_new(kDig, "a.test", 0, 1'000));
  EXPECT_TRUE(recent.is_new(kDig, "b.test", 0, 1'000));
  EXPECT_TRUE(recent.is_new(kDig, "a.test", 16, 1'000));
  EXPECT_TRUE(recent.is_new({100, 6}, "a.test", 0, 1'000));
}

TEST(RecentNames, NoNewNameIsEverKnown) {
  RecentNames recent;
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(recent.is_new(kDig, std::to_string(i) + ".tunnel.test", 0, 1'000)) << i;
  }
}

TEST(PendingQueries, OnlyWhatWasAsked) {
  PendingQueries pending;
  const OpenQuestion asked{7, ip("192.0.2.53"), 4'711, kDnsA, "a.test"};
  EXPECT_FALSE(pending.has(asked));
  pending.add(asked);
  EXPECT_TRUE(pending.has(asked));
  for (int i = 0; i < 5; ++i) {
    OpenQuestion other = asked;
    if (i == 0) other.cookie = 8;
    if (i == 1) other.server = ip("192.0.2.54");
    if (i == 2) other.id = 4'712;
    if (i == 3) other.type = kDnsAaaa;
    if (i == 4) other.name = "b.test";
    EXPECT_FALSE(pending.has(other)) << i;
  }
}

// A and AAAA go out together: neither may displace the other, whatever their numbers are.
TEST(PendingQueries, QuestionsThatAreOpenTogetherDoNotDisplaceEachOther) {
  PendingQueries pending;
  std::mt19937 random(4'711);
  for (std::uint64_t cookie = 1; cookie < 20'000; ++cookie) {
    const auto number = [&] { return static_cast<std::uint16_t>(random()); };
    const OpenQuestion open[] = {{cookie, ip("192.0.2.53"), number(), kDnsA, "a.test"},
                                 {cookie, ip("192.0.2.53"), number(), kDnsAaaa, "a.test"},
                                 {cookie, ip("192.0.2.53"), number(), kDnsHttps, "a.test"}};
    for (const OpenQuestion& each : open) pending.add(each);
    for (const OpenQuestion& each : open) ASSERT_TRUE(pending.has(each)) << cookie;
  }
}

TEST(PendingQueries, RetriesTakeNoRoom) {
  PendingQueries pending;
  const OpenQuestion first{7, ip("192.0.2.53"), 1, kDnsA, "a.test"};
  const OpenQuestion second{7, ip("192.0.2.53"), 2, kDnsA, "b.test"};
  pending.add(first);
  for (int i = 0; i < 10'000; ++i) pending.add(second);
  EXPECT_TRUE(pending.has(first));
}

TEST(PendingQueries, MemoryIsBounded) {
  PendingQueries pending;
  const OpenQuestion first{7, ip("192.0.2.53"), 1, kDnsA, "a.test"};
  pending.add(first);
  for (std::uint64_t cookie = 100; cookie < 100'000; ++cookie) {
    pending.add({cookie, ip("192.0.2.53"), 1, kDnsA, "a.test"});
  }
  EXPECT_FALSE(pending.has(first));
}

}  // namespace
}  // namespace cicd
