// SPDX-License-Identifier: Apache-2.0
// Maps of a kernel side that is not there. Threads: any.
#pragma once

#include <sys/eventfd.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "egress/policy_prefixes.h"
#include "kernel/egress_control.h"

namespace cicd::support {

inline IpBytes mapped(const char* text) { return *parse_ip(text); }

// Everybody who asks is `client`; addresses are kept in a map of `capacity` entries.
class FakeEgress final : public EgressControl {
 public:
  Result<> set_policy(std::uint32_t, cicd_egress_policy) override { return {}; }
  Result<> put_net(std::uint32_t, const MappedIp&, int, const cicd_egress_rules&) override {
    return {};
  }
  void remove_net(std::uint32_t, const MappedIp&, int) override {}
  Result<> put_step(std::uint32_t, std::uint64_t, std::uint8_t) override { return {}; }

  Result<> put_address(std::uint32_t slot, const MappedIp& ip,
                       const cicd_egress_rules& rules) override {
    const std::lock_guard lock(mutex_);
    ++puts;
    if (!table_.contains({slot, ip}) && table_.size() >= capacity) {
      return fail(ErrorCode::kResource, "map is full");
    }
    table_[{slot, ip}] = rules;
    return {};
  }
  void remove_address(std::uint32_t slot, const MappedIp& ip) override {
    const std::lock_guard lock(mutex_);
    table_.erase({slot, ip});
  }
  std::vector<std::pair<MappedIp, cicd_egress_rules>> addresses(std::uint32_t slot) const override {
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<MappedIp, cicd_egress_rules>> out;
    for (const auto& [key, rules] : table_) {
      if (key.first == slot) out.emplace_back(key.second, rules);
    }
    return out;
  }
  Result<> serve_netns(std::uint32_t netns, bool /*is_own*/) override {
    const std::lock_guard lock(mutex_);
    served_.insert(netns);
    return {};
  }
  void stop_serving(std::uint32_t netns) override {
    const std::lock_guard lock(mutex_);
    served_.erase(netns);
  }
  void stop_serving_all() override {
    const std::lock_guard lock(mutex_);
    served_.clear();
  }
  Result<std::vector<cicd_netns_ask>> netns_asks() override {
    const std::lock_guard lock(mutex_);
    eventfd_t value = 0;
    ::eventfd_read(asks_fd_.get(), &value);
    return std::exchange(asks_, {});
  }
  int netns_asks_fd() const override { return asks_fd_.get(); }
  std::vector<std::uint32_t> processes(std::uint32_t slot) const override {
    const std::lock_guard lock(mutex_);
    const auto found = processes_.find(slot);
    return found == processes_.end() ? std::vector<std::uint32_t>{} : found->second;
  }
  bool is_of_a_job(std::uint64_t /*cgroup_id*/) const override { return are_cgroups_of_jobs; }
  std::optional<cicd_dns_client> dns_client(const cicd_dns_client_key& key) const override {
    const std::lock_guard lock(mutex_);
    if (!served_.contains(key.netns) || client.slot == 0) return std::nullopt;
    const auto other = by_port_.find(key.port);
    return other == by_port_.end() ? client : other->second;
  }
  void tell(const InsideAnswer&) override {}
  EgressTotals totals(std::uint32_t) const override { return {}; }
  std::vector<std::pair<cicd_flow_key, cicd_flow>> flows(std::uint32_t) const override {
    return {};
  }
  std::vector<std::pair<cicd_denied_key, cicd_denied>> take_denied(std::uint32_t) override {
    return {};
  }
  void clear(std::uint32_t) override {}
  std::size_t note_sockets(std::uint32_t, std::span<const std::uint32_t>) override { return 0; }

  bool has(std::uint32_t slot, const char* ip) const {
    const std::lock_guard lock(mutex_);
    return table_.contains({slot, mapped(ip)});
  }
  cicd_egress_rules rules(std::uint32_t slot, const char* ip) const {
    const std::lock_guard lock(mutex_);
    const auto place = table_.find({slot, mapped(ip)});
    return place == table_.end() ? cicd_egress_rules{} : place->second;
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return table_.size();
  }
  bool serves(std::uint32_t netns) const {
    const std::lock_guard lock(mutex_);
    return served_.contains(netns);
  }
  void ask(const cicd_netns_ask& ask) {
    const std::lock_guard lock(mutex_);
    asks_.push_back(ask);
    ::eventfd_write(asks_fd_.get(), 1);
  }
  void set_processes(std::uint32_t slot, std::vector<std::uint32_t> pids) {
    const std::lock_guard lock(mutex_);
    processes_[slot] = std::move(pids);
  }
  void set_client(std::uint16_t port, std::uint32_t slot) {
    const std::lock_guard lock(mutex_);
    by_port_[port] = {.slot = slot, .pid = 100 + slot};
  }
  // Set before the resolver starts.
  cicd_dns_client client{.start_time_ns = 5, .cgroup_id = 9, .slot = 1, .pid = 77};
  std::atomic<bool> are_cgroups_of_jobs = false;  // all that there are
  std::atomic<std::size_t> capacity = 1'000'000;
  std::atomic<std::size_t> puts = 0;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::uint32_t, MappedIp>, cicd_egress_rules> table_;
  std::set<std::uint32_t> served_;
  std::map<std::uint16_t, cicd_dns_client> by_port_;
  UniqueFd asks_fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::vector<cicd_netns_ask> asks_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> processes_;
};

}  // namespace cicd::support
