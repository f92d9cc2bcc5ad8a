// SPDX-License-Identifier: Apache-2.0
#include "job/egress_facts.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <string>

namespace cicd {

namespace {

// By enum cicd_egress_reason.
constexpr std::array<EgressReason, CICD_REASON_REBINDING + 1> kReasons = {
    EgressReason::kDefaultDeny,    EgressReason::kDefaultDeny,
    EgressReason::kDirectIp,       EgressReason::kPortNotAllowed,
    EgressReason::kStepNotAllowed, EgressReason::kDeniedByRule,
    EgressReason::kMetadata,       EgressReason::kDot,
    EgressReason::kDohEndpoint,    EgressReason::kRawSocket,
    EgressReason::kIpv6,           EgressReason::kRebinding};

std::string ip_of(const __u8 (&ip)[16]) {
  static constexpr __u8 kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  char text[INET6_ADDRSTRLEN] = "";
  const bool is_v4 = std::memcmp(ip, kMapped, sizeof(kMapped)) == 0;
  ::inet_ntop(is_v4 ? AF_INET : AF_INET6, ip + (is_v4 ? 12 : 0), text, sizeof(text));
  return text;
}

std::string protocol_of(std::uint8_t proto) {
  if (proto == IPPROTO_TCP) return "tcp";
  return proto == IPPROTO_UDP ? "udp" : std::to_string(proto);
}

void add_loss(Job::End& end, const char* what, const char* reason, std::uint64_t count) {
  if (count > 0) end.source_losses.entries.push_back({what, reason, count});
}

}  // namespace

void add_egress_facts(const EgressControl& control, std::uint32_t slot, Job::End& end) {
  const EgressTotals totals = control.totals(slot);
  EgressKernelTotals& out = end.egress_totals.emplace();
  for (std::size_t i = 0; i < kReasons.size(); ++i) {
    const auto reason = static_cast<std::size_t>(kReasons[i]);
    out.denied[reason] += totals.denied[i];
    out.audited[reason] += totals.audited[i];
  }
  out.flows_missing = totals.flows_missing;
  add_loss(end, "egress_flows", "map_full", totals.flows_missing);
  add_loss(end, "socket_owners", "no_memory", totals.sockets_missing);
  add_loss(end, "egress_violation", "too_many_answers", totals.answers_untold);
  add_loss(end, "resolver_nets", "map_full", totals.netns_unasked);
  for (const auto& [key, flow] : control.flows(slot)) {
    end.flows.push_back({ip_of(key.ip),
                         key.port,
                         protocol_of(key.proto),
                         {flow.sent_bytes, flow.sent_packets, flow.received_bytes,
                          flow.received_packets, flow.blocked_bytes, flow.blocked_packets}});
  }
}

void add_resolver_facts(const ResolverCounters& counters, Job::End& end) {
  add_loss(end, "resolver", "address_table_full", counters.inserts_failed);
  add_loss(end, "resolver", "too_much_at_once", counters.limited);
  add_loss(end, "resolver", "too_many_namespaces", counters.namespaces_too_many);
  add_loss(end, "resolver", "namespace_not_entered", counters.namespaces_failed);
  add_loss(end, "resolver", "raw_questions_denied", counters.namespaces_unled);
}

}  // namespace cicd
