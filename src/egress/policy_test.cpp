// SPDX-License-Identifier: Apache-2.0
// EgressPolicy: what each kind of rule decides, and the same answers as a slow twin that looks at
// every rule, over random policies.
#include "egress/policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "egress/doh_endpoints.h"
#include "egress/policy_prefixes.h"
#include "egress/policy_random.h"

namespace cicd {
namespace {

using test::ip;

// Looks at all rules, one after the other, as docs/policy.md tells it.
class SlowPolicy {
 public:
  SlowPolicy(const PolicyDocument& document, std::string_view job) : document_(document) {
    for (const EgressRule& rule : document.rules) {
      if (rule.job.empty() || rule.job == job) rules_.push_back(&rule);
    }
  }

  EgressJudgement judge_name(std::string_view name) const {
    const std::string plain = plain_name(name);
    if (document_.block_doh && is_doh(plain)) return {false, EgressReason::kDohEndpoint, nullptr};
    const EgressRule* allow = nullptr;
    const EgressRule* deny = nullptr;
    int allow_rank = 0, deny_rank = 0;
    for (const EgressRule* rule : rules_) {
      const int rank = host_rank(*rule, plain);
      if (rank == 0) continue;
      const bool is_whole =
          rule->ports.empty() && rule->proto == EgressProto::kAny && rule->step.empty();
      if (rule->is_deny && is_whole && rank > deny_rank) deny = rule, deny_rank = rank;
      if (!rule->is_deny && rank > allow_rank) allow = rule, allow_rank = rank;
    }
    if (deny != nullptr) return {false, EgressReason::kDeniedByRule, deny};
    if (allow != nullptr || document_.default_allow) return {true, EgressReason::kNone, allow};
    return {false, EgressReason::kDomainNotInAllowlist, nullptr};
  }

  EgressJudgement judge_flow(const EgressFlow& flow) const {
    const bool is_tcp_udp = flow.proto == IPPROTO_TCP || flow.proto == IPPROTO_UDP;
    const bool is_v4 = IpPrefix{ip("0.0.0.0"), 96}.contains(flow.ip);
    const bool is_local = flow.ip == ip("::1") || flow.ip == ip("::") || flow.ip == ip("0.0.0.0") ||
                          parse_cidr("127.0.0.0/8")->contains(flow.ip);
    const bool is_metadata = flow.ip == ip("169.254.169.254") || flow.ip == ip("fd00:ec2::254");
    if (is_metadata && !document_.allow_metadata) return no(EgressReason::kMetadata);
    if (document_.block_dot && is_tcp_udp && flow.port == 853) return no(EgressReason::kDot);
    if (document_.block_ipv6 && !is_v4 && !is_local) return no(EgressReason::kIpv6);
    const std::string plain = plain_name(flow.host);
    bool is_doh_there = is_doh(plain);
    for (const std::string_view text : doh_address_texts()) {
      is_doh_there |= parse_cidr(text)->contains(flow.ip);
    }
    if (document_.block_doh && is_tcp_udp && flow.port == 443 && is_doh_there) {
      return no(EgressReason::kDohEndpoint);
    }
    const EgressRule* best[2] = {};
    int rank[2] = {};
    bool other_port = false, other_step = false;
    for (const EgressRule* rule : rules_) {
      const int own = std::max(host_rank(*rule, plain), net_rank(*rule, flow.ip));
      if (own == 0) continue;
      const bool is_fit = fits(*rule, flow);
      const bool in_step = rule->step.empty() || rule->step == flow.step;
      if (is_fit && in_step && own > rank[rule->is_deny]) {
        best[rule->is_deny] = rule, rank[rule->is_deny] = own;
      }
      if (!rule->is_deny && is_fit && !in_step) other_step = true;
      if (!rule->is_deny && !is_fit) other_port = true;
    }
    if (best[1] != nullptr) return {false, EgressReason::kDeniedByRule, best[1]};
    const bool is_trusted = std::ranges::any_of(
        document_.trusted_nets, [&](const IpPrefix& net) { return net.contains(flow.ip); });
    if (best[0] != nullptr || is_trusted || is_local || is_metadata || document_.default_allow) {
      return {true, EgressReason::kNone, best[0]};
    }
    if (other_step) return no(EgressReason::kStepNotAllowed);
    if (!is_tcp_udp) return no(EgressReason::kRawSocket);
    if (other_port) return no(EgressReason::kPortNotAllowed);
    return no(flow.host.empty() ? EgressReason::kDirectIp : EgressReason::kDomainNotInAllowlist);
  }

