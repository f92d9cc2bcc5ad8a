// SPDX-License-Identifier: Apache-2.0
#include "base/pool.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace cicd {
namespace {

TEST(Pool, TheLastThatCameBackGoesOutFirst) {
  Pool<int> pool(100);
  EXPECT_FALSE(pool.take());
  pool.give(1, 10);
  pool.give(2, 10);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_FALSE(pool.take());
}

TEST(Pool, KeepsNoMoreThanItsBytes) {
  Pool<std::shared_ptr<int>> pool(100);
  const auto item = std::make_shared<int>(0);
  pool.give(item, 60);
  pool.give(item, 60);  // let go
  EXPECT_EQ(item.use_count(), 2);
  EXPECT_TRUE(pool.take());
  pool.give(item, 100);  // what was taken weighs no more
  EXPECT_EQ(item.use_count(), 2);
  pool.give(item, 1);
  EXPECT_EQ(item.use_count(), 2);
}

// Each thing is with one holder at a time, whoever shares the pool.
TEST(Pool, IsSharedByThreads) {
  constexpr int kRounds = 20'000;
  Pool<std::unique_ptr<std::string>> pool(3);
  std::vector<std::thread> threads;
  for (char name = 'a'; name < 'e'; ++name) {
    threads.emplace_back([&pool, name] {
      for (int i = 0; i < kRounds; ++i) {
        auto taken = pool.take();
        std::unique_ptr<std::string> text =
            taken ? std::move(*taken) : std::make_unique<std::string>();
        text->assign(10, name);
        std::this_thread::yield();
        ASSERT_EQ(*text, std::string(10, name));
        pool.give(std::move(text), 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  int kept = 0;
  while (pool.take()) ++kept;
  EXPECT_GE(kept, 1);
  EXPECT_LE(kept, 3);
}

}  // namespace
}  // namespace cicd
