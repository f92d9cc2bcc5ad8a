// SPDX-License-Identifier: Apache-2.0
// What a job may reach: real sockets in a network namespace of the test, verdicts of the kernel,
// and servers that tell what got through.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "egress_support.h"

namespace cicd::test {

namespace {

TEST_F(Egress, WithoutAPolicyEverythingGoes) {
  const int server = net_.serve(SOCK_STREAM, 80);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 80); }), 0);
  EXPECT_TRUE(told().empty());
  ::close(server);
}

TEST_F(Egress, AConnectToAnUnknownAddressIsDenied) {
  const int server = net_.serve(SOCK_STREAM, 80);
  enforce();
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 80); }), EPERM);
  expect_told(CICD_REASON_DIRECT_IP, CICD_EGRESS_CONNECT);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar6, 80); }), EPERM);
  expect_told(CICD_REASON_DIRECT_IP, CICD_EGRESS_CONNECT);
  EXPECT_EQ(act([] { return connect_to("::ffff:203.0.113.10", 80); }), EPERM);
  expect_told(CICD_REASON_DIRECT_IP, CICD_EGRESS_CONNECT);
  EXPECT_EQ(::accept4(server, nullptr, nullptr, SOCK_NONBLOCK), -1);
  EXPECT_EQ(control_->totals(kSlot).denied[CICD_REASON_DIRECT_IP], 3u);
  ::close(server);
}

TEST_F(Egress, AnAllowedAddressIsAllowedForItsPortsOnly) {
  const int server = net_.serve(SOCK_STREAM, 443);
  put(LoopNet::kFar4, rules({allow(443, 444, IPPROTO_TCP)}));
  put(LoopNet::kFar6, rules({allow(443, 443)}));
  enforce();
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 443); }), 0);
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(act([] { return connect_to("::ffff:203.0.113.10", 443); }), 0);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar6, 443); }), 0);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 80); }), EPERM);
  expect_told(CICD_REASON_PORT, CICD_EGRESS_CONNECT);
  EXPECT_EQ(act([] { return send_to(LoopNet::kFar4, 443); }), EPERM);
  expect_told(CICD_REASON_PORT, CICD_EGRESS_SENDMSG);
  ::close(server);
}

TEST_F(Egress, RangesAndRulesThatDeny) {
  const int server = net_.serve(SOCK_STREAM, 443);
  ASSERT_TRUE(control_->put_net(kSlot, mapped("203.0.113.0"), 120, rules({allow(0, 65535)})));
  ASSERT_TRUE(control_->put_net(kSlot, mapped(LoopNet::kOther4), 128,
                                rules({allow(0, 65535), deny(400, 500)})));
  enforce();
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 443); }), 0);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kOther4, 443); }), EPERM);
  expect_told(CICD_REASON_RULE, CICD_EGRESS_CONNECT);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kOther4, 80); }), ECONNREFUSED);
  ::close(server);
}

TEST_F(Egress, MetadataDotAndLoopback) {
  ASSERT_TRUE(control_->put_net(kSlot, mapped("::"), 0, rules({allow(0, 65535)})));
  enforce();
  EXPECT_EQ(act([] { return connect_to(LoopNet::kMetadata4, 80); }), EPERM);
  expect_told(CICD_REASON_METADATA, CICD_EGRESS_CONNECT);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kMetadata6, 80); }), EPERM);
  expect_told(CICD_REASON_METADATA, CICD_EGRESS_CONNECT);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 853); }), EPERM);
  expect_told(CICD_REASON_DOT, CICD_EGRESS_CONNECT);
  EXPECT_EQ(act([] { return connect_to("127.0.0.1", 80); }), ECONNREFUSED);
  EXPECT_EQ(act([] { return connect_to("::1", 80); }), ECONNREFUSED);
  cicd_egress_policy policy = enforcing();
  policy.metadata_allow = policy.dot_allow = CICD_SCOPE_HOST;
  ASSERT_TRUE(control_->set_policy(kSlot, policy));
  EXPECT_EQ(act([] { return connect_to(LoopNet::kMetadata4, 80); }), ECONNREFUSED);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 853); }), ECONNREFUSED);
}

