// SPDX-License-Identifier: Apache-2.0
// Makes samples as the kernel side does, for tests, benchmarks and fuzzers: well-formed bytes that
// a caller may then damage. Pure functions, any thread.
//
//   Actor shell{.pid = 100, .start_time_ns = 5'000};
//   source.push(exec_sample(shell, {.exec_path = "/bin/sh", .argv = {"sh", "-c", "true"}}));
#pragma once

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/sample.h"

namespace cicd {

using SampleBuffer = std::vector<std::byte>;

// The header: who acts, and when.
struct Actor {
  std::uint32_t pid = 100;
  std::uint32_t tid = 0;  // 0: the same as pid
  std::uint64_t start_time_ns = 1'000;
  std::uint32_t exec_id = 1;
  std::uint32_t slot = 1;
  std::uint64_t cgroup_id = 42;
  std::uint64_t time_ns = 2'000;

  // The same process at another time or after an exec.
  Actor at(std::uint64_t when_ns) const {
    Actor copy = *this;
    copy.time_ns = when_ns;
    return copy;
  }
  Actor image(std::uint32_t id) const {
    Actor copy = *this;
    copy.exec_id = id;
    return copy;
  }
};

// Bytes of a string and its flags.
struct StringPart {
  std::string bytes;
  std::uint32_t flags = 0;
};
StringPart walked(std::string_view absolute_path, std::uint32_t extra_flags = 0);
inline StringPart raw(std::string_view bytes, std::uint32_t flags = 0) {
  return {std::string(bytes), flags};
}
StringPart arguments(const std::vector<std::string>& argv, std::uint32_t flags = 0);

struct ExecParts {
  std::string exec_path = "/bin/true";  // walked
  std::string filename = {};            // empty: the same as exec_path
  std::string cwd = "/";                // walked
  std::vector<std::string> argv = {"true"};
  std::vector<std::string> environment = {};  // "NAME=value"
  std::uint16_t flags = 0;                    // enum cicd_exec_flags
  std::uint32_t uid = 0;
};
struct ExecStrings {
  StringPart exec_path, filename, cwd, argv;
  StringPart environment = {};
};

struct ConnectParts {
  std::string remote_ip = "192.0.2.1";  // text; its form gives the family
  std::uint16_t remote_port = 443;
  std::uint16_t protocol = IPPROTO_TCP;
  std::uint16_t flags = 0;  // enum cicd_connect_flags
};

struct OpenParts {
  StringPart path;
  StringPart base = {};
  std::uint16_t flags = CICD_OPEN_READ;
  std::uint32_t open_flags = 0;
  std::uint16_t error = 0;
  std::uint16_t call = CICD_OPEN_OPENAT;
  std::uint64_t inode = 7;
};

struct CgroupParts {
  std::uint64_t target_cgroup_id = 0;
  std::uint64_t from_cgroup_id = 0;
  std::string path = {};
  std::uint16_t flags = 0;  // enum cicd_attach_flags
};

// `fixed` ends with one cicd_string for each string.
SampleBuffer assemble_sample(const Actor& actor, std::uint16_t type, std::uint16_t flags,
                             std::span<const std::byte> fixed,
                             const std::vector<StringPart>& strings);
// The newer samples have one form for all: a fixed part that the caller fills (header and
// string members are set here) and its strings in the order of the members.
//   make_sample(shell, CICD_SAMPLE_PTRACE, cicd_sample_target{.value = 16}, {walked("/bin/a")})
template <typename Fixed>
SampleBuffer make_sample(const Actor& actor, std::uint16_t type, Fixed fixed,
                         const std::vector<StringPart>& strings = {}) {
  const std::uint16_t flags = fixed.header.flags;
  return assemble_sample(actor, type, flags,
                         {reinterpret_cast<const std::byte*>(&fixed), sizeof(Fixed)}, strings);
}

// `name` follows the fixed part; name_bytes is set here.
SampleBuffer egress_sample(const Actor& actor, cicd_sample_egress fixed,
                           std::string_view name = {});
SampleBuffer fork_sample(const Actor& child, const Actor& parent, std::uint32_t uid = 0);
SampleBuffer exec_sample(const Actor& actor, const ExecParts& parts);
SampleBuffer exec_sample(const Actor& actor, const ExecParts& parts, const ExecStrings& strings);
SampleBuffer exit_sample(const Actor& actor, std::uint32_t status = 0);
SampleBuffer connect_sample(const Actor& actor, const ConnectParts& parts);
SampleBuffer open_sample(const Actor& actor, const OpenParts& parts);
SampleBuffer cgroup_sample(const Actor& actor, std::uint16_t type, const CgroupParts& parts);

}  // namespace cicd
