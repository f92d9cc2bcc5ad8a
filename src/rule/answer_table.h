// SPDX-License-Identifier: Apache-2.0
// AnswerTable: answers of instructions that hold longer than for one question, by whom they are
// about. A table of fixed places: a new answer takes the place of an older one, which is then found
// anew when it is asked for. So nothing is ever cleared, and ten thousand rules cost no more memory
// than ten.
//
// Threads: one. Whoever an answer is about has a serial number that is never used again: an event,
// a picture of a process, a program image. Grows with use, up to kMaxPlaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace cicd {

enum class Kept : std::uint8_t { kUnknown, kFalse, kTrue };

class AnswerTable {
 public:
  static constexpr std::size_t kFewestPlaces = 1u << 10;
  static constexpr std::size_t kMaxPlaces = 1u << 14;
  static constexpr std::uint32_t kMaxInstruction = (1u << 24) - 1;

  AnswerTable() : places_(kFewestPlaces, 0) {}

  Kept find(std::uint64_t serial, std::uint32_t instruction) const {
    const std::uint64_t key = key_of(serial, instruction);
    const std::uint64_t place = places_[place_of(key)];
    if ((place | 1) != (key | 1)) return Kept::kUnknown;
    return (place & 1) != 0 ? Kept::kTrue : Kept::kFalse;
  }

  void keep(std::uint64_t serial, std::uint32_t instruction, bool answer) {
    const std::uint64_t key = key_of(serial, instruction);
    std::uint64_t& place = places_[place_of(key)];
    if (place != 0 && places_.size() < kMaxPlaces && ++displaced_ > places_.size()) grow();
    places_[place_of(key)] = key | static_cast<std::uint64_t>(answer);
  }

 private:
  // 39 bits of serial, 24 of instruction, one of answer.
  static std::uint64_t key_of(std::uint64_t serial, std::uint32_t instruction) {
    return serial << 25 | std::uint64_t{instruction} << 1;
  }
  std::size_t place_of(std::uint64_t key) const {
    return (key * 0x9e3779b97f4a7c15ull >> 40) & (places_.size() - 1);
  }
  void grow() {
    displaced_ = 0;
    const std::vector<std::uint64_t> old =
        std::exchange(places_, std::vector<std::uint64_t>(2 * places_.size(), 0));
    for (const std::uint64_t answer : old) places_[place_of(answer & ~1ull)] = answer;
  }

  std::vector<std::uint64_t> places_;
  std::size_t displaced_ = 0;
};

}  // namespace cicd
