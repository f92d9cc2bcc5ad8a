// SPDX-License-Identifier: Apache-2.0
// Numbers of the kernel's interfaces as text: capabilities, namespaces, commands of bpf(2),
// operations of io_uring. What is newer than the tables comes out as its number.
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

// "openat" for IORING_OP_OPENAT.
std::string_view io_uring_text(std::uint32_t opcode, Arena& arena);

}  // namespace cicd