TEST_F(Egress, LoopbackNeedsNoRule) {
  enforce();
  EXPECT_EQ(act([] { return connect_to("127.0.0.1", 80); }), ECONNREFUSED);
  EXPECT_EQ(act([] { return connect_to("::1", 80); }), ECONNREFUSED);
  EXPECT_TRUE(told().empty());
}

TEST_F(Egress, Ipv6CanBeBlocked) {
  ASSERT_TRUE(control_->put_net(kSlot, mapped("::"), 0, rules({allow(0, 65535)})));
  cicd_egress_policy policy = enforcing();
  policy.ipv6_block = CICD_SCOPE_HOST;
  ASSERT_TRUE(control_->set_policy(kSlot, policy));
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar6, 80); }), EPERM);
  expect_told(CICD_REASON_IPV6, CICD_EGRESS_CONNECT);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 80); }), ECONNREFUSED);
}

TEST_F(Egress, AFlowGoesOnWhenItsEntryIsGone) {
  const int server = net_.serve(SOCK_STREAM, 443);
  put(LoopNet::kFar4, rules({allow(443, 443)}));
  enforce();
  int pipe_in[2];
  int pipe_out[2];
  ASSERT_EQ(::pipe(pipe_in) + ::pipe(pipe_out), 0);
  const pid_t child = start(&job(), [&] {
    if (!net_.enter()) return 255;
    const Address to = address(LoopNet::kFar4, 443);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, &to.any, size_of(to)) != 0) return 1;
    char byte = 'c';
    if (::write(pipe_out[1], &byte, 1) != 1 || ::read(pipe_in[0], &byte, 1) != 1) return 2;
    if (::send(fd, "still", 5, MSG_NOSIGNAL) != 5) return 3;
    return connect_to(LoopNet::kFar4, 443);
  });
  char byte = 0;
  ASSERT_EQ(::read(pipe_out[0], &byte, 1), 1);
  control_->remove_address(kSlot, mapped(LoopNet::kFar4));
  ASSERT_EQ(::write(pipe_in[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), EPERM) << "a new connection is denied";
  const int accepted = ::accept4(server, nullptr, nullptr, SOCK_NONBLOCK);
  char text[8] = {};
  EXPECT_EQ(::recv(accepted, text, sizeof(text), 0), 5);
  ::close(accepted);
  ::close(server);
  for (const int fd : {pipe_in[0], pipe_in[1], pipe_out[0], pipe_out[1]}) ::close(fd);
}

TEST_F(Egress, AuditTellsAndLetsPass) {
  const int server = net_.serve(SOCK_STREAM, 80);
  cicd_egress_policy policy = enforcing();
  policy.enforcing = 0;
  ASSERT_TRUE(control_->set_policy(kSlot, policy));
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 80); }), 0);
  const auto all = told();
  ASSERT_EQ(all.size(), 1u) << "once, not for each packet";
  EXPECT_EQ(all[0].is_audit, 1);
  EXPECT_EQ(control_->totals(kSlot).audited[CICD_REASON_DIRECT_IP], 1u);
  ::close(server);
}

TEST_F(Egress, BothScopesMustAllow) {
  put(LoopNet::kFar4, rules({allow(443, 443)}));
  cicd_egress_policy policy = enforcing();
  policy.watching = policy.enforcing = CICD_SCOPE_HOST | CICD_SCOPE_PROJECT;
  ASSERT_TRUE(control_->set_policy(kSlot, policy));
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 443); }), EPERM);
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].scopes, CICD_SCOPE_PROJECT);
  policy.default_allow = CICD_SCOPE_PROJECT;
  ASSERT_TRUE(control_->set_policy(kSlot, policy));
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 443); }), ECONNREFUSED);
}

