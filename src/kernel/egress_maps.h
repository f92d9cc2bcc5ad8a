// SPDX-License-Identifier: Apache-2.0
// EgressMaps: EgressControl over the maps of the loaded programs (bpf/include/egress.h).
// Threads: any. Lifetime: `programs` and `shared` outlive it.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernel/egress_control.h"
#include "kernel/program_set.h"
#include "kernel/ring_consumer.h"
#include "kernel/told_samples.h"

struct cicd_shared;

namespace cicd {

class EgressMaps final : public EgressControl {
 public:
  EgressMaps(const ProgramSet& programs, cicd_shared* shared, std::uint32_t slots)
      : programs_(programs), shared_(shared), slots_(slots) {}

  // A new job in this slot: notes at sockets of the one before mean nothing from now on.
  void begin(std::uint32_t slot);
  // No job is in it any more; what there is of it stays until clear().
  void end(std::uint32_t slot);
  // Gives out what tell() was told.
  std::size_t drain_told(SampleSink sink) { return told_.drain(sink); }

  Result<> set_policy(std::uint32_t slot, cicd_egress_policy policy) override;
  Result<> put_net(std::uint32_t slot, const MappedIp& ip, int bits,
                   const cicd_egress_rules& rules) override;
  void remove_net(std::uint32_t slot, const MappedIp& ip, int bits) override;
  Result<> put_step(std::uint32_t slot, std::uint64_t hash, std::uint8_t number) override;
  Result<> put_address(std::uint32_t slot, const MappedIp& ip,
                       const cicd_egress_rules& rules) override;
  void remove_address(std::uint32_t slot, const MappedIp& ip) override;
  std::vector<std::pair<MappedIp, cicd_egress_rules>> addresses(std::uint32_t slot) const override;
  Result<> serve_netns(std::uint32_t netns, bool is_own) override;
  void stop_serving(std::uint32_t netns) override;
  void stop_serving_all() override;
  Result<std::vector<cicd_netns_ask>> netns_asks() override;
  int netns_asks_fd() const override { return programs_.map_fd("netns_ring"); }
  std::vector<std::uint32_t> processes(std::uint32_t slot) const override;
  bool is_of_a_job(std::uint64_t cgroup_id) const override;
  std::optional<cicd_dns_client> dns_client(const cicd_dns_client_key& key) const override;
  void tell(const InsideAnswer& answer) override;
  EgressTotals totals(std::uint32_t slot) const override;
  std::vector<std::pair<cicd_flow_key, cicd_flow>> flows(std::uint32_t slot) const override;
  std::vector<std::pair<cicd_denied_key, cicd_denied>> take_denied(std::uint32_t slot) override;
  void clear(std::uint32_t slot) override;
  std::size_t note_sockets(std::uint32_t slot, std::span<const std::uint32_t> pids) override;

 private:
  cicd_egress_policy policy_of(std::uint32_t slot) const;
  Result<> write_policy(std::uint32_t slot, const cicd_egress_policy& policy);
  void write_slot(std::uint32_t slot, const cicd_egress_policy& policy);
  bool note_socket(const cicd_socket_owner& owner, int socket);

  const ProgramSet& programs_;
  cicd_shared* shared_;
  const std::uint32_t slots_;
  ToldSamples told_;
  std::mutex mutex_;                      // of what is read, changed and written back
  std::optional<MappedRing> netns_ring_;  // netns_asks()'s
};

}  // namespace cicd
