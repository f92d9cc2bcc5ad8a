// SPDX-License-Identifier: Apache-2.0
#include "egress/docker_network.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>

#include "egress/network_namespace.h"
#include "egress/policy_prefixes.h"
#include "egress/resolver_sockets.h"

namespace cicd {

namespace {

constexpr std::uint32_t kDockerResolver = 0x7f00000b;  // 127.0.0.11
constexpr std::string_view kBridgePrefix = "br-";
constexpr std::size_t kBridgeIdDigits = 12;
// Of sockets that listen in one namespace. A job that has more than fit loses the names of its
// containers, and nobody's time.
constexpr std::size_t kMaxDumpBytes = 512 * 1024;
constexpr std::size_t kPartBytes = 32 * 1024;

// Takes one message; false: no more are wanted.
using OnMessage = FunctionRef<bool(const nlmsghdr&, std::span<const std::uint8_t>)>;

// False: that was the last.
bool take_part(std::span<const std::uint8_t> part, OnMessage on_message) {
  while (part.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header{};
    std::memcpy(&header, part.data(), sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > part.size()) return false;
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) return false;
    if (!on_message(header, part.subspan(sizeof(header), header.nlmsg_len - sizeof(header)))) {
      return false;
    }
    const std::size_t step = std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), part.size());
    part = part.subspan(step);
  }
  return true;
}

// Asks the kernel in the caller's namespace, and gives what it answers.
Result<> ask_kernel(int protocol, std::span<const std::uint8_t> request, OnMessage on_message) {
  const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return fail_errno(errno, "netlink socket");
  if (::send(fd.get(), request.data(), request.size(), 0) < 0) {
    return fail_errno(errno, "ask the kernel over netlink");
  }
  std::array<std::uint8_t, kPartBytes> part;
  for (std::size_t taken = 0; taken < kMaxDumpBytes;) {
    const ssize_t got = ::recv(fd.get(), part.data(), part.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "read what the kernel answers over netlink");
    taken += static_cast<std::size_t>(got);
    if (!take_part(std::span(part).first(static_cast<std::size_t>(got)), on_message)) break;
  }
  return {};
}

// The attributes of a message, one after the other.
void for_each_attribute(std::span<const std::uint8_t> bytes,
                        FunctionRef<void(unsigned, std::span<const std::uint8_t>)> visit) {
  while (bytes.size() >= sizeof(rtattr)) {
    rtattr attribute{};
    std::memcpy(&attribute, bytes.data(), sizeof(attribute));
    if (attribute.rta_len < sizeof(attribute) || attribute.rta_len > bytes.size()) return;
    visit(attribute.rta_type,
          bytes.subspan(sizeof(attribute), attribute.rta_len - sizeof(attribute)));
    bytes = bytes.subspan(std::min<std::size_t>(RTA_ALIGN(attribute.rta_len), bytes.size()));
  }
}

template <typename Value>
Value value_of(std::span<const std::uint8_t> bytes) {
  Value out{};
  if (bytes.size() >= sizeof(out)) std::memcpy(&out, bytes.data(), sizeof(out));
  return out;
}

// The cgroup of whoever made the socket; 0: this kernel does not say (before 5.8).
std::uint64_t cgroup_of(std::span<const std::uint8_t> attributes) {
  std::uint64_t out = 0;
  for_each_attribute(attributes, [&](unsigned type, std::span<const std::uint8_t> data) {
    if (type == INET_DIAG_CGROUP_ID) out = value_of<std::uint64_t>(data);
  });
  return out;
}

