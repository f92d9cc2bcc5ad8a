// SPDX-License-Identifier: Apache-2.0
// Random policies and flows of a small world, in which they meet each other often. For tests.
#pragma once

#include <netinet/in.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "egress/policy.h"

namespace cicd::test {

inline IpBytes ip(std::string_view text) { return parse_ip(text).value(); }

class RandomPolicies {
 public:
  explicit RandomPolicies(unsigned seed) : random_(seed) {}

  // At most `most_rules`, so that few of them meet at one place.
  PolicyDocument document(int most_rules) {
    PolicyDocument out;
    out.default_allow = chance(4);
    out.block_doh = chance(2);
    out.block_dot = chance(2);
    out.allow_metadata = chance(2);
    out.block_ipv6 = chance(5);
    out.is_audit = chance(3);
    out.denied_names = chance(2) ? DeniedNameAnswer::kNxdomain : DeniedNameAnswer::kRefused;
    const int count = below(most_rules + 1);
    for (int i = 0; i < count; ++i) out.rules.push_back(rule(i));
    while (chance(4)) out.trusted_nets.push_back(prefix());
    return out;
  }

  EgressFlow flow() {
    EgressFlow out;
    if (chance(2)) out.host = pick(kNames);
    out.ip = ip(pick(kAddresses));
    out.port = pick(kPorts);
    out.proto = pick(kProtos);
    out.step = pick(kSteps);
    return out;
  }
  std::string_view name() { return pick(kNames); }
  IpBytes address() { return ip(pick(kAddresses)); }

 private:
  template <typename Item, std::size_t count>
  const Item& pick(const Item (&items)[count]) {
    return items[below(static_cast<int>(count))];
  }
  int below(int end) { return std::uniform_int_distribution<int>(0, end - 1)(random_); }
  bool chance(int of) { return below(of) == 0; }

  IpPrefix prefix() {
    IpPrefix out{address(), pick(kBits)};
    // Bits of IPv4 count from the end of the mapped part.
    if (out.address[10] == 0xff && out.bits < 96 && !chance(4)) out.bits = 96 + out.bits / 3;
    return out;
  }

  EgressRule rule(int number) {
    EgressRule out;
    out.is_deny = chance(3);
    out.rule_id = "r" + std::to_string(number);
    if (chance(2)) {
      out.host = pick(kPatterns);
    } else {
      do out.prefixes.push_back(prefix());
      while (chance(3));
    }
    if (chance(2)) out.ports.push_back(pick(kRanges));
    out.proto = static_cast<EgressProto>(below(4));
    if (out.proto == EgressProto::kIcmp) out.ports.clear();
    if (chance(3)) out.step = pick(kSteps);
    if (chance(6)) out.job = chance(2) ? "build" : "other";
    return out;
  }

  static constexpr std::string_view kNames[] = {"example.com",
                                                "a.example.com",
                                                "B.Example.com.",
                                                "x.a.example.com",
                                                "com",
                                                "dns.google",
                                                "y.dns.quad9.net.",
                                                "",
                                                "a b.example.com",
                                                "other.org"};
  static constexpr std::string_view kPatterns[] = {
      "example.com", "a.example.com", "*.example.com",   "*.a.example.com",
      "*.com",       "b.example.com", "x.a.example.com", "dns.google"};
  static constexpr std::string_view kAddresses[] = {
      "10.0.0.1",    "10.0.0.2",      "10.0.9.1",      "10.9.0.1", "11.0.0.1",
      "127.0.0.1",   "0.0.0.0",       "::1",           "::",       "fd00:ec2::254",
      "fd00::1",     "2001:db8::1",   "2001:db8:1::1", "8.8.8.8",  "169.254.169.254",
      "169.254.1.1", "64:ff9b::a00:1"};
  static constexpr int kBits[] = {0, 1, 8, 32, 48, 64, 95, 96, 97, 104, 112, 120, 126, 127, 128};
  static constexpr std::uint16_t kPorts[] = {22, 53, 80, 443, 444, 853, 8000, 65'535};
  static constexpr std::uint8_t kProtos[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP,
                                             47};
  static constexpr std::string_view kSteps[] = {"", "install", "publish"};
  static constexpr PortRange kRanges[] = {{443, 443},     {1, 65'535}, {80, 443},
                                          {8000, 65'535}, {853, 853},  {22, 22}};

  std::mt19937 random_;
};

}  // namespace cicd::test
