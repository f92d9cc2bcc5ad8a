// SPDX-License-Identifier: Apache-2.0
// EgressPolicy without an index, for as long as policy.cpp is not there: the answers of policy.h by
// a walk over the rules. Weak symbols, so that the real ones win wherever both are linked; to be
// removed with the merge of policy.cpp.
#include <netinet/in.h>

#include <algorithm>
#include <fstream>

#include "egress/policy.h"

#define CICD_WEAK __attribute__((weak))

namespace cicd {

struct EgressPolicy::Index {};

namespace {

bool is_of_host(const EgressRule& rule, std::string_view name) {
  if (!rule.host.starts_with("*.")) return rule.host == name;
  return name.size() > rule.host.size() - 1 &&
         name.ends_with(std::string_view(rule.host).substr(1));
}

bool is_for(const EgressRule& rule, const EgressFlow& flow) {
  if (!rule.host.empty()) return is_of_host(rule, flow.host);
  return std::ranges::any_of(rule.prefixes,
                             [&](const IpPrefix& prefix) { return prefix.contains(flow.ip); });
}

bool has_port(const EgressRule& rule, const EgressFlow& flow) {
  constexpr std::uint8_t kProtos[] = {0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
  const std::uint8_t proto = kProtos[static_cast<std::size_t>(rule.proto)];
  if (proto != 0 && proto != flow.proto) return false;
  return rule.ports.empty() || std::ranges::any_of(rule.ports, [&](const PortRange& range) {
           return flow.port >= range.first && flow.port <= range.last;
         });
}

}  // namespace

CICD_WEAK EgressPolicy::EgressPolicy(PolicyDocument document, const PolicySubject&)
    : document_(std::move(document)) {
  for (const EgressRule& rule : document_.rules) rules_.push_back(&rule);
}
CICD_WEAK EgressPolicy::~EgressPolicy() = default;

CICD_WEAK EgressJudgement EgressPolicy::judge_name(std::string_view name) const {
  const EgressRule* allowing = nullptr;
  for (const EgressRule* rule : rules_) {
    if (rule->host.empty() || !is_of_host(*rule, name)) continue;
    if (rule->is_deny) return {false, EgressReason::kDeniedByRule, rule};
    allowing = rule;
  }
  if (allowing != nullptr || document_.default_allow) return {true, EgressReason::kNone, allowing};
  return {false, EgressReason::kDomainNotInAllowlist, nullptr};
}

CICD_WEAK EgressJudgement EgressPolicy::judge_flow(const EgressFlow& flow) const {
  if (flow.port == 853 && document_.block_dot) return {false, EgressReason::kDot, nullptr};
  const EgressRule* allowing = nullptr;
  bool is_other_step = false, is_other_port = false;
  for (const EgressRule* rule : rules_) {
    if (!is_for(*rule, flow)) continue;
    const bool is_step = rule->step.empty() || rule->step == flow.step;
    const bool is_port = has_port(*rule, flow);
    if (is_step && is_port && rule->is_deny) return {false, EgressReason::kDeniedByRule, rule};
    if (is_step && is_port && allowing == nullptr) allowing = rule;
    is_other_step |= !is_step && is_port;
    is_other_port |= !is_port;
  }
  const bool is_loopback =
      IpPrefix{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127}}, 104}.contains(flow.ip);
  if (allowing != nullptr || is_loopback || is_trusted(flow.ip) || document_.default_allow) {
    return {true, EgressReason::kNone, allowing};
  }
  if (is_other_step) return {false, EgressReason::kStepNotAllowed, nullptr};
  if (is_other_port) return {false, EgressReason::kPortNotAllowed, nullptr};
  return {false, flow.host.empty() ? EgressReason::kDirectIp : EgressReason::kDomainNotInAllowlist,
          nullptr};
}

CICD_WEAK bool EgressPolicy::is_inside(const IpBytes&) const { return false; }
CICD_WEAK bool EgressPolicy::is_trusted(const IpBytes& ip) const {
  return std::ranges::any_of(document_.trusted_nets,
                             [&](const IpPrefix& net) { return net.contains(ip); });
}

}  // namespace cicd
