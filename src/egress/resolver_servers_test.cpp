// SPDX-License-Identifier: Apache-2.0
// The resolver before real servers: unbound, which forwards to dnsmasq, which has the zone.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "egress/resolver.h"
#include "support/fake_egress.h"
#include "support/resolver_world.h"

namespace cicd {
namespace {

using namespace support;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t kSlot = 1;

std::string program(const char* name) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/sbin/"}) {
    if (::access((folder + std::string(name)).c_str(), X_OK) == 0)
      return folder + std::string(name);
  }
  return {};
}

class Server {
 public:
  explicit Server(std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    EXPECT_EQ(::posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, arguments.data(), environ),
              0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~Server() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  pid_t pid_ = 0;
};

std::uint16_t free_port() { return support::port_of(bound_socket(SOCK_STREAM).get()); }

bool answers_soon(std::uint16_t port, const char* name) {
  for (int i = 0; i < 100; ++i) {
    const UdpClient client(port);
    const Bytes sent = question(name, kTypeA);
    ::send(client.fd(), sent.data(), sent.size(), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (!client.receive(MSG_DONTWAIT).empty()) return true;
  }
  return false;
}

class ResolverServersTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string zone_server = program("dnsmasq");
    const std::string forwarder = program("unbound");
    if (zone_server.empty() || forwarder.empty()) {
      GTEST_SKIP() << "dnsmasq or unbound is missing; run: make deps";
    }
    const std::uint16_t zone_port = free_port();
    zone_ = std::make_unique<Server>(zone_words(zone_server, zone_port));
    const std::uint16_t port = free_port();
    write_config(zone_port, port);
    forwarder_ = std::make_unique<Server>(
        std::vector<std::string>{forwarder, "-d", "-c", folder_ / "unbound.conf"});
    ASSERT_TRUE(answers_soon(zone_port, "www.good.test"));
    ASSERT_TRUE(answers_soon(port, "www.good.test"));
    options_.port = 28'353;
    options_.upstreams = {"127.0.0.1:" + std::to_string(port)};
    auto resolver = Resolver::start(egress_, told_, options_);
    ASSERT_TRUE(resolver) << resolver.error().text;
    resolver_ = std::move(*resolver);
    ASSERT_TRUE(resolver_->add_job(kSlot, judge_, false));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::vector<std::string> zone_words(const std::string& path, std::uint16_t port) {
    return {path,
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--user=root",
            "--pid-file=",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--port=" + std::to_string(port),
            "--local=/test/",
            "--auth-ttl=30",
            "--local-ttl=30",
            "--host-record=www.good.test,192.0.2.1,2001:db8::1",
            "--host-record=edge.evil.test,192.0.2.2",
            "--cname=mid.cdn.test,edge.evil.test",
            "--cname=cdn.good.test,mid.cdn.test",
            "--host-record=inside.good.test,10.0.0.7",
            "--host-record=both.good.test,10.0.0.7",
            "--host-record=both.good.test,192.0.2.3",
            "--host-record=short.good.test,192.0.2.4,1",
            "--txt-record=www.good.test,hello",
            "--mx-host=good.test,mail.good.test,10",
            "--ptr-record=1.2.0.192.in-addr.arpa,www.good.test"};
  }
  void write_config(std::uint16_t zone_port, std::uint16_t port) {
    std::string pattern = std::filesystem::temp_directory_path() / "resolver-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    std::ofstream out(folder_ / "unbound.conf");
    out << "server:\n interface: 127.0.0.1\n port: " << port
        << "\n do-ip6: no\n username: \"\"\n chroot: \"\"\n directory: " << folder_
        << "\n pidfile: \"\"\n use-syslog: no\n do-daemonize: no\n do-not-query-localhost: no\n"
           " module-config: \"iterator\"\n local-zone: \"test.\" nodefault\n"
           " local-zone: \"2.0.192.in-addr.arpa.\" nodefault\n"
           " local-zone: \"large.good.test.\" static\n local-zone: \"svc.good.test.\" static\n"
           " local-data: 'svc.good.test. 60 IN HTTPS 1 . alpn=h2 ipv4hint=192.0.2.9,10.0.0.9'\n";
    for (int i = 0; i < 120; ++i) {
      out << " local-data: \"large.good.test. 60 IN A 198.51.100." << i << "\"\n";
    }
    out << "forward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@" << zone_port << "\n";
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
  std::filesystem::path folder_;
  std::unique_ptr<Server> zone_;
  std::unique_ptr<Server> forwarder_;
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(ResolverServersTest, Addresses) {
  EXPECT_THAT(ask("www.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.1"));
  EXPECT_THAT(ask("www.good.test", kTypeAaaa, 1'232)->addresses(), ElementsAre("2001:db8::1"));
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.1"));
  EXPECT_TRUE(egress_.has(kSlot, "2001:db8::1"));
  EXPECT_EQ(ask("none.good.test", kTypeA)->rcode(), kRcodeNxdomain);
}

// The chain leads over names that the policy refuses: it is asked about the first one only.
TEST_F(ResolverServersTest, ChainToNamesThatAreDenied) {
  const auto reply = ask("cdn.good.test", kTypeA);
  EXPECT_THAT(reply->addresses(), ElementsAre("192.0.2.2"));
  EXPECT_EQ(reply->message.alias.view(), "edge.evil.test");
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.2"));
  EXPECT_EQ(ask("edge.evil.test", kTypeA)->rcode(), kRcodeRefused);
}

TEST_F(ResolverServersTest, Inside) {
  EXPECT_THAT(ask("inside.good.test", kTypeA)->addresses(), IsEmpty());
  EXPECT_THAT(ask("both.good.test", kTypeA)->addresses(), ElementsAre("192.0.2.3"));
  EXPECT_EQ(egress_.size(), 1u);
}

TEST_F(ResolverServersTest, Hints) {
  EXPECT_THAT(ask("svc.good.test", kTypeHttps)->addresses(), ElementsAre("192.0.2.9"));
  EXPECT_TRUE(egress_.has(kSlot, "192.0.2.9"));
}

TEST_F(ResolverServersTest, LargeAnswer) {
  EXPECT_TRUE(ask("large.good.test", kTypeA)->message.is_truncated);
  const TcpClient stream(resolver_->port());
  stream.send(TcpClient::framed(question("large.good.test", kTypeA)));
  EXPECT_EQ(Reply(stream.receive()).answers(), 120u);
  EXPECT_EQ(egress_.size(), 120u);
  EXPECT_EQ(resolver_->counters().upstream_tcp, 1u);
}

TEST_F(ResolverServersTest, OtherTypes) {
  EXPECT_EQ(ask("www.good.test", kTypeTxt)->answers(), 1u);
  EXPECT_EQ(ask("good.test", 15)->answers(), 1u);
  EXPECT_EQ(ask("1.2.0.192.in-addr.arpa", kTypePtr)->rcode(), kRcodeRefused);
  ask("www.good.test", kTypeA);
  EXPECT_EQ(ask("1.2.0.192.in-addr.arpa", kTypePtr)->answers(), 1u);
}

TEST_F(ResolverServersTest, ShortTtl) {
  const auto reply = ask("short.good.test", kTypeA);
  ASSERT_THAT(reply->addresses(), ElementsAre("192.0.2.4"));
  EXPECT_LE(reply->message.addresses()[0].ttl_s, 1u);
}

}  // namespace
}  // namespace cicd
