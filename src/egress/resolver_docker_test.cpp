// SPDX-License-Identifier: Apache-2.0
// Names of containers, with real network namespaces: one that stands for the machine, with a bridge
// of Docker's, and one for a container, with a server in the place of Docker's resolver.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "egress/docker_network.h"
#include "egress/network_namespace.h"
#include "egress/resolver.h"
#include "support/resolver_world.h"

namespace cicd {
namespace {

using namespace support;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint32_t kSlot = 1;
constexpr const char* kBridge = "br-0123456789ab";
constexpr const char* kPostgres = "198.18.77.9";
constexpr const char* kClientIp = "198.18.77.5";

sockaddr_in v4(const char* ip, std::uint16_t port = 0) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  ::inet_pton(AF_INET, ip, &out.sin_addr);
  return out;
}

void set_flag_up(int fd, const char* name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  EXPECT_EQ(::ioctl(fd, SIOCGIFFLAGS, &request), 0) << name;
  request.ifr_flags |= IFF_UP;
  EXPECT_EQ(::ioctl(fd, SIOCSIFFLAGS, &request), 0) << name;
}

// Not while the kernel still holds it for tentative.
bool can_bind(const in6_addr& ip) {
  const UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = ip;
  return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

// A bridge of this name with this address, up; in the caller's namespace, with the loopback.
void make_bridge(const char* name, const char* ip, const char* ip6 = nullptr) {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::ioctl(fd.get(), SIOCBRADDBR, name), 0) << std::strerror(errno);
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  const sockaddr_in address = v4(ip);
  std::memcpy(&request.ifr_addr, &address, sizeof(address));
  ASSERT_EQ(::ioctl(fd.get(), SIOCSIFADDR, &request), 0);
  const sockaddr_in mask = v4("255.255.255.0");
  std::memcpy(&request.ifr_netmask, &mask, sizeof(mask));
  ASSERT_EQ(::ioctl(fd.get(), SIOCSIFNETMASK, &request), 0);
  set_flag_up(fd.get(), name);
  set_flag_up(fd.get(), "lo");
  if (ip6 == nullptr) return;
  // Nobody is behind the bridge, so nobody could say that the address is taken. The kernel takes
  // its own time all the same.
  std::ofstream("/proc/sys/net/ipv6/conf/" + std::string(name) + "/accept_dad") << 0;
  struct {
    in6_addr address;
    std::uint32_t bits;
    int index;
  } of_v6{{}, 64, static_cast<int>(::if_nametoindex(name))};
  ::inet_pton(AF_INET6, ip6, &of_v6.address);
  const UniqueFd fd6(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::ioctl(fd6.get(), SIOCSIFADDR, &of_v6), 0) << std::strerror(errno);
  for (int i = 0; i < 10'000 && !can_bind(of_v6.address); ++i) ::usleep(1'000);
}

void add_default_route(const char* gateway) {
  rtentry route{};
  const sockaddr_in any = v4("0.0.0.0");
  const sockaddr_in by = v4(gateway);
  std::memcpy(&route.rt_dst, &any, sizeof(any));
  std::memcpy(&route.rt_genmask, &any, sizeof(any));
  std::memcpy(&route.rt_gateway, &by, sizeof(by));
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::ioctl(fd.get(), SIOCADDRT, &route), 0) << std::strerror(errno);
}

UniqueFd own_netns() { return UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

// On a thread of its own in a new network namespace; that of the other tests stays what it is.
void in_new_netns(const std::function<void()>& work) {
  std::thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    work();
  }).join();
}

UniqueFd container() {
  UniqueFd out;
  in_new_netns([&] {
    make_bridge("eth0", kClientIp);
    out = own_netns();
  });
  return out;
}

UniqueFd listener_at(int netns_fd, const char* ip) {
  UniqueFd out;
  EXPECT_TRUE(within_netns(netns_fd, [&]() -> Result<> {
    out = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = v4(ip);
    EXPECT_EQ(::bind(out.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(out.get(), 16), 0);
    return {};
  }));
  return out;
}

class DockerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
  }
};

class DockerNetworkTest : public DockerTest {};

