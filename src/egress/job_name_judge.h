// SPDX-License-Identifier: Apache-2.0
// JobNameJudge: the policies of a job as the resolver asks them. Threads: any; immutable.
#pragma once

#include <memory>
#include <utility>

#include "egress/job_egress.h"
#include "egress/name_judge.h"

namespace cicd {

class JobNameJudge final : public NameJudge {
 public:
  explicit JobNameJudge(std::shared_ptr<const JobEgress> egress) : egress_(std::move(egress)) {}

  NameVerdict judge_name(std::string_view name) const override;
  NameVerdict judge_reverse(const IpBytes& ip) const override;
  cicd_egress_rules rules_of_name(std::string_view name) const override;
  std::optional<cicd_egress_rules> merge(const cicd_egress_rules& a,
                                         const cicd_egress_rules& b) const override;
  InsideVerdict judge_inside(const IpBytes& ip) const override;
  std::vector<std::string> upstreams() const override;

 private:
  std::shared_ptr<const JobEgress> egress_;
};

}  // namespace cicd
