// SPDX-License-Identifier: Apache-2.0
#include "names/dns_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace cicd {
namespace {

using ::testing::ElementsAre;

std::string framed(const std::string& message) {
  return std::string{static_cast<char>(message.size() >> 8), static_cast<char>(message.size())} +
         message;
}

class DnsStreamTest : public ::testing::Test {
 protected:
  void send(std::uint32_t sequence, const std::string& bytes, std::uint32_t total = 0,
            std::uint64_t cookie = 1, bool is_answer = false) {
    const DnsSegment segment{cookie,
                             is_answer,
                             sequence,
                             total,
                             {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}};
    streams_.add(segment, [this](std::span<const std::uint8_t> message, bool is_whole) {
      if (!is_whole) ++torn_;
      messages_.emplace_back(message.begin(), message.end());
    });
  }
  DnsStreams streams_;
  std::vector<std::string> messages_;
  std::uint64_t torn_ = 0;
};

TEST_F(DnsStreamTest, WholeMessagesOneOrMoreToASegment) {
  send(100, framed("one"));
  send(105, framed("two") + framed("three"));
  EXPECT_THAT(messages_, ElementsAre("one", "two", "three"));
  EXPECT_EQ(streams_.incomplete(), 0u);
}

TEST_F(DnsStreamTest, ByteByByteOverTheWrapOfSequenceNumbers) {
  const std::string bytes = framed("hello") + framed("world");
  std::uint32_t sequence = 0xfffffffa;
  for (const char byte : bytes) send(sequence++, std::string(1, byte));
  EXPECT_THAT(messages_, ElementsAre("hello", "world"));
  EXPECT_EQ(streams_.incomplete(), 0u);
}

TEST_F(DnsStreamTest, RepeatedAndOverlappingSegments) {
  const std::string bytes = framed("hello") + framed("world");
  send(100, bytes.substr(0, 6));
  send(100, bytes.substr(0, 6));
  send(103, bytes.substr(3, 8));
  send(100, bytes);
  EXPECT_THAT(messages_, ElementsAre("hello", "world"));
  EXPECT_EQ(streams_.incomplete(), 0u);
}

TEST_F(DnsStreamTest, DirectionsAndConnectionsAreApart) {
  send(100, framed("query").substr(0, 4));
  send(100, framed("answer"), 0, 1, true);
  send(100, framed("other"), 0, 2);
  send(104, framed("query").substr(4));
  EXPECT_THAT(messages_, ElementsAre("answer", "other", "query"));
}

TEST_F(DnsStreamTest, AGapInsideAMessageTearsOnlyThatOne) {
  const std::string bytes = framed("0123456789") + framed("next");
  send(100, bytes.substr(0, 6));
  send(109, bytes.substr(9));
  EXPECT_THAT(messages_, ElementsAre("0123", "next"));
  EXPECT_EQ(torn_, 1u);
  EXPECT_EQ(streams_.incomplete(), 1u);
}

TEST_F(DnsStreamTest, AGapOverAMessagesStartGoesOnWithTheNextSegment) {
  send(100, framed("one"));
  send(150, framed("two"));
  EXPECT_THAT(messages_, ElementsAre("one", "two"));
  EXPECT_EQ(streams_.incomplete(), 1u);
}

TEST_F(DnsStreamTest, PayloadCutInTheKernel) {
  const std::string message(5'000, 'x');
  send(100, framed(message).substr(0, 4'096), 5'002);
  send(5'102, framed("next"));
  EXPECT_THAT(messages_, ElementsAre(message.substr(0, 4'094), "next"));
  EXPECT_EQ(streams_.incomplete(), 1u);
}

TEST_F(DnsStreamTest, MessagesBeyondTheBufferAreCut) {
  const std::string message(60'000, 'y');
  const std::string bytes = framed(message);
  for (std::size_t at = 0; at < bytes.size(); at += 4'000) {
    send(static_cast<std::uint32_t>(100 + at), bytes.substr(at, 4'000));
  }
  ASSERT_EQ(messages_.size(), 1u);
  EXPECT_EQ(messages_[0].size(), DnsStreams::kMaxMessageBytes);
  EXPECT_EQ(streams_.incomplete(), 1u);
}

TEST_F(DnsStreamTest, EmptyMessagesAreSkipped) {
  send(100, framed("") + framed("") + framed("x"));
  EXPECT_THAT(messages_, ElementsAre("x"));
}

TEST_F(DnsStreamTest, TheQuietestStreamGoesFirst) {
  for (std::uint64_t cookie = 1; cookie <= DnsStreams::kMaxStreams; ++cookie) {
    send(100, framed("abc").substr(0, 3), 0, cookie);
  }
  send(103, framed("abc").substr(3), 0, 1);
  EXPECT_THAT(messages_, ElementsAre("abc"));
  send(100, framed("abc"), 0, 1'000);  // takes the place of 2
  EXPECT_EQ(streams_.incomplete(), 1u);
  messages_.clear();
  send(103, framed("abc").substr(3), 0, 3);
  EXPECT_THAT(messages_, ElementsAre("abc"));
}

}  // namespace
}  // namespace cicd
