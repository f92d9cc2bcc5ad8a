// SPDX-License-Identifier: Apache-2.0
#include "event/record_list.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace cicd {
namespace {

using List = RecordList<std::shared_ptr<std::size_t>>;

TEST(RecordList, GrowsWithoutMovingARecord) {
  List list(std::make_shared<BlockPool>(1 << 20));
  const std::size_t count = 3 * List::kPerBlock + 1;
  std::vector<std::shared_ptr<std::size_t>*> places;
  for (std::size_t i = 0; i < count; ++i) {
    places.push_back(&list.emplace_back(std::make_shared<std::size_t>(i)));
  }
  ASSERT_EQ(list.size(), count);
  std::size_t next = 0;
  for (const auto& record : list) {
    EXPECT_EQ(&record, places[next]);
    EXPECT_EQ(*record, next++);
  }
  EXPECT_EQ(*list.front(), 0u);
  EXPECT_EQ(*list.back(), count - 1);
  EXPECT_THROW(list.at(count), std::out_of_range);
}

TEST(RecordList, DestroysEachRecordOnce) {
  const auto value = std::make_shared<std::size_t>(7);
  List list(std::make_shared<BlockPool>(1 << 20));
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < List::kPerBlock + 3; ++i) list.push_back(value);
    EXPECT_EQ(value.use_count(), static_cast<long>(List::kPerBlock) + 4);
    list.clear();
    EXPECT_TRUE(list.empty());
    EXPECT_EQ(value.use_count(), 1);
  }
  {
    List dies(std::make_shared<BlockPool>(0));
    dies.push_back(value);
  }
  EXPECT_EQ(value.use_count(), 1);
}

TEST(RecordList, GoesOnAfterItWasCutAnywhere) {
  for (const std::size_t cut :
       {std::size_t{0}, std::size_t{1}, List::kPerBlock, List::kPerBlock + 1}) {
    List list(std::make_shared<BlockPool>(1 << 20));
    for (std::size_t i = 0; i < 2 * List::kPerBlock; ++i) {
      list.emplace_back(std::make_shared<std::size_t>(i));
    }
    list.shrink(cut);
    for (std::size_t i = cut; i < 3 * List::kPerBlock; ++i) {
      list.emplace_back(std::make_shared<std::size_t>(i));
    }
    std::size_t next = 0;
    for (const auto& record : list) EXPECT_EQ(*record, next++);
    EXPECT_EQ(next, 3 * List::kPerBlock);
  }
}

}  // namespace
}  // namespace cicd
