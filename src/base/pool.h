// SPDX-License-Identifier: Apache-2.0
// Pool: things that cost much to grow (buffers), handed out again when they come back; the last one
// first, because it is still in the caches. Many owners that each work for a moment share it, so
// that none of them grows one of its own.
//
// Threads: all calls from any. Memory: at most `most_bytes` are kept, by what givers say each
// weighs; what comes on top is let go. Allocates only when more things are kept than ever before.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace cicd {

template <typename T>
class Pool {
 public:
  explicit Pool(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  // nullopt: there is none; make one.
  std::optional<T> take() {
    const std::lock_guard lock(mutex_);
    if (kept_.empty()) return std::nullopt;
    std::optional<T> item(std::move(kept_.back().item));
    bytes_ -= kept_.back().bytes;
    kept_.pop_back();
    return item;
  }

  void give(T item, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (bytes_ + bytes > most_bytes_) return;
    kept_.push_back({std::move(item), bytes});
    bytes_ += bytes;
  }

 private:
  struct Kept {
    T item;
    std::size_t bytes = 0;
  };

  const std::size_t most_bytes_;
  std::mutex mutex_;
  std::vector<Kept> kept_;
  std::size_t bytes_ = 0;
};

}  // namespace cicd
