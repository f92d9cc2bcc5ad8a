// SPDX-License-Identifier: Apache-2.0
// JobEgress: what it installs decides as the policies do. A stand-in for the kernel side holds the
// maps and evaluates as bpf/include/egress.h does; EgressPolicy::judge_flow is the other opinion.
#include "egress/job_egress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <span>

#include "egress/job_name_judge.h"
#include "egress/policy_prefixes.h"
#include "egress/policy_random.h"

namespace cicd {
namespace {

using test::ip;
using ::testing::HasSubstr;

class FakeControl : public EgressControl {
 public:
  Result<> set_policy(std::uint32_t, cicd_egress_policy policy) override {
    policy_ = policy;
    return {};
  }
  Result<> put_net(std::uint32_t, const MappedIp& address, int bits,
                   const cicd_egress_rules& rules) override {
    if (masked({address, bits}).address != address) ADD_FAILURE() << "bits behind the prefix";
    nets_[{address, bits}] = rules;
    return {};
  }
  void remove_net(std::uint32_t, const MappedIp& address, int bits) override {
    EXPECT_EQ(nets_.erase({address, bits}), 1U);
  }
  Result<> put_step(std::uint32_t, std::uint64_t hash, std::uint8_t number) override {
    steps_[hash] = number;
    return {};
  }
  Result<> put_address(std::uint32_t, const MappedIp& address,
                       const cicd_egress_rules& rules) override {
    addresses_[address] = rules;
    return {};
  }
  void remove_address(std::uint32_t, const MappedIp& address) override {
    addresses_.erase(address);
  }
  std::vector<std::pair<MappedIp, cicd_egress_rules>> addresses(std::uint32_t) const override {
    return {addresses_.begin(), addresses_.end()};
  }
  std::optional<cicd_dns_client> dns_client(const cicd_dns_client_key&) const override {
    return std::nullopt;
  }
  void tell(const InsideAnswer&) override {}
  EgressTotals totals(std::uint32_t) const override { return {}; }
  std::vector<std::pair<cicd_flow_key, cicd_flow>> flows(std::uint32_t) const override {
    return {};
  }
  std::vector<std::pair<cicd_denied_key, cicd_denied>> take_denied(std::uint32_t) override {
    return {};
  }
  void clear(std::uint32_t) override {}
  Result<> serve_netns(std::uint32_t, bool) override { return {}; }
  void stop_serving(std::uint32_t) override {}
  void stop_serving_all() override {}
  Result<std::vector<cicd_netns_ask>> netns_asks() override {
    return std::vector<cicd_netns_ask>{};
  }
  int netns_asks_fd() const override { return -1; }
  std::vector<std::uint32_t> processes(std::uint32_t) const override { return {}; }
  bool is_of_a_job(std::uint64_t) const override { return false; }
  std::size_t note_sockets(std::uint32_t, std::span<const std::uint32_t>) override { return 0; }

  struct Verdict {
    unsigned failing = 0;
    int reason = CICD_REASON_NONE;
    unsigned rule = 0;
  };
  Verdict judge(const EgressFlow& flow) const;

  std::map<std::pair<MappedIp, int>, cicd_egress_rules> nets_;
  std::map<MappedIp, cicd_egress_rules> addresses_;
  std::map<std::uint64_t, std::uint8_t> steps_;
  cicd_egress_policy policy_{};

