// SPDX-License-Identifier: Apache-2.0
// Requests over cleartext HTTP/1.x: real sockets on loopback, the exact sample.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

namespace cicd::test {

namespace {

struct SeenHttp {
  cicd_sample_http fixed;
  SeenString method, path, host;
};

std::vector<SeenHttp> https(const Samples& samples, pid_t pid = 0) {
  std::vector<SeenHttp> out;
  using T = cicd_sample_http;
  for (const Seen& seen : samples.of(CICD_SAMPLE_HTTP, pid)) {
    auto strings = seen.strings<T>({&T::method, &T::path, &T::host});
    out.push_back({seen.fixed<T>(), strings[0], strings[1], strings[2]});
  }
  return out;
}

// Both ends of a connection over loopback; `client` connects.
struct Connection {
  explicit Connection(int family = AF_INET) {
    const int listener = ::socket(family, SOCK_STREAM, 0);
    sockaddr_in6 v6{};
    sockaddr_in v4{};
    v6.sin6_family = AF_INET6;
    v6.sin6_addr = in6addr_loopback;
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* address =
        family == AF_INET ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6);
    socklen_t size = family == AF_INET ? sizeof(v4) : sizeof(v6);
    EXPECT_EQ(::bind(listener, address, size), 0);
    ::listen(listener, 1);
    ::getsockname(listener, address, &size);
    client = ::socket(family, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ok = ::connect(client, address, size) == 0;
    server = ::accept(listener, nullptr, nullptr);
    ::close(listener);
  }
  ~Connection() {
    ::close(client);
    ::close(server);
  }
  void send(std::string_view text) const {
    ok = ok && ::send(client, text.data(), text.size(), MSG_NOSIGNAL) ==
                   static_cast<ssize_t>(text.size());
  }
  int client = -1;
  int server = -1;
  mutable bool ok = false;
};

class HttpHooks : public HookTest {
 protected:
  std::vector<SeenHttp> after_sending(std::vector<std::string> pieces, int family = AF_INET) {
    samples_ = observe([&] {
      const Connection connection(family);
      for (const std::string& piece : pieces) connection.send(piece);
      return connection.ok ? 0 : 1;
    });
    EXPECT_EQ(finished().status, 0);
    return https(samples_, finished().pid);
  }
  // No byte of any sample that came holds this.
  void expect_nowhere(std::string_view secret) const {
    for (const Seen& seen : samples_.of(CICD_SAMPLE_HTTP)) {
      EXPECT_EQ(seen.text().find(secret), std::string::npos) << secret;
    }
  }
  Samples samples_;
};

TEST_F(HttpHooks, RequestInTheOriginForm) {
  const auto seen =
      after_sending({"GET /a/b?token=hunter2 HTTP/1.1\r\nAccept: */*\r\nhOsT:  "
                     "example.test:8080\r\nX: y\r\n\r\n"});
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].method.bytes, "GET");
  EXPECT_EQ(seen[0].path.bytes, "/a/b");
  EXPECT_EQ(seen[0].path.flags, 0u);
  EXPECT_EQ(seen[0].host.bytes, "example.test:8080");
  EXPECT_EQ(seen[0].host.flags, 0u);
  EXPECT_EQ(seen[0].fixed.source, CICD_HTTP_CLEARTEXT);
  EXPECT_NE(seen[0].fixed.socket_cookie, 0u);
  EXPECT_EQ(seen[0].fixed.header.cgroup_id, job().id());
  expect_nowhere("hunter2");
  expect_nowhere("token");
  expect_nowhere("Accept");
}

TEST_F(HttpHooks, EveryMethodAndIpv6) {
  for (const std::string method :
       {"GET", "PUT", "POST", "HEAD", "PATCH", "DELETE", "OPTIONS", "TRACE"}) {
    const auto seen = after_sending({method + " / HTTP/1.0\r\nHost: h\r\n\r\n"}, AF_INET6);
    ASSERT_EQ(seen.size(), 1u) << method;
    EXPECT_EQ(seen[0].method.bytes, method);
    EXPECT_EQ(seen[0].path.bytes, "/");
    EXPECT_EQ(seen[0].host.bytes, "h");
  }
}