SocketAddress address_of(const IpBytes& ip, std::uint16_t port) {
  SocketAddress out;
  if (is_mapped_ipv4(ip)) {
    sockaddr_in v4{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    std::memcpy(&v4.sin_addr, ip.data() + 12, 4);
    std::memcpy(&out.storage, &v4, sizeof(v4));
    out.size = sizeof(v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, ip.data(), ip.size());
    std::memcpy(&out.storage, &v6, sizeof(v6));
    out.size = sizeof(v6);
  }
  return out;
}

// As Docker calls the bridge of a network that has no name of its own for it: "br-" and the first
// digits of the network's id. Bridges of others (a machine's own, which leads to its neighbours)
// are not called so.
bool is_docker_bridge(std::string_view name) {
  if (!name.starts_with(kBridgePrefix)) return false;
  name.remove_prefix(kBridgePrefix.size());
  return name.size() == kBridgeIdDigits && std::ranges::all_of(name, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

Result<std::uint16_t> docker_resolver_port(int netns_fd,
                                           FunctionRef<bool(std::uint64_t)> is_of_a_job) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 what;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.what.sdiag_family = AF_INET;
  request.what.sdiag_protocol = IPPROTO_TCP;
  request.what.idiag_states = 1u << TCP_LISTEN;
  std::uint16_t port = 0;
  const auto look = [&](const nlmsghdr&, std::span<const std::uint8_t> body) {
    if (body.size() < sizeof(inet_diag_msg)) return true;
    const auto found = value_of<inet_diag_msg>(body);
    if (found.id.idiag_src[0] != htonl(kDockerResolver)) return true;
    const std::uint64_t cgroup = cgroup_of(body.subspan(sizeof(inet_diag_msg)));
    if (cgroup == 0 || is_of_a_job(cgroup)) return true;
    port = ntohs(found.id.idiag_sport);
    return false;
  };
  const auto bytes = std::span(reinterpret_cast<const std::uint8_t*>(&request), sizeof(request));
  CICD_TRY(within_netns(netns_fd, [&] { return ask_kernel(NETLINK_SOCK_DIAG, bytes, look); }));
  return port;
}

// Bound to the loopback interface: rules of the job's namespace must not lead it elsewhere.
Result<UniqueFd> connect_to_docker_resolver(int netns_fd, std::uint16_t port) {
  SocketAddress address;
  sockaddr_in v4{.sin_family = AF_INET,
                 .sin_port = htons(port),
                 .sin_addr = {.s_addr = htonl(kDockerResolver)},
                 .sin_zero = {}};
  std::memcpy(&address.storage, &v4, sizeof(v4));
  address.size = sizeof(v4);
  UniqueFd out;
  const auto connect = [&]() -> Result<> {
    CICD_ASSIGN(out, connect_stream(address, "lo"));
    return {};
  };
  CICD_TRY(within_netns(netns_fd, connect));
  return out;
}

unsigned bridge_to_container(const IpBytes& ip) {
  const bool is_v4 = is_mapped_ipv4(ip);
  const std::size_t size = is_v4 ? 4 : 16;
  struct {
    nlmsghdr header;
    rtmsg route;
    rtattr attribute;
    std::uint8_t destination[16];
  } request{};
  request.header.nlmsg_len =
      static_cast<std::uint32_t>(offsetof(decltype(request), destination) + size);
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.route.rtm_family = is_v4 ? AF_INET : AF_INET6;
  request.route.rtm_dst_len = static_cast<std::uint8_t>(8 * size);
  request.attribute.rta_type = RTA_DST;
  request.attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
  std::memcpy(request.destination, ip.data() + (16 - size), size);
  unsigned out = 0;
  const auto look = [&](const nlmsghdr& header, std::span<const std::uint8_t> body) {
    if (header.nlmsg_type != RTM_NEWROUTE || body.size() < sizeof(rtmsg)) return false;
    if (value_of<rtmsg>(body).rtm_type != RTN_UNICAST) return false;
    bool has_gateway = false;
    for_each_attribute(body.subspan(sizeof(rtmsg)),
                       [&](unsigned type, std::span<const std::uint8_t> data) {
                         if (type == RTA_OIF) out = value_of<unsigned>(data);
                         has_gateway |= type == RTA_GATEWAY || type == RTA_VIA;
                       });
    if (has_gateway) out = 0;
    return false;
  };
  const auto bytes = std::span(reinterpret_cast<const std::uint8_t*>(&request),
                               std::size_t{request.header.nlmsg_len});
  if (!ask_kernel(NETLINK_ROUTE, bytes, look) || out == 0) return 0;
  char name[IF_NAMESIZE] = "";
  return ::if_indextoname(out, name) != nullptr && is_docker_bridge(name) ? out : 0;
}

// A datagram socket that is connected has an address, and nothing is sent.
std::optional<IpBytes> source_address(int netns_fd, const IpBytes& ip) {
  constexpr std::uint16_t kAnyPort = 9;
  const SocketAddress to = address_of(ip, kAnyPort);
  SocketAddress from;
  from.size = sizeof(from.storage);
  const auto ask = [&]() -> Result<> {
    const UniqueFd fd(::socket(to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), to.get(), to.size) != 0 ||
        ::getsockname(fd.get(), from.get(), &from.size) != 0) {
      return fail_errno(errno, "ask for the address that packets have");
    }
    return {};
  };
  if (!within_netns(netns_fd, ask)) return std::nullopt;
  IpBytes out{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (from.storage.ss_family == AF_INET) {
    std::memcpy(out.data() + 12, &reinterpret_cast<const sockaddr_in*>(from.get())->sin_addr, 4);
  } else {
    std::memcpy(out.data(), &reinterpret_cast<const sockaddr_in6*>(from.get())->sin6_addr, 16);
  }
  return out;
}

}  // namespace cicd
