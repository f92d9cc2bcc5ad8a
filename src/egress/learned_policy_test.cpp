// SPDX-License-Identifier: Apache-2.0
#include "egress/learned_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <random>

namespace cicd {
namespace {

using testing::HasSubstr;

LearnedDestination entry(std::string host, std::uint16_t port, std::uint64_t jobs = 12,
                         std::string proto = "tcp") {
  LearnedDestination out;
  out.host = std::move(host);
  out.port = port;
  out.proto = std::move(proto);
  out.jobs = jobs;
  out.first_ns = 1'795'348'800'000'000'000;  // 2026-11-22
  out.last_ns = out.first_ns + 86'400'000'000'000;
  out.exec_path = "/usr/bin/npm";
  return out;
}

TEST(LearnedPolicy, InFull) {
  Learned learned;
  learned.jobs = 12;
  learned.destinations = {entry("192.0.2.7", 22, 1),
                          entry("2001:db8::1", 443),
                          entry("Registry.test.", 443),
                          entry("registry.test", 80, 2),
                          entry("registry.test", 443, 3, "udp"),
                          entry("ping.test", 0, 3, "1")};
  learned.destinations[2].step = "install";
  EXPECT_EQ(learned_policy(learned, {"acme/web", 3}),
            R"(# Egress policy of acme/web, learned from 12 jobs.
# Review each entry before it is used: what a job did is not what it may do.
# REVIEW marks what fewer than 3 jobs used.
version: 1
profile: learned
egress:
  default: deny
  allow:
    # 3 jobs, 2026-11-22 to 2026-11-23, by /usr/bin/npm
    - host: "ping.test"
      proto: icmp
    # 443: 12 jobs, 2026-11-22 to 2026-11-23, by /usr/bin/npm in step install
    # 80: REVIEW: 2 jobs, 2026-11-22 to 2026-11-23, by /usr/bin/npm
    - host: "registry.test"
      ports: [443, 80]
      proto: tcp
    # 443: 3 jobs, 2026-11-22 to 2026-11-23, by /usr/bin/npm
    - host: "registry.test"
      ports: [443]
      proto: udp
    # 22: REVIEW: 1 job, 2026-11-22 to 2026-11-23, by /usr/bin/npm
    - cidr: "192.0.2.7/32"
      ports: [22]
      proto: tcp
    # 443: 12 jobs, 2026-11-22 to 2026-11-23, by /usr/bin/npm
    - cidr: "2001:db8::1/128"
      ports: [443]
      proto: tcp
)");
}

TEST(LearnedPolicy, WithoutADestinationItAllowsNothing) {
  const std::string text = learned_policy({}, {"p", 3});
  const YAML::Node root = YAML::Load(text);
  EXPECT_EQ(root["egress"]["default"].as<std::string>(), "deny");
  EXPECT_EQ(root["egress"]["allow"].size(), 0u);
}

TEST(LearnedPolicy, TextOfAJobBecomesNoYaml) {
  Learned learned;
  learned.jobs = 1;
  LearnedDestination evil = entry("a.test\"\n    - host: \"*.evil.test", 443);
  learned.destinations = {evil,
                          entry("*.test", 443),
                          entry("*", 443),
                          entry("ok.test", 443),
                          entry("ok.test", 9, 1, "132"),
                          entry("1234", 443)};
  learned.destinations[3].exec_path = "/tmp/x\n    - host: \"evil.test\"";
  learned.destinations[3].step = "s\n    - cidr: 0.0.0.0/0";
  const std::string text = learned_policy(learned, {"p\n    evil: 1", 3});
  const YAML::Node root = YAML::Load(text);
  ASSERT_EQ(root.size(), 3u);
  ASSERT_EQ(root["egress"]["allow"].size(), 1u);
  EXPECT_EQ(root["egress"]["allow"][0]["host"].as<std::string>(), "ok.test");
  EXPECT_THAT(text, HasSubstr("# cannot be an entry: *.test:443/tcp"));
  EXPECT_THAT(text, HasSubstr("# cannot be an entry: ok.test:9/132"));
}

TEST(LearnedPolicy, RandomNamesNeverAllowMoreThanThemselves) {
  constexpr std::string_view kBytes = "ab.*-\n\r\"'#:{}[],&!|>%@`\\ \t\xff\0_0";
  std::mt19937 random(3);
  for (int round = 0; round < 3'000; ++round) {
    Learned learned;
    std::string host;
    for (std::size_t i = 1 + random() % 12; i > 0; --i) host += kBytes[random() % kBytes.size()];
    learned.destinations = {entry(host, 443)};
    const YAML::Node root = YAML::Load(learned_policy(learned, {host, 3}));
    const YAML::Node allow = root["egress"]["allow"];
    ASSERT_LE(allow.size(), 1u);
    if (allow.size() == 0) continue;
    EXPECT_EQ(allow[0].size(), 3u);
    EXPECT_EQ(allow[0]["host"].as<std::string>().find_first_not_of("ab.-_0"), std::string::npos);
  }
}

}  // namespace
}  // namespace cicd
