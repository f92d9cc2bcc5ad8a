// SPDX-License-Identifier: Apache-2.0
#include "names/dns_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/dns_builder.h"

namespace cicd {
namespace {

using support::DnsBuilder;
using support::ip;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class DnsMessageTest : public ::testing::Test {
 protected:
  const DnsMessage& parse(const DnsBuilder& builder) { return parse(builder.bytes()); }
  const DnsMessage& parse(std::vector<std::uint8_t> bytes) {
    // On the heap and of the exact size, so that a sanitizer sees a read beyond.
    const auto copy = std::make_unique<std::uint8_t[]>(bytes.size());
    std::ranges::copy(bytes, copy.get());
    parse_dns({copy.get(), bytes.size()}, *message_);
    return *message_;
  }
  std::string name() const { return std::string(message_->questions()[0].name()); }
  std::vector<IpAddress> addresses() const {
    std::vector<IpAddress> out;
    for (const DnsAddress& each : message_->addresses()) out.push_back(each.address);
    return out;
  }

  std::unique_ptr<DnsMessage> message_ = std::make_unique<DnsMessage>();
};

TEST_F(DnsMessageTest, QueryHasNameAndType) {
  const DnsMessage& message = parse(DnsBuilder(77).question("www.example.test", kDnsHttps));
  EXPECT_EQ(message.error, DnsError::kNone);
  EXPECT_EQ(message.id, 77);
  EXPECT_FALSE(message.is_response);
  EXPECT_FALSE(message.is_truncated);
  ASSERT_EQ(message.questions().size(), 1u);
  EXPECT_EQ(name(), "www.example.test");
  EXPECT_EQ(message.questions()[0].type, kDnsHttps);
}

TEST_F(DnsMessageTest, NamesAreLowerCaseAndEscaped) {
  DnsBuilder builder;
  builder.count_question().raw({5, 'A', '.', '\\', ' ', 0xe9, 3, 'C', 'o', 'M', 0});
  parse(builder.u16(1).u16(1));
  EXPECT_EQ(message_->error, DnsError::kNone);
  EXPECT_EQ(name(), "a\\.\\\\\\032\\233.com");
  parse(DnsBuilder().question(".", 1));
  EXPECT_EQ(name(), ".");
}

TEST_F(DnsMessageTest, TheLongestNameAndOneByteMore) {
  const std::string label(63, '\x01');
  const std::string most = label + "." + label + "." + label + ".";
  parse(DnsBuilder().question(most + std::string(61, '\x01'), 1));
  EXPECT_EQ(message_->error, DnsError::kNone);
  EXPECT_EQ(name().size(), (3 * 63 + 61) * 4 + 3u);
  parse(DnsBuilder().question(most + std::string(62, 'x'), 1));
  EXPECT_EQ(message_->error, DnsError::kBadName);
  EXPECT_THAT(message_->questions(), IsEmpty());
}

TEST_F(DnsMessageTest, AnswersOfEachKind) {
  DnsBuilder builder(1, DnsBuilder::kAnswer);
  builder.question("a.test", kDnsA).a("@12", "192.0.2.1", 300).a("A.TEST", "192.0.2.2", 20);
  builder.aaaa("a.test", "2001:db8::1", 5);
  parse(builder);
  EXPECT_EQ(message_->error, DnsError::kNone);
  EXPECT_TRUE(message_->is_response);
  EXPECT_THAT(addresses(), ElementsAre(ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1")));
  EXPECT_EQ(message_->addresses()[0].ttl_s, 300u);
  EXPECT_EQ(message_->addresses()[2].ttl_s, 5u);
}

TEST_F(DnsMessageTest, ChainsOfAliasesInAnyOrder) {
  DnsBuilder builder(1, DnsBuilder::kAnswer);
  builder.question("www.a.test", kDnsA);
  builder.a("edge.cdn.test", "192.0.2.1", 300);
  builder.cname("mid.test", "edge.cdn.test", 100).cname("www.a.test", "mid.test", 7);
  parse(builder);
  EXPECT_EQ(message_->error, DnsError::kNone);
  EXPECT_EQ(message_->alias_count, 2);
  EXPECT_THAT(addresses(), ElementsAre(ip("192.0.2.1")));
  EXPECT_EQ(message_->addresses()[0].ttl_s, 7u) << "the least of the chain";
}

TEST_F(DnsMessageTest, AnAliasLoopEnds) {
  DnsBuilder builder(1, DnsBuilder::kAnswer);
  builder.question("a.test", kDnsA).cname("a.test", "b.test").cname("b.test", "a.test");
  builder.a("b.test", "192.0.2.1");
  parse(builder);
  EXPECT_EQ(message_->error, DnsError::kNone);
  EXPECT_THAT(addresses(), ElementsAre(ip("192.0.2.1")));
}

TEST_F(DnsMessageTest, AddressesOfOtherNamesDoNotCount) {
  DnsBuilder builder(1, DnsBuilder::kAnswer);
  builder.question("evil.test", kDnsA).a("github.example", "192.0.2.66");
  builder.cname("other.test", "third.test").a("third.test", "192.0.2.67");
  parse(builder);
  EXPECT_EQ(message_->error, DnsError::kNone);
  EXPECT_THAT(addresses(), IsEmpty());
}

TEST_F(DnsMessageTest, HttpsHintsAreAddressesOfTheQuestion) {
  std::vector<std::uint8_t> parameters = DnsBuilder::parameter(1, {2, 'h', '2'});
  std::vector<std::uint8_t> hints = DnsBuilder::address(AF_INET, "192.0.2.1");
  DnsBuilder::append(hints, DnsBuilder::address(AF_INET, "192.0.2.2"));
  DnsBuilder::append(parameters, DnsBuilder::parameter(4, hints));
  DnsBuilder::append(parameters,
                     DnsBuilder::parameter(6, DnsBuilder::address(AF_INET6, "2001:db8::7")));
  DnsBuilder builder(1, DnsBuilder::kAnswer);
  builder.question("a.test", kDnsHttps).https("a.test", ".", parameters, 9);
  parse(builder);
  EXPECT_EQ(message_->error, DnsError::kNone);
  EXPECT_THAT(addresses(), ElementsAre(ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::7")));
  EXPECT_TRUE(message_->addresses()[0].is_hint);
}

TEST_F(DnsMessageTest, BadParametersOfHttpsAreToldAndWhatCameBeforeStays) {
  for (const std::vector<std::uint8_t>& bad :
       {std::vector<std::uint8_t>{0, 4, 0, 9, 1, 2}, {0, 6, 0, 4, 1, 2, 3, 4}, {0}, {0, 4, 0, 0}}) {
    std::vector<std::uint8_t> parameters =
        DnsBuilder::parameter(4, DnsBuilder::address(AF_INET, "192.0.2.1"));
    DnsBuilder::append(parameters, bad);
    DnsBuilder builder(1, DnsBuilder::kAnswer);
    parse(builder.question("a.test", kDnsHttps).https("a.test", ".", parameters));
    EXPECT_EQ(message_->error, DnsError::kBadRecord);
    EXPECT_THAT(addresses(), ElementsAre(ip("192.0.2.1")));
  }
}

TEST_F(DnsMessageTest, TruncatedBitAndRcode) {
  parse(DnsBuilder(1, DnsBuilder::kAnswer | DnsBuilder::kTruncated).question("a.test", kDnsA));
  EXPECT_TRUE(message_->is_truncated);
  parse(DnsBuilder(1, DnsBuilder::kAnswer | 3).question("a.test", kDnsA));
  EXPECT_EQ(message_->rcode, 3);
  EXPECT_FALSE(message_->is_truncated);
}

TEST_F(DnsMessageTest, EveryPrefixIsCutAndNeverReadsBeyond) {
  DnsBuilder builder(1, DnsBuilder::kAnswer);
  builder.question("a.test", kDnsA).cname("a.test", "b.test").a("b.test", "192.0.2.1");
  const std::vector<std::uint8_t> whole = builder.bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    parse({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    EXPECT_EQ(message_->error, size < 12 ? DnsError::kNoHeader : DnsError::kCut) << size;
    EXPECT_THAT(addresses(), IsEmpty());
  }
  parse(whole);
  EXPECT_EQ(message_->error, DnsError::kNone);
}

TEST_F(DnsMessageTest, PointerLoopsEnd) {
  // To itself, and two to each other.
  parse(DnsBuilder().count_question().labels("@12").u16(1).u16(1));
  EXPECT_EQ(message_->error, DnsError::kBadName);
  parse(DnsBuilder().count_question().labels("x.@16").raw({0xc0, 12}).u16(1).u16(1));
  EXPECT_EQ(message_->error, DnsError::kBadName);
  parse(DnsBuilder().count_question().labels("@4095").u16(1).u16(1));
  EXPECT_EQ(message_->error, DnsError::kCut);
  parse(DnsBuilder().count_question().raw({0x40, 'x', 0}).u16(1).u16(1));
  EXPECT_EQ(message_->error, DnsError::kBadName);
}

TEST_F(DnsMessageTest, PointersForwardsAreFollowedAsLibrariesDo) {
  DnsBuilder builder(1, DnsBuilder::kAnswer);
  builder.question("a.test", kDnsA);
  // The owner points into the record's own data, which holds the name again.
  const std::size_t owner = builder.bytes().size();
  builder.count_answer().labels("@" + std::to_string(owner + 12)).u16(kDnsCname).u16(1);
  builder.u16(0).u16(60).u16(8).labels("a.test").a("a.test", "192.0.2.1");
  parse(builder);
  EXPECT_EQ(message_->error, DnsError::kNone);
  EXPECT_THAT(addresses(), ElementsAre(ip("192.0.2.1")));
}

TEST_F(DnsMessageTest, LimitsOfQuestionsAddressesAndSteps) {
  DnsBuilder questions;
  for (int i = 0; i < 5; ++i) questions.question("q" + std::to_string(i) + ".test", 16);
  parse(questions);
  EXPECT_EQ(message_->error, DnsError::kTooMany);
  EXPECT_EQ(message_->questions().size(), 4u);
  EXPECT_EQ(message_->questions()[3].name(), "q3.test");

  DnsBuilder answers(1, DnsBuilder::kAnswer);
  answers.question("a.test", kDnsA);
  for (int i = 0; i < 65; ++i) answers.a("@12", "192.0.2.1");
  parse(answers);
  EXPECT_EQ(message_->error, DnsError::kTooMany);
  EXPECT_EQ(message_->addresses().size(), kMaxDnsAddresses);

  // The data of the first record, at 30, is a chain of 100 pointers to "b"; every further record's
  // owner is that chain, so that nothing but the steps is too many.
  std::vector<std::uint8_t> chain;
  for (int i = 1; i <= 100; ++i) {
    DnsBuilder::append(chain, DnsBuilder::wire("@" + std::to_string(30 + 2 * i)));
  }
  DnsBuilder::append(chain, DnsBuilder::wire("b"));
  for (const int records : {10, 254}) {
    DnsBuilder steps(1, DnsBuilder::kAnswer);
    steps.question("a", kDnsA).record(".", 16, 60, chain);
    for (int i = 0; i < records; ++i) steps.a("@30", "192.0.2.1");
    parse(steps);
    EXPECT_EQ(message_->error, records == 10 ? DnsError::kNone : DnsError::kTooMany);
    EXPECT_THAT(addresses(), IsEmpty());
  }
}

TEST_F(DnsMessageTest, NamesOfTypesAndRcodes) {
  std::array<char, 12> buffer{};
  EXPECT_EQ(dns_type_text(28, buffer), "AAAA");
  EXPECT_EQ(dns_type_text(65535, buffer), "TYPE65535");
  EXPECT_EQ(dns_rcode_text(3, buffer), "NXDOMAIN");
  EXPECT_EQ(dns_rcode_text(15, buffer), "RCODE15");
}

}  // namespace
}  // namespace cicd
