// SPDX-License-Identifier: Apache-2.0
// Addresses and protocols as text, and names of errno values. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "names/ip_address.h"

namespace cicd {

// The shortest form. An IPv4 address mapped into IPv6 is written as IPv4.
std::string_view ip_text(std::uint16_t family, const std::uint8_t (&address)[16], Arena& arena);

std::string_view ip_text(const IpAddress& address, Arena& arena);

// "tcp", "udp", or the number.
std::string_view protocol_text(std::uint16_t protocol, Arena& arena);

// "ENOENT"; a number for what the C library does not know.
std::string_view errno_text(int sys_errno, Arena& arena);

}  // namespace cicd
