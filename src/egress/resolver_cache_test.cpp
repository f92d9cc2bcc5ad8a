// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver_cache.h"

#include <gtest/gtest.h>

#include "support/resolver_world.h"

namespace cicd {
namespace {

using support::question;

constexpr std::uint64_t kSecond = 1'000'000'000;

DnsAsk asking(const std::string& name, std::uint16_t type = kTypeA) {
  DnsAsk ask;
  EXPECT_EQ(read_ask(question(name, type), ask), AskFault::kNone);
  return ask;
}

DnsAnswer holding(std::uint32_t ttl_s) {
  DnsAnswer answer;
  answer.rcode = kRcodeOk;
  answer.ttl_s = ttl_s;
  answer.has_ttl = true;
  answer.records.push_back({.type = kTypeA, .size = 4});
  answer.bytes = {192, 0, 2, 1};
  return answer;
}

TEST(ResolverCache, KeyIsUpstreamsNameTypeAndFlags) {
  ResolverCache cache(100'000);
  cache.store(1, asking("a.test"), holding(60), 0);
  EXPECT_NE(cache.find(1, asking("A.TEST"), 0).answer, nullptr);
  EXPECT_EQ(cache.find(2, asking("a.test"), 0).answer, nullptr);
  EXPECT_EQ(cache.find(1, asking("a.test", kTypeAaaa), 0).answer, nullptr);
  DnsAsk signed_one = asking("a.test");
  signed_one.wants_dnssec = true;
  EXPECT_EQ(cache.find(1, signed_one, 0).answer, nullptr);
}

TEST(ResolverCache, HoldsAsLongAsTheTtl) {
  ResolverCache cache(100'000);
  cache.store(1, asking("a.test"), holding(60), 0);
  EXPECT_EQ(cache.find(1, asking("a.test"), 0).ttl_s, 60u);
  EXPECT_EQ(cache.find(1, asking("a.test"), 58 * kSecond + 1).ttl_s, 1u);
  EXPECT_EQ(cache.find(1, asking("a.test"), 59 * kSecond + 1).answer, nullptr);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(ResolverCache, WhatHoldsNoTimeIsNotKept) {
  ResolverCache cache(100'000);
  cache.store(1, asking("a.test"), holding(0), 0);
  DnsAnswer unknown = holding(60);
  unknown.has_ttl = false;
  cache.store(1, asking("b.test"), unknown, 0);
  EXPECT_EQ(cache.size(), 0u);
  DnsAnswer denial = holding(86'400);
  denial.rcode = kRcodeNxdomain;
  cache.store(1, asking("c.test"), denial, 0);
  EXPECT_EQ(cache.find(1, asking("c.test"), 0).ttl_s, ResolverCache::kMaxDenialTtl_s);
}

TEST(ResolverCache, OldestUseGoesFirst) {
  ResolverCache cache(20'000);
  cache.store(1, asking("kept.test"), holding(600), 0);
  for (int i = 0; i < 1'000; ++i) {
    cache.store(1, asking(std::to_string(i) + ".test"), holding(600), 0);
    EXPECT_NE(cache.find(1, asking("kept.test"), 0).answer, nullptr);
    EXPECT_LE(cache.bytes(), 20'000u);
  }
  EXPECT_EQ(cache.find(1, asking("0.test"), 0).answer, nullptr);
  EXPECT_NE(cache.find(1, asking("999.test"), 0).answer, nullptr);
  // One that would push most others out is not kept.
  DnsAnswer large = holding(600);
  large.bytes.resize(2'000);
  cache.store(1, asking("large.test"), large, 0);
  EXPECT_EQ(cache.find(1, asking("large.test"), 0).answer, nullptr);
}

}  // namespace
}  // namespace cicd
