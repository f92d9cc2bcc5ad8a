// SPDX-License-Identifier: Apache-2.0
#include "docker/body_framer.h"

#include <gtest/gtest.h>

#include <string>

namespace cicd {

namespace {

struct Taken {
  bool is_error = false;
  std::size_t bytes = 0;
  std::string content;
  bool is_done = false;
};

// In pieces of `step` bytes.
Taken take(BodyFramer framer, std::string_view bytes, std::size_t step) {
  Taken taken;
  while (taken.bytes < bytes.size() && !framer.is_done()) {
    const auto read = framer.take(bytes.substr(taken.bytes, step), &taken.content);
    if (!read) {
      taken.is_error = true;
      return taken;
    }
    taken.bytes += *read;
  }
  taken.is_done = framer.is_done();
  return taken;
}

BodyFramer chunks() { return {Framing::kChunked, 0}; }

TEST(BodyFramer, NoBodyIsDone) {
  EXPECT_TRUE(BodyFramer().is_done());
  EXPECT_TRUE(BodyFramer(Framing::kNone, 0).is_done());
  EXPECT_TRUE(BodyFramer(Framing::kLength, 0).is_done());
}

TEST(BodyFramer, LengthEndsWhereItSays) {
  for (const std::size_t step : {1u, 2u, 100u}) {
    const Taken taken = take(BodyFramer(Framing::kLength, 5), "hellomore", step);
    EXPECT_EQ(taken.bytes, 5u);
    EXPECT_EQ(taken.content, "hello");
    EXPECT_TRUE(taken.is_done);
  }
}

TEST(BodyFramer, SkippedBytesCount) {
  BodyFramer framer(Framing::kLength, 1000);
  EXPECT_EQ(framer.plain_bytes(), 1000u);
  framer.skip(999);
  EXPECT_FALSE(framer.is_done());
  framer.skip(1);
  EXPECT_TRUE(framer.is_done());
  BodyFramer chunked = chunks();
  EXPECT_EQ(chunked.plain_bytes(), 0u);
  ASSERT_TRUE(chunked.take("a0\r\n"));
  EXPECT_EQ(chunked.plain_bytes(), 160u);
  chunked.skip(160);
  EXPECT_EQ(chunked.plain_bytes(), 0u);
  ASSERT_TRUE(chunked.take("\r\n0\r\n\r\n"));
  EXPECT_TRUE(chunked.is_done());
}

TEST(BodyFramer, ChunksOfAllSpellings) {
  const std::string bodies[] = {
      "5\r\nhello\r\n0\r\n\r\n",
      "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
      "005;name=\"value\"\r\nhello\r\n0;last\r\n\r\n",
      "5 \t\r\nhello\r\n0\r\n\r\n",
      "5\nhello\r\n0\n\n",
      "5\r\nhello\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n",
  };
  for (const std::string& body : bodies) {
    for (const std::size_t step : {1u, 2u, 3u, 7u, 1000u}) {
      const Taken taken = take(chunks(), body + "GET / HTTP/1.1", step);
      EXPECT_FALSE(taken.is_error) << body;
      EXPECT_TRUE(taken.is_done) << body;
      EXPECT_EQ(taken.bytes, body.size()) << body;
      EXPECT_EQ(taken.content, "hello") << body;
    }
  }
}

TEST(BodyFramer, RefusesWhatIsNoChunk) {
  const std::string bodies[] = {
      "\r\n",
      "x\r\n",
      "-5\r\nhello",
      "0x5\r\nhello",
      "5\r\nhelloo\r\n",
      "5 5\r\nhello",
      ";a\r\n",
      "5\rx\r\n",
      "5\r\nhello\n0\r\n",
      "5\r\nhello0\r\n",
      " 5\r\nhello",
      "5\r\nhello\r\r\n",
      "1000000000000000\r\n",
      "fffffffffffffffff\r\n",
  };
  for (const std::string& body : bodies) {
    for (const std::size_t step : {1u, 1000u}) {
      EXPECT_TRUE(take(chunks(), body, step).is_error) << body;
    }
  }
}

TEST(BodyFramer, MarksAreBounded) {
  EXPECT_TRUE(take(chunks(), "5;" + std::string(5000, 'x'), 100).is_error);
  EXPECT_TRUE(take(chunks(), "5" + std::string(5000, ' '), 100).is_error);
  EXPECT_TRUE(take(chunks(), "0\r\n" + std::string(70'000, 'x'), 100).is_error);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 20'000; ++i) trailers += "a:b\r\n";
  EXPECT_TRUE(take(chunks(), trailers, 100).is_error);
}

TEST(BodyFramer, AnAnswerToTheEndNeverEnds) {
  BodyFramer framer(Framing::kToEnd, 0);
  EXPECT_EQ(framer.take("anything").value_or(0), 8u);
  EXPECT_FALSE(framer.is_done());
}

}  // namespace

}  // namespace cicd
