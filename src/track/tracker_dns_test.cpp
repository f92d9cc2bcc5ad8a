// SPDX-License-Identifier: Apache-2.0
// DNS samples: the names asked for, and what connections to the answered addresses are called.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>

#include "track/dns_test_support.h"
#include "track/tracker.h"
#include "track/tracker_test_support.h"

namespace cicd {
namespace {

namespace d = field::domain;
namespace n = field::network_connect;
using support::DnsBuilder;
using ::testing::ElementsAre;

constexpr std::uint64_t kSecond = 1'000'000'000;

class TrackerDns : public ::testing::Test {
 protected:
  void SetUp() override { bench_.start_shell(); }

  void ask(std::string_view name, std::uint16_t type = kDnsA, const Actor& actor = kShell) {
    bench_.send(dns_sample(actor, DnsBuilder(1).question(name, type).bytes()));
  }
  void answer(const DnsBuilder& builder, const Actor& actor = kShell) {
    bench_.send(dns_sample(actor, builder.bytes(), {.is_answer = true}));
  }
  static DnsBuilder answer_to(std::string_view name, std::uint16_t type = kDnsA) {
    DnsBuilder builder(1, DnsBuilder::kAnswer);
    builder.question(name, type);
    return builder;
  }
  void resolve(std::string_view name, const char* ip, const Actor& actor = kShell,
               std::uint32_t ttl_s = 60) {
    ask(name, kDnsA, actor);
    answer(answer_to(name).a(name, ip, ttl_s), actor);
  }
  const EventRecord& connect(const char* ip, const Actor& actor = kShell) {
    bench_.batch().reset();
    bench_.send(connect_sample(actor, {.remote_ip = ip}));
    return bench_.records().at(0);
  }
  // "name type" of what was asked, "name type result answers" of what was answered.
  std::vector<std::string> domains() {
    std::vector<std::string> out;
    for (const EventRecord& record : bench_.records()) {
      if (record.type != EventType::kDomain) continue;
      EXPECT_EQ(record.text(d::kSource), "dns");
      std::string line(record.text(d::kDomain));
      for (const std::uint8_t field : {d::kQueryType, d::kResult, d::kAnswers}) {
        if (!record.text(field).empty()) line.append(" ").append(record.text(field));
      }
      out.push_back(line);
    }
    return out;
  }
  static std::string name_of(const EventRecord& record) {
    return std::string(record.text(n::kDomain)) + " " + std::string(record.text(n::kDomainSource));
  }

