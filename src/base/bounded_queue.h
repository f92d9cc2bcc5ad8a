// SPDX-License-Identifier: Apache-2.0
// BoundedQueue: hands things from producers to consumers, bounded by a weight that the producer
// gives to each. Never blocks a producer: what does not fit is refused, and the caller counts it.
//
// The weight of a thing counts until the consumer says `done`, so that what is being worked on is
// part of the bound. Order: first in, first out. After close() pushes are refused and pop() hands
// out what is left, then nothing.
//
// Threads: all calls from any thread. Allocates only when more things wait than ever before. No
// condition variable: with that of glibc a consumer that was woken up makes a system call more than
// it needs, as it must take the lock for one that others wait for.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/futex.h"

namespace cicd {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  // Takes `item` only when it returns true.
  bool push(T&& item, std::size_t weight) {
    bool wakes = false;
    {
      const std::lock_guard lock(mutex_);
      if (is_closed_ || load() + weight > capacity_) return false;
      load_.fetch_add(weight, std::memory_order_relaxed);
      if (count_ == ring_.size()) grow();
      ring_[(head_ + count_++) % ring_.size()] = std::move(item);
      wakes = sleepers_ > 0;
      if (wakes) --sleepers_, ++calls_;
    }
    if (wakes) futex_wake(calls_, 1);
    return true;
  }

  // Waits for an item; nullopt when the queue is closed and empty.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    while (count_ == 0 && !is_closed_) {
      ++sleepers_;
      const std::uint32_t seen = calls_;
      lock.unlock();
      futex_wait(calls_, seen);
      lock.lock();
    }
    if (count_ == 0) return std::nullopt;
    std::optional<T> item(std::move(ring_[head_]));
    head_ = (head_ + 1) % ring_.size();
    --count_;
    return item;
  }

  // What was popped with this weight is dealt with.
  void done(std::size_t weight) { load_.fetch_sub(weight, std::memory_order_relaxed); }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      is_closed_ = true;
      ++calls_;
    }
    futex_wake(calls_);
  }

  // Weight that waits or is worked on. With one producer it can only shrink behind its back.
  std::size_t load() const { return load_.load(std::memory_order_relaxed); }
  std::size_t capacity() const { return capacity_; }

 private:
  void grow() {
    std::vector<T> bigger(ring_.empty() ? 64 : ring_.size() * 2);
    for (std::size_t i = 0; i < count_; ++i) {
      bigger[i] = std::move(ring_[(head_ + i) % ring_.size()]);
    }
    ring_ = std::move(bigger);
    head_ = 0;
  }

  const std::size_t capacity_;
  std::atomic<std::size_t> load_ = 0;
  std::mutex mutex_;
  std::atomic<std::uint32_t> calls_ = 0;  // consumers sleep while it stays; changes under the lock
  std::size_t sleepers_ = 0;              // or more: those that woke up by themselves
  std::vector<T> ring_;
  std::size_t head_ = 0;
  std::size_t count_ = 0;
  bool is_closed_ = false;
};

}  // namespace cicd
