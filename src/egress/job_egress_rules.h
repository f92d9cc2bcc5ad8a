// SPDX-License-Identifier: Apache-2.0
// RuleList: the rules that hold for one address or range, as the kernel side takes them
// (wire/egress.h): at most CICD_EGRESS_RULES_MAX, no repeats. Of rules that deny, the kernel names
// the last one that fits: add the most specific one last. For job_egress.cpp.
// Pure data; one thread.
#pragma once

#include <vector>

#include "egress/policy.h"
#include "wire/egress.h"

namespace cicd {

class RuleList {
 public:
  RuleList() = default;
  explicit RuleList(const cicd_egress_rules& rules) : rules_(rules) {}

  // False: there is no room, and the list is as it was in all that it decides.
  bool add(const cicd_egress_rule& rule);
  // Adds one that denies even when something that allows has to go for it.
  void add_deny(const cicd_egress_rule& rule);
  const cicd_egress_rules& rules() const { return rules_; }

 private:
  bool join(const cicd_egress_rule& rule);
  void remove(std::uint32_t at);
  void drop_covered();

  cicd_egress_rules rules_{};
};

// What a rule of a policy comes to: one entry for each range of ports. `scope` is one bit, `step`
// the number of its step, `number` its place in the policy, from 1.
std::vector<cicd_egress_rule> wire_rules(const EgressRule& rule, std::uint8_t scope,
                                         std::uint8_t step, std::uint16_t number);

}  // namespace cicd
