// SPDX-License-Identifier: Apache-2.0
// The resolver with real sockets, between clients and a server whose answers each test writes.
#include "egress/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "support/fake_egress.h"
#include "support/resolver_world.h"

namespace cicd {
namespace {

using namespace support;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t kSlot = 1;

class ResolverTest : public testing::Test {
 protected:
  void start(ScriptedServer::Script script) {
    server_ = std::make_unique<ScriptedServer>(std::move(script));
    options_.upstreams = {server_->address()};
    start();
  }
  void start() {
    options_.port = 25'353;
    options_.try_timeout = milliseconds(try_timeout_ms_);
    options_.clock = [this] { return now_ns_.load() + steady_ns(); };
    auto resolver = Resolver::start(egress_, told_, options_);
    ASSERT_TRUE(resolver) << resolver.error().text;
    resolver_ = std::move(*resolver);
    const auto added = resolver_->add_job(kSlot, judge_, adopts_);
    ASSERT_TRUE(added) << added.error().text;
  }
  static std::uint64_t steady_ns() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  std::unique_ptr<Reply> ask(std::string_view name, std::uint16_t type,
                             std::uint16_t edns_bytes = 0) {
    return UdpClient(resolver_->port()).ask(name, type, edns_bytes);
  }
  // The resolver does by itself what time brings; wait for it.
  template <typename Condition>
  static bool soon(Condition condition) {
    for (int i = 0; i < 500 && !condition(); ++i) std::this_thread::sleep_for(milliseconds(10));
    return condition();
  }