TEST_F(DockerNetworkTest, AnAddressIsOfAContainerByTheRouteToIt) {
  in_new_netns([] {
    make_bridge(kBridge, "198.18.77.1", "fd00:77::1");
    make_bridge("br-lan", "198.18.78.1");
    make_bridge("br-0123456789xy", "198.18.79.1");
    add_default_route("198.18.77.254");
    const unsigned index = ::if_nametoindex(kBridge);
    for (const char* inside : {kPostgres, kClientIp, "fd00:77::9"}) {
      EXPECT_EQ(bridge_to_container(mapped(inside)), index) << inside;
    }
    for (const char* outside :
         {"198.18.77.1", "198.18.77.255", "198.18.78.9", "198.18.79.9", "203.0.113.9", "127.0.0.1",
          "0.0.0.0", "224.0.0.1", "fd00:77::1", "2001:db8::1", "::1"}) {
      EXPECT_EQ(bridge_to_container(mapped(outside)), 0u) << outside;
    }
  });
}

TEST_F(DockerNetworkTest, TheResolverIsKnownByTheCgroupOfItsSocket) {
  const UniqueFd there = container();
  const auto port = [&](bool is_of_a_job) {
    const auto found = docker_resolver_port(there.get(), [&](std::uint64_t cgroup) {
      EXPECT_NE(cgroup, 0u);
      return is_of_a_job;
    });
    EXPECT_TRUE(found) << found.error().text;
    return found.value_or(0);
  };
  const UniqueFd other = listener_at(there.get(), "127.0.0.1");
  EXPECT_EQ(port(false), 0);
  const UniqueFd resolver = listener_at(there.get(), "127.0.0.11");
  EXPECT_EQ(port(false), support::port_of(resolver.get()));
  EXPECT_EQ(port(true), 0);
}

TEST_F(DockerNetworkTest, PacketsHaveAnAddressWhereThereIsAWay) {
  const UniqueFd there = container();
  EXPECT_EQ(source_address(there.get(), mapped(kPostgres)), mapped(kClientIp));
  EXPECT_EQ(source_address(there.get(), mapped("203.0.113.9")), std::nullopt);
}

TEST_F(DockerNetworkTest, ASocketTellsItsNamespace) {
  const UniqueFd there = container();
  const UniqueFd socket = listener_at(there.get(), "127.0.0.1");
  const auto found = netns_of_socket(socket.get());
  ASSERT_TRUE(found);
  EXPECT_EQ(source_address(found->get(), mapped(kPostgres)), mapped(kClientIp));
}

// In the place of Docker's resolver, over TCP.
class DockerServer {
 public:
  using Script = std::function<Bytes(const DnsAsk& ask)>;  // empty: no answer

  DockerServer(int netns_fd, Script script)
      : script_(std::move(script)), listener_(listener_at(netns_fd, "127.0.0.11")) {
    thread_ = std::thread([this] { serve(); });
  }
  ~DockerServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  DockerServer(const DockerServer&) = delete;
  DockerServer& operator=(const DockerServer&) = delete;

  std::vector<std::string> take_names() {
    const std::lock_guard lock(mutex_);
    return std::exchange(names_, {});
  }

 private:
  void serve() {
    std::vector<UniqueFd> silent;  // as a server that is slow, not one that has gone
    while (true) {
      UniqueFd client(::accept(listener_.get(), nullptr, nullptr));
      if (!client) return;
      wait_at_most(client.get(), 2);
      DnsAsk ask;
      if (read_ask(read_frame(client.get()), ask) != AskFault::kNone) continue;
      {
        const std::lock_guard lock(mutex_);
        names_.push_back(ask.text);
      }
      const Bytes answer = script_(ask);
      if (!answer.empty()) send_all(client.get(), TcpClient::framed(answer));
      silent.push_back(std::move(client));
    }
  }

  Script script_;
  UniqueFd listener_;
  std::mutex mutex_;
  std::vector<std::string> names_;
  std::thread thread_;
};

DockerServer::Script at(std::vector<const char*> ips) {
  return [ips](const DnsAsk& ask) {
    auto out = ScriptedServer::begin(ask);
    for (const char* ip : ips) out.a("@12", ip, 600);
    return out.bytes();
  };
}

