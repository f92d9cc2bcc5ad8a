// SPDX-License-Identifier: Apache-2.0
#include "track/process_table.h"

#include <gtest/gtest.h>

namespace cicd {
namespace {

std::shared_ptr<Process> picture(std::uint32_t exec_id = 1, std::size_t argv_bytes = 0) {
  auto image = std::make_shared<ExecImage>();
  if (argv_bytes > 0) image->argv.emplace_back(argv_bytes, 'a');
  auto process = std::make_shared<Process>();
  process->exec_id = exec_id;
  process->image = std::move(image);
  return process;
}

TEST(ProcessTable, EndedProcessesStayForTheGraceTime) {
  ProcessTable table({.exited_grace_ns = 100});
  table.end(table.add(1, 10, 1, picture()), 1'000);
  table.prune(1'100);
  EXPECT_NE(table.find(1, 10), nullptr);
  EXPECT_EQ(table.find_live(1), nullptr);
  table.prune(1'101);
  EXPECT_EQ(table.find(1, 10), nullptr);
  EXPECT_EQ(table.ended_count(), 0u);
}

TEST(ProcessTable, EndedProcessesAreBoundedInNumber) {
  ProcessTable table({.max_ended = 3});
  for (std::uint32_t pid = 1; pid <= 5; ++pid) table.end(table.add(pid, 10, 1, picture()), 0);
  table.prune(0);
  EXPECT_EQ(table.ended_count(), 3u);
  EXPECT_EQ(table.find(2, 10), nullptr);
  EXPECT_NE(table.find(3, 10), nullptr);
}

TEST(ProcessTable, EndedProcessesAreBoundedInBytes) {
  ProcessTable table({.max_ended_bytes = 100'000});
  for (std::uint32_t pid = 1; pid <= 5; ++pid) {
    table.end(table.add(pid, 10, 1, picture(1, 40'000)), 0);
  }
  table.prune(0);
  EXPECT_EQ(table.ended_count(), 2u);
  // Pictures that come after the end count as well.
  table.add_older(*table.find(5, 10), picture(0, 90'000));
  table.prune(0);
  EXPECT_EQ(table.ended_count(), 0u);
}

TEST(ProcessTable, EarlierPicturesAreBoundedAndTheOldestGoes) {
  ProcessTable table;
  ProcessEntry& entry = table.add(1, 10, 1, picture(0));
  for (std::uint32_t exec_id = 1; exec_id <= 6; ++exec_id) table.replace(entry, picture(exec_id));
  EXPECT_EQ(entry.current->exec_id, 6u);
  ASSERT_EQ(entry.older.size(), kMaxOlderPictures);
  EXPECT_EQ(entry.older.front()->exec_id, 2u);
  EXPECT_EQ(entry.older.back()->exec_id, 5u);
}

TEST(ProcessTable, OnePidManyProcesses) {
  ProcessTable table;
  for (std::uint64_t start = 1; start <= 20; ++start)
    table.end(table.add(1, start, 1, picture()), 0);
  EXPECT_EQ(table.ended_count(), kMaxGenerations);
  EXPECT_NE(table.find(1, 20), nullptr);
  EXPECT_NE(table.find(1, 13), nullptr);
  EXPECT_EQ(table.find(1, 12), nullptr);
  ProcessEntry& live = table.add(1, 21, 1, picture());
  EXPECT_EQ(table.find_live(1), &live);
}

TEST(ProcessTable, FullTableNamesTheOldest) {
  ProcessTable table({.max_live = 2});
  ProcessEntry& first = table.add(1, 10, 1, picture());
  EXPECT_EQ(table.evictee(), nullptr);
  ProcessEntry& second = table.add(2, 10, 1, picture());
  EXPECT_EQ(table.evictee(), &first);
  table.end(first, 0);
  EXPECT_EQ(table.evictee(), nullptr);
  table.add(3, 10, 1, picture());
  EXPECT_EQ(table.evictee(), &second);
}

TEST(ProcessTable, ErasesOneJobOnly) {
  ProcessTable table;
  table.add(1, 10, 1, picture());
  table.end(table.add(1, 11, 1, picture()), 0);
  table.add(2, 10, 2, picture());
  table.erase_slot(1);
  EXPECT_EQ(table.find(1, 10), nullptr);
  EXPECT_EQ(table.find(1, 11), nullptr);
  EXPECT_NE(table.find(2, 10), nullptr);
  EXPECT_EQ(table.live_count(), 1u);
  EXPECT_EQ(table.ended_count(), 0u);
}

TEST(CutChain, KeepsTheNearestParents) {
  ProcessRef chain;
  for (std::uint32_t i = 0; i <= 10; ++i) {
    auto next = picture();
    next->pid = i;
    next->parent = chain;
    next->depth = static_cast<int>(i);
    chain = std::move(next);
  }
  const ProcessRef cut = cut_chain(chain, 3);
  EXPECT_EQ(cut->depth, 3);
  EXPECT_EQ(cut->pid, 10u);
  EXPECT_EQ(cut->image, chain->image);
  const Process* top = cut->parent->parent->parent.get();
  EXPECT_EQ(top->pid, 7u);
  EXPECT_EQ(top->depth, 0);
  EXPECT_EQ(top->parent, nullptr);
  EXPECT_EQ(cut_chain(chain, 100)->depth, 10);
}

}  // namespace
}  // namespace cicd
