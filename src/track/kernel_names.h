// SPDX-License-Identifier: Apache-2.0
// Numbers of the kernel's interfaces as text: capabilities, namespaces, commands of bpf(2),
// sockets, operations of io_uring. What is newer than the tables comes out as its number.
// Pure functions, any thread. The text is in the arena or a literal.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"

namespace cicd {

// "cap_net_admin,cap_sys_admin" for a bit set; "all" when every known one is in it.
std::string_view capabilities_text(std::uint64_t capabilities, Arena& arena);

// "user,mnt" for CLONE_NEW* bits.
std::string_view namespaces_text(std::uint64_t clone_flags, Arena& arena);

// "BPF_PROG_LOAD"
std::string_view bpf_command_text(std::uint32_t command, Arena& arena);
// "socket_filter"
std::string_view bpf_program_type_text(std::uint32_t type, Arena& arena);

// "AF_PACKET", "SOCK_RAW"
std::string_view socket_family_text(std::uint32_t family, Arena& arena);
std::string_view socket_type_text(std::uint32_t type, Arena& arena);
// "icmp" for IPPROTO_ICMP; an EtherType as "0x0003", AF_PACKET has it in network order.
std::string_view socket_protocol_text(std::uint32_t family, std::uint32_t protocol, Arena& arena);

// "openat" for IORING_OP_OPENAT.
std::string_view io_uring_text(std::uint32_t opcode, Arena& arena);

}  // namespace cicd
