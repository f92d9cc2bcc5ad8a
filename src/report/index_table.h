// SPDX-License-Identifier: Apache-2.0
// IndexTable: finds the entry of a growing list by a key that the entry itself holds. Four bytes a
// slot; the list is the caller's, which says how an entry is hashed and compared.
// Threads: belongs to one thread. Allocates only when it grows.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace cicd {

class IndexTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  // The index of the entry for which `is_equal(index)` holds, or kNone.
  template <typename IsEqual>
  std::uint32_t find(std::uint64_t hash, IsEqual is_equal) const {
    if (slots_.empty()) return kNone;
    for (std::size_t at = position(hash);; at = (at + 1) & (slots_.size() - 1)) {
      const std::uint32_t index = slots_[at];
      if (index == kNone || is_equal(index)) return index;
    }
  }

  // Adds an index that find() did not find; `hash_of(index)` is asked for all when it grows.
  template <typename HashOf>
  void insert(std::uint32_t index, HashOf hash_of) {
    if ((size_ + 1) * 4 > slots_.size() * 3) grow(hash_of);
    put(index, hash_of(index));
    ++size_;
  }

 private:
  std::size_t position(std::uint64_t hash) const {
    // The top bits of a product depend on all bits of the hash.
    return static_cast<std::size_t>((hash * 0x9E3779B97F4A7C15u) >> shift_);
  }
  void put(std::uint32_t index, std::uint64_t hash) {
    std::size_t at = position(hash);
    while (slots_[at] != kNone) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = index;
  }
  template <typename HashOf>
  void grow(HashOf hash_of) {
    const std::size_t slots = slots_.empty() ? 256 : slots_.size() * 2;
    std::vector<std::uint32_t> old(slots, kNone);
    old.swap(slots_);
    shift_ = 64 - std::countr_zero(slots);
    for (std::uint32_t index : old) {
      if (index != kNone) put(index, hash_of(index));
    }
  }

  std::vector<std::uint32_t> slots_;  // a power of two of them
  int shift_ = 64;
  std::size_t size_ = 0;
};

}  // namespace cicd
