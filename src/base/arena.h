// SPDX-License-Identifier: Apache-2.0
// Arena: bump storage for the strings of one batch of events. `reset` keeps the memory, or gives it
// back to the pool that it came from, so that a recycled batch allocates nothing in the steady
// state.
//
// Threads: none; a batch belongs to one thread at a time. Lifetime: every view handed out dies at
// `reset` or with the arena. Chunks never move, so views stay valid while the arena grows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/block_pool.h"

namespace cicd {

class Arena {
 public:
  // The first chunk is small; each further one is twice as large, up to `chunk_bytes`.
  explicit Arena(std::size_t chunk_bytes = 64 * 1024) : chunk_bytes_(chunk_bytes) {}
  // Chunks are blocks of the pool, but for text that is longer than one.
  explicit Arena(std::shared_ptr<BlockPool> pool) : blocks_(std::in_place, std::move(pool)) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Uninitialised bytes, without alignment: for text only.
  std::span<char> allocate(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - next_) < bytes) next_chunk(bytes);
    const std::span<char> out(next_, bytes);
    next_ += bytes;
    return out;
  }

  std::string_view store(std::string_view text) {
    if (text.empty()) return {};
    std::span<char> out = allocate(text.size());
    std::memcpy(out.data(), text.data(), text.size());
    return {out.data(), out.size()};
  }

  void reset() {
    next_ = end_ = nullptr;
    current_ = 0;
    if (!blocks_) return;
    blocks_->clear();
    chunks_.clear();
  }

 private:
  struct Chunk {
    std::unique_ptr<char[]> data;
    std::size_t bytes = 0;
  };

  void use(char* data, std::size_t bytes) {
    next_ = data;
    end_ = data + bytes;
  }

  // Moves to the next chunk that can hold `bytes`, making one when there is none.
  void next_chunk(std::size_t bytes) {
    if (blocks_ && bytes <= BlockPool::kBlockBytes) {
      return use(reinterpret_cast<char*>(blocks_->add()), BlockPool::kBlockBytes);
    }
    while (current_ < chunks_.size() && chunks_[current_].bytes < bytes) ++current_;
    if (current_ == chunks_.size()) {
      const std::size_t grown = chunks_.empty() ? kFirstBytes : 2 * chunks_.back().bytes;
      const std::size_t size = std::max(bytes, std::min(grown, chunk_bytes_));
      chunks_.push_back({std::make_unique_for_overwrite<char[]>(size), size});
    }
    const Chunk& chunk = chunks_[current_++];
    use(chunk.data.get(), chunk.bytes);
  }

  static constexpr std::size_t kFirstBytes = 4 * 1024;

  std::optional<BlockList> blocks_;  // nullopt: all chunks are its own
  std::size_t chunk_bytes_ = 0;      // with a pool: no larger than what is asked for
  std::vector<Chunk> chunks_;
  std::size_t current_ = 0;  // the first chunk that was not used since reset()
  char* next_ = nullptr;     // free bytes of the chunk in use
  char* end_ = nullptr;
};

}  // namespace cicd
