// SPDX-License-Identifier: Apache-2.0
// Any bytes as an egress policy: reading ends with a policy or with errors of one line each; what
// is read can be judged by and compiled, and the kernel side would decide as the policy does for
// the names and ranges that stand in it.
#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "egress/job_egress.h"
#include "egress/policy_explain.h"

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

// What is asked about a rule: its own host or range, to a port of it and to another one.
void ask(const cicd::EgressPolicy& policy, const cicd::EgressRule& rule) {
  cicd::EgressFlow flow;
  const std::string host = rule.host.starts_with("*.") ? "x" + rule.host.substr(1) : rule.host;
  flow.host = host;
  if (!rule.prefixes.empty()) flow.ip = rule.prefixes[0].address;
  flow.step = rule.step;
  flow.proto = rule.proto == cicd::EgressProto::kIcmp ? IPPROTO_ICMP : IPPROTO_TCP;
  for (const std::uint16_t port :
       {rule.ports.empty() ? std::uint16_t{443} : rule.ports[0].first, std::uint16_t{853}}) {
    flow.port = port;
    const cicd::EgressJudgement judgement = policy.judge_flow(flow);
    expect(judgement.is_allowed == (judgement.reason == cicd::EgressReason::kNone));
    const bool is_named = judgement.rule != nullptr;
    expect(!is_named || judgement.rule->is_deny != judgement.is_allowed);
    cicd::PolicyQuestion question;
    question.destination = {host, flow.ip, port};
    question.proto = flow.proto;
    question.step = flow.step;
    expect(!cicd::explain_policy(policy, question).because.empty());
  }
  policy.judge_name(host);
  policy.is_inside(flow.ip);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const cicd::LoadedPolicy loaded = cicd::load_policy_text(text, "fuzz", "");
  for (const cicd::Diagnostic& diagnostic : loaded.diagnostics) {
    expect(diagnostic.format().find('\n') == std::string::npos);
  }
  expect((loaded.document == nullptr) == cicd::has_errors(loaded.diagnostics));
  if (loaded.document == nullptr) return 0;
  const auto policy =
      std::make_shared<const cicd::EgressPolicy>(*loaded.document, cicd::PolicySubject{"g/p", "j"});
  const auto egress = cicd::JobEgress::make({policy, cicd::EgressMode::kEnforce}, {});
  std::size_t asked = 0;
  for (const cicd::EgressRule* rule : policy->rules()) {
    if (++asked > 50) break;
    ask(*policy, *rule);
    if (!egress || rule->host.empty() || rule->host.starts_with("*.")) continue;
    // A name of a rule has rules, and is refused only when the policy says so.
    expect((*egress)->rules_of_name(rule->host).count > 0);
    const bool is_refused = (*egress)->answer_name(rule->host).is_refused;
    const bool is_audit = loaded.document->is_audit;
    expect(is_refused == (!is_audit && !policy->judge_name(rule->host).is_allowed));
  }
  return 0;
}