TEST_F(HttpHooks, FragmentEndsThePathToo) {
  const auto seen = after_sending({"GET /x#secret HTTP/1.1\r\nHost: h\r\n\r\n"});
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].path.bytes, "/x");
  expect_nowhere("secret");
}

TEST_F(HttpHooks, RequestsToAProxy) {
  const auto seen = after_sending(
      {"GET http://user:hunter2@example.test:81/p/q?secret=1 HTTP/1.1\r\nHost: other\r\n\r\n",
       "CONNECT example.test:443 HTTP/1.1\r\nProxy-Authorization: Basic hunter2\r\n\r\n",
       "GET https://example.test?secret=1 HTTP/1.1\r\n\r\n",
       "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"});
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].host.bytes, "example.test:81");
  EXPECT_EQ(seen[0].path.bytes, "/p/q");
  EXPECT_EQ(seen[1].method.bytes, "CONNECT");
  EXPECT_EQ(seen[1].host.bytes, "example.test:443");
  EXPECT_EQ(seen[1].path.bytes, "");
  EXPECT_EQ(seen[2].host.bytes, "example.test");
  EXPECT_EQ(seen[2].path.bytes, "");
  EXPECT_EQ(seen[3].path.bytes, "*");
  expect_nowhere("hunter2");
  expect_nowhere("secret");
}

TEST_F(HttpHooks, WhatOnlyBeginsLikeARequestIsNotOne) {
  EXPECT_TRUE(after_sending({"CONNECT {\"user\":\"u\",\"pass\":\"hunter2\"}\r\n"}).empty());
  EXPECT_TRUE(after_sending({"GET key-in-another-protocol\r\n"}).empty());
  EXPECT_TRUE(after_sending({"GETTING / HTTP/1.1\r\nHost: h\r\n\r\n"}).empty());
  EXPECT_TRUE(after_sending({"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}).empty());
}

TEST_F(HttpHooks, OfASplitHeadTheFirstSegmentIsSeen) {
  const auto seen =
      after_sending({"POST /split/pa", "th?secret=1 HTTP/1.1\r\nHost: example.test\r\n\r\n"});
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].path.bytes, "/split/pa");
  EXPECT_EQ(seen[0].path.flags, CICD_STRING_TRUNCATED);
  EXPECT_EQ(seen[0].host.bytes, "");
  EXPECT_EQ(seen[0].host.flags, CICD_STRING_TRUNCATED);
  expect_nowhere("secret");
}

TEST_F(HttpHooks, LongPathsAndHostsAreCut) {
  const auto seen =
      after_sending({"GET /" + std::string(3000, 'a') + "?secret HTTP/1.1\r\nHost: h\r\n\r\n",
                     "GET / HTTP/1.1\r\nHost: " + std::string(400, 'b') + "\r\n\r\n"});
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].path.bytes, "/" + std::string(1024 - 5, 'a'));
  EXPECT_EQ(seen[0].path.flags, CICD_STRING_TRUNCATED);
  EXPECT_EQ(seen[1].host.bytes, std::string(256, 'b'));
  EXPECT_EQ(seen[1].host.flags, CICD_STRING_TRUNCATED);
}

TEST_F(HttpHooks, OneByOneOnAConnection) {
  const auto seen =
      after_sending({"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", "DELETE /2 HTTP/1.1\r\nHost: h\r\n\r\n",
                     "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"});
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[1].path.bytes, "/2");
  EXPECT_EQ(seen[1].method.bytes, "DELETE");
}

TEST_F(HttpHooks, ASocketConnectedOutsideIsReportedForWhoSends) {
  const Connection connection;
  const Samples samples = observe_inside([&] {
    connection.send("GET /inherited HTTP/1.1\r\nHost: h\r\n\r\n");
    return 0;
  });
  const auto seen = https(samples, finished().pid);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].path.bytes, "/inherited");
}

}  // namespace

}  // namespace cicd::test
