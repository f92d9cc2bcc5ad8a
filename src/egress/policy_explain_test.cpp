// SPDX-License-Identifier: Apache-2.0
// What `policy explain` says, and that a policy which does not fit is found before a job runs.
#include "egress/policy_explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace cicd {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPolicy = R"(version: 1
egress:
  allow:
    - {host: a.example, ports: [443], rule_id: a}
    - {host: "*.example", ports: [80], rule_id: wide, step: publish}
    - {host: a.example, ports: [443], job: other, rule_id: job}
    - {cidr: 10.0.0.0/8, proto: udp, rule_id: net}
  deny:
    - {host: bad.example, rule_id: bad}
trusted_nets: [192.168.0.0/16]
)";

std::string explained(const std::string& destination, std::string_view step = "") {
  const LoadedPolicy loaded = load_policy_text(kPolicy, "p.yaml", "");
  EXPECT_FALSE(has_errors(loaded.diagnostics));  // *.example is warned of
  const EgressPolicy policy(*loaded.document, {});
  const auto parsed = parse_destination(destination);
  if (!parsed) return parsed.error().text;
  const PolicyExplanation out = explain_policy(policy, {*parsed, IPPROTO_TCP, {}, step});
  std::string text = std::string(out.judgement.is_allowed ? "+ " : "- ") + out.because;
  for (const ConsideredRule& other : out.others)
    text += "; " + other.rule->rule_id + ": " + other.note;
  EXPECT_EQ(out.hint.empty(), out.judgement.is_allowed);
  return text;
}

TEST(PolicyExplain, SaysWhatDecidesAndWhatDoesNot) {
  EXPECT_EQ(explained("A.example:443"),
            "+ rule a (p.yaml:4) allows it; wide: for step publish only; job: for job other only");
  EXPECT_EQ(explained("a.example:80", "publish"),
            "+ rule wide (p.yaml:5) allows it; a: for port 443 only; job: for job other only");
  EXPECT_EQ(explained("a.example:80"),
            "- it is allowed in other steps only; a: for port 443 only; wide: for step publish "
            "only; job: for job other only");
  EXPECT_EQ(explained("bad.example:443"),
            "- rule bad (p.yaml:9) denies it; wide: for step publish only");
  EXPECT_EQ(explained("10.1.2.3:53"),
            "- it is allowed to other ports or by other protocols only; net: for udp only");
  EXPECT_EQ(explained("other.org"), "- no rule allows this name, and egress.default is deny");
  EXPECT_EQ(explained("192.0.2.9:22"), "- no rule allows this address, and egress.default is deny");
  EXPECT_EQ(explained("192.168.1.1:22"), "+ the address is in trusted_nets");
  EXPECT_EQ(explained("[::1]:22"), "+ it does not leave the machine");
  EXPECT_THAT(explained("dns.google:443"), HasSubstr("endpoint of DNS over HTTPS"));
  EXPECT_THAT(explained("169.254.169.254:80"), HasSubstr("metadata: deny"));
  EXPECT_THAT(explained("9.9.9.10:853"), HasSubstr("DNS over TLS"));
}

TEST(PolicyExplain, Destinations) {
  EXPECT_EQ(parse_destination("[2001:db8::1]:443")->port, 443);
  EXPECT_EQ(parse_destination("2001:db8::1")->ip, parse_ip("2001:db8::1"));
  EXPECT_EQ(parse_destination("10.0.0.1")->port, std::nullopt);
  EXPECT_EQ(parse_destination("A.example:22")->host, "a.example");
  for (const char* bad : {"", "a.example:", "a.example:0", "a.example:1-2", "*.example:443",
                          "https://a.example", "a b"}) {
    EXPECT_FALSE(parse_destination(bad)) << bad;
  }
}

TEST(PolicyExplain, APolicyThatDoesNotFitIsFoundWhateverJobItIsFor) {
  std::string yaml = "version: 1\negress:\n  allow:\n";
  for (int i = 0; i < 17; ++i) {
    yaml += "    - {host: a.example, job: build, project: g/*, ports: [" +
            std::to_string(100 + 2 * i) + "]}\n";
  }
  const LoadedPolicy loaded = load_policy_text(yaml, "p.yaml", "");
  ASSERT_NE(loaded.document, nullptr);
  const auto fits = check_policy_fits(*loaded.document);
  ASSERT_FALSE(fits);
  EXPECT_THAT(fits.error().text, HasSubstr("meet at a.example; the one of p.yaml:4"));
  EXPECT_TRUE(check_policy_fits(PolicyDocument{}));
}

}  // namespace
}  // namespace cicd
