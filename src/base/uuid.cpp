// SPDX-License-Identifier: Apache-2.0
#include "base/uuid.h"

#include <sys/random.h>
#include <unistd.h>

#include <bit>

#include "base/time_format.h"

namespace cicd {

namespace {

constexpr std::uint32_t kCounterEnd = 1 << 12;

std::uint64_t split_mix(std::uint64_t& seed) {
  std::uint64_t z = seed += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

void write_hex(char* out, std::uint64_t value, int digits) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i, value >>= 4) out[i] = kHex[value & 15];
}

}  // namespace

UuidV7Generator::UuidV7Generator() {
  if (::getrandom(state_, sizeof(state_), GRND_NONBLOCK) == static_cast<ssize_t>(sizeof(state_))) {
    return;
  }
  // Early boot without entropy: time, process and address still tell generators apart.
  std::uint64_t seed = realtime_now_ns() ^ static_cast<std::uint64_t>(::getpid()) << 32 ^
                       reinterpret_cast<std::uintptr_t>(this);
  for (std::uint64_t& word : state_) word = split_mix(seed);
}

// xoshiro256**: a few cycles a number.
std::uint64_t UuidV7Generator::random() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

UuidText UuidV7Generator::next(std::uint64_t realtime_ns) {
  const std::uint64_t bits = random();
  const std::uint64_t ms = realtime_ns / 1'000'000;
  if (ms > last_ms_) {
    last_ms_ = ms;
    counter_ = static_cast<std::uint32_t>(random() & 0x7FF);  // upper bit clear: room to count
  } else if (++counter_ == kCounterEnd) {
    ++last_ms_;
    counter_ = 0;
  }
  UuidText out;
  char* text = out.text.data();
  write_hex(text, last_ms_ >> 16, 8);
  text[8] = '-';
  write_hex(text + 9, last_ms_ & 0xFFFF, 4);
  text[13] = '-';
  write_hex(text + 14, 0x7000 | counter_, 4);
  text[18] = '-';
  write_hex(text + 19, 0x8000 | (bits >> 48 & 0x3FFF), 4);
  text[23] = '-';
  write_hex(text + 24, bits & 0xFFFFFFFFFFFF, 12);
  return out;
}

}  // namespace cicd
