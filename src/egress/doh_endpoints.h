// SPDX-License-Identifier: Apache-2.0
// Well-known endpoints of DNS over HTTPS. A program that asks them for names goes past the job's
// resolver, so a policy refuses their names and port 443 of their addresses (dns.block_doh). The
// list cannot be complete: anybody can run such a server. It is a hurdle; the allowlist is the
// wall. Pure data with static lifetime; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "rule/ip_prefix.h"

namespace cicd {

inline constexpr std::uint16_t kDohPort = 443;

// Lower case, no last dot. Names below them are meant, too: some operators give each customer one.
std::span<const std::string_view> doh_names();
// Single addresses and ranges that such an operator uses for nothing else, as they are written.
std::span<const std::string_view> doh_address_texts();
// The same, parsed.
std::span<const IpPrefix> doh_prefixes();

// `name` is in lower case, without a last dot; nothing is allocated.
bool is_doh_name(std::string_view name);
bool is_doh_address(const IpBytes& ip);

}  // namespace cicd
