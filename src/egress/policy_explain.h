// SPDX-License-Identifier: Apache-2.0
// Why a policy allows or denies a destination, in words; and whether a policy is one that the
// kernel side can take. For `cicd-sensorctl policy`, not for jobs that run. Threads: pure
// functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "egress/policy.h"

namespace cicd {

// "registry.npmjs.org:443", "10.0.0.1:22", "[2001:db8::1]:443"; without a port, all of a host.
struct PolicyDestination {
  std::string host;  // empty: an address
  std::optional<IpBytes> ip;
  std::optional<std::uint16_t> port;
};
Result<PolicyDestination> parse_destination(const std::string& text);

struct PolicyQuestion {
  PolicyDestination destination;
  std::uint8_t proto = 0;  // IPPROTO_*
  PolicySubject subject;
  std::string_view step;
};

struct ConsideredRule {
  const EgressRule* rule = nullptr;  // points into the policy
  std::string note;                  // why it does not decide
};

struct PolicyExplanation {
  EgressJudgement judgement;
  bool is_name_refused = false;  // the name is not even resolved
  std::string because;
  std::string hint;                    // what would allow it; empty: it is allowed
  std::vector<ConsideredRule> others;  // rules for this destination that do not decide
};

inline constexpr std::size_t kMaxConsideredRules = 20;

// `policy` was made for the subject of the question.
PolicyExplanation explain_policy(const EgressPolicy& policy, const PolicyQuestion& question);

// An error when more rules meet at one place, or more steps are named, than fit for some job or
// project that the policy names (JobEgress::make).
Result<> check_policy_fits(const PolicyDocument& document);

}  // namespace cicd
