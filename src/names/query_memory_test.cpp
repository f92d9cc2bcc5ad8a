// SPDX-License-Identifier: Apache-2.0
#include "names/query_memory.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace cicd
