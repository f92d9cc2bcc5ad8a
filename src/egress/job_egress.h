// SPDX-License-Identifier: Apache-2.0
// JobEgress: the policies of a job's scopes together, as the kernel side and the resolver need
// them: ranges, steps, the rules of each address that a name leads to, which names are refused.
//
// Threads: any; immutable once made (a job that gets its project policy gets a new one).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "egress/policy.h"
#include "kernel/egress_control.h"

namespace cicd {

struct ScopeEgress {
  std::shared_ptr<const EgressPolicy> policy;  // null: the scope has none
  EgressMode mode = EgressMode::kObserve;

  bool is_watching() const { return policy != nullptr && mode == EgressMode::kEnforce; }
  bool is_enforcing() const { return is_watching() && !policy->document().is_audit; }
};

class JobEgress {
 public:
  // kInvalidInput: more rules meet at one range, or more steps are named, than the kernel side
  // takes (wire/egress.h); the text says where.
  static Result<std::shared_ptr<const JobEgress>> make(ScopeEgress host, ScopeEgress project);

  const ScopeEgress& host() const { return host_; }
  const ScopeEgress& project() const { return project_; }
  // Some scope's policy is in force (enforce or audit): names go through the resolver.
  bool is_watching() const { return host_.is_watching() || project_.is_watching(); }

  // Everything of the kernel side but addresses. `resolver_port` 0: names are not redirected.
  // `before`: what this one takes the place of; what only that one has is taken away last, so that
  // no rule that both have is ever missing. Addresses of names are to be put again by their owner.
  Result<> install(EgressControl& control, std::uint32_t slot, std::uint16_t resolver_port,
                   const JobEgress* before = nullptr) const;

  struct NameAnswer {
    bool is_refused = false;
    DeniedNameAnswer how = DeniedNameAnswer::kRefused;
  };
  // A scope that only audits refuses nothing. The host's answer wins when both refuse.
  NameAnswer answer_name(std::string_view name) const;
  // What holds for an address that `name` leads to; count 0: nothing (all is denied or default).
  cicd_egress_rules rules_of_name(std::string_view name) const;
  // Both lists in one, repeats left out; nullopt: they do not fit.
  static std::optional<cicd_egress_rules> merge(const cicd_egress_rules& a,
                                                const cicd_egress_rules& b);
  std::vector<std::string> upstreams() const;  // the host's, else the project's

 private:
  struct Compiled;
  JobEgress(ScopeEgress host, ScopeEgress project, std::shared_ptr<const Compiled> compiled);

  ScopeEgress host_, project_;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace cicd
