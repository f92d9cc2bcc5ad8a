// SPDX-License-Identifier: Apache-2.0
// IpPrefix: an address range in CIDR form. IPv4 is held as IPv4-mapped IPv6, so that a program
// which reaches an IPv4 address through an IPv6 socket is in the IPv4 range. Pure data; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cicd {

using IpBytes = std::array<std::uint8_t, 16>;

// An address without prefix length, scope or brackets; no allocation.
std::optional<IpBytes> parse_ip(std::string_view text);

struct IpPrefix {
  IpBytes address{};
  int bits = 0;  // of the 128

  // An IPv4 address is in no IPv6 range, but for one written inside ::ffff:0:0/96.
  bool contains(const IpBytes& ip) const;
};

// "10.0.0.0/8", "fe80::/10". Bits behind the prefix may be set; they do not count.
std::optional<IpPrefix> parse_cidr(std::string_view text);

}  // namespace cicd
