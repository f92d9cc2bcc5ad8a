// SPDX-License-Identifier: Apache-2.0
// UuidV7Generator: UUIDs of version 7 (RFC 9562, 5.7): 48 bits of milliseconds, a 12-bit counter
// that keeps those of one millisecond in order (method 1 of 6.2), 62 random bits. For log rows:
// unique, sortable, no secrets (the random bits come from a fast generator that is seeded once).
// Threads: belongs to one thread; two generators do not repeat each other.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace cicd {

struct UuidText {
  std::array<char, 36> text;
  std::string_view view() const { return {text.data(), text.size()}; }
};

class UuidV7Generator {
 public:
  UuidV7Generator();  // seeds from getrandom(2)

  // Never below the one before, even when the clock steps back.
  UuidText next(std::uint64_t realtime_ns);

 private:
  std::uint64_t random();

  std::uint64_t state_[4];
  std::uint64_t last_ms_ = 0;
  std::uint32_t counter_ = 0;
};

}  // namespace cicd
