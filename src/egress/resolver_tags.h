// SPDX-License-Identifier: Apache-2.0
// What epoll tells the resolver: a kind and a number. Pure data.
#pragma once

#include <cstdint>

namespace cicd {

enum class ResolverTag : std::uint8_t { kWake, kPort, kStream, kUpstream, kCall };

constexpr std::uint64_t tag_of(ResolverTag kind, std::uint64_t number = 0) {
  return static_cast<std::uint64_t>(kind) << 32 | number;
}
constexpr ResolverTag kind_of(std::uint64_t tag) { return static_cast<ResolverTag>(tag >> 32); }
constexpr std::uint32_t number_of(std::uint64_t tag) { return static_cast<std::uint32_t>(tag); }

}  // namespace cicd
