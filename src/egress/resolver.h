// SPDX-License-Identifier: Apache-2.0
// Resolver: answers the DNS questions of jobs whose policy is watched. The kernel side turns what a
// job sends to port 53 to the loopback address of its network namespace, where this listens, and
// tells who asked (EgressControl::dns_client). A question of nobody's is refused.
//
// A name that the job's policy refuses is answered here; nothing of it leaves the machine. Other
// questions go to an upstream, without the client's EDNS options and letter case. Of the answer
// the client gets what belongs to its question (dns_answer.h), without addresses of the inside;
// those that are left are in the kernel's table (address_table.h) before the reply is sent.
// An allowed name of one label that a container asks for is asked of Docker's resolver there first.
// "localhost" is answered here, ANY and zone transfers are refused. The name of an address (PTR)
// may be asked for when a name of the job led to it, or when it is trusted.
//
// Answers are kept in one cache for all jobs with the same upstreams; verdicts, addresses and
// counters are each job's own.
//
// Threads: all calls from any thread; one thread of its own does the work. Calls wait for the work
// on at most one batch of messages. ResolverEvents are called on the resolver's thread while it
// holds its lock: be quick, and do not call the resolver from there. Order: the job's table is
// adopted or empty when add_job() returns; its policy (EgressControl::set_policy) comes after that.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "egress/name_judge.h"
#include "kernel/egress_control.h"

namespace cicd {

enum class NameRefusal : std::uint8_t {
  kPolicy,     // no rule allows the name
  kReverse,    // the name of an address that no name of the job led to
  kType,       // ANY, zone transfers and the like
  kClass,      // not of the Internet
  kRebinding,  // the name is allowed; it leads to an address of the inside
};

struct DeniedName {
  cicd_dns_client client;
  std::string_view name;
  std::uint16_t type = 0;
  NameRefusal why = NameRefusal::kPolicy;
  bool is_audit = false;    // it was let pass
  IpBytes ip{};             // kRebinding: the address; each one is told
  std::uint8_t scopes = 0;  // kRebinding: against whose policy it is
};

struct ResolvedName {
  cicd_dns_client client;
  std::string_view name;
  std::uint16_t type = 0;
  std::uint32_t ttl_s = 0;
  std::span<const IpBytes> addresses;  // may be empty
};

class ResolverEvents {
 public:
  virtual ~ResolverEvents() = default;
  virtual void name_denied(const DeniedName& name) = 0;
  virtual void name_resolved(const ResolvedName& name) = 0;
};

// In messages, unless said.
struct ResolverCounters {
  std::uint64_t queries = 0;    // whatever became of them
  std::uint64_t answered = 0;   // with what an upstream said, cached or not
  std::uint64_t cached = 0;     // of these, from the cache
  std::uint64_t refused = 0;    // NameRefusal, but for rebinding
  std::uint64_t audited = 0;    // would have been refused
  std::uint64_t servfail = 0;   // whatever the reason, of those below or the upstream's own
  std::uint64_t malformed = 0;  // questions that could not be read
  std::uint64_t dropped = 0;    // without a reply
  std::uint64_t unknown_clients = 0;
  std::uint64_t limited = 0;              // too much at once, of a job or of all
  std::uint64_t truncated = 0;            // replies that did not fit into UDP
  std::uint64_t inserts_failed = 0;       // addresses had no room, so the client got SERVFAIL
  std::uint64_t rebinding_addresses = 0;  // left out of replies
  std::uint64_t upstream_queries = 0;
  std::uint64_t upstream_timeouts = 0;
  std::uint64_t upstream_tcp = 0;         // asked again over TCP
  std::uint64_t upstream_bad = 0;         // answers that could not be read
  std::uint64_t upstream_unexpected = 0;  // to no open question: late, or forged
  std::uint64_t upstream_failed = 0;      // questions that no upstream answered
  // Network namespaces of a job that it does not listen in (job_namespaces.h).
  std::uint64_t namespaces_too_many = 0;
  std::uint64_t namespaces_failed = 0;
  std::uint64_t namespaces_unled = 0;  // it does listen; what raw sockets ask is denied

  ResolverCounters& operator+=(const ResolverCounters& other);
};

struct ResolverOptions {
  std::uint16_t port = 15'353;
  std::uint16_t port_tries = 64;  // it or one of those after it
  // Of jobs whose policy names none. Empty: those of `resolv_conf`, read again with each job.
  std::vector<std::string> upstreams;
  std::string resolv_conf = "/etc/resolv.conf";
  std::size_t cache_bytes = 4 * 1024 * 1024;  // 0: no cache
  std::size_t max_open = 4'096;               // questions at upstreams, of all jobs
  std::size_t max_open_per_job = 2'048;
  std::size_t max_streams = 1'024;  // clients over TCP, of all jobs
  std::size_t max_streams_per_job = 256;
  std::size_t max_addresses = 16'384;            // of a job
  std::chrono::milliseconds try_timeout{1'000};  // the first; later ones wait up to three times it
  std::chrono::milliseconds idle_timeout{10'000};
  std::function<std::uint64_t()> clock;  // nanoseconds of CLOCK_BOOTTIME; a test's
};

class ResolverCore;

class Resolver {
 public:
  // Listens in the caller's network namespace, where the sockets to upstreams are, too.
  static Result<std::unique_ptr<Resolver>> start(EgressControl& control, ResolverEvents& events,
                                                 ResolverOptions options = {});
  // What the names of jobs that are left have led to stays in the kernel, for the next one to
  // adopt; until then their questions go to a port that is closed.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  std::uint16_t port() const;

  // Listens in another network namespace too, on the same port. Doing it twice is not an error.
  Result<> listen_in(int netns_fd);
  void stop_listening(std::uint32_t netns);

  // kInvalidInput: an upstream that is no address; kNotFound: there is none. `adopts`: the
  // addresses that the kernel has for the slot are the job's, of a resolver before this one.
  Result<> add_job(std::uint32_t slot, std::shared_ptr<const NameJudge> judge, bool adopts);
  // Judges all that the job's names led to again.
  Result<> replace_policy(std::uint32_t slot, std::shared_ptr<const NameJudge> judge);
  // Takes its addresses out of the kernel; returns its counters.
  ResolverCounters remove_job(std::uint32_t slot);

  ResolverCounters counters() const;  // of all jobs, and of no job
  ResolverCounters counters(std::uint32_t slot) const;

 private:
  explicit Resolver(std::unique_ptr<ResolverCore> core);
  std::unique_ptr<ResolverCore> core_;
};

}  // namespace cicd
