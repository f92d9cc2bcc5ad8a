// SPDX-License-Identifier: Apache-2.0
// Tests of egress control: policies made by hand, acts with sockets in the namespace of a LoopNet,
// and what the kernel side tells of them. Acts leave with errno, or 0.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <initializer_list>
#include <vector>

#include "loop_net.h"
#include "support.h"

namespace cicd::test {

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

inline Address address(const char* ip, std::uint16_t port) {
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
inline socklen_t size_of(const Address& to) {
  return to.any.sa_family == AF_INET ? sizeof(to.v4) : sizeof(to.v6);
}

inline MappedIp mapped(const char* ip) {
  MappedIp out{};
  if (::inet_pton(AF_INET, ip, out.data() + 12) == 1) {
    out[10] = out[11] = 0xff;
  } else {
    ::inet_pton(AF_INET6, ip, out.data());
  }
  return out;
}

inline cicd_egress_rules rules(std::initializer_list<cicd_egress_rule> list) {
  cicd_egress_rules out{};
  for (const cicd_egress_rule& rule : list) out.rules[out.count++] = rule;
  return out;
}
inline cicd_egress_rule allow(std::uint16_t first, std::uint16_t last, int proto = 0,
                              int step = 0) {
  return {.port_first = first,
          .port_last = last,
          .proto = static_cast<__u8>(proto),
          .kind = CICD_EGRESS_ALLOW,
          .scopes = CICD_SCOPE_HOST,
          .step = static_cast<__u8>(step),
          .rule = 1,
          .pad0 = 0};
}
inline cicd_egress_rule deny(std::uint16_t first, std::uint16_t last) {
  cicd_egress_rule out = allow(first, last);
  out.kind = CICD_EGRESS_DENY;
  return out;
}

// Acts leave with errno, or 0.
inline int connect_to(const char* ip, std::uint16_t port, int type = SOCK_STREAM) {
  const Address to = address(ip, port);
  const int fd = ::socket(to.any.sa_family, type | SOCK_CLOEXEC, 0);
  const int error = ::connect(fd, &to.any, size_of(to)) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}
inline int send_to(const char* ip, std::uint16_t port) {
  const Address to = address(ip, port);
  const int fd = ::socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int error = ::sendto(fd, "x", 1, MSG_NOSIGNAL, &to.any, size_of(to)) == 1 ? 0 : errno;
  ::close(fd);
  return error;
}
inline int ping(const char* ip) {
  const Address to = address(ip, 0);
  const int fd = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
  icmphdr echo{};
  echo.type = ICMP_ECHO;
  const int error = ::sendto(fd, &echo, sizeof(echo), 0, &to.any, size_of(to)) > 0 ? 0 : errno;
  ::close(fd);
  return error;
}

class Egress : public HookTest {
 protected:
  void SetUp() override {
    HookTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_TRUE(net_.is_up());
    const Result<EgressControl*> control = source().egress();
    ASSERT_TRUE(control) << control.error().text;
    control_ = *control;
  }
  static cicd_egress_policy enforcing() {
    cicd_egress_policy policy{};
    policy.watching = CICD_SCOPE_HOST;
    policy.enforcing = CICD_SCOPE_HOST;
    return policy;
  }
  void enforce() { ASSERT_TRUE(control_->set_policy(kSlot, enforcing())); }
  void put(const char* ip, const cicd_egress_rules& list) {
    ASSERT_TRUE(control_->put_address(kSlot, mapped(ip), list));
  }
  // Runs the act in the job, in the namespace; its value.
  int act(const std::function<int()>& what) {
    samples_ = observe_inside([&] { return net_.enter() ? what() : 255; });
    return WEXITSTATUS(finished().status);
  }
  std::vector<cicd_sample_egress> told() const {
    return samples_.fixed<cicd_sample_egress>(CICD_SAMPLE_EGRESS);
  }
  void expect_told(int reason, int hook) const {
    const auto all = told();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].reason, reason);
    EXPECT_EQ(all[0].hook, hook);
    EXPECT_EQ(all[0].count, 1u);
    EXPECT_EQ(all[0].scopes, CICD_SCOPE_HOST);
    EXPECT_EQ(all[0].is_audit, 0);
    EXPECT_EQ(all[0].header.pid, static_cast<std::uint32_t>(finished().pid));
  }

  LoopNet net_;
  EgressControl* control_ = nullptr;
  Samples samples_;
};

}  // namespace cicd::test
