// SPDX-License-Identifier: Apache-2.0
// Ways to a destination past the usual connect: each meets the same policy.
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <poll.h>

#include "egress_support.h"
#include "uring.h"

namespace cicd::test {

namespace {

TEST_F(Egress, RawSocketsMeetTheBackstop) {
  enforce();
  EXPECT_EQ(act([] { return ping(LoopNet::kFar4); }), EPERM);
  expect_told(CICD_REASON_RAW_SOCKET, CICD_EGRESS_PACKET);
  put(LoopNet::kFar4, rules({allow(0, 65535, IPPROTO_ICMP)}));
  EXPECT_EQ(act([] { return ping(LoopNet::kFar4); }), 0);
}

// A header of the sender's own making, to a port that is allowed to TCP sockets.
TEST_F(Egress, AHandMadePacketIsJudgedByItsHeader) {
  put(LoopNet::kFar4, rules({allow(443, 443, IPPROTO_UDP)}));
  enforce();
  const auto send = [](std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    struct {
      iphdr ip;
      std::uint16_t udp[4];
    } packet{};
    packet.ip.version = 4;
    packet.ip.ihl = 5;
    packet.ip.protocol = IPPROTO_UDP;
    packet.ip.ttl = 64;
    const Address to = address(LoopNet::kFar4, 0);
    packet.ip.daddr = to.v4.sin_addr.s_addr;
    packet.udp[1] = htons(port);
    packet.udp[2] = htons(8);
    const ssize_t sent = ::sendto(fd, &packet, sizeof(packet), 0, &to.any, size_of(to));
    const int error = sent > 0 ? 0 : errno;
    ::close(fd);
    return error;
  };
  EXPECT_EQ(act([&] { return send(443); }), 0);
  EXPECT_EQ(act([&] { return send(80); }), EPERM);
  expect_told(CICD_REASON_RAW_SOCKET, CICD_EGRESS_PACKET);
}

TEST_F(Egress, FastOpenIsAConnect) {
  enforce();
  const int error = act([] {
    const Address to = address(LoopNet::kFar4, 80);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return ::sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &to.any, size_of(to)) > 0 ? 0 : errno;
  });
  EXPECT_EQ(error, EPERM);
  expect_told(CICD_REASON_DIRECT_IP, CICD_EGRESS_CONNECT);
}

TEST_F(Egress, AConnectedDatagramSocketMaySendNowhereElse) {
  const int server = net_.serve(SOCK_DGRAM, 443);
  put(LoopNet::kFar4, rules({allow(443, 443)}));
  enforce();
  const int error = act([] {
    const Address allowed = address(LoopNet::kFar4, 443);
    const Address denied = address(LoopNet::kOther4, 443);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, &allowed.any, size_of(allowed)) != 0) return 1;
    if (::send(fd, "a", 1, 0) != 1) return 2;
    if (::sendto(fd, "b", 1, 0, &denied.any, size_of(denied)) != -1) return 3;
    return ::send(fd, "c", 1, 0) == 1 ? errno : 4;
  });
  EXPECT_EQ(error, EPERM);
  EXPECT_EQ(LoopNet::received(server), 2);
  ::close(server);
}

// The C library connects datagram sockets to sort addresses: only what is sent is judged.
TEST_F(Egress, AConnectedDatagramSocketIsDeniedWhenItSends) {
  enforce();
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 443, SOCK_DGRAM); }), 0);
  EXPECT_TRUE(told().empty());
  const int error = act([] {
    const Address to = address(LoopNet::kFar4, 443);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, &to.any, size_of(to)) != 0) return 1;
    return ::send(fd, "x", 1, 0) == 1 ? 0 : errno;
  });
  EXPECT_EQ(error, EPERM);
  expect_told(CICD_REASON_DIRECT_IP, CICD_EGRESS_PACKET);
}

