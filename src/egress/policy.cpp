// SPDX-License-Identifier: Apache-2.0
#include "egress/policy.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <utility>

#include "egress/doh_endpoints.h"
#include "egress/policy_names.h"
#include "egress/policy_prefixes.h"

namespace cicd {

namespace {

constexpr std::uint16_t kDotPort = 853;
constexpr std::uint32_t kTrusted = 0xffffffff;  // in the place of a rule's index

bool is_of(const EgressRule& rule, const PolicySubject& subject) {
  if (!rule.job.empty() && rule.job != subject.job) return false;
  if (rule.project.empty()) return true;
  if (!rule.project.ends_with("/*")) return rule.project == subject.project;
  const std::string_view group = std::string_view(rule.project).substr(0, rule.project.size() - 1);
  return subject.project.size() > group.size() && subject.project.starts_with(group);
}

bool has_ports(std::uint8_t proto) { return proto == IPPROTO_TCP || proto == IPPROTO_UDP; }

bool is_proto_of(EgressProto wanted, std::uint8_t proto) {
  switch (wanted) {
    case EgressProto::kAny:
      return true;
    case EgressProto::kTcp:
      return proto == IPPROTO_TCP;
    case EgressProto::kUdp:
      return proto == IPPROTO_UDP;
    case EgressProto::kIcmp:
      return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
  }
  return false;
}

bool fits(const EgressRule& rule, const EgressFlow& flow) {
  if (!is_proto_of(rule.proto, flow.proto)) return false;
  if (rule.ports.empty()) return true;
  return has_ports(flow.proto) && std::ranges::any_of(rule.ports, [&](const PortRange& range) {
           return flow.port >= range.first && flow.port <= range.last;
         });
}

// Denies or allows everything about its host.
bool is_whole(const EgressRule& rule) {
  return rule.ports.empty() && rule.proto == EgressProto::kAny && rule.step.empty();
}

std::vector<IpPrefix> parse_inside_ranges() {
  constexpr std::string_view kRanges[] = {
      "0.0.0.0/8",     "10.0.0.0/8",   "100.64.0.0/10",  "127.0.0.0/8",   "169.254.0.0/16",
      "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4",
      "240.0.0.0/4",   "::/96",        "64:ff9b:1::/48", "fc00::/7",      "fe80::/10",
      "fec0::/10",     "ff00::/8"};
  std::vector<IpPrefix> out;
  for (const std::string_view range : kRanges) {
    if (const auto prefix = parse_cidr(range)) out.push_back(*prefix);
  }
  return out;
}

bool is_in_inside_range(const IpBytes& ip) {
  static const std::vector<IpPrefix> kRanges = parse_inside_ranges();
  return std::ranges::any_of(kRanges, [&](const IpPrefix& range) { return range.contains(ip); });
}

// The IPv4 address that a translator makes of this one (64:ff9b::/96, 2002::/16); or `ip`.
IpBytes translated(const IpBytes& ip) {
  constexpr IpBytes kNat64 = {0, 0x64, 0xff, 0x9b};
  IpBytes out{};
  out[10] = out[11] = 0xff;
  if (std::equal(ip.begin(), ip.begin() + 12, kNat64.begin())) {
    std::copy(ip.begin() + 12, ip.end(), out.begin() + 12);
    return out;
  }
  if (ip[0] != 0x20 || ip[1] != 0x02) return ip;
  std::copy(ip.begin() + 2, ip.begin() + 6, out.begin() + 12);
  return out;
}

// What the rules say of a flow; the most specific rule of each kind.
struct Matches {
  const EgressRule* deny = nullptr;
  const EgressRule* allow = nullptr;
  bool is_trusted = false;
  bool other_port = false;  // would be allowed, to another port or by another protocol
  bool other_step = false;

  void add(const EgressRule& rule, const EgressFlow& flow) {
    const bool is_fit = fits(rule, flow);
    const bool in_step = rule.step.empty() || rule.step == flow.step.substr(0, kMaxPolicyNameBytes);
    if (rule.is_deny) {
      if (is_fit && in_step && deny == nullptr) deny = &rule;
    } else if (is_fit && in_step) {
      if (allow == nullptr) allow = &rule;
    } else {
      (is_fit ? other_step : other_port) = true;
    }
  }
};

EgressReason reason_without_rule(const EgressFlow& flow, const Matches& matches) {
  if (matches.other_step) return EgressReason::kStepNotAllowed;
  if (!has_ports(flow.proto)) return EgressReason::kRawSocket;
  if (matches.other_port) return EgressReason::kPortNotAllowed;
  return flow.host.empty() ? EgressReason::kDirectIp : EgressReason::kDomainNotInAllowlist;
}

}  // namespace

bool is_metadata_address(const IpBytes& ip) {
  constexpr IpBytes kV4 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 169, 254};
  constexpr IpBytes kV6 = {0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};
  return ip == kV4 || ip == kV6;
}

bool is_loopback_address(const IpBytes& ip) {
  if (is_mapped_ipv4(ip)) {
    return ip[12] == 127 ||
           std::all_of(ip.begin() + 12, ip.end(), [](auto byte) { return byte == 0; });
  }
  return std::all_of(ip.begin(), ip.end() - 1, [](auto byte) { return byte == 0; }) && ip[15] <= 1;
}