 private:
  struct Matches {
    unsigned allowed = 0, denied = 0, other_port = 0, other_step = 0, rule = 0;
    bool has_doh = false;
  };
  void match(const cicd_egress_rules& rules, const EgressFlow& flow, unsigned step,
             Matches& out) const;
};

bool has_ports(const EgressFlow& flow) {
  return flow.proto == IPPROTO_TCP || flow.proto == IPPROTO_UDP;
}

void FakeControl::match(const cicd_egress_rules& rules, const EgressFlow& flow, unsigned step,
                        Matches& out) const {
  for (std::uint32_t i = 0; i < rules.count; ++i) {
    const cicd_egress_rule& rule = rules.rules[i];
    const bool all_ports = rule.port_first == 0 && rule.port_last == 0xffff;
    const bool is_fit = (all_ports || (has_ports(flow) && flow.port >= rule.port_first &&
                                       flow.port <= rule.port_last)) &&
                        (rule.proto == 0 || rule.proto == flow.proto);
    const bool in_step = rule.step == 0 || rule.step == step;
    if (rule.kind == CICD_EGRESS_ALLOW) {
      (is_fit && in_step ? out.allowed : is_fit ? out.other_step : out.other_port) |= rule.scopes;
    } else if (is_fit && in_step) {
      out.denied |= rule.scopes;
      out.has_doh |= rule.kind == CICD_EGRESS_DENY_DOH;
      out.rule = rule.rule;
    }
  }
}

FakeControl::Verdict FakeControl::judge(const EgressFlow& flow) const {
  const unsigned watching = policy_.watching;
  const bool is_v4 = is_mapped_ipv4(flow.ip);
  const bool is_local = is_loopback_address(flow.ip);
  if (is_metadata_address(flow.ip)) {
    if (const unsigned failing = watching & ~policy_.metadata_allow) {
      return {failing, CICD_REASON_METADATA, 0};
    }
  }
  if (has_ports(flow) && flow.port == 853) {
    if (const unsigned failing = watching & ~policy_.dot_allow)
      return {failing, CICD_REASON_DOT, 0};
  }
  if (!is_local && !is_v4) {
    if (const unsigned failing = watching & policy_.ipv6_block) {
      return {failing, CICD_REASON_IPV6, 0};
    }
  }
  unsigned step = 0;
  if (!flow.step.empty()) {
    std::uint64_t hash = CICD_STEP_HASH;
    for (const char c : flow.step) hash = cicd_step_hash(hash, static_cast<std::uint8_t>(c));
    if (const auto known = steps_.find(hash); known != steps_.end()) step = known->second;
  }
  Matches matches;
  if (const auto found = addresses_.find(flow.ip); found != addresses_.end()) {
    match(found->second, flow, step, matches);
  }
  for (int bits = 128; bits >= 0; --bits) {  // a longest-prefix trie knows nothing of IPv4
    const auto found = nets_.find({masked({flow.ip, bits}).address, bits});
    if (found == nets_.end()) continue;
    match(found->second, flow, step, matches);
    break;
  }
  if (const unsigned failing = watching & matches.denied) {
    return {failing, matches.has_doh ? CICD_REASON_DOH : CICD_REASON_RULE, matches.rule};
  }
  if (is_local) return {};
  const unsigned failing = watching & ~(matches.allowed | policy_.default_allow);
  if (failing == 0) return {};
  if (matches.other_step & failing) return {failing, CICD_REASON_STEP, 0};
  if (!has_ports(flow)) return {failing, CICD_REASON_RAW_SOCKET, 0};
  return {failing, matches.other_port & failing ? CICD_REASON_PORT : CICD_REASON_DIRECT_IP, 0};
}

ScopeEgress scope_of(PolicyDocument document, EgressMode mode = EgressMode::kEnforce) {
  return {std::make_shared<EgressPolicy>(std::move(document), PolicySubject{"g/p", "build"}), mode};
}

ScopeEgress scope_of(const std::string& yaml, EgressMode mode = EgressMode::kEnforce) {
  const LoadedPolicy loaded = load_policy_text("version: 1\n" + yaml, "p.yaml", "");
  for (const Diagnostic& diagnostic : loaded.diagnostics) ADD_FAILURE() << diagnostic.format();
  return scope_of(loaded.document != nullptr ? *loaded.document : PolicyDocument{}, mode);
}

int reason_of(EgressReason reason) {
  switch (reason) {
    case EgressReason::kMetadata:
      return CICD_REASON_METADATA;
    case EgressReason::kDot:
      return CICD_REASON_DOT;
    case EgressReason::kIpv6:
      return CICD_REASON_IPV6;
    case EgressReason::kDohEndpoint:
      return CICD_REASON_DOH;
    case EgressReason::kDeniedByRule:
      return CICD_REASON_RULE;
    case EgressReason::kStepNotAllowed:
      return CICD_REASON_STEP;
    case EgressReason::kRawSocket:
      return CICD_REASON_RAW_SOCKET;
    case EgressReason::kPortNotAllowed:
      return CICD_REASON_PORT;
    case EgressReason::kDomainNotInAllowlist:  // the kernel side knows no names
    case EgressReason::kDirectIp:
      return CICD_REASON_DIRECT_IP;
    default:
      return CICD_REASON_NONE;
  }
}

class RandomJobs {
 public:
  explicit RandomJobs(unsigned seed) : random_(seed), choice_(seed) {}

