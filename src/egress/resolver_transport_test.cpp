// SPDX-License-Identifier: Apache-2.0
// How the resolver's messages travel: TCP, truncation, servers that are slow, silent or forged,
// many clients at once, network namespaces.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "egress/resolver.h"
#include "egress/resolver_sockets.h"
#include "support/fake_egress.h"
#include "support/resolver_world.h"

namespace cicd {
namespace {

using namespace support;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t kSlot = 1;

Bytes one_address(const DnsAsk& ask, bool) {
  return ScriptedServer::begin(ask).a("@12", "192.0.2.1", 60).bytes();
}

// `count` addresses from 192.0.2.0 on.
Bytes many_addresses(const DnsAsk& ask, int count) {
  auto out = ScriptedServer::begin(ask);
  for (int i = 0; i < count; ++i) out.a("@12", ("192.0.2." + std::to_string(i)).c_str());
  return out.bytes();
}

class ResolverTransportTest : public testing::Test {
 protected:
  ResolverTransportTest() {
    options_.port = 26'353;
    options_.try_timeout = milliseconds(200);
  }
  void start(ScriptedServer::Script script) {
    server_ = std::make_unique<ScriptedServer>(std::move(script));
    options_.upstreams.push_back(server_->address());
    auto resolver = Resolver::start(egress_, told_, options_);
    ASSERT_TRUE(resolver) << resolver.error().text;
    resolver_ = std::move(*resolver);
    ASSERT_TRUE(resolver_->add_job(kSlot, judge_, false));
  }
  std::unique_ptr<Reply> ask(std::string_view name, std::uint16_t type,
                             std::uint16_t edns_bytes = 0) {
    return UdpClient(resolver_->port()).ask(name, type, edns_bytes);
  }

