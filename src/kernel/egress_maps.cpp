// SPDX-License-Identifier: Apache-2.0
#include "kernel/egress_maps.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>

#include "base/time_format.h"
#include "base/unique_fd.h"
#include "kernel/egress_samples.h"
#include "kernel/job_map.h"
#include "kernel/map_entries.h"
#include "wire/shared.h"

namespace cicd {

namespace {

cicd_egress_net net_key(std::uint32_t slot, const MappedIp& ip, int bits) {
  cicd_egress_net key{};
  key.prefix_bits = static_cast<std::uint32_t>(32 + bits);
  key.slot = slot;
  std::ranges::copy(ip, key.ip);
  return key;
}

cicd_egress_address address_key(std::uint32_t slot, const MappedIp& ip) {
  cicd_egress_address key{};
  key.slot = slot;
  std::ranges::copy(ip, key.ip);
  return key;
}

Error put_error(int error, const std::string& what) {
  if (error == E2BIG || error == ENOMEM || error == ENOSPC) {
    return Error{ErrorCode::kResource, error, "there is no room in the kernel for " + what, ""};
  }
  return Error{ErrorCode::kInternal, error, "put " + what + " into the kernel", ""};
}

// Fills in peer and protocol of a connected socket; false: it has none, or is no IP socket.
bool read_peer(int socket, cicd_socket_owner& owner) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type == SOCK_RAW) {
    return false;
  }
  int protocol = 0;
  size = sizeof(protocol);
  if (::getsockopt(socket, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) != 0) return false;
  sockaddr_storage peer{};
  size = sizeof(peer);
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return false;
  owner.proto = static_cast<__u8>(protocol);
  if (peer.ss_family == AF_INET) {
    const auto& ip4 = reinterpret_cast<const sockaddr_in&>(peer);
    owner.ip[10] = owner.ip[11] = 0xff;
    std::memcpy(owner.ip + 12, &ip4.sin_addr, 4);
    owner.port = ntohs(ip4.sin_port);
    return true;
  }
  if (peer.ss_family != AF_INET6) return false;
  const auto& ip6 = reinterpret_cast<const sockaddr_in6&>(peer);
  std::memcpy(owner.ip, &ip6.sin6_addr, sizeof(owner.ip));
  owner.port = ntohs(ip6.sin6_port);
  return true;
}

// Numbers of the descriptors of a process that are sockets.
std::vector<int> sockets_of(std::uint32_t pid) {
  std::vector<int> out;
  const std::string path = "/proc/" + std::to_string(pid) + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) return out;
  while (const dirent* entry = ::readdir(folder.get())) {
    char target[64];
    const ssize_t size = ::readlinkat(::dirfd(folder.get()), entry->d_name, target, sizeof(target));
    if (size > 8 && std::string_view(target, 8) == "socket:[") {
      out.push_back(std::atoi(entry->d_name));
    }
  }
  return out;
}

}  // namespace

cicd_egress_policy EgressMaps::policy_of(std::uint32_t slot) const {
  cicd_egress_policy policy{};
  ::bpf_map_lookup_elem(programs_.map_fd("egress_policies"), &slot, &policy);
  return policy;
}

Result<> EgressMaps::write_policy(std::uint32_t slot, const cicd_egress_policy& policy) {
  if (::bpf_map_update_elem(programs_.map_fd("egress_policies"), &slot, &policy, BPF_ANY) == 0) {
    return {};
  }
  return std::unexpected(put_error(errno, "the policy of a job"));
}

// Of a slot that exists; an element of an array can always be written then.
void EgressMaps::write_slot(std::uint32_t slot, const cicd_egress_policy& policy) {
  [[maybe_unused]] const Result<> written = write_policy(slot, policy);
}

void EgressMaps::begin(std::uint32_t slot) {
  if (programs_.map_fd("egress_policies") < 0) return;
  clear(slot);
  const std::lock_guard lock(mutex_);
  cicd_egress_policy policy{};
  policy.generation = policy_of(slot).generation + 1;
  if (::getrandom(&policy.epoch, sizeof(policy.epoch), 0) < 0) policy.epoch = policy.generation;
  policy.epoch |= 1;
  write_slot(slot, policy);
}

void EgressMaps::end(std::uint32_t slot) {
  if (programs_.map_fd("egress_policies") < 0) return;
  const std::lock_guard lock(mutex_);
  cicd_egress_policy policy{};
  policy.generation = policy_of(slot).generation;
  write_slot(slot, policy);
}

Result<> EgressMaps::set_policy(std::uint32_t slot, cicd_egress_policy policy) {
  if (slot == 0 || slot >= slots_) {
    return fail(ErrorCode::kInternal, "job slot " + std::to_string(slot) + " does not exist");
  }
  const std::lock_guard lock(mutex_);
  const cicd_egress_policy before = policy_of(slot);
  policy.epoch = before.epoch;
  policy.generation = std::max(before.generation + 1, 1u);
  CICD_TRY(write_policy(slot, policy));
  if (policy.resolver_port != 0) shared_->resolver_port = policy.resolver_port;
  return {};
}

