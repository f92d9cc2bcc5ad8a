// SPDX-License-Identifier: Apache-2.0
#include "docker/http_head.h"

#include <gtest/gtest.h>

#include <string>

namespace cicd {

namespace {

Result<RequestHead> request(const std::string& text) { return parse_request_head(text); }

TEST(FindHead, EndsWithTheEmptyLine) {
  for (const std::string head : {"GET / HTTP/1.1\r\nA: b\r\n\r\n", "GET / HTTP/1.1\nA: b\n\n",
                                 "GET / HTTP/1.1\r\n\n", "GET / HTTP/1.1\n\r\n"}) {
    std::size_t searched = 0;
    EXPECT_EQ(find_head(head + "body\n\n", searched), head.size()) << head;
  }
}

TEST(FindHead, ByteByByteFindsTheSame) {
  const std::string head = "POST / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n";
  std::size_t searched = 0;
  for (std::size_t size = 1; size < head.size(); ++size) {
    EXPECT_EQ(find_head(std::string_view(head).substr(0, size), searched), 0u) << size;
  }
  EXPECT_EQ(find_head(head, searched), head.size());
}

TEST(RequestHead, ReadsWhatABodyIs) {
  const std::string head = "POST /x HTTP/1.1\r\nContent-Length: 12\r\n\r\n";
  const auto length = request(head);
  ASSERT_TRUE(length);
  EXPECT_EQ(length->method, "POST");
  EXPECT_EQ(length->target, "/x");
  EXPECT_EQ(length->framing, Framing::kLength);
  EXPECT_EQ(length->length, 12u);
  const auto chunked = request("POST /x HTTP/1.1\nTRANSFER-ENCODING:  Chunked \n\n");
  ASSERT_TRUE(chunked);
  EXPECT_EQ(chunked->framing, Framing::kChunked);
  const auto none = request("POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(none);
  EXPECT_EQ(none->framing, Framing::kNone);
  const auto expects = request("POST /x HTTP/1.1\r\nExpect: 100-Continue\r\n\r\n");
  ASSERT_TRUE(expects);
  EXPECT_TRUE(expects->expects_continue);
  // Said twice and the same is one.
  EXPECT_TRUE(request("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"));
}

TEST(RequestHead, RefusesWhatCanBeReadInTwoWays) {
  const std::string start = "POST /x HTTP/1.1\r\n";
  for (const std::string headers : {"Content-Length: 1\r\nContent-Length: 2\r\n",
                                    "Content-Length: 1, 1\r\n",
                                    "Content-Length: -1\r\n",
                                    "Content-Length: +1\r\n",
                                    "Content-Length: 0x1\r\n",
                                    "Content-Length:\r\n",
                                    "Content-Length: 1 1\r\n",
                                    "Content-Length: 9223372036854775808\r\n",
                                    "Content-Length: 99999999999999999999\r\n",
                                    "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                                    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                                    "Transfer-Encoding: gzip, chunked\r\n",
                                    "Transfer-Encoding: identity\r\n",
                                    "Transfer-Encoding: \x0b"
                                    "chunked\r\n",
                                    "Content-Length : 1\r\n",
                                    " Content-Length: 1\r\n",
                                    "A: b\r\n Content-Length: 1\r\n",
                                    "A: b\r\n\tc\r\n",
                                    "A\r\n",
                                    ": b\r\n",
                                    "A: b\rContent-Length: 1\r\n",
                                    "A\x01: b\r\n",
                                    "\xc3\xa4: b\r\n"}) {
    const auto read = request(start + headers + "\r\n");
    ASSERT_FALSE(read) << headers;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidInput) << headers;
  }
  EXPECT_FALSE(request(start + std::string("A: b\0c\r\n\r\n", 10)));
  EXPECT_FALSE(request("POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

TEST(RequestHead, RefusesOtherRequestLines) {
  for (const std::string line : {"GET /x", "GET", " /x HTTP/1.1", "GET  HTTP/1.1"}) {
    const auto read = request(line + "\r\n\r\n");
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidInput) << line;
  }
  for (const std::string line : {"GET /x HTTP/2.0", "PRI * HTTP/2.0", "GET /x y HTTP/1.1",
                                 "GET /x HTTP/1.1 ", "GET /x http/1.1", "GET /x HTTP/1.10"}) {
    const auto read = request(line + "\r\n\r\n");
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().code, ErrorCode::kUnsupported) << line;
  }
}

TEST(ResponseHead, ReadsWhatABodyIs) {
  const auto framing = [](const std::string& text, bool is_head = false) {
    const auto read = parse_response_head(text, is_head);
    return read ? read->framing : Framing::kNone;
  };
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\n\r\n"), Framing::kToEnd);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), Framing::kLength);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true), Framing::kNone);
  EXPECT_EQ(framing("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), Framing::kNone);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Framing::kChunked);
  EXPECT_EQ(framing("HTTP/1.1 204 No Content\r\n\r\n"), Framing::kNone);
  EXPECT_EQ(framing("HTTP/1.1 304 Not Modified\r\n\r\n"), Framing::kNone);
  EXPECT_EQ(framing("HTTP/1.1 100 Continue\r\n\r\n"), Framing::kNone);
}

TEST(ResponseHead, RefusesNonsense) {
  for (const std::string text : {"", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 2", "HTTP/1.1 abc",
                                 "HTTP/1.1 099", "HTTP/2.0 200 OK", "ICY 200 OK"}) {
    EXPECT_FALSE(parse_response_head(text + "\r\n\r\n", false)) << text;
  }
}

}  // namespace

}  // namespace cicd
