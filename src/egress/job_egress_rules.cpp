// SPDX-License-Identifier: Apache-2.0
#include "egress/job_egress_rules.h"

#include <netinet/in.h>

namespace cicd {

namespace {

bool is_same_match(const cicd_egress_rule& a, const cicd_egress_rule& b) {
  return a.kind == b.kind && a.port_first == b.port_first && a.port_last == b.port_last &&
         a.proto == b.proto && a.step == b.step;
}

// Whatever `b` fits, `a` fits as well, in the same scopes.
bool covers(const cicd_egress_rule& a, const cicd_egress_rule& b) {
  return a.kind == b.kind && (a.scopes & b.scopes) == b.scopes && a.port_first <= b.port_first &&
         a.port_last >= b.port_last && (a.proto == 0 || a.proto == b.proto) &&
         (a.step == 0 || a.step == b.step);
}

std::uint8_t wire_proto(EgressProto proto) {
  switch (proto) {
    case EgressProto::kAny:
      return 0;
    case EgressProto::kTcp:
      return IPPROTO_TCP;
    case EgressProto::kUdp:
      return IPPROTO_UDP;
    case EgressProto::kIcmp:
      return IPPROTO_ICMP;
  }
  return 0;
}

}  // namespace

bool RuleList::add(const cicd_egress_rule& rule) {
  if (join(rule)) return true;
  if (rules_.count == CICD_EGRESS_RULES_MAX) {
    for (std::uint32_t i = 0; i < rules_.count; ++i) {
      if (covers(rules_.rules[i], rule)) return true;
    }
    drop_covered();
    for (std::uint32_t i = rules_.count; i-- > 0;) {
      if (covers(rule, rules_.rules[i])) remove(i);
    }
  }
  if (rules_.count == CICD_EGRESS_RULES_MAX) return false;
  rules_.rules[rules_.count++] = rule;
  return true;
}

void RuleList::add_deny(const cicd_egress_rule& rule) {
  if (add(rule)) return;
  for (std::uint32_t i = 0; i < rules_.count; ++i) {
    if (rules_.rules[i].kind != CICD_EGRESS_ALLOW) continue;
    remove(i);
    rules_.rules[rules_.count++] = rule;
    return;
  }
}

// True: an entry that fits the same stands for the rule, too.
bool RuleList::join(const cicd_egress_rule& rule) {
  for (std::uint32_t i = 0; i < rules_.count; ++i) {
    cicd_egress_rule& known = rules_.rules[i];
    if (!is_same_match(known, rule)) continue;
    if (rule.kind == CICD_EGRESS_ALLOW || rule.rule == 0) {  // nobody is told which one it was
      if ((known.scopes | rule.scopes) != known.scopes) known.rule = 0;
      known.scopes |= rule.scopes;
      return true;
    }
    if (known.scopes != rule.scopes) continue;
    remove(i);
    rules_.rules[rules_.count++] = rule;  // the last one is named
    return true;
  }
  return false;
}

void RuleList::remove(std::uint32_t at) {
  for (std::uint32_t i = at; i + 1 < rules_.count; ++i) rules_.rules[i] = rules_.rules[i + 1];
  rules_.rules[--rules_.count] = {};
}

void RuleList::drop_covered() {
  for (std::uint32_t i = rules_.count; i-- > 0;) {
    for (std::uint32_t other = 0; other < rules_.count; ++other) {
      if (other == i || !covers(rules_.rules[other], rules_.rules[i])) continue;
      remove(i);
      break;
    }
  }
}

std::vector<cicd_egress_rule> wire_rules(const EgressRule& rule, std::uint8_t scope,
                                         std::uint8_t step, std::uint16_t number) {
  cicd_egress_rule entry{};
  entry.port_last = 65'535;
  entry.proto = wire_proto(rule.proto);
  entry.kind = rule.is_deny ? CICD_EGRESS_DENY : CICD_EGRESS_ALLOW;
  entry.scopes = scope;
  entry.step = step;
  entry.rule = number;
  if (rule.ports.empty()) return {entry};
  std::vector<cicd_egress_rule> out;
  for (const PortRange& range : rule.ports) {
    entry.port_first = range.first;
    entry.port_last = range.last;
    out.push_back(entry);
  }
  return out;
}

}  // namespace cicd
