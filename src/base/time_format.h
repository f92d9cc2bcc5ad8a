// SPDX-License-Identifier: Apache-2.0
// Rfc3339Formatter: times as proto3 JSON has them: UTC, "Z", and 0, 3, 6 or 9 fraction digits,
// whichever is the fewest that loses nothing. Remembers the last second's text, because rows come
// in order. Threads: belongs to one thread. Allocates nothing but what `out` needs to grow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cicd {

class Rfc3339Formatter {
 public:
  // `realtime_ns`: nanoseconds since 1970-01-01T00:00:00Z.
  void append(std::string& out, std::uint64_t realtime_ns);

 private:
  std::uint64_t second_ = UINT64_MAX;
  char text_[24] = {};  // "2026-11-22T00:00:00"
};

std::string format_rfc3339(std::uint64_t realtime_ns);

// The other way; nothing for what is no such time in UTC since 1970.
std::optional<std::uint64_t> parse_rfc3339(const std::string& text);

// The clocks now, nanoseconds: CLOCK_REALTIME and CLOCK_BOOTTIME.
std::uint64_t realtime_now_ns();
std::uint64_t boottime_now_ns();

}  // namespace cicd
