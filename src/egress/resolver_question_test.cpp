// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver_question.h"

#include <gtest/gtest.h>

#include "support/fake_egress.h"
#include "support/resolver_world.h"

namespace cicd {
namespace {

using support::Bytes;
using support::DnsBuilder;
using support::mapped;
using support::question;

TEST(DnsAsk, NameIsLowerCaseTextWithEscapes) {
  Bytes bytes = DnsBuilder().bytes();
  bytes[5] = 1;
  DnsBuilder::append(bytes, {5, 'A', '.', '\\', ' ', 0xff, 2, 'b', 'C', 0, 0, 1, 0, 1});
  DnsAsk ask;
  ASSERT_EQ(read_ask(bytes, ask), AskFault::kNone);
  EXPECT_EQ(ask.text, "a\\.\\\\\\032\\255.bc");
  EXPECT_EQ(ask.name_bytes, 10);
  EXPECT_EQ(ask.name[1], 'A');
}

TEST(DnsAsk, Root) {
  DnsAsk ask;
  ASSERT_EQ(read_ask(question(".", kTypeA), ask), AskFault::kNone);
  EXPECT_EQ(ask.text, ".");
}

TEST(DnsAsk, LongestName) {
  std::string name;
  for (int i = 0; i < 126; ++i) name += "a.";
  DnsAsk ask;
  EXPECT_EQ(read_ask(question(name + "a", kTypeA), ask), AskFault::kNone);
  EXPECT_EQ(ask.name_bytes, 255);
  EXPECT_EQ(read_ask(question(name + "aa", kTypeA), ask), AskFault::kFormat);
  EXPECT_EQ(read_ask(question(std::string(63, 'x'), kTypeA), ask), AskFault::kNone);
  EXPECT_EQ(read_ask(question(std::string(64, 'x'), kTypeA), ask), AskFault::kFormat);
}

TEST(DnsAsk, CutAnywhereIsAFault) {
  const Bytes whole = question("www.good.test", kTypeA, 7, 1'232);
  DnsAsk ask;
  ASSERT_EQ(read_ask(whole, ask), AskFault::kNone);
  EXPECT_EQ(ask.udp_bytes, 1'232);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(read_ask(std::span(whole).first(size), ask), AskFault::kNone) << size;
  }
}

TEST(DnsAsk, SmallEdnsSizeCountsAs512) {
  DnsAsk ask;
  ASSERT_EQ(read_ask(question("a.test", kTypeA, 7, 100), ask), AskFault::kNone);
  EXPECT_EQ(ask.udp_bytes, 512);
}

TEST(ReverseAddress, WholeAddressesOnly) {
  EXPECT_EQ(reverse_address("4.3.2.1.in-addr.arpa"), mapped("1.2.3.4"));
  EXPECT_EQ(reverse_address("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
                            ".ip6.arpa"),
            mapped("2001:db8::1"));
  for (const char* text :
       {"3.2.1.in-addr.arpa", "5.4.3.2.1.in-addr.arpa", "04.3.2.1.in-addr.arpa",
        "256.3.2.1.in-addr.arpa", "x.3.2.1.in-addr.arpa", "4.3.2.1..in-addr.arpa", "in-addr.arpa",
        "4.3.2.1.in-addr.arpa.good.test", "1.ip6.arpa", ".ip6.arpa", "good.test", ""}) {
    EXPECT_FALSE(reverse_address(text)) << text;
  }
}

TEST(Localhost, Names) {
  EXPECT_TRUE(is_localhost("localhost"));
  EXPECT_TRUE(is_localhost("a.b.localhost"));
  EXPECT_FALSE(is_localhost("notlocalhost"));
  EXPECT_FALSE(is_localhost("localhost.good.test"));
}

}  // namespace
}  // namespace cicd