Result<> EgressMaps::put_net(std::uint32_t slot, const MappedIp& ip, int bits,
                             const cicd_egress_rules& rules) {
  const cicd_egress_net key = net_key(slot, ip, bits);
  if (::bpf_map_update_elem(programs_.map_fd("egress_nets"), &key, &rules, BPF_ANY) == 0) return {};
  return std::unexpected(put_error(errno, "another range of addresses"));
}

void EgressMaps::remove_net(std::uint32_t slot, const MappedIp& ip, int bits) {
  const cicd_egress_net key = net_key(slot, ip, bits);
  ::bpf_map_delete_elem(programs_.map_fd("egress_nets"), &key);
}

Result<> EgressMaps::put_step(std::uint32_t slot, std::uint64_t hash, std::uint8_t number) {
  const cicd_egress_step key = {.hash = hash, .slot = slot, .pad0 = 0};
  const int fd = programs_.map_fd("egress_steps");
  if (::bpf_map_update_elem(fd, &key, &number, BPF_ANY) == 0) return {};
  return std::unexpected(put_error(errno, "another step"));
}

Result<> EgressMaps::put_address(std::uint32_t slot, const MappedIp& ip,
                                 const cicd_egress_rules& rules) {
  const cicd_egress_address key = address_key(slot, ip);
  const int fd = programs_.map_fd("egress_addrs");
  if (::bpf_map_update_elem(fd, &key, &rules, BPF_ANY) == 0) return {};
  return std::unexpected(put_error(errno, "another address"));
}

void EgressMaps::remove_address(std::uint32_t slot, const MappedIp& ip) {
  const cicd_egress_address key = address_key(slot, ip);
  ::bpf_map_delete_elem(programs_.map_fd("egress_addrs"), &key);
}

std::vector<std::pair<MappedIp, cicd_egress_rules>> EgressMaps::addresses(
    std::uint32_t slot) const {
  std::vector<std::pair<MappedIp, cicd_egress_rules>> out;
  for_each_entry<cicd_egress_address, cicd_egress_rules>(
      programs_.map_fd("egress_addrs"),
      [&](const cicd_egress_address& key, const cicd_egress_rules& rules) {
        if (key.slot != slot) return;
        MappedIp ip;
        std::ranges::copy(key.ip, ip.begin());
        out.emplace_back(ip, rules);
      });
  return out;
}

Result<> EgressMaps::serve_netns(std::uint32_t netns, bool is_own) {
  const std::uint32_t state = is_own ? CICD_NETNS_OWN : CICD_NETNS_SERVED;
  const int fd = programs_.map_fd("resolver_nets");
  if (::bpf_map_update_elem(fd, &netns, &state, BPF_ANY) == 0) return {};
  return std::unexpected(put_error(errno, "another network namespace"));
}

void EgressMaps::stop_serving(std::uint32_t netns) {
  ::bpf_map_delete_elem(programs_.map_fd("resolver_nets"), &netns);
}

void EgressMaps::stop_serving_all() {
  delete_where<std::uint32_t, std::uint32_t>(programs_.map_fd("resolver_nets"),
                                             [](const auto&, const auto&) { return true; });
}

Result<std::vector<cicd_netns_ask>> EgressMaps::netns_asks() {
  std::vector<cicd_netns_ask> out;
  if (!netns_ring_) {
    CICD_ASSIGN(auto ring, MappedRing::map(netns_asks_fd(), CICD_NETNS_RING_BYTES));
    netns_ring_.emplace(std::move(ring));
  }
  netns_ring_->take_snapshot();
  SampleBytes bytes;
  // One that is being written wakes us again.
  while (netns_ring_->head(&bytes) == MappedRing::Head::kSample) {
    cicd_netns_ask ask{};
    if (bytes.size() == sizeof(ask)) {
      std::memcpy(&ask, bytes.data(), sizeof(ask));
      out.push_back(ask);
    }
    netns_ring_->pop();
  }
  netns_ring_->commit();
  return out;
}

std::vector<std::uint32_t> EgressMaps::processes(std::uint32_t slot) const {
  std::vector<std::uint32_t> out;
  for (const TrackedProcess& process : members_of(programs_, slot)) out.push_back(process.pid);
  return out;
}

bool EgressMaps::is_of_a_job(std::uint64_t cgroup_id) const {
  return slot_of_cgroup(programs_, cgroup_id) != 0;
}

std::optional<cicd_dns_client> EgressMaps::dns_client(const cicd_dns_client_key& key) const {
  cicd_dns_client client{};
  if (::bpf_map_lookup_elem(programs_.map_fd("dns_clients"), &key, &client) != 0) {
    return std::nullopt;
  }
  return client;
}

void EgressMaps::tell(const InsideAnswer& answer) {
  told_.add(answer.client.slot, sample_of(answer, boottime_now_ns()));
}

