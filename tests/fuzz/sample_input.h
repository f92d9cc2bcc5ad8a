// SPDX-License-Identifier: Apache-2.0
// Fuzzer bytes as a sequence of samples: sizes and lengths are made right, everything else comes
// from the input. Numbers are small, so that pids, execs and cgroups meet each other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "wire/sample_builder.h"

namespace cicd {

class SampleInput {
 public:
  SampleInput(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

  bool empty() const { return at_ == end_; }

  SampleBuffer next() {
    const std::uint8_t kind = byte();
    const Actor actor = make_actor();
    switch (kind % 16) {
      case 0:
        return fork_sample(actor, make_actor(), byte());
      case 1:
        return exec_sample(actor, {.flags = byte()}, {part(), part(), part(), part(), part()});
      case 2:
        return exit_sample(actor, static_cast<std::uint32_t>(byte() << 8 | byte()));
      case 3:
      case 4:
      case 5:
        return cgroup(actor, static_cast<std::uint16_t>(CICD_SAMPLE_CGROUP_MKDIR + kind % 3));
      case 6:
        return connect_sample(actor, {.remote_ip = byte() % 2 ? "::ffff:192.0.2.1" : "192.0.2.9",
                                      .protocol = byte(),
                                      .flags = byte()});
      case 7:
        return open_sample(
            actor,
            {.path = part(), .base = part(), .flags = byte(), .error = byte(), .inode = byte()});
      case 8:
        return raw_bytes();
      default:
        return newer(actor, kind % 16);
    }
  }

 private:
  template <typename Fixed>
  SampleBuffer filled(const Actor& actor, std::uint16_t type, Fixed fixed,
                      const std::vector<StringPart>& strings = {}) {
    fixed.header.flags = byte();
    return make_sample(actor, type, fixed, strings);
  }

  SampleBuffer newer(const Actor& actor, int kind) {
    const std::uint8_t value = byte();
    switch (kind) {
      case 9:
        return filled(actor, static_cast<std::uint16_t>(CICD_SAMPLE_REMOVE + value % 4),
                      cicd_sample_paths{.operation = value}, {part(), part(), part(), part()});
      case 10:
        return filled(actor, CICD_SAMPLE_UNIX_CONNECT,
                      cicd_sample_unix_connect{.socket_type = value}, {part(), part()});
      case 11:
        return filled(actor, CICD_SAMPLE_DNS,
                      cicd_sample_dns{.socket_cookie = value, .family = AF_INET}, {part()});
      case 12:
        return filled(actor, static_cast<std::uint16_t>(CICD_SAMPLE_PTRACE + value % 3),
                      cicd_sample_target{.value = byte(), .target_pid = byte(), .error = byte()},
                      {part()});
      case 13:
        return filled(actor, CICD_SAMPLE_PRIVILEGE,
                      cicd_sample_privilege{.capabilities_to = byte(), .kind = value});
      case 14:
        return filled(actor, CICD_SAMPLE_IO_URING, cicd_sample_io_uring{.opcode = value},
                      {part(), part()});
      default:
        return small(actor, value);
    }
  }

  SampleBuffer small(const Actor& actor, std::uint8_t value) {
    switch (value % 7) {
      case 0:
        return filled(actor, CICD_SAMPLE_NAMESPACE,
                      cicd_sample_namespace{.flags = byte(), .operation = byte()});
      case 1:
        return filled(actor, CICD_SAMPLE_MODULE, cicd_sample_module{.error = byte()}, {part()});
      case 2:
        return filled(actor, CICD_SAMPLE_BPF,
                      cicd_sample_bpf{.command = byte(), .program_type = byte()});
      case 3:
        return filled(actor, CICD_SAMPLE_EXEC_MEMORY,
                      cicd_sample_exec_memory{.count = byte(), .kind = byte()});
      case 4:
        return filled(actor, CICD_SAMPLE_SOCKET,
                      cicd_sample_socket{.family = byte(), .type = byte(), .protocol = byte()});
      case 5:
        return filled(actor, CICD_SAMPLE_HTTP, cicd_sample_http{.source = byte()},
                      {part(), part(), part()});
      default:
        return filled(actor, CICD_SAMPLE_GETADDRINFO, cicd_sample_getaddrinfo{.result = byte()},
                      {part()});
    }
  }

  std::uint8_t byte() { return empty() ? std::uint8_t{0} : *at_++; }

  Actor make_actor() {
    Actor actor;
    actor.pid = byte() % 16;
    actor.start_time_ns = byte() % 4;
    actor.exec_id = byte() % 8;
    actor.slot = 1 + byte() % 3;
    actor.cgroup_id = 40 + byte() % 8;
    // Some steps are longer than the grace time.
    time_ns_ += std::uint64_t{byte()} * 50'000'000;
    actor.time_ns = time_ns_;
    return actor;
  }

  StringPart part() {
    StringPart made;
    made.flags = static_cast<std::uint32_t>(byte() | (byte() % 2) << 8);
    const std::size_t size =
        std::min<std::size_t>(byte() % 64, static_cast<std::size_t>(end_ - at_));
    made.bytes.assign(reinterpret_cast<const char*>(at_), size);
    at_ += size;
    return made;
  }

  SampleBuffer cgroup(const Actor& actor, std::uint16_t type) {
    CgroupParts parts;
    parts.target_cgroup_id = 40 + byte() % 8;
    parts.from_cgroup_id = 40 + byte() % 8;
    parts.path = part().bytes;
    parts.flags = byte();
    return cgroup_sample(actor, type, parts);
  }

  SampleBuffer raw_bytes() {
    const std::size_t size = std::min<std::size_t>(byte(), static_cast<std::size_t>(end_ - at_));
    const auto* begin = reinterpret_cast<const std::byte*>(at_);
    at_ += size;
    return {begin, begin + size};
  }

  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::uint64_t time_ns_ = 0;
};

}  // namespace cicd
