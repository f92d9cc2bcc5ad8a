// SPDX-License-Identifier: Apache-2.0
#include "track/ip_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

namespace cicd {

namespace {

std::string_view number_text(unsigned number, Arena& arena) {
  char digits[12];
  const char* end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  return arena.store({digits, static_cast<std::size_t>(end - digits)});
}

// inet_ntop goes through sprintf; this is what most addresses need, ten times faster.
std::string_view ipv4_text(const std::uint8_t* address, Arena& arena) {
  char text[INET_ADDRSTRLEN];
  char* at = text;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *at++ = '.';
    at = std::to_chars(at, text + sizeof(text), address[i]).ptr;
  }
  return arena.store({text, static_cast<std::size_t>(at - text)});
}

}  // namespace

std::string_view ip_text(std::uint16_t family, const std::uint8_t (&address)[16], Arena& arena) {
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (family == AF_INET) return ipv4_text(address, arena);
  if (std::memcmp(address, kMapped, sizeof(kMapped)) == 0) return ipv4_text(address + 12, arena);
  char text[INET6_ADDRSTRLEN];
  if (::inet_ntop(AF_INET6, address, text, sizeof(text)) == nullptr) return {};
  return arena.store(text);
}

std::string_view ip_text(const IpAddress& address, Arena& arena) {
  std::uint8_t bytes[16];
  std::memcpy(bytes, address.bytes.data(), sizeof(bytes));
  return ip_text(address.is_v6 ? AF_INET6 : AF_INET, bytes, arena);
}

std::string_view protocol_text(std::uint16_t protocol, Arena& arena) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    default:
      return number_text(protocol, arena);
  }
}

std::string_view errno_text(int sys_errno, Arena& arena) {
  if (const char* name = ::strerrorname_np(sys_errno)) return name;
  return number_text(static_cast<unsigned>(sys_errno), arena);
}

}  // namespace cicd
