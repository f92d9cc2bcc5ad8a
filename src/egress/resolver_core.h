// SPDX-License-Identifier: Apache-2.0
// ResolverCore: the inside of Resolver (resolver.h). One thread waits in epoll without the lock and
// works with it, a batch of messages at a time; calls of other threads take the lock between two
// batches. What a batch has to send is gathered and sent at its end.
//
// Its parts: resolver_core.cpp jobs, the loop, timers; resolver_clients.cpp questions from clients
// and replies to them; resolver_upstreams.cpp questions to upstreams and their answers;
// resolver_docker.cpp names of containers, which Docker's resolver in the client's namespace knows.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/worker.h"
#include "egress/address_table.h"
#include "egress/resolver.h"
#include "egress/resolver_cache.h"
#include "egress/resolver_flights.h"
#include "egress/resolver_reply.h"
#include "egress/resolver_sockets.h"
#include "egress/resolver_streams.h"
#include "egress/resolver_upstream.h"

namespace cicd {

class ResolverCore {
 public:
  ResolverCore(EgressControl& control, ResolverEvents& events, ResolverOptions options);
  ~ResolverCore();

  Result<> start();
  std::uint16_t port() const { return port_; }
  Result<> listen_in(int netns_fd);
  void stop_listening(std::uint32_t netns);
  Result<> add_job(std::uint32_t slot, std::shared_ptr<const NameJudge> judge, bool adopts);
  Result<> replace_policy(std::uint32_t slot, std::shared_ptr<const NameJudge> judge);
  ResolverCounters remove_job(std::uint32_t slot);
  ResolverCounters counters() const;
  ResolverCounters counters(std::uint32_t slot) const;

 private:
  struct Job {
    Job(EgressControl& control, std::uint32_t its_slot, std::size_t max_addresses)
        : slot(its_slot), table(control, its_slot, max_addresses) {}

    std::uint32_t slot;
    std::uint64_t number = 0;  // no other job has it
    std::shared_ptr<const NameJudge> judge;
    AddressTable table;
    std::vector<Upstream*> upstreams;
    std::size_t preferred = 0;  // the one that answered last
    std::uint32_t group = 0;    // of the cache
    std::size_t open = 0;
    std::size_t docker_asks = 0;  // of them
    std::size_t streams = 0;
    ResolverCounters counters;
  };

  // Replies over UDP of one batch.
  static constexpr std::size_t kBatch = 64;
  // Few: who asked first has an answer, and can go on, while the next are looked at.
  static constexpr std::size_t kAsksAtOnce = 8;
  static constexpr std::size_t kAskBytes = 2'048;
  static constexpr std::size_t kMaxCalls = 256;  // over TCP, of all jobs
  // One socket that clients send to.
  struct Port {
    UniqueFd fd;
    std::uint32_t netns = 0;
    bool is_v6 = false;
    bool is_stream = false;
  };
  struct Replies {
    std::array<std::array<std::uint8_t, kOurUdpBytes>, kBatch> bytes;
    std::array<std::uint16_t, kBatch> sizes;
    std::array<std::array<std::uint8_t, 28>, kBatch> peers;
    std::array<std::uint8_t, kBatch> peer_bytes;
    std::size_t count = 0;
    std::uint32_t port = 0;  // all of them go through it
  };
  struct Asks {
    std::array<std::array<std::uint8_t, kAskBytes>, kAsksAtOnce> bytes;
    std::array<std::array<std::uint8_t, 28>, kAsksAtOnce> peers;
  };

  // resolver_core.cpp
  void run();
  int wait_ms();
  void dispatch(std::uint64_t tag, std::uint32_t events);
  void reap_tables();
  Result<std::vector<SocketAddress>> servers_for(const NameJudge& judge) const;
  bool is_ourselves(const SocketAddress& server) const;
  Upstream* upstream_of(const SocketAddress& address);
  void leave_upstreams(Job& job);
  Result<> set_judge(Job& job, std::shared_ptr<const NameJudge> judge);
  void forget_flights(Job& job);
  void wake() const;
  std::uint64_t now() const { return options_.clock(); }
  Job* job_of(std::uint32_t slot);
  Job* job_of(std::uint32_t slot, std::uint64_t number);

