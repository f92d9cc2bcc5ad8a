// SPDX-License-Identifier: Apache-2.0
// JobNamespaces: has the resolver listen in the network namespaces of jobs (containers, what a job
// makes itself). The kernel side tells a namespace when a process of a job comes to it
// (EgressControl::netns_asks), and turns questions to the resolver once it listens there.
//
// A socket holds its namespace, with its interfaces and addresses, after the last process has gone.
// So we look every second whether a process of any job is still there, and leave what was found
// empty twice. When a job comes back to such a namespace (one that is bound to a file, as `ip
// netns` does it) its next exec asks again.
//
// Bounded: a job that makes namespaces in a loop gets the resolver in kMaxOfJob of them at a time;
// in others its questions are denied by the kernel side. Such an answer holds until the next look.
//
// Once a job makes a raw socket there, a table of nftables is put, which leads what such sockets
// ask (dns_redirect.h). Nobody waits for it: what is asked before is denied. Nothing else of the
// namespace is changed. Its loopback interface is the job's to bring up, as container engines do;
// where it is down no question arrives.
//
// Threads: one of its own; calls from any. Lifetime: control and resolver outlive it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/worker.h"
#include "egress/dns_redirect.h"
#include "egress/resolver.h"
#include "kernel/egress_control.h"

namespace cicd {

class JobNamespaces {
 public:
  static constexpr std::size_t kMaxOfJob = 64;
  static constexpr std::size_t kMaxOfAll = 512;
  // Tables of nftables: a process each.
  static constexpr std::size_t kMaxTablesOfJob = 32;
  static constexpr std::size_t kMaxTables = 128;

  JobNamespaces(EgressControl& control, Resolver& resolver)
      : control_(control), resolver_(resolver) {}
  ~JobNamespaces();
  JobNamespaces(const JobNamespaces&) = delete;
  JobNamespaces& operator=(const JobNamespaces&) = delete;

  Result<> start();

  // In namespaces that the job's processes are in already the resolver listens when this returns.
  void add_job(std::uint32_t slot);
  struct Counters {
    std::uint64_t served = 0;
    std::uint64_t too_many = 0;  // times that one was left without
    std::uint64_t failed = 0;    // it could not be entered, or the port is taken there
    std::uint64_t unled = 0;     // served; what raw sockets ask is denied there
  };
  // Those that no other job is in are left.
  Counters remove_job(std::uint32_t slot);

 private:
  struct Served {
    std::uint32_t slot = 0;  // of the job that asked
    bool was_empty = false;  // at the last look
    UniqueFd waits;          // the namespace, when a table is wanted, until it is begun with
    std::unique_ptr<DnsRedirect> redirect;  // null: has none, or none yet
  };

  void run();
  Result<> take_asks();
  void serve(std::uint32_t slot, std::uint32_t tid, std::uint32_t netns);
  void want_table(std::uint32_t tid, std::uint32_t netns);
  bool has_room(std::uint32_t slot) const;
  void look_for_empty();
  std::set<std::uint32_t> used() const;
  void leave(std::span<const std::uint32_t> left);
  void wait(std::chrono::steady_clock::time_point next_look);
  void put_tables();
  void advance(Served& served);
  bool has_room_for_table(std::uint32_t slot) const;
  void count_unled(const Served& served);
  void wake() const;

  EgressControl& control_;
  Resolver& resolver_;
  UniqueFd wake_;
  std::uint32_t own_netns_ = 0;  // the resolver's own; it stays
  const std::string nft_ = DnsRedirect::find_nft();
  std::atomic<bool> is_over_ = false;

  std::mutex mutex_;  // guards all below
  std::map<std::uint32_t, Counters> jobs_;
  std::map<std::uint32_t, Served> served_;  // by inode number
  std::set<std::uint32_t> refused_;         // not asked for again before the next look
  Worker worker_;                           // last: it ends before what it uses
};

}  // namespace cicd
