// SPDX-License-Identifier: Apache-2.0
// DNS packets of a job: real sockets to a real server in a namespace of its own, the exact samples.
// The server reverses a message to answer it: what is in the packets is not the kernel side's
// matter.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "name_server.h"
#include "support.h"
#include "this_kernel.h"

namespace cicd::test {

namespace {

using Message = NameServer::Message;

Message text(std::string_view words) { return {words.begin(), words.end()}; }

struct SeenDns {
  cicd_sample_dns fixed;
  SeenString payload;
  bool is_answer() const { return (fixed.header.flags & CICD_DNS_INGRESS) != 0; }
};

// A client's socket to the server, of the calling act.
class Client {
 public:
  Client(int family, int type) : family_(family), fd_(::socket(family, type | SOCK_CLOEXEC, 0)) {
    const timeval patience{2, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    v4_.sin_family = AF_INET;
    v4_.sin_port = htons(53);
    v4_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6_.sin6_family = AF_INET6;
    v6_.sin6_port = htons(53);
    v6_.sin6_addr = in6addr_loopback;
  }
  explicit Client(int fd) : family_(AF_INET), fd_(fd) {}
  ~Client() { ::close(fd_); }

  int fd() const { return fd_; }
  bool connect(std::uint16_t port = 53) {
    v4_.sin_port = v6_.sin6_port = htons(port);
    return ::connect(fd_, address(), size()) == 0;
  }
  bool send(const Message& message) const {
    return ::send(fd_, message.data(), message.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(message.size());
  }
  bool send_to(const Message& message) const {
    return ::sendto(fd_, message.data(), message.size(), 0, address(), size()) ==
           static_cast<ssize_t>(message.size());
  }
  // Waits for as many bytes.
  bool receive(std::size_t bytes) const {
    Message buffer(70'000);
    while (bytes > 0) {
      const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (got <= 0) return false;
      bytes -= std::min(bytes, static_cast<std::size_t>(got));
    }
    return true;
  }

 private:
  const sockaddr* address() const {
    return family_ == AF_INET ? reinterpret_cast<const sockaddr*>(&v4_)
                              : reinterpret_cast<const sockaddr*>(&v6_);
  }
  socklen_t size() const { return family_ == AF_INET ? sizeof(v4_) : sizeof(v6_); }

  int family_;
  int fd_;
  sockaddr_in v4_{};
  sockaddr_in6 v6_{};
};

class DnsHooks : public HookTest {
 protected:
  void SetUp() override {
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    server_ = std::make_unique<NameServer>([](Message query, bool) {
      std::ranges::reverse(query);
      return query == text("tnelis") ? Message{} : query;
    });
    ASSERT_TRUE(server_->is_up());
  }
  void TearDown() override {
    server_.reset();
    HookTest::TearDown();
  }

  // Inside and outside; the act runs in the server's namespace.
  std::vector<SeenDns> dns(const Act& act) { return of(observe(in_namespace(act))); }
  Act in_namespace(const Act& act) const {
    return [this, act] { return server_->enter() ? act() : 99; };
  }
  std::vector<SeenDns> of(const Samples& samples) {
    EXPECT_EQ(finished().status, 0) << "the act itself";
    using T = cicd_sample_dns;
    std::vector<SeenDns> out;
    for (const Seen& seen : samples.of(CICD_SAMPLE_DNS)) {
      out.push_back({seen.fixed<T>(), seen.strings<T>({&T::payload})[0]});
    }
    return out;
  }
  void expect(const SeenDns& seen, bool is_answer, int family, int protocol,
              std::string_view payload) {
    EXPECT_EQ(seen.is_answer(), is_answer);
    EXPECT_EQ(seen.fixed.header.flags & CICD_DNS_UNKNOWN_OWNER, 0);
    EXPECT_EQ(seen.fixed.header.pid, static_cast<std::uint32_t>(finished().pid));
    EXPECT_EQ(seen.fixed.header.tid, seen.fixed.header.pid);
    EXPECT_NE(seen.fixed.header.start_time_ns, 0u);
    EXPECT_EQ(seen.fixed.header.cgroup_id, job().id());
    EXPECT_EQ(seen.fixed.remote_port, 53);
    EXPECT_NE(seen.fixed.local_port, 0);
    EXPECT_NE(seen.fixed.socket_cookie, 0u);
    EXPECT_EQ(seen.fixed.family, family);
    EXPECT_EQ(seen.fixed.protocol, protocol);
    EXPECT_EQ(seen.payload.bytes, payload);
    EXPECT_EQ(seen.fixed.payload_bytes, payload.size());
    EXPECT_EQ(seen.payload.flags, 0u);
    char ip[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(family, seen.fixed.remote_ip, ip, sizeof(ip));
    EXPECT_STREQ(ip, family == AF_INET ? "127.0.0.1" : "::1");
  }

  std::unique_ptr<NameServer> server_;
};

TEST_F(DnsHooks, UdpOfEachFamilyConnectedOrNot) {
  for (const int family : {AF_INET, AF_INET6}) {
    for (const bool is_connected : {true, false}) {
      const auto seen = dns([=] {
        Client client(family, SOCK_DGRAM);
        if (is_connected && !client.connect()) return 1;
        const Message query = text("question");
        if (!(is_connected ? client.send(query) : client.send_to(query))) return 2;
        return client.receive(8) ? 0 : 3;
      });
      ASSERT_EQ(seen.size(), 2u);
      expect(seen[0], false, family, IPPROTO_UDP, "question");
      expect(seen[1], true, family, IPPROTO_UDP, "noitseuq");
      EXPECT_EQ(seen[0].fixed.socket_cookie, seen[1].fixed.socket_cookie);
      EXPECT_EQ(seen[0].fixed.tcp_sequence, 0u);
    }
  }
}

TEST_F(DnsHooks, TcpOfEachFamily) {
  for (const int family : {AF_INET, AF_INET6}) {
    const auto seen = dns([=] {
      Client client(family, SOCK_STREAM);
      if (!client.connect()) return 1;
      if (!client.send({0, 3, 'a', 'b', 'c', 0, 2, 'd'})) return 2;
      if (!client.receive(5) || !client.send(text("e"))) return 3;
      return client.receive(4) ? 0 : 4;
    });
    std::string sent;
    std::string received;
    std::uint32_t next = 0;
    for (const SeenDns& each : seen) {
      if (each.is_answer()) {
        received += each.payload.bytes;
      } else {
        if (!sent.empty()) {
          EXPECT_EQ(each.fixed.tcp_sequence, next);
        }
        next = each.fixed.tcp_sequence + each.fixed.payload_bytes;
        sent += each.payload.bytes;
      }
      expect(each, each.is_answer(), family, IPPROTO_TCP, each.payload.bytes);
    }
    EXPECT_EQ(sent, std::string("\0\3abc\0\2de", 9));
    EXPECT_EQ(received, std::string("\0\3cba\0\2ed", 9));
  }
}

TEST_F(DnsHooks, LongPayloadsAreCutAndSaySo) {
  const auto seen = dns([] {
    Client client(AF_INET, SOCK_DGRAM);
    return client.send_to(Message(20'000, 'x')) && client.send_to(Message(4'096, 'y')) &&
                   client.send_to(Message(1, 'z')) && client.receive(24'097)
               ? 0
               : 1;
  });
  ASSERT_EQ(seen.size(), 6u);
  int cut = 0;
  for (const SeenDns& each : seen) {
    if (each.fixed.payload_bytes <= CICD_DNS_PAYLOAD_MAX) {
      EXPECT_EQ(each.payload.flags, 0u);
      EXPECT_EQ(each.payload.bytes.size(), each.fixed.payload_bytes);
      continue;
    }
    ++cut;
    EXPECT_EQ(each.fixed.payload_bytes, 20'000u);
    EXPECT_EQ(each.payload.flags, static_cast<std::uint32_t>(CICD_STRING_TRUNCATED));
    EXPECT_EQ(each.payload.bytes, std::string(CICD_DNS_PAYLOAD_MAX, 'x'));
  }
  EXPECT_EQ(cut, 2);
}

TEST_F(DnsHooks, OtherPortsAndEmptyDatagramsAreNothing) {
  const auto seen = dns([] {
    Client client(AF_INET, SOCK_DGRAM);
    if (!client.send_to({}) || !client.connect(5353)) return 1;
    client.send(text("elsewhere"));
    Client stream(AF_INET, SOCK_STREAM);
    return stream.connect(54) ? 2 : 0;
  });
  EXPECT_TRUE(seen.empty());
}

TEST_F(DnsHooks, AnAnswerThatNeverComes) {
  const auto seen = dns([] { return Client(AF_INET, SOCK_DGRAM).send_to(text("silent")) ? 0 : 1; });
  ASSERT_EQ(seen.size(), 1u);
  expect(seen[0], false, AF_INET, IPPROTO_UDP, "silent");
}

TEST_F(DnsHooks, SeveralDatagramsInOneSend) {
  const auto seen = dns([] {
    Client client(AF_INET, SOCK_DGRAM);
    const int size = 4;
    if (!client.connect()) return 1;
    if (::setsockopt(client.fd(), SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) != 0) return 2;
    return client.send(text("onetwothree ")) && client.receive(12) ? 0 : 3;
  });
  ASSERT_GE(seen.size(), 2u);
  expect(seen[0], false, AF_INET, IPPROTO_UDP, "onetwothree ");
  EXPECT_EQ(seen[0].fixed.tcp_sequence, 4u);
  std::string answers;
  for (const SeenDns& each : seen) {
    if (each.is_answer()) answers += each.payload.bytes;
  }
  EXPECT_EQ(answers, "tenohtow eer") << "three datagrams, each turned round";
}

TEST_F(DnsHooks, AConnectedSocketThatAsksSomebodyElse) {
  const auto seen = dns([] {
    Client client(AF_INET, SOCK_DGRAM);
    if (!client.connect(5353)) return 1;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(53);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* address = reinterpret_cast<const sockaddr*>(&to);
    return ::sendto(client.fd(), "silent", 6, 0, address, sizeof(to)) == 6 ? 0 : 2;
  });
  ASSERT_EQ(seen.size(), 1u);
  expect(seen[0], false, AF_INET, IPPROTO_UDP, "silent");
}

TEST_F(DnsHooks, TheOneWhoSendsIsTheOwner) {
  // The socket is the parent's; the child asks.
  const auto seen = of(observe_inside(in_namespace([&] {
    Client client(AF_INET, SOCK_DGRAM);
    if (!client.connect() || !client.send(text("mine")) || !client.receive(4)) return 1;
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(client.send(text("its")) && client.receive(3) ? 0 : 1);
    int status = 0;
    ::waitpid(pid, &status, 0);
    return status;
  })));
  ASSERT_EQ(seen.size(), 4u);
  const std::uint32_t parent = static_cast<std::uint32_t>(finished().pid);
  EXPECT_EQ(seen[0].fixed.header.pid, parent);
  EXPECT_EQ(seen[1].fixed.header.pid, parent);
  EXPECT_NE(seen[2].fixed.header.pid, parent);
  EXPECT_NE(seen[2].fixed.header.pid, 0u);
  EXPECT_EQ(seen[3].fixed.header.pid, seen[2].fixed.header.pid);
}

TEST_F(DnsHooks, ASocketFromOutsideBelongsToWhoUsesIt) {
  int fd = -1;
  std::thread([&] {  // only this thread enters the namespace
    if (server_->enter()) fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  })
      .join();
  ASSERT_GE(fd, 0);
  const auto seen = of(observe_inside([&] {
    Client client(fd);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(53);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* address = reinterpret_cast<const sockaddr*>(&to);
    if (::sendto(client.fd(), "abc", 3, 0, address, sizeof(to)) != 3) return 1;
    return client.receive(3) ? 0 : 2;
  }));
  ::close(fd);
  ASSERT_EQ(seen.size(), 2u);
  expect(seen[0], false, AF_INET, IPPROTO_UDP, "abc");
  expect(seen[1], true, AF_INET, IPPROTO_UDP, "cba");
}

TEST_F(DnsHooks, ManyAtOnceAreAllThere) {
  constexpr int kQueries = 2'000;
  const auto seen = dns([] {
    Client client(AF_INET, SOCK_DGRAM);
    if (!client.connect()) return 1;
    for (int i = 0; i < kQueries; ++i) {
      if (!client.send(text("query " + std::to_string(i))) || !client.receive(1)) return 2;
    }
    return 0;
  });
  EXPECT_EQ(seen.size(), 2u * kQueries);
  const Result<LossReport> losses = source().losses(kSlot);
  ASSERT_TRUE(losses);
  EXPECT_EQ(without_recursion(*losses).total(), 0u);
}

}  // namespace

}  // namespace cicd::test