  // resolver_clients.cpp
  Result<> add_ports(ListenerSockets sockets);
  void close_ports(std::uint32_t netns);
  Result<> add_port(UniqueFd fd, std::uint32_t netns, bool is_v6, bool is_stream);
  void receive_asks(std::uint32_t port);
  void accept_streams(std::uint32_t port);
  void accept_stream(UniqueFd fd, const Port& port, const Origin& peer);
  void on_stream(std::uint32_t index, std::uint32_t events);
  void serve_stream(Stream& stream);
  void close_stream(Stream& stream);
  void close_idle_streams();
  void serve_touched();
  void on_udp_ask(std::span<const std::uint8_t> bytes, const Origin& origin);
  void on_ask(Job& job, const cicd_dns_client& client, const Origin& origin);
  // True when it was answered here.
  bool answer_here(Job& job, const cicd_dns_client& client, const Origin& origin);
  bool refuse(Job& job, const cicd_dns_client& client, const Origin& origin, NameRefusal why,
              const NameVerdict& verdict);
  NameVerdict judge_ask(const Job& job, NameRefusal& why) const;
  std::optional<cicd_dns_client> client_of(const Port& port, const Origin& peer) const;
  void reply_code(const DnsAsk& ask, const Origin& origin, ReplyCode code);
  void reply_servfail(Job& job, const DnsAsk& ask, const Origin& origin);
  void reply(const Origin& origin, std::span<const std::uint8_t> message);
  // Where a reply over UDP can be written without copying it; commit_reply() sends it.
  std::span<std::uint8_t> begin_reply(const Origin& origin, std::size_t limit);
  void commit_reply(const Origin& origin, std::size_t bytes);
  void flush_replies();

  // resolver_upstreams.cpp
  Flight* take_flight(Job& job, const cicd_dns_client& client, const Origin& origin);
  void start_flight(Job& job, const cicd_dns_client& client, const Origin& origin);
  void send_flight(Job& job, Flight& flight);
  void try_next(Flight& flight);
  void on_upstream(std::uint32_t number);
  void on_upstream_message(Upstream& upstream, std::uint8_t socket, std::span<std::uint8_t> bytes);
  static void prefer_another(Job& job, const Upstream& than);
  void on_refused(const Upstream& upstream, std::uint8_t socket);
  void on_answer(Flight& flight, std::span<const std::uint8_t> bytes);
  void start_call(Flight& flight);
  bool open_call(Flight& flight);
  bool begin_call(Flight& flight, UniqueFd fd);
  void on_call(std::uint32_t number);
  static bool send_call(UpstreamCall& call);
  static bool read_call(UpstreamCall& call);
  void expire_flights();
  void deliver(Job& job, const DnsAsk& ask, const Origin& origin, const cicd_dns_client& client,
               const DnsAnswer& answer, std::uint32_t ttl_s, bool is_dockers = false);
  void end_flight(Flight& flight);
  void leave_socket(Flight& flight);
  void flush_upstreams();

  // resolver_docker.cpp
  // True when Docker's resolver is asked, or the question was answered here.
  bool ask_docker(Job& job, const cicd_dns_client& client, const Origin& origin);
  std::uint16_t docker_port(std::uint32_t netns, int netns_fd);
  void on_docker_answer(Job& job, Flight& flight);
  void leave_docker(Job& job, Flight& flight);
  struct ClientPlace {
    std::uint32_t netns = 0;
    int socket = -1;  // of ours in that namespace
  };
  ClientPlace place_of(const Origin& origin);

  EgressControl& control_;
  ResolverEvents& events_;
  ResolverOptions options_;
  std::uint16_t port_ = 0;
  UniqueFd epoll_;
  UniqueFd wake_;
  std::atomic<bool> is_over_ = false;

  mutable std::mutex mutex_;  // guards all below
  std::uint64_t now_ns_ = 0;  // of this batch
  std::uint64_t last_job_number_ = 0;
  std::unordered_map<std::uint32_t, std::unique_ptr<Job>> jobs_;
  std::map<std::string, std::uint32_t, std::less<>> groups_;
  std::vector<std::unique_ptr<Port>> ports_;  // null: closed
  std::vector<std::unique_ptr<Upstream>> upstreams_;
  Flights flights_;
  std::size_t calls_ = 0;
  std::uint32_t own_netns_ = 0;
  // Of Docker's resolver, by namespace.
  struct DockerPort {
    std::uint16_t port = 0;  // 0: there is none
    std::uint64_t looked_ns = 0;
  };
  std::map<std::uint32_t, DockerPort> docker_ports_;
  std::unique_ptr<Streams> streams_;
  struct Touched {
    std::uint32_t index;
    std::uint64_t number;
  };
  std::vector<Touched> touched_;  // streams that got a reply in this batch, or have room again
  UniqueFd spare_;                // given up to refuse a client when there are no descriptors
  ResolverCache cache_;
  RandomBytes random_;
  std::uint64_t next_reap_ns_ = UINT64_MAX;
  std::uint64_t next_sweep_ns_ = UINT64_MAX;
  ResolverCounters others_;  // of no job, and of jobs that are over
  DnsAsk ask_;
  DnsAnswer answer_;
  ReplyAddresses addresses_;
  std::unique_ptr<Asks> asks_ = std::make_unique<Asks>();
  std::unique_ptr<Replies> replies_ = std::make_unique<Replies>();
  std::vector<std::uint8_t> large_ = std::vector<std::uint8_t>(65'535);
  Worker worker_;  // last: it ends before what it uses
};

}  // namespace cicd
