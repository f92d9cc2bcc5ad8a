// SPDX-License-Identifier: Apache-2.0
#include "job/process_traces.h"

#include <gtest/gtest.h>

#include "support/records.h"

namespace cicd {
namespace {

using support::make_chain;
using support::make_process;

TEST(ProcessTraces, KeepsAChainOfProgramsOnce) {
  ProcessTraceTable table;
  const ProcessRef parent = make_chain(3);
  const std::uint32_t first =
      table.find_or_add(*make_process(10, "/bin/a", {"a", "--token=x"}, parent));
  const std::uint32_t second = table.find_or_add(*make_process(11, "/bin/a", {}, parent));
  ASSERT_NE(first, ProcessTraces::kNone);
  EXPECT_NE(first, second);
  const ProcessTraces& data = table.data();
  EXPECT_EQ(data.traces.size(), 5u) << "three ancestors and two processes";
  EXPECT_EQ(data.paths.size(), 4u);
  EXPECT_EQ(data.traces[first].pid, 1'010u);
  EXPECT_EQ(data.traces[first].start_time_ns, 5'000'000'010u);
  std::vector<std::string> chain;
  for (std::uint32_t at = first; at != ProcessTraces::kNone; at = data.traces[at].parent) {
    chain.push_back(data.exec_path(at));
  }
  EXPECT_EQ(chain, (std::vector<std::string>{"/bin/a", "/bin/p2", "/bin/p1", "/bin/p0"}));
}

TEST(ProcessTraces, KnowsAPictureAgain) {
  ProcessTraceTable table;
  const ProcessRef process = make_chain(2);
  const std::uint32_t trace = table.find_or_add(*process);
  EXPECT_EQ(table.find_or_add(*process), trace);
  EXPECT_EQ(table.data().traces.size(), 2u);
}

TEST(ProcessTraces, IsBounded) {
  ProcessTraceTable table;
  std::uint64_t id = 0;
  while (id < kMaxTraces) {
    ASSERT_NE(table.find_or_add(*make_process(++id, "/bin/a", {})), ProcessTraces::kNone);
  }
  EXPECT_EQ(table.find_or_add(*make_process(++id, "/bin/a", {})), ProcessTraces::kNone);
  EXPECT_EQ(table.data().traces.size(), kMaxTraces);
  EXPECT_NE(table.find_or_add(*make_process(1, "/bin/a", {})), ProcessTraces::kNone) << "known";

  ProcessTraceTable texts;
  const std::string path(4'000, 'x');
  for (id = 1; id * 4'004 < kMaxTracePathBytes; ++id) {
    ASSERT_NE(texts.find_or_add(*make_process(id, path + std::to_string(1'000 + id), {})),
              ProcessTraces::kNone);
  }
  EXPECT_EQ(texts.find_or_add(*make_process(++id, path + path, {})), ProcessTraces::kNone);
  EXPECT_NE(texts.find_or_add(*make_process(++id, path + "1001", {})), ProcessTraces::kNone);
}

}  // namespace
}  // namespace cicd