// What looks for a neighbour passes when the kernel itself does; not from a job's socket, whether
// it has a note (made under the policy) or none (made before).
TEST_F(Egress, NeighbourDiscoveryOfAJobsSocketsIsJudged) {
  const auto solicit = [](int raw) {
    nd_neighbor_solicit message{};
    message.nd_ns_type = ND_NEIGHBOR_SOLICIT;
    const Address to = address(LoopNet::kFar6, 0);
    return ::sendto(raw, &message, sizeof(message), 0, &to.any, size_of(to)) > 0 ? 0 : errno;
  };
  const auto make = [] { return ::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6); };
  int ready[2];
  int go[2];
  ASSERT_EQ(::pipe(ready) + ::pipe(go), 0);
  const pid_t child = start(&job(), [&] {
    if (!net_.enter()) return 255;
    const int raw = make();
    char byte = 'r';
    if (::write(ready[1], &byte, 1) != 1 || ::read(go[0], &byte, 1) != 1) return 254;
    return solicit(raw);
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  enforce();
  ASSERT_EQ(::write(go[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), EPERM);
  EXPECT_EQ(act([&] { return solicit(make()); }), EPERM);
  ASSERT_EQ(told().size(), 2u);
  for (const cicd_sample_egress& each : told()) EXPECT_EQ(each.reason, CICD_REASON_RAW_SOCKET);
  for (const int each : {ready[0], ready[1], go[0], go[1]}) ::close(each);
}

TEST_F(Egress, SocketsFromBeforeTheJobAreTheJobs) {
  const int server = net_.serve(SOCK_DGRAM, 443);
  enforce();
  int ready[2];
  int go[2];
  ASSERT_EQ(::pipe(ready) + ::pipe(go), 0);
  // Outside of the job: makes sockets, then is moved in.
  const pid_t child = start(nullptr, [&] {
    if (!net_.enter()) return 255;
    const int raw = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    const int peered = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const Address far = address(LoopNet::kFar4, 443);
    if (::connect(peered, &far.any, size_of(far)) != 0) return 1;
    char byte = 'r';
    if (::write(ready[1], &byte, 1) != 1 || ::read(go[0], &byte, 1) != 1) return 2;
    icmphdr echo{};
    echo.type = ICMP_ECHO;
    const Address to = address(LoopNet::kFar4, 0);
    if (::sendto(raw, &echo, sizeof(echo), 0, &to.any, size_of(to)) > 0) return 3;
    if (errno != EPERM) return 4;
    return ::send(peered, "x", 1, 0) == 1 ? 0 : 5;
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const std::string procs = job().path() + "/cgroup.procs";
  const int fd = ::open(procs.c_str(), O_WRONLY | O_CLOEXEC);
  const std::string pid = std::to_string(child);
  ASSERT_EQ(::write(fd, pid.data(), pid.size()), static_cast<ssize_t>(pid.size()));
  ::close(fd);
  const std::uint32_t pids[] = {static_cast<std::uint32_t>(child)};
  EXPECT_GE(control_->note_sockets(kSlot, pids), 2u);
  ASSERT_EQ(::write(go[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(LoopNet::received(server), 1) << "a connected one keeps its peer";
  for (const int each : {ready[0], ready[1], go[0], go[1], server}) ::close(each);
}

// Through io_uring, by the process itself and by the kernel's own thread for it.
TEST_F(Egress, IoUringMeetsThePolicy) {
  const int server = net_.serve(SOCK_STREAM, 443);
  put(LoopNet::kFar4, rules({allow(443, 443)}));
  enforce();
  for (const unsigned flags : {0u, unsigned{IORING_SETUP_SQPOLL}}) {
    const auto connects = [flags](std::uint16_t port) {
      Ring ring(flags);
      if (!ring.ok()) return 253;
      if (!ring.knows({IORING_OP_CONNECT})) return 252;
      const Address to = address(LoopNet::kFar4, port);
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      return -ring.run(request(IORING_OP_CONNECT, fd, &to, 0, size_of(to)));
    };
    const int allowed = act([&] { return connects(443); });
    if (allowed >= 252) GTEST_SKIP() << "not in this kernel: io_uring";
    EXPECT_EQ(allowed, 0) << flags;
    EXPECT_EQ(act([&] { return connects(80); }), EPERM) << flags;
    ASSERT_EQ(told().size(), 1u) << flags;
    EXPECT_EQ(told()[0].reason, CICD_REASON_PORT);
  }
  ::close(server);
}

TEST_F(Egress, IoUringSendsNothingThatIsDenied) {
  const int server = net_.serve(SOCK_DGRAM, 443);
  enforce();
  const int error = act([] {
    Ring ring;
    if (!ring.ok() || !ring.knows({IORING_OP_SENDMSG})) return 253;
    Address to = address(LoopNet::kFar4, 443);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[] = "x";
    iovec vector{text, 1};
    msghdr message{};
    message.msg_name = &to;
    message.msg_namelen = size_of(to);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    return -ring.run(request(IORING_OP_SENDMSG, fd, &message, 1));
  });
  if (error == 253) GTEST_SKIP() << "not in this kernel: io_uring";
  EXPECT_EQ(error, EPERM);
  EXPECT_EQ(LoopNet::received(server), 0);
  ::close(server);
}

}  // namespace

}  // namespace cicd::test