  FakeEgress egress_;
  Told told_;
  std::shared_ptr<FakeJudge> judge_ =
      std::make_shared<FakeJudge>(std::vector<std::string>{"good.test"});
  ResolverOptions options_;
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(ResolverTransportTest, QuestionsOverTcpComeInARowAndInPieces) {
  start(one_address);
  Bytes all;
  for (std::uint16_t id = 1; id <= 200; ++id) {
    const std::string name = std::to_string(id) + (id % 2 == 0 ? ".good.test" : ".evil.test");
    DnsBuilder::append(all, TcpClient::framed(question(name, kTypeA, id)));
  }
  const TcpClient client(resolver_->port());
  for (std::size_t at = 0; at < all.size(); at += 333) {
    const std::size_t end = std::min(at + 333, all.size());
    ASSERT_TRUE(client.send(Bytes(all.begin() + static_cast<std::ptrdiff_t>(at),
                                  all.begin() + static_cast<std::ptrdiff_t>(end))));
  }
  std::set<int> ids;
  for (int i = 0; i < 200; ++i) {
    const Reply reply(client.receive());
    ASSERT_GE(reply.bytes.size(), 12u);
    EXPECT_EQ(reply.rcode(), reply.message.id % 2 == 0 ? 0 : kRcodeRefused);
    ids.insert(reply.message.id);
  }
  EXPECT_EQ(ids.size(), 200u);
}

TEST_F(ResolverTransportTest, ClientThatHasSaidAllGetsItsAnswer) {
  start(one_address);
  const TcpClient client(resolver_->port());
  client.send(TcpClient::framed(question("www.good.test", kTypeA)));
  ::shutdown(client.fd(), SHUT_WR);
  EXPECT_THAT(Reply(client.receive()).addresses(), ElementsAre("192.0.2.1"));
  EXPECT_THAT(client.receive(), IsEmpty());
}

TEST_F(ResolverTransportTest, GarbageOverTcp) {
  start(one_address);
  const TcpClient client(resolver_->port());
  Bytes bad = question("www.good.test", kTypeA);
  bad[12] = 0xff;
  client.send(TcpClient::framed(bad));
  EXPECT_EQ(Reply(client.receive()).rcode(), kRcodeFormat);
  client.send(TcpClient::framed(question("www.good.test", kTypeA)));
  EXPECT_EQ(Reply(client.receive()).rcode(), 0);
  Bytes answers = TcpClient::framed(Bytes(100, 0xff));
  for (int i = 0; i < 5; ++i) DnsBuilder::append(answers, answers);
  client.send(answers);
  EXPECT_THAT(client.receive(), IsEmpty());  // closed
}

TEST_F(ResolverTransportTest, IdleConnectionIsClosed) {
  options_.idle_timeout = milliseconds(100);
  start(one_address);
  const TcpClient client(resolver_->port());
  client.send({0});
  EXPECT_THAT(client.receive(), IsEmpty());
}

TEST_F(ResolverTransportTest, ConnectionsOfAJobHaveALimit) {
  options_.max_streams_per_job = 2;
  start(one_address);
  const Bytes sent = TcpClient::framed(question("www.good.test", kTypeA));
  const TcpClient first(resolver_->port());
  const TcpClient second(resolver_->port());
  first.send(sent);
  second.send(sent);
  EXPECT_EQ(Reply(first.receive()).rcode(), 0);
  EXPECT_EQ(Reply(second.receive()).rcode(), 0);
  const TcpClient third(resolver_->port());
  third.send(sent);
  EXPECT_THAT(third.receive(), IsEmpty());
  EXPECT_EQ(resolver_->counters().limited, 1u);
}

TEST_F(ResolverTransportTest, ClientThatTakesNoAnswersIsNotReadFrom) {
  start([](const DnsAsk& ask, bool) { return many_addresses(ask, 60); });
  const TcpClient client(resolver_->port());
  const Bytes one = TcpClient::framed(question("www.good.test", kTypeA));
  Bytes many;
  for (int i = 0; i < 1'000; ++i) DnsBuilder::append(many, one);
  ::fcntl(client.fd(), F_SETFL, O_NONBLOCK);
  std::uint64_t sent = 0;
  while (sent < 1'000'000 && send_all(client.fd(), many)) sent += 1'000;
  EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), 0);
  // In the end it waits for the client to take answers, though there are more questions.
  std::uint64_t before = 0;
  std::uint64_t read = 1;
  for (int i = 0; i < 50 && read != before; ++i) {
    before = read;
    std::this_thread::sleep_for(milliseconds(200));
    read = resolver_->counters().queries;
  }
  EXPECT_EQ(read, before);
  EXPECT_LT(read, sent);
}

TEST_F(ResolverTransportTest, ReplyThatDoesNotFitIsTruncated) {
  start([](const DnsAsk& ask, bool) { return many_addresses(ask, 60); });
  const auto plain = ask("www.good.test", kTypeA);
  EXPECT_TRUE(plain->message.is_truncated);
  EXPECT_EQ(plain->answers(), 0u);
  EXPECT_LE(plain->bytes.size(), 512u);
  EXPECT_EQ(ask("www.good.test", kTypeA, 1'232)->answers(), 60u);
  const TcpClient stream(resolver_->port());
  stream.send(TcpClient::framed(question("www.good.test", kTypeA)));
  EXPECT_EQ(Reply(stream.receive()).answers(), 60u);
  EXPECT_EQ(egress_.size(), 60u);
  EXPECT_EQ(resolver_->counters().truncated, 1u);
}

TEST_F(ResolverTransportTest, TruncatedAnswerIsAskedForOverTcp) {
  start([](const DnsAsk& ask, bool is_tcp) {
    if (is_tcp) return many_addresses(ask, 100);
    return ScriptedServer::begin(ask, DnsBuilder::kAnswer | DnsBuilder::kTruncated).bytes();
  });
  EXPECT_EQ(ask("www.good.test", kTypeA, 4'096)->answers(), 100u);
  EXPECT_EQ(resolver_->counters().upstream_tcp, 1u);
}

// A server that does not keep the letters is believed over TCP, where nobody else can answer.
TEST_F(ResolverTransportTest, AnswerWithOtherLettersIsAskedForOverTcp) {
  start([](const DnsAsk& ask, bool) {
    DnsAsk lower = ask;
    for (std::uint8_t& byte : lower.name) {
      if (byte >= 'A' && byte <= 'Z') byte = static_cast<std::uint8_t>(byte + 32);
    }
    return one_address(lower, false);
  });
  EXPECT_THAT(ask("abcdefghijklmnopqrstuvwxyz.good.test", kTypeA)->addresses(),
              ElementsAre("192.0.2.1"));
  EXPECT_EQ(resolver_->counters().upstream_tcp, 1u);
}

TEST_F(ResolverTransportTest, AnswersToAnotherQuestionAreNotTaken) {
  std::atomic<int> tries = 0;
  start([&](const DnsAsk& ask, bool) {
    DnsAsk other = ask;
    switch (tries++) {
      case 0:
        other.id = static_cast<std::uint16_t>(other.id ^ 1);
        break;
      case 1:
        other.type = kTypeAaaa;
        break;
      case 2:
        other.name[1] = other.name[1] == 'x' ? 'y' : 'x';
        break;
      default:
        break;
    }
    return one_address(other, false);
  });
  EXPECT_THAT(ask("www.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_EQ(resolver_->counters().upstream_unexpected, 3u);
  EXPECT_EQ(resolver_->counters().upstream_timeouts, 3u);
}

TEST_F(ResolverTransportTest, PortsIdsAndLettersOfQuestionsVary) {
  options_.cache_bytes = 0;
  start(one_address);
  for (int i = 0; i < 64; ++i) ask("abcdefgh.good.test", kTypeA);
  std::set<int> ids;
  std::set<std::string> names;
  for (const Bytes& raw : server_->raw_asks()) {
    ids.insert(raw[0] << 8 | raw[1]);
    names.emplace(raw.begin() + 12, raw.begin() + 32);
  }
  EXPECT_GT(ids.size(), 55u);
  EXPECT_GT(names.size(), 55u);
}

TEST_F(ResolverTransportTest, SilentServerIsGivenUpForTheNext) {
  const UniqueFd silent = bound_socket(SOCK_DGRAM);
  options_.upstreams = {"127.0.0.1:" + std::to_string(port_of(silent.get()))};
  start(one_address);
  EXPECT_THAT(ask("1.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_EQ(resolver_->counters().upstream_timeouts, 1u);
  EXPECT_THAT(ask("2.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_EQ(resolver_->counters().upstream_timeouts, 1u);  // it is not asked first any more
}

TEST_F(ResolverTransportTest, ServerThatIsNotThereIsGivenUpAtOnce) {
  options_.try_timeout = milliseconds(5'000);
  {
    const UniqueFd gone = bound_socket(SOCK_DGRAM);
    options_.upstreams = {"127.0.0.1:" + std::to_string(port_of(gone.get()))};
  }
  const auto started = std::chrono::steady_clock::now();
  start(one_address);
  EXPECT_THAT(ask("www.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_LT(std::chrono::steady_clock::now() - started, milliseconds(3'000));
}

TEST_F(ResolverTransportTest, NoServerAnswers) {
  options_.try_timeout = milliseconds(20);
  start([](const DnsAsk&, bool) { return Bytes{}; });
  const auto reply = ask("www.good.test", kTypeA, 1'232);
  EXPECT_EQ(reply->rcode(), kRcodeServfail);
  EXPECT_EQ(reply->extended_error(), 22);
  EXPECT_EQ(resolver_->counters().upstream_failed, 1u);
  EXPECT_EQ(server_->asked(), 4u);
}

TEST_F(ResolverTransportTest, SlowServer) {
  options_.try_timeout = milliseconds(1'000);
  start([](const DnsAsk& ask, bool) {
    std::this_thread::sleep_for(milliseconds(300));
    return one_address(ask, false);
  });
  EXPECT_THAT(ask("www.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_EQ(resolver_->counters().upstream_timeouts, 0u);
}

TEST_F(ResolverTransportTest, OpenQuestionsOfAJobHaveALimit) {
  options_.max_open_per_job = 10;
  options_.try_timeout = milliseconds(5'000);
  start([](const DnsAsk&, bool) { return Bytes{}; });
  const UdpClient client(resolver_->port());
  for (std::uint16_t id = 0; id < 15; ++id) client.send(question("www.good.test", kTypeA, id));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Reply(client.receive()).rcode(), kRcodeServfail);
  EXPECT_EQ(resolver_->counters().limited, 5u);
  EXPECT_EQ(resolver_->remove_job(kSlot).limited, 5u);  // with ten of them open
}

TEST_F(ResolverTransportTest, GarbageFromTheServer) {
  options_.try_timeout = milliseconds(50);
  std::atomic<unsigned> seed = 1;
  start([&](const DnsAsk& ask, bool) {
    Bytes bytes = ScriptedServer::begin(ask).a("@12", "192.0.2.1").bytes();
    bytes[7] = 200;  // records that are not there
    for (unsigned i = 0; i < seed % 50; ++i) bytes.push_back(static_cast<std::uint8_t>(i * seed));
    ++seed;
    return bytes;
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), kRcodeServfail);
  EXPECT_EQ(egress_.size(), 0u);
}

TEST_F(ResolverTransportTest, ThousandClients) {
  start([](const DnsAsk& ask, bool) {
    // An address that tells whose answer it is.
    const int number = std::stoi(ask.text);
    const std::string ip =
        "192.0." + std::to_string(number / 256) + "." + std::to_string(number % 256);
    return ScriptedServer::begin(ask).a("@12", ip.c_str()).bytes();
  });
  std::vector<UdpClient> clients;
  clients.reserve(900);
  for (int i = 0; i < 900; ++i) clients.emplace_back(resolver_->port());
  std::vector<std::unique_ptr<TcpClient>> streams;
  for (int i = 0; i < 100; ++i) streams.push_back(std::make_unique<TcpClient>(resolver_->port()));
  for (std::size_t i = 0; i < 900; ++i) {
    clients[i].send(question(std::to_string(i) + ".good.test", kTypeA));
  }
  for (std::size_t i = 0; i < 100; ++i) {
    const std::string name = std::to_string(900 + i) + ".good.test";
    streams[i]->send(TcpClient::framed(question(name, kTypeA)));
  }
  const auto expected = [](std::size_t i) {
    return "192.0." + std::to_string(i / 256) + "." + std::to_string(i % 256);
  };
  for (std::size_t i = 0; i < 900; ++i) {
    ASSERT_THAT(Reply(clients[i].receive()).addresses(), ElementsAre(expected(i)));
  }
  for (std::size_t i = 0; i < 100; ++i) {
    ASSERT_THAT(Reply(streams[i]->receive()).addresses(), ElementsAre(expected(900 + i)));
  }
  EXPECT_EQ(egress_.size(), 1'000u);
}

// Jobs come and go while others ask.
TEST_F(ResolverTransportTest, JobsComeAndGo) {
  start(one_address);
  std::atomic<bool> is_over = false;
  std::vector<std::thread> clients;
  for (int t = 0; t < 3; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; !is_over; ++i) {
        ask(std::to_string(i % 50) + "." + std::to_string(t) + ".good.test", kTypeA);
      }
    });
  }
  for (std::uint32_t i = 0; i < 100; ++i) {
    EXPECT_TRUE(resolver_->add_job(2 + i, judge_, true));
    EXPECT_TRUE(resolver_->replace_policy(kSlot, judge_));
    resolver_->counters();
    resolver_->remove_job(2 + i);
  }
  is_over = true;
  for (std::thread& client : clients) client.join();
  const ResolverCounters counters = resolver_->counters();
  EXPECT_EQ(counters.queries, counters.answered);
}

class OtherNetns {
 public:
  OtherNetns() {
    std::thread([this] {
      is_made_ = ::unshare(CLONE_NEWNET) == 0;
      if (!is_made_) return;
      fd = UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    }).join();
  }
  bool is_made() const { return is_made_; }
  std::uint32_t inode() const {
    struct stat info{};
    ::fstat(fd.get(), &info);
    return static_cast<std::uint32_t>(info.st_ino);
  }
  template <typename Body>
  void run(Body body) const {
    std::thread([&] {
      ASSERT_EQ(::setns(fd.get(), CLONE_NEWNET), 0);
      body();
    }).join();
  }
  UniqueFd fd;

 private:
  bool is_made_ = false;
};

void loopback_up() {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  ifreq request{};
  std::snprintf(request.ifr_name, sizeof(request.ifr_name), "lo");
  request.ifr_flags = IFF_UP;
  EXPECT_EQ(::ioctl(fd.get(), SIOCSIFFLAGS, &request), 0);
}

TEST_F(ResolverTransportTest, ListensInTheNamespaceOfAJob) {
  const OtherNetns other;
  if (!other.is_made()) GTEST_SKIP() << "network namespaces need root";
  start(one_address);
  // Before its loopback interface is up.
  ASSERT_TRUE(resolver_->listen_in(other.fd.get()));
  EXPECT_TRUE(egress_.serves(other.inode()));
  ASSERT_TRUE(resolver_->listen_in(other.fd.get()));
  other.run([&] {
    loopback_up();
    EXPECT_THAT(ask("www.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
    const TcpClient stream(resolver_->port());
    stream.send(TcpClient::framed(question("www.good.test", kTypeA)));
    EXPECT_EQ(Reply(stream.receive()).answers(), 1u);
  });
  resolver_->stop_listening(other.inode());
  EXPECT_FALSE(egress_.serves(other.inode()));
  other.run([&] {
    const UdpClient client(resolver_->port());
    client.send(question("www.good.test", kTypeA));
    EXPECT_THAT(client.receive(), IsEmpty());  // the port is closed
  });
  EXPECT_EQ(ask("www.good.test", kTypeA)->rcode(), 0);
}

TEST_F(ResolverTransportTest, PortOfANamespaceIsTaken) {
  const OtherNetns other;
  if (!other.is_made()) GTEST_SKIP() << "network namespaces need root";
  start(one_address);
  UniqueFd taken;
  other.run([&] {
    loopback_up();
    taken = bound_socket(SOCK_DGRAM, resolver_->port());
  });
  const auto result = resolver_->listen_in(other.fd.get());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kResource);
  EXPECT_FALSE(egress_.serves(other.inode()));
}

TEST_F(ResolverTransportTest, AsksOverIpv6) {
  start(one_address);
  const UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM, 0));
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(resolver_->port());
  to.sin6_addr = in6addr_loopback;
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
    GTEST_SKIP() << "there is no IPv6 here";
  }
  wait_at_most(fd.get(), 5);
  const Bytes sent = question("www.good.test", kTypeA);
  ::send(fd.get(), sent.data(), sent.size(), 0);
  Bytes reply(512);
  const ssize_t got = ::recv(fd.get(), reply.data(), reply.size(), 0);
  ASSERT_GT(got, 12);
  reply.resize(static_cast<std::size_t>(got));
  EXPECT_THAT(Reply(reply).addresses(), ElementsAre("192.0.2.1"));
}

TEST(ServerAddress, Texts) {
  for (const char* text : {"192.0.2.1", "192.0.2.1:53"}) {
    ASSERT_TRUE(parse_server(text)) << text;
    EXPECT_EQ(text_of(*parse_server(text)), "192.0.2.1:53");
  }
  EXPECT_EQ(text_of(*parse_server("192.0.2.1:5353")), "192.0.2.1:5353");
  EXPECT_EQ(text_of(*parse_server("2001:db8::1")), "[2001:db8::1]:53");
  EXPECT_EQ(text_of(*parse_server("[2001:db8::1]:54")), "[2001:db8::1]:54");
  EXPECT_EQ(text_of(*parse_server("[2001:db8::1]")), "[2001:db8::1]:53");
  for (const char* text : {"", "dns.example", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:99999",
                           "[2001:db8::1", "[2001:db8::1]x", "[2001:db8::1]:", "1.2.3", "::1:x"}) {
    EXPECT_FALSE(parse_server(text)) << text;
  }
}

}  // namespace
}  // namespace cicd
