// SPDX-License-Identifier: Apache-2.0
// Acts that are told once: one that found no room in the ring has not been told, so the next one of
// its kind is.
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "support.h"
#include "uring.h"
#include "victim.h"
#include "wire/decode.h"

namespace cicd::test {

namespace {

constexpr std::uint32_t kSmallSlot = 3;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  out.sin_port = htons(port);
  return out;
}

class FullRing : public HookTest {
 protected:
  void SetUp() override {
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_EQ(::pipe2(full_, O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(go_on_, O_CLOEXEC), 0);
    LiveOptions options;
    options.control_ring_bytes = 4096;
    if (const char* forced = std::getenv("CICD_TEST_BACKEND")) options.backend_kind = forced;
    auto small = LiveSource::open(options);
    ASSERT_TRUE(small) << small.error().text;
    small_ = std::move(*small);
    ASSERT_TRUE(small_->track_cgroup(job().id(), kSmallSlot));
    ASSERT_TRUE(small_->start_job_hooks());
  }
  void TearDown() override {
    small_.reset();
    for (const int end : {full_[0], full_[1], go_on_[0], go_on_[1]}) ::close(end);
    HookTest::TearDown();
  }

  struct Told {
    Samples while_full, afterwards;  // of the child
    LossReport losses_while_full, losses;
  };
  static std::uint64_t lost(const LossReport& losses, cicd_sample_type type) {
    for (const LossEntry& entry : losses.entries) {
      if (entry.what == name_of_sample_type(type) && entry.reason == "ring_full") {
        return entry.count;
      }
    }
    return 0;
  }
  // Does the act, which succeeds with 0, twice while the ring is full and three times when it has
  // been read.
  Told told(const Act& act) {
    const pid_t child = start(&job(), [&] { return do_both(act); });
    Told out;
    char byte = 0;
    EXPECT_EQ(::read(full_[0], &byte, 1), 1);
    out.while_full = read_ring(child);
    out.losses_while_full = small_->losses(kSmallSlot).value_or(LossReport());
    EXPECT_EQ(::write(go_on_[1], "g", 1), 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "exit " << WEXITSTATUS(status);
    out.afterwards = read_ring(child);
    out.losses = small_->losses(kSmallSlot).value_or(LossReport());
    return out;
  }
  void expect_told_afterwards(cicd_sample_type type, const Act& act) {
    const Told seen = told(act);
    EXPECT_EQ(seen.while_full.of(type).size(), 0u) << "there was room after all";
    EXPECT_EQ(lost(seen.losses_while_full, type), 2u);
    EXPECT_EQ(seen.afterwards.of(type).size(), 1u);
    EXPECT_EQ(seen.losses.repeated_acts, 2u);
    EXPECT_EQ(lost(seen.losses, type), 2u);
  }

 private:
  static bool succeeds(const Act& act, int times) {
    for (; times > 0; --times) {
      if (act() != 0) return false;
    }
    return true;
  }
  int do_both(const Act& act) const {
    // Connections find room a little longer than acts do.
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (std::uint16_t port = 1; port <= 300; ++port) {
      const sockaddr_in to = loopback(port);
      if (::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) return 1;
    }
    if (!succeeds(act, 2)) return 2;
    char byte = 'f';
    if (::write(full_[1], &byte, 1) != 1 || ::read(go_on_[0], &byte, 1) != 1) return 3;
    return succeeds(act, 3) ? 0 : 4;
  }
  Samples read_ring(pid_t child) {
    Samples samples;
    const auto polled = small_->poll(std::chrono::milliseconds(0), [&](SampleBytes bytes) {
      cicd_sample_header header{};
      std::memcpy(&header, bytes.data(), sizeof(header));
      if (header.pid == static_cast<std::uint32_t>(child)) samples.add(bytes);
    });
    EXPECT_TRUE(polled);
    small_->commit();
    return samples;
  }

  std::unique_ptr<LiveSource> small_;
  int full_[2] = {-1, -1}, go_on_[2] = {-1, -1};
};

TEST_F(FullRing, OneProcessReadsAnother) {
  const Victim victim;
  static char byte_to_read = 'm';
  expect_told_afterwards(CICD_SAMPLE_MEMORY, [&] {
    char byte = 0;
    iovec local{&byte, 1};
    iovec remote{&byte_to_read, 1};
    return ::process_vm_readv(victim.pid(), &local, 1, &remote, 1, 0) == 1 ? 0 : 1;
  });
}

TEST_F(FullRing, SendThroughIoUring) {
  // Made in the child, where the first act is.
  auto ring = std::make_shared<std::unique_ptr<Ring>>();
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  expect_told_afterwards(CICD_SAMPLE_IO_URING, [&] {
    if (!*ring) *ring = std::make_unique<Ring>();
    if (!(*ring)->ok()) return 1;
    return (*ring)->run(request(IORING_OP_SEND, pair[0], "x", 1)) == 1 ? 0 : 1;
  });
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_F(FullRing, PacketSocket) {
  expect_told_afterwards(CICD_SAMPLE_SOCKET, [] {
    return ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)) >= 0 ? 0 : 1;
  });
}

TEST_F(FullRing, UseOfBpf) {
  expect_told_afterwards(CICD_SAMPLE_BPF, [] {
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_TRACEPOINT;
    return ::syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)) < 0 ? 0 : 1;
  });
}

TEST_F(FullRing, Datagram) {
  const Told seen = told([socket = -1]() mutable {
    if (socket < 0) socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const sockaddr_in to = loopback(9);
    return ::sendto(socket, "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0;
  });
  const auto datagrams = [](const Samples& samples) {
    return std::ranges::count_if(
        samples.fixed<cicd_sample_connect>(CICD_SAMPLE_CONNECT),
        [](const auto& sample) { return (sample.header.flags & CICD_CONNECT_SENDMSG) != 0; });
  };
  EXPECT_EQ(datagrams(seen.while_full), 0) << "there was room after all";
  EXPECT_EQ(seen.losses_while_full.repeated_sendmsg, 0u);
  EXPECT_EQ(datagrams(seen.afterwards), 1);
  EXPECT_EQ(seen.losses.repeated_sendmsg, 2u);
}

TEST_F(FullRing, DatagramToAUnixSocket) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  (scratch() + "/socket").copy(to.sun_path, sizeof(to.sun_path) - 1);
  const auto* address = reinterpret_cast<const sockaddr*>(&to);
  const int receiver = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::bind(receiver, address, sizeof(to)), 0);
  const Told seen = told([socket = -1, address]() mutable {
    if (socket < 0) socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return ::sendto(socket, "x", 1, 0, address, sizeof(sockaddr_un)) < 0;
  });
  ::close(receiver);
  EXPECT_EQ(seen.while_full.unix_connects().size(), 0u) << "there was room after all";
  EXPECT_EQ(lost(seen.losses_while_full, CICD_SAMPLE_UNIX_CONNECT), 2u);
  EXPECT_EQ(seen.afterwards.unix_connects().size(), 1u);
  EXPECT_EQ(seen.losses.repeated_sendmsg, 2u);
}

}  // namespace

}  // namespace cicd::test
