// SPDX-License-Identifier: Apache-2.0
#include "job/job_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

namespace cicd {
namespace {

// Counts what it was posted for and the turns that met another turn of its own.
class Counter final : public JobPool::Member {
 public:
  std::atomic<int> waiting = 0;
  int done = 0;  // no lock: one turn at a time
  std::atomic<bool> is_running = false;
  std::atomic<int> overlaps = 0;

 private:
  bool take_turn() override {
    if (is_running.exchange(true)) ++overlaps;
    for (int i = 0; i < 3 && waiting > 0; ++i) {
      --waiting;
      ++done;
    }
    is_running = false;
    return waiting > 0;
  }
};

class Waiter final : public JobPool::Member {
 public:
  std::latch has_begun{1}, go{1};

 private:
  bool take_turn() override {
    has_begun.count_down();
    go.wait();
    return false;
  }
};

TEST(JobPool, EveryPostIsDealtWithAndTurnsOfAMemberDoNotMeet) {
  constexpr int kMembers = 50, kPosts = 400;
  std::vector<Counter> members(kMembers);
  JobPool pool(4);
  std::vector<std::thread> posters;
  for (int t = 0; t < 2; ++t) {
    posters.emplace_back([&] {
      for (int i = 0; i < kPosts; ++i) {
        for (Counter& member : members) {
          ++member.waiting;
          pool.post(member);
        }
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  for (Counter& member : members) {
    pool.wait_until_idle(member);
    EXPECT_EQ(member.done, 2 * kPosts);
    EXPECT_EQ(member.overlaps, 0);
  }
}

TEST(JobPool, AMemberThatWaitsKeepsNobodyElseWaiting) {
  JobPool pool(2);
  Waiter waiter;
  pool.post(waiter);
  waiter.has_begun.wait();
  Counter other;
  for (int i = 0; i < 100; ++i) {
    ++other.waiting;
    pool.post(other);
    pool.wait_until_idle(other);  // hangs when it has to wait for the first
  }
  EXPECT_EQ(other.done, 100);
  waiter.go.count_down();
  pool.wait_until_idle(waiter);
}

TEST(JobPool, WithOneThreadMembersTakeTurns) {
  JobPool pool(1);
  Waiter waiter;
  Counter counter;
  pool.post(waiter);
  waiter.has_begun.wait();
  ++counter.waiting;
  pool.post(counter);
  pool.post(counter);
  EXPECT_EQ(counter.waiting, 1) << "the only thread is busy";
  waiter.go.count_down();
  pool.wait_until_idle(counter);
  EXPECT_EQ(counter.done, 1);
  pool.wait_until_idle(waiter);
}

TEST(JobPool, ABatchOfOneJobIsUsedByTheNext) {
  JobPool pool(1);
  auto batch = pool.take_batch();
  batch->add(EventType::kFileOpen);
  const EventBatch* first = batch.get();
  pool.recycle(std::move(batch));
  batch = pool.take_batch();
  EXPECT_EQ(batch.get(), first);
  EXPECT_TRUE(batch->records.empty());
}

}  // namespace
}  // namespace cicd
