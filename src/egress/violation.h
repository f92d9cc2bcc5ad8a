// SPDX-License-Identifier: Apache-2.0
// Violation: one thing that a scope's egress policy did not allow, or would not have. Made on the
// job's worker from an EventRecord; written as a row of log_type cicd_sensor.violation, counted in
// the summary. Text points into the record, its batch and the policy: use it before they go.
#pragma once

#include <cstdint>
#include <string_view>

#include "egress/verdict.h"
#include "event/event_record.h"

namespace cicd {

struct Violation {
  const EventRecord* record = nullptr;  // who, when, in which step
  EgressVerdict verdict = EgressVerdict::kBlock;
  EgressReason reason = EgressReason::kDefaultDeny;
  std::string_view rule_id;      // of the policy; empty: no rule, its default
  std::string_view host;         // empty: not known
  std::string_view host_source;  // resolver, dns_answer, getaddrinfo or none
  std::string_view ip;           // empty: only the name was asked for
  std::uint16_t port = 0;
  std::string_view protocol;  // tcp, udp, icmp, ...; "dns" for a name that was refused
  std::uint64_t count = 1;    // attempts that this row stands for; the sum over rows is exact
  std::uint64_t bytes = 0;    // of the packets that were denied or seen so far
  std::uint64_t packets = 0;
};

// Which policy a scope is judged by, for its rows.
struct PolicyRef {
  std::string_view scope;    // host or project
  std::string_view profile;  // as the policy names it; may be empty
  std::string_view version;  // "sha256:" and 64 hex digits, of the policy with what it extends
};

}  // namespace cicd