  FakeEgress egress_;
  Told told_;
  std::shared_ptr<FakeJudge> judge_ =
      std::make_shared<FakeJudge>(std::vector<std::string>{"good.test", "also.test"});
  ResolverOptions options_;
  int try_timeout_ms_ = 1'000;
  bool adopts_ = false;
  std::atomic<std::uint64_t> now_ns_ = 0;  // that the clock is ahead
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<Resolver> resolver_;
};

Bytes one_address(const DnsAsk& ask, bool) {
  return ScriptedServer::begin(ask).a("@12", "192.0.2.1", 60).bytes();
}

TEST_F(ResolverTest, AddressIsInTheKernelWhenTheReplyComes) {
  start(one_address);
  const auto reply = ask("www.good.test", kTypeA);
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.1"));
  EXPECT_EQ(reply->rcode(), 0);
  EXPECT_EQ(reply->message.id, 7);
  EXPECT_EQ(reply->message.questions()[0].name(), "www.good.test");
  EXPECT_THAT(reply->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_EQ(egress_.rules(kSlot, "192.0.2.1").rules[0].rule, 1);
  EXPECT_THAT(told_.take(), ElementsAre("resolved www.good.test 1 to 1"));
  const ResolverCounters counters = resolver_->counters(kSlot);
  EXPECT_EQ(counters.queries, 1u);
  EXPECT_EQ(counters.answered, 1u);
}

TEST_F(ResolverTest, Aaaa) {
  start([](const DnsAsk& ask, bool) {
    return ScriptedServer::begin(ask).aaaa("@12", "2001:db8::1").bytes();
  });
  EXPECT_THAT(ask("www.good.test", kTypeAaaa)->addresses(), ElementsAre("2001:db8::1"));
  EXPECT_TRUE(egress_.has(kSlot, "2001:db8::1"));
}

TEST_F(ResolverTest, ReplyHasTheLettersOfTheQuestionAndTheServerOthers) {
  start(one_address);
  const Bytes sent = question("AbCdEfGhIjKlMnOpQrStUvWxYz.GOOD.test", kTypeA);
  const Bytes reply = UdpClient(resolver_->port()).ask(sent)->bytes;
  EXPECT_TRUE(std::equal(sent.begin() + 12, sent.end(), reply.begin() + 12));
  const Bytes passed = server_->raw_asks().at(0);
  EXPECT_FALSE(std::equal(sent.begin() + 12, sent.end(), passed.begin() + 12));
}

TEST_F(ResolverTest, OptionsOfTheClientStayHere) {
  start(one_address);
  Bytes sent = question("www.good.test", kTypeA);
  sent[11] = 1;
  Bytes opt = opt_record(4'096);
  opt[10] = 12;
  DnsBuilder::append(opt, {0, 10, 0, 8, 's', 'e', 'c', 'r', 'e', 't', '!', '!'});
  DnsBuilder::append(sent, opt);
  EXPECT_EQ(UdpClient(resolver_->port()).ask(sent)->rcode(), 0);
  const Bytes passed = server_->raw_asks().at(0);
  EXPECT_EQ(std::string(passed.begin(), passed.end()).find("secret"), std::string::npos);
}

TEST_F(ResolverTest, DeniedNameDoesNotLeave) {
  start(one_address);
  const auto plain = ask("evil.test", kTypeA);
  EXPECT_EQ(plain->rcode(), kRcodeRefused);
  EXPECT_EQ(plain->extended_error(), -1);
  const auto edns = ask("evil.test", kTypeTxt, 1'232);
  EXPECT_EQ(edns->rcode(), kRcodeRefused);
  EXPECT_EQ(edns->extended_error(), 15);
  EXPECT_EQ(server_->asked(), 0u);
  EXPECT_THAT(told_.take(),
              ElementsAre("denied policy evil.test 1 of 1", "denied policy evil.test 16 of 1"));
  EXPECT_EQ(resolver_->counters(kSlot).refused, 2u);
}

TEST_F(ResolverTest, DeniedNameIsNoNameWhenThePolicySaysSo) {
  judge_->how = DeniedNameAnswer::kNxdomain;
  start(one_address);
  EXPECT_EQ(ask("evil.test", kTypeA)->rcode(), kRcodeNxdomain);
  EXPECT_EQ(server_->asked(), 0u);
}

TEST_F(ResolverTest, AuditTellsAndLetsPass) {
  judge_->is_audit = true;
  start(one_address);
  EXPECT_THAT(ask("evil.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_THAT(told_.take(),
              ElementsAre("audit policy evil.test 1 of 1", "resolved evil.test 1 to 1"));
  EXPECT_EQ(resolver_->counters(kSlot).audited, 1u);
}

TEST_F(ResolverTest, NobodysQuestionIsRefused) {
  egress_.client.slot = 0;
  start(one_address);
  EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), kRcodeRefused);
  const TcpClient stream(resolver_->port());
  stream.send(TcpClient::framed(question("www.good.test", kTypeA)));
  EXPECT_THAT(stream.receive(), IsEmpty());
  EXPECT_EQ(server_->asked(), 0u);
  EXPECT_EQ(resolver_->counters().unknown_clients, 2u);
}

TEST_F(ResolverTest, ChainIsFollowedAndTheRestLeftOut) {
  start([](const DnsAsk& ask, bool) {
    auto out = ScriptedServer::begin(ask);
    out.a("edge.cdn.example", "192.0.2.7", 300);  // before its alias: order does not matter
    out.a("www.good.test", "192.0.2.66");         // the asked name is an alias, and has none
    out.a("unrelated.example", "192.0.2.99");
    out.cname("lb.other.example", "edge.cdn.example", 20);
    out.cname("@12", "lb.other.example", 90);
    return out.aaaa("edge.cdn.example", "2001:db8::9").bytes();
  });
  const auto reply = ask("www.good.test", kTypeA);
  EXPECT_EQ(reply->answers(), 3u);
  EXPECT_THAT(reply->addresses(), ElementsAre("192.0.2.7"));
  EXPECT_EQ(reply->message.alias_count, 2);
  EXPECT_EQ(reply->message.addresses()[0].ttl_s, 20u);
  EXPECT_EQ(reply->message.error, DnsError::kNone);
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.7"));
  EXPECT_EQ(egress_.size(), 1u);
}

TEST_F(ResolverTest, ChainThatLeadsBackIsNoAnswer) {
  try_timeout_ms_ = 50;
  start([](const DnsAsk& ask, bool) {
    return ScriptedServer::begin(ask)
        .cname("@12", "b.good.test")
        .cname("b.good.test", "@12")
        .bytes();
  });
  EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), kRcodeServfail);
  EXPECT_EQ(resolver_->counters().upstream_bad, 4u);
}

TEST_F(ResolverTest, AddressesOfTheInsideAreLeftOut) {
  start([](const DnsAsk& ask, bool) {
    return ScriptedServer::begin(ask)
        .a("@12", "10.1.2.3")
        .a("@12", "192.0.2.1")
        .a("@12", "169.254.169.254")
        .bytes();
  });
  const auto reply = ask("www.good.test", kTypeA, 1'232);
  EXPECT_THAT(reply->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_EQ(reply->extended_error(), 15);
  EXPECT_EQ(egress_.size(), 1u);
  EXPECT_THAT(told_.take(), ElementsAre("denied rebinding www.good.test 1 of 1 at 10.1.2.3",
                                        "denied rebinding www.good.test 1 of 1 at 169.254.169.254",
                                        "resolved www.good.test 1 to 1"));
  EXPECT_EQ(resolver_->counters(kSlot).rebinding_addresses, 2u);
}

TEST_F(ResolverTest, AnAuditTellsAddressesOfTheInsideAndLetsThemPass) {
  judge_->is_audit = true;
  start([](const DnsAsk& ask, bool) {
    return ScriptedServer::begin(ask).a("@12", "10.1.2.3").a("@12", "192.0.2.1").bytes();
  });
  EXPECT_THAT(ask("www.good.test", kTypeA)->addresses(), ElementsAre("10.1.2.3", "192.0.2.1"));
  EXPECT_THAT(told_.take(), ElementsAre("audit rebinding www.good.test 1 of 1 at 10.1.2.3",
                                        "resolved www.good.test 1 to 2"));
  EXPECT_EQ(resolver_->counters(kSlot).rebinding_addresses, 0u);
}

TEST_F(ResolverTest, AddressesOfATrustedNetStay) {
  judge_->trusted = parse_cidr("10.1.0.0/16");
  start([](const DnsAsk& ask, bool) {
    return ScriptedServer::begin(ask).a("@12", "10.1.2.3").a("@12", "10.2.2.3").bytes();
  });
  EXPECT_THAT(ask("www.good.test", kTypeA)->addresses(), ElementsAre("10.1.2.3"));
}

TEST_F(ResolverTest, HintsAreTreatedAsAddresses) {
  start([](const DnsAsk& ask, bool) {
    Bytes parameters = DnsBuilder::parameter(1, {2, 'h', '2'});
    DnsBuilder::append(parameters, DnsBuilder::parameter(4, {192, 0, 2, 5, 10, 0, 0, 1}));
    DnsBuilder::append(parameters,
                       DnsBuilder::parameter(6, DnsBuilder::address(AF_INET6, "fd00::1")));
    const Bytes elsewhere = DnsBuilder::parameter(4, {192, 0, 2, 77});
    return ScriptedServer::begin(ask)
        .https("@12", ".", parameters)
        .https("@12", "other.example", elsewhere)
        .bytes();
  });
  const auto reply = ask("www.good.test", kTypeHttps);
  EXPECT_EQ(reply->answers(), 2u);
  EXPECT_EQ(reply->message.error, DnsError::kNone);
  EXPECT_THAT(reply->addresses(), ElementsAre("192.0.2.5"));
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.5"));
  EXPECT_EQ(egress_.size(), 1u);
}

TEST_F(ResolverTest, RecordsWithoutAddressesArePassedOn) {
  start([](const DnsAsk& ask, bool) {
    return ScriptedServer::begin(ask)
        .record("@12", kTypeTxt, 60, {5, 'h', 'e', 'l', 'l', 'o'})
        .record("other.test", kTypeTxt, 60, {3, 'b', 'a', 'd'})
        .bytes();
  });
  const Bytes reply = ask("www.good.test", kTypeTxt)->bytes;
  const std::string text(reply.begin(), reply.end());
  EXPECT_NE(text.find("hello"), std::string::npos);
  EXPECT_EQ(text.find("bad"), std::string::npos);
}

TEST_F(ResolverTest, NoSuchNameIsPassedOnAndKept) {
  start([](const DnsAsk& ask, bool) {
    auto out = ScriptedServer::begin(ask, 0x8183);
    Bytes soa = DnsBuilder::wire("ns.good.test");
    DnsBuilder::append(soa, DnsBuilder::wire("admin.good.test"));
    DnsBuilder::append(soa, Bytes{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9});
    out.record("good.test", kTypeSoa, 60, soa);
    Bytes bytes = out.bytes();
    std::swap(bytes[7], bytes[9]);  // into the authority section
    return bytes;
  });
  const auto reply = ask("www.good.test", kTypeA);
  EXPECT_EQ(reply->rcode(), kRcodeNxdomain);
  EXPECT_EQ(reply->bytes[9], 1);
  EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), kRcodeNxdomain);
  EXPECT_EQ(server_->asked(), 1u);
  now_ns_ += 10'000'000'000;  // the SOA's minimum is 9 s
  EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), kRcodeNxdomain);
  EXPECT_EQ(server_->asked(), 2u);
}

