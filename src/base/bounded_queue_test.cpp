// SPDX-License-Identifier: Apache-2.0
#include "base/bounded_queue.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include "base/worker.h"

namespace cicd {
namespace {

TEST(BoundedQueue, IsBoundedByWeightUntilDone) {
  BoundedQueue<int> queue(10);
  EXPECT_TRUE(queue.push(1, 6));
  EXPECT_FALSE(queue.push(2, 5));
  EXPECT_TRUE(queue.push(3, 4));
  EXPECT_EQ(queue.load(), 10u);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_FALSE(queue.push(4, 1));  // still being worked on
  queue.done(6);
  EXPECT_TRUE(queue.push(4, 6));
  EXPECT_EQ(queue.pop(), 3);
  EXPECT_EQ(queue.pop(), 4);
}

TEST(BoundedQueue, KeepsWhatItRefuses) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  auto item = std::make_unique<int>(5);
  EXPECT_FALSE(queue.push(std::move(item), 2));
  // NOLINTBEGIN(bugprone-use-after-move): that it stayed is the point
  ASSERT_NE(item, nullptr);
  EXPECT_EQ(*item, 5);
  // NOLINTEND(bugprone-use-after-move)
}

TEST(BoundedQueue, HandsOutTheRestAfterClose) {
  BoundedQueue<int> queue(10);
  queue.push(1, 1);
  queue.close();
  EXPECT_FALSE(queue.push(2, 1));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BoundedQueue, KeepsOrderWhenTheRingGrowsAroundItsEnd) {
  BoundedQueue<int> queue(100'000);
  int in = 0;
  int out = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < round; ++i) ASSERT_TRUE(queue.push(in++, 1));
    for (int i = 0; i < round / 2; ++i) ASSERT_EQ(queue.pop(), out++);
  }
  queue.close();
  while (const auto item = queue.pop()) ASSERT_EQ(*item, out++);
  EXPECT_EQ(out, in);
}

TEST(BoundedQueue, EveryPushedThingArrivesOnceInOrder) {
  constexpr int kCount = 200'000;
  BoundedQueue<int> queue(64);
  int next = 0;
  Worker worker;
  worker.start("consumer", [&] {
    while (const auto item = queue.pop()) {
      EXPECT_EQ(*item, next);
      ++next;
      queue.done(1);
    }
  });
  for (int i = 0; i < kCount; ++i) {
    while (!queue.push(int{i}, 1)) std::this_thread::yield();
  }
  queue.close();
  worker.join();
  EXPECT_EQ(next, kCount);
  EXPECT_EQ(queue.load(), 0u);
}

// Each waits for the other: a wake-up that got lost would be for good.
TEST(BoundedQueue, WakesUpWhoSleeps) {
  constexpr int kRounds = 20'000;
  BoundedQueue<int> there(1), back(1);
  Worker worker;
  worker.start("echo", [&] {
    while (const auto item = there.pop()) {
      there.done(1);
      back.push(int{*item}, 1);
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    ASSERT_TRUE(there.push(int{i}, 1));
    ASSERT_EQ(back.pop(), i);
    back.done(1);
  }
  there.close();
  worker.join();
}

TEST(BoundedQueue, HasManyConsumersThatSleepAndWakeUp) {
  constexpr int kCount = 20'000;
  BoundedQueue<int> queue(kCount);
  std::atomic<std::int64_t> sum = 0;
  std::array<Worker, 4> workers;
  for (Worker& worker : workers) {
    worker.start("consumer", [&] {
      while (const auto item = queue.pop()) sum += *item;
    });
  }
  for (int i = 1; i <= kCount; ++i) {
    ASSERT_TRUE(queue.push(int{i}, 1));
    if (i % 16 == 0) std::this_thread::yield();
    if (i % 1'024 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  // All that was pushed before is dealt with while the queue is open.
  for (int i = 0; i < 10'000 && sum < std::int64_t{kCount} * (kCount + 1) / 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(sum, std::int64_t{kCount} * (kCount + 1) / 2);
  queue.close();
  for (Worker& worker : workers) worker.join();
}

TEST(Worker, HasANameAndTakesNoSignals) {
  std::string name;
  bool is_blocked = false;
  Worker worker;
  BoundedQueue<int> named(1);  // the name is set by the one who starts the thread
  worker.start("my-worker", [&] {
    named.pop();
    char text[16] = {};
    ::pthread_getname_np(::pthread_self(), text, sizeof(text));
    name = text;
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    is_blocked = ::sigismember(&mask, SIGTERM) == 1 && ::sigismember(&mask, SIGXFSZ) == 1;
  });
  named.close();
  worker.join();
  worker.join();
  EXPECT_EQ(name, "my-worker");
  EXPECT_TRUE(is_blocked);
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(::sigismember(&mask, SIGTERM), 0);
}

}  // namespace
}  // namespace cicd
