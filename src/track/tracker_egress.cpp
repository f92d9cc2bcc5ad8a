// SPDX-License-Identifier: Apache-2.0
// What the kernel side has denied by a job's egress policy, or would have.
#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "track/ip_text.h"
#include "track/tracker_impl.h"
#include "wire/egress.h"

namespace cicd {

namespace {

// As egress/verdict.h has them; by enum cicd_egress_reason.
constexpr std::array<std::string_view, CICD_REASON_REBINDING + 1> kReasons = {
    "default_deny",     "default_deny",   "direct_ip", "port_not_allowed",
    "step_not_allowed", "denied_by_rule", "metadata",  "dot",
    "doh_endpoint",     "raw_socket",     "ipv6",      "rebinding"};

std::string_view scope_text(std::uint8_t scopes) {
  constexpr std::uint8_t kBoth = CICD_SCOPE_HOST | CICD_SCOPE_PROJECT;
  if ((scopes & kBoth) == kBoth) return "host,project";
  return (scopes & CICD_SCOPE_HOST) != 0 ? "host" : "project";
}

}  // namespace

void Tracker::Impl::on(const EgressSample& sample, const Context& context) {
  namespace f = field::egress_violation;
  const cicd_sample_egress& fixed = sample.fixed;
  const bool is_unknown = (fixed.header.flags & CICD_EGRESS_UNKNOWN_OWNER) != 0;
  const Owner owner = is_unknown ? nobody() : owner_of(context);
  EventRecord* record =
      add_record(EventType::kEgressViolation, context, owner.entry, owner.picture);
  if (record == nullptr) return;
  Arena& arena = context.batch->arena;
  record->fields[f::kVerdict] = fixed.is_audit != 0 ? "audit" : "block";
  record->fields[f::kReason] = kReasons[std::min<std::size_t>(fixed.reason, kReasons.size() - 1)];
  record->fields[f::kScope] = scope_text(fixed.scopes);
  record->fields[f::kRemoteIp] = ip_text(fixed.family, fixed.remote_ip, arena);
  record->fields[f::kRemotePort] = fixed.remote_port;
  const bool is_answer = fixed.hook == CICD_EGRESS_RESOLVER;
  record->fields[f::kProtocol] = is_answer ? "dns" : protocol_text(fixed.protocol, arena);
  record->fields[f::kDomainSource] = "none";
  record->fields[f::kCount] = static_cast<std::int64_t>(fixed.count);
  record->fields[f::kBytes] = static_cast<std::int64_t>(fixed.bytes);
  if (fixed.hook == CICD_EGRESS_PACKET) record->fields[f::kPackets] = record->fields[f::kCount];
  if (is_answer) {
    record->fields[f::kDomain] = arena.store(sample.name);
    record->fields[f::kDomainSource] = name_of(NameSource::kResolver);
    return;
  }
  const std::size_t bytes = fixed.family == AF_INET ? 4 : sizeof(fixed.remote_ip);
  const auto address = IpAddress::from({fixed.remote_ip, bytes});
  if (!address) return;
  const NameTable& table = context.job.names.table;
  const NameUser user{context.header.pid, context.header.start_time_ns};
  const auto match = table.find(*address, user, context.header.time_ns);
  if (!match) return;
  record->fields[f::kDomain] = arena.store(match->name);
  record->fields[f::kDomainSource] = name_of(match->source);
  if (match->is_ambiguous()) record->marks |= kMarkAmbiguousDomain;
}

}  // namespace cicd
