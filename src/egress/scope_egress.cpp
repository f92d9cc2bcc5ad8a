// SPDX-License-Identifier: Apache-2.0
#include "egress/scope_egress.h"

#include <netinet/in.h>

#include <charconv>

namespace cicd {

namespace {

constexpr std::uint16_t kDnsPort = 53;

// What is known of a flow that a record tells of.
struct Told {
  EgressFlow flow;
  std::string_view ip, protocol, source, candidates;
};

std::string_view step_of(const EventRecord& record) {
  return record.step ? std::string_view(record.step->id) : std::string_view();
}

// The policy's answer without a name is the general one; a row says which kind it is.
EgressReason telling(EgressReason reason, bool has_name) {
  const bool is_general = reason == EgressReason::kNone || reason == EgressReason::kDefaultDeny ||
                          reason == EgressReason::kDirectIp;
  if (!is_general) return reason;
  return has_name ? EgressReason::kDomainNotInAllowlist : EgressReason::kDirectIp;
}

// One address is let through when any name that leads to it is: the kernel side knows addresses.
EgressJudgement judge_any_name(const EgressPolicy& policy, const Told& told) {
  EgressJudgement judgement = policy.judge_flow(told.flow);
  std::string_view rest = told.candidates;
  while (!judgement.is_allowed && !rest.empty()) {
    const std::size_t end = rest.find(',');
    EgressFlow flow = told.flow;
    flow.host = rest.substr(0, end);
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    const EgressJudgement other = policy.judge_flow(flow);
    if (other.is_allowed) return other;
  }
  return judgement;
}

Violation violation_of(const EventRecord& record, const Told& told, const EgressRule* rule) {
  Violation violation;
  violation.record = &record;
  violation.rule_id = rule != nullptr ? std::string_view(rule->rule_id) : std::string_view();
  violation.host = told.flow.host;
  violation.host_source = told.source.empty() ? std::string_view("none") : told.source;
  violation.ip = told.ip;
  violation.port = told.flow.port;
  violation.protocol = protocol_name(told.protocol);
  return violation;
}

bool is_in_list(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t end = list.find(',');
    if (list.substr(0, end) == word) return true;
    if (end == list.npos) return false;
    list.remove_prefix(end + 1);
  }
  return false;
}

}  // namespace

std::uint8_t protocol_number(std::string_view text) {
  if (text == "tcp") return IPPROTO_TCP;
  if (text == "udp") return IPPROTO_UDP;
  std::uint8_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : std::uint8_t{0};
}

std::string_view protocol_name(std::string_view text) {
  if (text == "1") return "icmp";
  return text == "58" ? std::string_view("icmpv6") : text;
}

EgressJudge::EgressJudge(ScopeEgress egress, std::string_view scope)
    : egress_(std::move(egress)), scope_(scope) {}

PolicyRef EgressJudge::policy_ref() const {
  if (!has_policy()) return {scope_, {}, {}};
  return {scope_, egress_.policy->document().profile, egress_.policy->document().version_digest};
}

std::optional<Violation> EgressJudge::judge(const EventRecord& record) const {
  if (!has_policy()) return std::nullopt;
  switch (record.type) {
    case EventType::kDomain:
      return judge_name(record);
    case EventType::kNetworkConnect:
      return judge_connect(record);
    case EventType::kEgressViolation:
      return judge_denied(record);
    default:
      return std::nullopt;
  }
}

std::optional<Violation> EgressJudge::judge_name(const EventRecord& record) const {
  namespace f = field::domain;
  if (!record.text(f::kResult).empty()) return std::nullopt;  // the answer: the question was judged
  const std::string_view name = record.text(f::kDomain);
  const EgressJudgement judgement = egress_.policy->judge_name(name);
  if (judgement.is_allowed) return std::nullopt;
  Told told;
  told.flow.host = name;
  Violation violation = violation_of(record, told, judgement.rule);
  violation.host_source =
      egress_.is_watching() ? "resolver" : "dns_answer";  // who saw the question
  violation.protocol = "dns";
  violation.reason = telling(judgement.reason, true);
  violation.verdict = egress_.is_enforcing()  ? EgressVerdict::kBlock
                      : egress_.is_watching() ? EgressVerdict::kAudit
                                              : EgressVerdict::kAllow;
  return violation;
}