 private:
  static EgressJudgement no(EgressReason reason) { return {false, reason, nullptr}; }

  static std::string plain_name(std::string_view name) {
    std::string out;
    for (const char c : name) out += static_cast<char>(std::tolower(c));
    if (out.ends_with('.')) out.pop_back();
    return out.find(' ') == std::string::npos ? out : "";
  }
  static bool is_doh(const std::string& name) {
    return std::ranges::any_of(doh_names(), [&](std::string_view known) {
      return name == known || name.ends_with("." + std::string(known));
    });
  }
  // 0: not of this name. An exact host before any wildcard, both before any range.
  static int host_rank(const EgressRule& rule, const std::string& name) {
    if (rule.host.empty() || name.empty()) return 0;
    if (rule.host == name) return 100'000;
    if (!rule.host.starts_with("*.") || !name.ends_with(rule.host.substr(1))) return 0;
    return name.size() >= rule.host.size() ? 1000 + static_cast<int>(rule.host.size()) : 0;
  }
  static int net_rank(const EgressRule& rule, const IpBytes& address) {
    int out = 0;
    for (const IpPrefix& prefix : rule.prefixes) {
      if (prefix.contains(address)) out = std::max(out, prefix.bits + 1);
    }
    return out;
  }
  static bool fits(const EgressRule& rule, const EgressFlow& flow) {
    const bool is_tcp_udp = flow.proto == IPPROTO_TCP || flow.proto == IPPROTO_UDP;
    if (rule.proto == EgressProto::kTcp && flow.proto != IPPROTO_TCP) return false;
    if (rule.proto == EgressProto::kUdp && flow.proto != IPPROTO_UDP) return false;
    if (rule.proto == EgressProto::kIcmp && flow.proto != IPPROTO_ICMP) return false;
    if (rule.ports.empty()) return true;
    for (const PortRange& range : rule.ports) {
      if (is_tcp_udp && flow.port >= range.first && flow.port <= range.last) return true;
    }
    return false;
  }