TEST_F(Egress, AnotherJobsDoorStaysShut) {
  enforce();
  ASSERT_TRUE(control_->put_address(kSlot + 1, mapped(LoopNet::kFar4), rules({allow(0, 65535)})));
  EXPECT_EQ(act([] { return connect_to(LoopNet::kFar4, 443); }), EPERM);
  control_->clear(kSlot + 1);
}

TEST_F(Egress, RepeatsAreMergedAndCountedExactly) {
  constexpr int kAttempts = 1'000;
  enforce();
  EXPECT_EQ(act([] {
              for (int i = 0; i < kAttempts; ++i) {
                if (connect_to(LoopNet::kFar4, 80) != EPERM) return 1;
              }
              return 0;
            }),
            0);
  std::uint64_t count = 0;
  for (const cicd_sample_egress& sample : told()) count += sample.count;
  EXPECT_LT(told().size(), 10u);
  for (const auto& [key, denied] : control_->take_denied(kSlot)) count += denied.pending;
  EXPECT_EQ(count, static_cast<std::uint64_t>(kAttempts));
  EXPECT_EQ(control_->totals(kSlot).denied[CICD_REASON_DIRECT_IP],
            static_cast<std::uint64_t>(kAttempts));
}

TEST_F(Egress, TrafficIsCountedByDestination) {
  const int server = net_.serve(SOCK_DGRAM, 443);
  EXPECT_EQ(act([] {
              for (int i = 0; i < 10; ++i) send_to(LoopNet::kFar4, 443);
              return send_to(LoopNet::kOther4, 443);
            }),
            0);
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  for (const auto& [key, flow] : control_->flows(kSlot)) {
    if (MappedIp ip; std::copy_n(key.ip, 16, ip.begin()), ip != mapped(LoopNet::kFar4)) continue;
    EXPECT_EQ(key.port, 443);
    packets += flow.sent_packets;
    bytes += flow.sent_bytes;
  }
  EXPECT_EQ(packets, 10u);
  EXPECT_EQ(bytes, 10u * (20 + 8 + 1));
  EXPECT_EQ(LoopNet::received(server), 11);
  ::close(server);
}

