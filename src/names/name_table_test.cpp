// SPDX-License-Identifier: Apache-2.0
#include "names/name_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/dns_builder.h"

namespace cicd {
namespace {

using support::ip;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr NameUser kCurl{100, 5};
constexpr NameUser kOther{200, 6};
constexpr std::uint64_t kStart = 1'000 * kSecond;

class NameTableTest : public ::testing::Test {
 protected:
  void add(const char* address, std::string_view name, std::uint64_t at_s = 0,
           std::uint32_t ttl_s = 60, NameUser user = kCurl,
           NameSource source = NameSource::kDnsAnswer) {
    table_.add(ip(address), {name, source, user, kStart + at_s * kSecond, ttl_s});
  }
  std::optional<NameMatch> find(const char* address, std::uint64_t at_s = 1,
                                NameUser user = kCurl) const {
    return table_.find(ip(address), user, kStart + at_s * kSecond);
  }
  std::string name(const char* address, std::uint64_t at_s = 1, NameUser user = kCurl) const {
    const auto match = find(address, at_s, user);
    return match ? std::string(match->name) : "-";
  }
  NameTable table_;
};

TEST_F(NameTableTest, AnAddressHasTheNameItWasAnsweredFor) {
  add("192.0.2.1", "a.test");
  add("2001:db8::1", "a.test");
  EXPECT_EQ(name("192.0.2.1"), "a.test");
  EXPECT_EQ(name("2001:db8::1"), "a.test");
  EXPECT_EQ(name("::ffff:192.0.2.1"), "a.test") << "the same address through an IPv6 socket";
  EXPECT_EQ(name("192.0.2.2"), "-");
  EXPECT_FALSE(find("192.0.2.1")->is_ambiguous());
  EXPECT_EQ(find("192.0.2.1")->source, NameSource::kDnsAnswer);
}

TEST_F(NameTableTest, LifetimeForTheAskerAndForOthers) {
  add("192.0.2.1", "a.test", 0, 300);
  EXPECT_EQ(name("192.0.2.1", 359, kOther), "a.test");
  EXPECT_EQ(name("192.0.2.1", 360, kOther), "-");
  EXPECT_EQ(name("192.0.2.1", 3'899, kCurl), "a.test");
  EXPECT_EQ(name("192.0.2.1", 3'900, kCurl), "-");
  // The longest TTL there is.
  add("192.0.2.2", "b.test", 0, UINT32_MAX);
  EXPECT_EQ(name("192.0.2.2", 86'400 + 59, kOther), "b.test");
  EXPECT_EQ(name("192.0.2.2", 86'400 + 60, kOther), "-");
  add("192.0.2.3", "c.test", 0, 0);
  EXPECT_EQ(name("192.0.2.3", 59, kOther), "c.test");
}

TEST_F(NameTableTest, AnAnswerAgainLengthensItsLife) {
  add("192.0.2.1", "a.test", 0, 300);
  add("192.0.2.1", "a.test", 100, 10);
  EXPECT_EQ(name("192.0.2.1", 359, kOther), "a.test") << "the longer one still holds";
  add("192.0.2.1", "a.test", 200, 300);
  EXPECT_EQ(name("192.0.2.1", 559, kOther), "a.test");
  EXPECT_FALSE(find("192.0.2.1", 300)->is_ambiguous());
}

TEST_F(NameTableTest, TwoNamesOfOneProcessAreAmbiguousAndTheLatestIsShown) {
  add("192.0.2.1", "a.test", 0);
  add("192.0.2.1", "b.test", 1);
  add("192.0.2.1", "c.test", 2);
  const auto match = find("192.0.2.1", 3);
  EXPECT_EQ(match->name, "c.test");
  EXPECT_THAT(match->others(), ElementsAre("b.test", "a.test"));
}

TEST_F(NameTableTest, OwnClaimsComeBeforeThoseOfOthers) {
  add("192.0.2.1", "mine.test", 0, 60, kCurl);
  add("192.0.2.1", "theirs.test", 1, 60, kOther);
  EXPECT_EQ(name("192.0.2.1", 2, kCurl), "mine.test");
  EXPECT_FALSE(find("192.0.2.1", 2, kCurl)->is_ambiguous());
  EXPECT_EQ(name("192.0.2.1", 2, kOther), "theirs.test");
  // A third process may have either.
  const auto match = find("192.0.2.1", 2, {300, 7});
  EXPECT_EQ(match->name, "theirs.test");
  EXPECT_THAT(match->others(), ElementsAre("mine.test"));
  // A pid used again is another process.
  EXPECT_TRUE(find("192.0.2.1", 2, {kCurl.pid, 99})->is_ambiguous());
}

TEST_F(NameTableTest, ExpiredNamesAreNoCandidates) {
  add("192.0.2.1", "old.test", 0, 10, kOther);
  add("192.0.2.1", "new.test", 100, 10, kOther);
  EXPECT_EQ(name("192.0.2.1", 101), "new.test");
  EXPECT_FALSE(find("192.0.2.1", 101)->is_ambiguous());
}

TEST_F(NameTableTest, TheSameNameOfTwoProcessesIsNotAmbiguous) {
  add("192.0.2.1", "a.test", 0, 60, {1, 1});
  add("192.0.2.1", "a.test", 1, 60, {2, 2});
  EXPECT_THAT(find("192.0.2.1", 2)->others(), IsEmpty());
}

TEST_F(NameTableTest, GetaddrinfoConfirmsWhatDnsSaid) {
  add("192.0.2.1", "api.corp.test", 0, 60);
  add("192.0.2.1", "api", 1, 0, kCurl, NameSource::kGetaddrinfo);
  const auto match = find("192.0.2.1", 2);
  EXPECT_EQ(match->name, "api.corp.test") << "a suffix of the search list";
  EXPECT_EQ(match->source, NameSource::kGetaddrinfo);
  EXPECT_FALSE(match->is_ambiguous());
  add("192.0.2.1", "ap", 1, 0, kCurl, NameSource::kGetaddrinfo);
  EXPECT_TRUE(find("192.0.2.1", 2)->is_ambiguous()) << "part of a label is another name";
}

TEST_F(NameTableTest, GetaddrinfoAloneIsASource) {
  add("127.0.0.9", "local.test", 0, 0, kCurl, NameSource::kGetaddrinfo);
  EXPECT_EQ(name_of(find("127.0.0.9")->source), "getaddrinfo");
}

TEST_F(NameTableTest, ClaimsPerAddressAreBoundedAndLossesCounted) {
  const int most = static_cast<int>(NameTable::kClaimsPerAddress);
  for (int i = 0; i < most; ++i) {
    add("192.0.2.1", "n" + std::to_string(i) + ".test", static_cast<std::uint64_t>(i));
  }
  EXPECT_EQ(table_.dropped(), 0u);
  add("192.0.2.1", "one-more.test", 50);
  EXPECT_EQ(table_.dropped(), 1u);
  const auto match = find("192.0.2.1", 51);
  EXPECT_EQ(match->name, "one-more.test");
  EXPECT_EQ(match->other_count, NameTable::kClaimsPerAddress - 1);
  EXPECT_EQ(match->others().back(), "n1.test");
  // What no longer holds is no loss.
  add("192.0.2.1", "late.test", 10'000);
  EXPECT_EQ(table_.dropped(), 1u);
}

TEST_F(NameTableTest, AddressesAreBoundedTheOldestGoesFirst) {
  IpAddress address = ip("10.0.0.0");
  const NameClaim claim{"many.test", NameSource::kDnsAnswer, kCurl, kStart, 60};
  for (std::size_t i = 0; i <= NameTable::kMaxAddresses; ++i) {
    address.bytes[1] = static_cast<std::uint8_t>(i >> 16);
    address.bytes[2] = static_cast<std::uint8_t>(i >> 8);
    address.bytes[3] = static_cast<std::uint8_t>(i);
    table_.add(address, claim);
    if (i == 10) table_.add(ip("10.0.0.0"), claim);  // answered again
  }
  EXPECT_EQ(table_.size(), NameTable::kMaxAddresses);
  EXPECT_EQ(table_.dropped(), 1u);
  EXPECT_EQ(name("10.0.0.0"), "many.test");
  EXPECT_EQ(name("10.0.0.1"), "-");
}

TEST_F(NameTableTest, NameBytesAreBounded) {
  IpAddress address = ip("10.0.0.0");
  for (std::size_t i = 0; i < 5'000; ++i) {
    address.bytes[2] = static_cast<std::uint8_t>(i >> 8);
    address.bytes[3] = static_cast<std::uint8_t>(i);
    const std::string name = std::to_string(i) + std::string(1'000, 'x');
    table_.add(address, {name, NameSource::kDnsAnswer, kCurl, kStart, 60});
  }
  EXPECT_LT(table_.size(), 4'200u);
  EXPECT_GT(table_.size(), 4'000u);
  EXPECT_EQ(table_.dropped(), 5'000 - table_.size());
}

}  // namespace
}  // namespace cicd
