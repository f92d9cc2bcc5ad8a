// SPDX-License-Identifier: Apache-2.0
#include "egress/address_table.h"

#include <gtest/gtest.h>

#include "support/fake_egress.h"
#include "support/resolver_world.h"

namespace cicd {
namespace {

using support::FakeEgress;
using support::FakeJudge;
using support::mapped;

constexpr std::uint32_t kSlot = 4;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kGrace = AddressTable::kGraceNs;

class AddressTableTest : public testing::Test {
 protected:
  bool learn(const char* name, const char* ip, std::uint32_t ttl_s, std::uint64_t now_ns = 0) {
    const MappedIp ips[] = {mapped(ip)};
    return table_.learn(judge_, name, ips, ttl_s, now_ns).has_value();
  }
  std::uint32_t rules(const char* ip) const { return egress_.rules(kSlot, ip).count; }

  FakeEgress egress_;
  FakeJudge judge_{{"a.test", "b.test"}};
  AddressTable table_{egress_, kSlot, 3};
};

TEST_F(AddressTableTest, AddressLivesAsLongAsItsNameAndTheGrace) {
  EXPECT_TRUE(learn("a.test", "192.0.2.1", 60));
  EXPECT_EQ(table_.next_end_ns(), 60 * kSecond + kGrace);
  table_.reap(judge_, 60 * kSecond + kGrace - 1);
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.1"));
  table_.reap(judge_, 60 * kSecond + kGrace);
  EXPECT_FALSE(egress_.has(kSlot, "192.0.2.1"));
  EXPECT_EQ(table_.size(), 0u);
  EXPECT_EQ(table_.next_end_ns(), UINT64_MAX);
}

TEST_F(AddressTableTest, SameAgainCostsNothingAndLastsLonger) {
  learn("a.test", "192.0.2.1", 60);
  const std::size_t puts = egress_.puts;
  learn("a.test", "192.0.2.1", 60, 50 * kSecond);
  learn("a.test", "192.0.2.1", 1, 51 * kSecond);
  EXPECT_EQ(egress_.puts, puts);
  table_.reap(judge_, 100 * kSecond);
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.1"));
  EXPECT_EQ(table_.next_end_ns(), 110 * kSecond + kGrace);
  table_.reap(judge_, 110 * kSecond + kGrace);
  EXPECT_FALSE(egress_.has(kSlot, "192.0.2.1"));
}

TEST_F(AddressTableTest, TwoNamesShareAnAddress) {
  learn("a.test", "192.0.2.1", 60);
  learn("b.test", "192.0.2.1", 10);
  EXPECT_EQ(rules("192.0.2.1"), 2u);
  table_.reap(judge_, 20 * kSecond + kGrace);
  EXPECT_EQ(rules("192.0.2.1"), 1u);
  EXPECT_EQ(egress_.rules(kSlot, "192.0.2.1").rules[0].rule, 1);
  table_.reap(judge_, 70 * kSecond + kGrace);
  EXPECT_EQ(rules("192.0.2.1"), 0u);
}

TEST_F(AddressTableTest, FullTableTakesNothingNewAndKeepsTheOld) {
  learn("a.test", "192.0.2.1", 60);
  learn("a.test", "192.0.2.2", 60);
  learn("a.test", "192.0.2.3", 60);
  EXPECT_FALSE(learn("a.test", "192.0.2.4", 60));
  EXPECT_TRUE(learn("b.test", "192.0.2.3", 60));
  EXPECT_EQ(egress_.size(), 3u);
  table_.reap(judge_, 60 * kSecond + kGrace);
  EXPECT_TRUE(learn("a.test", "192.0.2.4", 60, 100 * kSecond));
}

TEST_F(AddressTableTest, FullKernelIsAnErrorAndLeavesNoClaim) {
  egress_.capacity = 1;
  learn("a.test", "192.0.2.1", 60);
  EXPECT_FALSE(learn("b.test", "192.0.2.2", 60));
  EXPECT_FALSE(table_.knows(mapped("192.0.2.2")));
  egress_.capacity = 2;
  EXPECT_TRUE(learn("b.test", "192.0.2.2", 60));
}

TEST_F(AddressTableTest, MoreRulesThanTheKernelTakes) {
  std::vector<std::string> names;
  for (int i = 0; i <= CICD_EGRESS_RULES_MAX; ++i)
    names.push_back("n" + std::to_string(i) + ".many.test");
  const FakeJudge judge(names);
  const MappedIp ips[] = {mapped("192.0.2.1")};
  for (int i = 0; i < CICD_EGRESS_RULES_MAX; ++i) {
    EXPECT_TRUE(table_.learn(judge, names[static_cast<std::size_t>(i)], ips, 60, 0));
  }
  EXPECT_FALSE(table_.learn(judge, names.back(), ips, 60, 0));
  EXPECT_EQ(rules("192.0.2.1"), static_cast<std::uint32_t>(CICD_EGRESS_RULES_MAX));
}

TEST_F(AddressTableTest, ManyNamesAtOneAddress) {
  for (int i = 0; i < 50'000; ++i) {
    ASSERT_TRUE(learn((std::to_string(i) + ".a.test").c_str(), "192.0.2.1", 60)) << i;
  }
  EXPECT_TRUE(learn("late.a.test", "192.0.2.1", 60, 50 * kSecond));
  EXPECT_EQ(rules("192.0.2.1"), 1u);
  // A name with other rules has no one to stand for it.
  EXPECT_TRUE(learn("b.test", "192.0.2.1", 10));
  EXPECT_EQ(rules("192.0.2.1"), 2u);
  table_.reap(judge_, 60 * kSecond + kGrace);
  EXPECT_EQ(rules("192.0.2.1"), 1u);
  table_.reap(judge_, 110 * kSecond + kGrace);
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(AddressTableTest, NameWithoutRulesOpensNothing) {
  EXPECT_TRUE(learn("c.test", "192.0.2.1", 60));
  EXPECT_EQ(egress_.puts, 0u);
  // Until a policy comes that has some.
  const FakeJudge other({"c.test"});
  EXPECT_EQ(table_.replace_policy(other, kSecond), 0u);
  EXPECT_EQ(rules("192.0.2.1"), 1u);
}

TEST_F(AddressTableTest, ReplacedPolicyClosesAndOpens) {
  learn("a.test", "192.0.2.1", 60);
  learn("b.test", "192.0.2.1", 60);
  learn("b.test", "192.0.2.2", 60);
  const FakeJudge strict({"a.test"});
  EXPECT_EQ(table_.replace_policy(strict, kSecond), 0u);
  EXPECT_EQ(rules("192.0.2.1"), 1u);
  EXPECT_FALSE(egress_.has(kSlot, "192.0.2.2"));
  table_.replace_policy(judge_, kSecond);
  EXPECT_EQ(rules("192.0.2.1"), 2u);
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.2"));
}

TEST_F(AddressTableTest, AdoptedRulesGoWhenTheirTimeIsOver) {
  ASSERT_TRUE(egress_.put_address(kSlot, mapped("192.0.2.1"), judge_.rules_of_name("b.test")));
  table_.adopt(0);
  EXPECT_TRUE(table_.knows(mapped("192.0.2.1")));
  learn("a.test", "192.0.2.1", 600);
  EXPECT_EQ(rules("192.0.2.1"), 2u);
  table_.reap(judge_, AddressTable::kAdoptedNs);
  EXPECT_EQ(rules("192.0.2.1"), 1u);
  EXPECT_EQ(egress_.rules(kSlot, "192.0.2.1").rules[0].rule, 1);
}

TEST_F(AddressTableTest, NamesAndQueueDoNotGrowWithTime) {
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    const std::string name = std::to_string(i) + ".a.test";
    EXPECT_TRUE(learn(name.c_str(), "192.0.2.1", 0, i * 2 * kSecond));
    table_.reap(judge_, i * 2 * kSecond);
  }
  EXPECT_EQ(table_.size(), 1u);
  table_.clear();
  EXPECT_EQ(egress_.size(), 0u);
}

}  // namespace
}  // namespace cicd