std::optional<Violation> EgressJudge::judge_connect(const EventRecord& record) const {
  namespace f = field::network_connect;
  if (egress_.is_watching()) return std::nullopt;  // the kernel side tells its own
  Told told;
  told.ip = record.text(f::kRemoteIp);
  told.protocol = record.text(f::kProtocol);
  told.source = record.text(f::kDomainSource);
  told.flow.host = record.text(f::kDomain);
  told.flow.port = static_cast<std::uint16_t>(record.number(f::kRemotePort));
  told.flow.proto = protocol_number(told.protocol);
  told.flow.step = step_of(record);
  // Questions are judged by the name in them; in force they go to the resolver, whatever server
  // they were for.
  if (told.flow.port == kDnsPort) return std::nullopt;
  // Nothing is ever sent there: getaddrinfo sorts addresses by connecting to them.
  if (told.flow.port == 0 && told.flow.proto == IPPROTO_UDP) return std::nullopt;
  const auto ip = parse_ip(told.ip);
  if (!ip) return std::nullopt;
  told.flow.ip = *ip;
  if ((record.marks & kMarkAmbiguousDomain) != 0)
    told.candidates = record.text(f::kDomainCandidates);
  const EgressJudgement judgement = judge_any_name(*egress_.policy, told);
  if (judgement.is_allowed) return std::nullopt;
  Violation violation = violation_of(record, told, judgement.rule);
  violation.verdict = EgressVerdict::kAllow;
  violation.reason = telling(judgement.reason, !told.flow.host.empty());
  return violation;
}

std::optional<Violation> EgressJudge::judge_denied(const EventRecord& record) const {
  namespace f = field::egress_violation;
  if (!egress_.is_watching() || !is_in_list(record.text(f::kScope), scope_)) return std::nullopt;
  Told told;
  told.ip = record.text(f::kRemoteIp);
  told.protocol = record.text(f::kProtocol);
  told.source = record.text(f::kDomainSource);
  told.flow.host = record.text(f::kDomain);
  told.flow.port = static_cast<std::uint16_t>(record.number(f::kRemotePort));
  told.flow.proto = protocol_number(told.protocol);
  told.flow.step = step_of(record);
  // That it was denied, and why, who told it knows; the rule's name only the policy.
  const EgressReason reason =
      egress_reason_of(record.text(f::kReason)).value_or(EgressReason::kDefaultDeny);
  EgressJudgement judgement;  // of an answer that leads inside there is no rule
  const auto ip = parse_ip(told.ip);
  if (ip && reason != EgressReason::kRebinding) {
    told.flow.ip = *ip;
    judgement = egress_.policy->judge_flow(told.flow);
  }
  Violation violation = violation_of(record, told, judgement.is_allowed ? nullptr : judgement.rule);
  const bool is_of_name = reason == EgressReason::kDirectIp && !told.flow.host.empty() &&
                          !egress_.policy->judge_name(told.flow.host).is_allowed;
  violation.reason = is_of_name ? EgressReason::kDomainNotInAllowlist : reason;
  violation.verdict = egress_.is_enforcing() && record.text(f::kVerdict) != "audit"
                          ? EgressVerdict::kBlock
                          : EgressVerdict::kAudit;
  violation.count = static_cast<std::uint64_t>(record.number(f::kCount));
  violation.bytes = static_cast<std::uint64_t>(record.number(f::kBytes));
  violation.packets = static_cast<std::uint64_t>(record.number(f::kPackets));
  return violation;
}

}  // namespace cicd