  const PolicyDocument& document_;
  std::vector<const EgressRule*> rules_;
};

std::string told(const EgressJudgement& judgement) {
  return std::string(judgement.is_allowed ? "allowed" : "denied") + " " +
         std::string(name_of(judgement.reason)) + " " +
         (judgement.rule != nullptr ? judgement.rule->rule_id : "-");
}

TEST(EgressPolicy, AnswersAsTheSlowTwin) {
  int allowed = 0, by_rule = 0;
  for (unsigned seed = 0; seed < 1500; ++seed) {
    test::RandomPolicies random(seed);
    const EgressPolicy policy(random.document(12), {"group/project", "build"});
    const SlowPolicy slow(policy.document(), "build");
    for (int i = 0; i < 60; ++i) {
      const EgressFlow flow = random.flow();
      const EgressJudgement judgement = policy.judge_flow(flow);
      ASSERT_EQ(told(judgement), told(slow.judge_flow(flow)))
          << "seed " << seed << " flow " << i << " host " << flow.host << " port " << flow.port;
      allowed += judgement.is_allowed ? 1 : 0;
      by_rule += judgement.rule != nullptr ? 1 : 0;
      const std::string_view name = random.name();
      ASSERT_EQ(told(policy.judge_name(name)), told(slow.judge_name(name)))
          << "seed " << seed << " name " << name;
    }
  }
  // The world is such that both outcomes are common.
  EXPECT_GT(allowed, 20'000);
  EXPECT_LT(allowed, 70'000);
  EXPECT_GT(by_rule, 10'000);
}

EgressPolicy policy_of(const std::string& yaml, const PolicySubject& subject = {}) {
  const LoadedPolicy loaded = load_policy_text("version: 1\n" + yaml, "p.yaml", "");
  for (const Diagnostic& diagnostic : loaded.diagnostics) ADD_FAILURE() << diagnostic.format();
  return EgressPolicy(loaded.document != nullptr ? *loaded.document : PolicyDocument{}, subject);
}

std::string flow_of(const EgressPolicy& policy, std::string_view address, std::uint16_t port,
                    std::string_view host = "", std::string_view step = "",
                    std::uint8_t proto = IPPROTO_TCP) {
  return told(policy.judge_flow({host, ip(address), port, proto, step}));
}

TEST(EgressPolicy, NamesExactAndBelow) {
  const EgressPolicy policy = policy_of(R"(
egress:
  allow: [{host: example.com, rule_id: exact}, {host: "*.example.com", rule_id: below}]
  deny: [{host: evil.example.com, rule_id: evil}]
)");
  EXPECT_EQ(told(policy.judge_name("Example.COM.")), "allowed none exact");
  EXPECT_EQ(told(policy.judge_name("a.b.example.com")), "allowed none below");
  EXPECT_EQ(told(policy.judge_name("evil.example.com")), "denied denied_by_rule evil");
  EXPECT_EQ(told(policy.judge_name("notexample.com")), "denied domain_not_in_allowlist -");
  EXPECT_EQ(told(policy.judge_name("")), "denied domain_not_in_allowlist -");
  // A dot that is inside a label, as resolvers write it, is no dot between labels.
  EXPECT_EQ(told(policy.judge_name("x\\.example.com")), "denied domain_not_in_allowlist -");
  EXPECT_EQ(told(policy.judge_name(std::string(300, 'a') + ".example.com")),
            "denied domain_not_in_allowlist -");
}

TEST(EgressPolicy, ANameIsAllowedWhenSomePortOfItIs) {
  const EgressPolicy policy = policy_of(R"(
egress:
  allow: [{host: a.example, ports: [443], step: publish, rule_id: a}]
  deny: [{host: a.example, ports: [25], rule_id: mail}]
)");
  EXPECT_EQ(told(policy.judge_name("a.example")), "allowed none a");
  EXPECT_EQ(flow_of(policy, "192.0.2.1", 443, "a.example", "publish"), "allowed none a");
  EXPECT_EQ(flow_of(policy, "192.0.2.1", 443, "a.example", "build"), "denied step_not_allowed -");
  EXPECT_EQ(flow_of(policy, "192.0.2.1", 80, "a.example", "publish"), "denied port_not_allowed -");
  EXPECT_EQ(flow_of(policy, "192.0.2.1", 25, "a.example"), "denied denied_by_rule mail");
  EXPECT_EQ(flow_of(policy, "192.0.2.1", 443), "denied direct_ip -");
  EXPECT_EQ(flow_of(policy, "192.0.2.1", 443, "b.example"), "denied domain_not_in_allowlist -");
}

TEST(EgressPolicy, GeneralBlocksComeFirst) {
  const EgressPolicy policy = policy_of("egress: {default: allow}\nipv6: block\n");
  EXPECT_EQ(flow_of(policy, "169.254.169.254", 80), "denied metadata -");
  EXPECT_EQ(flow_of(policy, "fd00:ec2::254", 80), "denied metadata -");
  EXPECT_EQ(flow_of(policy, "192.0.2.1", 853), "denied dot -");
  EXPECT_EQ(flow_of(policy, "192.0.2.1", 853, "", "", IPPROTO_ICMP), "allowed none -");
  EXPECT_EQ(flow_of(policy, "2001:db8::1", 443), "denied ipv6 -");
  EXPECT_EQ(flow_of(policy, "::ffff:192.0.2.1", 443), "allowed none -");
  EXPECT_EQ(flow_of(policy, "::1", 443), "allowed none -");
  EXPECT_EQ(flow_of(policy, "8.8.8.8", 443), "denied doh_endpoint -");
  EXPECT_EQ(flow_of(policy, "8.8.8.8", 80), "allowed none -");
  EXPECT_EQ(flow_of(policy, "192.0.2.1", 443, "cloudflare-dns.com"), "denied doh_endpoint -");
  EXPECT_EQ(told(policy.judge_name("abc.dns.nextdns.io")), "denied doh_endpoint -");
}

TEST(EgressPolicy, BlocksCanBeLifted) {
  const EgressPolicy policy = policy_of(
      "metadata: allow\ndns: {block_doh: false, block_dot: false}\n"
      "egress: {allow: [{cidr: 8.8.8.8, rule_id: google}]}\n");
  EXPECT_EQ(flow_of(policy, "169.254.169.254", 80), "allowed none -");
  EXPECT_EQ(flow_of(policy, "8.8.8.8", 443), "allowed none google");
  EXPECT_EQ(flow_of(policy, "8.8.8.8", 853), "allowed none google");
  EXPECT_FALSE(policy.is_inside(ip("169.254.169.254")));
}

TEST(EgressPolicy, RulesOfOtherJobsAndProjectsAreLeftOut) {
  const std::string yaml = R"(
egress:
  allow:
    - {host: a.example, job: build}
    - {host: b.example, project: group/one}
    - {host: c.example, project: group/*}
)";
  const auto names = [](const EgressPolicy& policy) {
    std::string out;
    for (const EgressRule* rule : policy.rules()) out += rule->host.substr(0, 1);
    return out;
  };
  EXPECT_EQ(names(policy_of(yaml, {"group/one", "build"})), "abc");
  EXPECT_EQ(names(policy_of(yaml, {"group/two/x", "test"})), "c");
  EXPECT_EQ(names(policy_of(yaml, {"group/", "build"})), "a");
  EXPECT_EQ(names(policy_of(yaml, {"groupie/one", ""})), "");
}

TEST(EgressPolicy, AddressesOfTheInside) {
  const EgressPolicy policy = policy_of(R"(
trusted_nets: [10.1.0.0/16]
egress: {allow: [{cidr: "fd00:1::/32"}], deny: [{cidr: 192.168.1.0/24}]}
)");
  for (const char* inside :
       {"127.0.0.1", "::1", "::", "10.0.0.1", "172.31.255.255", "192.168.1.1", "169.254.0.1",
        "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "fe80::1",
        "fd00:2::1", "ff02::1", "::10.0.0.1", "64:ff9b::7f00:1", "2002:a00:1::1"}) {
    EXPECT_TRUE(policy.is_inside(ip(inside))) << inside;
  }
  for (const char* outside : {"10.1.2.3", "fd00:1::1", "192.0.2.1", "172.32.0.1", "2001:db8::1",
                              "64:ff9b::c000:201", "100.128.0.1", "11.0.0.1"}) {
    EXPECT_FALSE(policy.is_inside(ip(outside))) << outside;
  }
  EXPECT_TRUE(policy.is_trusted(ip("10.1.255.255")));
  EXPECT_FALSE(policy.is_trusted(ip("fd00:1::1")));
}

TEST(PrefixTree, FindsTheLongestAndThenTheShorterOnes) {
  std::vector<PrefixTree::Entry> entries;
  const char* const texts[] = {"10.0.0.0/8",  "10.1.0.0/16", "0.0.0.0/0",   "::/0",
                               "10.1.2.3/32", "fd00::/8",    "10.1.0.0/16", "10.200.0.0/16"};
  for (std::uint32_t i = 0; i < std::size(texts); ++i) {
    entries.push_back({parse_cidr(texts[i]).value(), i});
  }
  const PrefixTree tree(std::move(entries));
  const auto found = [&](const char* address) {
    std::string out;
    for (auto at = tree.find(ip(address)); at != PrefixTree::kNone;
         at = tree.next(at, ip(address))) {
      for (const auto value : tree.values(tree.nodes()[static_cast<std::size_t>(at)])) {
        out += std::to_string(value);
      }
    }
    return out;
  };
  EXPECT_EQ(found("10.1.2.3"), "41602");
  EXPECT_EQ(found("10.1.2.4"), "1602");
  EXPECT_EQ(found("10.100.0.1"), "02");
  EXPECT_EQ(found("11.0.0.1"), "2");
  EXPECT_EQ(found("fd00::1"), "53");
  EXPECT_EQ(found("fe00::1"), "3");
  EXPECT_EQ(PrefixTree().find(ip("::")), PrefixTree::kNone);
}

TEST(DohEndpoints, TheTableIsWellFormed) {
  EXPECT_TRUE(std::ranges::is_sorted(doh_names()));
  EXPECT_EQ(doh_prefixes().size(), doh_address_texts().size());
  for (const std::string_view name : doh_names()) EXPECT_TRUE(is_doh_name(name)) << name;
  EXPECT_FALSE(is_doh_name("google"));
  EXPECT_FALSE(is_doh_name("mydns.google"));
  EXPECT_TRUE(is_doh_address(ip("2606:4700:4700::1111")));
  EXPECT_FALSE(is_doh_address(ip("192.0.2.1")));
}

}  // namespace
}  // namespace cicd
