// SPDX-License-Identifier: Apache-2.0
// connect and sendmsg on IPv4 and IPv6: the real call, the exact sample.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"
#include "this_kernel.h"

namespace cicd::test {

namespace {

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

Address address(const char* ip, std::uint16_t port) {
  Address out{};
  if (::inet_pton(AF_INET, ip, &out.v4.sin_addr) == 1) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(port);
    return out;
  }
  out.v6.sin6_family = AF_INET6;
  out.v6.sin6_port = htons(port);
  ::inet_pton(AF_INET6, ip, &out.v6.sin6_addr);
  return out;
}

socklen_t size_of(const Address& to) {
  return to.any.sa_family == AF_INET ? sizeof(to.v4) : sizeof(to.v6);
}

class Socket {
 public:
  Socket(int family, int type, int protocol = 0)
      : fd_(::socket(family, type | SOCK_CLOEXEC, protocol)) {}
  ~Socket() { ::close(fd_); }
  int connect(const Address& to) const {
    return fd_ < 0 ? -1 : ::connect(fd_, &to.any, size_of(to));
  }
  ssize_t send_to(const Address& to) const {
    return fd_ < 0 ? -1 : ::sendto(fd_, "x", 1, MSG_NOSIGNAL, &to.any, size_of(to));
  }
  ssize_t send() const { return ::send(fd_, "x", 1, MSG_NOSIGNAL); }

 private:
  int fd_;
};

std::string ip_of(const cicd_sample_connect& sample) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(sample.family, sample.remote_ip, text, sizeof(text));
  return text;
}

class NetworkHooks : public HookTest {
 protected:
  std::vector<cicd_sample_connect> connects(const Act& act) {
    return observe(act).fixed<cicd_sample_connect>(CICD_SAMPLE_CONNECT, finished().pid);
  }
  static void expect(const cicd_sample_connect& seen, const char* ip, std::uint16_t port,
                     int family, int protocol, int type, int flags) {
    EXPECT_EQ(ip_of(seen), ip);
    EXPECT_EQ(seen.remote_port, port);
    EXPECT_EQ(seen.family, family);
    EXPECT_EQ(seen.protocol, protocol);
    EXPECT_EQ(seen.socket_type, type);
    EXPECT_EQ(seen.header.flags, flags);
    EXPECT_NE(seen.socket_cookie, 0u);
    EXPECT_EQ(seen.header.slot, kSlot);
  }
};

TEST_F(NetworkHooks, TcpConnect4) {
  const auto seen = connects([] {
    Socket(AF_INET, SOCK_STREAM).connect(address("127.0.0.99", 61));
    return 0;
  });
  ASSERT_EQ(seen.size(), 1u);
  expect(seen[0], "127.0.0.99", 61, AF_INET, IPPROTO_TCP, SOCK_STREAM, 0);
  EXPECT_EQ(seen[0].header.cgroup_id, job().id());
  for (std::size_t i = 4; i < 16; ++i) EXPECT_EQ(seen[0].remote_ip[i], 0);
}

TEST_F(NetworkHooks, TcpConnect6) {
  const auto seen = connects([] {
    Socket(AF_INET6, SOCK_STREAM).connect(address("::1", 61));
    return 0;
  });
  ASSERT_EQ(seen.size(), 1u);
  expect(seen[0], "::1", 61, AF_INET6, IPPROTO_TCP, SOCK_STREAM, 0);
}

TEST_F(NetworkHooks, MappedAddressKeepsItsForm) {
  const auto seen = connects([] {
    Socket(AF_INET6, SOCK_STREAM).connect(address("::ffff:127.0.0.1", 61));
    return 0;
  });
  ASSERT_EQ(seen.size(), 1u);
  expect(seen[0], "::ffff:127.0.0.1", 61, AF_INET6, IPPROTO_TCP, SOCK_STREAM, 0);
}

TEST_F(NetworkHooks, UdpConnectAndThenSend) {
  const auto seen = connects([] {
    const Socket socket(AF_INET, SOCK_DGRAM);
    if (socket.connect(address("127.0.0.1", 7001)) != 0) return 1;
    for (int i = 0; i < 3; ++i) socket.send();
    return 0;
  });
  ASSERT_EQ(seen.size(), 1u) << "data on a connected socket is not a new destination";
  expect(seen[0], "127.0.0.1", 7001, AF_INET, IPPROTO_UDP, SOCK_DGRAM, 0);
}

TEST_F(NetworkHooks, PortZeroOfTcpAndUdpIsNotReported) {
  // getaddrinfo does this to sort addresses.
  const auto seen = connects([] {
    Socket(AF_INET, SOCK_DGRAM).connect(address("127.0.0.1", 0));
    Socket(AF_INET6, SOCK_DGRAM).connect(address("::1", 0));
    Socket(AF_INET, SOCK_STREAM).connect(address("127.0.0.1", 0));
    Socket(AF_INET, SOCK_DGRAM).connect(address("127.0.0.1", 1));
    return 0;
  });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].remote_port, 1);
}

TEST_F(NetworkHooks, SendmsgOfEachFamily) {
  const auto seen = connects([] {
    Socket(AF_INET, SOCK_DGRAM).send_to(address("127.0.0.1", 7002));
    Socket(AF_INET6, SOCK_DGRAM).send_to(address("::1", 7003));
    return 0;
  });
  ASSERT_EQ(seen.size(), 2u);
  expect(seen[0], "127.0.0.1", 7002, AF_INET, IPPROTO_UDP, SOCK_DGRAM, CICD_CONNECT_SENDMSG);
  expect(seen[1], "::1", 7003, AF_INET6, IPPROTO_UDP, SOCK_DGRAM, CICD_CONNECT_SENDMSG);
}

TEST_F(NetworkHooks, RepeatedDatagramsAreCountedNotReported) {
  const std::uint64_t before = source().losses(kSlot)->repeated_sendmsg;
  const auto seen = connects([] {
    const Socket socket(AF_INET, SOCK_DGRAM);
    const Address a = address("127.0.0.1", 7004);
    const Address b = address("127.0.0.1", 7005);
    for (int i = 0; i < 100; ++i) socket.send_to(a);
    socket.send_to(b);
    socket.send_to(a);
    return 0;
  });
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].remote_port, 7004);
  EXPECT_EQ(seen[1].remote_port, 7005);
  EXPECT_EQ(seen[2].remote_port, 7004);
  const Result<LossReport> losses = source().losses(kSlot);
  ASSERT_TRUE(losses);
  EXPECT_EQ(losses->repeated_sendmsg - before, 99u);
  EXPECT_EQ(without_recursion(*losses).total(), 0u) << "a repeat is no loss";
}

TEST_F(NetworkHooks, ASocketPassedOnIsReportedForItsNewUser) {
  // Made and used outside the job, inherited by the job's process.
  const Socket socket(AF_INET, SOCK_DGRAM);
  socket.send_to(address("127.0.0.1", 7006));
  const Samples samples = observe_inside([&] {
    socket.send_to(address("127.0.0.1", 7006));
    return 0;
  });
  EXPECT_EQ(samples.fixed<cicd_sample_connect>(CICD_SAMPLE_CONNECT, finished().pid).size(), 1u);
}

}  // namespace

}  // namespace cicd::test