// The machine: its resolver listens in the container too. Ports and time-outs are small.
struct Machine {
  explicit Machine(DockerServer::Script script) {
    make_bridge(kBridge, "198.18.77.1");
    docker = std::make_unique<DockerServer>(there.get(), std::move(script));
    server = std::make_unique<ScriptedServer>([](const DnsAsk& ask, bool) {
      return ScriptedServer::begin(ask).a("@12", "192.0.2.1", 60).bytes();
    });
    ResolverOptions options;
    options.port = 27'353;
    options.try_timeout = std::chrono::milliseconds(300);
    options.upstreams.push_back(server->address());
    auto started = Resolver::start(egress, told, options);
    EXPECT_TRUE(started) << started.error().text;
    resolver = std::move(*started);
    EXPECT_TRUE(resolver->add_job(kSlot, judge, false));
    EXPECT_TRUE(resolver->listen_in(there.get()));
  }
  std::unique_ptr<Reply> ask(std::string_view name, std::uint16_t type = kTypeA) const {
    std::unique_ptr<Reply> out;
    EXPECT_TRUE(within_netns(there.get(), [&]() -> Result<> {
      out = UdpClient(resolver->port()).ask(name, type);
      return {};
    }));
    return out;
  }

  UniqueFd there = container();
  FakeEgress egress;
  Told told;
  // Each by a rule of its own number.
  std::shared_ptr<FakeJudge> judge = std::make_shared<FakeJudge>(
      std::vector<std::string>{"postgres", std::string(kOwnAddress), "good.test"});
  std::unique_ptr<DockerServer> docker;
  std::unique_ptr<ScriptedServer> server;
  std::unique_ptr<Resolver> resolver;
};

class ResolverDockerTest : public DockerTest {
 protected:
  static void run(DockerServer::Script script, const std::function<void(Machine&)>& work) {
    in_new_netns([&] {
      Machine machine(std::move(script));
      work(machine);
    });
  }
};

TEST_F(ResolverDockerTest, AnswersTheNameOfAContainerAndOpensTheWayBack) {
  run(at({kPostgres}), [](Machine& machine) {
    const auto reply = machine.ask("Postgres");
    EXPECT_THAT(reply->addresses(), ElementsAre(kPostgres));
    EXPECT_EQ(machine.egress.rules(kSlot, kPostgres).rules[0].rule, 1);
    EXPECT_EQ(machine.egress.rules(kSlot, kClientIp).rules[0].rule, 2);
    EXPECT_EQ(machine.egress.size(), 2u);
    EXPECT_EQ(machine.server->asked(), 0u);
    EXPECT_THAT(machine.told.take(), ElementsAre("resolved postgres 1 to 1"));
  });
}

TEST_F(ResolverDockerTest, AnswersClientsOverTcp) {
  run(at({kPostgres}), [](Machine& machine) {
    EXPECT_TRUE(within_netns(machine.there.get(), [&]() -> Result<> {
      const TcpClient client(machine.resolver->port());
      EXPECT_TRUE(client.send(TcpClient::framed(question("postgres", kTypeA))));
      EXPECT_THAT(Reply(client.receive()).addresses(), ElementsAre(kPostgres));
      return {};
    }));
    EXPECT_TRUE(machine.egress.has(kSlot, kClientIp));
  });
}

TEST_F(ResolverDockerTest, AsksItForNothingElse) {
  run(at({kPostgres}), [](Machine& machine) {
    EXPECT_EQ(machine.ask("secret")->rcode(), kRcodeRefused);
    EXPECT_EQ(machine.ask("secret.evil.test")->rcode(), kRcodeRefused);
    EXPECT_THAT(machine.ask("good.test")->addresses(), ElementsAre("192.0.2.1"));
    EXPECT_THAT(machine.ask("db.postgres")->addresses(), ElementsAre("192.0.2.1"));
    machine.ask("postgres", kTypeTxt);
    EXPECT_THAT(machine.docker->take_names(), IsEmpty());
    // Nor for a client of the machine's own namespace.
    EXPECT_THAT(UdpClient(machine.resolver->port()).ask("postgres", kTypeA)->addresses(),
                ElementsAre("192.0.2.1"));
    EXPECT_THAT(machine.docker->take_names(), IsEmpty());
  });
}