class EgressNames : public Egress {
 protected:
  void SetUp() override {
    Egress::SetUp();
    if (control_ == nullptr) return;
    ASSERT_TRUE(control_->serve_netns(net_.inode(), false));
    resolver_ = net_.serve(SOCK_DGRAM, LoopNet::kResolverPort);
    cicd_egress_policy policy = enforcing();
    policy.resolver_port = LoopNet::kResolverPort;
    ASSERT_TRUE(control_->set_policy(kSlot, policy));
  }
  void TearDown() override {
    if (control_ != nullptr) control_->stop_serving(net_.inode());
    if (resolver_ >= 0) ::close(resolver_);
    Egress::TearDown();
  }
  // Sends a datagram that begins with what is given to the server that is asked, has the resolver
  // answer, and says whether the answer seems to come from that server.
  static int ask(const char* server, bool is_connected, int family) {
    const Address to = address(server, 53);
    const int fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (is_connected && ::connect(fd, &to.any, size_of(to)) != 0) return 1;
    const ssize_t sent = is_connected ? ::send(fd, "question", 8, 0)
                                      : ::sendto(fd, "question", 8, 0, &to.any, size_of(to));
    if (sent != 8) return 2;
    pollfd polled{fd, POLLIN, 0};
    if (::poll(&polled, 1, 5'000) != 1) return 3;
    Address from{};
    socklen_t size = sizeof(from);
    char text[16];
    if (::recvfrom(fd, text, sizeof(text), 0, &from.any, &size) != 6) return 4;
    if (std::memcmp(&from, &to, size_of(to)) != 0) return 5;
    if (!is_connected) return 0;
    size = sizeof(from);
    if (::getpeername(fd, &from.any, &size) != 0) return 6;
    return std::memcmp(&from, &to, size_of(to)) == 0 ? 0 : 7;
  }
  int asked(const char* server, bool is_connected) {
    const int family = std::strchr(server, ':') != nullptr ? AF_INET6 : AF_INET;
    std::optional<cicd_dns_client> client;
    const pid_t child =
        start(&job(), [&] { return net_.enter() ? ask(server, is_connected, family) : 255; });
    pollfd polled{resolver_, POLLIN, 0};
    if (::poll(&polled, 1, 5'000) == 1) {
      Address from{};
      socklen_t size = sizeof(from);
      char text[16];
      EXPECT_EQ(::recvfrom(resolver_, text, sizeof(text), 0, &from.any, &size), 8);
      const bool is_v4 = IN6_IS_ADDR_V4MAPPED(&from.v6.sin6_addr);
      client = control_->dns_client({.netns = net_.inode(),
                                     .port = ntohs(from.v6.sin6_port),
                                     .proto = IPPROTO_UDP,
                                     .is_v6 = static_cast<__u8>(is_v4 ? 0 : 1)});
      ::sendto(resolver_, "answer", 6, 0, &from.any, size);
    }
    EXPECT_TRUE(client);
    if (client) {
      EXPECT_EQ(client->pid, static_cast<std::uint32_t>(child));
      EXPECT_EQ(client->slot, kSlot);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  }
  // That the process of the last act() asked from this port.
  void expect_client(std::uint16_t port) {
    const auto client = control_->dns_client(
        {.netns = net_.inode(), .port = port, .proto = IPPROTO_UDP, .is_v6 = 0});
    ASSERT_TRUE(client);
    EXPECT_EQ(client->slot, kSlot);
    EXPECT_EQ(client->pid, static_cast<std::uint32_t>(finished().pid));
  }
  int resolver_ = -1;
};

TEST_F(EgressNames, QuestionsGoToTheResolverAndSeemNotTo) {
  EXPECT_EQ(asked(LoopNet::kDns4, false), 0);
  EXPECT_EQ(asked(LoopNet::kDns4, true), 0);
  EXPECT_EQ(asked(LoopNet::kDns6, false), 0);
  EXPECT_EQ(asked(LoopNet::kDns6, true), 0);
  EXPECT_EQ(asked("::ffff:198.51.100.53", false), 0);
  EXPECT_EQ(asked("8.8.8.8", false), 0);
}

TEST_F(EgressNames, WhereNoResolverListensQuestionsAreDenied) {
  control_->stop_serving(net_.inode());
  EXPECT_EQ(act([] { return send_to(LoopNet::kDns4, 53); }), EPERM);
  EXPECT_EQ(act([] { return connect_to(LoopNet::kDns4, 53); }), EPERM);
}

// Nobody turned these there: a raw socket (nftables leads it so), and one that goes to the resolver
// by itself. A note that another job has left for the port does not speak for them.
TEST_F(EgressNames, WhoeverAsksTheResolverIsNoted) {
  constexpr std::uint16_t kRawPort = 40'001;
  constexpr std::uint16_t kPlainPort = 40'002;
  EXPECT_EQ(act([] {
              const Address to = address("127.0.0.1", 0);
              const std::uint16_t udp[4] = {htons(kRawPort), htons(LoopNet::kResolverPort),
                                            htons(8), 0};
              const int fd = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
              return ::sendto(fd, udp, sizeof(udp), 0, &to.any, size_of(to)) == 8 ? 0 : errno;
            }),
            0);
  expect_client(kRawPort);
  EXPECT_EQ(act([] {
              const Address to = address("127.0.0.1", LoopNet::kResolverPort);
              const Address from = address("127.0.0.1", kPlainPort);
              const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
              if (::bind(fd, &from.any, size_of(from)) != 0) return 1;
              if (::connect(fd, &to.any, size_of(to)) != 0) return 2;
              return ::send(fd, "question", 8, 0) == 8 ? 0 : errno;
            }),
            0);
  expect_client(kPlainPort);
}

// The mark is what nftables knows them by (egress/dns_redirect.h).
TEST_F(EgressNames, RawSocketsAreMarkedWhereTheResolverIsAGuest) {
  const auto mark_of = [this](int type) {
    return act([type] {
      const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, IPPROTO_UDP);
      unsigned mark = 0;
      socklen_t size = sizeof(mark);
      if (::getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &size) != 0) return 2;
      return mark == CICD_RAW_SOCKET_MARK ? 1 : mark == 0 ? 0 : 3;
    });
  };
  const auto tables_asked = [this] {
    return std::ranges::count_if(*control_->netns_asks(), [this](const cicd_netns_ask& ask) {
      return ask.netns == net_.inode() && ask.slot == kSlot && ask.wants_table == 1;
    });
  };
  EXPECT_EQ(mark_of(SOCK_DGRAM), 0);
  EXPECT_EQ(tables_asked(), 0);
  EXPECT_EQ(mark_of(SOCK_RAW), 1);
  EXPECT_EQ(tables_asked(), 1);
  EXPECT_EQ(mark_of(SOCK_RAW), 1);
  EXPECT_EQ(tables_asked(), 0);
  ASSERT_TRUE(control_->serve_netns(net_.inode(), true));
  EXPECT_EQ(mark_of(SOCK_RAW), 0);
  control_->stop_serving(net_.inode());
  EXPECT_EQ(mark_of(SOCK_RAW), 0);
}

// It forwards what it is asked, at whatever port it listens; the rest of the loopback is the job's.
TEST_F(EgressNames, DockersResolverIsNotReached) {
  const auto send_connected = [](const char* ip) {
    const Address to = address(ip, 40'000);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, &to.any, size_of(to)) != 0) return errno;
    return ::send(fd, "x", 1, 0) == 1 ? 0 : errno;
  };
  EXPECT_EQ(act([] { return send_to("127.0.0.11", 40'000); }), EPERM);
  EXPECT_EQ(act([] { return connect_to("127.0.0.11", 40'000); }), EPERM);
  EXPECT_EQ(act([&] { return send_connected("127.0.0.11"); }), EPERM);
  EXPECT_EQ(act([] { return send_to("127.0.0.12", 40'000); }), 0);
  EXPECT_EQ(act([&] { return send_connected("127.0.0.12"); }), 0);
}

// A rule for the server's address does not let a question go round the resolver.
TEST_F(EgressNames, AnAllowedServerIsNotAskedForNames) {
  cicd_egress_rules rules{};
  rules.count = 1;
  rules.rules[0].port_last = 0xffff;
  rules.rules[0].kind = CICD_EGRESS_ALLOW;
  rules.rules[0].scopes = CICD_SCOPE_HOST;
  ASSERT_TRUE(control_->put_net(kSlot, mapped(LoopNet::kDns4), 128, rules));
  control_->stop_serving(net_.inode());
  EXPECT_EQ(act([] { return send_to(LoopNet::kDns4, 53); }), EPERM);
  EXPECT_EQ(act([] { return send_to(LoopNet::kDns4, 54); }), 0);
}

TEST_F(EgressNames, TheNamespaceOfAJobIsToldOnce) {
  control_->stop_serving(net_.inode());
  ASSERT_TRUE(control_->netns_asks());
  for (int i = 0; i < 3; ++i) act([] { return send_to(LoopNet::kDns4, 53); });
  const std::vector<cicd_netns_ask> asks = *control_->netns_asks();
  const auto here = [&](const cicd_netns_ask& ask) { return ask.netns == net_.inode(); };
  EXPECT_EQ(std::ranges::count_if(asks, here), 1);
  for (const cicd_netns_ask& ask : asks) EXPECT_EQ(ask.slot, kSlot);
  control_->stop_serving(net_.inode());  // it was not served: it may be asked for again
  act([] { return send_to(LoopNet::kDns4, 53); });
  EXPECT_EQ(std::ranges::count_if(*control_->netns_asks(), here), 1);
}

TEST_F(EgressNames, TheEventSaysWhereTheQuestionWasSent) {
  EXPECT_EQ(act([] { return send_to(LoopNet::kDns4, 53); }), 0);
  const auto connects = samples_.fixed<cicd_sample_connect>(CICD_SAMPLE_CONNECT);
  ASSERT_EQ(connects.size(), 1u);
  EXPECT_EQ(connects[0].remote_port, 53);
  const auto dns = samples_.fixed<cicd_sample_dns>(CICD_SAMPLE_DNS);
  ASSERT_EQ(dns.size(), 1u);
  EXPECT_EQ(dns[0].remote_port, 53);
  EXPECT_EQ(std::memcmp(dns[0].remote_ip, mapped(LoopNet::kDns4).data() + 12, 4), 0);
  EXPECT_EQ(dns[0].header.flags, CICD_DNS_RESOLVER);
}

constexpr StepVariable kStepVariables[] = {{"STEP_ID", 200, true}, {"OTHER", 200, false}};

class EgressSteps : public Egress {
 protected:
  LiveOptions options() const override {
    LiveOptions out;
    out.variables = kStepVariables;
    return out;
  }
  static std::uint64_t hash_of(std::string_view id) {
    std::uint64_t hash = CICD_STEP_HASH;
    for (const char c : id) hash = cicd_step_hash(hash, static_cast<__u8>(c));
    return hash;
  }
  // Runs a shell with these variables that runs the act's program: a connect by bash itself.
  int shell(const std::vector<const char*>& environment, const std::string& script) {
    return act([&] {
      std::vector<char*> variables;
      for (const char* each : environment) variables.push_back(const_cast<char*>(each));
      variables.push_back(nullptr);
      const char* argv[] = {"bash", "-c", script.c_str(), nullptr};
      ::execve("/bin/bash", const_cast<char**>(argv), variables.data());
      return 254;
    });
  }
};

TEST_F(EgressSteps, ARuleOfAStepIsForThatStepAlone) {
  if (::access("/bin/bash", X_OK) != 0) GTEST_SKIP() << "needs bash";
  const int server = net_.serve(SOCK_STREAM, 443);
  ASSERT_TRUE(control_->put_step(kSlot, hash_of("publish"), 3));
  put(LoopNet::kFar4, rules({allow(443, 443, IPPROTO_TCP, 3)}));
  cicd_egress_policy policy = enforcing();
  policy.has_steps = 1;
  ASSERT_TRUE(control_->set_policy(kSlot, policy));
  const std::string connects = "echo x 2>/dev/null >/dev/tcp/203.0.113.10/443";
  EXPECT_EQ(shell({"PATH=/bin", "STEP_ID=publish"}, connects), 0);
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(shell({"PATH=/bin", "OTHER=publish", "STEP_ID=build"}, connects), 1);
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].reason, CICD_REASON_STEP);
  EXPECT_EQ(shell({"PATH=/bin"}, connects), 1);
  // A child is in the step of whoever started it, and whatever it is given does not change that.
  EXPECT_EQ(shell({"PATH=/bin", "STEP_ID=publish"}, "env -i /bin/bash -c '" + connects + "'"), 0);
  ASSERT_TRUE(control_->put_step(kSlot, hash_of("build"), 4));
  EXPECT_EQ(
      shell({"PATH=/bin", "STEP_ID=build"}, "STEP_ID=publish exec /bin/bash -c '" + connects + "'"),
      1);
  ::close(server);
}

}  // namespace

}  // namespace cicd::test