TEST_F(ResolverTest, CacheHonoursTtlAndLetterCase) {
  start(one_address);
  ask("www.good.test", kTypeA);
  EXPECT_THAT(ask("WWW.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_EQ(server_->asked(), 1u);
  now_ns_ += 30'000'000'000;
  const auto later = ask("www.good.test", kTypeA);
  EXPECT_LE(later->message.addresses()[0].ttl_s, 30u);
  EXPECT_GE(later->message.addresses()[0].ttl_s, 28u);
  EXPECT_EQ(server_->asked(), 1u);
  now_ns_ += 31'000'000'000;
  ask("www.good.test", kTypeA);
  EXPECT_EQ(server_->asked(), 2u);
  EXPECT_EQ(resolver_->counters(kSlot).cached, 2u);
}

TEST_F(ResolverTest, WithoutCacheEveryQuestionIsAsked) {
  options_.cache_bytes = 0;
  start(one_address);
  ask("www.good.test", kTypeA);
  ask("www.good.test", kTypeA);
  EXPECT_EQ(server_->asked(), 2u);
}

// One job's upstream may be in the hands of those who wrote the job.
TEST_F(ResolverTest, JobsWithOtherServersHaveAnotherCache) {
  start(one_address);
  ScriptedServer other([](const DnsAsk& ask, bool) {
    return ScriptedServer::begin(ask).a("@12", "198.51.100.1").bytes();
  });
  const auto second = std::make_shared<FakeJudge>(std::vector<std::string>{"good.test"},
                                                  std::vector<std::string>{other.address()});
  ASSERT_TRUE(resolver_->add_job(2, second, false));
  const UdpClient client(resolver_->port());
  egress_.set_client(client.port(), 2);
  EXPECT_THAT(client.ask("www.good.test", kTypeA)->addresses(), ElementsAre("198.51.100.1"));
  EXPECT_THAT(ask("www.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_TRUE(egress_.has(2, "198.51.100.1"));
  EXPECT_FALSE(egress_.has(kSlot, "198.51.100.1"));
}

TEST_F(ResolverTest, CachedAnswerOpensTheDoorOfTheOtherJobToo) {
  start(one_address);
  ASSERT_TRUE(resolver_->add_job(2, judge_, false));
  ask("www.good.test", kTypeA);
  const UdpClient client(resolver_->port());
  egress_.set_client(client.port(), 2);
  client.ask("www.good.test", kTypeA);
  EXPECT_EQ(server_->asked(), 1u);
  EXPECT_TRUE(egress_.has(2, "192.0.2.1"));
  EXPECT_EQ(resolver_->remove_job(2).cached, 1u);
  EXPECT_FALSE(egress_.has(2, "192.0.2.1"));
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.1"));
}

TEST_F(ResolverTest, ShortTtlRunsOutWithItsGrace) {
  start([](const DnsAsk& ask, bool) {
    return ScriptedServer::begin(ask).a("@12", "192.0.2.1", 2).bytes();
  });
  ask("www.good.test", kTypeA);
  now_ns_ += 25'000'000'000;
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.1"));
  now_ns_ += 8'000'000'000;
  ask("evil.test", kTypeA);  // the clock of a test does not wake anybody
  EXPECT_TRUE(soon([&] { return !egress_.has(kSlot, "192.0.2.1"); }));
}

TEST_F(ResolverTest, FullTableIsServfailAndCounted) {
  egress_.capacity = 0;
  start(one_address);
  EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), kRcodeServfail);
  EXPECT_EQ(resolver_->counters(kSlot).inserts_failed, 1u);
  EXPECT_EQ(resolver_->counters(kSlot).servfail, 1u);
}

TEST_F(ResolverTest, AdoptedAddressesStayForAWhile) {
  egress_.put_address(kSlot, mapped("192.0.2.50"), judge_->rules_of_name("x.good.test"));
  egress_.put_address(kSlot, mapped("192.0.2.1"), judge_->rules_of_name("x.also.test"));
  adopts_ = true;
  start(one_address);
  ask("www.good.test", kTypeA);
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.50"));
  EXPECT_EQ(egress_.rules(kSlot, "192.0.2.1").count, 2u);
  now_ns_ += 301'000'000'000;
  ask("evil.test", kTypeA);
  EXPECT_TRUE(soon([&] { return !egress_.has(kSlot, "192.0.2.50"); }));
  EXPECT_FALSE(egress_.has(kSlot, "192.0.2.1"));
}

TEST_F(ResolverTest, EndLeavesAddressesToTheNext) {
  start(one_address);
  ask("www.good.test", kTypeA);
  struct stat netns{};
  ASSERT_EQ(::stat("/proc/self/ns/net", &netns), 0);
  resolver_.reset();
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.1"));
  EXPECT_TRUE(egress_.serves(static_cast<std::uint32_t>(netns.st_ino)));
}

TEST_F(ResolverTest, EndWithoutJobsTurnsNoQuestionsHere) {
  start(one_address);
  resolver_->remove_job(kSlot);
  struct stat netns{};
  ASSERT_EQ(::stat("/proc/self/ns/net", &netns), 0);
  resolver_.reset();
  EXPECT_FALSE(egress_.serves(static_cast<std::uint32_t>(netns.st_ino)));
}

TEST_F(ResolverTest, OtherPolicyJudgesWhatIsThere) {
  start(one_address);
  ask("www.good.test", kTypeA);
  const auto strict = std::make_shared<FakeJudge>(std::vector<std::string>{"also.test"});
  ASSERT_TRUE(resolver_->replace_policy(kSlot, strict));
  EXPECT_FALSE(egress_.has(kSlot, "192.0.2.1"));
  EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), kRcodeRefused);
  ASSERT_TRUE(resolver_->replace_policy(kSlot, judge_));
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.1"));
}