  TrackerBench bench_;
};

TEST_F(TrackerDns, AQuestionAndItsAnswer) {
  resolve("www.a.test", "192.0.2.1");
  EXPECT_THAT(domains(), ElementsAre("www.a.test A", "www.a.test A NOERROR 192.0.2.1"));
  EXPECT_EQ(bench_.records()[0].process->exec_path(), "/bin/sh");
  EXPECT_EQ(bench_.records()[0].marks, 0u);
  EXPECT_EQ(name_of(connect("192.0.2.1")), "www.a.test dns_answer");
  EXPECT_EQ(name_of(connect("192.0.2.2")), " none");
  EXPECT_EQ(bench_.tracker().losses(1).total(), 0u);
}

TEST_F(TrackerDns, AddressTypesOfOneNameAreOneQuestionOthersAreNot) {
  ask("a.test", kDnsA);
  ask("a.test", kDnsAaaa);
  ask("A.test", kDnsHttps);
  ask("a.test", 16);
  ask("a.test", 16);
  ask("b.test", kDnsAaaa);
  EXPECT_THAT(domains(), ElementsAre("a.test A", "a.test TXT", "b.test AAAA"));
}

TEST_F(TrackerDns, EveryNameOfATunnelIsThere) {
  for (int i = 0; i < 5'000; ++i) ask(std::to_string(i) + ".t.test", 16);
  EXPECT_EQ(domains().size(), 5'000u);
}

TEST_F(TrackerDns, ProcessesAndTimeMakeTheSameQuestionNew) {
  bench_.send(fork_sample({.pid = 200}, kShell));
  ask("a.test");
  ask("a.test", kDnsA, {.pid = 200});
  ask("a.test", kDnsA, kShell.at(60 * kSecond));
  EXPECT_EQ(domains().size(), 3u);
}

TEST_F(TrackerDns, AChainOfAliasesKeepsTheNameThatWasAskedFor) {
  ask("www.a.test");
  answer(answer_to("www.a.test").cname("www.a.test", "cdn.test").a("cdn.test", "192.0.2.1"));
  EXPECT_THAT(domains(), ElementsAre("www.a.test A", "www.a.test A NOERROR cdn.test, 192.0.2.1"));
  EXPECT_EQ(name_of(connect("192.0.2.1")), "www.a.test dns_answer");
}

TEST_F(TrackerDns, SeveralAddressesOfAName) {
  ask("a.test");
  answer(
      answer_to("a.test").a("@12", "192.0.2.1").a("@12", "192.0.2.2").aaaa("@12", "2001:db8::1"));
  for (const char* ip : {"192.0.2.1", "192.0.2.2", "2001:db8::1", "::ffff:192.0.2.1"}) {
    EXPECT_EQ(name_of(connect(ip)), "a.test dns_answer") << ip;
    EXPECT_EQ(bench_.records()[0].marks & kMarkAmbiguousDomain, 0u);
  }
}

TEST_F(TrackerDns, SeveralNamesOfAnAddressAreAmbiguous) {
  resolve("a.test", "192.0.2.1", kShell.at(1 * kSecond));
  resolve("b.test", "192.0.2.1", kShell.at(2 * kSecond));
  const EventRecord& record = connect("192.0.2.1", kShell.at(3 * kSecond));
  EXPECT_EQ(name_of(record), "b.test dns_answer");
  EXPECT_EQ(record.marks, kMarkAmbiguousDomain);
  EXPECT_EQ(record.text(n::kDomainCandidates), "a.test");
}

TEST_F(TrackerDns, AnotherProcessUsesTheAddressWhileItsTtlHolds) {
  bench_.send(fork_sample({.pid = 200}, kShell));
  const Actor child{.pid = 200};
  resolve("a.test", "192.0.2.1", kShell, 60);
  EXPECT_EQ(name_of(connect("192.0.2.1", child.at(119 * kSecond))), "a.test dns_answer");
  EXPECT_EQ(name_of(connect("192.0.2.1", child.at(121 * kSecond))), " none");
  EXPECT_EQ(name_of(connect("192.0.2.1", kShell.at(121 * kSecond))), "a.test dns_answer");
}

TEST_F(TrackerDns, HintsOfHttpsRecordsCount) {
  ask("_8443._https.a.test", kDnsHttps);
  answer(
      answer_to("_8443._https.a.test", kDnsHttps)
          .https("@12", ".", DnsBuilder::parameter(4, DnsBuilder::address(AF_INET, "192.0.2.1"))));
  EXPECT_EQ(name_of(connect("192.0.2.1")), "a.test dns_answer");
}

TEST_F(TrackerDns, NoSuchName) {
  ask("none.test");
  DnsBuilder builder(1, DnsBuilder::kAnswer | 3);
  answer(builder.question("none.test", kDnsA));
  EXPECT_THAT(domains(), ElementsAre("none.test A", "none.test A NXDOMAIN"));
}

TEST_F(TrackerDns, ForgedAnswersTeachNothingAndAreCounted) {
  ask("a.test");
  const auto forged = [&](std::uint16_t id, const char* server, std::uint64_t cookie,
                          std::string_view name) {
    DnsBuilder builder(id, DnsBuilder::kAnswer);
    builder.question(name, kDnsA).a("@12", "192.0.2.66");
    bench_.send(dns_sample(kShell, builder.bytes(),
                           {.is_answer = true, .cookie = cookie, .server = server}));
  };
  forged(2, "192.0.2.53", 9, "a.test");
  forged(1, "192.0.2.54", 9, "a.test");
  forged(1, "192.0.2.53", 8, "a.test");
  forged(1, "192.0.2.53", 9, "github.example");
  EXPECT_EQ(bench_.lost("domain", "unasked_answer"), 4u);
  EXPECT_EQ(name_of(connect("192.0.2.66")), " none");
  forged(1, "192.0.2.53", 9, "a.test");
  EXPECT_EQ(name_of(connect("192.0.2.66")), "a.test dns_answer");
}

TEST_F(TrackerDns, TcpInPieces) {
  const std::vector<std::uint8_t> query = DnsBuilder(1).question("a.test", kDnsA).framed();
  DnsBuilder builder = answer_to("a.test");
  const std::vector<std::uint8_t> reply = builder.a("a.test", "192.0.2.1").framed();
  std::uint32_t sequence = 1'000;
  for (const std::uint8_t byte : query) {
    bench_.send(dns_sample(kShell, {byte}, {.protocol = IPPROTO_TCP, .sequence = sequence++}));
  }
  bench_.send(
      dns_sample(kShell, reply, {.is_answer = true, .protocol = IPPROTO_TCP, .sequence = 77}));
  EXPECT_THAT(domains(), ElementsAre("a.test A", "a.test A NOERROR 192.0.2.1"));
  EXPECT_EQ(name_of(connect("192.0.2.1")), "a.test dns_answer");
  EXPECT_EQ(bench_.tracker().losses(1).total(), 0u);
}

TEST_F(TrackerDns, ATruncatedAnswerIsNoMistake) {
  ask("big.test");
  DnsBuilder builder(1, DnsBuilder::kAnswer | DnsBuilder::kTruncated);
  builder.question("big.test", kDnsA).count_answer();
  answer(builder);
  EXPECT_THAT(domains(), ElementsAre("big.test A", "big.test A NOERROR"));
  EXPECT_EQ(bench_.tracker().losses(1).total(), 0u);
}

TEST_F(TrackerDns, WhatIsNotUnderstoodIsCounted) {
  bench_.send(dns_sample(kShell, {1, 2, 3}));
  EXPECT_EQ(bench_.lost("domain", "malformed_message"), 1u);
  // The question of a damaged message is still told.
  ask("a.test");
  bench_.batch().reset();
  bench_.send(dns_sample(kShell, DnsBuilder(1).question("b.test", 1).count_question().bytes()));
  EXPECT_THAT(domains(), ElementsAre("b.test A"));
  EXPECT_EQ(bench_.lost("domain", "malformed_message"), 2u);
  // Cut on the way from the kernel.
  DnsBuilder builder = answer_to("a.test");
  builder.a("a.test", "192.0.2.1").count_answer();
  bench_.send(dns_sample(kShell, builder.bytes(), {.is_answer = true, .payload_bytes = 9'000}));
  EXPECT_EQ(bench_.lost("domain", "incomplete_message"), 1u);
  EXPECT_EQ(bench_.lost("domain", "malformed_message"), 2u);
  EXPECT_EQ(name_of(connect("192.0.2.1")), "a.test dns_answer");
}

TEST_F(TrackerDns, SeveralDatagramsInOneSend) {
  std::vector<std::uint8_t> payload = DnsBuilder(1).question("a.test", 16).bytes();
  const auto each = static_cast<std::uint32_t>(payload.size());
  DnsBuilder::append(payload, DnsBuilder(2).question("b.test", 16).bytes());
  bench_.send(dns_sample(kShell, payload, {.sequence = each}));
  EXPECT_THAT(domains(), ElementsAre("a.test TXT", "b.test TXT"));
  EXPECT_EQ(bench_.tracker().losses(1).total(), 0u);
}

TEST_F(TrackerDns, ASocketOfNobody) {
  Actor nobody;
  nobody.pid = 0;
  nobody.start_time_ns = 0;
  bench_.send(dns_sample(nobody, DnsBuilder(1).question("a.test", 1).bytes(),
                         {.flags = CICD_DNS_UNKNOWN_OWNER}));
  ASSERT_EQ(bench_.records().size(), 1u);
  EXPECT_EQ(bench_.records()[0].marks, kMarkUnknownProcess);
  EXPECT_EQ(bench_.records()[0].process->pid, 0u);
  EXPECT_EQ(bench_.tracker().activity(1).processes, 1u) << "only the shell";
}

TEST_F(TrackerDns, NamesOfAJobAreOfNoOther) {
  bench_.tracker().register_job(2, 43, "/other");
  Actor other{.pid = 500, .slot = 2, .cgroup_id = 43};
  resolve("a.test", "192.0.2.1");
  EXPECT_EQ(name_of(connect("192.0.2.1", other)), " none");
}

SampleBuffer getaddrinfo_sample(const Actor& actor, std::string_view name, std::uint8_t last_byte,
                                std::int32_t result = 0) {
  cicd_sample_getaddrinfo fixed{.result = result, .address_count = 1};
  fixed.addresses[0] = {.ip = {192, 0, 2, last_byte}, .family = AF_INET};
  return make_sample(actor, CICD_SAMPLE_GETADDRINFO, fixed, {raw(name)});
}

TEST_F(TrackerDns, WhatTheCLibraryResolved) {
  bench_.send(getaddrinfo_sample(kShell, "Host.Local.", 1));
  EXPECT_EQ(name_of(connect("192.0.2.1")), "host.local getaddrinfo");
  bench_.send(getaddrinfo_sample(kShell, "nowhere.test", 2, EAI_NONAME));
  EXPECT_EQ(name_of(connect("192.0.2.2")), " none");
  bench_.send(getaddrinfo_sample(kShell, "192.0.2.3", 3));
  EXPECT_EQ(name_of(connect("192.0.2.3")), " none");
  bench_.send(getaddrinfo_sample(kShell, std::string_view("cut.test\0more", 13), 4));
  EXPECT_EQ(name_of(connect("192.0.2.4")), "cut.test getaddrinfo");
}

}  // namespace
}  // namespace cicd
