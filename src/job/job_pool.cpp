// SPDX-License-Identifier: Apache-2.0
#include "job/job_pool.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace cicd {

namespace {

// Two at least: a job that waits for its disk must not make all wait.
constexpr std::size_t kLeastThreads = 2;
constexpr std::size_t kMostThreads = 8;
// Batches kept for reuse; a burst's other ones are given back.
constexpr std::size_t kMaxFreeBatches = 64;
// A batch that grew beyond this is not kept.
constexpr std::size_t kMaxKeptRecords = 16'384;

}  // namespace

JobPool::JobPool(std::size_t threads) {
  if (threads == 0) {
    threads =
        std::clamp<std::size_t>(std::thread::hardware_concurrency(), kLeastThreads, kMostThreads);
  }
  for (std::size_t i = 0; i < threads; ++i) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->start("cicd-job", [this] { run(); });
  }
}

JobPool::~JobPool() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  ready_.notify_all();
  workers_.clear();
}

// One at a time: whoever wakes up looks whether there is work for one more.
void JobPool::wake_one() {
  if (sleeping_ == 0 || is_waking_) return;
  is_waking_ = true;
  ready_.notify_one();
}

void JobPool::post(Member& member) {
  using State = Member::State;
  const std::lock_guard lock(mutex_);
  if (member.state_ == State::kRunning) member.state_ = State::kRunningAgain;
  if (member.state_ != State::kIdle) return;
  member.state_ = State::kQueued;
  queue_.push_back(&member);
  wake_one();
}

void JobPool::wait_until_idle(Member& member) {
  std::unique_lock lock(mutex_);
  became_idle_.wait(lock, [&] { return member.state_ == Member::State::kIdle; });
}

void JobPool::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!queue_.empty()) {
      give_turn(lock);
      continue;
    }
    if (is_closed_) return;
    ++sleeping_;
    ready_.wait(lock);
    --sleeping_;
    is_waking_ = false;
  }
}

void JobPool::give_turn(std::unique_lock<std::mutex>& lock) {
  using State = Member::State;
  Member& member = *queue_.front();
  queue_.pop_front();
  if (!queue_.empty()) wake_one();
  member.state_ = State::kRunning;
  lock.unlock();
  const bool has_more = member.take_turn();
  lock.lock();
  if (has_more || member.state_ == State::kRunningAgain) {
    member.state_ = State::kQueued;
    queue_.push_back(&member);
    return;
  }
  // The member may be gone as soon as the lock is free.
  member.state_ = State::kIdle;
  became_idle_.notify_all();
}

std::unique_ptr<EventBatch> JobPool::take_batch() {
  {
    const std::lock_guard lock(batches_mutex_);
    if (!batches_.empty()) {
      std::unique_ptr<EventBatch> batch = std::move(batches_.back());
      batches_.pop_back();
      return batch;
    }
  }
  return std::make_unique<EventBatch>();
}

void JobPool::recycle(std::unique_ptr<EventBatch> batch) {
  if (batch->records.capacity() > kMaxKeptRecords) return;
  batch->reset();
  const std::lock_guard lock(batches_mutex_);
  if (batches_.size() < kMaxFreeBatches) batches_.push_back(std::move(batch));
}

}  // namespace cicd
