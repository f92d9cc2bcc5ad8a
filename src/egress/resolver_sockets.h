// SPDX-License-Identifier: Apache-2.0
// The resolver's listening sockets: UDP and TCP on the loopback addresses of one network
// namespace, IPv4 and, where the kernel has it, IPv6; all on one port. None of them blocks.
//
// Threads: any; the caller's enters the namespace and comes back (network_namespace.h). No thread
// is started for it: a new one would wait for its turn while the job's program asks already.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cicd {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  std::uint16_t port() const;  // in host order
  bool is_loopback() const;
  bool operator==(const SocketAddress& other) const;
};

// "9.9.9.9", "9.9.9.9:5353", "2620:fe::fe", "[2620:fe::fe]:53"; port 53 when none is given.
std::optional<SocketAddress> parse_server(std::string_view text);
std::string text_of(const SocketAddress& address);
// The servers that a resolv.conf names, in its order; empty also when it cannot be read.
std::vector<SocketAddress> servers_of(const std::string& resolv_conf);

struct ListenerSockets {
  UniqueFd udp4, udp6, tcp4, tcp6;  // of IPv6 none: this kernel has none
  std::uint16_t port = 0;
  std::uint32_t netns = 0;  // inode number
};

struct PortChoice {
  std::uint16_t first = 15'353;
  std::uint16_t tries = 1;  // that many ports from `first` on
};

// A connection that is being made, from the caller's namespace; it does not block. `interface`: the
// only one that it may go through; null: any.
Result<UniqueFd> connect_stream(const SocketAddress& address, const char* interface = nullptr);

// `netns_fd`: of the namespace, -1 for the caller's. kResource: all ports are taken.
Result<ListenerSockets> open_listeners(int netns_fd, PortChoice choice);

}  // namespace cicd
