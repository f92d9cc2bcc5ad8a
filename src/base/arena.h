// SPDX-License-Identifier: Apache-2.0
// Arena: bump storage for the strings of one batch of events. `reset` keeps the memory, so that a
// recycled batch allocates nothing in the steady state.
//
// Threads: none; a batch belongs to one thread at a time. Lifetime: every view handed out dies at
// `reset` or with the arena. Chunks never move, so views stay valid while the arena grows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace cicd {

class Arena {
 public:
  // The first chunk is small, for batches of a few records; each further one is twice as large, up
  // to `chunk_bytes`.
  explicit Arena(std::size_t chunk_bytes = 64 * 1024) : chunk_bytes_(chunk_bytes) {}

  // Uninitialised bytes, without alignment: for text only.
  std::span<char> allocate(std::size_t bytes) {
    if (used_ + bytes > capacity_of_current()) next_chunk(bytes);
    std::span<char> out(chunks_[current_].data.get() + used_, bytes);
    used_ += bytes;
    return out;
  }

  std::string_view store(std::string_view text) {
    if (text.empty()) return {};
    std::span<char> out = allocate(text.size());
    std::memcpy(out.data(), text.data(), text.size());
    return {out.data(), out.size()};
  }

  // Memory that it holds, used or not.
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const Chunk& chunk : chunks_) sum += chunk.bytes;
    return sum;
  }

  void reset() {
    current_ = 0;
    used_ = 0;
  }

 private:
  struct Chunk {
    std::unique_ptr<char[]> data;
    std::size_t bytes = 0;
  };

  std::size_t capacity_of_current() const {
    return current_ < chunks_.size() ? chunks_[current_].bytes : 0;
  }

  // Moves to the next chunk that can hold `bytes`, making one when there is none.
  void next_chunk(std::size_t bytes) {
    while (current_ < chunks_.size() && chunks_[current_].bytes - used_ < bytes) {
      ++current_;
      used_ = 0;
    }
    if (current_ < chunks_.size()) return;
    const std::size_t grown = chunks_.empty() ? kFirstBytes : 2 * chunks_.back().bytes;
    const std::size_t size = std::max(bytes, std::min(grown, chunk_bytes_));
    chunks_.push_back({std::make_unique_for_overwrite<char[]>(size), size});
    used_ = 0;
  }

  static constexpr std::size_t kFirstBytes = 4 * 1024;

  std::size_t chunk_bytes_;
  std::vector<Chunk> chunks_;
  std::size_t current_ = 0;
  std::size_t used_ = 0;
};

}  // namespace cicd
