// SPDX-License-Identifier: Apache-2.0
// BlockPool, BlockList: blocks of memory, all of one size, handed out again when they come back;
// the last one first, because it is still in the caches. What grows by blocks never moves what it
// has, and many owners that each grow for a moment share one pool: then a thousand of them take no
// more memory than one that has as much to keep.
//
// Threads: all calls from any. Memory: at most `most_bytes` are kept; what comes on top is freed.
// Allocates only when more blocks are out than ever before, or were freed meanwhile.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace cicd {

class BlockPool {
 public:
  static constexpr std::size_t kBlockBytes = 8 * 1024;

  explicit BlockPool(std::size_t most_bytes) : most_blocks_(most_bytes / kBlockBytes) {}
  ~BlockPool() { keep_at_most(0); }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Uninitialised, aligned for whatever has no wish of its own. The taker gives it back.
  std::byte* take() {
    {
      const std::lock_guard lock(mutex_);
      if (!kept_.empty()) {
        std::byte* block = kept_.back();
        kept_.pop_back();
        return block;
      }
    }
    return static_cast<std::byte*>(::operator new(kBlockBytes));
  }

  void give(std::span<std::byte* const> blocks) {
    {
      const std::lock_guard lock(mutex_);
      const std::size_t room = most_blocks_ - std::min(most_blocks_, kept_.size());
      const auto kept = blocks.first(std::min(blocks.size(), room));
      kept_.insert(kept_.end(), kept.begin(), kept.end());
      blocks = blocks.subspan(kept.size());
    }
    for (std::byte* block : blocks) ::operator delete(block, kBlockBytes);
  }

  // Frees what is kept on top of it; how many bytes that were.
  std::size_t keep_at_most(std::size_t bytes) {
    std::vector<std::byte*> freed;
    {
      const std::lock_guard lock(mutex_);
      const auto rest = static_cast<std::ptrdiff_t>(std::min(kept_.size(), bytes / kBlockBytes));
      freed.assign(kept_.begin() + rest, kept_.end());
      kept_.erase(kept_.begin() + rest, kept_.end());
    }
    for (std::byte* block : freed) ::operator delete(block, kBlockBytes);
    return freed.size() * kBlockBytes;
  }

 private:
  const std::size_t most_blocks_;
  mutable std::mutex mutex_;
  std::vector<std::byte*> kept_;
};

// Blocks of a pool that one owner has. Threads: one at a time. Moved from, it has no pool.
class BlockList {
 public:
  explicit BlockList(std::shared_ptr<BlockPool> pool) : pool_(std::move(pool)) {}
  ~BlockList() { clear(); }
  BlockList(BlockList&&) noexcept = default;
  BlockList& operator=(BlockList&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(blocks_, other.blocks_);
    return *this;
  }

  std::byte* add() { return blocks_.emplace_back(pool_->take()); }
  // Gives all back.
  void clear() {
    if (blocks_.empty()) return;
    pool_->give(blocks_);
    blocks_.clear();
  }
  std::size_t size() const { return blocks_.size(); }
  std::byte* operator[](std::size_t place) const { return blocks_[place]; }
  std::byte* back() const { return blocks_.back(); }

 private:
  std::shared_ptr<BlockPool> pool_;
  std::vector<std::byte*> blocks_;
};

}  // namespace cicd
