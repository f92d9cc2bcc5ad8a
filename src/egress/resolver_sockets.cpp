// SPDX-License-Identifier: Apache-2.0
#include "egress/resolver_sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "egress/network_namespace.h"

namespace cicd {

namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr int kBufferBytes = 1 << 20;
constexpr int kBacklog = 1'024;
constexpr std::size_t kMaxServers = 8;
constexpr std::size_t kMaxResolvConfLines = 1'000;

SocketAddress loopback(int family, std::uint16_t port) {
  SocketAddress address;
  if (family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.size = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    v6->sin6_addr = in6addr_loopback;
    address.size = sizeof(*v6);
  }
  return address;
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof(value));  // what fails here is a nicety
}

// FREEBIND: the loopback interface of a namespace that is just being made may come up later.
Result<UniqueFd> open_one(int family, int type, std::uint16_t port) {
  UniqueFd fd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "socket of the resolver");
  if (family == AF_INET6) {
    set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_option(fd.get(), IPPROTO_IPV6, IPV6_FREEBIND, 1);
  } else {
    set_option(fd.get(), IPPROTO_IP, IP_FREEBIND, 1);
  }
  if (type == SOCK_STREAM) {
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  } else {
    set_option(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, kBufferBytes);
    set_option(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, kBufferBytes);
  }
  const SocketAddress address = loopback(family, port);
  if (::bind(fd.get(), address.get(), address.size) != 0) {
    return fail_errno(errno, "bind the resolver to " + text_of(address));
  }
  if (type == SOCK_STREAM && ::listen(fd.get(), kBacklog) != 0) {
    return fail_errno(errno, "listen on " + text_of(address));
  }
  return fd;
}

Result<ListenerSockets> open_on(std::uint16_t port) {
  ListenerSockets out;
  out.port = port;
  CICD_ASSIGN(out.udp4, open_one(AF_INET, SOCK_DGRAM, port));
  CICD_ASSIGN(out.tcp4, open_one(AF_INET, SOCK_STREAM, port));
  auto udp6 = open_one(AF_INET6, SOCK_DGRAM, port);
  if (!udp6 && udp6.error().sys_errno == EAFNOSUPPORT) return out;
  if (!udp6) return std::unexpected(std::move(udp6).error());
  out.udp6 = std::move(*udp6);
  CICD_ASSIGN(out.tcp6, open_one(AF_INET6, SOCK_STREAM, port));
  return out;
}

Result<ListenerSockets> open_here(PortChoice choice) {
  struct stat netns{};
  if (::stat("/proc/thread-self/ns/net", &netns) != 0) {
    return fail_errno(errno, "look at the network namespace");
  }
  for (unsigned i = 0;; ++i) {
    const unsigned port = choice.first + i;
    auto out = port > UINT16_MAX
                   ? Result<ListenerSockets>(fail_errno(EADDRINUSE, "ports of the resolver"))
                   : open_on(static_cast<std::uint16_t>(port));
    if (out) {
      out->netns = static_cast<std::uint32_t>(netns.st_ino);
      return out;
    }
    if (out.error().sys_errno != EADDRINUSE) return out;
    if (i + 1 < choice.tries && port < UINT16_MAX) continue;
    Error error = std::move(out).error();
    error.code = ErrorCode::kResource;
    return std::unexpected(std::move(error).with_hint("choose another port for the resolver"));
  }
}

}  // namespace

std::uint16_t SocketAddress::port() const {
  return ntohs(storage.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

bool SocketAddress::is_loopback() const {
  if (storage.ss_family == AF_INET6) {
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
  }
  return ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr) >> 24 == 127;
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return size == other.size && std::memcmp(&storage, &other.storage, size) == 0;
}

std::optional<SocketAddress> parse_server(std::string_view text) {
  std::string_view host = text;
  std::uint16_t port = kDnsPort;
  std::string_view port_text;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = text.substr(1, end - 1);
    if (end + 1 < text.size() && text[end + 1] != ':') return std::nullopt;
    if (end + 1 < text.size()) port_text = text.substr(end + 2);
    if (end + 1 < text.size() && port_text.empty()) return std::nullopt;
  } else if (const std::size_t colon = text.find(':');
             colon != std::string_view::npos && text.find(':', colon + 1) == text.npos) {
    host = text.substr(0, colon);
    port_text = text.substr(colon + 1);
    if (port_text.empty()) return std::nullopt;
  }
  if (!port_text.empty()) {
    const char* end = port_text.data() + port_text.size();
    const auto [at, error] = std::from_chars(port_text.data(), end, port);
    if (error != std::errc() || at != end || port == 0) return std::nullopt;
  }
  const std::string name(host);
  SocketAddress out = loopback(AF_INET, port);
  if (::inet_pton(AF_INET, name.c_str(), &reinterpret_cast<sockaddr_in*>(&out.storage)->sin_addr) ==
      1) {
    return out;
  }
  out = loopback(AF_INET6, port);
  if (::inet_pton(AF_INET6, name.c_str(),
                  &reinterpret_cast<sockaddr_in6*>(&out.storage)->sin6_addr) == 1) {
    return out;
  }
  return std::nullopt;
}

std::string text_of(const SocketAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.storage.ss_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr, text,
                sizeof(text));
    return "[" + std::string(text) + "]:" + std::to_string(address.port());
  }
  ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr, text,
              sizeof(text));
  return std::string(text) + ":" + std::to_string(address.port());
}

std::vector<SocketAddress> servers_of(const std::string& resolv_conf) {
  std::vector<SocketAddress> out;
  std::ifstream file(resolv_conf);
  std::string line;
  for (std::size_t i = 0; i < kMaxResolvConfLines && std::getline(file, line); ++i) {
    std::istringstream words(line);
    std::string key;
    std::string value;
    if (!(words >> key >> value) || key != "nameserver") continue;
    const auto server = parse_server(value);
    if (server && out.size() < kMaxServers) out.push_back(*server);
  }
  return out;
}

Result<UniqueFd> connect_stream(const SocketAddress& address, const char* interface) {
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "socket of the resolver");
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (interface != nullptr && ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, interface,
                                           static_cast<socklen_t>(std::strlen(interface))) != 0) {
    return fail_errno(errno, "keep a socket of the resolver to one interface");
  }
  if (::connect(fd.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) {
    return fail_errno(errno, "connect to " + text_of(address));
  }
  return fd;
}

Result<ListenerSockets> open_listeners(int netns_fd, PortChoice choice) {
  if (netns_fd < 0) return open_here(choice);
  ListenerSockets out;
  const auto open = [&]() -> Result<> {
    CICD_ASSIGN(out, open_here(choice));
    return {};
  };
  CICD_TRY(within_netns(netns_fd, open));
  return out;
}

}  // namespace cicd