std::string_view name_of(EgressProto proto) {
  constexpr std::array<std::string_view, 4> kNames = {"any", "tcp", "udp", "icmp"};
  return kNames[static_cast<std::size_t>(proto)];
}

struct EgressPolicy::Index {
  HostTable<std::vector<std::uint32_t>> hosts;  // indices of rules
  PrefixTree nets;                              // the same, or kTrusted

  // The most specific rule first, in both; `name` is plain.
  template <typename Visit>
  void visit_host(std::string_view name, const Visit& visit) const {
    hosts.visit_matches(name, [&](const std::vector<std::uint32_t>& rules) {
      for (const std::uint32_t rule : rules) visit(rule);
    });
  }
  template <typename Visit>
  void visit_nets(const IpBytes& ip, const Visit& visit) const {
    for (std::int32_t at = nets.find(ip); at != PrefixTree::kNone; at = nets.next(at, ip)) {
      for (const std::uint32_t rule : nets.values(nets.nodes()[static_cast<std::size_t>(at)])) {
        visit(rule);
      }
    }
  }
};

EgressPolicy::EgressPolicy(PolicyDocument document, const PolicySubject& subject)
    : document_(std::move(document)), index_(std::make_unique<Index>()) {
  std::vector<PrefixTree::Entry> nets;
  for (const EgressRule& rule : document_.rules) {
    if (!is_of(rule, subject)) continue;
    const auto number = static_cast<std::uint32_t>(rules_.size());
    rules_.push_back(&rule);
    for (const IpPrefix& prefix : rule.prefixes) nets.push_back({prefix, number});
    if (!rule.host.empty()) index_->hosts[rule.host].push_back(number);
  }
  for (const IpPrefix& prefix : document_.trusted_nets) nets.push_back({prefix, kTrusted});
  index_->nets = PrefixTree(std::move(nets));
}

EgressPolicy::~EgressPolicy() = default;

EgressJudgement EgressPolicy::judge_name(std::string_view name) const {
  const PlainName plain(name);
  if (document_.block_doh && is_doh_name(plain.view())) {
    return {false, EgressReason::kDohEndpoint, nullptr};
  }
  const EgressRule* deny = nullptr;
  const EgressRule* allow = nullptr;
  index_->visit_host(plain.view(), [&](std::uint32_t number) {
    const EgressRule* rule = rules_[number];
    if (!rule->is_deny && allow == nullptr) allow = rule;
    if (rule->is_deny && deny == nullptr && is_whole(*rule)) deny = rule;
  });
  if (deny != nullptr) return {false, EgressReason::kDeniedByRule, deny};
  if (allow != nullptr || document_.default_allow) return {true, EgressReason::kNone, allow};
  return {false, EgressReason::kDomainNotInAllowlist, nullptr};
}

EgressJudgement EgressPolicy::judge_flow(const EgressFlow& flow) const {
  const bool is_metadata = is_metadata_address(flow.ip);
  if (is_metadata && !document_.allow_metadata) return {false, EgressReason::kMetadata, nullptr};
  if (document_.block_dot && has_ports(flow.proto) && flow.port == kDotPort) {
    return {false, EgressReason::kDot, nullptr};
  }
  const bool is_loopback = is_loopback_address(flow.ip);
  if (document_.block_ipv6 && !is_loopback && !is_mapped_ipv4(flow.ip)) {
    return {false, EgressReason::kIpv6, nullptr};
  }
  const PlainName plain(flow.host);
  if (document_.block_doh && has_ports(flow.proto) && flow.port == kDohPort &&
      (is_doh_name(plain.view()) || is_doh_address(flow.ip))) {
    return {false, EgressReason::kDohEndpoint, nullptr};
  }
  Matches matches;
  index_->visit_host(plain.view(),
                     [&](std::uint32_t number) { matches.add(*rules_[number], flow); });
  index_->visit_nets(flow.ip, [&](std::uint32_t number) {
    if (number == kTrusted) {
      matches.is_trusted = true;
    } else {
      matches.add(*rules_[number], flow);
    }
  });
  if (matches.deny != nullptr) return {false, EgressReason::kDeniedByRule, matches.deny};
  if (matches.allow != nullptr || matches.is_trusted || is_loopback || is_metadata ||
      document_.default_allow) {
    return {true, EgressReason::kNone, matches.allow};
  }
  return {false, reason_without_rule(flow, matches), nullptr};
}

bool EgressPolicy::is_inside(const IpBytes& ip) const {
  if (is_metadata_address(ip)) return !document_.allow_metadata;
  if (!is_in_inside_range(ip) && !is_in_inside_range(translated(ip))) return false;
  bool is_named = false;
  index_->visit_nets(ip, [&](std::uint32_t number) {
    is_named |= number == kTrusted || !rules_[number]->is_deny;
  });
  return !is_named;
}

bool EgressPolicy::is_trusted(const IpBytes& ip) const {
  bool out = false;
  index_->visit_nets(ip, [&](std::uint32_t number) { out |= number == kTrusted; });
  return out;
}

}  // namespace cicd