TEST_F(ResolverTest, NamesOfAddresses) {
  judge_->trusted = parse_cidr("10.1.0.0/16");
  start([](const DnsAsk& ask, bool) {
    if (ask.type == kTypeA) return one_address(ask, false);
    return ScriptedServer::begin(ask)
        .record("@12", kTypePtr, 60, DnsBuilder::wire("h.test"))
        .bytes();
  });
  EXPECT_EQ(ask("1.2.0.192.in-addr.arpa", kTypePtr)->rcode(), kRcodeRefused);
  EXPECT_THAT(told_.take(), ElementsAre("denied reverse 1.2.0.192.in-addr.arpa 12 of 1"));
  ask("www.good.test", kTypeA);
  EXPECT_EQ(ask("1.2.0.192.in-addr.arpa", kTypePtr)->answers(), 1u);
  EXPECT_EQ(ask("4.3.1.10.in-addr.arpa", kTypePtr)->answers(), 1u);
  EXPECT_EQ(ask("1.2.0.192.in-addr.arpa", kTypeTxt)->rcode(), kRcodeRefused);
  EXPECT_EQ(ask("secret.2.0.192.in-addr.arpa", kTypePtr)->rcode(), kRcodeRefused);
}

TEST_F(ResolverTest, QuestionsThatNobodyGetsAnswered) {
  start(one_address);
  EXPECT_EQ(ask("www.good.test", 255, 1'232)->extended_error(), 17);
  EXPECT_EQ(ask("www.good.test", 252)->rcode(), kRcodeRefused);
  Bytes chaos = question("www.good.test", kTypeTxt);
  chaos.back() = 3;
  const UdpClient client(resolver_->port());
  EXPECT_EQ(client.ask(chaos)->rcode(), kRcodeRefused);
  Bytes notify = question("www.good.test", kTypeSoa);
  notify[2] = 0x20;
  EXPECT_EQ(client.ask(notify)->rcode(), kRcodeNotImplemented);
  Bytes version = question("www.good.test", kTypeA, 7, 1'232);
  version[version.size() - 5] = 1;
  EXPECT_EQ(client.ask(version)->bytes.at(12 + 15 + 4 + 5), 1);  // BADVERS
  EXPECT_EQ(server_->asked(), 0u);
}

TEST_F(ResolverTest, Localhost) {
  start(one_address);
  EXPECT_THAT(ask("localhost", kTypeA)->addresses(), ElementsAre("127.0.0.1"));
  EXPECT_THAT(ask("x.localhost", kTypeAaaa)->addresses(), ElementsAre("::1"));
  EXPECT_EQ(ask("localhost", kTypeTxt)->rcode(), 0);
  EXPECT_EQ(server_->asked(), 0u);
}

TEST_F(ResolverTest, EndlessLabelsAndOtherGarbage) {
  start(one_address);
  const UdpClient client(resolver_->port());
  Bytes pointer = question("www.good.test", kTypeA);
  pointer[12] = 0xc0;
  EXPECT_EQ(client.ask(pointer)->rcode(), kRcodeFormat);
  Bytes two = question("www.good.test", kTypeA);
  two[5] = 2;
  EXPECT_EQ(client.ask(two)->rcode(), kRcodeFormat);
  Bytes behind = question("www.good.test", kTypeA);
  behind.push_back(0);
  EXPECT_EQ(client.ask(behind)->rcode(), kRcodeFormat);
  client.send({1, 2, 3});
  client.send(Bytes(12, 0xff));  // an answer
  client.send(Bytes(9'000, 0));
  EXPECT_THAT(client.ask("www.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_EQ(resolver_->counters().malformed, 3u);
  EXPECT_EQ(resolver_->counters().dropped, 3u);
}

TEST_F(ResolverTest, RemovedJobIsNobody) {
  start(one_address);
  ask("www.good.test", kTypeA);
  EXPECT_EQ(resolver_->remove_job(kSlot).answered, 1u);
  EXPECT_FALSE(egress_.has(kSlot, "192.0.2.1"));
  EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), kRcodeRefused);
  EXPECT_EQ(resolver_->counters().answered, 1u);
}

TEST_F(ResolverTest, JobWithoutServersIsAnError) {
  options_.resolv_conf = "/nonexistent";
  options_.port = 25'353;
  auto resolver = Resolver::start(egress_, told_, options_);
  ASSERT_TRUE(resolver);
  const auto added = (*resolver)->add_job(kSlot, judge_, false);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::kNotFound);
  const auto wrong = std::make_shared<FakeJudge>(std::vector<std::string>{},
                                                 std::vector<std::string>{"dns.example"});
  EXPECT_EQ((*resolver)->add_job(kSlot, wrong, false).error().code, ErrorCode::kInvalidInput);
  const auto itself = std::make_shared<FakeJudge>(
      std::vector<std::string>{},
      std::vector<std::string>{"127.0.0.1:" + std::to_string((*resolver)->port())});
  EXPECT_EQ((*resolver)->add_job(kSlot, itself, false).error().code, ErrorCode::kNotFound);
}

TEST_F(ResolverTest, SecondResolverTakesTheNextPort) {
  start(one_address);
  FakeEgress egress;
  auto second = Resolver::start(egress, told_, options_);
  ASSERT_TRUE(second);
  EXPECT_GT((*second)->port(), resolver_->port());
}

}  // namespace
}  // namespace cicd
