// SPDX-License-Identifier: Apache-2.0
#include "egress/job_name_judge.h"

namespace cicd {

namespace {

// Linux takes the ports of connections from here on (ip_local_port_range).
constexpr std::uint16_t kFirstOwnPort = 32'768;

}  // namespace

NameVerdict JobNameJudge::judge_name(std::string_view name) const {
  const JobEgress::NameAnswer answer = egress_->answer_name(name);
  NameVerdict verdict{.is_refused = answer.is_refused, .how = answer.how};
  if (verdict.is_refused) return verdict;
  for (const ScopeEgress* scope : {&egress_->host(), &egress_->project()}) {
    if (!scope->is_watching() || scope->is_enforcing()) continue;
    verdict.is_audited = verdict.is_audited || !scope->policy->judge_name(name).is_allowed;
  }
  return verdict;
}

// An address of a trusted net is one that the job may reach without a name. A policy that allows
// what it does not name has nothing to hide from the job either.
NameVerdict JobNameJudge::judge_reverse(const IpBytes& ip) const {
  NameVerdict verdict;
  for (const ScopeEgress* scope : {&egress_->host(), &egress_->project()}) {
    if (!scope->is_watching()) continue;
    const PolicyDocument& document = scope->policy->document();
    if (document.default_allow || scope->policy->is_trusted(ip)) continue;
    if (!scope->is_enforcing()) {
      verdict.is_audited = true;
    } else if (!verdict.is_refused) {
      verdict.is_refused = true;
      verdict.how = document.denied_names;
    }
  }
  return verdict;
}

cicd_egress_rules JobNameJudge::rules_of_name(std::string_view name) const {
  if (name != kOwnAddress) return egress_->rules_of_name(name);
  cicd_egress_rules out{};
  out.count = 1;
  out.rules[0].port_first = kFirstOwnPort;
  out.rules[0].port_last = 65'535;
  out.rules[0].kind = CICD_EGRESS_ALLOW;
  if (egress_->host().is_watching()) out.rules[0].scopes |= CICD_SCOPE_HOST;
  if (egress_->project().is_watching()) out.rules[0].scopes |= CICD_SCOPE_PROJECT;
  return out;
}

std::optional<cicd_egress_rules> JobNameJudge::merge(const cicd_egress_rules& a,
                                                     const cicd_egress_rules& b) const {
  return JobEgress::merge(a, b);
}

InsideVerdict JobNameJudge::judge_inside(const IpBytes& ip) const {
  InsideVerdict verdict;
  const auto ask = [&](const ScopeEgress& scope, std::uint8_t bit) {
    if (!scope.is_watching() || !scope.policy->is_inside(ip)) return;
    verdict.scopes |= bit;
    verdict.is_blocked = verdict.is_blocked || scope.is_enforcing();
  };
  ask(egress_->host(), CICD_SCOPE_HOST);
  ask(egress_->project(), CICD_SCOPE_PROJECT);
  return verdict;
}

std::vector<std::string> JobNameJudge::upstreams() const { return egress_->upstreams(); }

}  // namespace cicd
