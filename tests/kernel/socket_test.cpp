// SPDX-License-Identifier: Apache-2.0
// Sockets that no hook of a job's network sees, or that make headers of their own.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tuple>

#include "support.h"
#include "this_kernel.h"
#include "uring.h"

namespace cicd::test {

namespace {

constexpr int kVsock = 40;
constexpr int kXdp = 44;

class SocketHooks : public HookTest {
 protected:
  std::vector<cicd_sample_socket> made(const Act& act) {
    auto out = observe(act).fixed<cicd_sample_socket>(CICD_SAMPLE_SOCKET, finished().pid);
    EXPECT_EQ(finished().status, 0);
    return out;
  }
};

std::tuple<int, int, int, int> kind(const cicd_sample_socket& socket) {
  return {socket.family, socket.type, socket.protocol, socket.error};
}

TEST_F(SocketHooks, PacketSocketWithItsEtherType) {
  const auto seen = made([] {
    return ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)) >= 0 ? 0
                                                                                               : 1;
  });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(kind(seen[0]), std::tuple(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL), 0));
}

TEST_F(SocketHooks, TheOldFormOfAPacketSocketIsOne) {
  const auto seen =
      made([] { return ::socket(AF_INET, SOCK_PACKET, htons(ETH_P_IP)) >= 0 ? 0 : 1; });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(kind(seen[0]), std::tuple(AF_PACKET, SOCK_PACKET, htons(ETH_P_IP), 0));
}

TEST_F(SocketHooks, RawAndPingSockets) {
  const auto seen = made([] {
    const bool all = ::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 &&
                     ::socket(AF_INET6, SOCK_RAW, IPPROTO_RAW) >= 0;
    ::socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);  // not everywhere allowed
    return all ? 0 : 1;
  });
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(kind(seen[0]), std::tuple(AF_INET, SOCK_RAW, IPPROTO_ICMP, 0));
  EXPECT_EQ(kind(seen[1]), std::tuple(AF_INET6, SOCK_RAW, IPPROTO_RAW, 0));
  EXPECT_EQ(seen[2].type, static_cast<unsigned>(SOCK_DGRAM));
  EXPECT_EQ(seen[2].protocol, static_cast<unsigned>(IPPROTO_ICMP));
}

// Not every kernel has them: then it is a failed attempt.
TEST_F(SocketHooks, VsockAndXdpAlsoWhenTheyFail) {
  int errors[2];
  const auto error_of = [](int family, int type) {
    const int fd = ::socket(family, type | SOCK_CLOEXEC, 0);
    const int error = fd < 0 ? errno : 0;
    if (fd >= 0) ::close(fd);
    return error;
  };
  errors[0] = error_of(kVsock, SOCK_STREAM);
  errors[1] = error_of(kXdp, SOCK_RAW);
  const auto seen = made([&] {
    return error_of(kVsock, SOCK_STREAM) == errors[0] && error_of(kXdp, SOCK_RAW) == errors[1] ? 0
                                                                                               : 1;
  });
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(kind(seen[0]), std::tuple(kVsock, SOCK_STREAM, 0, errors[0]));
  EXPECT_EQ(kind(seen[1]), std::tuple(kXdp, SOCK_RAW, 0, errors[1]));
}

TEST_F(SocketHooks, RefusedWithoutTheCapability) {
  const auto seen = made([] {
    if (::setresuid(65534, 65534, 65534) != 0) return 1;
    return ::socket(AF_PACKET, SOCK_DGRAM, 0) < 0 && errno == EPERM ? 0 : 2;
  });
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(kind(seen[0]), std::tuple(AF_PACKET, SOCK_DGRAM, 0, EPERM));
}

TEST_F(SocketHooks, OrdinarySocketsAreNotTold) {
  const auto seen = made([] {
    const bool all = ::socket(AF_INET, SOCK_STREAM, 0) >= 0 &&
                     ::socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) >= 0 &&
                     ::socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP) >= 0 &&
                     ::socket(AF_UNIX, SOCK_SEQPACKET, 0) >= 0 &&
                     ::socket(AF_NETLINK, SOCK_RAW, 0) >= 0;
    return all ? 0 : 1;
  });
  EXPECT_TRUE(seen.empty());
}

TEST_F(SocketHooks, TheSameIsToldOnceForAProgram) {
  const auto seen = made([] {
    for (int i = 0; i < 50; ++i) ::close(::socket(AF_PACKET, SOCK_RAW, 0));
    return 0;
  });
  ASSERT_EQ(seen.size(), 1u);
}

TEST_F(SocketHooks, ByIoUring) {
  if (Ring probe; !probe.ok() || !probe.knows({IORING_OP_SOCKET})) {
    GTEST_SKIP() << kNotInThisKernel << "sockets made by io_uring";
  }
  const auto samples = observe([] {
    Ring ring;
    io_uring_sqe entry{};
    entry.opcode = IORING_OP_SOCKET;
    entry.fd = AF_PACKET;
    entry.off = SOCK_RAW;
    entry.len = 0;
    return ring.run(entry) >= 0 ? 0 : 1;
  });
  EXPECT_EQ(finished().status, 0);
  const auto operations = samples.fixed<cicd_sample_io_uring>(CICD_SAMPLE_IO_URING, finished().pid);
  ASSERT_EQ(operations.size(), 1u);
  EXPECT_EQ(operations[0].opcode, static_cast<unsigned>(IORING_OP_SOCKET));
  const auto seen = samples.fixed<cicd_sample_socket>(CICD_SAMPLE_SOCKET, finished().pid);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(kind(seen[0]), std::tuple(AF_PACKET, SOCK_RAW, 0, 0));
}

TEST_F(SocketHooks, TheTypeIsServed) {
  for (const Coverage& coverage : source().coverage()) {
    if (coverage.type == EventType::kSocketCreate) {
      EXPECT_TRUE(coverage.available) << coverage.reason;
      return;
    }
  }
  FAIL() << "not in the list";
}

}  // namespace

}  // namespace cicd::test
