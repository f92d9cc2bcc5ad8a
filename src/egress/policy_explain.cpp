// SPDX-License-Identifier: Apache-2.0
#include "egress/policy_explain.h"

#include <netinet/in.h>

#include <algorithm>
#include <set>
#include <utility>

#include "egress/job_egress.h"
#include "egress/policy_names.h"
#include "egress/policy_values.h"

namespace cicd {

namespace {

constexpr std::size_t kMaxSubjects = 64;

std::string place_of(const EgressRule& rule) {
  return shown(rule.rule_id) + " (" + rule.file + ":" + std::to_string(rule.line) + ")";
}

// An address that only ranges of everything hold, for a name whose address is not known.
IpBytes some_address(const EgressPolicy& policy) {
  IpBytes out{};
  for (const std::string_view text : {"192.0.2.1", "198.51.100.1", "203.0.113.1"}) {
    out = parse_ip(text).value_or(IpBytes{});
    const bool is_named = std::ranges::any_of(policy.rules(), [&](const EgressRule* rule) {
      return std::ranges::any_of(rule->prefixes, [&](const IpPrefix& prefix) {
        return prefix.bits > 96 && prefix.contains(out);
      });
    });
    if (!is_named) break;
  }
  return out;
}

std::string why_allowed(const EgressPolicy& policy, const EgressJudgement& judgement,
                        const EgressFlow& flow) {
  if (judgement.rule != nullptr) return "rule " + place_of(*judgement.rule) + " allows it";
  if (policy.is_trusted(flow.ip)) return "the address is in trusted_nets";
  if (is_loopback_address(flow.ip)) return "it does not leave the machine";
  if (is_metadata_address(flow.ip)) return "metadata is allow";
  return "no rule is for it, and egress.default is allow";
}

std::string why_denied(const EgressJudgement& judgement) {
  switch (judgement.reason) {
    case EgressReason::kMetadata:
      return "the metadata address of clouds is blocked (metadata: deny)";
    case EgressReason::kDot:
      return "DNS over TLS, port 853, is blocked (dns.block_dot)";
    case EgressReason::kDohEndpoint:
      return "it is a known endpoint of DNS over HTTPS (dns.block_doh)";
    case EgressReason::kIpv6:
      return "IPv6 is blocked (ipv6: block)";
    case EgressReason::kDeniedByRule:
      return "rule " + (judgement.rule != nullptr ? place_of(*judgement.rule) : "") + " denies it";
    case EgressReason::kDomainNotInAllowlist:
      return "no rule allows this name, and egress.default is deny";
    case EgressReason::kStepNotAllowed:
      return "it is allowed in other steps only";
    case EgressReason::kPortNotAllowed:
      return "it is allowed to other ports or by other protocols only";
    case EgressReason::kRawSocket:
      return "no rule allows this protocol, and egress.default is deny";
    default:
      return "no rule allows this address, and egress.default is deny";
  }
}

std::string what_would_allow(const EgressJudgement& judgement, bool is_host) {
  switch (judgement.reason) {
    case EgressReason::kMetadata:
      return "metadata: allow";
    case EgressReason::kDot:
      return "dns: {block_dot: false}, and a rule that allows it";
    case EgressReason::kDohEndpoint:
      return "dns: {block_doh: false}, and a rule that allows it";
    case EgressReason::kIpv6:
      return "ipv6: allow, and a rule that allows it";
    case EgressReason::kDeniedByRule:
      return "nothing but taking the rule that denies it away: deny wins";
    case EgressReason::kStepNotAllowed:
      return "a rule that allows it in this step, or without step";
    case EgressReason::kPortNotAllowed:
      return "this port and protocol in a rule that allows it";
    default:
      return is_host ? "an entry of egress.allow with this host"
                     : "an entry of egress.allow with this address as cidr, or with the name that "
                       "leads to it as host";
  }
}

bool is_for(const EgressRule& rule, const PolicyDestination& destination) {
  const PlainName name(destination.host);
  if (!rule.host.empty()) {
    if (rule.host == name.view()) return true;
    return rule.host.starts_with("*.") &&
           name.view().ends_with(std::string_view(rule.host).substr(1));
  }
  return destination.ip && std::ranges::any_of(rule.prefixes, [&](const IpPrefix& prefix) {
           return prefix.contains(*destination.ip);
         });
}

std::string ports_of(const EgressRule& rule) {
  std::string out;
  for (const PortRange& range : rule.ports) {
    out += (out.empty() ? "" : ", ") + std::to_string(range.first);
    if (range.last != range.first) out += "-" + std::to_string(range.last);
  }
  return out;
}

std::string note_of(const EgressRule& rule, const EgressPolicy& policy,
                    const PolicyQuestion& question) {
  const auto& own = policy.rules();
  if (std::ranges::find(own, &rule) == own.end()) {
    std::string out = "for";
    if (!rule.job.empty()) out += " job " + shown(rule.job);
    if (!rule.project.empty()) out += " project " + shown(rule.project);
    return out + " only";
  }
  if (!rule.step.empty() && rule.step != question.step)
    return "for step " + shown(rule.step) + " only";
  const std::optional<std::uint16_t> port = question.destination.port;
  const bool is_port =
      rule.ports.empty() || !port || std::ranges::any_of(rule.ports, [&](const auto& range) {
        return *port >= range.first && *port <= range.last;
      });
  if (!is_port) return "for port " + ports_of(rule) + " only";
  const bool is_proto = rule.proto == EgressProto::kAny ||
                        (rule.proto == EgressProto::kTcp && question.proto == IPPROTO_TCP) ||
                        (rule.proto == EgressProto::kUdp && question.proto == IPPROTO_UDP) ||
                        (rule.proto == EgressProto::kIcmp && question.proto == IPPROTO_ICMP);
  if (!is_proto) return "for " + std::string(name_of(rule.proto)) + " only";
  return rule.is_deny ? "denies it as well" : "would allow it; what decided comes before it";
}

}  // namespace

Result<PolicyDestination> parse_destination(const std::string& text) {
  PolicyDestination out;
  if ((out.ip = parse_ip(text))) return out;
  std::string host = text;
  const std::size_t colon = text.rfind(':');
  if (colon != std::string::npos) {
    host = text.substr(0, colon);
    CICD_ASSIGN(const PortRange port, parse_ports(text.substr(colon + 1)));
    if (port.first != port.last) return fail(ErrorCode::kUsage, "name one port, no range");
    out.port = port.first;
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if ((out.ip = parse_ip(host))) return out;
  CICD_ASSIGN(out.host, parse_host(host));
  if (out.host.starts_with("*.")) {
    return fail(ErrorCode::kUsage, "name one host; \"" + shown(host) + "\" is a pattern of a rule");
  }
  return out;
}

PolicyExplanation explain_policy(const EgressPolicy& policy, const PolicyQuestion& question) {
  const PolicyDestination& destination = question.destination;
  PolicyExplanation out;
  EgressFlow flow{destination.host, destination.ip.value_or(some_address(policy)),
                  destination.port.value_or(0), question.proto, question.step};
  out.judgement.is_allowed = true;
  if (!destination.host.empty()) {
    out.judgement = policy.judge_name(destination.host);
    out.is_name_refused = !out.judgement.is_allowed;
  }
  const bool has_flow =
      destination.port.has_value() || destination.host.empty() || question.proto == IPPROTO_ICMP;
  if (out.judgement.is_allowed && has_flow) out.judgement = policy.judge_flow(flow);
  out.because = out.judgement.is_allowed ? why_allowed(policy, out.judgement, flow)
                                         : why_denied(out.judgement);
  if (!out.judgement.is_allowed) {
    out.hint = what_would_allow(out.judgement, !destination.host.empty());
  }
  for (const EgressRule& rule : policy.document().rules) {
    if (out.others.size() == kMaxConsideredRules) break;
    if (&rule == out.judgement.rule || !is_for(rule, destination)) continue;
    out.others.push_back({&rule, note_of(rule, policy, question)});
  }
  return out;
}

Result<> check_policy_fits(const PolicyDocument& document) {
  std::set<std::pair<std::string, std::string>> subjects = {{"", ""}};
  for (const EgressRule& rule : document.rules) {
    if (subjects.size() == kMaxSubjects) break;
    std::string project = rule.project;
    if (project.ends_with("/*")) project.back() = 'x';
    subjects.emplace(std::move(project), rule.job);
  }
  for (const auto& [project, job] : subjects) {
    auto policy = std::make_shared<EgressPolicy>(document, PolicySubject{project, job});
    const auto fits = JobEgress::make({std::move(policy), EgressMode::kEnforce}, {});
    if (!fits) return std::unexpected(fits.error());
  }
  return {};
}

}  // namespace cicd
