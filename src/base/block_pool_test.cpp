// SPDX-License-Identifier: Apache-2.0
#include "base/block_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/arena.h"

namespace cicd {
namespace {

constexpr std::size_t kBytes = BlockPool::kBlockBytes;

TEST(BlockPool, TheBlockThatCameBackLastGoesOutFirst) {
  BlockPool pool(10 * kBytes);
  std::byte* const first = pool.take();
  std::byte* const second = pool.take();
  ASSERT_NE(first, second);
  pool.give({{first, second}});
  EXPECT_EQ(pool.take(), second);
  EXPECT_EQ(pool.take(), first);
  pool.give({{first, second}});
}

// That what is let go is freed is AddressSanitizer's to say.
TEST(BlockPool, KeepsNoMoreThanItsBytes) {
  BlockPool pool(2 * kBytes);
  std::byte* const kept[] = {pool.take(), pool.take()};
  std::byte* const let_go = pool.take();
  pool.give(kept);
  pool.give({{let_go}});
  EXPECT_EQ(pool.take(), kept[1]);
  pool.give({{kept[1]}});
  EXPECT_EQ(pool.keep_at_most(kBytes + 1), kBytes);
  EXPECT_EQ(pool.keep_at_most(kBytes + 1), 0u);
  EXPECT_EQ(pool.take(), kept[0]);
  pool.give({{kept[0]}});
}

// Each block is with one list at a time, whoever shares the pool.
TEST(BlockList, ThreadsShareAPool) {
  const auto pool = std::make_shared<BlockPool>(3 * kBytes);
  std::vector<std::thread> threads;
  for (char name = 'a'; name < 'e'; ++name) {
    threads.emplace_back([&pool, name] {
      for (int i = 0; i < 2'000; ++i) {
        BlockList list(pool);
        for (int k = 0; k < 3; ++k) std::memset(list.add(), name, 64);
        std::this_thread::yield();
        for (std::size_t k = 0; k < list.size(); ++k) {
          ASSERT_EQ(std::string(reinterpret_cast<char*>(list[k]), 64), std::string(64, name));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(BlockList, IsMoved) {
  const auto pool = std::make_shared<BlockPool>(2 * kBytes);
  BlockList list(pool);
  std::byte* const block = list.add();
  BlockList next(std::move(list));
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next.back(), block);
  next = BlockList(pool);
  EXPECT_EQ(next.size(), 0u);
  EXPECT_EQ(next.add(), block);  // it went back
}

class ArenaTest : public testing::TestWithParam<bool> {
 protected:
  Arena arena_ = GetParam() ? Arena(std::make_shared<BlockPool>(4 * kBytes)) : Arena(16 * 1024);
};

TEST_P(ArenaTest, TextStaysWhereItIs) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<std::string_view, std::string>> texts;
    for (std::size_t size : {0ul, 1ul, 4'000ul, kBytes - 1, kBytes, kBytes + 1, 100'000ul}) {
      for (char name = 'a'; name < 'd'; ++name) {
        const std::string text(size, name);
        texts.emplace_back(arena_.store(text), text);
      }
    }
    for (const auto& [view, text] : texts) EXPECT_EQ(view, text);
    arena_.reset();
  }
}

INSTANTIATE_TEST_SUITE_P(OfAPoolAndAlone, ArenaTest, testing::Bool());

}  // namespace
}  // namespace cicd
