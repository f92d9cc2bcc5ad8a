// SPDX-License-Identifier: Apache-2.0
// EgressJudge: what a scope's policy says of the events of its job.
//
// observe, learn: names that are asked for and connects are judged here, nothing is denied.
// enforce: names are judged here; of flows the kernel side tells what it has denied (or would have)
// as events of type egress_violation, and a scope takes those that are against its own policy.
//
// Thread: the job's worker. Nothing is allocated. Trap: the violation points into the record.
#pragma once

#include <optional>
#include <string_view>

#include "egress/job_egress.h"
#include "egress/violation.h"

namespace cicd {

class EgressJudge {
 public:
  // `scope`: "host" or "project".
  EgressJudge(ScopeEgress egress, std::string_view scope);

  // nullopt: it is allowed, or nothing that a policy is about.
  std::optional<Violation> judge(const EventRecord& record) const;

  bool has_policy() const { return egress_.policy != nullptr; }
  const ScopeEgress& egress() const { return egress_; }
  PolicyRef policy_ref() const;

 private:
  std::optional<Violation> judge_name(const EventRecord& record) const;
  std::optional<Violation> judge_connect(const EventRecord& record) const;
  std::optional<Violation> judge_denied(const EventRecord& record) const;

  ScopeEgress egress_;
  std::string_view scope_;
};

// IPPROTO_* of "tcp", "udp" or a number; 0 for what is none.
std::uint8_t protocol_number(std::string_view text);
// "tcp", "icmp", "icmpv6" for a number that has a name; the text itself for others.
std::string_view protocol_name(std::string_view text);

}  // namespace cicd
