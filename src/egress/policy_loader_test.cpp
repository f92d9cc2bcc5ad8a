// SPDX-License-Identifier: Apache-2.0
// Reading policies: every mistake has its place and says what to write instead; `extends` puts
// policies together; the policies that come with the program are valid.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "egress/policy.h"
#include "egress/policy_bases.h"
#include "egress/policy_values.h"

namespace cicd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> told(const LoadedPolicy& loaded) {
  std::vector<std::string> out;
  for (const Diagnostic& diagnostic : loaded.diagnostics) {
    out.push_back(diagnostic.format());
    EXPECT_EQ(out.back().find('\n'), std::string::npos);
  }
  return out;
}

std::vector<std::string> mistakes_of(const std::string& yaml) {
  const LoadedPolicy loaded = load_policy_text(yaml, "p.yaml", "");
  EXPECT_EQ(loaded.document == nullptr, has_errors(loaded.diagnostics));
  return told(loaded);
}

// The one mistake of a rule in flow style.
std::string mistake_in(const std::string& rule) {
  const auto all = mistakes_of("version: 1\negress:\n  allow:\n    - {" + rule + "}\n");
  EXPECT_EQ(all.size(), 1U) << rule;
  return all.empty() ? "" : all[0];
}

TEST(PolicyReader, ReadsEveryField) {
  const LoadedPolicy loaded = load_policy_text(R"(version: 1
profile: release
audit: true
egress:
  default: allow
  deny:
    - {host: Evil.Example.COM., rule_id: evil}
  allow:
    - host: "*.example.com"
      ports: [443, "8000-8100", 444]
      proto: tcp
      step: publish
      job: release
      project: group/*
    - {cidr: [10.0.0.0/8, "2001:db8::1"], proto: icmp}
trusted_nets: [192.168.0.0/16]
dns:
  upstream: [9.9.9.9, "[2620:fe::fe]:5353"]
  block_doh: false
  block_dot: false
  denied_answer: nxdomain
metadata: allow
ipv6: block
)",
                                               "p.yaml", "");
  ASSERT_THAT(told(loaded), ElementsAre());
  const PolicyDocument& policy = *loaded.document;
  EXPECT_EQ(policy.profile, "release");
  EXPECT_TRUE(policy.is_audit && policy.default_allow && policy.allow_metadata &&
              policy.block_ipv6);
  EXPECT_FALSE(policy.block_doh || policy.block_dot);
  EXPECT_EQ(policy.denied_names, DeniedNameAnswer::kNxdomain);
  EXPECT_THAT(policy.upstreams, ElementsAre("9.9.9.9", "[2620:fe::fe]:5353"));
  ASSERT_EQ(policy.trusted_nets.size(), 1U);
  EXPECT_EQ(policy.trusted_nets[0].bits, 112);
  ASSERT_EQ(policy.rules.size(), 3U);
  EXPECT_TRUE(policy.rules[0].is_deny);
  EXPECT_EQ(policy.rules[0].host, "evil.example.com");
  EXPECT_EQ(policy.rules[0].rule_id, "evil");
  EXPECT_EQ(policy.rules[0].line, 7);
  const EgressRule& second = policy.rules[1];
  EXPECT_EQ(second.rule_id, "allow[0]");
  EXPECT_EQ(second.ports, (std::vector<PortRange>{{443, 444}, {8000, 8100}}));
  EXPECT_EQ(second.proto, EgressProto::kTcp);
  EXPECT_EQ(second.step + second.job + second.project, "publishreleasegroup/*");
  EXPECT_EQ(policy.rules[2].prefixes.size(), 2U);
  EXPECT_EQ(policy.rules[2].prefixes[1].bits, 128);
  EXPECT_EQ(policy.rules[2].rule_id, "allow[1]");
}

TEST(PolicyReader, ThePlainestPolicyDeniesEverything) {
  const LoadedPolicy loaded = load_policy_text("version: 1\n", "p.yaml", "");
  ASSERT_NE(loaded.document, nullptr);
  EXPECT_FALSE(loaded.document->default_allow || loaded.document->is_audit ||
               loaded.document->allow_metadata);
  EXPECT_TRUE(loaded.document->block_doh && loaded.document->block_dot);
  // printf 'version: 1\n' | sha256sum
  EXPECT_EQ(loaded.document->version_digest,
            "sha256:09bfcc6a14b83e2192b8673677725c84883ee9cd0c70e45c9ec09daa8f2b2847");
}

TEST(PolicyReader, MistakesOfTheFile) {
  EXPECT_THAT(mistakes_of(""),
              ElementsAre("p.yaml: error: the policy is empty; it needs at least \"version: 1\""));
  EXPECT_THAT(mistakes_of("profile: x\n"),
              ElementsAre("p.yaml:1:1: error: the policy has no version; write \"version: 1\""));
  EXPECT_THAT(mistakes_of("version: 2\n"),
              ElementsAre("p.yaml:1:10: error: version 2 is not known here; this program reads "
                          "version 1"));
  EXPECT_THAT(mistakes_of("version: 1\nversion: 1\n"),
              ElementsAre("p.yaml:2:1: error: key \"version\" stands twice in the same map"));
  EXPECT_THAT(mistakes_of("version: 1\n---\nversion: 1\n"),
              ElementsAre(StartsWith("p.yaml:3:1: error: a file holds one policy")));
  EXPECT_THAT(mistakes_of("[1]"),
              ElementsAre("p.yaml:1:1: error: a policy must be a map; here is a list"));
  EXPECT_THAT(mistakes_of("version: 1\nprofile: \"a\xff\"\n"),
              ElementsAre(StartsWith("p.yaml:2:12: error: this byte is not UTF-8")));
  EXPECT_THAT(mistakes_of("version: 1\nx: [\n"), ElementsAre(HasSubstr("this is not valid YAML")));
}

TEST(PolicyReader, UnknownKeysNameTheNearestKnownOne) {
  EXPECT_THAT(
      mistakes_of("version: 1\negres: {}\n"),
      ElementsAre("p.yaml:2:1: error: unknown key \"egres\" in a policy; did you mean egress?"));
  EXPECT_THAT(
      mistakes_of("version: 1\ndns: {block_dho: true}\n"),
      ElementsAre("p.yaml:2:7: error: unknown key \"block_dho\" in dns; did you mean block_doh?"));
  EXPECT_THAT(mistakes_of("version: 1\negress: {forbid: []}\n"),
              ElementsAre("p.yaml:2:10: error: unknown key \"forbid\"; known in egress: default, "
                          "allow, deny"));
  EXPECT_THAT(mistake_in("host: a.example, prots: [443]"), HasSubstr("did you mean ports?"));
  EXPECT_EQ(nearest("xyzzy", {"host", "cidr"}), "");
  EXPECT_EQ(nearest("hsot", {"host", "cidr"}), "host");
}

TEST(PolicyReader, MistakesOfHosts) {
  EXPECT_EQ(mistake_in("host: https://a.example/x"),
            "p.yaml:4:14: error: \"https://a.example/x\" is a URL; write the host alone, without "
            "https:// and path");
  EXPECT_THAT(mistake_in("host: \"*\""), HasSubstr("write egress: {default: allow}"));
  EXPECT_THAT(mistake_in("host: a.*.example"), HasSubstr("\"*.example.com\""));
  EXPECT_THAT(mistake_in("host: \"*x.example\""), HasSubstr("\"*.example.com\""));
  EXPECT_THAT(mistake_in("host: 10.0.0.1"), HasSubstr("is an address; write it as cidr"));
  EXPECT_THAT(mistake_in("host: \"fd00::/8\""), HasSubstr("is an address; write it as cidr"));
  EXPECT_THAT(mistake_in("host: \"a.example:443\""), HasSubstr("write the port under ports"));
  EXPECT_THAT(mistake_in("host: a.example/x"), HasSubstr("has a path"));
  EXPECT_THAT(mistake_in("host: b\xc3\xbc"
                         "cher.example"),
              HasSubstr("xn--..."));
  EXPECT_THAT(mistake_in("host: a..example"), HasSubstr("nothing between two dots"));
  EXPECT_THAT(mistake_in("host: -a.example"), HasSubstr("begins or ends with a dash"));
  EXPECT_THAT(mistake_in("host: 1.2.3"), HasSubstr("ends in a number"));
  EXPECT_THAT(mistake_in("host: a b.example"), HasSubstr("a character that no host has"));
  EXPECT_THAT(mistake_in("host: " + std::string(64, 'a') + ".example"), HasSubstr("63 characters"));
  EXPECT_THAT(mistake_in("host: [a.example, b.example]"), HasSubstr("write an entry for each"));
  EXPECT_THAT(mistake_in("host: \"\""), HasSubstr("the host is empty"));
  EXPECT_EQ(parse_host("XN--bcher-kva.Example.").value(), "xn--bcher-kva.example");
  EXPECT_EQ(parse_host("_dmarc.a_b.example").value(), "_dmarc.a_b.example");
  EXPECT_FALSE(parse_host(std::string(200, 'a') + "." + std::string(60, 'b')));
}

TEST(PolicyReader, MistakesOfRules) {
  EXPECT_THAT(mistake_in("ports: [443]"), HasSubstr("neither host nor cidr"));
  EXPECT_THAT(mistake_in("host: a.example, cidr: 10.0.0.0/8"), HasSubstr("make two rules"));
  EXPECT_EQ(mistake_in("host: a.example, ports: [0]"),
            "p.yaml:4:33: error: port 0 cannot be reached; ports are 1 to 65535");
  EXPECT_THAT(mistake_in("host: a.example, ports: [70000]"), HasSubstr("\"70000\" is no port"));
  EXPECT_THAT(mistake_in("host: a.example, ports: [-1]"), HasSubstr("is no port"));
  EXPECT_THAT(mistake_in("host: a.example, ports: [\"90-80\"]"), HasSubstr("write \"80-90\""));
  EXPECT_THAT(mistake_in("host: a.example, ports: []"), HasSubstr("leave it out for all ports"));
  EXPECT_THAT(mistake_in("host: a.example, proto: sctp"), HasSubstr("known: tcp, udp, icmp, any"));
  EXPECT_THAT(mistake_in("host: a.example, proto: icmp, ports: [1]"),
              HasSubstr("icmp has no ports"));
  EXPECT_THAT(mistake_in("cidr: a.example"), HasSubstr("is a name; write it as host"));
  EXPECT_THAT(mistake_in("cidr: 10.0.0.0/33"), HasSubstr("is no range of addresses"));
  EXPECT_THAT(mistake_in("cidr: 10.0.0.1/8"), HasSubstr("warning: \"10.0.0.1/8\" has bits set"));
  EXPECT_THAT(mistake_in("host: a.example, project: \"g*\""), HasSubstr("\"group/*\""));
  EXPECT_THAT(mistake_in("host: a.example, step: \"\""), HasSubstr("1 to 128 bytes"));
  EXPECT_THAT(mistake_in("host: a.example, rule_id: \"a b\""), HasSubstr("must be letters"));
  EXPECT_THAT(mistake_in("host: \"*.com\""), HasSubstr("warning: \"*.com\" is every name"));
  std::string ports;
  for (int i = 0; i < 17; ++i) ports += std::to_string(100 + 2 * i) + ", ";
  EXPECT_THAT(mistake_in("host: a.example, ports: [" + ports + "]"),
              HasSubstr("at most 16 ranges"));
  EXPECT_THAT(mistake_in("host: a.example, rule_id: \"allow[0]\""), HasSubstr("must be letters"));
}

TEST(PolicyReader, MistakesOfTheRest) {
  const auto one = [](const std::string& yaml) {
    const auto all = mistakes_of("version: 1\n" + yaml + "\n");
    EXPECT_EQ(all.size(), 1U) << yaml;
    return all.empty() ? "" : all[0];
  };
  EXPECT_THAT(one("metadata: yes"), HasSubstr("metadata must be allow or deny; here is \"yes\""));
  EXPECT_THAT(one("ipv6: deny"), HasSubstr("ipv6 must be block or allow"));
  EXPECT_THAT(one("audit: 1"), HasSubstr("audit must be true or false"));
  EXPECT_THAT(one("egress: {default: block}"), HasSubstr("egress.default must be allow or deny"));
  EXPECT_THAT(one("dns: {upstream: [dns.example]}"), HasSubstr("is no name server"));
  EXPECT_THAT(one("dns: {upstream: [\"9.9.9.9:0\"]}"), HasSubstr("is no name server"));
  EXPECT_THAT(one("dns: {upstream: [\"[9.9.9.9]:53\"]}"), HasSubstr("is no name server"));
  EXPECT_THAT(one("dns: {denied_answer: servfail}"), HasSubstr("refused or nxdomain"));
  EXPECT_THAT(one("trusted_nets: [x]"), HasSubstr("is a name; write it as host"));
  EXPECT_THAT(one("extends: other.yaml"), HasSubstr("it can extend builtin:... only"));
  EXPECT_THAT(one("extends: builtin:nope"),
              HasSubstr("there is no \"builtin:nope\"; built in are: debian, docker, "));
  EXPECT_THAT(one("egress: {allow: [{host: dns.google}]}"),
              HasSubstr("write dns: {block_doh: false} to allow it (rule allow[0])"));
  EXPECT_THAT(one("egress: {allow: [{cidr: 10.0.0.0/8, ports: [853]}]}"),
              HasSubstr("write dns: {block_dot: false}"));
  EXPECT_THAT(one("egress: {allow: [{cidr: 169.254.169.254}]}"),
              HasSubstr("write metadata: allow"));
  EXPECT_THAT(one("egress: {allow: [{host: a.example, rule_id: x}], deny: [{host: b.example, "
                  "rule_id: x}]}"),
              HasSubstr("p.yaml:2:84: error: rule_id \"x\" stands in p.yaml:2 already"));
}

TEST(PolicyReader, AliasesThatMultiplyEndTheReading) {
  std::string yaml = "version: 1\nprofile: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  yaml += "trusted_nets: &n [";
  for (int i = 0; i < 1000; ++i) yaml += "10.0.0.0/8, ";
  yaml += "]\negress:\n  allow:\n";
  for (int i = 0; i < 5000; ++i) yaml += "    - {cidr: *n}\n";
  const LoadedPolicy loaded = load_policy_text(yaml, "p.yaml", "");
  EXPECT_EQ(loaded.document, nullptr);
}

class PolicyFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/policy-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string put(const std::string& name, const std::string& yaml) {
    const std::filesystem::path path = directory_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "version: 1\n" << yaml;
    return path.string();
  }
  std::filesystem::path directory_;
};

TEST_F(PolicyFiles, TheFileHasTheLastWordAndTheBaseKeepsItsDenies) {
  put("base/base.yaml",
      "profile: base\naudit: true\nmetadata: allow\ntrusted_nets: [10.0.0.0/8]\n"
      "dns: {upstream: 9.9.9.9}\n"
      "egress: {default: allow, deny: [{host: evil.example}], allow: [{host: a.example}]}\n");
  const std::string path = put("main.yaml",
                               "extends: [base/base.yaml, builtin:npm]\naudit: false\n"
                               "trusted_nets: [192.168.0.0/16]\n"
                               "egress: {default: deny, allow: [{host: evil.example}]}\n");
  const LoadedPolicy loaded = load_policy_file(path);
  ASSERT_THAT(told(loaded), ElementsAre());
  const PolicyDocument& policy = *loaded.document;
  EXPECT_EQ(policy.profile, "base");
  EXPECT_FALSE(policy.is_audit);
  EXPECT_FALSE(policy.default_allow);
  EXPECT_TRUE(policy.allow_metadata);
  EXPECT_EQ(policy.trusted_nets.size(), 2U);
  EXPECT_THAT(policy.upstreams, ElementsAre("9.9.9.9"));
  ASSERT_EQ(policy.rules.size(), 6U);
  EXPECT_EQ(policy.rules[0].rule_id, "base.yaml:deny[0]");
  EXPECT_EQ(policy.rules[0].file, (directory_ / "base/base.yaml").string());
  EXPECT_EQ(policy.rules[2].rule_id, "npm/registry");
  EXPECT_EQ(policy.rules[2].file, "builtin:npm");
  EXPECT_EQ(policy.rules[5].rule_id, "allow[0]");
  const EgressPolicy judge(policy, {});
  EXPECT_EQ(judge.judge_name("evil.example").reason, EgressReason::kDeniedByRule);

  const std::string before = policy.version_digest;
  EXPECT_EQ(load_policy_file(path).document->version_digest, before);
  put("base/base.yaml", "profile: other\n");
  EXPECT_NE(load_policy_file(path).document->version_digest, before);
}

TEST_F(PolicyFiles, CirclesAndDepth) {
  put("a.yaml", "extends: b.yaml\n");
  put("b.yaml", "extends: ../" + directory_.filename().string() + "/a.yaml\n");
  EXPECT_THAT(told(load_policy_file((directory_ / "a.yaml").string())),
              ElementsAre(HasSubstr("b.yaml:2:10: error: extends goes in a circle")));
  put("self.yaml", "extends: self.yaml\n");
  EXPECT_THAT(told(load_policy_file((directory_ / "self.yaml").string())),
              ElementsAre(HasSubstr("goes in a circle")));
  for (int i = 0; i < 9; ++i) {
    put("d" + std::to_string(i) + ".yaml", "extends: d" + std::to_string(i + 1) + ".yaml\n");
  }
  put("d9.yaml", "");
  EXPECT_THAT(told(load_policy_file((directory_ / "d0.yaml").string())),
              ElementsAre(HasSubstr("d7.yaml:2:10: error: extends is nested deeper than 8 files")));
  EXPECT_THAT(told(load_policy_file((directory_ / "d2.yaml").string())), ElementsAre());
}

TEST_F(PolicyFiles, ABaseOfTwoIsReadOnce) {
  put("base.yaml", "egress: {allow: [{host: a.example, rule_id: a}]}\n");
  put("one.yaml", "extends: base.yaml\n");
  put("two.yaml", "extends: base.yaml\n");
  const LoadedPolicy loaded = load_policy_file(put("main.yaml", "extends: [one.yaml, two.yaml]\n"));
  ASSERT_THAT(told(loaded), ElementsAre());
  EXPECT_EQ(loaded.document->rules.size(), 1U);
}

TEST_F(PolicyFiles, MistakesOfABaseHaveItsPlace) {
  put("base.yaml", "egress: {allow: [{host: 10.0.0.1}]}\n");
  EXPECT_THAT(told(load_policy_file(put("main.yaml", "extends: base.yaml\n"))),
              ElementsAre(HasSubstr("/base.yaml:2:25: error: \"10.0.0.1\" is an address")));
  EXPECT_THAT(told(load_policy_file(put("other.yaml", "extends: none.yaml\n"))),
              ElementsAre(HasSubstr("other.yaml:2:10: error: base \"none.yaml\": cannot open: No "
                                    "such file")));
  EXPECT_THAT(told(load_policy_file("/nonexistent.yaml")),
              ElementsAre("/nonexistent.yaml: error: cannot open: No such file or directory"));
  EXPECT_THAT(told(load_policy_file(directory_.string())), ElementsAre(HasSubstr("cannot read")));
}

TEST_F(PolicyFiles, EndlessFilesEnd) {
  EXPECT_THAT(told(load_policy_file("/dev/zero")), ElementsAre(HasSubstr("larger than 4 MiB")));
}

TEST(BasePolicies, AreValidAndGoTogether) {
  std::string all = "version: 1\nextends: [";
  std::size_t count = 0;
  for (const detail::BasePolicy& base : detail::embedded_policies()) {
    all += "\"builtin:" + std::string(base.name.substr(0, base.name.rfind('.'))) + "\", ";
    ++count;
  }
  EXPECT_GE(count, 8U);
  const LoadedPolicy loaded = load_policy_text(all + "]\n", "all.yaml", "");
  EXPECT_THAT(told(loaded), ElementsAre());
  ASSERT_NE(loaded.document, nullptr);
  const EgressPolicy policy(*loaded.document, {});
  for (const char* name : {"github.com", "results-receiver.actions.githubusercontent.com",
                           "registry.npmjs.org", "files.pythonhosted.org", "auth.docker.io"}) {
    EXPECT_TRUE(policy.judge_name(name).is_allowed) << name;
  }
  // Rules of these names their base: reports are read without the file at hand.
  for (const EgressRule& rule : loaded.document->rules) {
    EXPECT_EQ(rule.rule_id.find('['), std::string::npos) << rule.rule_id;
  }
}

}  // namespace
}  // namespace cicd
