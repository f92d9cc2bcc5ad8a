// SPDX-License-Identifier: Apache-2.0
// NameJudge: what the resolver asks about the names and addresses of one job. A seam: the job's
// policies (job_name_judge.h), or a test. Immutable; called on the resolver's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "egress/policy.h"
#include "wire/egress.h"

namespace cicd {

// In the place of a name in rules_of_name(): of an address of the job's own, in a network of
// containers, where answers come to when it asks the others there. No name that was asked for has a
// space (DnsAsk::text).
inline constexpr std::string_view kOwnAddress = "own address";

struct NameVerdict {
  bool is_refused = false;
  bool is_audited = false;  // let pass, told as what would have been refused
  DeniedNameAnswer how = DeniedNameAnswer::kRefused;
};

// What an answer that leads to an address meets (rebinding).
struct InsideVerdict {
  std::uint8_t scopes = 0;  // CICD_SCOPE_*: whose policy the address is of the inside for
  bool is_blocked = false;  // one of them enforces: the address is left out of the answer
};

class NameJudge {
 public:
  virtual ~NameJudge() = default;

  // `name`: presentation text, lower case, without the last dot; "." is the root.
  virtual NameVerdict judge_name(std::string_view name) const = 0;
  // Whether the name of an address may be asked for that no name of the job led to.
  virtual NameVerdict judge_reverse(const IpBytes& ip) const = 0;
  // As those of JobEgress; of kOwnAddress: the ports that connections come from.
  virtual cicd_egress_rules rules_of_name(std::string_view name) const = 0;
  virtual std::optional<cicd_egress_rules> merge(const cicd_egress_rules& a,
                                                 const cicd_egress_rules& b) const = 0;
  virtual InsideVerdict judge_inside(const IpBytes& ip) const = 0;
  virtual std::vector<std::string> upstreams() const = 0;
};

}  // namespace cicd
