// SPDX-License-Identifier: Apache-2.0
#include "egress/scope_egress.h"

#include <gtest/gtest.h>

#include "support/records.h"

namespace cicd {
namespace {

EgressRule allow(std::string host, std::uint16_t port) {
  EgressRule rule;
  rule.rule_id = "allow-" + host;
  rule.host = std::move(host);
  rule.ports = {{port, port}};
  rule.proto = EgressProto::kTcp;
  return rule;
}

EgressRule deny(std::string_view cidr) {
  EgressRule rule;
  rule.is_deny = true;
  rule.rule_id = "deny-net";
  rule.prefixes = {*parse_cidr(cidr)};
  return rule;
}

PolicyDocument document(bool is_audit = false) {
  PolicyDocument document;
  document.profile = "ci";
  document.version_digest = "sha256:00";
  document.is_audit = is_audit;
  document.rules = {allow("registry.test", 443), deny("203.0.113.0/24")};
  return document;
}

EgressJudge judge_of(EgressMode mode, bool is_audit = false, std::string_view scope = "project") {
  auto policy = std::make_shared<const EgressPolicy>(document(is_audit), PolicySubject{});
  return EgressJudge({std::move(policy), mode}, scope);
}

const ProcessRef& curl() {
  static const ProcessRef process = support::make_process(1, "/usr/bin/curl", {"curl"});
  return process;
}

EventRecord asked(std::string_view name, std::string_view result = {}) {
  EventRecord record = support::make_record(EventType::kDomain, curl());
  record.fields[field::domain::kDomain] = name;
  record.fields[field::domain::kResult] = result;
  return record;
}

EventRecord connected(std::string_view ip, std::uint16_t port, std::string_view domain = {},
                      std::string_view protocol = "tcp") {
  EventRecord record = support::make_connect(curl(), ip, port, protocol);
  record.fields[field::network_connect::kDomain] = domain;
  record.fields[field::network_connect::kDomainSource] = domain.empty() ? "none" : "dns_answer";
  return record;
}

EventRecord denied(std::string_view scope, std::string_view reason, std::string_view domain = {}) {
  namespace f = field::egress_violation;
  EventRecord record = support::make_record(EventType::kEgressViolation, curl());
  record.fields[f::kVerdict] = "block";
  record.fields[f::kReason] = reason;
  record.fields[f::kScope] = scope;
  record.fields[f::kRemoteIp] = "203.0.113.9";
  record.fields[f::kRemotePort] = 443;
  record.fields[f::kProtocol] = "tcp";
  record.fields[f::kDomain] = domain;
  record.fields[f::kDomainSource] = domain.empty() ? "none" : "resolver";
  record.fields[f::kCount] = 3;
  record.fields[f::kBytes] = 120;
  record.fields[f::kPackets] = 2;
  return record;
}

TEST(EgressJudge, ANameThatIsNotAllowedInEveryMode) {
  const EventRecord record = asked("evil.test");
  const auto verdict = [&](const EgressJudge& judge) { return judge.judge(record)->verdict; };
  EXPECT_EQ(verdict(judge_of(EgressMode::kObserve)), EgressVerdict::kAllow);
  EXPECT_EQ(verdict(judge_of(EgressMode::kLearn)), EgressVerdict::kAllow);
  EXPECT_EQ(verdict(judge_of(EgressMode::kEnforce, true)), EgressVerdict::kAudit);
  EXPECT_EQ(verdict(judge_of(EgressMode::kEnforce)), EgressVerdict::kBlock);
  const auto violation = judge_of(EgressMode::kEnforce).judge(record);
  EXPECT_EQ(violation->reason, EgressReason::kDomainNotInAllowlist);
  EXPECT_EQ(violation->host, "evil.test");
  EXPECT_EQ(violation->host_source, "resolver");
  EXPECT_EQ(judge_of(EgressMode::kObserve).judge(record)->host_source, "dns_answer");
  EXPECT_EQ(violation->protocol, "dns");
  EXPECT_EQ(violation->ip, "");
  EXPECT_EQ(violation->rule_id, "");
  EXPECT_FALSE(judge_of(EgressMode::kObserve).judge(asked("registry.test")));
  EXPECT_FALSE(judge_of(EgressMode::kObserve).judge(asked("evil.test", "NXDOMAIN"))) << "an answer";
}

TEST(EgressJudge, ConnectsAreJudgedWhileNothingIsDenied) {
  const EgressJudge judge = judge_of(EgressMode::kObserve);
  EXPECT_FALSE(judge.judge(connected("192.0.2.7", 443, "registry.test")));

  const EventRecord port = connected("192.0.2.7", 80, "registry.test");
  EXPECT_EQ(judge.judge(port)->reason, EgressReason::kPortNotAllowed);
  EXPECT_EQ(judge.judge(port)->host_source, "dns_answer");

  const EventRecord direct = connected("192.0.2.7", 443);
  const auto violation = judge.judge(direct);
  EXPECT_EQ(violation->reason, EgressReason::kDirectIp);
  EXPECT_EQ(violation->verdict, EgressVerdict::kAllow);
  EXPECT_EQ(violation->host_source, "none");
  EXPECT_EQ(violation->ip, "192.0.2.7");
  EXPECT_EQ(violation->port, 443);
  EXPECT_EQ(violation->record, &direct);

  const EventRecord name = connected("192.0.2.7", 443, "evil.test");
  EXPECT_EQ(judge.judge(name)->reason, EgressReason::kDomainNotInAllowlist);

  const EventRecord ruled = connected("203.0.113.5", 443, "registry.test");
  EXPECT_EQ(judge.judge(ruled)->reason, EgressReason::kDeniedByRule);
  EXPECT_EQ(judge.judge(ruled)->rule_id, "deny-net");

  EXPECT_FALSE(judge_of(EgressMode::kEnforce).judge(direct)) << "the kernel side tells its own";
  EXPECT_FALSE(judge_of(EgressMode::kEnforce, true).judge(direct));
}

TEST(EgressJudge, WhatNoPolicyIsAbout) {
  const EgressJudge judge = judge_of(EgressMode::kObserve);
  EXPECT_FALSE(judge.judge(connected("192.0.2.53", 53, {}, "udp"))) << "the name is judged";
  EXPECT_FALSE(judge.judge(connected("192.0.2.7", 0, {}, "udp"))) << "getaddrinfo sorts";
  EXPECT_TRUE(judge.judge(connected("192.0.2.7", 0, {}, "tcp")));
  EXPECT_FALSE(judge.judge(connected("127.0.0.1", 8080)));
  EXPECT_FALSE(judge.judge(support::make_open(curl(), "/etc/passwd")));
  EXPECT_FALSE(EgressJudge({}, "host").judge(connected("192.0.2.7", 443)));
}

TEST(EgressJudge, AnAddressOfSeveralNamesIsAllowedWhenOneOfThemIs) {
  const EgressJudge judge = judge_of(EgressMode::kLearn);
  EventRecord record = connected("192.0.2.7", 443, "evil.test");
  record.fields[field::network_connect::kDomainCandidates] = "a.test, registry.test";
  EXPECT_TRUE(judge.judge(record));
  record.marks = kMarkAmbiguousDomain;
  EXPECT_FALSE(judge.judge(record));
  record.fields[field::network_connect::kDomainCandidates] = "a.test, b.test";
  EXPECT_EQ(judge.judge(record)->host, "evil.test");
}

TEST(EgressJudge, WhatTheKernelSideDeniedGoesToTheScopeItIsAgainst) {
  const EventRecord record = denied("host,project", "port_not_allowed", "registry.test");
  for (const std::string_view scope : {"host", "project"}) {
    const EgressJudge judge = judge_of(EgressMode::kEnforce, false, scope);
    const auto violation = judge.judge(record);
    ASSERT_TRUE(violation);
    EXPECT_EQ(violation->verdict, EgressVerdict::kBlock);
    EXPECT_EQ(violation->reason, EgressReason::kPortNotAllowed);
    EXPECT_EQ(violation->count, 3u);
    EXPECT_EQ(violation->bytes, 120u);
    EXPECT_EQ(violation->packets, 2u);
    EXPECT_EQ(violation->host_source, "resolver");
    EXPECT_EQ(judge.policy_ref().scope, scope);
  }
  EXPECT_FALSE(judge_of(EgressMode::kEnforce, false, "host").judge(denied("project", "dot")));
  // One scope's denial is another one's audit.
  EXPECT_EQ(judge_of(EgressMode::kEnforce, true).judge(record)->verdict, EgressVerdict::kAudit);
  EXPECT_FALSE(judge_of(EgressMode::kObserve).judge(record));
}

TEST(EgressJudge, ADirectAddressWhoseNameIsKnownIsAMatterOfTheName) {
  const EgressJudge judge = judge_of(EgressMode::kEnforce);
  const auto reason = [&](const EventRecord& record) { return judge.judge(record)->reason; };
  EXPECT_EQ(reason(denied("project", "direct_ip", "evil.test")),
            EgressReason::kDomainNotInAllowlist);
  EXPECT_EQ(reason(denied("project", "direct_ip", "registry.test")), EgressReason::kDirectIp);
  EXPECT_EQ(reason(denied("project", "direct_ip")), EgressReason::kDirectIp);
  EXPECT_EQ(reason(denied("project", "nonsense")), EgressReason::kDefaultDeny);
  const EventRecord ruled = denied("project", "denied_by_rule");
  EXPECT_EQ(judge.judge(ruled)->rule_id, "deny-net");
}

TEST(EgressJudge, AnAnswerThatLeadsInsideHasNoRule) {
  EventRecord record = denied("project", "rebinding", "registry.test");
  record.fields[field::egress_violation::kRemotePort] = 0;
  record.fields[field::egress_violation::kProtocol] = "dns";
  const auto violation = judge_of(EgressMode::kEnforce).judge(record);
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->reason, EgressReason::kRebinding);
  EXPECT_EQ(violation->verdict, EgressVerdict::kBlock);
  EXPECT_EQ(violation->rule_id, "") << "not the rule of the range that the address is in";
  EXPECT_EQ(violation->host, "registry.test");
  EXPECT_EQ(violation->protocol, "dns");
  record.fields[field::egress_violation::kVerdict] = "audit";
  EXPECT_EQ(judge_of(EgressMode::kEnforce).judge(record)->verdict, EgressVerdict::kAudit);
}

TEST(EgressJudge, NamesOfProtocols) {
  EXPECT_EQ(protocol_number("tcp"), 6);
  EXPECT_EQ(protocol_number("132"), 132);
  EXPECT_EQ(protocol_number("999"), 0);
  EXPECT_EQ(protocol_number("x"), 0);
  EXPECT_EQ(protocol_name("1"), "icmp");
  EXPECT_EQ(protocol_name("132"), "132");
}

TEST(EgressWords, ThereAndBack) {
  for (std::size_t i = 0; i < kEgressReasonCount; ++i) {
    const auto reason = static_cast<EgressReason>(i);
    EXPECT_EQ(egress_reason_of(name_of(reason)), reason);
  }
  for (std::size_t i = 0; i < kEgressVerdictCount; ++i) {
    const auto verdict = static_cast<EgressVerdict>(i);
    EXPECT_EQ(egress_verdict_of(name_of(verdict)), verdict);
  }
  EXPECT_FALSE(egress_reason_of("nonsense"));
  EXPECT_FALSE(egress_verdict_of(""));
}

}  // namespace
}  // namespace cicd