TEST_F(ResolverDockerTest, AnAnswerThatLeadsAnywhereElseDoesNotCount) {
  const std::vector<std::vector<const char*>> elsewhere = {
      {"203.0.113.9"},         {"10.0.0.1"},        {"198.18.77.1"},
      {kPostgres, "10.0.0.1"}, {"169.254.169.254"}, {"127.0.0.1"}};
  std::atomic<std::size_t> round = 0;
  run([&](const DnsAsk& ask) { return at(elsewhere[round])(ask); },
      [&](Machine& machine) {
        for (; round < elsewhere.size(); ++round) {
          EXPECT_THAT(machine.ask("postgres")->addresses(), ElementsAre("192.0.2.1"))
              << elsewhere[round][0];
          EXPECT_THAT(machine.docker->take_names(), ElementsAre("postgres"));
          EXPECT_EQ(machine.egress.size(), 1u) << elsewhere[round][0];
        }
      });
}

TEST_F(ResolverDockerTest, AResolverOfTheJobsOwnMakingIsNotAsked) {
  run(at({kPostgres}), [](Machine& machine) {
    machine.egress.are_cgroups_of_jobs = true;
    EXPECT_THAT(machine.ask("postgres")->addresses(), ElementsAre("192.0.2.1"));
    EXPECT_THAT(machine.docker->take_names(), IsEmpty());
  });
}

TEST_F(ResolverDockerTest, ANameWithoutAddressesOfThisKindIsDockersAllTheSame) {
  run(at({}), [](Machine& machine) {
    const auto reply = machine.ask("postgres", kTypeAaaa);
    EXPECT_EQ(reply->rcode(), kRcodeOk);
    EXPECT_EQ(reply->answers(), 0u);
    EXPECT_EQ(machine.server->asked(), 0u);
  });
}

TEST_F(ResolverDockerTest, TheUpstreamIsAskedWhenItDoesNotKnowOrDoesNotAnswer) {
  std::atomic<int> round = 0;
  const auto script = [&](const DnsAsk& ask) {
    switch (round++) {
      case 0:
        return ScriptedServer::begin(ask, DnsBuilder::kAnswer | kRcodeNxdomain).bytes();
      case 1:
        return Bytes{1, 2, 3};
      default:
        return Bytes{};
    }
  };
  run(script, [&](Machine& machine) {
    for (int i = 0; i < 3; ++i) {
      EXPECT_THAT(machine.ask("postgres")->addresses(), ElementsAre("192.0.2.1")) << i;
    }
    EXPECT_EQ(round, 3);
  });
}

TEST_F(ResolverDockerTest, QuestionsThatItHoldsAreBounded) {
  run([](const DnsAsk&) { return Bytes{}; },
      [](Machine& machine) {
        EXPECT_TRUE(within_netns(machine.there.get(), [&]() -> Result<> {
          const UdpClient client(machine.resolver->port());
          for (std::uint16_t id = 0; id < 40; ++id) client.send(question("postgres", kTypeA, id));
          std::size_t answered = 0;
          for (int i = 0; i < 40; ++i) {
            answered += Reply(client.receive()).rcode() == kRcodeOk ? 1 : 0;
          }
          EXPECT_EQ(answered, 32u);
          return {};
        }));
        EXPECT_EQ(machine.resolver->counters(kSlot).limited, 8u);
      });
}

TEST_F(ResolverDockerTest, ANamespaceThatIsLeftAndAJobThatIsOverLeaveNothingBehind) {
  run([](const DnsAsk&) { return Bytes{}; },
      [](Machine& machine) {
        const auto ask = [&] {
          EXPECT_TRUE(within_netns(machine.there.get(), [&]() -> Result<> {
            UdpClient(machine.resolver->port()).send(question("postgres", kTypeA));
            return {};
          }));
          const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
          while (machine.docker->take_names().empty() && std::chrono::steady_clock::now() < end) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
          }
        };
        struct stat info{};
        ASSERT_EQ(::fstat(machine.there.get(), &info), 0);
        ask();
        machine.resolver->stop_listening(static_cast<std::uint32_t>(info.st_ino));
        EXPECT_TRUE(machine.resolver->listen_in(machine.there.get()));
        ask();
        machine.resolver->remove_job(kSlot);
        EXPECT_TRUE(machine.resolver->add_job(kSlot, machine.judge, false));
        EXPECT_EQ(machine.ask("good.test")->rcode(), kRcodeOk);
      });
}

}  // namespace
}  // namespace cicd
