// SPDX-License-Identifier: Apache-2.0
// EgressControl: the maps by which a job's policies reach the kernel side (bpf/wire/egress.h), and
// what it counts. A seam: live maps, or a fake of a test. It knows nothing of names and policies;
// src/egress compiles those.
//
// Threads: any; each call is a system call or a few. Order: nets, steps and addresses first, then
// set_policy(), which puts them in force. Lifetime: that of the LiveSource it comes from.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "wire/egress.h"

namespace cicd {

using MappedIp = std::array<std::uint8_t, 16>;  // as in wire/egress.h

struct EgressTotals {
  // Attempts by reason (enum cicd_egress_reason): of those that were denied, and of those that a
  // policy that only audits would have denied. Exact, whatever became of their samples.
  std::array<std::uint64_t, CICD_REASONS> denied{};
  std::array<std::uint64_t, CICD_REASONS> audited{};
  std::uint64_t flows_missing = 0;    // traffic that map `egress_flows` had no room for, in packets
  std::uint64_t denied_unmerged = 0;  // attempts that map `egress_denied` had no room for
  std::uint64_t sockets_missing = 0;  // sockets that there was no memory to note their owner for
  std::uint64_t netns_unasked = 0;    // network namespaces that netns_asks() could not tell
  std::uint64_t answers_untold = 0;   // of tell(): more at once than there is room for
};

// An answer to a job that leads to an address of the inside (rebinding).
struct InsideAnswer {
  cicd_dns_client client;  // who asked
  std::string_view name;   // what was asked for
  MappedIp ip{};
  std::uint8_t scopes = 0;  // CICD_SCOPE_*: against whose policy it is
  bool is_audit = false;    // it was let pass
};

class EgressControl {
 public:
  virtual ~EgressControl() = default;

  // Takes effect at the next packet. The generation is counted up by this function.
  virtual Result<> set_policy(std::uint32_t slot, cicd_egress_policy policy) = 0;
  // `bits`: 0 to 128, of the mapped address.
  virtual Result<> put_net(std::uint32_t slot, const MappedIp& ip, int bits,
                           const cicd_egress_rules& rules) = 0;
  virtual void remove_net(std::uint32_t slot, const MappedIp& ip, int bits) = 0;
  virtual Result<> put_step(std::uint32_t slot, std::uint64_t hash, std::uint8_t number) = 0;

  // kResource: there is no room; what was there before stays.
  virtual Result<> put_address(std::uint32_t slot, const MappedIp& ip,
                               const cicd_egress_rules& rules) = 0;
  virtual void remove_address(std::uint32_t slot, const MappedIp& ip) = 0;
  // Those that are there now, for a process that goes on for another one.
  virtual std::vector<std::pair<MappedIp, cicd_egress_rules>> addresses(
      std::uint32_t slot) const = 0;

  // In this network namespace (inode number) our resolver listens: questions for names are turned
  // to it from there. `is_own`: it is the resolver's own; else raw sockets that jobs make there are
  // marked, for nftables to lead their questions.
  virtual Result<> serve_netns(std::uint32_t netns, bool is_own) = 0;
  virtual void stop_serving(std::uint32_t netns) = 0;
  // All namespaces, which a process before this one has left.
  virtual void stop_serving_all() = 0;
  // Network namespaces that jobs have come to since the last call. Each is told once, until
  // serve_netns() or stop_serving() of it. One reader; the descriptor can be read when there is
  // something (edge-triggered by the kernel: look before waiting), -1: there never is. Only the
  // first call can fail, which maps the ring.
  virtual Result<std::vector<cicd_netns_ask>> netns_asks() = 0;
  virtual int netns_asks_fd() const = 0;
  // The job's processes, in the initial pid namespace.
  virtual std::vector<std::uint32_t> processes(std::uint32_t slot) const = 0;
  // Whether a job's processes are in this cgroup (its id).
  virtual bool is_of_a_job(std::uint64_t cgroup_id) const = 0;
  // Who asks from this port; nullopt: no job.
  virtual std::optional<cicd_dns_client> dns_client(const cicd_dns_client_key& key) const = 0;

  // Comes as a sample of the job (hook CICD_EGRESS_RESOLVER) with those of the kernel side.
  virtual void tell(const InsideAnswer& answer) = 0;

  virtual EgressTotals totals(std::uint32_t slot) const = 0;
  virtual std::vector<std::pair<cicd_flow_key, cicd_flow>> flows(std::uint32_t slot) const = 0;
  // Repeats that no sample has told; they count as told from now on.
  virtual std::vector<std::pair<cicd_denied_key, cicd_denied>> take_denied(std::uint32_t slot) = 0;

  // Forgets everything of a slot but its policy.
  virtual void clear(std::uint32_t slot) = 0;

  // Sockets that these processes (initial pid namespace) had open before they were watched are the
  // slot's from now on; those that are connected keep their peer. Returns how many.
  virtual std::size_t note_sockets(std::uint32_t slot, std::span<const std::uint32_t> pids) = 0;
};

}  // namespace cicd
