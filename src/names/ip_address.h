// SPDX-License-Identifier: Apache-2.0
// IpAddress: an address as a key. An IPv4 address mapped into IPv6 is the IPv4 address: a name is
// resolved to the one and connected to as the other. Pure data, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace cicd {

struct IpAddress {
  bool is_v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // network order; IPv4 in the first four, the rest zero

  bool operator==(const IpAddress&) const = default;

  // 4 or 16 bytes in network order; nothing else is an address.
  static std::optional<IpAddress> from(std::span<const std::uint8_t> raw) {
    static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    IpAddress out;
    if (raw.size() == 16 && std::memcmp(raw.data(), kMapped, sizeof(kMapped)) == 0) {
      raw = raw.subspan(sizeof(kMapped));
    }
    if (raw.size() != 4 && raw.size() != 16) return std::nullopt;
    out.is_v6 = raw.size() == 16;
    std::memcpy(out.bytes.data(), raw.data(), raw.size());
    return out;
  }
};

}  // namespace cicd