EgressTotals EgressMaps::totals(std::uint32_t slot) const {
  EgressTotals out;
  const int cpus = ::libbpf_num_possible_cpus();
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(std::max(cpus, 1)));
  const auto read = [&](std::uint32_t which) {
    const std::uint32_t index = slot * CICD_TOTALS_STRIDE + which;
    if (::bpf_map_lookup_elem(programs_.map_fd("egress_totals"), &index, per_cpu.data()) != 0) {
      return std::uint64_t{0};
    }
    return std::accumulate(per_cpu.begin(), per_cpu.end(), std::uint64_t{0});
  };
  for (std::uint32_t reason = 0; reason < CICD_REASONS; ++reason) {
    out.denied[reason] = read(CICD_TOTAL_DENIED + reason);
    out.audited[reason] = read(CICD_TOTAL_AUDITED + reason);
  }
  out.flows_missing = read(CICD_TOTAL_FLOWS_FULL);
  out.denied_unmerged = read(CICD_TOTAL_DENIED_FULL);
  out.sockets_missing = read(CICD_TOTAL_SOCKET_FULL);
  out.answers_untold = told_.dropped(slot);
  out.netns_unasked = read(CICD_TOTAL_NETNS_FULL);
  return out;
}

std::vector<std::pair<cicd_flow_key, cicd_flow>> EgressMaps::flows(std::uint32_t slot) const {
  std::vector<std::pair<cicd_flow_key, cicd_flow>> out;
  for_each_entry<cicd_flow_key, cicd_flow>(programs_.map_fd("egress_flows"),
                                           [&](const cicd_flow_key& key, const cicd_flow& flow) {
                                             if (key.slot == slot) out.emplace_back(key, flow);
                                           });
  return out;
}

std::vector<std::pair<cicd_denied_key, cicd_denied>> EgressMaps::take_denied(std::uint32_t slot) {
  std::vector<std::pair<cicd_denied_key, cicd_denied>> out;
  const int fd = programs_.map_fd("egress_denied");
  for_each_entry<cicd_denied_key, cicd_denied>(
      fd, [&](const cicd_denied_key& key, const cicd_denied& denied) {
        if (key.slot == slot && denied.pending != 0) out.emplace_back(key, denied);
      });
  for (auto& [key, denied] : out) {
    // What comes in between is in the entry that is taken out, or begins a new one.
    cicd_denied last{};
    if (::bpf_map_lookup_elem(fd, &key, &last) == 0) denied = last;
    ::bpf_map_delete_elem(fd, &key);
  }
  return out;
}

void EgressMaps::clear(std::uint32_t slot) {
  if (programs_.map_fd("egress_policies") < 0) return;
  told_.forget(slot);
  const auto is_slot = [slot](const auto& key, const auto&) { return key.slot == slot; };
  delete_where<cicd_egress_address, cicd_egress_rules>(programs_.map_fd("egress_addrs"), is_slot);
  delete_where<cicd_egress_net, cicd_egress_rules>(programs_.map_fd("egress_nets"), is_slot);
  delete_where<cicd_egress_step, std::uint8_t>(programs_.map_fd("egress_steps"), is_slot);
  delete_where<cicd_denied_key, cicd_denied>(programs_.map_fd("egress_denied"), is_slot);
  delete_where<cicd_flow_key, cicd_flow>(programs_.map_fd("egress_flows"), is_slot);
  const int cpus = ::libbpf_num_possible_cpus();
  const std::vector<std::uint64_t> zeros(static_cast<std::size_t>(std::max(cpus, 1)));
  for (std::uint32_t which = 0; which < CICD_TOTALS_STRIDE; ++which) {
    const std::uint32_t index = slot * CICD_TOTALS_STRIDE + which;
    ::bpf_map_update_elem(programs_.map_fd("egress_totals"), &index, zeros.data(), BPF_ANY);
  }
}

bool EgressMaps::note_socket(const cicd_socket_owner& owner, int socket) {
  int family = 0;
  socklen_t size = sizeof(family);
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return false;
  if (family != AF_INET && family != AF_INET6) return false;
  cicd_socket_owner noted = owner;
  if (read_peer(socket, noted)) noted.flags |= CICD_SOCKET_BEFORE;
  // One that has a note was used since; that is the better one.
  const int fd = programs_.map_fd("socket_owners");
  return ::bpf_map_update_elem(fd, &socket, &noted, BPF_NOEXIST) == 0;
}

std::size_t EgressMaps::note_sockets(std::uint32_t slot, std::span<const std::uint32_t> pids) {
  cicd_socket_owner owner{};
  owner.epoch = policy_of(slot).epoch;
  std::size_t noted = 0;
  for (const std::uint32_t pid : pids) {
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process) continue;  // it is gone
    owner.who = {};
    owner.who.slot = slot;
    owner.who.pid = pid;
    for (const int number : sockets_of(pid)) {
      const UniqueFd socket(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), number, 0)));
      if (socket && note_socket(owner, socket.get())) ++noted;
    }
  }
  return noted;
}

}  // namespace cicd