  ScopeEgress scope() {
    switch (choice_() % 5) {
      case 0:
        return {};
      case 1:
        return scope_of(random_.document(5), EgressMode::kObserve);
      default:
        return scope_of(random_.document(5));
    }
  }
  test::RandomPolicies& world() { return random_; }

 private:
  test::RandomPolicies random_;
  std::mt19937 choice_;
};

void expect_same(const JobEgress& egress, const FakeControl& control, const EgressFlow& flow) {
  const FakeControl::Verdict verdict = control.judge(flow);
  unsigned failing = 0;
  std::vector<EgressJudgement> judgements;
  for (const auto& [scope, bit] : {std::pair(&egress.host(), CICD_SCOPE_HOST),
                                   std::pair(&egress.project(), CICD_SCOPE_PROJECT)}) {
    if (!scope->is_watching()) continue;
    const EgressJudgement judgement = scope->policy->judge_flow(flow);
    if (judgement.is_allowed) continue;
    failing |= static_cast<unsigned>(bit);
    judgements.push_back(judgement);
  }
  // Of scopes that fail for different reasons the kernel side tells those of the first reason only.
  ASSERT_EQ(verdict.failing != 0, failing != 0);
  ASSERT_EQ(verdict.failing & ~failing, 0U);
  if (judgements.size() != 1) return;
  ASSERT_EQ(verdict.failing, failing);
  ASSERT_EQ(verdict.reason, reason_of(judgements[0].reason));
  // Rules of a name and of a range are two lists; within one the most specific is named.
  if (judgements[0].rule == nullptr || !flow.host.empty()) return;
  const EgressPolicy& policy =
      *(failing == CICD_SCOPE_HOST ? egress.host() : egress.project()).policy;
  ASSERT_GE(verdict.rule, 1U);
  ASSERT_EQ(policy.rules()[verdict.rule - 1], judgements[0].rule);
}

TEST(JobEgress, DecidesAsThePoliciesDo) {
  int denied = 0, made = 0;
  for (unsigned seed = 0; seed < 1500; ++seed) {
    RandomJobs jobs(seed);
    const auto egress = JobEgress::make(jobs.scope(), jobs.scope());
    if (!egress) {
      EXPECT_THAT(egress.error().text, HasSubstr("more than 16 rules"));
      continue;
    }
    ++made;
    FakeControl control;
    ASSERT_TRUE((*egress)->install(control, 7, 5353));
    EXPECT_EQ((*egress)->is_watching(), control.policy_.watching != 0);
    for (int i = 0; i < 50; ++i) {
      const EgressFlow flow = jobs.world().flow();
      control.addresses_.clear();
      if (const auto rules = (*egress)->rules_of_name(flow.host); rules.count > 0) {
        ASSERT_TRUE(control.put_address(7, flow.ip, rules));
      }
      expect_same(**egress, control, flow);
      if (::testing::Test::HasFatalFailure()) {
        FAIL() << "seed " << seed << " flow " << i << " host " << flow.host << " port "
               << flow.port;
      }
      denied += control.judge(flow).failing != 0 ? 1 : 0;
    }
  }
  EXPECT_GT(made, 1400);
  EXPECT_GT(denied, 10'000);
}

TEST(JobEgress, AnotherOneTakesItsPlaceWithoutLeftovers) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    RandomJobs jobs(seed);
    const ScopeEgress host = jobs.scope();
    const auto before = JobEgress::make(host, {});
    const auto after = JobEgress::make(host, jobs.scope());
    if (!before || !after) continue;
    FakeControl replaced, fresh;
    ASSERT_TRUE((*before)->install(replaced, 7, 0));
    const auto steps_before = replaced.steps_;
    ASSERT_TRUE((*after)->install(replaced, 7, 0, before->get()));
    ASSERT_TRUE((*after)->install(fresh, 7, 0));
    ASSERT_EQ(replaced.nets_.size(), fresh.nets_.size()) << seed;
    // Processes that are in a step keep their number.
    for (const auto& [hash, number] : steps_before) ASSERT_EQ(replaced.steps_.at(hash), number);
  }
}

TEST(JobEgress, FlagsAreThoseOfTheScopesThatWatch) {
  const auto egress =
      JobEgress::make(scope_of("egress: {default: allow}\nmetadata: allow\naudit: true\n"),
                      scope_of("dns: {block_dot: false}\nipv6: block\n"));
  ASSERT_TRUE(egress);
  FakeControl control;
  ASSERT_TRUE((*egress)->install(control, 1, 15353));
  const cicd_egress_policy& policy = control.policy_;
  EXPECT_EQ(policy.watching, CICD_SCOPE_HOST | CICD_SCOPE_PROJECT);
  EXPECT_EQ(policy.enforcing, CICD_SCOPE_PROJECT);
  EXPECT_EQ(policy.default_allow, CICD_SCOPE_HOST);
  EXPECT_EQ(policy.metadata_allow, CICD_SCOPE_HOST);
  EXPECT_EQ(policy.dot_allow, CICD_SCOPE_PROJECT);
  EXPECT_EQ(policy.ipv6_block, CICD_SCOPE_PROJECT);
  EXPECT_EQ(policy.has_steps, 0);
  EXPECT_EQ(policy.resolver_port, 15353);
}

TEST(JobEgress, AScopeThatObservesInstallsNothing) {
  const auto egress =
      JobEgress::make(scope_of("egress: {deny: [{cidr: 10.0.0.0/8}]}\n", EgressMode::kObserve), {});
  ASSERT_TRUE(egress);
  FakeControl control;
  ASSERT_TRUE((*egress)->install(control, 1, 0));
  EXPECT_FALSE((*egress)->is_watching());
  EXPECT_TRUE(control.nets_.empty());
  EXPECT_EQ(control.policy_.watching, 0);
  EXPECT_FALSE((*egress)->answer_name("a.example").is_refused);
}

TEST(JobEgress, NamesAreRefusedByWhoeverEnforces) {
  const std::string allow_a = "egress: {allow: [{host: a.example}]}\n";
  const auto both =
      JobEgress::make(scope_of(allow_a), scope_of("dns: {denied_answer: nxdomain}\negress: {allow: "
                                                  "[{host: a.example}, {host: b.example}]}\n"));
  ASSERT_TRUE(both);
  EXPECT_FALSE((*both)->answer_name("A.example.").is_refused);
  EXPECT_TRUE((*both)->answer_name("b.example").is_refused);
  EXPECT_EQ((*both)->answer_name("c.example").how, DeniedNameAnswer::kRefused);
  const auto project = JobEgress::make(scope_of(allow_a + "audit: true\n"),
                                       scope_of("dns: {denied_answer: nxdomain}\n" + allow_a));
  ASSERT_TRUE(project);
  EXPECT_TRUE((*project)->answer_name("b.example").is_refused);
  EXPECT_EQ((*project)->answer_name("b.example").how, DeniedNameAnswer::kNxdomain);
}

TEST(JobEgress, RulesOfANameAreThoseOfItsWildcardsToo) {
  const auto egress =
      JobEgress::make(scope_of("egress: {allow: [{host: a.x.z.example, ports: [443]}, {host: "
                               "\"*.z.example\", ports: [80]}], "
                               "deny: [{host: \"*.x.z.example\", ports: [25], step: s}]}\n"),
                      scope_of("egress: {allow: [{host: \"*.x.z.example\", ports: [443]}]}\n"));
  ASSERT_TRUE(egress);
  const cicd_egress_rules exact = (*egress)->rules_of_name("a.X.z.example.");
  ASSERT_EQ(exact.count, 3U);  // 443 of both scopes is one
  const auto with = [&](std::uint16_t port) {
    return *std::find_if(exact.rules, exact.rules + exact.count,
                         [&](const cicd_egress_rule& rule) { return rule.port_first == port; });
  };
  EXPECT_EQ(with(443).scopes, CICD_SCOPE_HOST | CICD_SCOPE_PROJECT);
  EXPECT_EQ(with(80).scopes, CICD_SCOPE_HOST);
  EXPECT_EQ(with(25).kind, CICD_EGRESS_DENY);
  EXPECT_EQ(with(25).step, 1);
  EXPECT_EQ(with(25).rule, 3);
  EXPECT_EQ((*egress)->rules_of_name("b.z.example").count, 1U);
  EXPECT_EQ((*egress)->rules_of_name("z.example").count, 0U);
  EXPECT_EQ((*egress)->rules_of_name("dns.google").count, 1U);
}

TEST(JobEgress, MergeLeavesRepeatsOut) {
  cicd_egress_rules a{}, b{};
  for (std::uint16_t i = 0; i < CICD_EGRESS_RULES_MAX; ++i) {
    cicd_egress_rule rule{};
    rule.port_first = rule.port_last = static_cast<std::uint16_t>(1000 + 2 * i);
    rule.kind = CICD_EGRESS_ALLOW;
    rule.scopes = CICD_SCOPE_HOST;
    a.rules[a.count++] = rule;
  }
  b.rules[b.count++] = a.rules[3];
  b.rules[0].scopes = CICD_SCOPE_PROJECT;
  const auto merged = JobEgress::merge(a, b);
  ASSERT_TRUE(merged);
  EXPECT_EQ(merged->count, 16U);
  EXPECT_EQ(merged->rules[3].scopes, CICD_SCOPE_HOST | CICD_SCOPE_PROJECT);
  b.rules[0].port_first = b.rules[0].port_last = 1;
  EXPECT_FALSE(JobEgress::merge(a, b));
  // One that has all the others in it takes their place.
  b.rules[0] = a.rules[0];
  b.rules[0].port_first = 0;
  b.rules[0].port_last = 65'535;
  const auto covered = JobEgress::merge(a, b);
  ASSERT_TRUE(covered);
  EXPECT_EQ(covered->count, 1U);
  EXPECT_EQ(JobEgress::merge(b, a)->count, 16U);
}

TEST(JobEgress, TooManyRulesAtOnePlaceAreAnErrorThatSaysWhere) {
  std::string yaml = "egress:\n  allow:\n";
  for (int i = 0; i < 17; ++i) {
    yaml += "    - {cidr: 10.0.0.0/8, ports: [" + std::to_string(100 + 2 * i) + "]}\n";
  }
  const auto egress = JobEgress::make({}, scope_of(yaml));
  ASSERT_FALSE(egress);
  EXPECT_EQ(egress.error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(egress.error().text,
            "more than 16 rules and ranges of ports meet at 10.0.0.0/8; the one of p.yaml:4 does "
            "not fit");
}

TEST(JobEgress, TooManyStepsAreAnError) {
  std::string yaml = "egress:\n  allow:\n";
  for (int i = 0; i < 256; ++i) {
    yaml += "    - {host: h" + std::to_string(i) + ".example, step: s" + std::to_string(i) + "}\n";
  }
  const auto egress = JobEgress::make(scope_of(yaml), {});
  ASSERT_FALSE(egress);
  EXPECT_THAT(egress.error().text, HasSubstr("more than 255 steps; the one of p.yaml:259"));
}

TEST(JobEgress, TheJobsOwnAddressIsOpenForWhatIsAnsweredThere) {
  const auto egress = JobEgress::make(scope_of("egress: {deny: [{host: own}]}\n"),
                                      scope_of(std::string(), EgressMode::kObserve));
  ASSERT_TRUE(egress);
  const cicd_egress_rules rules = JobNameJudge(*egress).rules_of_name(kOwnAddress);
  ASSERT_EQ(rules.count, 1u);
  EXPECT_EQ(rules.rules[0].kind, CICD_EGRESS_ALLOW);
  EXPECT_EQ(rules.rules[0].scopes, CICD_SCOPE_HOST);
  EXPECT_EQ(rules.rules[0].port_first, 32'768);
  EXPECT_EQ(rules.rules[0].port_last, 65'535);
  EXPECT_EQ(rules.rules[0].step, 0);
}

TEST(JobEgress, RebindingIsWhatAWatchingScopeCallsInside) {
  const auto egress =
      JobEgress::make(scope_of("audit: true\n"),
                      scope_of("trusted_nets: [10.0.0.0/8]\ndns: {upstream: [9.9.9.9]}\n"));
  ASSERT_TRUE(egress);
  const JobNameJudge judge(*egress);
  EXPECT_EQ(judge.judge_inside(ip("10.0.0.1")).scopes, CICD_SCOPE_HOST);
  EXPECT_FALSE(judge.judge_inside(ip("10.0.0.1")).is_blocked) << "the host only audits";
  EXPECT_EQ(judge.judge_inside(ip("192.168.0.1")).scopes, CICD_SCOPE_HOST | CICD_SCOPE_PROJECT);
  EXPECT_TRUE(judge.judge_inside(ip("192.168.0.1")).is_blocked);
  EXPECT_EQ(judge.judge_inside(ip("192.0.2.1")).scopes, 0);
  EXPECT_THAT((*egress)->upstreams(), ::testing::ElementsAre("9.9.9.9"));
}

}  // namespace
}  // namespace cicd
