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
    switch (kind % 9) {
      case 0:
        return fork_sample(actor, make_actor(), byte());
      case 1:
        return exec_sample(actor, {.flags = byte()}, {part(), part(), part(), part()});
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
      default:
        return raw_bytes();
    }
  }

 private:
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
